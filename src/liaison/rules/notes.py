"""Rulings on notes: what is written. protocols/statements.md, NOTE.

What a note may say is ``composing``'s. What is said of notes later is in ``answers``, ``releases``,
``procedures``, ``watches`` and ``holds``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import AddresseeFacts, NoteFacts, RegisterFacts, SerialFacts
from liaison.ledger.record import Record, Urgency
from liaison.rules import cells, contests, ladder, lives, rhythm
from liaison.rules.cells import (
    AddresseeState,
    Cell,
    CellKey,
    Channel,
    LineTest,
    Member,
    NoteClaim,
    Procedure,
    References,
    Register,
    View,
)
from liaison.rules.composing import (
    asked_parties,
    claimed,
    copy_of,
    first_version,
    labelled,
    of_kind,
    replies,
    second_version,
    well_formed,
)
from liaison.rules.kinds import load_rule
from liaison.rules.lives import Life, Stage
from liaison.rules.refusal import Refused
from liaison.rules.reliances import (
    check_reliances,
    edition_of,
    newest_roster,
    readers_of,
    reliance_needs,
    wrap_needs,
    writes_for,
)
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.serials import spend
from liaison.rules.showing import (
    add_held,
    hold_on,
    replaced,
    showing_changes,
    superseding_needs,
)
from liaison.rules.speaking import (
    channel_of,
    speaker_needs,
    speaks,
    version_of,
)
from liaison.statements.charters import Effect, NoteKind, Standing
from liaison.statements.payloads import (
    Addressed,
    AddresseeRole,
    Note,
    Reliance,
)
from liaison.statements.statement import Statement
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND, year_of


def _needs(statement: Statement[Note], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from speaker_needs(payload, payload.channel)
    yield References.key_of(payload.channel)
    yield LineTest.key_of(payload.channel)
    yield NoteClaim.key_of(payload.channel, payload.key, payload.id)
    if payload.in_reply_to is not None:
        yield from contests.remembering_needs(payload.channel, payload.key)
    for digest in _named(payload):
        yield cells.Note.key_of(payload.channel, digest)
    yield from superseding_needs(payload.channel, payload.supersedes, peek)
    yield from reliance_needs(payload.channel, payload.key, payload.parties)
    for addressee in payload.addressees:
        yield from wrap_needs(addressee.post, addressee.wraps, peek)
        yield cells.PostHold.key_of(payload.channel, addressee.post)
    channel = peek(Channel, payload.channel)
    kind = channel.kind(payload.kind) if channel else None
    if kind is not None and kind.series is not None:
        yield Register.key_of(payload.channel, party_of(payload.by), kind.series)


def _named(payload: Note) -> tuple[str, ...]:
    """Return the other notes that a note names."""
    named = (payload.in_reply_to, payload.supersedes, payload.corrects, payload.amends)
    return tuple(digest for digest in named if digest is not None)


def _timed(statement: Statement[Note], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield LineTest.key_of(payload.channel)
    for digest in _named(payload):
        yield cells.Note.key_of(payload.channel, digest)
    yield from superseding_needs(payload.channel, payload.supersedes, peek)
    for addressee in payload.addressees:
        yield cells.PostHold.key_of(payload.channel, addressee.post)


def _decide(view: View, statement: Statement[Note], at: int) -> Drafted | Refused:
    payload = statement.payload
    channel = view.get(Channel, payload.channel)
    refused = speaks(view, payload, channel)
    if refused is not None:
        return refused
    assert channel is not None
    if payload.charter != channel.charter:
        return Refused("other-charter", f"{channel.alias} has another charter than the note names")
    sender = view.get(Member, payload.by)
    kind = channel.kind(payload.kind)
    assert sender is not None  # speaks
    is_second = version_of(view) >= 2
    posts = [a.post for a in payload.addressees if a.role is not AddresseeRole.COPY]
    refused = (
        (claimed(view, payload) if is_second else first_version(payload))
        or of_kind(channel, kind, payload, sender)
        or well_formed(channel, payload)
        or replies(view, channel, payload)
        or labelled(channel, payload)
        or check_reliances(
            view,
            channel,
            payload.parties,
            own=party_of(payload.by),
            posts=posts,
            key=payload.key,
            issued=payload.issued,
            at=at,
        )
        or writes_for(view, payload.channel, copy_of(payload).post, payload.by)
    )
    if refused is not None:
        return refused
    assert kind is not None  # of_kind
    if is_second:
        refused = second_version(view, channel, kind, payload, at)
        if refused is not None:
            return refused
    for use in channel.rules:
        rule = load_rule(use)
        refused = rule if isinstance(rule, Refused) else rule.of_note(channel, payload, sender)
        if refused is not None:
            return refused
    addressees = _addressees(view, channel, payload, at, is_second=is_second)
    if isinstance(addressees, Refused):
        return addressees
    return Drafted(
        _facts(view, channel, kind, statement, addressees, at, is_second=is_second),
        note=statement.digest,
        urgency=Urgency(precedence=payload.precedence.action, exercise=payload.exercise),
    )


def _facts(
    view: View,
    channel: Channel,
    kind: NoteKind,
    statement: Statement[Note],
    addressees: tuple[AddresseeFacts, ...],
    at: int,
    *,
    is_second: bool,
) -> NoteFacts:
    payload = statement.payload
    is_draft = payload.drafted is not None
    facts = NoteFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        channel=payload.channel,
        reference=None if is_draft else next_reference(view, payload.channel),
        sender=payload.by,
        device=payload.key,
        kind=payload.kind,
        precedence=payload.precedence.action,
        info_precedence=payload.precedence.info,
        addressees=addressees,
        serials=serials_of(payload.parties),
        exercise=payload.exercise,
    )
    if not is_second:
        return facts
    return facts.model_copy(
        update={
            "id": payload.id,
            "draft": True if is_draft else None,
            "in_reply_to": payload.in_reply_to,
            "supersedes": payload.supersedes,
            "corrects": payload.corrects,
            "amends": payload.amends,
            "reply_by": payload.reply_by,
            "expiry": payload.expiry,
            "latest_delivery": payload.latest_delivery,
            "deferred_until": payload.deferred_until,
            "silence_until": payload.silence_until,
            "number": None
            if is_draft
            else next_number(view, payload.channel, party_of(payload.by), kind, at),
            "informed": None
            if is_draft
            else informed_posts(view, channel, kind, payload.precedence.action, payload.parties),
            "replaced": None
            if is_draft
            else replaced(view, payload.channel, payload.supersedes, payload.amends),
        }
    )


def next_reference(view: View, channel: str) -> int:
    last = view.get(References, channel)
    return last.last + 1 if last else 1


def next_number(
    view: View, channel: str, party: str, kind: NoteKind, at: int
) -> RegisterFacts | None:
    """Return the next number of the issuer's register, or None where the kind is not numbered."""
    if kind.series is None:
        return None
    year = year_of(at)
    known = view.get(Register, channel, party, kind.series)
    number = known.last + 1 if known is not None and known.year == year else 1
    return RegisterFacts(series=kind.series, year=year, number=number)


def serials_of(reliances: Iterable[Reliance]) -> tuple[SerialFacts, ...]:
    return tuple(
        SerialFacts(party=r.party, serial=r.serial) for r in reliances if r.serial is not None
    )


def informed_posts(
    view: View,
    channel: Channel,
    kind: NoteKind,
    precedence: Precedence,
    reliances: Iterable[Reliance],
) -> tuple[str, ...] | None:
    """Return the posts of the tiers that a rung of the note's ladder tells, on all sides."""
    climbed = channel.ladder(kind, precedence)
    rungs = climbed.rungs if climbed else ()
    tiers = {rung.tier for rung in rungs if rung.effect is Effect.TELL and rung.tier}
    posts: set[str] = set()
    for reliance in reliances:
        edition = edition_of(view, channel.channel, reliance) or newest_roster(
            view, channel.channel, reliance.party
        )
        for tier in edition.tiers if edition else ():
            posts |= set(tier.posts) if tier.name in tiers else set()
    return tuple(sorted(posts)) or None


def _addressees(
    view: View, channel: Channel, payload: Note, at: int, *, is_second: bool
) -> tuple[AddresseeFacts, ...] | Refused:
    opened_by = last_opening(channel, payload.expiry, payload.deferred_until or at)
    found: list[AddresseeFacts] = []
    for addressee in payload.addressees:
        only = payload.by if addressee.role is AddresseeRole.COPY else ""
        readers = readers_of(
            view, addressee.post, addressee.wraps, at=at, opened_by=opened_by, only=only
        )
        if isinstance(readers, Refused):
            return readers
        facts = AddresseeFacts(post=addressee.post, role=addressee.role, readers=readers)
        if is_second and addressee.role is not AddresseeRole.COPY:
            reliance = next(r for r in payload.parties if r.party == party_of(addressee.post))
            is_shown = payload.deferred_until is None and payload.drafted is None
            precedence = payload.precedence.action
            if addressee.role is AddresseeRole.INFO:
                precedence = payload.precedence.info
            facts = placed(
                view,
                channel,
                facts,
                addressee,
                reliance,
                held_at=precedence if is_shown else None,
            )
        found.append(facts)
    for drafted in payload.drafted or ():
        found.append(
            AddresseeFacts(
                post=drafted.post,
                role=drafted.role,
                readers=(),
                alternate_for=drafted.alternate_for,
                no_redirect=drafted.no_redirect,
                reply_by=drafted.reply_by,
            )
        )
    return tuple(found)


def last_opening(channel: Channel, expiry: int | None, shown_at: int) -> int:
    """Return until when a key must be kept that a note is wrapped for (design.md 4)."""
    return expiry or shown_at + channel.terms.open_within_s * SECOND


def placed(
    view: View,
    channel: Channel,
    facts: AddresseeFacts,
    said: Addressed,
    reliance: Reliance,
    *,
    held_at: Precedence | None,
) -> AddresseeFacts:
    """Return an addressee's facts with its tier, what was asked for it, and whether it waits.

    ``held_at`` is the precedence with which it is shown now, None where it isn't shown yet.
    """
    edition = edition_of(view, channel.channel, reliance)
    is_held = (
        held_at is not None
        and facts.role is not AddresseeRole.STANDBY
        and hold_on(view, channel.channel, facts.post, held_at) is not None
    )
    return facts.model_copy(
        update={
            "tier": edition.tier_of(facts.post) if edition else None,
            "held": True if is_held else None,
            "alternate_for": said.alternate_for,
            "no_redirect": said.no_redirect,
            "reply_by": said.reply_by,
        }
    )


def _evolve(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, NoteFacts)
    note = cells.Note(
        channel=facts.channel,
        note=facts.statement,
        index=index,
        at=record.at,
        reference=facts.reference or 0,
        sender=facts.sender,
        kind=facts.kind,
        precedence=facts.precedence,
        info_precedence=facts.info_precedence,
        addressees=tuple(
            AddresseeState(post=a.post, role=a.role, life=lives.FIRST[a.role], at=record.at)
            for a in facts.addressees
            if a.role is not AddresseeRole.COPY
        ),
    )
    if facts.reference is not None:
        yield References(channel=facts.channel, last=facts.reference)
    for spent in facts.serials:
        yield spend(view, facts.channel, facts.device, spent.party, spent.serial)
    if version_of(view) < 2:
        yield note
        return
    if facts.id is not None:
        yield NoteClaim(channel=facts.channel, device=facts.device, id=facts.id, note=note.note)
    note = _timed_note(view, note, facts)
    yield from contests.remember_reply(view, note, facts.device, record.at)
    yield from numbered(facts.channel, party_of(facts.sender), facts.number)
    line = view.get(LineTest, facts.channel)
    if line is not None:
        yield from _tested(view, line, facts, record.at)
    if facts.draft or facts.deferred_until is not None:
        yield note
        return
    yield from showing_changes(view, note, record.at)
    yield from add_held(view, note, [a.post for a in note.addressees if a.held])
    yield ladder.show(note, record.at)


def _timed_note(view: View, note: cells.Note, facts: NoteFacts) -> cells.Note:
    """Return the note with its timers and, since they may change, the rules that they run by."""
    channel = view.get(Channel, facts.channel)
    kind = channel.kind(facts.kind) if channel else None
    assert channel is not None
    assert kind is not None
    procedure = None
    if facts.silence_until is not None:
        procedure = Procedure(stage=Stage.PROPOSED, until=facts.silence_until)
    copy = next(a for a in facts.addressees if a.role is AddresseeRole.COPY)
    note = note.model_copy(
        update={
            "addressees": tuple(
                state_of(a, facts, note.at, is_draft=bool(facts.draft))
                for a in facts.addressees
                if a.role is not AddresseeRole.COPY
            ),
            "post": copy.post,
            "charter": channel.charter,
            "draft": facts.draft,
            "exercise": True if facts.exercise else None,
            "service": kind.service,
            "expiry": facts.expiry,
            "latest_delivery": facts.latest_delivery,
            "deferred_until": facts.deferred_until,
            "in_reply_to": facts.in_reply_to,
            "supersedes": facts.supersedes,
            "amends": facts.amends,
            "number": facts.number,
            "procedure": procedure,
        }
    )
    times = tuple(
        a.reply_by or facts.reply_by for a in facts.addressees if a.role is AddresseeRole.ACTION
    )
    return timed(note, channel, kind, facts.informed, times, note.deferred_until or note.at)


def timed(
    note: cells.Note,
    channel: Channel,
    kind: NoteKind,
    informed: tuple[str, ...] | None,
    reply_by: Iterable[int | None],
    shown_at: int,
) -> cells.Note:
    """Return the note with a snapshot of the charter's ladder and times, as from ``shown_at`` on."""
    climbed = channel.ladder(kind, note.precedence)
    reminders = {
        time - span * SECOND for time in reply_by if time for span in kind.reminders_s or ()
    }
    return note.model_copy(
        update={
            "acknowledge": channel.terms.acknowledge,
            "answer_within_s": kind.answer_within_s,
            "rungs": climbed.rungs if climbed else None,
            "informed": informed,
            "reminders": tuple(sorted(at for at in reminders if at > shown_at)) or None,
        }
    )


def state_of(facts: AddresseeFacts, note: NoteFacts, at: int, *, is_draft: bool) -> AddresseeState:
    """Return an addressee's first state; in a draft those without readers wait for the release."""
    is_drafted = is_draft and not facts.readers
    is_asked = facts.role is AddresseeRole.ACTION and not (is_draft and facts.readers)
    return AddresseeState(
        post=facts.post,
        role=facts.role,
        life=Life.DRAFTED if is_drafted else lives.FIRST[facts.role],
        at=at,
        readers=facts.readers,
        tier=facts.tier,
        held=facts.held,
        alternate_for=facts.alternate_for,
        no_redirect=facts.no_redirect,
        reply_by=(facts.reply_by or note.reply_by) if is_asked else None,
    )


def numbered(channel: str, party: str, number: RegisterFacts | None) -> Iterable[Cell]:
    """Give the issuer's register after a number was given."""
    if number is not None:
        yield Register(
            channel=channel,
            party=party,
            series=number.series,
            year=number.year,
            last=number.number,
        )


def _crosses(channel: Channel, facts: NoteFacts) -> bool:
    """Whether each other party that takes part can read the note now, and keeps it."""
    times = (facts.latest_delivery, facts.expiry, facts.deferred_until)
    if facts.draft or any(time is not None for time in times):
        return False
    reached = {party_of(facts.sender), *asked_parties(facts.addressees)}
    return all(
        party in reached for party in channel.parties if channel.standing(party) is Standing.ACTIVE
    )


def _tested(view: View, line: LineTest, facts: NoteFacts, at: int) -> Iterable[Cell]:
    """Give the line after the test of its slot came; any other note changes nothing."""
    channel = view.get(Channel, facts.channel)
    assert channel is not None
    is_test = facts.kind == line.kind and party_of(facts.sender) == line.turn
    is_test = is_test and _crosses(channel, facts)
    if is_test and not line.stopped and at >= line.slot * line.every_us:
        yield rhythm.after_slot(channel, line, at)


RULINGS: Final[dict[str, Ruling]] = {
    "note": Ruling(channel_of, _needs, _decide, _evolve, timed=_timed),
}
