"""Hold for delivery: ROUTINE waits, IMMEDIATE passes (HOLD)."""

from __future__ import annotations

from typing import Any

import pytest

from liaison.ledger.facts import HoldEndedFacts, HoldFacts
from liaison.rules import cells
from liaison.rules.lives import Life
from liaison.rules.showing import HELD_MAX
from liaison.statements.payloads import NotePrecedence, Verdict
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, SECOND
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import (
    CALM,
    URGENT,
    addressee,
    effects,
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
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FELIX,
    GRETA,
    INFO,
    MINISTRY,
    STANDBY,
    MemoryWorld,
    digest,
    replay,
    rows_of,
)

ACKNOWLEDGED, DELIVERED = Verdict.ACKNOWLEDGED, Verdict.DELIVERED
IMMEDIATE, PRIORITY, ROUTINE = Precedence.IMMEDIATE, Precedence.PRIORITY, Precedence.ROUTINE


def calm(world: MemoryWorld, **changes: Any) -> str:
    return world.accept(world.note(**{"kind": "service", "precedence": CALM, **changes})).digest


@pytest.mark.parametrize("precedence", Precedence)
def test_routine_waits_and_immediate_passes(precedence):
    if precedence is Precedence.OVERRIDE:
        return
    world = quiet()
    world.accept(world.hold(DORA))
    said = NotePrecedence(action=precedence, info=Precedence.DEFERRED)
    note = world.accept(world.note(precedence=said)).digest
    waits = precedence.rank < IMMEDIATE.rank
    assert bool(addressee(world, note, DUTY).held) is waits
    assert bool(note_of(world, note).climbs) is not waits
    if waits:
        refuses(world, world.answer(DORA, DELIVERED, note), "not-now", "not shown")
        refuses(world, world.answer(DORA, ACKNOWLEDGED, note), "not-now")
    else:
        world.accept(world.answer(DORA, ACKNOWLEDGED, note))


def test_what_waited_is_shown_when_the_hold_ends_and_climbs_from_then():
    world = quiet()
    world.accept(world.hold(DORA, lasts=2 * HOUR))
    notes = [calm(world), calm(world)]
    at = world.clock
    fired = world.elapse(3 * HOUR + 10 * SECOND)
    assert story(fired, at)[0] == ("hold-ended", 7200)
    ended = fired[0].facts
    assert isinstance(ended, HoldEndedFacts)
    assert [(s.note, s.readers) for s in ended.shown] == [(n, (DORA,)) for n in notes]
    assert story(fired, at)[1:] == [("alert", 10800), ("alert", 10800)]
    world.accept(world.answer(DORA, ACKNOWLEDGED, *notes))
    assert world.get(cells.PostHold, world.channel, DUTY) == cells.PostHold(
        channel=world.channel, post=DUTY, waiting=()
    )


def test_a_holder_ends_a_hold_before_its_time():
    world = quiet()
    world.accept(world.hold(DORA))
    note = calm(world)
    world.advance(60 * SECOND)
    world.accept(world.hold(DORA, below=None))
    facts = last(world)
    assert isinstance(facts, HoldFacts)
    assert [s.note for s in facts.shown] == [note]
    (climb,) = note_of(world, note).climbs or ()
    assert climb.due == world.head_at + HOUR
    refuses(world, world.hold(DORA, below=None), "already-so", "there is no hold")


def test_a_hold_is_a_holders_bounded_and_never_of_immediate():
    world = quiet()
    refuses(world, world.hold(DORA, below=Precedence.FLASH), "hold", "IMMEDIATE")
    refuses(world, world.hold(DORA, lasts=8 * HOUR + SECOND), "hold", "at most 28800 s")
    refuses(world, world.hold(DORA, lasts=0), "hold", "lies ahead")
    refuses(world, world.hold(ANNA, post=DUTY), "not-a-holder")
    refuses(world, world.hold(DORA, post="new@mod.example"), "unknown-post")
    refuses(world, world.hold(DORA, channel=digest("x")), "unknown-channel")
    world.accept(world.hold(DORA, lasts=8 * HOUR))


def test_a_hold_without_the_charters_limit_lasts_a_week_at_most():
    world = verbale()
    refuses(world, world.hold(DORA, lasts=7 * DAY + SECOND), "hold", "at most 604800 s")
    world.accept(world.hold(DORA, lasts=7 * DAY))


def test_holds_one_after_the_other_let_nothing_wait_longer_than_the_charter_says():
    world = quiet()
    world.accept(world.hold(DORA, lasts=HOUR))
    note, began = calm(world), world.clock
    world.advance(HOUR // 2)
    world.accept(world.hold(DORA, below=PRIORITY, lasts=2 * HOUR))
    assert addressee(world, note, DUTY).held
    world.advance(2 * HOUR - SECOND)
    refuses(world, world.hold(DORA, lasts=6 * HOUR), "hold", "after the post was put on hold")
    world.accept(world.hold(DORA, until=began + 8 * HOUR))
    world.elapse(8 * HOUR)
    assert not addressee(world, note, DUTY).held
    world.accept(world.hold(DORA, lasts=8 * HOUR))  # the next watch, with what comes then


def test_a_hold_is_for_one_post_and_for_what_is_asked_of_it():
    world = quiet()
    world.accept(world.hold(GRETA))
    note = world.accept(
        world.note(precedence=URGENT, to={DUTY: ACTION, MINISTRY: INFO, DEPUTY: STANDBY})
    ).digest
    assert addressee(world, note, MINISTRY).held  # ROUTINE for information
    assert not addressee(world, note, DUTY).held
    assert note_of(world, note).climbs
    refuses(world, world.answer(GRETA, DELIVERED, note), "not-now")
    world.accept(world.hold(GRETA, below=None))
    world.accept(world.answer(GRETA, DELIVERED, note))


def test_who_is_on_hold_is_not_rung_for_and_opens_no_deputy():
    world = quiet()
    to = {DUTY: ACTION, MINISTRY: ACTION}
    world.accept(world.hold(DORA, lasts=8 * HOUR))
    note = calm(world, to=to)
    assert [c.party for c in note_of(world, note).climbs or ()] == ["mod.example"]
    fired = rungs_of(world.elapse(HOUR + SECOND))
    assert fired[0].open == (MINISTRY,)
    world.accept(world.answer(GRETA, Verdict.DECLINED, note))
    assert note_of(world, note).climbs
    alone = calm(world)
    assert note_of(world, alone).climbs is None


def test_the_deadlines_of_a_note_that_waits_run_on():
    world = quiet()
    world.accept(world.hold(DORA, lasts=4 * HOUR))
    soon = world.clock + HOUR
    expires = calm(world, expiry=soon)
    missed = calm(world, latest_delivery=soon)
    owed = calm(world, reply_by=soon)
    world.elapse(2 * HOUR)
    assert lives(world, expires) == {DUTY: Life.EXPIRED}
    assert lives(world, missed) == {DUTY: Life.NON_DELIVERED}
    assert addressee(world, owed, DUTY).overdue == soon
    assert note_of(world, owed).climbs is None
    world.elapse(3 * HOUR)
    ended = next(r.facts for r in world.records if isinstance(r.facts, HoldEndedFacts))
    assert [s.note for s in ended.shown] == [owed]
    assert note_of(world, owed).climbs


def test_what_was_due_of_a_waiting_note_comes_before_the_end_of_its_hold():
    """Whichever statement is the first after an outage: a note for the post, or the hold's lifting."""
    for lift in (False, True):
        world = quiet()
        world.accept(world.hold(DORA, lasts=8 * HOUR if lift else 2 * HOUR))
        note = calm(world, latest_delivery=world.clock + HOUR)
        world.advance(3 * HOUR)
        statement = world.hold(DORA, below=None) if lift else world.note(kind="plain")
        world.accept(statement)
        assert lives(world, note) == {DUTY: Life.NON_DELIVERED}
        shown = [
            r.facts.shown for r in world.records if isinstance(r.facts, HoldEndedFacts | HoldFacts)
        ]
        assert shown[-1] == ()
        assert [r.kind for r in world.records[-3:]][-2:] == (
            ["deadline", "hold"] if lift else ["hold-ended", "note"]
        )


def test_a_deferred_note_waits_for_a_hold_that_began_meanwhile():
    world = quiet()
    note = calm(world, deferred_until=world.clock + HOUR)
    world.accept(world.hold(DORA, lasts=3 * HOUR))
    world.elapse(HOUR + SECOND)
    facts: Any = world.records[-1].facts
    assert (facts.what, facts.posts) == ("begun", ())
    assert addressee(world, note, DUTY).held
    world.elapse(2 * HOUR)
    assert not addressee(world, note, DUTY).held
    assert note_of(world, note).climbs


def test_a_deferred_note_does_not_wait_for_a_hold_that_ended_before_it_began():
    world = quiet()
    note = calm(world, deferred_until=world.clock + 2 * HOUR)
    world.accept(world.hold(DORA, lasts=HOUR))
    world.advance(3 * HOUR)
    world.accept(world.answer(DORA, DELIVERED, note))
    fallen = ["hold-ended", "deadline", "rung"]
    assert [r.kind for r in world.records[-4:]] == [*fallen, "answer"]


def test_a_released_note_waits_too():
    world = verbale()
    draft = world.accept(world.draft(precedence=CALM, drafted={DUTY: ACTION, MINISTRY: INFO}))
    world.accept(world.answer(FELIX, ACKNOWLEDGED, draft.digest))
    world.accept(world.hold(DORA))
    world.accept(world.release(draft))
    assert addressee(world, draft.digest, DUTY).held
    assert note_of(world, draft.digest).climbs is None
    world.accept(world.hold(DORA, below=None))
    assert note_of(world, draft.digest).climbs


def test_a_withdrawn_note_waits_no_more():
    world = quiet()
    world.accept(world.hold(DORA))
    note = calm(world)
    world.accept(world.withdrawal(note))
    assert lives(world, note) == {DUTY: Life.CANCELLED}
    world.accept(world.hold(DORA, below=None))
    assert last(world).shown == ()


def test_a_deputy_whose_tier_opens_does_not_wait():
    world = quiet()
    world.accept(world.hold(EDWIN))
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: STANDBY})).digest
    world.elapse(601 * SECOND)
    assert (lives(world, note)[DEPUTY], addressee(world, note, DEPUTY).held) == (Life.QUEUED, None)


def test_only_so_many_notes_wait_and_the_next_one_is_shown():
    world = quiet()
    world.accept(world.hold(DORA))
    notes = [calm(world, kind="plain") for _ in range(HELD_MAX + 1)]
    assert addressee(world, notes[-2], DUTY).held
    assert not addressee(world, notes[-1], DUTY).held
    world.elapse(2 * HOUR)
    assert not any(addressee(world, note, DUTY).held for note in notes)
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_what_waited_joins_a_ladder_that_runs_and_makes_it_no_longer():
    world = quiet()
    world.accept(world.hold(DORA, lasts=4 * HOUR))
    calm(world, to={DUTY: ACTION, MINISTRY: ACTION})
    began = world.clock
    fired = world.elapse(5 * HOUR)
    assert [(f.effect.value, f.round, f.open) for f in rungs_of(fired)] == [
        ("alert", 1, (MINISTRY,)),
        ("exhausted", 1, (MINISTRY,)),
    ]
    assert effects(world.elapse(DAY))[-1].value == "exhausted"
    assert rungs_of(world.records)[-1].open == (DUTY, MINISTRY)
    assert (rungs_of(world.records)[-1].due - began) // HOUR == 26
    assert world.records[-1].actor == worlds.ORIGIN


def test_an_answer_after_the_hold_ended_is_one_to_a_note_that_was_shown():
    """Though only the hold, which the answer does not name, was due."""
    world = quiet()
    world.accept(world.hold(DORA, lasts=HOUR))
    note = calm(world)
    world.advance(HOUR)
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    assert [r.kind for r in world.records[-2:]] == ["hold-ended", "answer"]
