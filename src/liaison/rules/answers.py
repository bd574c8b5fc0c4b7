"""Rulings on answers and voids. protocols/statements.md, ANSWER, VOID."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import AnsweredFacts, AnswerFacts, FirstFacts, VoidFacts
from liaison.ledger.record import Record, Urgency
from liaison.rules import cells, contests, ladder, lives
from liaison.rules.cells import (
    AddresseeState,
    Cell,
    CellKey,
    Channel,
    Member,
    Post,
    Serials,
    View,
)
from liaison.rules.chain import holds, id_of
from liaison.rules.deriving import void_facts
from liaison.rules.lives import Life, Step
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.serials import check_serial, spend
from liaison.rules.showing import precedence_for
from liaison.rules.speaking import channel_of, name_of, speaker_needs, speaks, version_of
from liaison.statements.payloads import AddresseeRole, Answer, Verdict, Void
from liaison.statements.statement import Statement
from liaison.words.ids import party_of
from liaison.words.times import to_dtg

# Answer


def _answer_timed(statement: Statement[Answer], _: Peek) -> Iterable[CellKey]:
    for note in statement.payload.notes:
        yield cells.Note.key_of(statement.payload.channel, note)


def _answer_needs(statement: Statement[Answer], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from speaker_needs(payload, payload.channel)
    yield Post.key_of(payload.post)
    if payload.verdict is Verdict.ACKNOWLEDGED:
        yield from contests.remembering_needs(payload.channel, payload.key)
    for note in payload.notes:
        yield cells.Note.key_of(payload.channel, note)


def _decide_answer(view: View, statement: Statement[Answer], at: int) -> Drafted | Refused:
    payload = statement.payload
    channel = view.get(Channel, payload.channel)
    refused = speaks(view, payload, channel) or holds(
        view.get(Post, payload.post), payload.by, who=payload.post
    )
    if refused is not None:
        return refused
    assert channel is not None
    answered: list[AnsweredFacts] = []
    for digest in payload.notes:
        note = view.get(cells.Note, payload.channel, digest)
        if note is None:
            return Refused("unknown-note", f"{channel.alias} has no note {digest}")
        said = _answered(channel, note, payload)
        if isinstance(said, Refused):
            return said
        answered.append(said)
    if payload.verdict is Verdict.DELIVERED and not any(said.moves for said in answered):
        return Refused("already-so", "each of these notes is known to be delivered already")
    member = view.get(Member, payload.by)
    assert member is not None  # speaks
    is_first = payload.key == id_of(member.devices[0])
    is_told = _is_remembered(view, payload.verdict) and not is_first
    highest = max((said.precedence for said in answered), key=lambda p: p.rank)
    return Drafted(
        AnswerFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            channel=payload.channel,
            post=payload.post,
            by=payload.by,
            verdict=payload.verdict,
            notes=tuple(answered),
            device=payload.key if is_told else None,
        ),
        note=payload.notes[0] if len(payload.notes) == 1 else "",
        urgency=Urgency(
            precedence=highest,
            about=tuple(sorted(said.index for said in answered)),
            outcome=payload.verdict.value,
            exercise=bool(channel.exercise),
        ),
    )


def _answered(channel: Channel, note: cells.Note, payload: Answer) -> AnsweredFacts | Refused:
    what = name_of(channel, note)
    addressee = next((a for a in note.addressees if a.post == payload.post), None)
    if addressee is None:
        return Refused("not-addressed", f"{what} is not addressed to {payload.post}")
    moved = None
    if not ladder.is_visible(note, addressee) and addressee.life is not Life.CANCELLED:
        return Refused("not-now", f"{what} is not shown to {addressee.post} yet")
    if payload.verdict is not Verdict.UNREADABLE:
        moved = lives.step(addressee.role, addressee.life, Step(payload.verdict.value))
        if moved is None and payload.verdict is not Verdict.DELIVERED:
            return _cannot(what, addressee, payload.verdict)
    return AnsweredFacts(
        note=note.note,
        index=note.index,
        sender=note.sender,
        precedence=precedence_for(note, addressee),
        moves=moved is not None,
        first=_first(note) if payload.verdict is Verdict.ACKNOWLEDGED else None,
    )


def _cannot(what: str, addressee: AddresseeState, verdict: Verdict) -> Refused:
    if addressee.life in (Life.ACKNOWLEDGED, Life.DECLINED):
        when = to_dtg(addressee.at)
        return Refused(
            f"already-{addressee.life}",
            f"{what} was {addressee.life} for {addressee.post} by {addressee.by} at {when}",
        )
    if addressee.role is AddresseeRole.INFO:
        return Refused(
            "not-for-action", f"{what} is for {addressee.post} for information: no {verdict}"
        )
    return Refused("not-now", f"{what} is {addressee.life} for {addressee.post}")


def _first(note: cells.Note) -> FirstFacts | None:
    acknowledged = [
        a
        for a in note.addressees
        # Who cleared a draft took nothing on, and is nobody's business outside its party.
        if a.life is Life.ACKNOWLEDGED
        and not (note.release and party_of(a.post) == party_of(note.sender))
    ]
    if not acknowledged:
        return None
    first = min(acknowledged, key=lambda a: a.at)
    return FirstFacts(by=first.by, post=first.post, at=first.at)


def _is_remembered(view: View, verdict: Verdict) -> bool:
    """Whether it is kept in mind by which key a note was taken on: until that one is contested."""
    return verdict is Verdict.ACKNOWLEDGED and version_of(view) >= 2


def _evolve_answer(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, AnswerFacts)
    device = _device(view, facts)
    taken_on: list[cells.Note] = []
    for said in facts.notes:
        if not said.moves:
            continue
        note = view.get(cells.Note, facts.channel, said.note)
        assert note is not None
        taken = Step(facts.verdict.value)
        note = ladder.move(note, (facts.post,), taken, record.at, by=facts.by)
        if facts.verdict is Verdict.ACKNOWLEDGED:
            if device is not None:
                taken_on.append(note)
                note = ladder.change(note, [facts.post], device=device)
            note = ladder.acknowledged(note, facts.post, record.at)
        elif facts.verdict is Verdict.DECLINED:
            note = ladder.declined(note, facts.post, record.at)
        else:
            note = ladder.settle(note, record.at)
        yield note
    if device is not None:
        yield from contests.remember(view, facts.channel, taken_on, device, record.at)


def _device(view: View, facts: AnswerFacts) -> str | None:
    """Return by which key notes were taken on: the member's first, where the facts don't say."""
    if facts.device is not None or not _is_remembered(view, facts.verdict):
        return facts.device
    member = view.get(Member, facts.by)
    assert member is not None  # speaks
    return id_of(member.devices[0])


# Void


def _void_needs(statement: Statement[Void], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from speaker_needs(payload, payload.channel)
    yield Serials.key_of(payload.channel, payload.key, payload.party)


def _decide_void(view: View, statement: Statement[Void], at: int) -> Drafted | Refused:
    payload = statement.payload
    channel = view.get(Channel, payload.channel)
    if channel is not None and payload.party not in channel.parties:
        return Refused("not-a-party", f"{payload.party} is not a party of {channel.alias}")
    refused = speaks(view, payload, channel) or check_serial(
        view, payload.channel, payload.key, payload.party, payload.serial
    )
    if refused is not None:
        return refused
    return Drafted(void_facts(statement))


def _evolve_void(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, VoidFacts)
    yield spend(view, facts.channel, facts.device, facts.party, facts.serial)


RULINGS: Final[dict[str, Ruling]] = {
    "answer": Ruling(
        channel_of, _answer_needs, _decide_answer, _evolve_answer, timed=_answer_timed
    ),
    "void": Ruling(channel_of, _void_needs, _decide_void, _evolve_void),
}
