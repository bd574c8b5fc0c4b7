"""What a note does to others once it is shown, and what keeps it from being shown: holds.

A note is shown when it is accepted, or released, or its deferral ends. Only then does it answer,
supersede or amend another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import ShownFacts
from liaison.rules import ladder
from liaison.rules.cells import AddresseeState, Cell, CellKey, Note, PostHold, View
from liaison.rules.lives import PROCEDURE, Act, Life
from liaison.statements.payloads import AddresseeRole
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence

HELD_MAX: Final = 64
"""So many notes wait for one post at most; what comes then is shown."""


def precedence_for(note: Note, addressee: AddresseeState) -> Precedence:
    """Return the precedence with which a note reaches an addressee."""
    if addressee.role is AddresseeRole.INFO:
        return note.info_precedence
    return note.precedence


def showing_needs(note: Note) -> Iterable[CellKey]:
    """Give the cells that showing ``note`` may change."""
    for other in (note.in_reply_to, note.supersedes, note.amends):
        if other is not None:
            yield Note.key_of(note.channel, other)
    for addressee in note.addressees:
        yield PostHold.key_of(note.channel, addressee.post)


def showing_changes(view: View, note: Note, at: int) -> Iterable[Cell]:
    """Give the other notes that change because ``note`` is shown at ``at``."""
    changed: dict[str, Note] = {}
    answered: Note | None = None

    def known(digest: str) -> Note:
        found = changed.get(digest) or view.get(Note, note.channel, digest)
        assert found is not None
        return found

    if note.in_reply_to is not None and not note.service:
        answered = known(note.in_reply_to)
    # Only what the asking party gets is an answer to it.
    if answered is not None and any(
        party_of(a.post) == party_of(answered.sender) for a in note.addressees
    ):
        changed[answered.note] = ladder.replied(answered, party_of(note.sender), at)
    if note.supersedes is not None:
        old = act(known(note.supersedes), Act.WITHDRAWN)
        old = ladder.cancelled(old, at, by=note.sender)
        changed[old.note] = old.model_copy(update={"superseded_by": note.note})
    if note.amends is not None:
        changed[note.amends] = act(known(note.amends), Act.AMENDED)
    yield from changed.values()


def act(note: Note, taken: Act) -> Note:
    """Return a proposal after an act on it; what its stage doesn't list changes nothing."""
    if note.procedure is None:
        return note
    stage = PROCEDURE.get((note.procedure.stage, taken))
    if stage is None:
        return note
    return note.model_copy(update={"procedure": note.procedure.model_copy(update={"stage": stage})})


# Holds


def held_by(view: View, note: Note, addressee: AddresseeState) -> PostHold | None:
    """Return the hold for which a note waits at an addressee, or None."""
    return hold_on(view, note.channel, addressee.post, precedence_for(note, addressee))


def hold_on(view: View, channel: str, post: str, precedence: Precedence) -> PostHold | None:
    hold = view.get(PostHold, channel, post)
    if hold is None or hold.below is None or precedence.rank >= hold.below.rank:
        return None
    return hold if len(hold.waiting) < HELD_MAX else None


def add_held(view: View, note: Note, posts: Iterable[str]) -> Iterable[Cell]:
    """Give the holds after ``note`` waits for these posts."""
    for post in posts:
        hold = view.get(PostHold, note.channel, post)
        assert hold is not None
        yield hold.model_copy(update={"waiting": (*hold.waiting, note.note)})


def shown_to(view: View, hold: PostHold) -> tuple[ShownFacts, ...]:
    """Return what is shown when a hold ends: what still waits for its post."""
    found = []
    for digest in hold.waiting:
        note = view.get(Note, hold.channel, digest)
        assert note is not None
        addressee = next(a for a in note.addressees if a.post == hold.post)
        if addressee.held and addressee.life is Life.QUEUED:
            found.append(
                ShownFacts(
                    note=digest,
                    index=note.index,
                    precedence=precedence_for(note, addressee),
                    readers=addressee.readers or (),
                )
            )
    return tuple(found)
