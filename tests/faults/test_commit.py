"""Every write that fails, and every one that failed but was persisted. design.md 5, "Commit order"."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from liaison import main
from liaison.adapters.guard import FileGuard
from liaison.ledger.record import Record
from liaison.node.ports import Head
from liaison.node.sequencer import Fatal
from liaison.rules.cells import Cell, CellKey, View
from liaison.rules.decide import RULINGS
from liaison.rules.ruling import Ruling
from liaison.statements.payloads import NotePrecedence, Refusal
from liaison.statements.statement import parse_statement_of
from liaison.words.encoding import from_base64
from liaison.words.precedence import Precedence
from tests.faults.field import Field
from tests.faults.process import Process, SteadyClock
from tests.faults.writers import BrokenWriter
from tests.node.live import HandClock, LiveNode, Sent, live_node, settings_in
from tests.world import ANNA, DORA, MOD, MemoryWorld, signing

Opened = Callable[[], tuple[Path, MemoryWorld]]


@pytest.fixture
async def node(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveNode]:
    """A node in this process, over a writer that fails on demand."""
    monkeypatch.setattr(main, "SqlWriter", BrokenWriter)
    home, world = opened()
    with contextlib.suppress(Fatal):  # what ends the sequencer ends the node, by raising
        async with live_node(home, HandClock()) as live:
            live.world = world
            yield live


def writer_of(node: LiveNode) -> BrokenWriter:
    writer = node.running.services.sequencer.writer
    assert isinstance(writer, BrokenWriter)
    return writer


def notes(node: LiveNode, count: int) -> list[Sent]:
    """Return notes with the next serials; the world in memory doesn't take them yet."""
    first = node.world.next_serial(signing(f"{ANNA}/1"), MOD)
    return [node.note(serial=first + i) for i in range(count)]


async def inbox(node: LiveNode, member: str = DORA) -> list[dict[str, Any]]:
    _, page = await node.get("/v1/inbox", await node.token(member))
    items: list[dict[str, Any]] = page["items"]
    return items


async def test_a_failed_commit_changes_nothing_and_the_same_bytes_are_accepted_after(
    node: LiveNode,
) -> None:
    before = await node.get("/log/checkpoint")
    sent = notes(node, 3)
    writer_of(node).fails_before = True
    async with asyncio.timeout(20):
        first = await asyncio.gather(*(node.post(**note.parts) for note in sent))
    failed = [
        (note, said) for note, (status, said) in zip(sent, first, strict=True) if status == 503
    ]
    assert failed
    for _, problem in failed:
        assert problem["code"] == "commit-failed"
        assert problem["safe"] == "nothing of it happened"
        assert "refusal" not in problem
    if len(failed) == len(sent):
        assert await node.get("/log/checkpoint") == before
        assert await inbox(node) == []
    for note, _ in failed:
        status, text = await node.post(**note.parts)
        assert status == 201
        assert node.verified(text).record().statement == note.statement.raw
    assert len(await inbox(node)) == 3


async def test_a_failed_commit_says_when_to_come_again_and_shows_no_effect(node: LiveNode) -> None:
    before = await node.get("/log/checkpoint")
    (note,) = notes(node, 1)
    writer_of(node).fails_before = True
    form = aiohttp.FormData()
    for name, data in note.parts.items():
        form.add_field(name, data, content_type="application/octet-stream", filename=name)
    async with node.http.post(f"{node.running.url}/v1/statements", data=form) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert await node.get("/log/checkpoint") == before
    assert await inbox(node) == []
    assert (await node.get("/readyz"))[0] == 200
    assert (await node.post(**note.parts))[0] == 201
    assert len(await inbox(node)) == 1


async def test_a_commit_that_failed_but_was_persisted_gives_receipts_as_if_nothing_happened(
    node: LiveNode,
) -> None:
    writer_of(node).fails_after = True
    sent, proved = await node.send()
    assert proved.record().statement == sent.statement.raw
    assert not writer_of(node).fails_after
    status, text = await node.post(**sent.parts)
    assert status == 200
    assert node.verified(text).index == proved.index
    assert len(await inbox(node)) == 1
    _, after = await node.send()
    assert after.index == proved.index + 1


async def test_an_unreadable_head_ends_the_sequencer_and_answers_nobody_falsely(
    node: LiveNode,
) -> None:
    (note,) = notes(node, 1)
    writer = writer_of(node)
    writer.fails_after = True
    writer.is_unreadable = True
    sending = asyncio.create_task(node.post(**note.parts))
    with pytest.raises(Fatal, match="the store can't be read after a failed commit"):
        await asyncio.wait_for(asyncio.shield(node.running.ended), 10)
    # It may be in the log: to say that nothing happened would be false.
    status, problem = await asyncio.wait_for(sending, 10)
    assert (status, problem["code"]) == (500, "error")
    status, problem = await asyncio.wait_for(node.post(**note.parts), 10)
    assert (status, problem["code"]) == (503, "busy")


async def test_a_head_that_another_process_moved_ends_the_sequencer(
    node: LiveNode, tmp_path: Path
) -> None:
    sequencer = node.running.services.sequencer
    other = BrokenWriter(settings_in(tmp_path / "home").database)
    head = sequencer.published.head
    with other._connection.begin():
        other._head.write(other._connection, [(1, head.size + 1, b"\1" * 32, head.at + 1)])
    other.close()
    sending = asyncio.create_task(node.post(**notes(node, 1)[0].parts))
    with pytest.raises(Fatal, match="another process wrote to this log"):
        await asyncio.wait_for(asyncio.shield(node.running.ended), 10)
    assert (await asyncio.wait_for(sending, 10))[0] == 500


async def test_a_guard_that_could_not_be_synced_ends_the_sequencer_before_anything_is_signed(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, world = opened()
    with pytest.raises(OSError, match="no disk"):  # noqa: PT012 the node is the statement
        async with live_node(home, HandClock()) as node:
            node.world = world
            before = await node.get("/log/checkpoint")

            def advance(self: FileGuard, head: Head) -> None:
                self.close()
                raise OSError("no disk")

            monkeypatch.setattr(FileGuard, "advance", advance)
            (note,) = notes(node, 1)
            status, _ = await asyncio.wait_for(node.post(**note.parts), 10)
            assert status == 500
            assert await node.get("/log/checkpoint") == before
            assert await inbox(node) == []
    monkeypatch.undo()
    # It was committed; the node that takes the log up guards it, then signs it.
    async with live_node(home, HandClock()) as node:
        assert (await node.post(**note.parts))[0] == 200
        assert len(await inbox(node)) == 1


@pytest.mark.parametrize("broken", ["store", "guard"])
async def test_a_process_that_can_not_be_sure_of_its_log_exits(broken: str, opened: Opened) -> None:
    home, world = opened()
    field = Field(world, SteadyClock.start())
    field.stock(20)
    node = await Process.start(home, field.clock, "--break", broken)
    load = asyncio.create_task(field.load(node.url))
    code = await node.ended(20)
    assert code == 1
    await asyncio.wait_for(load, 5)
    assert field.held
    whole = await Process.start(home, field.clock)
    await field.settle(whole.url)
    await field.audit(home)
    await whole.kill()


# Poison: a statement on which the rules fail


class _Poisoned:
    """The ruling of notes, but a note of kind ``service`` makes one step of it raise."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.real = RULINGS["note"]

    def ruling(self) -> Ruling:
        def needs(statement: Any, peek: Any) -> Iterable[CellKey]:
            self._bite("needs", statement.payload.kind)
            return self.real.needs(statement, peek)

        def decide(view: View, statement: Any, at: int) -> Any:
            self._bite("decide", statement.payload.kind)
            return self.real.decide(view, statement, at)

        def evolve(view: View, record: Record, index: int) -> Iterable[Cell]:
            self._bite("evolve", getattr(record.facts, "kind", ""))
            return self.real.evolve(view, record, index)

        return dataclasses.replace(self.real, needs=needs, decide=decide, evolve=evolve)

    def _bite(self, step: str, kind: str) -> None:
        if self.step == step and kind == "service":
            raise ZeroDivisionError(step)


@pytest.mark.parametrize("step", ["needs", "decide", "evolve"])
async def test_poison_is_refused_and_the_others_of_its_batch_go_on(
    step: str, node: LiveNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RULINGS, "note", _Poisoned(step).ruling())
    first = node.world.next_serial(signing(f"{ANNA}/1"), MOD)
    routine = NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)
    poison = node.note(serial=first, kind="service", precedence=routine)
    others = [node.note(serial=first + 1 + i) for i in range(3)]
    async with asyncio.timeout(20):
        answers = await _in_one_batch(node, (*others, poison))
    assert [status for status, _ in answers] == [201, 201, 201, 409]
    problem = answers[-1][1]
    assert problem["code"] == "poison"
    refusal = parse_statement_of(Refusal, from_base64(problem["refusal"]))
    refusal.check_signature(signing("node").public)
    assert refusal.payload.payload_digest == poison.statement.payload_digest
    assert len({node.verified(text).checkpoint.size for _, text in answers[:-1]}) == 1
    # Its serial isn't spent, and once the rules are mended the same bytes enter.
    monkeypatch.undo()
    assert (await node.post(**poison.parts))[0] == 201


async def _in_one_batch(node: LiveNode, sent: Sequence[Sent]) -> list[tuple[int, Any]]:
    """Post while the writer is held by another statement, so that the next batch has them all."""
    writer = writer_of(node)
    writer.gate = threading.Event()
    sequencer = node.running.services.sequencer
    held = asyncio.create_task(node.accept(node.world.encryption_key(ANNA, "2")))
    while not writer.is_held:  # noqa: ASYNC110 another thread's doing
        await asyncio.sleep(0.005)
    posting = [asyncio.create_task(node.post(**note.parts)) for note in sent]
    while sequencer.waiting < len(sent):  # noqa: ASYNC110 it has no event
        await asyncio.sleep(0.005)
    writer.gate.set()
    await held
    return await asyncio.gather(*posting)
