"""What operators do with their queue: own party only, and nothing is stopped for good (WATCH)."""

from __future__ import annotations

from itertools import permutations

import pytest

from liaison.ledger.facts import WatchFacts
from liaison.ledger.record import Record
from liaison.rules.cells import Item, Note
from liaison.rules.lives import Life
from liaison.rules.refusal import Refused
from liaison.statements.payloads import MemberRole, State, Verdict
from liaison.statements.procedures import WatchAction
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import (
    CALM,
    URGENT,
    WITH_DEPUTY,
    addressee,
    effects,
    forum,
    hotline,
    last,
    lives,
    note_of,
    quiet,
    rungs_of,
    story,
    verbale,
)
from tests.world import (
    ACTION,
    ANNA,
    CHAIR,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    MOD,
    OLGA,
    PETE,
    ULLA,
    UN,
    MemoryWorld,
    digest,
)

A = WatchAction
ACKNOWLEDGED, DECLINED = Verdict.ACKNOWLEDGED, Verdict.DECLINED


def item(world: MemoryWorld, note: str, party: str = MOD) -> Item:
    return next(i for i in note_of(world, note).items or () if i.party == party)


def climbing() -> tuple[MemoryWorld, str]:
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.elapse(310 * SECOND)
    return world, note


@pytest.mark.parametrize("order", [*permutations((PETE, EDWIN))])
def test_of_two_claims_exactly_one_wins_and_the_other_is_told_who(order):
    world, note = climbing()
    claims = [world.watch(by, A.CLAIM, note) for by in order]
    outcomes = [world.submit(claim) for claim in claims]
    assert isinstance(outcomes[0], Record)
    assert isinstance(outcomes[1], Refused)
    assert outcomes[1].code == "already-claimed"
    assert f"was claimed by {order[0]} at" in outcomes[1].text
    assert item(world, note).claimed_by == order[0]
    refuses(world, world.watch(order[0], A.CLAIM, note), "already-claimed")


def test_who_claimed_it_puts_it_back_and_nobody_else():
    world, note = climbing()
    refuses(world, world.watch(PETE, A.PUT_BACK, note), "not-claimed", "claimed by nobody")
    world.accept(world.watch(PETE, A.CLAIM, note))
    refuses(world, world.watch(EDWIN, A.PUT_BACK, note), "not-claimed", f"claimed by {PETE}")
    world.accept(world.watch(PETE, A.PUT_BACK, note))
    assert item(world, note).claimed_by is None
    world.accept(world.watch(EDWIN, A.CLAIM, note))


def test_a_claim_of_somebody_who_is_no_operator_any_more_blocks_nobody():
    for changes in ({"state": State.SUSPENDED}, {"roles": (MemberRole.ATTACHE,)}):
        world, note = climbing()
        world.accept(world.watch(PETE, A.CLAIM, note))
        refuses(world, world.watch(EDWIN, A.CLAIM, note), "already-claimed")
        world.accept(world.member(PETE, **changes))
        world.accept(world.watch(EDWIN, A.CLAIM, note))
        assert item(world, note).claimed_by == EDWIN


def test_a_claim_stops_no_rung():
    world, note = climbing()
    world.accept(world.watch(PETE, A.CLAIM, note))
    assert [e.value for e in effects(world.elapse(20 * MINUTE))] == ["open", "tell", "exhausted"]
    assert item(world, note).claimed_by == PETE


def test_an_annotation_stands_on_the_item_and_nowhere_else():
    world, note = climbing()
    before = note_of(world, note)
    world.accept(world.watch(PETE, A.ANNOTATE, note, text="Ship has no reception until noon"))
    assert item(world, note).annotation == "Ship has no reception until noon"
    assert note_of(world, note).climbs == before.climbs
    assert last(world).told == ()
    world.accept(world.watch(EDWIN, A.ANNOTATE, note, text="Reached by radio"))
    assert item(world, note).annotation == "Reached by radio"


def test_an_operator_escalates_now():
    world, note = climbing()
    began = note_of(world, note).at
    world.accept(world.watch(PETE, A.ESCALATE, note))
    at = world.head_at
    fired = world.elapse(10 * MINUTE)
    assert story(fired, at) == [("open", 0), ("tell", 300)]  # the waits after it are whole
    assert at < began + 600 * SECOND
    assert lives(world, note)[DEPUTY] is Life.QUEUED


def test_an_operator_acts_for_their_own_party_only():
    world, note = climbing()
    for action in (A.CLAIM, A.PUT_BACK, A.ANNOTATE, A.ESCALATE, A.CLOSE):
        refuses(world, world.watch(OLGA, action, note), "not-on-the-queue", "asks nobody of")
    snooze = world.watch(OLGA, A.SNOOZE, note, until=world.clock + MINUTE)
    refuses(world, snooze, "not-on-the-queue")
    refuses(world, world.watch(OLGA, A.REOPEN, note, post=DUTY), "not-on-the-queue")
    refuses(world, world.watch(DORA, A.CLAIM, note), "role", "no operator")
    refuses(world, world.watch(PETE, A.CLAIM, digest("x")), "unknown-note")
    refuses(world, world.watch(PETE, A.CLAIM, note, channel=digest("x")), "unknown-channel")
    world.accept(world.watch(PETE, A.CLAIM, note))


def two_parties() -> tuple[MemoryWorld, str]:
    """Return a forum in which a note climbs for two parties, each with an operator."""
    world = forum()
    world.accept(world.member(ULLA, roles=(MemberRole.ATTACHE, MemberRole.OPERATOR)))
    to = {**WITH_DEPUTY, CHAIR: ACTION}
    note = world.accept(world.note(kind="urgent", to=to, precedence=URGENT)).digest
    return world, note


def climb_due(world: MemoryWorld, note: str, party: str) -> int:
    climb = note_of(world, note).climb_of(party)
    assert climb is not None
    return climb.due


def test_nothing_that_one_partys_operator_does_moves_another_partys_ladder():
    world, note = two_parties()
    world.elapse(1510 * SECOND)
    due = climb_due(world, note, MOD)
    until = world.clock + MINUTE
    for statement in (
        world.watch(ULLA, A.CLAIM, note),
        world.watch(ULLA, A.SNOOZE, note, until=until),
        world.watch(ULLA, A.ESCALATE, note),
    ):
        world.accept(statement)
        assert climb_due(world, note, MOD) == due
    world.fire_due()
    world.accept(world.watch(ULLA, A.CLOSE, note))
    assert lives(world, note) == {
        DUTY: Life.QUEUED,
        DEPUTY: Life.QUEUED,
        CHAIR: Life.UNANSWERED,
    }
    assert climb_due(world, note, MOD) == due
    world.accept(world.watch(ULLA, A.REOPEN, note, post=CHAIR))
    assert climb_due(world, note, MOD) == due
    assert climb_due(world, note, UN) == world.head_at + 120 * SECOND


# Snooze


def test_a_snooze_is_bounded_and_once_a_rung():
    world = quiet()
    note = world.accept(world.note(precedence=CALM)).digest
    due = climb_due(world, note, MOD)
    world.clock = due - 100 * SECOND
    for until in (world.next_at, world.next_at + 900 * SECOND + 1):
        refuses(world, world.watch(PETE, A.SNOOZE, note, until=until), "snooze", "at most 900 s")
    until = world.next_at + 900 * SECOND
    world.accept(world.watch(PETE, A.SNOOZE, note, until=until))
    assert climb_due(world, note, MOD) == until
    assert item(world, note).snoozed_until == until
    refuses(
        world,
        world.watch(PETE, A.SNOOZE, note, until=world.clock + MINUTE),
        "snooze",
        "snoozed on this rung already",
    )
    fired = world.elapse(1000 * SECOND)
    assert [(f.effect.value, f.due) for f in rungs_of(fired)] == [("alert", until)]
    world.accept(world.watch(PETE, A.SNOOZE, note, until=world.clock + MINUTE))  # the next rung
    assert climb_due(world, note, MOD) == until + HOUR  # a snooze makes nothing come earlier


def test_flash_is_never_snoozed_past_its_due_time():
    world, note = climbing()
    due = climb_due(world, note, MOD)
    refuses(world, world.watch(PETE, A.SNOOZE, note, until=due + 1), "snooze", "never past its due")
    world.accept(world.watch(PETE, A.SNOOZE, note, until=due))
    assert climb_due(world, note, MOD) == due
    assert [e.value for e in effects(world.elapse(300 * SECOND))] == ["open"]


def test_a_charter_that_says_nothing_of_snoozing_allows_four_hours():
    world = verbale()
    draft = world.accept(world.draft(precedence=CALM))
    world.accept(world.answer(worlds.FELIX, ACKNOWLEDGED, draft.digest))
    world.accept(world.release(draft))
    note = draft.digest
    over = world.watch(PETE, A.SNOOZE, note, until=world.next_at + 4 * HOUR + SECOND)
    refuses(world, over, "snooze", "at most 14400 s")
    world.accept(world.watch(PETE, A.SNOOZE, note, until=world.clock + 4 * HOUR))


def test_a_snoozed_item_rings_however_often_it_is_snoozed():
    world = quiet()
    note = world.accept(world.note(precedence=CALM)).digest
    rung = 0
    for _ in range(60):
        world.elapse(DAY // 4)
        snooze = world.watch(PETE, A.SNOOZE, note, until=world.next_at + 900 * SECOND)
        rung += isinstance(world.submit(snooze), Record)
    assert rung
    assert len(rungs_of(world.records)) > 10


# Close and reopen


def test_an_item_is_closed_only_after_its_ladder_was_exhausted():
    world, note = climbing()
    refuses(world, world.watch(PETE, A.CLOSE, note), "not-exhausted", "only after its ladder")
    world.elapse(1100 * SECOND)
    refuses(world, world.watch(PETE, A.CLOSE, note), "not-exhausted")
    world.elapse(100 * SECOND)
    world.accept(world.watch(PETE, A.CLOSE, note))
    assert last(world).told == (ANNA,)
    assert lives(world, note) == {DUTY: Life.UNANSWERED, DEPUTY: Life.UNANSWERED}
    assert world.elapse(30 * DAY) == []
    refuses(world, world.watch(PETE, A.CLOSE, note), "not-on-the-queue", "nothing waits for")
    refuses(world, world.answer(DORA, ACKNOWLEDGED, note), "not-now", "unanswered")


def test_a_closed_item_whose_answer_was_overdue_rings_no_more():
    world = quiet()
    note = world.accept(world.note()).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.elapse(2 * HOUR)
    world.accept(world.watch(PETE, A.CLOSE, note))
    assert lives(world, note) == {DUTY: Life.ACKNOWLEDGED}
    assert world.elapse(30 * DAY) == []


@pytest.mark.parametrize("how", ["acknowledged", "declined", "unanswered"])
def test_reopen_arms_the_ladder_again(how):
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    if how == "acknowledged":
        world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    elif how == "declined":
        world.accept(world.answer(DORA, DECLINED, note))
        world.elapse(2 * HOUR)
        world.accept(world.watch(PETE, A.CLOSE, note))
    else:
        world.elapse(2 * HOUR)
        world.accept(world.watch(PETE, A.CLOSE, note))
    assert note_of(world, note).climbs is None
    world.advance(MINUTE)
    world.accept(world.watch(PETE, A.REOPEN, note, post=DUTY))
    at = world.head_at
    assert last(world).told == tuple(sorted((ANNA, DORA)))
    assert addressee(world, note, DUTY).life is Life.DELIVERED
    (climb,) = note_of(world, note).climbs or ()
    assert (climb.round, climb.waits_for) == (2, "acknowledgement")
    assert story(world.elapse(130 * SECOND), at) == [("alert", 120)]
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))


def test_reopening_puts_no_running_ladder_back_to_its_foot():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.accept(world.answer(DORA, DECLINED, note))
    world.elapse(200 * SECOND)
    before = note_of(world, note).climbs
    world.accept(world.watch(PETE, A.REOPEN, note, post=DUTY))
    assert note_of(world, note).climbs == before
    world.accept(world.answer(DORA, DECLINED, note))
    assert lives(world, note)[DUTY] is Life.DECLINED


def test_reopening_does_not_hide_an_answer_that_is_overdue():
    world = quiet()
    note = world.accept(world.note()).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.elapse(HOUR)
    before = note_of(world, note).climbs
    world.accept(world.watch(PETE, A.REOPEN, note, post=DUTY))
    assert note_of(world, note).climbs == before
    assert addressee(world, note, DUTY).overdue is not None
    assert effects(world.elapse(HOUR))


def test_reopen_names_a_post_that_is_settled():
    world, note = climbing()
    refuses(world, world.watch(PETE, A.REOPEN, note, post=DUTY), "not-now", "is queued for")
    refuses(world, world.watch(PETE, A.REOPEN, note, post=DEPUTY), "not-addressed")
    refuses(world, world.watch(PETE, A.REOPEN, note, post=CHAIR), "not-addressed")
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    refuses(world, world.watch(PETE, A.CLAIM, note), "not-on-the-queue", "nothing waits for")
    world.accept(world.watch(PETE, A.REOPEN, note, post=DUTY))


def test_a_note_reopened_after_its_expiry_is_asked_without_one():
    world = quiet()
    note = world.accept(world.note(expiry=world.clock + HOUR)).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.accept(world.note(DORA, kind="plain", in_reply_to=note))
    early = world.copy()
    early.accept(early.watch(PETE, A.REOPEN, note, post=DUTY))
    early.elapse(2 * HOUR)
    assert lives(early, note) == {DUTY: Life.EXPIRED}
    world.advance(2 * HOUR)
    world.accept(world.watch(PETE, A.REOPEN, note, post=DUTY))
    assert world.fire_due() == []
    assert lives(world, note) == {DUTY: Life.DELIVERED}
    assert note_of(world, note).climbs


def test_what_operators_did_lasts_as_long_as_the_ladders_round():
    world, note = climbing()
    world.accept(world.watch(PETE, A.CLAIM, note))
    assert item(world, note).raised
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    assert note_of(world, note).items is None
    world.elapse(HOUR)
    assert note_of(world, note).climbs
    assert item(world, note).claimed_by is None


# The line


def test_missed_tests_are_claimed_and_closed_by_each_side():
    world = hotline()
    refuses(world, world.watch(PETE, A.CLAIM), "not-on-the-queue", "no line test")
    world.elapse(2 * HOUR)
    world.accept(world.watch(PETE, A.CLAIM))
    refuses(world, world.watch(EDWIN, A.CLAIM), "already-claimed", "the missed line tests")
    world.accept(world.watch(OLGA, A.CLAIM))
    world.accept(world.watch(PETE, A.CLOSE))
    facts = last(world)
    assert isinstance(facts, WatchFacts)
    assert (facts.note, facts.party, facts.told) == (None, MOD, ())
    refuses(world, world.watch(PETE, A.ANNOTATE), "not-on-the-queue")
    world.accept(world.watch(OLGA, A.ANNOTATE))
    world.elapse(HOUR)
    world.accept(world.watch(EDWIN, A.CLAIM))


def test_the_items_of_a_note_are_in_the_order_of_their_parties():
    world, note = two_parties()
    world.elapse(310 * SECOND)
    items = note_of(world, note).items or ()
    assert [i.party for i in items] == sorted(i.party for i in items) == [MOD, UN]
    assert isinstance(note_of(world, note), Note)
