"""Ladders: what nobody takes on climbs, rung by rung, and stops when somebody does (LADDER, DUE)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from liaison.ledger.facts import RungFacts
from liaison.rules.decide import decide, decide_due
from liaison.rules.lives import Life
from liaison.rules.moments import DUES
from liaison.statements import charters, payloads
from liaison.statements.charters import Effect, Rung
from liaison.statements.payloads import State, Verdict
from liaison.statements.procedures import WatchAction
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import (
    CALM,
    WITH_DEPUTY,
    addressee,
    effects,
    forum,
    laddered,
    last,
    lives,
    note_of,
    quiet,
    rungs_of,
    story,
)
from tests.world import (
    ACTION,
    ANNA,
    CHAIR,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    GRETA,
    LONDON,
    MINISTRY,
    MOD,
    PETE,
    STANDBY,
    ULLA,
    WATCH,
    MemoryWorld,
    replay,
    rows_of,
)

ACKNOWLEDGED, DECLINED, DELIVERED = Verdict.ACKNOWLEDGED, Verdict.DECLINED, Verdict.DELIVERED
WHOLE = [
    ("alert", 120),
    ("alert", 180),
    ("alert", 240),
    ("raise", 300),
    ("open", 600),
    ("tell", 900),
    ("exhausted", 1500),
    ("exhausted", 2100),
]


def test_an_unanswered_note_climbs_every_rung_once_at_its_time():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    at = world.head_at
    assert story(world.elapse(2100 * SECOND), at) == WHOLE
    assert lives(world, note) == {DUTY: Life.QUEUED, DEPUTY: Life.QUEUED}
    facts = rungs_of(world.records)
    assert [f.party for f in facts] == [MOD] * 8
    assert {f.open for f in facts[:5]} == {(DUTY,)}
    assert [r.post for r in facts[4].reached] == [DEPUTY]
    assert facts[5].informed == tuple(sorted({ANNA, GRETA}))
    assert [r.post for r in facts[6].reached] == [DUTY, DEPUTY]
    assert [f.repeat for f in facts] == [0, 1, 2, 0, 0, 0, 0, 1]


def test_the_chain_survives_a_restart():
    """Cells alone carry it: what is read back from rows goes on where it was."""
    world = quiet()
    world.accept(world.note(to=WITH_DEPUTY))
    at = world.head_at
    world.elapse(310 * SECOND)
    again = world.copy()
    again.cells = replay(world.records)
    assert rows_of(again.cells) == rows_of(world.cells)
    assert story(again.elapse(1800 * SECOND), at) == WHOLE[4:]


@pytest.mark.parametrize("seconds", [60, 130, 200, 250, 310, 700, 1000, 1600, 2200])
def test_an_acknowledgement_stops_later_rungs_and_repeats(seconds):
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.elapse(seconds * SECOND)
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    cell = note_of(world, note)
    assert (cell.climbs, cell.items) == (None, None)
    assert rungs_of(world.elapse(1799 * SECOND)) == []
    world.accept(world.note(DORA, in_reply_to=note))
    world.accept(world.answer(ANNA, ACKNOWLEDGED, world.accepted[-1].digest))
    world.accept(world.note(ANNA, kind="plain", in_reply_to=world.accepted[-2].digest))
    assert world.first_due() is None
    assert world.elapse(30 * DAY) == []


def test_nothing_rings_for_an_old_acknowledged_item():
    world = worlds.quiet_hotline(
        kinds=(worlds.kind("leader", ladders=worlds.CLIMBS), worlds.kind("plain"))
    )
    asked = {DUTY: {"reply_by": world.clock + DAY}}
    note = world.accept(world.note(to=asked, expiry=world.clock + 2 * DAY)).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.accept(world.note(DORA, kind="plain", in_reply_to=note))
    assert note_of(world, note).due is None
    assert world.elapse(20 * DAY) == []


def test_an_acknowledgement_and_a_rung_at_one_time_have_the_outcome_that_at_gives():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    due = world.head_at + 120 * SECOND
    early, late = world.copy(), world.copy()
    early.clock = due - 1
    early.accept(early.answer(DORA, ACKNOWLEDGED, note))
    assert early.records[-1].at == due - 1
    assert rungs_of(early.elapse(HOUR))[0].waits_for == "answer"  # half an hour later, anew
    late.clock = due
    late.accept(late.answer(DORA, ACKNOWLEDGED, note))
    rung, answer = late.records[-2:]
    assert (rung.kind, rung.at, rung.facts.due) == ("rung", due, due)  # type: ignore[attr-defined]
    assert answer.at == due + 1


def test_overdue_rungs_after_an_outage_fire_one_by_one_in_due_order_and_count_from_due():
    world = quiet()
    first = world.accept(world.note(to=WITH_DEPUTY)).digest
    began = world.head_at
    world.advance(90 * SECOND)
    second = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.advance(DAY)
    fired = rungs_of(world.fire_due())
    assert [f.due for f in fired] == sorted(f.due for f in fired)
    mine = [(f.effect.value, (f.due - began) / SECOND) for f in fired if f.note == first]
    assert mine[:8] == WHOLE  # no wait is skipped, none is shorter or longer
    hours = [due for _, due in mine[6:]]
    assert {b - a for a, b in pairwise(hours)} == {600}
    assert {f.note for f in fired} == {first, second}
    assert addressee(world, first, DEPUTY).at == began + 600 * SECOND
    late = [r for r in world.records if r.kind == "rung"]
    assert all(r.at >= world.clock for r in late)
    assert [r.at for r in late] == [*range(late[0].at, late[0].at + len(late))]


def test_an_answer_after_an_outage_comes_after_what_was_due_before_it():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    began = world.head_at
    world.advance(650 * SECOND)
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    *rungs, answer = world.records[-6:]
    assert story(rungs, began) == WHOLE[:5]
    assert answer.kind == "answer"
    assert lives(world, note) == {DUTY: Life.ACKNOWLEDGED, DEPUTY: Life.QUEUED}
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    told = last(world).notes[0].first
    assert (told.by, told.post) == (DORA, DUTY)


def test_edits_of_a_charter_or_roster_change_no_running_timer():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    began = world.head_at
    before = note_of(world, note)
    slow = Rung(after_s=86400, effect=Effect.EXHAUSTED, every_s=86400)
    world.amend(
        MOD,
        ladders=(
            charters.Ladder(name="calm", rungs=(slow,)),
            charters.Ladder(name="steep", rungs=(slow,)),
        ),
        terms=worlds.terms(acknowledge="all"),
    )
    tier = payloads.Tier(name="desk", posts=(DEPUTY, DUTY))
    world.accept(world.roster(MOD, tiers=(tier, payloads.Tier(name="ministry", posts=(WATCH,)))))
    assert note_of(world, note) == before
    assert story(world.elapse(2100 * SECOND), began) == WHOLE
    assert rungs_of(world.records)[5].informed == tuple(sorted({ANNA, GRETA}))
    later = world.accept(world.note()).digest
    assert note_of(world, later).acknowledge == "all"
    assert [(r.effect, r.after_s) for r in note_of(world, later).rungs or ()] == [
        (Effect.EXHAUSTED, 86400)
    ]


def test_an_empty_tier_goes_on_at_once_and_says_so():
    world = quiet()
    note = world.accept(world.note()).digest  # nobody stands by
    began = world.head_at
    fired = world.elapse(1200 * SECOND)
    assert story(fired, began)[4:] == [("open", 600), ("tell", 600), ("exhausted", 1200)]
    opened = rungs_of(fired)[4]
    assert (opened.empty, opened.tier, opened.reached, opened.informed) == (True, "deputy", (), ())
    items = note_of(world, note).items
    assert items is not None
    assert [(item.party, item.vacant) for item in items] == [(MOD, True)]


def test_a_vacant_post_is_an_empty_rung_and_an_operators_item():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    began = world.head_at
    world.accept(world.posting(DUTY, ()))
    fired = world.elapse(600 * SECOND)
    assert story(fired, began) == [
        ("alert", 120),
        ("raise", 120),  # nobody was alerted, so no repeat is waited for
        ("open", 420),
    ]
    assert [f.empty for f in rungs_of(fired)] == [True, False, False]
    # The sender hears of it at once, not only when the ladder tells.
    assert [f.informed for f in rungs_of(fired)] == [(ANNA,), (), ()]
    items = note_of(world, note).items
    assert items is not None
    assert items[0].vacant
    # Who holds the post now has no wrap: nobody is reached either.
    world.accept(world.posting(DUTY, (PETE,)))
    assert rungs_of(world.elapse(900 * SECOND))[-1].reached[0].readers == ()


def test_rungs_without_a_wait_end_all_the_same():
    """Whatever a charter says, one instant has a moment for each rung at most."""
    world = laddered(
        *(Rung(after_s=0, effect=Effect.OPEN, tier=f"tier-{n}") for n in range(15)),
        Rung(after_s=0, effect=Effect.EXHAUSTED, every_s=60),
    )
    world.accept(world.note())
    began = world.head_at
    fired = world.fire_due()
    assert len(fired) == 16
    assert {due for _, due in story(fired, began)} == {0}
    assert story(world.elapse(120 * SECOND), began) == [("exhausted", 60), ("exhausted", 120)]


def test_a_ladder_that_reaches_nobody_is_exhausted_and_goes_on_until_closed():
    world = quiet()
    note = world.accept(world.note()).digest
    world.accept(world.posting(DUTY, ()))
    fired = world.elapse(2 * HOUR)
    assert effects(fired)[-3:] == [Effect.EXHAUSTED] * 3
    world.accept(world.watch(PETE, WatchAction.CLOSE, note))
    assert lives(world, note) == {DUTY: Life.UNANSWERED}
    assert world.first_due() is None


# Who counts


def both(acknowledge: str) -> MemoryWorld:
    return worlds.quiet_hotline(terms=worlds.terms(acknowledge=acknowledge))


def test_any_of_a_tier_is_enough_where_the_charter_says_so():
    world = both("any-of-tier")
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: ACTION})).digest
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    assert note_of(world, note).climbs is None
    world.advance(1)
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    assert last(world).notes[0].first.by == EDWIN


def test_all_must_acknowledge_where_the_charter_says_so():
    world = both("all")
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: ACTION})).digest
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    fired = rungs_of(world.elapse(130 * SECOND))
    assert [(f.effect, f.open) for f in fired] == [(Effect.ALERT, (DUTY,))]
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    assert note_of(world, note).climbs is None


def test_reading_never_acknowledges():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    began = world.head_at
    world.accept(world.answer(DORA, DELIVERED, note))
    assert story(world.elapse(2100 * SECOND), began) == WHOLE
    world.accept(world.answer(DORA, Verdict.UNREADABLE, note))
    assert note_of(world, note).climbs is not None


def test_each_party_climbs_by_itself():
    """What one party takes on, snoozes, closes or reopens changes no wait of another."""
    world = forum()
    to = {DUTY: ACTION, DEPUTY: STANDBY, CHAIR: ACTION, LONDON: ACTION}
    del to[LONDON]
    note = world.accept(world.note(kind="urgent", to=to)).digest
    began = world.head_at
    world.elapse(130 * SECOND)
    assert {c.party for c in note_of(world, note).climbs or ()} == {MOD, "un.example"}
    world.accept(world.answer(ULLA, ACKNOWLEDGED, note))
    for _ in range(3):  # the other party's operator can't put ours back to the foot
        world.accept(world.member(ULLA, roles=(payloads.MemberRole.ATTACHE, OPERATOR)))
        world.accept(world.watch(ULLA, WatchAction.REOPEN, note, post=CHAIR))
        world.accept(world.answer(ULLA, ACKNOWLEDGED, note))
    fired = [r for r in world.elapse(2100 * SECOND) if r.facts.party == MOD]  # type: ignore[attr-defined]
    assert story(fired, began)[:6] == WHOLE[1:7]
    assert lives(world, note)[DEPUTY] is Life.QUEUED


OPERATOR = payloads.MemberRole.OPERATOR


def test_a_party_that_took_the_note_on_has_no_tier_opened_for_another_ones_silence():
    world = forum()
    world.accept(world.roster("un.example", tiers=(payloads.Tier(name="desk", posts=(CHAIR,)),)))
    to = {DUTY: ACTION, DEPUTY: STANDBY, CHAIR: ACTION}
    note = world.accept(world.note(kind="urgent", to=to)).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.elapse(2 * HOUR)
    assert lives(world, note) == {
        DUTY: Life.ACKNOWLEDGED,
        DEPUTY: Life.LAPSED,
        CHAIR: Life.QUEUED,
    }


# Declining


def test_a_declined_note_climbs_at_once():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.advance(30 * SECOND)
    world.accept(world.answer(DORA, DECLINED, note))
    at = world.head_at
    fired = world.elapse(1000 * SECOND)
    assert story(fired, at)[:3] == [("alert", 0), ("raise", 0), ("open", 300)]
    assert lives(world, note) == {DUTY: Life.DECLINED, DEPUTY: Life.QUEUED}
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    assert rungs_of(world.elapse(25 * MINUTE)) == []


def test_a_note_that_everybody_declined_rings_until_a_person_closes_it():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.accept(world.answer(DORA, DECLINED, note))
    world.elapse(400 * SECOND)
    world.accept(world.answer(EDWIN, DECLINED, note))
    world.elapse(2 * HOUR)
    assert effects(world.records)[-1] is Effect.EXHAUSTED
    refuses(
        world,
        world.watch(EDWIN, WatchAction.CLOSE, note, channel=worlds.digest("x")),
        "unknown-channel",
    )
    world.accept(world.watch(EDWIN, WatchAction.CLOSE, note))
    assert lives(world, note) == {DUTY: Life.DECLINED, DEPUTY: Life.DECLINED}
    assert world.first_due() is None


# Standby


def test_a_standby_copy_is_withheld_until_its_tier_opens():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    refuses(world, world.answer(EDWIN, DELIVERED, note), "not-now", "not shown to")
    world.elapse(601 * SECOND)
    world.accept(world.answer(EDWIN, DELIVERED, note))
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    assert note_of(world, note).climbs is None


def test_a_standby_copy_lapses_when_it_can_not_be_needed_any_more():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    assert lives(world, note)[DEPUTY] is Life.WITHHELD  # an answer is owed still
    world.accept(world.note(DORA, kind="plain", in_reply_to=note))
    assert lives(world, note)[DEPUTY] is Life.LAPSED
    refuses(world, world.answer(EDWIN, DELIVERED, note), "not-now")


def test_a_standby_copy_stands_in_a_tier_that_a_rung_opens():
    world = quiet()
    refuses(
        world,
        world.note(to={DUTY: ACTION, MINISTRY: STANDBY}),
        "standby",
        "opens the tier ministry",
    )
    refuses(world, world.note(to=WITH_DEPUTY, precedence=CALM), "standby", "no rung")
    refuses(world, world.note(to=WITH_DEPUTY, kind="plain"), "standby", "no rung")
    world.accept(world.note(to=WITH_DEPUTY))


def test_a_standby_copy_stands_by_for_somebody_of_its_party():
    world = forum()
    to = {CHAIR: ACTION, DEPUTY: STANDBY}
    refuses(world, world.note(kind="urgent", to=to), "standby", f"nobody of {MOD} is asked to act")
    world.accept(world.note(kind="urgent", to={**to, DUTY: ACTION}))


# The answer


def test_a_note_taken_on_and_not_answered_in_the_charters_time_climbs_again():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    at = world.head_at
    fired = world.elapse(3600 * SECOND)
    assert story(fired, at)[:4] == [
        ("reply-overdue", 1800),
        ("alert", 1920),
        ("alert", 1980),
        ("alert", 2040),
    ]
    facts = rungs_of(fired)
    assert {f.waits_for for f in facts} == {"answer"}
    assert {f.round for f in facts} == {2}
    assert facts[0].open == (DUTY,)
    world.accept(world.note(DORA, kind="plain", in_reply_to=note))
    assert note_of(world, note).climbs is None
    assert world.elapse(DAY) == []


def test_a_service_message_never_counts_as_an_answer():
    world = quiet()
    note = world.accept(world.note()).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    reply = world.note(DORA, kind="service", in_reply_to=note, precedence=CALM)
    world.accept(reply)
    assert addressee(world, note, DUTY).replied is None
    assert addressee(world, note, DUTY).reply_by is not None
    world.accept(world.note(DORA, kind="plain", in_reply_to=note))
    assert addressee(world, note, DUTY).replied == world.head_at


def test_a_deputy_who_takes_on_what_is_overdue_gets_the_charters_time():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.elapse((1800 + 601) * SECOND)
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    at = world.head_at
    assert note_of(world, note).climbs is None
    assert story(world.elapse(1921 * SECOND), at) == [("reply-overdue", 1800), ("alert", 1920)]
    assert rungs_of(world.records)[-1].round == 3


def test_an_acknowledgement_does_not_end_the_wait_for_an_answer_that_is_overdue():
    """Where the charter gives no time, the note itself named it, and the ladder waits on."""
    world = worlds.quiet_hotline(kinds=(worlds.kind("leader", ladders=worlds.CLIMBS),))
    note = world.accept(world.note(to=WITH_DEPUTY, reply_by=world.clock + HOUR)).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.elapse(HOUR + 601 * SECOND)
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    assert rungs_of(world.elapse(1000 * SECOND))[-1].open == (DUTY,)
    world.accept(world.note(EDWIN_AS_ATTACHE(world), in_reply_to=note))
    assert note_of(world, note).climbs is None


def EDWIN_AS_ATTACHE(world: MemoryWorld) -> str:  # noqa: N802
    world.accept(world.member(EDWIN, roles=(payloads.MemberRole.ATTACHE,)))
    return EDWIN


@pytest.mark.parametrize("acknowledge", ["any-of-tier", "all"])
def test_an_answer_that_fell_due_while_it_climbed_is_rung_for_after_the_acknowledgement(
    acknowledge,
):
    world = worlds.quiet_hotline(
        terms=worlds.terms(acknowledge=acknowledge),
        kinds=(worlds.kind("leader", ladders=worlds.CLIMBS),),
    )
    note = world.accept(world.note(reply_by=world.clock + 200 * SECOND)).digest
    world.elapse(250 * SECOND)
    assert addressee(world, note, DUTY).overdue is not None
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    at = world.head_at
    (climb,) = note_of(world, note).climbs or ()
    assert (climb.waits_for, climb.rung, climb.due) == ("answer", 0, at + 120 * SECOND)


def test_a_reply_does_not_acknowledge():
    world = quiet()
    note = world.accept(world.note()).digest
    world.accept(world.note(DORA, kind="plain", in_reply_to=note))
    assert effects(world.elapse(130 * SECOND)) == [Effect.ALERT]
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    assert note_of(world, note).due is None  # it was answered already


# Moments and statements


def test_a_moment_is_decided_when_it_is_due_and_not_before():
    world = quiet()
    note = world.accept(world.note()).digest
    key = note_of(world, note).key
    due = note_of(world, note).due
    assert due is not None
    assert decide_due(world.cells_view(), key, due - 1) is None
    record = decide_due(world.cells_view(), key, due)
    assert record is not None
    assert (record.actor, record.statement, record.note) == (worlds.ORIGIN, b"", note)
    assert isinstance(record.facts, RungFacts)
    assert (record.urgency.due, record.urgency.outcome) == (due, "alert")
    assert record.urgency.about == (note_of(world, note).index,)


def test_what_goes_first_is_named_until_nothing_is_due():
    world = quiet()
    note = world.accept(world.note()).digest
    world.advance(DAY)
    answer = world.answer(DORA, ACKNOWLEDGED, note)
    from liaison.rules.decide import DueFirst

    assert decide(world.load(answer), answer, world.next_at) == DueFirst(note_of(world, note).key)
    world.accept(answer)
    assert set(DUES) == {"contest", "note", "line-test", "post-hold"}


def test_a_suspended_reader_is_named_all_the_same_while_the_post_is_theirs():
    world = quiet()
    world.accept(world.note(to=WITH_DEPUTY))
    world.accept(world.member(DORA, state=State.SUSPENDED))
    fired = rungs_of(world.elapse(130 * SECOND))
    assert fired[0].reached[0].readers == (DORA,)
    assert FCO not in {f.party for f in fired}
