"""The outbox: whatever is cut, and whichever way it goes, one note and one receipt come of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from liaison.client import Client, Home, Sent, Waiting
from liaison.client.answers import utf8
from liaison.client.receipts import ReceiptFiles
from liaison.client.seat import PAUSE_MAX_S, Patience
from liaison.client.transport import Transport
from liaison.statements.payloads import Note
from liaison.statements.statement import parse_statement_of
from liaison.words.errors import (
    Busy,
    LiaisonError,
    Malformed,
    NodeUnreachable,
    NotAllowed,
    NotHere,
    TooLarge,
)
from tests.client.hotline import ALIAS, CANARY, PASSPHRASE, Hotline, draft, hotline
from tests.faults.proxy import Fault, Passing, Proxy


@pytest.fixture
async def line(tmp_path):
    async with hotline(tmp_path) as line:
        yield line


@dataclass
class Cutter(Proxy):
    """Breaks the connection at the first statement, ``place`` bytes into it or into its answer."""

    fault: Fault = Fault.CUT
    place: Callable[[bytes], int] = len

    def __post_init__(self) -> None:
        faults = iter((self.fault,))

        def once(passing: Passing) -> Fault | None:
            return next(faults, None) if passing.type == "POST /v1/statements" else None

        self.plan = once

    def _part(self, data: bytes) -> bytes:
        return data[: self.place(data)]


def body_of(request: bytes) -> int:
    return request.index(b"\r\n\r\n") + 4


CUTS = {
    "before the request": (Fault.CUT, lambda _: 0),
    "before its body": (Fault.CUT, body_of),
    "within its body": (Fault.CUT, lambda r: (body_of(r) + len(r)) // 2),
    "after its body": (Fault.CUT, len),
    "before the answer": (Fault.LOST, lambda _: 0),
    "within the answer": (Fault.LOST, lambda a: len(a) // 2),
}


@pytest.mark.parametrize("cut", CUTS)
async def test_wherever_the_connection_is_cut_one_note_has_one_receipt(line, cut):
    fault, place = CUTS[cut]
    async with Cutter(line.url, fault=fault, place=place).serving() as cutter:
        async with opened(line, "F", cutter.url) as f:
            with pytest.raises(Waiting, match="Do not write it again"):
                await f.send(draft())
            assert cutter.did == {fault: 1}
            # It is durable before anything left: a process that is killed here has lost nothing.
            (waiting,) = f.outbox.waiting
            assert waiting.statement in (line.folder / "F" / "outbox").read_bytes()
        async with opened(line, "F", cutter.url) as f:
            (sent,) = await f.flush()
            assert isinstance(sent, Sent)
            assert f.outbox.waiting == ()
            assert f.outbox.free_serials() == []
    assert (sent.reference, sent.digest) == (f"{ALIAS}/1", waiting.digest)
    receipts = [path.name for path in (line.folder / "F" / "receipts").rglob("*.receipt")]
    assert receipts == ["1.receipt"]
    async with line.client("M") as m:
        (letter,) = await m.inbox()
        assert (letter.content.body, letter.digest) == (CANARY, waiting.digest)
    async with line.client("F") as f:
        assert (await f.send(draft("next"))).reference == f"{ALIAS}/2"


async def test_nothing_leaves_before_it_is_durable(line, monkeypatch):
    synced: list[bytes] = []
    sync = os.fdatasync

    def seen(descriptor: int) -> None:
        sync(descriptor)
        synced.append((line.folder / "F" / "outbox").read_bytes())

    async with line.client("F") as f:
        submit = f.transport.submit

        async def submitted(statement, ciphertext=None, wraps=b""):
            assert statement + ciphertext + wraps in synced[-1]
            return await submit(statement, ciphertext, wraps)

        monkeypatch.setattr(os, "fdatasync", seen)
        monkeypatch.setattr(f.transport, "submit", submitted)
        assert (await f.send(draft())).reference == f"{ALIAS}/1"


@dataclass
class Pauses:
    """Patience on time that passes at once: ``slept`` are the seconds."""

    slept: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def patience(self, *pauses_s: float) -> Patience:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        return Patience(pauses_s, sleep, lambda exc, _: self.told.append(exc.code))


@pytest.mark.parametrize("cut", CUTS)
async def test_who_is_patient_has_the_same_bytes_sent_again_at_once(line, cut):
    fault, place = CUTS[cut]
    pauses = Pauses()
    async with Cutter(line.url, fault=fault, place=place).serving() as cutter:
        async with opened(line, "F", cutter.url, pauses.patience(1)) as f:
            sent = await f.send(draft())
            assert f.outbox.waiting == ()
        assert cutter.did == {fault: 1}
    assert (pauses.slept, pauses.told) == ([1], ["node-unreachable"])
    async with line.client("M") as m:
        (letter,) = await m.inbox()
        assert letter.digest == sent.digest


@pytest.mark.parametrize(("asked_s", "slept"), [(1, [2, 5]), (3, [3, 5]), (999, [PAUSE_MAX_S] * 2)])
async def test_a_busy_node_is_given_the_time_that_it_asks_for(line, monkeypatch, asked_s, slept):
    pauses = Pauses()
    async with opened(line, "F", patience=pauses.patience(2, 5)) as f:

        async def busy(*_):
            raise Busy("too many at once", retry_after_s=asked_s)

        monkeypatch.setattr(f.transport, "submit", busy)
        with pytest.raises(Waiting, match="too many at once"):
            await f.send(draft())
    assert pauses.slept == slept


def opened(line: Hotline, name: str, url: str = "", patience: Patience | None = None) -> Client:
    return Client.open(
        line.home(name),
        PASSPHRASE,
        url=url or line.url,
        now=line.now,
        patience=patience or Patience(),
    )


def cut(client, *, is_after: bool) -> list[bytes]:
    """Cut the connection at the next submission; return the statements that were submitted."""
    submit, sent = client.transport.submit, []

    async def submitted(statement, ciphertext=None, wraps=b""):
        sent.append(statement)
        if len(sent) == 1:
            if is_after:
                await submit(statement, ciphertext, wraps)
            raise NodeUnreachable("cut")
        return await submit(statement, ciphertext, wraps)

    client.transport.submit = submitted
    return sent


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("is_reopened", [False, True])
async def test_a_cut_costs_one_more_sending_of_the_same_bytes(line, is_after, is_reopened):
    outcome: object = None
    async with line.client("F") as f:
        sent = cut(f, is_after=is_after)
        with pytest.raises(Waiting, match="Do not write it again"):
            await f.send(draft())
        if not is_reopened:
            (outcome,) = await f.flush()
            assert sent[0] == sent[1]
    if is_reopened:
        async with line.client("F") as f:
            again = cut(f, is_after=True)
            again.append(b"")
            (outcome,) = await f.flush()
            assert again[1:] == sent
    assert isinstance(outcome, Sent)
    assert outcome.reference == f"{ALIAS}/1"
    async with line.client("F") as f:
        assert f.outbox.waiting == ()
        assert (await f.read(f"{ALIAS}/1")).content.body == CANARY
        assert (await f.send(draft("next"))).reference == f"{ALIAS}/2"
    async with line.client("M") as m:
        assert [letter.content.body for letter in await m.inbox()] == [CANARY, "next"]


async def test_the_next_send_first_sends_what_waits(line):
    async with line.client("F") as f:
        cut(f, is_after=False)
        with pytest.raises(Waiting):
            await f.send(draft())
    async with line.client("F") as f:
        assert (await f.send(draft("next"))).reference == f"{ALIAS}/2"
        assert f.outbox.waiting == ()


async def test_what_fails_a_second_time_waits_on(line):
    async with line.client("F") as f:
        cut(f, is_after=False)
        with pytest.raises(Waiting):
            await f.send(draft())
        (waiting,) = f.outbox.waiting
    async with line.client("F") as f:
        again = cut(f, is_after=False)
        assert [type(outcome) for outcome in await f.flush()] == [Waiting]
        assert again == [waiting.statement]
        assert [one.statement for one in f.outbox.waiting] == [waiting.statement]
    async with line.client("F") as f:
        (sent,) = await f.flush()
        assert (sent.reference, sent.digest) == (f"{ALIAS}/1", waiting.digest)


async def test_a_busy_node_leaves_the_note_in_the_outbox(line):
    async with line.client("F") as f:

        async def busy(*_):
            raise Busy("too many at once")

        f.transport.submit = busy
        with pytest.raises(Waiting):
            await f.send(draft())
        assert len(f.outbox.waiting) == 1


@pytest.mark.parametrize(
    "error",
    [NotHere("nothing here"), NotAllowed("who are you"), Malformed("what is that"), TooLarge("no")],
)
async def test_what_is_no_node_leaves_the_note_in_the_outbox(line, monkeypatch, error):
    async with line.client("F") as f:

        async def answered(*_):
            raise error

        monkeypatch.setattr(f.transport, "submit", answered)
        with pytest.raises(Waiting, match=f"signed no refusal: {error.happened}"):
            await f.send(draft())
        assert len(f.outbox.waiting) == 1


@pytest.mark.parametrize(
    "answer", [Malformed("what?"), TooLarge("too long"), "no receipt", b"\xff"]
)
async def test_what_the_log_took_is_not_written_twice_whatever_came_back(line, monkeypatch, answer):
    async with line.client("F") as f:
        submit = Transport.submit

        async def spoilt(self, *statement):
            await submit(self, *statement)
            if isinstance(answer, LiaisonError):
                raise answer
            return utf8(answer) if isinstance(answer, bytes) else answer

        with monkeypatch.context() as patch:
            patch.setattr(Transport, "submit", spoilt)
            with pytest.raises(Waiting, match="Do not write it again"):
                await f.send(draft())
        assert len(f.outbox.waiting) == 1
        (accepted,) = await f.flush()
        assert accepted.reference == f"{ALIAS}/1"
        assert (await f.send(draft("second"))).reference == f"{ALIAS}/2"
    async with line.client("M") as m:
        assert len(await m.inbox()) == 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
async def test_what_is_accepted_stays_in_the_outbox_until_its_receipt_is_kept(
    line, monkeypatch, error
):
    async def no_room(*_):
        raise error

    async def send_without_room():
        async with line.client("F") as f:
            monkeypatch.setattr(ReceiptFiles, "flush", no_room)
            await f.send(draft())

    with pytest.raises((Waiting, KeyboardInterrupt)) as told:
        await send_without_room()
    monkeypatch.undo()
    with Home(line.folder / "F").locked():
        pass  # it was given back all the same
    if isinstance(error, OSError):
        assert str(told.value) == (
            "The log has it, in entry 18, but the receipt can't be kept here: No space left on device "
            "· it counts, and stands in the outbox too. Do not write it again · make room, then run: "
            "liaison outbox flush"
        )
    async with line.client("F") as f:
        assert len(f.outbox.waiting) == 1
        (accepted,) = await f.flush()
        assert accepted.receipt.read_text().startswith("c2sp.org/tlog-proof")
        assert f.outbox.waiting == ()
    async with line.client("M") as m:
        assert len(await m.inbox()) == 1


async def test_a_home_that_was_put_back_from_a_copy_learns_its_serials_from_the_log(line):
    shutil.copytree(line.folder / "F", line.folder / "F9")
    async with line.client("F") as f:
        for n in range(6):
            await f.send(draft(f"note {n}"))
    async with line.client("F9") as f:
        assert (await f.send(draft("from the copy"))).reference == f"{ALIAS}/7"
        assert (await f.send(draft("and another"))).reference == f"{ALIAS}/8"
    async with line.client("M") as m:
        assert len(await m.inbox()) == 8


async def test_a_serial_that_the_log_has_already_is_never_taken_again(line):
    """As after a restored backup, or a note dropped that the log took."""
    async with line.client("F") as f:
        await f.send(draft())
        f.outbox.give_back((await f.channel(ALIAS)).cell.channel, {"mod.example": 1})
        sent = cut(f, is_after=True)
        sent.append(b"")
        assert (await f.send(draft("second"))).reference == f"{ALIAS}/2"
        first, second = (parse_statement_of(Note, raw).payload for raw in sent[1:])
        assert [note.parties[1].serial for note in (first, second)] == [1, 2]
        assert f.outbox.free_serials()[0][1:] == ("mod.example", 1)
    async with line.client("F") as f:
        assert await f.flush() == []  # the void is refused: the log has that serial
        assert f.outbox.free_serials() == []
        assert (await f.send(draft("third"))).reference == f"{ALIAS}/3"


# Dropping


@pytest.mark.parametrize("is_after", [False, True])
async def test_what_is_dropped_is_sent_no_more_and_a_void_fills_its_serial(line, is_after):
    async with line.client("F") as f:
        cut(f, is_after=is_after)
        with pytest.raises(Waiting):
            await f.send(draft())
        (waiting,) = f.outbox.waiting
        await f.outbox.drop(waiting.digest)
        assert f.outbox.waiting == ()
    async with line.client("F") as f:
        assert f.outbox.has_doubtful
        sent = await f.send(draft("next"))
        assert f.outbox.free_serials() == []
        assert f.caught_up == []
    # If the log had it before, it counts.
    assert sent.reference == f"{ALIAS}/{2 if is_after else 1}"
    async with line.client("M") as m:
        bodies = [letter.content.body for letter in await m.inbox()]
    assert bodies == ([CANARY, "next"] if is_after else ["next"])


async def test_a_void_that_waits_is_no_note_that_waits(line):
    async with line.client("F") as f:
        cut(f, is_after=False)
        with pytest.raises(Waiting):
            await f.send(draft())
        await f.outbox.drop(f.outbox.waiting[0].digest)
    async with line.client("F") as f:
        cut(f, is_after=False)
        assert (await f.send(draft("next"))).reference == f"{ALIAS}/1"
        (outcome,) = f.caught_up
        assert isinstance(outcome, Waiting)
        assert [signed.kind for signed in f.outbox.waiting] == ["void"]


async def test_what_waited_and_went_along_with_another_command_is_not_kept_quiet(line):
    async with line.client("F") as f:
        cut(f, is_after=False)
        with pytest.raises(Waiting):
            await f.send(draft())
    async with line.client("F") as f:
        await f.send(draft("next"))
        (outcome,) = f.caught_up
        assert isinstance(outcome, Sent)
        assert outcome.reference == f"{ALIAS}/1"


# Refusals
