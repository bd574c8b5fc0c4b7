"""Delivery: whose inbox a record is an item of. design.md 7, "Inbox". It follows the commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from liaison.ledger.facts import AnswerFacts, NoteFacts
from liaison.ledger.record import Record
from liaison.node.ports import InboxRow, Reader
from liaison.statements.payloads import AddresseeRole, Verdict


@dataclass
class Delivery:
    """Knows the newest position of members who asked, so that an idle inbox costs no query."""

    reader: Reader
    newest: dict[str, tuple[int, int]] = field(default_factory=dict)

    def rows(self, record: Record, index: int) -> list[InboxRow]:
        """Return the inbox items that entry ``index`` makes."""
        facts = record.facts
        if isinstance(facts, NoteFacts):
            return list(_of_note(facts, index))
        if isinstance(facts, AnswerFacts) and facts.verdict is not Verdict.DELIVERED:
            return [
                InboxRow(said.sender, index, said.index, "answer", said.precedence.value)
                for said in facts.notes
            ]
        return []

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


def _of_note(facts: NoteFacts, index: int) -> Iterable[InboxRow]:
    """One item a member, even if it holds several of the posts, or wrote to its own."""
    items: dict[str, InboxRow] = {}
    for addressee in facts.addressees:
        precedence = facts.precedence
        kind = "note"
        if addressee.role is AddresseeRole.COPY:
            kind = "copy"
        elif addressee.role is AddresseeRole.INFO:
            precedence = facts.info_precedence
        for reader in addressee.readers:
            known = items.get(reader)
            if known is None or known.kind == "copy":
                items[reader] = InboxRow(reader, index, index, kind, precedence.value)
    return items.values()
