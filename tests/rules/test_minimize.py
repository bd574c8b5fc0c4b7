"""Minimize: essential traffic only, for a time, and nobody gets out of a procedure by it (MINIMIZE)."""

from __future__ import annotations

from typing import Any

import pytest

from liaison.ledger.facts import WatchFacts
from liaison.ledger.record import Record
from liaison.rules import cells
from liaison.rules.lives import Life, Stage
from liaison.rules.refusal import Refused
from liaison.statements.charters import Standing
from liaison.statements.payloads import NotePrecedence, Verdict
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, MINUTE, SECOND, to_dtg
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import CALM, forum, hotline, last, lives, note_of, quiet, verbale
from tests.world import (
    ACTION,
    ANNA,
    CHAIR,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    FELIX,
    INFO,
    LONDON,
    MINISTRY,
    MOD,
    OLGA,
    PETE,
    STANDBY,
    MemoryWorld,
    digest,
    replay,
    rows_of,
)

IMMEDIATE, PRIORITY, ROUTINE = Precedence.IMMEDIATE, Precedence.PRIORITY, Precedence.ROUTINE


def plain(world: MemoryWorld, by: str = ANNA, **changes: Any) -> Any:
    return world.note(by, **{"kind": "plain", "precedence": CALM, **changes})


def minimized(world: MemoryWorld) -> tuple[cells.Minimized, ...]:
    return world.have(cells.Channel, world.channel).minimized or ()


@pytest.mark.parametrize("precedence", [p for p in Precedence if p is not Precedence.OVERRIDE])
def test_what_is_below_is_refused_and_the_rest_passes(precedence):
    world = quiet()
    world.accept(world.minimize(PETE))
    said = NotePrecedence(action=precedence, info=Precedence.DEFERRED)
    note = plain(world, precedence=said)
    if precedence.rank < IMMEDIATE.rank:
        refuses(world, note, "minimize")
    else:
        world.accept(note)


def test_the_refusal_says_whose_it_is_until_when_why_and_what_helps():
    world = quiet()
    until = world.clock + HOUR
    world.accept(world.minimize(PETE, text="The cable is cut"))
    refused = world.submit(plain(world))
    assert isinstance(refused, Refused)
    assert refused.text == (
        f"mod.example has MINIMIZE on london-hotline below IMMEDIATE until {to_dtg(until)}: "
        "The cable is cut"
    )
    assert refused.do == (
        "raise its precedence if it warrants that; write it then, or defer it until then; "
        f"leave out {DUTY}"
    )
    own = world.submit(plain(world, DORA))
    assert isinstance(own, Refused)
    assert own.code == "minimize"
    assert "leave out" not in own.do


def test_it_ends_by_itself_at_its_time_and_by_no_record():
    world = quiet()
    world.accept(world.minimize(PETE, lasts=HOUR))
    until = minimized(world)[0].until
    world.clock = until - 2
    refuses(world, plain(world), "minimize")
    world.clock = until - 1
    assert world.next_at == until - 1
    refuses(world, plain(world), "minimize")
    size = len(world.records)
    world.clock = until
    world.fire_due()
    world.accept(plain(world))
    assert len(world.records) == size + 1
    refuses(world, world.minimize(PETE, below=None), "already-so", "no MINIMIZE")
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_it_is_ended_early_and_replaced_by_its_own_operators_only():
    world = quiet()
    refuses(world, world.minimize(PETE, below=None), "already-so")
    world.accept(world.minimize(PETE))
    refuses(world, world.minimize(OLGA, below=None), "already-so", "fco.example has no")
    world.accept(world.minimize(EDWIN, below=PRIORITY, lasts=2 * HOUR, text="Still down"))
    (now,) = minimized(world)
    assert (now.by, now.below, now.text, now.party) == (EDWIN, PRIORITY, "Still down", MOD)
    world.accept(plain(world, precedence=NotePrecedence(action=PRIORITY, info=PRIORITY)))
    refuses(world, plain(world), "minimize", "Still down")
    world.accept(world.minimize(PETE, below=None))
    assert minimized(world) == ()
    facts = last(world)
    assert isinstance(facts, WatchFacts)
    assert (facts.below, facts.until, facts.text, facts.told) == (None, None, None, ())
    world.accept(plain(world))


def test_each_party_has_its_own():
    world = quiet()
    world.accept(world.minimize(PETE, below=PRIORITY))
    world.accept(world.minimize(OLGA, below=IMMEDIATE))
    assert [(m.party, m.below) for m in minimized(world)] == [(FCO, IMMEDIATE), (MOD, PRIORITY)]
    refuses(world, plain(world), "minimize", "fco.example has")
    world.accept(world.minimize(OLGA, below=None))
    refuses(world, plain(world), "minimize", "mod.example has")


def test_an_operator_asks_within_bounds():
    world = worlds.quiet_hotline(terms=worlds.terms(minimize_max_s=3600))
    refuses(world, world.minimize(PETE, lasts=HOUR + SECOND), "minimize-bounds", "at most 3600 s")
    refuses(world, world.minimize(PETE, lasts=0), "minimize-bounds", "lies ahead")
    for below in (Precedence.DEFERRED, Precedence.OVERRIDE):
        refuses(world, world.minimize(PETE, below=below), "minimize-bounds", "ROUTINE to FLASH")
    refuses(world, world.minimize(DORA), "role", "no operator")
    refuses(world, world.minimize(PETE, channel=digest("x")), "unknown-channel")
    world.accept(world.minimize(PETE, below=Precedence.FLASH, until=world.clock + HOUR))
    unlimited = quiet()
    refuses(unlimited, unlimited.minimize(PETE, lasts=DAY + SECOND), "minimize-bounds", "86400 s")
    unlimited.accept(unlimited.minimize(PETE, lasts=DAY))


def test_flash_passes_whole_with_whom_it_informs():
    world = quiet()
    world.accept(world.minimize(PETE, below=Precedence.FLASH))
    flash = NotePrecedence(action=Precedence.FLASH, info=ROUTINE)
    immediate = NotePrecedence(action=IMMEDIATE, info=ROUTINE)
    refuses(world, plain(world, precedence=immediate), "minimize")
    world.accept(world.note(to={DUTY: ACTION, MINISTRY: INFO}, precedence=flash))


def test_who_is_informed_counts_with_the_precedence_for_information():
    world = quiet()
    world.accept(world.minimize(PETE))
    said = NotePrecedence(action=IMMEDIATE, info=ROUTINE)
    refused = world.submit(plain(world, to={DUTY: ACTION, MINISTRY: INFO}, precedence=said))
    assert isinstance(refused, Refused)
    assert refused.do.endswith(f"leave out {MINISTRY}")
    world.accept(plain(world, to={DUTY: ACTION}, precedence=said))


def test_who_stands_by_is_not_asked_yet():
    world = quiet()
    world.accept(world.minimize(PETE))
    said = NotePrecedence(action=Precedence.FLASH, info=ROUTINE)
    world.accept(world.note(to={DUTY: ACTION, DEPUTY: STANDBY}, precedence=said))


def test_in_a_forum_it_holds_what_is_for_the_party_or_by_it_and_nothing_else():
    world = forum()
    world.accept(world.minimize(PETE))
    both = {DUTY: ACTION, CHAIR: ACTION}
    refuses(world, world.note(to=both, kind="statement", precedence=CALM), "minimize", MOD)
    world.accept(world.note(to={CHAIR: ACTION}, kind="statement", precedence=CALM))
    note = world.note(DORA, to={CHAIR: ACTION}, kind="statement", precedence=CALM)
    refuses(world, note, "minimize", MOD)


# What passes all the same


def test_an_answer_to_who_asked_passes_and_a_mere_mention_does_not():
    world = quiet()
    asked = world.accept(plain(world, reply_by=world.clock + 2 * HOUR)).digest
    world.accept(world.minimize(PETE))
    world.accept(world.minimize(OLGA))
    refuses(world, plain(world, in_reply_to=asked), "minimize")  # it asked this itself
    refuses(world, plain(world, DORA), "minimize")
    world.accept(plain(world, DORA, in_reply_to=asked))
    assert note_of(world, asked).addressees[0].replied is not None


@pytest.mark.parametrize("verdict", [Verdict.ACKNOWLEDGED, Verdict.DECLINED, Verdict.DELIVERED])
def test_answers_and_withdrawals_pass(verdict):
    world = quiet()
    note = world.accept(plain(world)).digest
    for operator in (PETE, OLGA):
        world.accept(world.minimize(operator, below=Precedence.FLASH))
    world.accept(world.answer(DORA, verdict, note))
    if verdict is Verdict.DELIVERED:
        world.accept(world.withdrawal(note))


def test_a_proposal_is_put_amended_objected_to_and_adopted_all_the_same():
    world = forum()
    world.accept(world.minimize(PETE, below=Precedence.FLASH, lasts=DAY))
    first = world.accept(world.proposal(precedence=CALM, lasts=2 * HOUR)).digest
    second = world.accept(world.proposal(DORA, precedence=CALM, lasts=2 * HOUR)).digest
    world.accept(world.objection(first))
    world.accept(world.proposal(DORA, precedence=CALM, lasts=2 * HOUR, amends=second))
    third = world.accept(world.proposal(precedence=CALM, lasts=2 * HOUR)).digest
    world.elapse(3 * HOUR)
    stages = [p.stage for d in (first, second, third) if (p := note_of(world, d).procedure)]
    assert stages == [Stage.BROKEN, Stage.BROKEN, Stage.ADOPTED]


def test_service_notes_and_the_lines_own_tests_pass():
    world = hotline()
    for operator in (PETE, OLGA):
        world.accept(world.minimize(operator, below=Precedence.FLASH))
    world.accept(world.note(kind="service", precedence=CALM))
    world.accept(world.note(PETE, kind="test", precedence=CALM, to={LONDON: ACTION}))
    untested = quiet()  # there they are notes as any
    untested.accept(untested.minimize(PETE))
    note = untested.note(PETE, kind="test", precedence=CALM, to={LONDON: ACTION})
    refuses(untested, note, "minimize")


def test_what_was_accepted_before_goes_on():
    world = verbale()
    draft = world.accept(world.draft(precedence=CALM))
    deferred = world.accept(plain(world, deferred_until=world.clock + 10 * MINUTE)).digest
    world.accept(world.minimize(PETE))
    refuses(world, world.draft(precedence=CALM), "minimize", MOD)
    world.accept(world.answer(FELIX, Verdict.ACKNOWLEDGED, draft.digest))
    world.accept(world.release(draft))
    world.elapse(11 * MINUTE)
    assert lives(world, deferred) == {DUTY: Life.QUEUED}
    assert note_of(world, draft.digest).climbs


def test_a_note_that_is_shown_after_its_end_passes():
    world = quiet()
    world.accept(world.minimize(PETE, lasts=HOUR))
    until = minimized(world)[0].until
    refuses(world, plain(world, deferred_until=until - 1), "minimize")
    world.accept(plain(world, deferred_until=until))


def test_it_outlasts_a_new_charter_and_a_party_that_comes_back():
    world = quiet()
    world.accept(world.minimize(PETE, lasts=2 * HOUR))
    before = minimized(world)
    world.amend(MOD)
    assert minimized(world) == before
    world.accept(world.participation(MOD, Standing.SUSPENDED))
    refuses(world, plain(world), "part-suspended")
    world.accept(world.participation(MOD, Standing.ACTIVE))
    refuses(world, plain(world), "minimize")


def test_a_note_that_no_precedence_would_help_is_refused_for_what_is_wrong_with_it():
    world = quiet()
    world.accept(world.minimize(PETE))
    refuses(world, plain(world, expiry=world.clock), "times")
    refuses(world, plain(world), "minimize")


def test_version_1_knows_no_minimize():
    world = MemoryWorld.opened(version=1)
    world.accept(world.member(EDWIN, roles=worlds.ROLES[EDWIN]))
    refuses(world, world.minimize(EDWIN), "not-in-this-version")


def test_a_record_of_it_is_the_operators_word_on_the_channel():
    world = quiet()
    statement = world.accept(world.minimize(PETE))
    record = world.records[-1]
    assert isinstance(record, Record)
    facts = record.facts
    assert isinstance(facts, WatchFacts)
    assert (record.kind, record.note, record.actor) == ("watch", "", PETE)
    assert (record.urgency.outcome, record.urgency.due) == ("minimize", facts.until)
    assert (facts.party, facts.below, facts.index, facts.statement) == (
        MOD,
        IMMEDIATE,
        None,
        statement.digest,
    )
