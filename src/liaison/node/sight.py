"""Who may see what of a note. protocols/api.md, API-15, API-16, API-25.

A node withholds by rule, not by cryptography: a standby copy lies here before its tier is opened.
So what the note's cell says now decides, not what the note said when it was accepted.
"""

from __future__ import annotations

from enum import IntEnum

from liaison.ledger.facts import DueFacts, MomentFacts, NoteFacts, RungFacts
from liaison.node.cellar import Cellar
from liaison.node.sessions import Reader
from liaison.rules import cells, ladder
from liaison.rules.cells import AddresseeState, Note
from liaison.statements.payloads import AddresseeRole, MemberRole
from liaison.words.ids import party_of


class Sight(IntEnum):
    """How much of a note somebody may have."""

    NOTHING = 0
    STATE = 1
    """Its statement and its state: what the node itself knows, and never content (law 4)."""
    CONTENT = 2
    """Also ciphertext and own wraps."""


def names_readers(note: Note) -> bool:
    """Return whether the cell alone says who reads the note; under rules version 1 it doesn't."""
    return all(addressee.readers is not None for addressee in note.addressees)


def may_open(note: Note, facts: NoteFacts | None, member: str) -> bool:
    """Return whether a member wrote a note, or reads it at an addressee to whom it is visible now.

    ``facts`` are the note's own, needed unless the cell ``names_readers``.
    """
    return member == note.sender or any(
        member in _readers(addressee, facts) and ladder.is_visible(note, addressee)
        for addressee in note.addressees
    )


def _readers(addressee: AddresseeState, facts: NoteFacts | None) -> tuple[str, ...]:
    if addressee.readers is not None or facts is None:
        return addressee.readers or ()
    return next((a.readers for a in facts.addressees if a.post == addressee.post), ())


async def sight_of(cellar: Cellar, reader: Reader, note: Note, facts: NoteFacts) -> Sight:
    """Return what a reader may have of a note now.

    Operators act on a note that they can't read: that it is there, whom it asks and how urgent it
    is they see, with the proof of it, once it is shown to a post of their party that is to act.
    """
    if reader.is_administrator:
        return Sight.STATE
    if not reader.is_member:
        return Sight.NOTHING
    if may_open(note, facts, reader.by):
        return Sight.CONTENT
    own = next(a.post for a in facts.addressees if a.role is AddresseeRole.COPY)
    post = await cellar.get(cells.Post, own)
    if post is not None and reader.by in post.holders:
        return Sight.STATE
    is_asked = not note.draft and any(
        ladder.is_visible(note, a) for a in ladder.acting(note, reader.party)
    )
    if is_asked and await is_operator(cellar, reader):
        return Sight.STATE
    return Sight.NOTHING


async def is_operator(cellar: Cellar, reader: Reader) -> bool:
    """Return whether it is a member who is an operator of their party now."""
    member = await cellar.get(cells.Member, reader.by) if reader.is_member else None
    return member is not None and MemberRole.OPERATOR in member.roles


def concerns(facts: DueFacts, note: Note, reader: Reader) -> bool:
    """Return whether a certificate about a note is for one who may see the note.

    The sender's party has them all; of another party, who is told or reached by it, or whose
    party's posts it is about.
    """
    if reader.is_administrator or reader.party == party_of(note.sender):
        return True
    if not isinstance(facts, MomentFacts):
        return False
    told = {*facts.informed, *(r for reached in facts.reached for r in reached.readers)}
    posts = {reached.post for reached in facts.reached}
    posts |= set(facts.open if isinstance(facts, RungFacts) else getattr(facts, "posts", ()))
    return reader.by in told or any(party_of(post) == reader.party for post in posts)
