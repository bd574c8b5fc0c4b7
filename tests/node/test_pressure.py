"""ROUTINE keeps moving while IMMEDIATE presses: counted in batches, which the test lets go one by one."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from liaison import main
from liaison.adapters.sql.writer import SqlWriter
from liaison.node.pace import Pace
from liaison.node.ports import Batch
from liaison.statements.payloads import NotePrecedence
from liaison.words.precedence import Precedence
from tests.node.live import LiveNode, live_node
from tests.world import ANNA, DORA, FCO, MOD, signing

BATCH = 10
STEPS = 50
TAKEN_BY = 16
"""After so many batches at the latest each ROUTINE note has its receipt: one turn in 16 is the oldest's."""

OTHER = {ANNA: MOD, DORA: FCO}


class SteppedWriter(SqlWriter):
    """Commits as often as it is let, once ``steps`` is there."""

    steps: threading.Semaphore | None = None

    def commit(self, batch: Batch) -> None:
        if self.steps is not None:
            assert self.steps.acquire(timeout=20)
        super().commit(batch)


class Pressure:
    """Notes under way to a node that commits one batch at a time."""

    def __init__(self, node: LiveNode) -> None:
        self.node = node
        self.sequencer = node.running.services.sequencer
        self.admission = node.running.services.intake.admission
        self.tasks: set[asyncio.Task[None]] = set()
        self.failed: list[object] = []
        self.answered = 0
        self.posted = 0
        self.step = 0
        self.waited: dict[Precedence, list[int]] = {}
        self._serials = {by: self._serials_of(by) for by in OTHER}

    def _serials_of(self, by: str) -> Iterator[int]:
        return itertools.count(self.node.world.next_serial(signing(f"{by}/1"), OTHER[by]))

    def post(self, by: str, level: Precedence) -> None:
        task = asyncio.create_task(self._post(by, level, self.step))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self.posted += 1

    async def _post(self, by: str, level: Precedence, since: int) -> None:
        kind = "leader" if level is Precedence.IMMEDIATE else "service"
        said = NotePrecedence(action=level, info=Precedence.ROUTINE)
        note = self.node.note(by, kind=kind, serial=next(self._serials[by]), precedence=said)
        status, text = await self.node.post(**note.parts)
        if status != 201:
            self.failed.append(text)
        self.answered += 1
        self.waited.setdefault(level, []).append(self.step - since)

    async def next(self) -> None:
        """Let one batch be committed, once all that was posted is at the door or in the queue."""
        writer = self.sequencer.writer
        assert isinstance(writer, SteppedWriter)
        assert writer.steps is not None
        await self._until(lambda: self._inside() == self.posted - self.answered)
        size = self.sequencer.published.head.size
        self.step += 1
        writer.steps.release()
        await self._until(lambda: self.sequencer.published.head.size > size)
        await self._until(lambda: self._inside() == self.posted - self.answered)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                assert not self.failed, self.failed
                await asyncio.sleep(0.001)

    def _inside(self) -> int:
        """Return how many are at the door, in the queue or in the batch that is being committed."""
        waiting = self.sequencer.waiting + self.admission.waiting
        return waiting + len(self.sequencer._deciding)


@pytest.mark.parametrize("immediate", [8, 12])
async def test_routine_of_both_parties_gets_its_receipts_under_sustained_immediate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, immediate: int
) -> None:
    """At 80 % of what the node takes, and at 120 %."""
    monkeypatch.setattr(main, "SqlWriter", SteppedWriter)
    monkeypatch.setattr(Pace, "room", BATCH)
    lines = aiohttp.TCPConnector(limit=0)
    async with live_node(tmp_path) as node, aiohttp.ClientSession(connector=lines) as http:
        await node.open_channel()
        node.http = http
        writer = node.running.services.sequencer.writer
        assert isinstance(writer, SteppedWriter)
        writer.steps = threading.Semaphore(0)
        monkeypatch.setattr(node.running.services.intake.admission, "wait_s", 60)
        pressure = Pressure(node)
        try:
            for step in range(STEPS):
                for _ in range(immediate):
                    pressure.post(ANNA, Precedence.IMMEDIATE)
                pressure.post((ANNA, DORA)[step % 2], Precedence.ROUTINE)
                await pressure.next()
            moved = len(pressure.waited[Precedence.ROUTINE])
        finally:
            writer.steps.release(10_000)
        await asyncio.gather(*pressure.tasks)
        assert pressure.answered == pressure.posted
        if immediate < BATCH:
            assert moved >= STEPS - TAKEN_BY
            assert max(pressure.waited[Precedence.ROUTINE]) <= TAKEN_BY
        else:
            assert moved >= STEPS * BATCH // 16 // 4, "some of the oldest's turns"
