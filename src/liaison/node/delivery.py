"""Delivery: inboxes by position. design.md 7, "Inbox". It follows the commit, never precedes it.

Whose items a record makes is ``rules.inbox``' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from liaison.node.ports import Reader
from liaison.rules.inbox import InboxRow


@dataclass
class Delivery:
    """Knows the newest position of members who asked, so that an idle inbox costs no query."""

    reader: Reader
    newest: dict[str, tuple[int, int]] = field(default_factory=dict)

    def publish(self, rows: Iterable[InboxRow]) -> None:
        """Tell who waits that their inbox has grown; only after the commit."""
        for row in rows:
            if row.member in self.newest:
                position = (row.pos, row.note_index)
                self.newest[row.member] = max(self.newest[row.member], position)

    async def page(self, member: str, *, after: tuple[int, int], limit: int) -> list[InboxRow]:
        """Return a member's items behind a position, ascending by (pos, note index)."""
        newest = self.newest.get(member)
        if newest is None:
            # Claimed before the query, so that a commit in between isn't missed.
            self.newest[member] = (-1, -1)
            stored = await self.reader.last_position(member) or (-1, -1)
            self.newest[member] = newest = max(self.newest[member], stored)
        if newest <= after:
            return []
        return await self.reader.inbox(member, after=after, limit=limit)
