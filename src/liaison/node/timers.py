"""Timers: they sleep until the first due moment, and have the sequencer decide it. design.md, law 5 and 7.

What is due stands in the state; here is only when to look. Memory holds the moments of the next
hour, the store all of them. Nothing fires while the clock is suspect; what is overdue fires in
its order afterwards, and after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from liaison.node.deciding import Turn
from liaison.node.ports import Reader
from liaison.node.sequencer import Sequencer
from liaison.rules.cells import TIMED, Cell, CellKey, Log
from liaison.words.errors import Busy
from liaison.words.times import HOUR, SECOND

HORIZON: Final = HOUR
READ_MAX: Final = 100_000
MOMENTS_A_BATCH: Final = 32
LOOK_S: Final = 1.0
"""So often at least the clock is looked at: it may be set, and the machine may have slept."""

_NEVER: Final[Turn] = (2**63, ())

log = structlog.get_logger(__name__)


@dataclass
class Timers:
    """All moments up to ``_horizon`` are in memory: ``_dues`` by cell, ``_turns`` in their order."""

    reader: Reader
    sequencer: Sequencer
    read_max: int = READ_MAX
    _horizon: int = -1
    _dues: dict[CellKey, int] = field(default_factory=dict)
    _turns: list[Turn] = field(default_factory=list)
    _looked: int = -1
    """When it was last asked what is due; what was due by then and still is could not be fired."""
    _changed: set[CellKey] | None = None
    """Cells that changed while the store is being read."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _firing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.sequencer.follow(self._follow)

    async def run(self) -> None:
        """Fire what is due, for ever. Whatever escapes ends the process."""
        while True:
            self._wake.clear()
            try:
                if not self._firing.locked():
                    await self.fire_due()
            except Busy as exc:
                log.warning("timers-wait", error=exc.code, reason=exc.happened)
            # It times out where nothing happened meanwhile: then the clock is looked at again.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._sleep_s()):
                    await self._wake.wait()

    async def fire_due(self) -> int:
        """Have everything decided that is due by now; return how many moments took effect.

        Raises:
            Busy: what was not fired yet can't be now.
        """
        fired = 0
        async with self._firing:
            while True:
                now = self._looked = self.sequencer.clock.clock.now()
                if self.sequencer.suspicion() is not None:
                    break
                turns, until = self._next(now)
                if not turns:
                    if self._horizon >= now:
                        break
                    await self._read_ahead(now)
                    continue
                keys = [key for _, key in turns]
                count = await self.sequencer.fire(keys, until=until, most=MOMENTS_A_BATCH)
                fired += count
                if not count and self.sequencer.set_aside.isdisjoint(keys):
                    break
        if fired:
            log.info("fired", moments=fired)
        return fired

    def first_due(self) -> int | None:
        """Return when the first moment is due that is known here, fired or not."""
        first = self._first()
        return None if first is None else first[0]

    def _sleep_s(self) -> float:
        first = self._first()
        if first is None:
            return LOOK_S
        left_s = (first[0] - self.sequencer.clock.clock.now()) / SECOND
        if left_s <= 0 and (first[0] <= self._looked or self._firing.locked()):
            return LOOK_S  # it could not be fired just now
        # What came due since the last look is fired at once.
        return max(0.0, min(left_s, LOOK_S))

    # What is in memory

    def _next(self, now: int) -> tuple[list[Turn], Turn]:
        """Return the first turns that are due, and before which one their next ones must be."""
        due: list[Turn] = []
        while (turn := self._first()) and turn[0] <= now and len(due) < MOMENTS_A_BATCH:
            due.append(heapq.heappop(self._turns))
        # Behind the horizon others may come first, which aren't known here.
        until = min(self._first() or _NEVER, (self._horizon + 1, ()))
        for turn in due:  # they go once their cells have changed
            heapq.heappush(self._turns, turn)
        return due, until

    def _first(self) -> Turn | None:
        while self._turns:
            due, key = self._turns[0]
            if key in self.sequencer.set_aside:
                self._dues.pop(key, None)
            if self._dues.get(key) == due:
                return self._turns[0]
            heapq.heappop(self._turns)
        return None

    def _follow(self, changes: Mapping[CellKey, Cell]) -> None:
        """Take over what a committed batch changed."""
        first = self._first()
        for key, cell in changes.items():
            if key[0] in TIMED:
                if self._changed is not None:
                    self._changed.add(key)
                self._set(key, cell.due)
            elif key[0] == Log.name:
                self._wake.set()  # the clock was confirmed, or exercise time moved
        if self._first() != first:
            self._wake.set()

    def _set(self, key: CellKey, due: int | None) -> None:
        if due is None or due > self._horizon:
            self._dues.pop(key, None)
            return
        if self._dues.get(key) != due:
            self._dues[key] = due
            heapq.heappush(self._turns, (due, key))
        if len(self._turns) > 2 * len(self._dues) + 64:
            self._turns = [(due, key) for key, due in self._dues.items()]
            heapq.heapify(self._turns)

    async def _read_ahead(self, now: int) -> None:
        """Read the moments of the next hour, or as many of the first as fit."""
        before, self._horizon = self._horizon, now + HORIZON
        changed: set[CellKey] = set()
        self._changed = changed
        try:
            rows = await self.reader.due(until=self._horizon, limit=self.read_max)
        except BaseException:
            self._horizon = before
            raise
        finally:
            self._changed = None
        if len(rows) == self.read_max:
            # Of the last time there may be more. If all are of one time, the rest is read after them.
            first, last = rows[0][0], rows[-1][0]
            self._horizon = last - 1 if first < last else last
        for due, key in rows:
            if (
                key not in changed
            ):  # a commit that was told of meanwhile is newer than what was read
                self._set(key, due)
