"""Answers and who owes them: what counts, what doesn't, and who was first (ANSWER, DEADLINE-4, -5)."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from liaison.ledger.facts import AnswerFacts, DeadlineFacts
from liaison.rules.lives import Life
from liaison.statements.charters import Silence
from liaison.statements.payloads import Verdict
from liaison.statements.procedures import WatchAction
from liaison.words.times import HOUR, MINUTE
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import URGENT, addressee, last, note_of, quiet, verbale
from tests.world import (
    ACTION,
    DORA,
    DUTY,
    FELIX,
    INFO,
    LONDON,
    PETE,
    MemoryWorld,
)

ACKNOWLEDGED, DECLINED = Verdict.ACKNOWLEDGED, Verdict.DECLINED


def asked(world: MemoryWorld, **changes) -> str:
    """Return a leader's note to the duty desk."""
    return world.accept(world.note(precedence=URGENT, **changes)).digest


def overdue(records) -> list[str]:
    return [
        post
        for record in records
        if isinstance(record.facts, DeadlineFacts) and record.facts.what == "reply-overdue"
        for post in record.facts.posts
    ]


def test_who_cleared_a_draft_is_not_told_to_others_as_the_first():
    world = verbale()
    draft = world.accept(world.draft())
    world.accept(world.answer(FELIX, ACKNOWLEDGED, draft.digest))
    world.accept(world.release(draft))
    world.accept(world.answer(DORA, ACKNOWLEDGED, draft.digest))
    facts = last(world)
    assert isinstance(facts, AnswerFacts)
    assert facts.notes[0].first is None


def test_a_withdrawn_draft_is_nothing_to_reply_to():
    world = verbale()
    draft = world.accept(world.draft())
    world.accept(world.withdrawal(draft.digest))
    refuses(world, world.note(DORA, kind="plain", in_reply_to=draft.digest), "unknown-note")
    note = world.accept(world.note(kind="plain")).digest
    world.accept(world.note(DORA, kind="plain", in_reply_to=note))


def test_who_declined_owes_no_answer():
    world = quiet()
    note = asked(world, reply_by=world.clock + HOUR)
    world.accept(world.answer(DORA, DECLINED, note))
    assert addressee(world, note, DUTY).reply_by is None
    assert overdue(world.elapse(2 * HOUR)) == []
    other = asked(world, reply_by=world.clock + HOUR)
    world.accept(world.answer(DORA, ACKNOWLEDGED, other))
    assert overdue(world.elapse(2 * HOUR)) == [DUTY]


def test_only_what_the_asking_party_gets_is_an_answer_to_it():
    world = worlds.quiet_hotline(
        rules=(worlds.use("members-exactly", count=2),)  # so that a note may stay inside
    )
    note = asked(world)
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.accept(world.note(DORA, {worlds.DEPUTY: INFO}, kind="plain", in_reply_to=note))
    assert addressee(world, note, DUTY).replied is None
    world.accept(world.note(DORA, {LONDON: ACTION}, kind="plain", in_reply_to=note))
    assert addressee(world, note, DUTY).replied == world.head_at


def test_being_asked_again_gives_no_new_time_to_answer():
    world = quiet()
    note = asked(world)
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    due = addressee(world, note, DUTY).reply_by
    assert due == world.head_at + 30 * MINUTE
    world.elapse(20 * MINUTE)
    world.accept(world.watch(PETE, WatchAction.REOPEN, note, post=DUTY))
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    assert addressee(world, note, DUTY).reply_by == due
    assert overdue(world.elapse(11 * MINUTE)) == [DUTY]
    world.advance(MINUTE)
    climb = note_of(world, note).climb
    assert climb is not None
    assert climb.waits_for == "answer"
    world.accept(world.watch(PETE, WatchAction.REOPEN, note, post=DUTY))
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    again = note_of(world, note).climb
    assert again is not None
    assert (again.round, again.waits_for) == (climb.round, "answer")
    assert addressee(world, note, DUTY).life is Life.ACKNOWLEDGED


def test_a_kind_under_silence_has_no_ladder():
    silence = Silence(min_s=60, max_s=120)
    assert worlds.kind("proposal", silence=silence).silence == silence
    with pytest.raises(ValidationError, match="silence is an answer"):
        worlds.kind("proposal", silence=silence, ladders=worlds.CLIMBS)
    with pytest.raises(ValidationError, match="silence is an answer"):
        worlds.kind("proposal", silence=silence, answer_within_s=60)
