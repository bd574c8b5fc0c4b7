"""A node that lies about the time: what it can bring a home to destroy, and what not. docs/decisions/0025."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from liaison.client import Home, Unopened
from liaison.client.device import Device
from liaison.client.home import KEYSTORE
from liaison.client.watching import FILE
from liaison.ledger.entry import commit_to
from liaison.ledger.facts import MissedTestFacts
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import Place, Record, fields_of
from liaison.sealing.keystore import Keystore
from liaison.statements.statement import make_statement
from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.tlog.merkle import leaf_hash
from liaison.tlog.note import SignerKey
from liaison.words.errors import LogUntrusted, NodeUnreachable
from liaison.words.ids import new_note_id
from liaison.words.times import DAY
from tests.client.council import PASSPHRASE, letters
from tests.client.hotline import ORIGIN, SEEDS
from tests.client.liar import due_record, file_due
from tests.client.lied import MARY, Lied, facts_of, kept_back, lied_to, under_another_name

FIRST = "london-hotline/1"
YEARS = 74 * 365 * DAY


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        yield made


def keys(lied: Lied, name: str = "M") -> set[str]:
    """Return the encryption keys that a home still has."""
    home = Home(lied.council.folder / name)
    return set(Device(home, Keystore.open(home.path(KEYSTORE), PASSPHRASE)).opening)


def log_time(lied: Lied, name: str = "M") -> int:
    at = Home(lied.council.folder / name).read_state(FILE)["at"]
    assert isinstance(at, int)
    return at


def sham(record: Record) -> str:
    """Return a receipt from a tree of one leaf, signed by the log's key: it is of no log."""
    entry, openings = commit_to(fields_of(record), bytes(32))
    checkpoint = Checkpoint(ORIGIN, 1, leaf_hash(entry))
    signed = sign_checkpoint(checkpoint, SignerKey(ORIGIN, SEEDS["log"]))
    return Receipt(0, entry, openings, (), signed).to_text()


def unavailable(_: Any) -> Any:
    raise web.HTTPServiceUnavailable


async def test_a_time_that_is_of_no_log_destroys_no_key(lied: Lied) -> None:
    await lied.write()
    async with lied.council.client("M") as m:
        assert len(letters(await m.inbox())) == 2
        channel = m.kept(FIRST).note.channel
        assert await m.certificates(FIRST) == []  # the honest run
    before, now = keys(lied), lied.council.clock.now()
    assert len(before) == 1
    at = now + YEARS
    facts = MissedTestFacts(channel=channel, due=at, party="fco.example", slot=1, informed=(MARY,))
    record = due_record("missed-test", facts, Place(id=channel, n=1), at)
    lied.liar.lies["/v1/notes/"] = lambda answer: (
        {"certificates": [sham(record)]} if "certificates" in answer else answer
    )
    with pytest.raises(LogUntrusted, match="that isn't a certificate of this note"):
        async with lied.client("M") as m:
            await m.certificates(FIRST)
    assert keys(lied) == before
    assert log_time(lied) < now + DAY
    # It signed two trees: that is said from now on, and takes nothing either.
    with pytest.raises(LogUntrusted, match="two trees"):
        async with lied.council.client("M") as m:
            await m.inbox()
    assert keys(lied) == before


async def test_a_log_that_is_ahead_of_all_clocks_destroys_no_key_before_its_time(
    lied: Lied,
) -> None:
    async with lied.council.client("M") as m:
        await m.inbox()
    before, now = keys(lied), lied.council.clock.now()
    note = await kept_back(lied)
    channel = note.payload.channel
    facts = MissedTestFacts(channel=channel, due=now, party="fco.example", slot=1, informed=(MARY,))
    running, patch = lied.council.running, lied.monkeypatch
    await file_due(running, note, patch, "missed-test", facts, ahead=400 * DAY)
    async with lied.council.client("M") as m:
        await m.inbox()
        assert m.kept(FIRST).content.body
    assert log_time(lied) >= now + 400 * DAY
    assert keys(lied) == before
    async with lied.council.client("M") as m:  # nor does the next visit
        assert m.kept(FIRST).content.body
    assert keys(lied) == before
    lied.council.clock.advance(58 * DAY)  # its time, by both
    async with lied.council.client("M") as m:
        m.kept(FIRST)
    assert not keys(lied) & before


async def test_where_the_log_could_not_be_compared_nothing_is_destroyed(lied: Lied) -> None:
    async with lied.council.client("M") as m:
        await m.inbox()
    before, seen = keys(lied), log_time(lied)
    lied.council.clock.advance(58 * DAY)
    for name in ("FA", "MA"):
        async with lied.council.authority(name) as authority:
            authority.sign_directory()
            await authority.post()
    lied.liar.lies["/log/"] = unavailable
    async with lied.client("M") as m:
        await m.inbox()
    assert isinstance(m.unsettled, NodeUnreachable)
    assert log_time(lied) == seen
    assert keys(lied) >= before
    async with lied.council.client("M") as m:
        await m.inbox()
    assert log_time(lied) > seen
    assert not keys(lied) & before


async def test_a_visit_that_shows_a_stop_destroys_nothing(lied: Lied) -> None:
    async with lied.council.client("M") as m:
        await m.inbox()
    before, kept = keys(lied), (await kept_back(lied)).payload
    lied.council.clock.advance(58 * DAY)
    for name in ("FA", "MA"):
        async with lied.council.authority(name) as authority:
            authority.sign_directory()
            await authority.post()
    now = lied.council.clock.now()
    times = {"id": new_note_id(now, bytes(10)), "issued": now, "lapse": now + DAY}
    forged = make_statement(kept.model_copy(update=times), under_another_name(kept.key))
    await lied.file(forged, facts=facts_of(forged), content=b"x" * kept.content.size)
    async with lied.council.client("M") as m:
        assert [type(item) for item in await m.inbox()] == [Unopened]
    assert (lied.council.folder / "M" / "evidence").exists()
    assert log_time(lied) >= now
    assert keys(lied) >= before
    # Nor does the next one, to which the log can't be compared.
    await lied.write()
    lied.liar.lies["/log/"] = unavailable
    async with lied.client("M") as m:
        assert len(letters(await m.inbox())) == 1
    assert isinstance(m.unsettled, NodeUnreachable)
    assert keys(lied) >= before
    async with lied.council.client("M") as m:  # an honest visit
        await m.inbox()
    assert not keys(lied) & before
