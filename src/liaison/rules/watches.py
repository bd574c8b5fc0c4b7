"""Rulings on what operators do with their queue. protocols/statements.md, WATCH.

An operator acts on the items of their own party only, and stops no escalation for good: a note is
closed only after its ladder was exhausted, and snoozed within bounds. What *minimize* means is in
``minimizing``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from liaison.ledger.facts import WatchFacts
from liaison.ledger.record import Record, Urgency
from liaison.rules import ladder, lives, minimizing
from liaison.rules.cells import (
    Cell,
    CellKey,
    Channel,
    Climb,
    Item,
    LineTest,
    Member,
    Note,
    View,
)
from liaison.rules.deriving import watch_facts
from liaison.rules.lives import Step
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.speaking import (
    channel_of,
    name_of,
    not_yet,
    speaker_needs,
    speaks,
    version_of,
)
from liaison.statements.payloads import MemberRole, State
from liaison.statements.procedures import Watch, WatchAction
from liaison.statements.statement import Statement
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import HOUR, SECOND, to_dtg

SNOOZE_MAX_S: Final = 4 * HOUR // SECOND
"""Where the charter doesn't say how long."""


def _needs(statement: Statement[Watch], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from speaker_needs(payload, payload.channel)
    yield from _timed(statement, peek)
    item = _item(peek, payload)
    if item.claimed_by is not None:
        yield Member.key_of(item.claimed_by)


def _item(peek: Peek, payload: Watch) -> Item:
    """Return the item that an operator acts on, as far as it is known."""
    cell: LineTest | Note | None
    if payload.note is None:
        cell = peek(LineTest, payload.channel)
    else:
        cell = peek(Note, payload.channel, payload.note)
    return ladder.item_of(cell.items if cell else None, party_of(payload.by))


def _timed(statement: Statement[Watch], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    if payload.note is None:
        yield LineTest.key_of(payload.channel)
    else:
        yield Note.key_of(payload.channel, payload.note)


def _decide(view: View, statement: Statement[Watch], at: int) -> Drafted | Refused:
    payload = statement.payload
    if version_of(view) < 2:
        return not_yet("watch")
    channel = view.get(Channel, payload.channel)
    refused = speaks(view, payload, channel)
    if refused is not None:
        return refused
    assert channel is not None
    member = view.get(Member, payload.by)
    assert member is not None  # speaks
    if MemberRole.OPERATOR not in member.roles:
        return Refused("role", f"{payload.by} is no operator")
    party = member.party
    note: Note | None = None
    if payload.action is WatchAction.MINIMIZE:
        refused = minimizing.bounds(channel, payload, at)
    elif payload.note is None:
        line = view.get(LineTest, payload.channel)
        refused = _on_line(view, channel, line, payload, party)
    else:
        note = view.get(Note, payload.channel, payload.note)
        if note is None:
            return Refused("unknown-note", f"{channel.alias} has no note {payload.note}")
        refused = _on_note(view, channel, note, payload, party, at)
    if refused is not None:
        return refused
    facts = watch_facts(statement).model_copy(
        update={
            "index": note.index if note else None,
            "sender": note.sender if note else None,
            "precedence": note.precedence if note else None,
            "told": _told(note, payload),
        }
    )
    return Drafted(
        facts,
        note=payload.note or "",
        urgency=Urgency(
            precedence=note.precedence if note else None,
            about=(note.index,) if note else (),
            outcome=payload.action.value,
            due=payload.until,
            exercise=bool(channel.exercise),
        ),
    )


def _told(note: Note | None, payload: Watch) -> tuple[str, ...]:
    """Who closed or reopened a note says so to its sender, who waits for it."""
    if note is None or payload.action not in (WatchAction.CLOSE, WatchAction.REOPEN):
        return ()
    told = {note.sender}
    for addressee in note.addressees:
        if addressee.post == payload.post:
            told |= set(addressee.readers or ())
    return tuple(sorted(told))


def _on_line(
    view: View, channel: Channel, line: LineTest | None, payload: Watch, party: str
) -> Refused | None:
    item = ladder.item_of(line.items if line else None, party)
    if not item.missed:
        return Refused("not-on-the-queue", f"no line test of {channel.alias} was missed")
    return _claims(view, f"the missed line tests of {channel.alias}", item, payload)


def _on_note(
    view: View, channel: Channel, note: Note, payload: Watch, party: str, at: int
) -> Refused | None:
    what = name_of(channel, note)
    mine = ladder.acting(note, party)
    if not mine:
        return Refused("not-on-the-queue", f"{what} asks nobody of {party} to act")
    item = ladder.item_of(note.items, party)
    if payload.action is WatchAction.REOPEN:
        addressee = next((a for a in mine if a.post == payload.post), None)
        if addressee is None:
            return Refused("not-addressed", f"{what} is not addressed to {payload.post} for action")
        if note.withdrawn:
            return Refused("not-now", f"{what} was taken back by its sender")
        if lives.step(addressee.role, addressee.life, Step.REOPENED) is None:
            return Refused("not-now", f"{what} is {addressee.life} for {addressee.post}")
        return None
    climb = note.climb_of(party)
    if climb is None:
        return Refused("not-on-the-queue", f"nothing waits for anybody of {party} in {what}")
    return _claims(view, what, item, payload) or _bounds(
        channel, note, climb, item, payload, what, at
    )


def _claims(view: View, what: str, item: Item, payload: Watch) -> Refused | None:
    if payload.action is WatchAction.CLAIM and _is_claimed(view, item):
        when = to_dtg(item.claimed_at or 0)
        return Refused("already-claimed", f"{what} was claimed by {item.claimed_by} at {when}")
    if payload.action is WatchAction.PUT_BACK and item.claimed_by != payload.by:
        who = f"by {item.claimed_by}" if item.claimed_by else "by nobody"
        return Refused("not-claimed", f"{what} is claimed {who}: only who claimed it puts it back")
    return None


def _is_claimed(view: View, item: Item) -> bool:
    """Whether who claimed it is an operator still: else nobody could put it back."""
    if item.claimed_by is None:
        return False
    member = view.get(Member, item.claimed_by)
    return (
        member is not None and member.state is State.ACTIVE and MemberRole.OPERATOR in member.roles
    )


def _bounds(
    channel: Channel,
    note: Note,
    climb: Climb,
    item: Item,
    payload: Watch,
    what: str,
    at: int,
) -> Refused | None:
    if payload.action is WatchAction.CLOSE and not item.exhausted:
        return Refused(
            "not-exhausted",
            f"{what} is closed only after its ladder was exhausted: somebody may act yet",
        )
    ends = climb.since + ladder.own_time(note.rungs or ())
    if payload.action is WatchAction.CLOSE and climb.forced and at < ends:
        return Refused(
            "not-exhausted",
            f"{what} was escalated by hand: it is closed from {to_dtg(ends)} on, when its ladder "
            f"would have been exhausted by itself",
        )
    if payload.action is not WatchAction.SNOOZE:
        return None
    assert payload.until is not None  # the payload's own check
    longest = channel.terms.snooze_max_s or SNOOZE_MAX_S
    if not at < payload.until <= at + longest * SECOND:
        return Refused("snooze", f"until: lies ahead, at most {longest} s")
    if climb.snoozed:
        return Refused("snooze", f"{what} was snoozed on this rung already")
    if note.precedence.rank >= Precedence.FLASH.rank and payload.until > climb.due:
        due = to_dtg(climb.due)
        return Refused("snooze", f"{what} is {note.precedence}: never past its due time, {due}")
    return None


def _evolve(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, WatchFacts)
    if facts.action is WatchAction.MINIMIZE:
        channel = view.get(Channel, facts.channel)
        assert channel is not None
        yield minimizing.minimize(channel, facts, record.at)
        return
    if facts.note is None:
        line = view.get(LineTest, facts.channel)
        assert line is not None
        item = _ITEM[facts.action](ladder.item_of(line.items, facts.party), facts, record.at)
        if facts.action is WatchAction.CLOSE:
            item = Item(party=facts.party)
        yield line.model_copy(update={"items": ladder.put_item(line.items, item)})
        return
    note = view.get(Note, facts.channel, facts.note)
    assert note is not None
    if facts.action is WatchAction.REOPEN:
        assert facts.post is not None
        yield ladder.reopened(note, facts.post, record.at, by=facts.by)
        return
    item = _ITEM[facts.action](ladder.item_of(note.items, facts.party), facts, record.at)
    note = note.model_copy(update={"items": ladder.put_item(note.items, item)})
    yield _acted(note, facts, record.at)


def _acted(note: Note, facts: WatchFacts, at: int) -> Note:
    climb = note.climb_of(facts.party)
    assert climb is not None  # decide
    if facts.action is WatchAction.ESCALATE:
        climb = climb.model_copy(update={"due": min(climb.due, at), "forced": True})
    elif facts.action is WatchAction.SNOOZE:
        assert facts.until is not None
        climb = climb.model_copy(update={"due": max(climb.due, facts.until), "snoozed": True})
    elif facts.action is WatchAction.CLOSE:
        return ladder.closed(note, facts.party, at, by=facts.by)
    return ladder.put_climb(note, climb)


def _claimed(item: Item, facts: WatchFacts, at: int) -> Item:
    return item.model_copy(update={"claimed_by": facts.by, "claimed_at": at})


def _put_back(item: Item, facts: WatchFacts, at: int) -> Item:
    return item.model_copy(update={"claimed_by": None, "claimed_at": None})


def _annotated(item: Item, facts: WatchFacts, at: int) -> Item:
    return item.model_copy(update={"annotation": facts.text})


def _snoozed(item: Item, facts: WatchFacts, at: int) -> Item:
    return item.model_copy(update={"snoozed_until": facts.until})


def _same(item: Item, facts: WatchFacts, at: int) -> Item:
    return item


_ITEM: Final[dict[WatchAction, Callable[[Item, WatchFacts, int], Item]]] = {
    WatchAction.ANNOTATE: _annotated,
    WatchAction.CLAIM: _claimed,
    WatchAction.CLOSE: _same,
    WatchAction.ESCALATE: _same,
    WatchAction.PUT_BACK: _put_back,
    WatchAction.SNOOZE: _snoozed,
}

RULINGS: Final[dict[str, Ruling]] = {
    "watch": Ruling(channel_of, _needs, _decide, _evolve, timed=_timed),
}
