"""What a hostile node does with its log: forks it, keeps back, and takes what it had to refuse."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liaison.client import Client, Home, Pins, Sent, Unopened
from liaison.client.transport import Transport
from liaison.ledger.entry import commit_to
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import fields_of, record_from
from liaison.main import run_node
from liaison.settings import Settings
from liaison.statements.statement import make_statement
from liaison.tlog.note import SignerKey
from liaison.words.errors import ChainBroken, LiaisonError, LogUntrusted
from liaison.words.ids import new_note_id
from liaison.words.times import DAY
from tests.cli.screen import Screen
from tests.client.council import PASSPHRASE, letters, untrusted
from tests.client.liar import resigned
from tests.client.lied import (
    LONDON_1,
    MOD,
    Lied,
    facts_of,
    kept_back,
    lied_to,
    seen_through,
    under_another_name,
)


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        yield made


async def test_receipts_under_another_log_key_are_of_no_log(lied: Lied) -> None:
    honest = Pins(Home(lied.council.folder / "F")).node.verifier
    other = SignerKey(honest.name, b"\x55" * 32)
    lied.liar.lies[MOD] = lambda answer: {
        **answer,
        "directory": resigned(answer["directory"], honest, other),
    }
    async with seen_through(lied, LogUntrusted, "sign"):
        await lied.write()


@pytest.mark.parametrize("is_moved", [False, True])
async def test_a_record_that_no_tree_holds_is_believed_by_nobody(
    lied: Lied, is_moved: bool
) -> None:
    """Who has one signed checkpoint could else show any record under it, at any place."""
    await lied.write()
    async with lied.council.client("M") as m:
        shown: Any = await m.transport.read("/v1/inbox")
    first, second = (Receipt.from_text(item["receipt"]) for item in shown["items"])
    other = first if is_moved else changed(second)
    forged = replace(second, entry=other.entry, openings=other.openings)

    def forge(answer: Any) -> Any:
        *rest, last = answer["items"]
        return {**answer, "items": [*rest, {**last, "receipt": forged.to_text()}]}

    lied.liar.lies["/v1/inbox"] = forge
    async with seen_through(lied, LogUntrusted, "proof leads to root"), lied.client("M") as m:
        await m.inbox()
    lied.liar.lies.clear()
    async with lied.client("M") as m:
        assert [each.reference for each in letters(await m.inbox())] == [
            "london-hotline/1",
            "london-hotline/2",
        ]


async def test_a_receipt_that_no_tree_holds_is_taken_for_nothing_that_was_sent(lied: Lied) -> None:
    honest = Transport.submit

    async def forged(self: Transport, *sent: Any) -> str:
        return changed(Receipt.from_text(await honest(self, *sent))).to_text()

    with lied.monkeypatch.context() as patch:
        patch.setattr(Transport, "submit", forged)
        with pytest.raises(LogUntrusted, match="proof leads to root"):
            await lied.write()
    async with lied.client("F") as f:
        (waiting,) = f.outbox.waiting
        (sent,) = await f.flush()
        assert isinstance(sent, Sent)
        assert (sent.reference, sent.digest) == ("london-hotline/2", waiting.digest)


def changed(receipt: Receipt) -> Receipt:
    """Return a receipt whose record says another time; it is that of no tree."""
    record = record_from([opening.value for opening in receipt.openings])
    entry, openings = commit_to(fields_of(replace(record, at=record.at + 1)), bytes(32))
    return replace(receipt, entry=entry, openings=openings)


@pytest.mark.parametrize("entries", [2, 3, 5], ids=["as long", "longer", "much longer"])
async def test_a_log_that_was_forked_for_one_client_is_found_out_by_its_next_look(
    lied: Lied, entries: int
) -> None:
    world, folder = lied.council, lied.council.folder
    async with world.client("M") as m:
        assert letters(await m.inbox())
    shutil.copytree(folder / "N", folder / "N2", ignore=shutil.ignore_patterns("node.db*"))
    with (
        contextlib.closing(sqlite3.connect(folder / "N" / "node.db")) as one,
        contextlib.closing(sqlite3.connect(folder / "N2" / "node.db")) as other,
    ):
        one.backup(other)
    shutil.copytree(folder / "F", folder / "G")
    settings = Settings(home=folder / "N2", listen="127.0.0.1:0")
    async with run_node(settings, clock=world.clock) as fork:
        lied.liar.upstream = fork.url
        for _ in range(entries):
            await lied.write(by="G")
        lied.liar.upstream = world.running.url
        await lied.write()
        async with world.client("M") as m:
            assert len(letters(await m.inbox())) == 1
        lied.liar.upstream = fork.url
        given: list[object] = []
        with pytest.raises(LogUntrusted, match="signed two trees that don't fit together"):
            async with lied.client("M") as m:
                given += await m.inbox()
        # At the first receipt of a tree as long as one seen, else when the trees are compared.
        assert bool(given) == (entries > 2)


async def test_what_a_lost_key_signed_is_not_filed_as_of_before(
    lied: Lied, documented: Callable[[LiaisonError], None]
) -> None:
    kept = await kept_back(lied)
    async with lied.council.client("F") as f:
        device = f.device.key.id
    async with lied.council.authority("FA") as authority:
        authority.revoke_key(LONDON_1, device, lied.council.clock.now())
        authority.sign_directory()
        await authority.post()
    # Its place in the log is after the revocation, whatever time it says.
    await lied.file(kept, facts=facts_of(kept), content=b"x" * kept.payload.content.size)
    async with lied.council.client("M") as m:
        items = await m.inbox()
    (bad,) = [item for item in items if isinstance(item, Unopened)]
    assert isinstance(bad.error, ChainBroken)
    (path,) = (lied.council.folder / "M" / "evidence").iterdir()
    documented(bad.error)
    assert str(bad.error).endswith(f" · what the node said is kept: {path}")
    said = json.loads(path.read_text())
    assert (said["code"], said["happened"]) == ("chain-broken", bad.error.happened[len("STOP: ") :])
    assert len(letters(items)) == 1  # the honest one


async def test_at_a_broken_note_the_inbox_stops_aloud_and_loses_no_other(lied: Lied) -> None:
    world, patch = lied.council, lied.monkeypatch
    screen = Screen(world.folder, patch)
    (world.folder / "passphrase").write_text(PASSPHRASE)
    (world.folder / "passphrase").chmod(0o600)
    patch.setenv("LIAISON_PASSPHRASE_FILE", str(world.folder / "passphrase"))
    opened = Client.open
    patch.setattr(Client, "open", lambda *of, **how: opened(*of, **{**how, "now": world.clock.now}))

    async def typed(line: str) -> tuple[int, str]:
        return await asyncio.to_thread(screen.type, f"--home {world.folder}/M {line}")

    kept = (await kept_back(lied)).payload

    async def forged(number: int) -> None:
        note = kept.model_copy(update={"id": new_note_id(kept.issued, bytes([number]) * 10)})
        statement = make_statement(note, under_another_name(kept.key))
        await lied.file(statement, facts=facts_of(statement), content=b"x" * note.content.size)

    await forged(0)
    await lied.write()
    code, shown = await typed("inbox")
    *honest, last = shown.splitlines()
    assert code == 1
    shown_of = [line.partition(" ")[0] for line in honest]
    assert shown_of == ["london-hotline/1", "london-hotline/100"]  # also what came behind it
    assert re.fullmatch(
        r"STOP: london-hotline/99 was not opened: The signature of entry \d+ is not by the device "
        r"that it names · nothing of it is shown · keep the receipt and show it to the auditors · "
        r"what the node said is kept: M/evidence/\S+\.json \(signature-invalid\)",
        last,
    )
    assert await typed("inbox") == (0, "Nothing new.\n")
    for number in range(1, 11):  # who breaks notes by the dozen fills no disk
        await forged(number)
    code, shown = await typed("inbox --json")
    *problems, answer = [json.loads(line) for line in shown.splitlines()]
    assert (code, len(answer["items"]), len(problems)) == (1, 10, 10)
    assert {item["problem"]["code"] for item in answer["items"]} == {"signature-invalid"}
    assert problems[0]["detail"].startswith("STOP: london-hotline/99 was not opened")
    assert problems[-1]["do"].endswith("at the first 8 is kept in M/evidence")
    assert len(list((world.folder / "M" / "evidence").iterdir())) == 1 + 8


async def test_a_sleeper_is_not_believed_after_its_lapse(lied: Lied) -> None:
    kept = await kept_back(lied)
    lied.council.clock.advance(2 * DAY)
    await lied.file(kept, facts=facts_of(kept), content=b"x" * kept.payload.content.size)
    async with lied.council.client("M") as m:
        items = await m.inbox()
    assert "it could enter until" in untrusted(items)
    assert len(letters(items)) == 1  # the honest one


async def test_a_statement_for_another_log_is_not_believed_in_this_one(lied: Lied) -> None:
    kept = await kept_back(lied)
    async with lied.council.client("F") as f:
        signer = f.device.key
    elsewhere = make_statement(kept.payload.model_copy(update={"log": "other.example/log"}), signer)
    await lied.file(elsewhere, facts=facts_of(elsewhere), content=b"x" * kept.payload.content.size)
    async with lied.council.client("M") as m:
        items = await m.inbox()
    assert "was for the log other" in untrusted(items)
    assert len(letters(items)) == 1  # the honest one
