"""Rulings on grants: more keys may open a note, at a post that has it anyway. protocols/statements.md, GRANT.

Whoever can open a note can hand its content on, and no rule can keep them from it. What a grant
adds is that it happens on record, within what the sender addressed, for keys of who holds the post.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import GrantFacts
from liaison.ledger.record import Record, Urgency
from liaison.rules import cells, ladder
from liaison.rules.cells import (
    AddresseeState,
    Cell,
    CellKey,
    Channel,
    EncryptionKey,
    Given,
    Granted,
    GrantState,
    Member,
    View,
)
from liaison.rules.chain import key_in_force
from liaison.rules.notes import last_opening
from liaison.rules.refusal import Refused
from liaison.rules.reliances import check_reliances, readers_of, reliance_needs, wrap_needs
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.showing import precedence_for
from liaison.rules.speaking import (
    channel_of,
    name_of,
    speaker_needs,
    speaks_of,
    takes_part,
)
from liaison.statements.payloads import MAX_WRAPS, AddresseeRole
from liaison.statements.procedures import Grant
from liaison.statements.statement import Statement
from liaison.words.ids import party_of

GRANTED_MAX: Final = MAX_WRAPS
"""To so many keys the members of one party grant a note: as many as a note itself is wrapped for."""


def _needs(statement: Statement[Grant], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from speaker_needs(payload, payload.channel)
    yield from _timed(statement, peek)
    yield Granted.key_of(payload.channel, payload.note, party_of(payload.by))
    yield from reliance_needs(payload.channel, payload.key, payload.parties)
    yield from wrap_needs(payload.post, payload.given, peek)


def _timed(statement: Statement[Grant], _: Peek) -> Iterable[CellKey]:
    yield cells.Note.key_of(statement.payload.channel, statement.payload.note)


def _decide(view: View, statement: Statement[Grant], at: int) -> Drafted | Refused:
    payload = statement.payload
    about = speaks_of(view, payload, payload.note)
    if isinstance(about, Refused):
        return about
    channel, note = about
    own, theirs = party_of(payload.by), party_of(payload.post)
    addressee = _addressee(note, payload.post)
    refused = (
        _granted_by(channel, note, payload)
        or _grantable(channel, note, addressee, payload.post)
        or takes_part(channel, sorted({own, theirs}))
        or check_reliances(
            view,
            channel,
            payload.parties,
            own=own,
            posts=(),
            beside=frozenset({theirs}),
            key=payload.key,
            issued=payload.issued,
            at=at,
        )
    )
    if refused is not None:
        return refused
    expiry = note.expiry if note.expiry is not None and note.expiry > at else None
    opened_by = last_opening(channel, expiry, at)
    if addressee is None:
        readers = _writers(view, note, payload, at=at, opened_by=opened_by)
    else:
        readers = readers_of(view, payload.post, payload.given, at=at, opened_by=opened_by)
    if isinstance(readers, Refused):
        return readers
    refused = _within_share(view, channel, note, payload)
    if refused is not None:
        return refused
    known = {note.sender, *(r for a in note.addressees for r in a.readers or ())}
    told = () if set(readers) <= known or payload.by == note.sender else (note.sender,)
    return Drafted(
        GrantFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            channel=payload.channel,
            note=payload.note,
            index=note.index,
            sender=note.sender,
            precedence=note.precedence,
            info_precedence=note.info_precedence,
            post=payload.post,
            role=AddresseeRole.COPY if addressee is None else addressee.role,
            reason=payload.reason,
            keys=tuple(wrap.key for wrap in payload.given),
            readers=readers,
            told=told,
        ),
        note=payload.note,
        urgency=Urgency(
            precedence=precedence_for(note, addressee) if addressee else note.precedence,
            about=(note.index,),
            outcome="granted",
            exercise=bool(note.exercise),
        ),
    )


def _addressee(note: cells.Note, post: str) -> AddresseeState | None:
    return next((a for a in note.addressees if a.post == post), None)


def _granted_by(channel: Channel, note: cells.Note, payload: Grant) -> Refused | None:
    """GRANT-3: the sender, or who reads the note where it can be read now."""
    what = name_of(channel, note)
    if note.post is None or any(a.readers is None for a in note.addressees):
        # Who reads it stands in no cell.
        return Refused("not-in-this-version", f"{what} was accepted under rules version 1")
    reads = (payload.by in (a.readers or ()) for a in note.addressees if ladder.is_visible(note, a))
    if payload.by != note.sender and not any(reads):
        return Refused("not-a-reader", f"{payload.by} can't read {what}, and grants it to nobody")
    return None


def _grantable(
    channel: Channel, note: cells.Note, addressee: AddresseeState | None, post: str
) -> Refused | None:
    """GRANT-4: the post has the note anyway."""
    what = name_of(channel, note)
    if addressee is None and post != note.post:
        return Refused("not-addressed", f"{what} is not addressed to {post}")
    if note.withdrawn:
        return Refused("not-now", f"{what} was taken back by its sender")
    if addressee is not None and not ladder.is_visible(note, addressee):
        return Refused("not-now", f"{what} is not shown to {post}: it is {addressee.life}")
    return None


def _within_share(view: View, channel: Channel, note: cells.Note, payload: Grant) -> Refused | None:
    """GRANT-8: it says something new, and its party's share of grants has room for that.

    Each party has its own: else one reader could use up what all others need for a handover.
    """
    party, what = party_of(payload.by), name_of(channel, note)
    granted = view.get(Granted, payload.channel, note.note, party)
    given = granted.given if granted else ()
    new = {wrap.key for wrap in payload.given} - _keys_of(given, payload.by, payload.post)
    if not new:
        return Refused("already-so", f"{payload.by} granted {what} to these keys already")
    if sum(len(each.keys) for each in given) + len(new) > GRANTED_MAX:
        return Refused("too-many-grants", f"{party} granted {what} to {GRANTED_MAX} keys already")
    return None


def _keys_of(given: Iterable[Given], by: str, post: str) -> set[str]:
    """Return to which keys a member granted a note at a post."""
    return {key for each in given if (each.by, each.post) == (by, post) for key in each.keys}


def _writers(
    view: View, note: cells.Note, payload: Grant, *, at: int, opened_by: int
) -> tuple[str, ...] | Refused:
    """GRANT-6: the copy is the sender's, whether they hold the post still or not."""
    for wrap in payload.given:
        key = view.get(EncryptionKey, wrap.key)
        if key is None:
            return Refused("unknown-key", "a wrap of the copy names a key statement not known here")
        if key.member != note.sender:
            return Refused("copy", "a copy is wrapped for the sender's own devices only")
        refused = key_in_force(key, view.get(Member, key.member), at=at, opened_by=opened_by)
        if refused is not None:
            return refused
    return (note.sender,)


def _evolve(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, GrantFacts)
    note = view.get(cells.Note, facts.channel, facts.note)
    assert note is not None
    states = tuple(
        a.model_copy(update={"readers": tuple(sorted({*(a.readers or ()), *facts.readers}))})
        if a.post == facts.post
        else a
        for a in note.addressees
    )
    grants = (*(note.grants or ()), GrantState(index=index, statement=facts.statement))
    yield note.model_copy(update={"addressees": states, "grants": grants})
    by, party = record.actor, party_of(record.actor)
    granted = view.get(Granted, facts.channel, facts.note, party)
    given = granted.given if granted else ()
    keys = _keys_of(given, by, facts.post) | set(facts.keys)
    others = [each for each in given if (each.by, each.post) != (by, facts.post)]
    mine = Given(by=by, post=facts.post, keys=tuple(sorted(keys)))
    yield Granted(
        channel=facts.channel,
        note=facts.note,
        party=party,
        given=tuple(sorted([*others, mine], key=lambda each: (each.by, each.post))),
    )


RULINGS: Final[dict[str, Ruling]] = {
    "grant": Ruling(channel_of, _needs, _decide, _evolve, timed=_timed),
}
