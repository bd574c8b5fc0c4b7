"""The client over a real node: send, receive, acknowledge; and what an attacker or a cut changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from liaison.client import Letter, Told, Unopened
from liaison.client.receipts import prove
from liaison.client.watching import Watch
from liaison.sealing import seal as sealing
from liaison.statements.payloads import Verdict
from liaison.words.errors import (
    LiaisonError,
    LogUntrusted,
    Malformed,
    NodeUnreachable,
    NotHere,
    NotReady,
    RefusedByNode,
    Unreadable,
)
from tests.client.hotline import (
    ALIAS,
    CANARY,
    DEPUTY,
    DUTY,
    LONDON,
    PASSPHRASE,
    draft,
    enrol,
    hotline,
)


@pytest.fixture
async def line(tmp_path):
    async with hotline(tmp_path) as line:
        yield line


def files_with(folder, text: str) -> list[str]:
    return [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and text.encode() in path.read_bytes()
    ]


async def test_a_note_crosses_is_read_and_is_acknowledged(line):
    async with line.client("F") as f:
        sent = await f.send(draft())
    assert sent.reference == f"{ALIAS}/1"
    async with line.client("M") as m:
        (letter,) = await m.inbox()
        assert isinstance(letter, Letter)
        assert (letter.reference, letter.content.body) == (sent.reference, CANARY)
        assert await m.inbox() == []
        assert (await m.state(letter))[0]["life"] == "delivered"
        told = await m.acknowledge(sent.reference)
        assert (told.verdict, told.post, told.first) == (Verdict.ACKNOWLEDGED, DUTY, None)
    async with line.client("F") as f:
        (heard,) = await f.inbox()
        assert isinstance(heard, Told)
        assert (heard.reference, heard.verdict, heard.by) == (
            sent.reference,
            Verdict.ACKNOWLEDGED,
            "duty.desk.1@mod.example",
        )
        assert (await f.read(sent.reference)).content.body == CANARY
    assert files_with(line.folder, CANARY) == []


async def test_reading_shows_the_note_again_and_never_acknowledges(line):
    async with line.client("F") as f:
        sent = await f.send(draft())
    async with line.client("M") as m:
        await m.inbox()
    async with line.client("M") as m:
        letter = await m.read(sent.reference)
        assert letter.content.body == CANARY
        assert (await m.state(letter))[0]["life"] == "delivered"
        with pytest.raises(NotHere, match=r"There is no london-hotline/2 for this member"):
            await m.read(f"{ALIAS}/2")


async def test_what_was_read_before_the_inbox_is_still_shown_and_said_to_be_delivered(line):
    async with line.client("F") as f:
        sent = await f.send(draft())
    async with line.client("M") as m:
        letter = await m.read(sent.reference)
        assert letter.content.body == CANARY
        assert (await m.state(letter))[0]["life"] == "queued"
        assert await m.inbox() == [letter]
        assert (await m.state(letter))[0]["life"] == "delivered"
        assert await m.inbox() == []


async def test_many_coroutines_send_at_once_and_no_serial_is_spent_twice(line):
    async with line.client("F") as f:
        sent = await asyncio.gather(*(f.send(draft(f"{CANARY} {n}")) for n in range(40)))
    assert sorted(s.reference for s in sent) == sorted(f"{ALIAS}/{n}" for n in range(1, 41))
    async with line.client("M") as m:
        letters = await m.inbox()
    assert {letter.content.body for letter in letters} == {f"{CANARY} {n}" for n in range(40)}


async def test_the_salamander_reader_gets_unreadable_and_the_sender_is_told(line, monkeypatch):
    def two_faced(content, context, recipients, *, wrapper):
        honest = sealing.seal(content, context, recipients, wrapper=wrapper)
        other = sealing._wraps(bytes(32), context, recipients, wrapper, honest.commitment)
        own = recipients[-1].statement
        return replace(honest, wraps={**other, own: honest.wraps[own]})

    monkeypatch.setattr("liaison.client.writing.seal", two_faced)
    async with line.client("F") as f:
        sent = await f.send(draft())
    monkeypatch.undo()
    async with line.client("M") as m:
        (item,) = await m.inbox()
        assert isinstance(item, Unopened)
        assert isinstance(item.error, Unreadable)
        assert item.error.reason == "commitment"
        assert await m.inbox() == []
        with pytest.raises(Unreadable):
            await m.read(sent.reference)
    async with line.client("F") as f:
        (told,) = await f.inbox()
        assert (told.verdict, told.reason) == (Verdict.UNREADABLE, "commitment")
    assert files_with(line.folder / "M", CANARY) == []


async def test_a_note_of_a_party_not_pinned_waits_for_the_pin(line):
    async with line.client("F") as f:
        await f.send(draft())
    async with line.client("M") as m:
        pin = m.pins.authorities.pop("fco.example")
        (item,) = await m.inbox()
        assert isinstance(item, Unopened)
        assert isinstance(item.error, NotReady)
        assert await m.inbox() == []
        m.pins.authorities["fco.example"] = pin
        (letter,) = await m.inbox()
        assert letter.content.body == CANARY


async def test_what_cannot_be_written_spends_nothing(line):
    async with line.client("F") as f:
        with pytest.raises(NotReady, match=r"is not on the roster of mod\.example"):
            await f.send(draft(to=DEPUTY))
        with pytest.raises(NotReady, match="it gets its copy by itself"):
            await f.send(replace(draft(), info=(LONDON,)))
        assert f.outbox.waiting == ()
        assert (await f.send(draft())).reference == f"{ALIAS}/1"


async def test_a_second_device_of_another_member_reads_after_the_posting(line):
    await enrol(line, "M2", "MA", DUTY, local="duty.desk.2")
    async with line.authority("MA") as ma:
        ma.sign_directory()
        await ma.post()
    from liaison.client import Pins

    pins = Pins(line.home("M2"))
    pins.pin_authority(Pins(line.home("M")).authorities["fco.example"])
    async with line.client("F") as f:
        await f.send(draft())
    for name in ("M", "M2"):
        async with line.client(name) as m:
            (letter,) = await m.inbox()
            assert letter.content.body == CANARY
    async with line.client("M") as m:
        await m.acknowledge(f"{ALIAS}/1")
    async with line.client("M2") as m:
        with pytest.raises(RefusedByNode, match=r"was acknowledged for duty\.desk"):
            await m.acknowledge(f"{ALIAS}/1")


# The log


async def test_a_receipt_with_any_bit_flipped_is_refused(line):
    async with line.client("F") as f:
        sent = await f.send(draft())
    data = sent.receipt.read_bytes()
    prove(data.decode(), line.card)
    for at in range(0, len(data), 1 if len(data) < 2000 else 3):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        with pytest.raises((Malformed, LogUntrusted, UnicodeDecodeError)):
            prove(flipped.decode(), line.card)


async def test_checkpoints_that_are_not_of_one_tree_stop_the_client(line):
    async with line.client("F") as f:
        await f.send(draft())
        await f.watch.settle()
        assert f.watch.pending == 0
        await f.send(draft())
        honest = f.watch._fetch

        async def tampered(path, most):
            data = bytearray(await honest(path, most))
            data[0] ^= 1
            return bytes(data)

        f.watch._fetch = tampered
        with pytest.raises(LogUntrusted, match="two trees that don't fit together"):
            await f.watch.settle()
        f.watch._fetch = honest
    async with line.client("F") as f:
        assert f.watch.pending == 0
        assert f.watch.seen.size > 0


@pytest.mark.parametrize("why", [NodeUnreachable, NotHere])
async def test_a_watch_that_cannot_reach_the_tiles_keeps_what_is_pending(line, why):
    async with line.client("F") as f:
        await f.send(draft())

        async def unreachable(path, most):
            raise why("cut")

        f.watch._fetch = unreachable
    assert isinstance(f.unsettled, NodeUnreachable)
    again = Watch(line.home("F"), line.card, unreachable)
    assert again.pending > 0
    async with line.client("F") as f:
        pass
    assert f.unsettled is None
    assert Watch(line.home("F"), line.card, unreachable).pending == 0


async def test_one_process_at_a_time_holds_a_home(line):
    async with line.client("F"):
        with pytest.raises(NotReady, match="Another liaison process"):
            line.client("F")
    async with line.client("F") as f:
        assert f.device.member == "attache.london.1@fco.example"
    with pytest.raises(LiaisonError):
        type(f).open(line.home("F"), PASSPHRASE + "!")


async def test_reading_puts_the_receipt_of_a_note_into_a_file(line):
    async with line.client("F") as f:
        sent = await f.send(draft())
    async with line.client("M") as m:
        (letter,) = await m.inbox()
        path = line.home("M").path(f"receipts/{sent.reference}.receipt")
        assert not path.exists()
        assert (await m.read(sent.reference)).receipt == letter.receipt
        assert path.read_text() == letter.receipt
        assert prove(path.read_text(), line.card).index == letter.index
