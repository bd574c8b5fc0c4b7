"""What a note does to others once it is shown, and what keeps it from being shown: holds.

A note is shown when it is accepted, or released, or its deferral ends. Only then does it answer,
supersede or amend another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import ReachedFacts, ReplacedFacts, ShownFacts
from liaison.rules import ladder
from liaison.rules.cells import AddresseeState, Cell, CellKey, Note, Post, PostHold, View
from liaison.rules.lives import PROCEDURE, Act, Life
from liaison.rules.ruling import Peek
from liaison.statements.payloads import AddresseeRole
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence

HELD_MAX: Final = 32
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


def superseding_needs(channel: str, supersedes: str | None, peek: Peek) -> Iterable[CellKey]:
    """Give what superseding a note may change besides it: what that one answered owes again."""
    old = peek(Note, channel, supersedes) if supersedes is not None else None
    if old is not None and old.in_reply_to is not None:
        yield Note.key_of(channel, old.in_reply_to)


def reached_at(view: View, addressees: Iterable[AddresseeState]) -> tuple[ReachedFacts, ...]:
    """Return who is reached at these posts: readers of the note that hold the post still."""
    found = []
    for addressee in addressees:
        post = view.get(Post, addressee.post)
        holders = post.holders if post else ()
        readers = tuple(r for r in addressee.readers or () if r in holders)
        found.append(ReachedFacts(post=addressee.post, readers=readers))
    return tuple(found)


def who_had(note: Note) -> tuple[str, ...]:
    """Return who had the note shown, and its sender."""
    shown = {r for a in note.addressees if ladder.is_visible(note, a) for r in a.readers or ()}
    return tuple(sorted({note.sender, *shown}))


def replaced(view: View, channel: str, *digests: str | None) -> tuple[ReplacedFacts, ...] | None:
    """Return the notes that a note which is shown supersedes or amends, and who is told of it."""
    found = []
    for digest in dict.fromkeys(digests):
        note = view.get(Note, channel, digest) if digest is not None else None
        if note is not None:
            found.append(
                ReplacedFacts(
                    note=note.note,
                    index=note.index,
                    precedence=note.precedence,
                    told=who_had(note),
                )
            )
    return tuple(found) or None


def answers(note: Note, answered: Note) -> bool:
    """Whether a note that is shown is an answer of its party to what it names in reply."""
    posts = (a.post for a in note.addressees)
    return not note.service and is_by_asked(answered, note.sender, note.post, posts)


def is_by_asked(answered: Note, sender: str, own: str | None, posts: Iterable[str]) -> bool:
    """Whether who asked gets what ``sender`` writes from the post ``own``, and had asked them.

    The asking party is among those of ``posts``, and it is by one who was asked: from a post that
    is to act, or by a member who can read the note there.
    """
    if all(party_of(post) != party_of(answered.sender) for post in posts):
        return False
    return any(
        a.post == own or sender in (a.readers or ())
        for a in ladder.acting(answered, party_of(sender))
    )


def is_unread(note: Note, asking: str) -> bool:
    """Whether nobody of the party ``asking`` was known to have a note."""
    unseen = (Life.DRAFTED, Life.WITHHELD, Life.QUEUED, Life.NON_DELIVERED, Life.LAPSED)
    return all(a.life in unseen for a in note.addressees if party_of(a.post) == asking)


def taken_back(answered: Note, note: Note, at: int) -> Note:
    """Return what ``note`` answered after ``note``, as it stood before, was taken back at ``at``."""
    if not is_unread(note, party_of(answered.sender)):
        return answered
    return ladder.unanswered(answered, note.note, at)


def showing_changes(view: View, note: Note, at: int) -> Iterable[Cell]:
    """Give the other notes that change because ``note`` is shown at ``at``."""
    changed: dict[str, Note] = {}

    def known(digest: str) -> Note:
        found = changed.get(digest) or view.get(Note, note.channel, digest)
        assert found is not None
        return found

    if note.in_reply_to is not None and answers(note, known(note.in_reply_to)):
        answered = known(note.in_reply_to)
        party = party_of(note.sender)
        changed[answered.note] = ladder.replied(answered, party, at, by=note.note)
    if note.supersedes is not None:
        old = known(note.supersedes)
        if old.in_reply_to is not None:
            changed[old.in_reply_to] = taken_back(known(old.in_reply_to), old, at)
            old = known(note.supersedes)
        old = ladder.cancelled(act(old, Act.WITHDRAWN), at, by=note.sender)
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
