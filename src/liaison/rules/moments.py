"""What time alone makes happen: rungs, deadlines, conclusions, missed tests, holds that end, contests.

design.md, law 5: a timer is due because the state says so, and firing it means appending a record.
``DUES`` has one ruling per kind of cell that holds moments; which of a note's moments comes first
is ``cells.Note.moments``. The effect counts from the moment, however late it was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from liaison.ledger.facts import (
    ConclusionFacts,
    ContestedFacts,
    DeadlineFacts,
    HoldEndedFacts,
    MissedTestFacts,
    MomentFacts,
    RungFacts,
    ShownFacts,
)
from liaison.ledger.record import Record, Urgency
from liaison.rules import contests, ladder, lives, rhythm
from liaison.rules.cells import (
    AddresseeState,
    Cell,
    CellKey,
    Channel,
    Contest,
    Decisions,
    LineTest,
    Moment,
    MomentOrder,
    Note,
    Post,
    PostHold,
    Rosters,
    View,
)
from liaison.rules.lives import PROCEDURE, Act, Life, Step
from liaison.rules.ruling import DueRuling, Fallen, Peek
from liaison.rules.showing import (
    add_held,
    held_by,
    reached_at,
    showing_changes,
    showing_needs,
    shown_to,
)
from liaison.statements.charters import Effect, Standing
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence


def _nothing(_: Cell) -> Iterable[CellKey]:
    return ()


def _nothing_before(_: Cell, __: Peek) -> Iterable[CellKey]:
    return ()


# Notes


def _before_note(note: Note, _: Peek) -> Iterable[CellKey]:
    return showing_needs(note) if note.deferred_until is not None else ()


def _note_stands_on(note: Note) -> Iterable[CellKey]:
    """The holds for which it waits: when they end it is shown, and climbs."""
    for addressee in note.addressees:
        if addressee.held:
            yield PostHold.key_of(note.channel, addressee.post)


def _note_needs(note: Note, _: Peek) -> Iterable[CellKey]:
    if note.due is None:
        return
    for addressee in note.addressees:
        yield Post.key_of(addressee.post)
    for post in note.informed or ():
        yield Post.key_of(post)
    if note.procedure is not None:
        yield Decisions.key_of(note.channel)
    if note.deferred_until is not None:
        yield from showing_needs(note)


def _decide_note(view: View, note: Note) -> Fallen:
    moment = note.moments[0]
    return _MOMENTS[moment.what](view, note, moment)


def _begun(view: View, note: Note, moment: Moment) -> Fallen:
    """A deferred note is shown; where its post is on hold it goes on waiting."""
    shown = [a for a in note.addressees if a.life is Life.QUEUED and held_by(view, note, a) is None]
    return _deadline(view, note, moment, "begun", shown, shown)


def _expired(view: View, note: Note, moment: Moment) -> Fallen:
    ended = [a for a in note.addressees if _takes(a, Step.EXPIRED)]
    return _deadline(view, note, moment, "expired", ended, ())


def _non_delivered(view: View, note: Note, moment: Moment) -> Fallen:
    missed = [a for a in note.addressees if _takes(a, Step.NOT_DELIVERED)]
    return _deadline(view, note, moment, "non-delivered", missed, ())


def _reply_overdue(view: View, note: Note, moment: Moment) -> Fallen:
    late = [a for a in note.addressees if a.reply_by is not None and a.reply_by <= moment.due]
    return _deadline(view, note, moment, "reply-overdue", late, late)


def _alternate(view: View, note: Note, moment: Moment) -> Fallen:
    """Whoever stands in for a post that declined or was not reached gets the note."""
    opened = [
        a
        for a in note.addressees
        if a.life is Life.WITHHELD
        and any(
            b.post == a.alternate_for
            and b.life in (Life.DECLINED, Life.NON_DELIVERED)
            and b.at <= moment.due
            for b in note.addressees
        )
    ]
    return _deadline(view, note, moment, "alternate", opened, opened)


def _reminder(view: View, note: Note, moment: Moment) -> Fallen:
    owing = [
        a for a in ladder.acting(note) if a.reply_by is not None and ladder.is_visible(note, a)
    ]
    return _deadline(view, note, moment, "reminder", owing, owing)


def _takes(addressee: AddresseeState, step: Step) -> bool:
    return lives.step(addressee.role, addressee.life, step) is not None


def _deadline(
    view: View,
    note: Note,
    moment: Moment,
    what: str,
    concerned: Iterable[AddresseeState],
    reached: Iterable[AddresseeState],
) -> Fallen:
    is_certificate = what in ("reply-overdue", "expired", "non-delivered")
    posts = tuple(a.post for a in concerned)
    facts = DeadlineFacts.model_validate(
        {
            **_of_note(note, moment),
            "what": what,
            "posts": posts,
            "reached": reached_at(view, reached),
            "informed": (note.sender,) if is_certificate and posts else (),
        }
    )
    return Fallen("deadline", facts, _urgency(note, moment, what), note.note)


def _of_note(note: Note, moment: Moment) -> dict[str, object]:
    return {
        "channel": note.channel,
        "due": moment.due,
        "note": note.note,
        "index": note.index,
        "sender": note.sender,
        "precedence": note.precedence,
    }


def _urgency(note: Note, moment: Moment, outcome: str) -> Urgency:
    return Urgency(
        precedence=note.precedence,
        about=(note.index,),
        outcome=outcome,
        due=moment.due,
        exercise=bool(note.exercise),
    )


def _informed(view: View, note: Note) -> tuple[str, ...]:
    """Return the sender and who holds the posts that the ladder tells."""
    told = {note.sender}
    for address in note.informed or ():
        post = view.get(Post, address)
        told |= set(post.holders if post else ())
    return tuple(sorted(told))


def _rung(view: View, note: Note, moment: Moment) -> Fallen:
    climb, rungs = note.climb_of(moment.party), note.rungs
    assert climb is not None
    assert rungs is not None
    rung = rungs[climb.rung]
    waiting = ladder.open_posts(note, climb)
    targets: list[AddresseeState] = []
    if rung.effect in (Effect.ALERT, Effect.EXHAUSTED):
        targets = [a for a in waiting if ladder.is_visible(note, a)]
    elif rung.effect is Effect.OPEN:
        targets = [
            a
            for a in note.addressees
            if a.life is Life.WITHHELD
            and a.tier == rung.tier
            and a.alternate_for is None
            and party_of(a.post) == climb.party
        ]
    reached = reached_at(view, targets)
    is_loud = rung.effect in (Effect.TELL, Effect.EXHAUSTED)
    is_empty = (
        not is_loud and rung.effect is not Effect.RAISE and not any(r.readers for r in reached)
    )
    informed = _informed(view, note) if is_loud else ()
    if is_empty and reached:
        informed = (note.sender,)  # a post is vacant, or who holds it now can't open the note
    facts = RungFacts(
        channel=note.channel,
        due=moment.due,
        note=note.note,
        index=note.index,
        sender=note.sender,
        precedence=note.precedence,
        reached=reached,
        informed=informed,
        party=climb.party,
        round=climb.round,
        rung=climb.rung,
        repeat=climb.repeat,
        effect=rung.effect,
        waits_for=climb.waits_for,
        open=tuple(a.post for a in waiting),
        tier=rung.tier,
        empty=is_empty,
    )
    return Fallen("rung", facts, _urgency(note, moment, rung.effect.value), note.note)


def _concluded(view: View, note: Note, moment: Moment) -> Fallen:
    """Nobody objected strictly before the silence ended: the proposal is adopted."""
    last = view.get(Decisions, note.channel)
    readers = {r for a in note.addressees if ladder.is_visible(note, a) for r in a.readers or ()}
    facts = ConclusionFacts(
        channel=note.channel,
        due=moment.due,
        note=note.note,
        index=note.index,
        sender=note.sender,
        precedence=note.precedence,
        reached=(),
        informed=tuple(sorted({note.sender, *readers})),
        decision=last.last + 1 if last else 1,
    )
    return Fallen("conclusion", facts, _urgency(note, moment, "adopted"), note.note)


_MOMENTS: Final[dict[MomentOrder, Callable[[View, Note, Moment], Fallen]]] = {
    MomentOrder.ALTERNATE: _alternate,
    MomentOrder.BEGUN: _begun,
    MomentOrder.CONCLUDED: _concluded,
    MomentOrder.EXPIRED: _expired,
    MomentOrder.NON_DELIVERED: _non_delivered,
    MomentOrder.REMINDER: _reminder,
    MomentOrder.REPLY_OVERDUE: _reply_overdue,
    MomentOrder.RUNG: _rung,
}


def _evolve_note(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, MomentFacts)
    note = view.get(Note, facts.channel, facts.note)
    assert note is not None
    if isinstance(facts, RungFacts):
        yield _after_rung(note, facts)
    elif isinstance(facts, ConclusionFacts):
        assert note.procedure is not None
        stage = PROCEDURE[note.procedure.stage, Act.CONCLUDED]
        update = {"stage": stage, "decision": facts.decision}
        yield note.model_copy(update={"procedure": note.procedure.model_copy(update=update)})
        yield Decisions(channel=facts.channel, last=facts.decision)
    else:
        assert isinstance(facts, DeadlineFacts)
        yield from _after_deadline(view, note, facts)


def _after_rung(note: Note, facts: RungFacts) -> Note:
    flags: dict[str, object] = {}
    is_unfilled = facts.empty and facts.effect is Effect.OPEN
    if is_unfilled or any(not reached.readers for reached in facts.reached):
        flags["vacant"] = True
    if facts.effect is Effect.RAISE:
        flags["raised"] = True
    if facts.effect is Effect.EXHAUSTED:
        flags["exhausted"] = True
    if flags:
        note = ladder.mark(note, facts.party, **flags)
    if facts.effect is Effect.OPEN:
        note = ladder.move(note, [r.post for r in facts.reached], Step.OPENED, facts.due)
    return ladder.after_rung(note, facts.party, facts.due, is_empty=facts.empty)


def _after_deadline(view: View, note: Note, facts: DeadlineFacts) -> Iterable[Cell]:
    if facts.what == "begun":
        waiting = [
            a for a in note.addressees if a.life is Life.QUEUED and a.post not in facts.posts
        ]
        yield from add_held(view, note, [a.post for a in waiting])
        for addressee in waiting:
            note = ladder.change(note, [addressee.post], held=True)
        yield from showing_changes(view, note, facts.due)
        yield ladder.show(note, facts.due)
    elif facts.what == "expired":
        yield ladder.expired(note, facts.due)
    elif facts.what == "non-delivered":
        yield ladder.not_delivered(note, facts.due)
    elif facts.what == "reply-overdue":
        yield ladder.overdue(note, facts.due)
    elif facts.what == "reminder":
        left = tuple(at for at in note.reminders or () if at > facts.due)
        yield note.model_copy(update={"reminders": left or None})
    else:
        yield ladder.alternates_opened(note, facts.posts, facts.due)


# Line tests


def _line_needs(line: LineTest, peek: Peek) -> Iterable[CellKey]:
    yield Channel.key_of(line.channel)
    channel = peek(Channel, line.channel)
    for party in channel.parties if channel else ():
        yield Rosters.key_of(line.channel, party)
        rosters = peek(Rosters, line.channel, party)
        for post in rosters.editions[-1].tiers[0].posts if rosters else ():
            yield Post.key_of(post)


def _decide_line(view: View, line: LineTest) -> Fallen:
    channel = view.get(Channel, line.channel)
    assert channel is not None
    due = line.due
    assert due is not None
    told: set[str] = set()
    for party in channel.parties:
        if channel.standing(party) is not Standing.ACTIVE:
            continue
        rosters = view.get(Rosters, line.channel, party)
        for address in rosters.editions[-1].tiers[0].posts if rosters else ():
            post = view.get(Post, address)
            told |= set(post.holders if post else ())
    facts = MissedTestFacts(
        channel=line.channel,
        due=due,
        party=line.turn,
        slot=line.slot,
        informed=tuple(sorted(told)),
    )
    urgency = Urgency(
        precedence=Precedence.IMMEDIATE,
        outcome="missed-test",
        due=due,
        exercise=bool(channel.exercise),
    )
    return Fallen("missed-test", facts, urgency)


MISSED_KEPT: Final = 48
"""So many missed tests stand on the queue at most: two days of an hourly test."""


def _evolve_line(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, MissedTestFacts)
    line = view.get(LineTest, facts.channel)
    assert line is not None
    channel = view.get(Channel, facts.channel)
    assert channel is not None
    line = rhythm.after_slot(channel, line, facts.due)
    items = tuple(
        item.model_copy(update={"missed": (*(item.missed or ()), facts.slot)[-MISSED_KEPT:]})
        for item in line.items
    )
    yield line.model_copy(update={"items": items})


# Holds


def _hold_needs(hold: PostHold, peek: Peek) -> Iterable[CellKey]:
    return (Channel.key_of(hold.channel), *_before_hold(hold, peek))


def _before_hold(hold: PostHold, _: Peek) -> Iterable[CellKey]:
    for digest in hold.waiting:
        yield Note.key_of(hold.channel, digest)


def _decide_hold(view: View, hold: PostHold) -> Fallen:
    assert hold.until is not None
    channel = view.get(Channel, hold.channel)
    assert channel is not None
    facts = HoldEndedFacts(
        channel=hold.channel, due=hold.until, post=hold.post, shown=shown_to(view, hold)
    )
    urgency = Urgency(
        about=tuple(sorted(shown.index for shown in facts.shown)),
        outcome="hold-ended",
        due=hold.until,
        exercise=bool(channel.exercise),
    )
    return Fallen("hold-ended", facts, urgency)


def _evolve_hold(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, HoldEndedFacts)
    yield from end_hold(view, facts.channel, facts.post, facts.shown, facts.due)


def end_hold(
    view: View, channel: str, post: str, shown: Iterable[ShownFacts], at: int
) -> Iterable[Cell]:
    """Give the cells after a hold ended: what waited is shown, and its ladders are armed."""
    yield PostHold(channel=channel, post=post, waiting=())
    for one in shown:
        note = view.get(Note, channel, one.note)
        assert note is not None
        yield ladder.released_hold(note, post, at)


def _note_key(facts: MomentFacts) -> CellKey:
    return Note.key_of(facts.channel, facts.note)


def _line_key(facts: MissedTestFacts) -> CellKey:
    return LineTest.key_of(facts.channel)


def _hold_key(facts: HoldEndedFacts) -> CellKey:
    return PostHold.key_of(facts.channel, facts.post)


# Contests


def _evolve_contest(view: View, record: Record, index: int) -> Iterable[Cell]:
    assert isinstance(record.facts, ContestedFacts)
    return contests.evolve_contest(view, record.facts)


def _contest_key(facts: ContestedFacts) -> CellKey:
    return Contest.key_of(facts.channel, facts.device)


DUES: Final[dict[str, DueRuling]] = {
    Contest.name: DueRuling(
        frozenset({"contested"}),
        _contest_key,
        contests.contest_needs,
        contests.decide_contest,
        _evolve_contest,
        contests.before_contest,
        _nothing,
    ),
    Note.name: DueRuling(
        frozenset({"rung", "deadline", "conclusion"}),
        _note_key,
        _note_needs,
        _decide_note,
        _evolve_note,
        _before_note,
        _note_stands_on,
    ),
    LineTest.name: DueRuling(
        frozenset({"missed-test"}),
        _line_key,
        _line_needs,
        _decide_line,
        _evolve_line,
        _nothing_before,
        _nothing,
    ),
    PostHold.name: DueRuling(
        frozenset({"hold-ended"}),
        _hold_key,
        _hold_needs,
        _decide_hold,
        _evolve_hold,
        _before_hold,
        _nothing,
    ),
}

DUE_KINDS: Final[dict[str, DueRuling]] = {
    kind: ruling for ruling in DUES.values() for kind in ruling.kinds
}
"""By the kind of record."""
