"""Queueing by precedence, in turns. design.md, law 7: highest first, and nobody is starved.

Low precedence isn't, because one turn in sixteen is the oldest's of all. A party or a member isn't,
because within a precedence the parties take turns, and within a party its members; of one member
the first comes first. Who waits, and for what, is admission's and the sequencer's business.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

OLDEST_EVERY: Final = 16

T = TypeVar("T")


class Owner(NamedTuple):
    """Whose turn an item takes."""

    party: str = ""
    member: str = ""


NOBODY: Final = Owner()
"""Takes turns as if it were a party: the node itself, or strangers all together."""


@dataclass(eq=False)
class Place(Generic[T]):
    """Where an item waits."""

    item: T
    band: int
    owner: Owner
    number: int
    has_left: bool = False


_Line = OrderedDict[int, Place[T]]
_Lines = OrderedDict[str, _Line[T]]
_Band = OrderedDict[str, _Lines[T]]


@dataclass
class Queue(Generic[T]):
    """Highest band first; in it the parties in turn; one turn in sixteen is the oldest's of all."""

    by_band: Counter[int] = field(default_factory=Counter)
    by_party: Counter[str] = field(default_factory=Counter)
    by_owner: Counter[Owner] = field(default_factory=Counter)
    """How many wait, counted in three ways; whoever has none isn't kept."""
    _bands: dict[int, _Band[T]] = field(default_factory=dict)
    _oldest: OrderedDict[int, Place[T]] = field(default_factory=OrderedDict)
    _arrived: int = 0
    _given: int = 0

    def __len__(self) -> int:
        return len(self._oldest)

    @property
    def waiting(self) -> int:
        return len(self._oldest)

    def at_least(self, band: int) -> int:
        """Return how many wait in ``band`` and above."""
        return sum(count for known, count in self.by_band.items() if known >= band)

    def put(self, item: T, band: int, owner: Owner = NOBODY) -> Place[T]:
        """Let ``item`` wait; the higher its band, the shorter."""
        self._arrived += 1
        place = Place(item, band, owner, self._arrived)
        lines = self._bands.setdefault(band, OrderedDict()).setdefault(owner.party, OrderedDict())
        lines.setdefault(owner.member, OrderedDict())[place.number] = place
        self._oldest[place.number] = place
        self.by_band[band] += 1
        self.by_party[owner.party] += 1
        self.by_owner[owner] += 1
        return place

    def take(self) -> T:
        """Return whose turn it is; somebody must be waiting."""
        self._given += 1
        if self._given % OLDEST_EVERY == 0:
            place = next(iter(self._oldest.values()))
            self.leave(place)
            return place.item
        parties = self._bands[max(self._bands)]
        party, lines = next(iter(parties.items()))
        member, line = next(iter(lines.items()))
        place = next(iter(line.values()))
        # Before it leaves: who has nothing more that waits has no turn to come either.
        lines.move_to_end(member)
        parties.move_to_end(party)
        self.leave(place)
        return place.item

    def leave(self, place: Place[T]) -> None:
        """Let an item wait no longer; it may have been taken already."""
        if place.has_left:
            return
        place.has_left = True
        band, (party, member) = place.band, place.owner
        del self._oldest[place.number]
        parties = self._bands[band]
        lines = parties[party]
        del lines[member][place.number]
        if not lines[member]:
            del lines[member]
        if not lines:
            del parties[party]
        if not parties:
            del self._bands[band]
        _less(self.by_band, band)
        _less(self.by_party, party)
        _less(self.by_owner, place.owner)


K = TypeVar("K")


def _less(counts: Counter[K], key: K) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
