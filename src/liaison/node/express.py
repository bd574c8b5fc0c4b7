"""The express queue: in which order one device gets what waits for it. protocols/stream.md, STREAM-12 to 16.

Pure: rows and positions in, rows out. What waits is in the store; here stands the head of each
precedence only, so that an inbox of any length costs a stream the same few rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from liaison.rules.inbox import InboxRow
from liaison.words.precedence import Precedence

LANE_ROWS: Final = 32
"""So many rows of one precedence are known at most; the others wait in the store."""
OLDEST_EVERY: Final = 16
START: Final = (-1, -1)

Position = tuple[int, int]
"""(pos, note index), as the inbox has it."""


def position_of(row: InboxRow) -> Position:
    return row.pos, row.note_index


@dataclass
class _Lane:
    """What is known of one precedence, ascending by position; rows up to ``cut`` were known once."""

    cut: Position
    rows: deque[InboxRow] = field(default_factory=deque)
    is_complete: bool = False
    """The store has nothing behind ``cut``."""
    has_grown: bool = False
    """Something was published since the store was last asked, which its answer may not have."""


class Express:
    """One device's queue. Each precedence is given in the order of positions, the highest first.

    ``after`` and ``reached`` (by precedence) say up to where the device has everything, ``had``
    what it has behind that; ``window`` how many items may be under way at once.
    """

    def __init__(
        self,
        *,
        after: Position,
        reached: Mapping[Precedence, Position],
        had: Collection[Position],
        window: int,
    ) -> None:
        self._lanes = {
            level: _Lane(max(after, reached.get(level, START))) for level in reversed(Precedence)
        }
        self._had = set(had)
        self._window = window
        self._under_way: set[Position] = set()
        self._taken = 0

    @property
    def waiting(self) -> int:
        """How many items are known to wait, not counting those under way."""
        return sum(len(lane.rows) for lane in self._lanes.values())

    @property
    def has_more(self) -> bool:
        """Whether the store has more than the ``waiting`` ones, or may have."""
        return not all(lane.is_complete for lane in self._lanes.values())

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    @property
    def is_shut(self) -> bool:
        """Whether something waits only because as many as the window allows are under way."""
        return len(self._under_way) >= self._window and (self.waiting > 0 or self.has_more)

    def offer(self, rows: Iterable[InboxRow]) -> None:
        """Take what was published, ascending by position; what there is no room for stays in the store."""
        for row in rows:
            lane = self._lanes[Precedence(row.precedence)]
            if lane.is_complete and len(lane.rows) < LANE_ROWS:
                self._enter(lane, row)
            else:
                lane.is_complete = False
                lane.has_grown = True

    def wanted(self) -> tuple[Precedence, Position] | None:
        """Return of which precedence, and behind which position, the store must be asked now."""
        for level, lane in self._lanes.items():
            if not lane.rows and not lane.is_complete:
                lane.has_grown = False
                return level, lane.cut
        return None

    def refill(self, level: Precedence, rows: Sequence[InboxRow], *, is_last: bool) -> None:
        """Take what the store had for ``wanted``, ascending; ``is_last`` if it had no more."""
        lane = self._lanes[level]
        for row in rows:
            self._enter(lane, row)
        lane.is_complete = is_last and not lane.has_grown

    def take(self) -> InboxRow | None:
        """Return what goes next; None if nothing waits, or the window is shut.

        Only while nothing is ``wanted``: else what waits in the store would be passed over.
        """
        if len(self._under_way) >= self._window:
            return None
        full = [lane for lane in self._lanes.values() if lane.rows]
        if not full:
            return None
        self._taken += 1
        if self._taken % OLDEST_EVERY == 0:
            lane = min(full, key=lambda lane: position_of(lane.rows[0]))
        else:
            lane = full[0]
        row = lane.rows.popleft()
        self._under_way.add(position_of(row))
        return row

    def got(self, positions: Iterable[Position]) -> None:
        """Open the window by what the device stored. What isn't under way is no matter."""
        self._under_way.difference_update(positions)

    def _enter(self, lane: _Lane, row: InboxRow) -> None:
        position = position_of(row)
        lane.cut = position
        if position in self._had:
            self._had.discard(position)
        else:
            lane.rows.append(row)
