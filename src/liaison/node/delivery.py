"""Delivery: inboxes by position, and who is told that theirs grew. design.md 7, "Inbox".

It follows the commit and the signature, never precedes them. Whose items a record makes is
``rules.inbox``' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from liaison.node.ports import Reader
from liaison.rules.inbox import InboxRow
from liaison.words.precedence import Precedence

NOTHING: Final = (-1, -1)
"""Before the first position."""


class Listener(Protocol):
    """A device that is connected."""

    def offer(self, rows: Sequence[InboxRow]) -> None:
        """Take its member's new rows, ascending by position. Neither waits nor raises."""
        ...


@dataclass
class Delivery:
    """Knows the newest position of members who asked, so that an idle inbox costs no query."""

    reader: Reader
    newest: dict[str, tuple[int, int]] = field(default_factory=dict)
    _asking: dict[str, tuple[int, int]] = field(default_factory=dict)
    """As ``newest``, of members for whom the store is being asked."""
    _listeners: dict[str, list[Listener]] = field(default_factory=dict)

    def connect(self, member: str, listener: Listener) -> None:
        """Have ``listener`` told of the member's items from now on."""
        self._listeners.setdefault(member, []).append(listener)

    def disconnect(self, member: str, listener: Listener) -> None:
        left = [one for one in self._listeners.get(member, ()) if one is not listener]
        if left:
            self._listeners[member] = left
        else:
            self._listeners.pop(member, None)

    def publish(self, rows: Iterable[InboxRow]) -> None:
        """Tell who waits that their inbox has grown; only after commit and signature.

        It costs as much as the members have devices connected, whatever these do with it.
        """
        grown: dict[str, list[InboxRow]] = {}
        for row in rows:
            for known in (self.newest, self._asking):
                if row.member in known:
                    known[row.member] = max(known[row.member], (row.pos, row.note_index))
            if row.member in self._listeners:
                grown.setdefault(row.member, []).append(row)
        for member, theirs in grown.items():
            theirs.sort(key=lambda row: (row.pos, row.note_index))
            for listener in self._listeners[member]:
                listener.offer(theirs)

    async def page(self, member: str, *, after: tuple[int, int], limit: int) -> list[InboxRow]:
        """Return a member's items behind a position, ascending by (pos, note index)."""
        if await self.newest_of(member) <= after:
            return []
        return await self.reader.inbox(member, after=after, limit=limit)

    async def lane(
        self, member: str, level: Precedence, *, after: tuple[int, int], limit: int
    ) -> list[InboxRow]:
        """As ``page``, of one precedence only."""
        if await self.newest_of(member) <= after:
            return []
        return await self.reader.lane(member, level.value, after=after, limit=limit)

    async def newest_of(self, member: str) -> tuple[int, int]:
        """Return the position of a member's newest item, ``NOTHING`` if there is none."""
        newest = self.newest.get(member)
        if newest is None:
            # Marked before the query, so that a commit in between isn't missed. Not in ``newest``:
            # another device of the member, which asks meanwhile, would find an empty inbox there.
            self._asking.setdefault(member, NOTHING)
            stored = await self.reader.last_position(member) or NOTHING
            meanwhile = self._asking.pop(member, NOTHING)
            newest = max(stored, meanwhile, self.newest.get(member, NOTHING))
            self.newest[member] = newest
        return newest
