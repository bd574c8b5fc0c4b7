"""What a hostile node shows of channels: charters, rosters, and notes without their release."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liaison.cli.channel import read_defaults
from liaison.client import Home, Pins, Unopened
from liaison.client.receipts import prove
from liaison.client.watching import check_digest
from liaison.statements.payloads import AddresseeRole, Roster
from liaison.statements.statement import make_statement
from liaison.words.errors import ChainBroken, LogUntrusted, NotReady
from tests.client.council import DEPUTY, DUTY, letters
from tests.client.liar import put
from tests.client.lied import HOTLINE, Lied, facts_of, kept_back, lied_to, seen_through, withhold
from tests.client.test_acting import verbale as letter


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        yield made


async def test_a_tier_is_neither_dropped_nor_a_roster_replayed(lied: Lied) -> None:
    before = await lied.answer(HOTLINE)
    async with lied.council.authority("MA") as authority:
        authority.set_roster("london-hotline", [("desk", [DUTY]), ("late", [DEPUTY])])
        authority.sign_directory()
        await authority.post()
    lied.liar.lies[HOTLINE] = put("rosters", before["rosters"])
    stop = "STOP: The node shows an older roster for london-hotline than the directory of mod"
    async with seen_through(lied, ChainBroken, stop):
        await lied.write()
    (newer,) = {r.digest for r in lied.said(await lied.answer(HOTLINE), "rosters", Roster)} - {
        r.digest for r in lied.said(before, "rosters", Roster)
    }
    lied.liar.lies[f"/v1/statements/{check_digest(newer)}"] = withhold
    async with seen_through(
        lied, ChainBroken, "STOP: The node withholds the roster that the directory of mod"
    ):
        await lied.write()
    lied.liar.lies.clear()
    await lied.write()
    # An authority that is late with its directory is told of as that.
    async with lied.council.authority("MA") as authority:
        authority.set_roster("london-hotline", [("desk", [DUTY])])
        await authority.post()
    with pytest.raises(NotReady, match="doesn't name its newest roster for london-hotline"):
        await lied.write()


async def test_a_charter_that_was_amended_is_the_old_one_for_nobody(lied: Lied) -> None:
    before = await lied.answer(HOTLINE)
    defaults = read_defaults("hotline")
    defaults["terms"] = {**defaults["terms"], "acknowledge": "all"}
    async with lied.council.authority("FA") as fa, lied.council.authority("MA") as ma:
        await fa.amend("london-hotline", defaults)
        await fa.post()
        for authority in (fa, ma):
            authority.accede(await authority.charter("london-hotline"))
            await authority.post()
        for authority in (fa, ma):
            await authority.follow_all()
            authority.sign_directory()
            await authority.post()
    lied.liar.lies[HOTLINE] = lambda _: before
    stop = "STOP: The node shows an older charter for london-hotline than the directory of "
    async with seen_through(lied, ChainBroken, stop):
        await lied.write()
    lied.liar.lies.clear()
    await lied.write()


async def test_a_note_of_a_kind_that_is_released_goes_to_nobody_without_its_release(
    lied: Lied,
) -> None:
    async with lied.council.client("F") as f:
        key = f.device.key
        drafted = await f.send(letter(clear=()))
    async with lied.council.client("R") as r:
        await r.inbox()
        await r.release(await r.read(drafted.reference))
    async with lied.council.client("M") as m:  # the honest run
        assert [each.reference for each in letters(await m.inbox())][-1] == "london-notes/1"
    # The drafter's device signs the note for the other side at once, and the node takes it.
    kept = await kept_back(lied, letter(clear=()))
    note = kept.payload
    own = note.addressees[0]
    stripped = make_statement(
        note.model_copy(
            update={
                "drafted": None,
                "addressees": (
                    *note.addressees,
                    own.model_copy(update={"post": DUTY, "role": AddresseeRole.ACTION}),
                ),
            }
        ),
        key,
    )
    await lied.file(stripped, facts=facts_of(stripped), content=b"x" * note.content.size)
    async with lied.council.client("M") as m:
        (bad,) = [item for item in await m.inbox() if isinstance(item, Unopened)]
        assert isinstance(bad.error, ChainBroken)
        assert "A note of kind note-verbale went to others without a release" in str(bad.error)


async def test_a_release_that_the_node_leaves_out_is_asked_for(lied: Lied) -> None:
    async with lied.council.client("F") as f:
        drafted = await f.send(letter(clear=()))
    async with lied.council.client("R") as r:
        await r.inbox()
        await r.release(await r.read(drafted.reference))
    async with lied.council.client("F") as f:
        shown = await f.transport.read(f"/v1/notes/{check_digest(drafted.digest)}")
    index = prove(str(shown["receipt"]), Pins(Home(lied.council.folder / "F")).node).index
    lied.liar.lies["/v1/inbox"] = lambda answer: {
        **answer,
        "items": [
            {**item, "receipt": shown["receipt"], "position": f"{index}.{index}"}
            if item["position"].endswith(f".{index}")
            else item
            for item in answer["items"]
        ],
    }
    async with seen_through(lied, LogUntrusted, "as what it isn't"), lied.client("M") as m:
        await m.inbox()
    async with seen_through(lied, LogUntrusted, "as what it isn't"), lied.client("M") as m:
        await m.read(drafted.reference)
    async with lied.council.client("M") as m:
        assert "london-notes/1" in [one.reference for one in letters(await m.inbox())]
        m.keeping.forget(["london-notes/1"])
    lied.liar.lies["/v1/notes/"] = lambda answer: {
        **answer,
        "state": {k: v for k, v in answer.get("state", {}).items() if k != "release"},
    }
    async with (
        seen_through(lied, ChainBroken, "shows no release of that draft"),
        lied.client("M") as m,
    ):
        await m.read("london-notes/1")
