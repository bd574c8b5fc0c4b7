"""Alternating line tests: a dead line is noticed before it is needed (TEST)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from liaison.ledger.facts import MissedTestFacts
from liaison.rules import cells
from liaison.rules.kinds.line_tests import turn_of
from liaison.rules.moments import MISSED_KEPT
from liaison.statements.charters import Standing
from liaison.statements.payloads import MemberRole
from liaison.words.times import DAY, HOUR, SECOND
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import CALM, hotline, verbale
from tests.world import (
    ACTION,
    FCO,
    LINE,
    MOD,
    OLGA,
    PETE,
    WATCH,
    MemoryWorld,
    replay,
    rows_of,
    use,
)

SENDERS = {FCO: (OLGA, WATCH), MOD: (PETE, LINE)}
GRACE = 300 * SECOND


def line(world: MemoryWorld) -> cells.LineTest:
    return world.have(cells.LineTest, world.channel)


def send(world: MemoryWorld, party: str, **changes: Any) -> None:
    by, to = SENDERS[party]
    said = {"kind": "test", "precedence": CALM, **changes}
    world.accept(world.note(by, {to: ACTION}, **said))


def missed(world: MemoryWorld) -> list[tuple[int, str]]:
    return [
        (r.facts.slot, r.facts.party) for r in world.records if isinstance(r.facts, MissedTestFacts)
    ]


def test_the_charters_first_party_has_the_even_hours_and_the_other_one_the_odd():
    world = hotline()
    slot = line(world).slot
    assert slot == world.records[-1].at // HOUR + 1
    for number in range(slot, slot + 4):
        assert line(world).turn == (FCO if number % 2 == 0 else MOD)
        world.elapse(number * HOUR + SECOND - world.clock)
        send(world, line(world).turn)
        assert line(world).slot == number + 1
    assert missed(world) == []


def test_a_missed_test_alarms_both_sides_at_the_end_of_its_grace():
    world = hotline()
    slot, turn = line(world).slot, line(world).turn
    assert world.elapse(slot * HOUR + GRACE - 1 - world.clock) == []
    (record,) = world.elapse(1)
    facts = record.facts
    assert isinstance(facts, MissedTestFacts)
    assert (facts.slot, facts.party, facts.due) == (slot, turn, slot * HOUR + GRACE)
    assert facts.informed == tuple(sorted((worlds.ANNA, worlds.DORA)))
    assert {item.party: item.missed for item in line(world).items} == {FCO: (slot,), MOD: (slot,)}


@pytest.mark.parametrize("state", [Standing.SUSPENDED, Standing.LEFT])
def test_a_missed_test_is_told_to_the_parties_that_take_part_only(state):
    world = hotline()
    slot = line(world).slot
    world.accept(world.participation(MOD, state))
    (record,) = world.elapse(slot * HOUR + GRACE - world.clock)
    facts = record.facts
    assert isinstance(facts, MissedTestFacts)
    assert facts.informed == (worlds.ANNA,)


@pytest.mark.parametrize("late", [-1, 0])
def test_a_test_in_the_last_microsecond_of_its_grace_counts_and_at_its_end_does_not(late):
    world = hotline()
    slot, turn = line(world).slot, line(world).turn
    world.clock = slot * HOUR + GRACE + late
    send(world, turn)
    assert missed(world) == ([] if late else [(slot, turn)])
    # The late one is no test of the next slot, which has not begun.
    assert line(world).slot == slot + 1


def test_only_the_party_whose_turn_it_is_tests_and_only_after_its_slot_began():
    world = hotline()
    slot, turn = line(world).slot, line(world).turn
    other = MOD if turn == FCO else FCO
    send(world, turn)
    world.clock = slot * HOUR + SECOND
    send(world, other)
    assert line(world).slot == slot
    by, to = SENDERS[turn]
    world.accept(world.member(by, roles=(MemberRole.ATTACHE, MemberRole.LINE_TEST)))
    world.accept(world.note(by, {to: ACTION}, kind="plain", precedence=CALM))
    assert line(world).slot == slot
    send(world, turn)
    assert line(world).slot == slot + 1


def test_a_test_is_signed_by_a_member_with_the_role():
    world = hotline()
    refuses(world, world.note(kind="test", precedence=CALM), "role", "written by line-test")
    send(world, FCO)


def test_a_line_test_names_a_kind_of_the_charter_and_ends_within_its_slot():
    world = MemoryWorld.staffed()

    def charter(**parameters: int | str) -> Any:
        said = {"kind": "service", "every_s": 3600, "grace_s": 300, **parameters}
        return world.charter(rules=(use("line-tests", **said),))

    refuses(world, charter(grace_s=3601), "line-tests", "a slot ends before")
    refuses(world, charter(kind="test"), "line-tests", "no notes of kind test")
    refuses(world, charter(every_s=0), "rule-parameters", "every")
    world.accept(charter())


def test_48_hours_of_tests_with_injected_losses_have_exactly_the_lost_ones_as_missed():
    world = hotline()
    first = line(world).slot
    lost = set(random.Random(48).sample(range(first, first + 48), 11))
    begun = world.clock
    expected = []
    for slot in range(first, first + 48):
        turn = FCO if slot % 2 == 0 else MOD
        world.elapse(slot * HOUR + 7 * SECOND - world.clock)
        if slot in lost:
            expected.append((slot, turn))
        else:
            send(world, turn)
    world.elapse(HOUR // 2)
    assert world.clock - begun > 47 * HOUR
    assert missed(world) == expected
    assert len(expected) == 11
    dues = [r.facts.due for r in world.records if isinstance(r.facts, MissedTestFacts)]
    assert dues == [slot * HOUR + GRACE for slot, _ in expected]
    assert [item.missed for item in line(world).items] == [tuple(s for s, _ in expected)] * 2
    tests = [s for s in world.accepted if getattr(s.payload, "kind", "") == "test"]
    assert len(tests) == 37
    assert {s.payload.checkpoint.size for s in tests} != {0}  # type: ignore[attr-defined]
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_after_an_outage_each_slot_that_passed_is_missed_by_itself_in_order():
    world = hotline()
    first = line(world).slot
    world.advance(10 * HOUR)
    world.accept(world.note(kind="plain"))
    slots = [slot for slot, _ in missed(world)]
    assert slots == [*range(first, first + len(slots))]
    assert len(slots) >= 9


def test_the_queue_keeps_the_newest_missed_tests_only():
    world = hotline()
    world.advance(3 * DAY)
    world.fire_due()
    newest = line(world).slot - 1
    kept = line(world).items[0].missed
    assert kept == (*range(newest - MISSED_KEPT + 1, newest + 1),)


# Charters and parties that change


def rhythm(every_s: int = 3600, grace_s: int = 300, kind: str = "test") -> Any:
    return (
        use("action-across"),
        use("line-tests", kind=kind, every_s=every_s, grace_s=grace_s),
        use("members-exactly", count=2),
    )


def test_an_amendment_changes_no_slot_that_runs():
    world = hotline()
    slot = line(world).slot
    world.elapse(slot * HOUR + SECOND - world.clock)
    before = line(world)
    world.amend(rules=rhythm(grace_s=10))
    assert line(world) == before
    world.elapse(GRACE)
    assert missed(world) == [(slot, before.turn)]
    assert (line(world).slot, line(world).grace_us) == (slot + 1, 10 * SECOND)


def test_what_was_missed_before_an_amendment_is_decided_by_the_former_charter():
    world = hotline()
    slot = line(world).slot
    amendment = world.accept(world.amendment(rules=rhythm(every_s=600, grace_s=60)))
    world.accept(world.accession(FCO, charter=amendment.digest))
    world.advance(90 * 60 * SECOND)
    world.accept(world.accession(MOD, charter=amendment.digest))
    assert missed(world)[0] == (slot, FCO if slot % 2 == 0 else MOD)
    after = line(world)
    assert after.due is not None
    assert after.due > world.head_at or after.slot == slot + 1


def test_another_rhythm_begins_after_the_slot_that_runs_and_forgets_nothing():
    world = hotline()
    slot = line(world).slot
    world.elapse(2 * HOUR)
    known = missed(world)
    assert known
    world.amend(rules=rhythm(every_s=600, grace_s=60))
    running = line(world)
    due = running.due
    assert due is not None
    assert running.every_us == HOUR
    world.elapse(due - world.clock)
    assert (line(world).every_us, line(world).slot) == (600 * SECOND, due // (600 * SECOND) + 1)
    assert line(world).items[0].missed is not None
    assert slot in line(world).items[0].missed  # type: ignore[operator]


def test_a_line_whose_charter_asks_for_tests_no_more_stops_after_its_slot_and_begins_again():
    world = hotline()
    world.amend(rules=(use("action-across"), use("members-exactly", count=2)))
    world.elapse(2 * HOUR)
    assert len(missed(world)) == 1
    assert (line(world).stopped, line(world).due) == (True, None)
    assert world.elapse(DAY) == []
    world.amend(rules=rhythm())
    assert line(world).slot == world.head_at // HOUR + 1
    assert line(world).items[0].missed == tuple(slot for slot, _ in missed(world))


def test_a_channel_gets_tests_by_an_amendment():
    world = verbale()
    assert world.get(cells.LineTest, world.channel) is None
    world.amend(rules=rhythm(kind="plain"))
    assert line(world).slot == world.head_at // HOUR + 1


def test_a_line_with_one_party_that_takes_part_is_not_rhythm():
    for state in (Standing.SUSPENDED, Standing.LEFT):
        world = hotline()
        world.accept(world.participation(MOD, state))
        world.elapse(2 * HOUR)
        assert len(missed(world)) == 1  # the slot that ran
        assert world.elapse(30 * DAY) == []
        if state is Standing.SUSPENDED:
            world.accept(world.participation(MOD, Standing.ACTIVE))
            assert line(world).slot == world.head_at // HOUR + 1
            assert len(world.elapse(3 * HOUR)) in (2, 3)


def test_turns_are_of_the_parties_that_take_part():
    world = worlds.forum(
        rules=(use("line-tests", kind="statement", every_s=3600, grace_s=300), use("seats"))
    )
    parties = world.have(cells.Channel, world.channel).parties
    channel = world.have(cells.Channel, world.channel)
    assert [turn_of(channel, slot) for slot in range(4)] == [*parties]
    world.accept(world.participation(worlds.OBS, Standing.LEFT))
    channel = world.have(cells.Channel, world.channel)
    assert [turn_of(channel, slot) for slot in range(3)] == [*parties[:3]]
    world.elapse(DAY)
    assert {party for _, party in missed(world)[1:]} == set(parties[:3])


def test_a_deferred_note_is_no_test():
    """It says that the line was up before it is read at the other end."""
    world = hotline()
    slot, turn = line(world).slot, line(world).turn
    world.clock = slot * HOUR + SECOND
    send(world, turn, deferred_until=world.clock + HOUR)
    assert line(world).slot == slot
    send(world, turn)
    assert line(world).slot == slot + 1
