"""Rulings on what stops or prolongs: withdrawal, objection, extension.

protocols/statements.md, WITHDRAW, SILENCE.

Whether an objection came in time follows from its ``at`` alone: a silence that ended by then was
concluded before it, in a record of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from liaison.ledger.facts import AboutNote, ExtensionFacts, ObjectionFacts, WithdrawalFacts
from liaison.ledger.record import Record, Urgency
from liaison.rules import ladder
from liaison.rules.cells import Cell, CellKey, Channel, Member, Note, Post, View
from liaison.rules.chain import holds
from liaison.rules.kinds import forum
from liaison.rules.lives import Act, Life, Stage
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.showing import act, superseding_needs, taken_back, who_had
from liaison.rules.speaking import (
    channel_of,
    name_of,
    speaker_needs,
    speaks_of,
    takes_part,
)
from liaison.statements.payloads import MemberRole
from liaison.statements.procedures import Extension, InChannel, Objection, Withdrawal
from liaison.statements.statement import Statement
from liaison.words.ids import party_of
from liaison.words.times import SECOND, to_rfc3339

About = Withdrawal | Objection | Extension


def _needs(statement: Statement[Any], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from speaker_needs(payload, payload.channel)
    yield Note.key_of(payload.channel, payload.note)
    note = peek(Note, payload.channel, payload.note)
    if note is not None and note.post is not None:
        yield Post.key_of(note.post)
    yield from _timed(statement, peek)


def _timed(statement: Statement[Any], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield Note.key_of(payload.channel, payload.note)
    if isinstance(payload, Withdrawal):
        yield from superseding_needs(payload.channel, payload.note, peek)


def _about(statement: Statement[Any], note: Note) -> dict[str, Any]:
    return {
        "statement": statement.digest,
        "payload": statement.payload_digest,
        "channel": note.channel,
        "note": note.note,
        "index": note.index,
        "sender": note.sender,
        "precedence": note.precedence,
    }


def _drafted(note: Note, facts: AboutNote, outcome: str) -> Drafted:
    urgency = Urgency(
        precedence=note.precedence,
        about=(note.index,),
        outcome=outcome,
        exercise=bool(note.exercise),
    )
    return Drafted(facts, note=note.note, urgency=urgency)


# Withdrawal


def _decide_withdrawal(view: View, statement: Statement[Withdrawal], at: int) -> Drafted | Refused:
    payload = statement.payload
    known = speaks_of(view, payload, payload.note)
    if isinstance(known, Refused):
        return known
    channel, note = known
    what = name_of(channel, note)
    if payload.by != note.sender:
        post = view.get(Post, note.post) if note.post else None
        if post is None or holds(post, payload.by, who=note.post or "") is not None:
            return Refused("not-the-sender", f"{what} is taken back by {note.sender} or its post")
    if note.procedure is not None and note.procedure.stage not in (
        Stage.PROPOSED,
        Stage.UNDER_SILENCE,
    ):
        return Refused("not-under-silence", f"{what} is {note.procedure.stage} already")
    if note.procedure is None and not _is_open(note):
        return Refused(
            "not-now", f"{what} is settled with everybody: there is nothing to take back"
        )
    facts = WithdrawalFacts(**_about(statement, note), told=who_had(note), number=note.number)
    return _drafted(note, facts, "withdrawn")


def _is_open(note: Note) -> bool:
    """Whether somebody can read it for the first time yet, or a timer of it runs."""
    open_lives = (*ladder.WAITING, Life.DRAFTED, Life.WITHHELD)
    return bool(note.climbs) or any(
        a.life in open_lives or a.reply_by is not None for a in note.addressees
    )


def _evolve_withdrawal(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, WithdrawalFacts)
    note = view.get(Note, facts.channel, facts.note)
    assert note is not None
    if note.in_reply_to is not None:
        answered = view.get(Note, facts.channel, note.in_reply_to)
        assert answered is not None  # it was there when the note was accepted
        yield taken_back(answered, note, record.at)
    yield ladder.cancelled(act(note, Act.WITHDRAWN), record.at, by=record.actor)


# Objection


def _decide_objection(view: View, statement: Statement[Objection], at: int) -> Drafted | Refused:
    payload = statement.payload
    known = speaks_of(view, payload, payload.note)
    if isinstance(known, Refused):
        return known
    channel, note = known
    what = name_of(channel, note)
    refused = takes_part(channel, (party_of(payload.by),)) or _may(
        view, channel, note, payload, forum.Right.OBJECT
    )
    if refused is not None:
        return refused
    assert note.procedure is not None  # _may
    stage = note.procedure.stage
    if stage in (Stage.PROPOSED, Stage.BROKEN, Stage.WITHDRAWN):
        return Refused("not-under-silence", f"{what} is {stage}")
    is_late = stage is Stage.ADOPTED
    facts = ObjectionFacts(**_about(statement, note), late=is_late, told=who_had(note))
    return _drafted(note, facts, "late-objection" if is_late else "broken")


def _may(
    view: View, channel: Channel, note: Note, payload: InChannel, right: forum.Right
) -> Refused | None:
    what = name_of(channel, note)
    if note.procedure is None:
        return Refused("not-a-proposal", f"{what} is no proposal")
    member = view.get(Member, payload.by)
    kind = channel.kind(note.kind)
    assert member is not None  # speaks
    if kind is None:  # the present charter has no such kind any more: nobody loses a say by that
        return forum.check_right(channel, party_of(payload.by), right)
    writers = set(kind.writers)
    if not writers & set(member.roles):
        return Refused("role", f"{payload.by} has none of the roles {', '.join(sorted(writers))}")
    return forum.check_right(channel, party_of(payload.by), right)


def _evolve_objection(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, ObjectionFacts)
    if facts.late:
        return
    note = view.get(Note, facts.channel, facts.note)
    assert note is not None
    yield act(note, Act.OBJECTED)


# Extension


def _decide_extension(view: View, statement: Statement[Extension], at: int) -> Drafted | Refused:
    payload = statement.payload
    known = speaks_of(view, payload, payload.note)
    if isinstance(known, Refused):
        return known
    channel, note = known
    what = name_of(channel, note)
    if note.procedure is None:
        return Refused("not-a-proposal", f"{what} is no proposal")
    member = view.get(Member, payload.by)
    assert member is not None  # speaks
    refused = takes_part(channel, (party_of(payload.by),)) or forum.check_right(
        channel, party_of(payload.by), forum.Right.EXTEND
    )
    if refused is not None:
        return refused
    if MemberRole.CHAIR not in member.roles:
        return Refused("role", "silence is extended by a member with the role chair")
    if note.procedure.stage is not Stage.UNDER_SILENCE:
        return Refused("not-under-silence", f"{what} is {note.procedure.stage}")
    if payload.silence_until <= note.procedure.until:
        until = to_rfc3339(note.procedure.until)
        return Refused("silence-until", f"silence is never made shorter: it lasts until {until}")
    kind = channel.kind(note.kind)
    longest = kind.silence.max_s * SECOND if kind and kind.silence else 0
    if payload.silence_until - at > longest:
        return Refused(
            "silence-until",
            f"it would last over {longest // SECOND} s from now, the charter's limit",
        )
    facts = ExtensionFacts(
        **_about(statement, note), silence_until=payload.silence_until, told=who_had(note)
    )
    return _drafted(note, facts, "extended")


def _evolve_extension(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, ExtensionFacts)
    note = view.get(Note, facts.channel, facts.note)
    assert note is not None
    assert note.procedure is not None
    update = {"until": facts.silence_until}
    yield act(note, Act.EXTENDED).model_copy(
        update={"procedure": note.procedure.model_copy(update=update)}
    )


RULINGS: Final[dict[str, Ruling]] = {
    "extension": Ruling(channel_of, _needs, _decide_extension, _evolve_extension, timed=_timed),
    "objection": Ruling(channel_of, _needs, _decide_objection, _evolve_objection, timed=_timed),
    "withdrawal": Ruling(channel_of, _needs, _decide_withdrawal, _evolve_withdrawal, timed=_timed),
}
