"""Whose inbox a record is an item of. design.md 7, "Inbox".

Pure, so that an audit can tell which items a store must hold, and which it must not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from liaison.ledger.facts import AnswerFacts, Facts, NoteFacts
from liaison.statements.payloads import AddresseeRole, Verdict


@dataclass(frozen=True)
class InboxRow:
    """``pos`` is the index of the entry that made the item visible; ``kind`` what it is.

    ``note``: addressed to a post that the member held; ``copy``: the member wrote it; ``answer``:
    on a note that the member wrote.
    """

    member: str
    pos: int
    note_index: int
    kind: str
    precedence: str


def items_of(facts: Facts, index: int) -> list[InboxRow]:
    """Return the items that entry ``index`` makes, one a member and note."""
    if isinstance(facts, NoteFacts):
        return list(_of_note(facts, index))
    if isinstance(facts, AnswerFacts) and facts.verdict is not Verdict.DELIVERED:
        return [
            InboxRow(said.sender, index, said.index, "answer", said.precedence.value)
            for said in facts.notes
        ]
    return []


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
