"""Queueing by precedence. design.md, law 7: highest first, and low precedence is never starved.

Who waits, and for what, is admission's and the sequencer's business.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

OLDEST_EVERY: Final = 16

T = TypeVar("T")


@dataclass(eq=False)
class Place(Generic[T]):
    """Where an item waits."""

    item: T
    band: int
    has_left: bool = False


@dataclass
class Queue(Generic[T]):
    """Highest band first, then the oldest; one turn in sixteen is the oldest's of all."""

    waiting: int = 0
    by_band: Counter[int] = field(default_factory=Counter)
    """How many wait in each band."""
    _heap: list[tuple[int, int, Place[T]]] = field(default_factory=list)
    _oldest: deque[Place[T]] = field(default_factory=deque)
    _arrived: int = 0
    _given: int = 0

    def __len__(self) -> int:
        return self.waiting

    def put(self, item: T, band: int) -> Place[T]:
        """Let ``item`` wait; the higher its band, the shorter."""
        place = Place(item, band)
        self._arrived += 1
        self.waiting += 1
        self.by_band[band] += 1
        heapq.heappush(self._heap, (-band, self._arrived, place))
        self._oldest.append(place)
        return place

    def take(self) -> T:
        """Return whose turn it is; somebody must be waiting."""
        self._given += 1
        place = self._first_of_all() if self._given % OLDEST_EVERY == 0 else self._highest()
        self.leave(place)
        return place.item

    def leave(self, place: Place[T]) -> None:
        """Let an item wait no longer; it may have been taken already."""
        if place.has_left:
            return
        place.has_left = True
        self.waiting -= 1
        self.by_band[place.band] -= 1
        # Whoever left by the one side still stands on the other.
        if len(self._heap) > 2 * self.waiting + OLDEST_EVERY:
            self._heap = [entry for entry in self._heap if not entry[2].has_left]
            heapq.heapify(self._heap)
        if len(self._oldest) > 2 * self.waiting + OLDEST_EVERY:
            self._oldest = deque(place for place in self._oldest if not place.has_left)

    def _highest(self) -> Place[T]:
        while True:
            _, _, place = heapq.heappop(self._heap)
            if not place.has_left:
                return place

    def _first_of_all(self) -> Place[T]:
        while True:
            place = self._oldest.popleft()
            if not place.has_left:
                return place
