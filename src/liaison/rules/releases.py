"""Rulings on releases: a draft becomes a note that others can read. protocols/statements.md, RELEASE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import AddresseeFacts, ReleaseFacts
from liaison.ledger.record import Record, Urgency
from liaison.rules import cells, contests, ladder, lives
from liaison.rules.cells import (
    AddresseeState,
    Cell,
    CellKey,
    Channel,
    Member,
    References,
    Register,
    View,
)
from liaison.rules.composing import asked_parties, standby, under_silence
from liaison.rules.kinds import forum
from liaison.rules.lives import Life, Step
from liaison.rules.notes import (
    informed_posts,
    last_opening,
    next_number,
    next_reference,
    numbered,
    serials_of,
    timed,
)
from liaison.rules.refusal import Refused
from liaison.rules.reliances import (
    check_reliances,
    edition_of,
    readers_of,
    reliance_needs,
    wrap_needs,
)
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.serials import spend
from liaison.rules.showing import (
    add_held,
    hold_on,
    precedence_for,
    replaced,
    showing_changes,
    showing_needs,
    superseding_needs,
)
from liaison.rules.speaking import (
    channel_of,
    name_of,
    speaker_needs,
    speaks_of,
    takes_part,
)
from liaison.statements.charters import NoteKind
from liaison.statements.payloads import AddresseeRole
from liaison.statements.procedures import Release, Released
from liaison.statements.statement import Statement
from liaison.words.ids import party_of
from liaison.words.times import SECOND


def _needs(statement: Statement[Release], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from speaker_needs(payload, payload.channel)
    yield References.key_of(payload.channel)
    yield cells.Note.key_of(payload.channel, payload.note)
    yield from reliance_needs(payload.channel, payload.key, payload.parties)
    for addressee in payload.addressees:
        yield from wrap_needs(addressee.post, addressee.wraps, peek)
    yield from _timed(statement, peek)
    yield from contests.remembering_needs(payload.channel, payload.key)
    note = peek(cells.Note, payload.channel, payload.note)
    if note is None:
        return
    channel = peek(Channel, payload.channel)
    kind = channel.kind(note.kind) if channel else None
    if kind is not None and kind.series is not None:
        yield Register.key_of(payload.channel, party_of(note.sender), kind.series)


def _timed(statement: Statement[Release], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    for addressee in payload.addressees:
        yield cells.PostHold.key_of(payload.channel, addressee.post)
    note = peek(cells.Note, payload.channel, payload.note)
    if note is not None:
        yield from showing_needs(note)
        yield from superseding_needs(payload.channel, note.supersedes, peek)


def _decide(view: View, statement: Statement[Release], at: int) -> Drafted | Refused:
    payload = statement.payload
    about = speaks_of(view, payload, payload.note)
    if isinstance(about, Refused):
        return about
    channel, note = about
    kind = channel.kind(note.kind)
    drafted = {a.post: a for a in note.addressees if a.life is Life.DRAFTED}
    refused = (
        _releasable(view, channel, kind, note, drafted, payload)
        or takes_part(channel, sorted({party_of(p) for p in (payload.by, *drafted)}))
        or _still_good(view, channel, kind, note, at)
        or check_reliances(
            view,
            channel,
            payload.parties,
            own=party_of(payload.by),
            posts=list(drafted),
            key=payload.key,
            issued=payload.issued,
            at=at,
        )
    )
    if refused is not None:
        return refused
    assert kind is not None  # _releasable
    refused = standby(view, channel, kind, note.precedence, drafted.values(), payload.parties)
    if refused is not None:
        return refused
    addressees = []
    for released in payload.addressees:
        facts = _addressee(view, channel, note, drafted[released.post], released, payload, at)
        if isinstance(facts, Refused):
            return facts
        addressees.append(facts)
    party = party_of(payload.by)
    return Drafted(
        ReleaseFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            channel=payload.channel,
            note=payload.note,
            index=note.index,
            reference=next_reference(view, payload.channel),
            sender=note.sender,
            device=payload.key,
            precedence=note.precedence,
            info_precedence=note.info_precedence,
            addressees=tuple(addressees),
            serials=serials_of(payload.parties),
            number=next_number(view, payload.channel, party, kind, at),
            informed=informed_posts(view, channel, kind, note.precedence, payload.parties),
            replaced=replaced(view, payload.channel, note.supersedes, note.amends),
        ),
        note=payload.note,
        urgency=Urgency(
            precedence=note.precedence,
            about=(note.index,),
            outcome="released",
            exercise=bool(note.exercise),
        ),
    )


def _releasable(
    view: View,
    channel: Channel,
    kind: NoteKind | None,
    note: cells.Note,
    drafted: dict[str, AddresseeState],
    payload: Release,
) -> Refused | None:
    """The draft is whole and cleared, and another person with the charter's role lets it go."""
    what = name_of(channel, note)
    if party_of(note.sender) != party_of(payload.by):
        return Refused("other-party", f"{what} is not a draft of {party_of(payload.by)}")
    if not note.draft or not drafted:
        return Refused("not-a-draft", f"{what} is no draft that waits for a release")
    if note.charter != channel.charter or kind is None or kind.release is None:
        return Refused("other-charter", f"{what} was drafted under another charter: draft it anew")
    member = view.get(Member, payload.by)
    assert member is not None  # speaks
    if kind.release not in member.roles:
        return Refused("role", f"a note of kind {kind.kind} is released by a {kind.release}")
    if note.sender == payload.by:
        return Refused("own-draft", f"{what} is released by another person than its drafter")
    for addressee in note.addressees:
        needs_clearance = addressee.role is AddresseeRole.ACTION and addressee.post not in drafted
        if needs_clearance and addressee.life is not Life.ACKNOWLEDGED:
            return Refused(
                "not-cleared", f"{what} is not cleared by {addressee.post}: {addressee.life}"
            )
    if {released.post for released in payload.addressees} != set(drafted):
        return Refused("reliances", "addressees: are exactly those that the draft names")
    return None


def _still_good(
    view: View, channel: Channel, kind: NoteKind | None, note: cells.Note, at: int
) -> Refused | None:
    """What the draft said of times and of other notes still holds when it is let go."""
    times = [note.expiry, note.latest_delivery, *(a.reply_by for a in note.addressees)]
    if any(time is not None and time <= at for time in times):
        return Refused("times", f"a time that {name_of(channel, note)} names has passed")
    if note.procedure is not None and kind is not None and kind.silence is not None:
        shortest = kind.silence.min_s
        if note.procedure.until - at < shortest * SECOND:
            return Refused(
                "silence-until", f"silence would last less than {shortest} s, the charter's least"
            )
        refused = forum.put_to_all(channel, party_of(note.sender), asked_parties(note.addressees))
        if refused is not None:
            return refused
    if note.supersedes is not None:
        old = view.get(cells.Note, note.channel, note.supersedes)
        assert old is not None  # it was there when the draft was accepted
        if old.superseded_by is not None:
            return Refused("superseded", f"{name_of(channel, old)} was superseded meanwhile")
    if note.amends is not None:
        return under_silence(view, channel, note.amends)
    return None


def _addressee(
    view: View,
    channel: Channel,
    note: cells.Note,
    drafted: AddresseeState,
    released: Released,
    payload: Release,
    at: int,
) -> AddresseeFacts | Refused:
    readers = readers_of(
        view,
        released.post,
        released.wraps,
        at=at,
        opened_by=last_opening(channel, note.expiry, at),
    )
    if isinstance(readers, Refused):
        return readers
    reliance = next(r for r in payload.parties if r.party == party_of(released.post))
    edition = edition_of(view, channel.channel, reliance)
    is_held = (
        drafted.role is not AddresseeRole.STANDBY
        and hold_on(view, channel.channel, released.post, precedence_for(note, drafted)) is not None
    )
    return AddresseeFacts(
        post=released.post,
        role=drafted.role,
        readers=readers,
        tier=edition.tier_of(released.post) if edition else None,
        held=True if is_held else None,
    )


def _evolve(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, ReleaseFacts)
    note = view.get(cells.Note, facts.channel, facts.note)
    channel = view.get(Channel, facts.channel)
    kind = channel.kind(note.kind) if channel and note else None
    assert note is not None
    assert channel is not None
    assert kind is not None
    yield References(channel=facts.channel, last=facts.reference)
    for spent in facts.serials:
        yield spend(view, facts.channel, facts.device, spent.party, spent.serial)
    yield from numbered(facts.channel, party_of(facts.sender), facts.number)
    released = {a.post: a for a in facts.addressees}
    states = []
    for addressee in note.addressees:
        said = released.get(addressee.post)
        if said is None:
            states.append(addressee)
            continue
        life = lives.step(addressee.role, addressee.life, Step.RELEASED)
        update = {"readers": said.readers, "tier": said.tier, "held": said.held}
        states.append(addressee.model_copy(update={**update, "life": life, "at": record.at}))
    note = note.model_copy(
        update={
            "addressees": tuple(states),
            "reference": facts.reference,
            "number": facts.number,
            "draft": None,
            "release": facts.statement,
        }
    )
    yield from contests.remember_reply(view, note, facts.device, record.at)
    times = [a.reply_by for a in note.addressees]
    note = timed(note, channel, kind, facts.informed, times, record.at)
    yield from showing_changes(view, note, record.at)
    yield from add_held(view, note, [a.post for a in note.addressees if a.held])
    yield ladder.show(note, record.at)


RULINGS: Final[dict[str, Ruling]] = {
    "release": Ruling(channel_of, _needs, _decide, _evolve, timed=_timed),
}
