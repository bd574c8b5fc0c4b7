"""The silence procedure, to the microsecond, and who may do what in a forum (SILENCE, SEAT)."""

from __future__ import annotations

from typing import Any

import pytest

from liaison.ledger.facts import ConclusionFacts, ExtensionFacts, ObjectionFacts
from liaison.rules import cells
from liaison.rules.kinds.forum import RIGHTS, Right
from liaison.rules.lives import PROCEDURE, Act, Life, Stage
from liaison.statements.charters import Seat, Seated, Silence, Standing
from liaison.statements.payloads import MemberRole, Verdict
from liaison.statements.statement import Statement
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import forum, last, lives, note_of, story
from tests.world import (
    ACTION,
    ANNA,
    CHAIR,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    LONDON,
    MOD,
    OTTO,
    SEAT,
    ULLA,
    UN,
    MemoryWorld,
    digest,
    replay,
    rows_of,
)


def proposed(world: MemoryWorld, lasts: int = DAY, **changes: Any) -> str:
    return world.accept(world.proposal(lasts=lasts, **changes)).digest


def stage(world: MemoryWorld, note: str) -> Stage:
    procedure = note_of(world, note).procedure
    assert procedure is not None
    return procedure.stage


def until(world: MemoryWorld, note: str) -> int:
    procedure = note_of(world, note).procedure
    assert procedure is not None
    return procedure.until


# Adopted


def test_a_proposal_that_nobody_objects_to_is_adopted_at_the_exact_expiry():
    world = forum()
    note, at = proposed(world), world.head_at
    assert stage(world, note) is Stage.UNDER_SILENCE
    assert world.elapse(DAY - 1) == []
    (record,) = world.elapse(1)
    assert story([record], at) == [("conclusion", 86400)]
    assert isinstance(record.facts, ConclusionFacts)
    assert record.facts.decision == 1
    assert record.facts.informed == tuple(sorted((ANNA, DORA, OTTO, ULLA)))
    assert stage(world, note) is Stage.ADOPTED
    assert world.first_due() is None


def test_decisions_are_numbered_in_the_order_of_their_records():
    world = forum()
    notes = [proposed(world, lasts) for lasts in (3 * DAY, DAY, 2 * DAY)]
    world.accept(world.objection(proposed(world)))
    world.elapse(4 * DAY)
    numbers = {n: note_of(world, n).procedure.decision for n in notes}  # type: ignore[union-attr]
    assert [numbers[n] for n in (notes[1], notes[2], notes[0])] == [1, 2, 3]
    assert world.have(cells.Decisions, world.channel).last == 3


# Broken


def test_an_objection_one_microsecond_before_the_expiry_breaks():
    world = forum()
    note = proposed(world)
    world.clock = until(world, note) - 1
    world.accept(world.objection(note))
    assert world.records[-1].at == until(world, note) - 1
    facts = last(world)
    assert isinstance(facts, ObjectionFacts)
    assert (facts.late, facts.told) == (False, tuple(sorted((ANNA, DORA, OTTO, ULLA))))
    assert stage(world, note) is Stage.BROKEN
    assert world.elapse(30 * DAY) == []


def test_an_objection_at_the_expiry_does_not_break_and_is_recorded_as_late():
    world = forum()
    note = proposed(world)
    world.clock = until(world, note)
    world.accept(world.objection(note))
    conclusion, objection = world.records[-2:]
    assert (conclusion.kind, conclusion.at) == ("conclusion", until(world, note))
    assert isinstance(objection.facts, ObjectionFacts)
    assert objection.facts.late
    assert objection.urgency.outcome == "late-objection"
    assert stage(world, note) is Stage.ADOPTED
    world.advance(DAY)
    world.accept(world.objection(note, by=ULLA))  # a statement, as often as it is made


def test_a_node_that_was_down_over_the_expiry_adopts_all_the_same():
    world = forum()
    note, at = proposed(world), world.head_at
    world.advance(3 * DAY)
    world.accept(world.objection(note))
    conclusion = world.records[-2]
    assert story([conclusion], at) == [("conclusion", 86400)]
    assert conclusion.at > until(world, note)
    assert stage(world, note) is Stage.ADOPTED


def test_an_objection_in_time_stays_decisive_under_a_flood():
    """However much FLASH there is before it and after it, its own time counts."""
    world = forum()
    note = proposed(world)
    end = until(world, note)
    for _ in range(150):
        world.accept(world.note(kind="statement", to={DUTY: ACTION}))
    world.clock = end - 400
    for party in (FCO, MOD):
        world.accept(world.directory(party))
    for _ in range(150):
        world.accept(world.note(kind="statement", to={DUTY: ACTION}))
    world.accept(world.objection(note))
    assert end - 400 < world.records[-1].at < end
    world.clock = end
    for _ in range(20):
        world.accept(world.note(kind="statement", to={DUTY: ACTION}))
    world.elapse(HOUR)
    assert stage(world, note) is Stage.BROKEN
    assert "conclusion" not in {record.kind for record in world.records}


def test_a_second_objection_finds_it_broken():
    world = forum()
    note = proposed(world)
    world.accept(world.objection(note))
    refuses(world, world.objection(note, by=ULLA), "not-under-silence", "is broken")


def test_an_amendment_breaks_and_puts_its_own_text_under_silence():
    world = forum()
    first = proposed(world)
    world.advance(HOUR)
    second = proposed(world, by=DORA, amends=first)
    assert (stage(world, first), stage(world, second)) == (Stage.BROKEN, Stage.UNDER_SILENCE)
    world.elapse(2 * DAY)
    assert (stage(world, first), stage(world, second)) == (Stage.BROKEN, Stage.ADOPTED)
    refuses(
        world,
        world.proposal(DORA, amends=second),
        "not-under-silence",
        f"{worlds.ALIAS}/2 is adopted",
    )


@pytest.mark.parametrize(("before", "what"), [(1, Stage.BROKEN), (0, Stage.ADOPTED)])
def test_an_amendment_counts_to_the_microsecond_too(before, what):
    world = forum()
    first = proposed(world)
    world.clock = until(world, first) - before
    amendment = world.proposal(DORA, amends=first, silence_until=world.clock + DAY)
    if before:
        world.accept(amendment)
    else:
        assert getattr(world.submit(amendment), "code", "") == "not-under-silence"
    assert stage(world, first) is what


def test_an_amendment_names_a_proposal_and_is_one():
    world = forum()
    first = proposed(world)
    plain = world.accept(world.note(kind="statement", to={DUTY: ACTION})).digest
    refuses(world, world.proposal(DORA, amends=plain), "unknown-note", "no such proposal")
    refuses(world, world.proposal(DORA, amends=digest("x")), "unknown-note")
    refuses(world, world.note(DORA, {LONDON: ACTION}, kind="statement", amends=first), "amends")
    refuses(
        world,
        world.proposal(DORA, amends=first, deferred_until=world.clock + HOUR),
        "times",
        "an amendment breaks silence at once",
    )
    world.accept(world.proposal(DORA, amends=first))


# Drafted amendments


def drafting_forum() -> MemoryWorld:
    """Return a forum whose proposals are released; Felix may, and his post is on the roster."""
    writers = (MemberRole.ATTACHE, MemberRole.CHAIR)
    return worlds.forum(
        kinds=(
            worlds.kind("proposal", silence=Silence(min_s=3600, max_s=14 * 86400), writers=writers),
            worlds.kind(
                "reviewed",
                silence=Silence(min_s=3600, max_s=14 * 86400),
                writers=writers,
                release=MemberRole.RELEASER,
            ),
        )
    )


def reviewed(world: MemoryWorld, lasts: int = DAY, **changes: Any) -> Statement[Any]:
    draft = world.draft(
        kind="reviewed",
        to={worlds.HEAD: worlds.INFO},
        silence_until=world.next_at + lasts,
        **{"drafted": {DUTY: ACTION, CHAIR: ACTION}, **changes},
    )
    return world.accept(draft)


def test_a_released_amendment_breaks_by_the_time_of_its_release():
    for before, what in ((1, Stage.BROKEN), (0, Stage.ADOPTED)):
        world = drafting_forum()
        first = proposed(world, by=DORA)
        draft = reviewed(world, 3 * DAY, amends=first)
        world.clock = until(world, first) - before
        for party in (FCO, MOD):
            world.accept(world.directory(party)) if not before else None
        release = world.release(draft)
        if before:
            world.accept(release)
        else:
            refused = world.submit(release)
            assert getattr(refused, "code", "") == "not-under-silence"
        assert stage(world, first) is what


def test_a_draft_whose_silence_would_be_too_short_is_not_released():
    world = drafting_forum()
    draft = reviewed(world, 3 * HOUR)
    end = until(world, draft.digest)
    world.clock = end - HOUR + 1
    refuses(world, world.release(draft), "silence-until", "less than 3600 s")
    world.clock = end - HOUR
    world.accept(world.release(draft))
    assert stage(world, draft.digest) is Stage.UNDER_SILENCE
    (record,) = world.elapse(HOUR)
    assert record.kind == "conclusion"


def test_a_draft_is_under_no_silence():
    world = drafting_forum()
    draft = reviewed(world, 3 * HOUR)
    assert stage(world, draft.digest) is Stage.PROPOSED
    refuses(world, world.objection(draft.digest), "not-under-silence", "is proposed")
    assert world.elapse(DAY) == []


# Withdrawn


def test_a_proposer_withdraws_what_is_not_adopted_yet():
    world = forum()
    note = proposed(world)
    world.accept(world.withdrawal(note))
    assert stage(world, note) is Stage.WITHDRAWN
    assert set(lives(world, note).values()) == {Life.CANCELLED}
    assert world.elapse(2 * DAY) == []
    refuses(world, world.objection(note), "not-under-silence", "is withdrawn")
    refuses(world, world.withdrawal(note), "not-under-silence", "withdrawn already")
    adopted = proposed(world)
    world.elapse(DAY + SECOND)
    refuses(world, world.withdrawal(adopted), "not-under-silence", "adopted already")


def test_a_superseded_proposal_is_never_adopted():
    world = forum()
    first = proposed(world)
    second = proposed(world, supersedes=first)
    assert stage(world, first) is Stage.WITHDRAWN
    world.elapse(2 * DAY)
    assert (stage(world, first), stage(world, second)) == (Stage.WITHDRAWN, Stage.ADOPTED)
    assert world.have(cells.Decisions, world.channel).last == 1


def test_a_deferred_proposal_is_proposed_then_under_silence():
    world = forum()
    shown = world.clock + HOUR
    note = proposed(world, silence_until=shown + DAY, deferred_until=shown)
    assert stage(world, note) is Stage.PROPOSED
    refuses(world, world.objection(note), "not-under-silence", "is proposed")
    refuses(world, world.extension(note, shown + 2 * DAY), "not-under-silence", "is proposed")
    assert [what for what, _ in story(world.elapse(HOUR), 0)] == ["begun"]
    assert stage(world, note) is Stage.UNDER_SILENCE
    early = world.copy()
    early.accept(early.objection(note))
    (record,) = world.elapse(DAY)
    assert record.kind == "conclusion"


# Extended


def test_the_chair_extends_before_the_expiry_and_never_makes_it_shorter():
    world = forum()
    note = proposed(world)
    end = until(world, note)
    refuses(world, world.extension(note, end), "silence-until", "never made shorter")
    refuses(world, world.extension(note, end - 1), "silence-until", "never made shorter")
    most = world.next_at + 14 * DAY
    refuses(world, world.extension(note, most + 1), "silence-until", "over 1209600 s")
    refuses(world, world.extension(note, end + 1, by=DORA), "seat", "to extend is for: chair")
    world.accept(world.member(ULLA, roles=(MemberRole.ATTACHE,)))
    refuses(world, world.extension(note, end + 1), "role", "role chair")
    world.accept(world.member(ULLA, roles=(MemberRole.ATTACHE, MemberRole.CHAIR)))
    world.accept(world.extension(note, end + HOUR))
    assert isinstance(last(world), ExtensionFacts)
    assert world.elapse(DAY + HOUR // 2) == []
    world.accept(world.objection(note))
    assert stage(world, note) is Stage.BROKEN


@pytest.mark.parametrize("before", [1, 0])
def test_an_extension_comes_before_the_expiry_to_the_microsecond(before):
    world = forum()
    note = proposed(world)
    end = until(world, note)
    world.clock = end - before
    extension = world.extension(note, end + DAY)
    if before:
        world.accept(extension)
        assert world.elapse(DAY) == []
        assert [r.kind for r in world.elapse(1)] == ["conclusion"]
    else:
        assert getattr(world.submit(extension), "code", "") == "not-under-silence"
        assert stage(world, note) is Stage.ADOPTED


def test_an_extension_is_of_a_proposal():
    world = forum()
    plain = world.accept(world.note(kind="statement", to={DUTY: ACTION})).digest
    refuses(world, world.extension(plain, world.clock + DAY), "not-a-proposal")
    refuses(world, world.objection(plain), "not-a-proposal")
    refuses(world, world.extension(digest("x"), world.clock + DAY), "unknown-note")
    refuses(world, world.objection(digest("x")), "unknown-note")
    world.accept(world.extension(proposed(world), world.clock + 2 * DAY))


def test_silence_has_the_charters_least_and_most():
    world = forum()
    for lasts in (HOUR - 1, 14 * DAY + 1):
        refuses(world, world.proposal(lasts=lasts), "silence-until", "3600 to 1209600 s")
    for lasts in (HOUR, 14 * DAY):
        world.accept(world.proposal(lasts=lasts))
    refuses(
        world,
        world.note(kind="statement", to={DUTY: ACTION}, silence_until=world.clock + DAY),
        "silence-until",
        "has no silence",
    )
    refuses(
        world, world.note(kind="proposal", to={DUTY: ACTION}), "silence-until", "says until when"
    )


# Who may


SPEAKERS = {Seat.CHAIR: ULLA, Seat.MEMBER: ANNA, Seat.OBSERVER: OTTO}
OWN = {ULLA: CHAIR, ANNA: LONDON, OTTO: SEAT}


def doing(world: MemoryWorld, right: Right, by: str, note: str) -> Statement[Any]:
    """Return a statement with which ``by`` uses a right; ``note`` is a proposal of another party."""
    to = {DUTY: ACTION}
    if right is Right.READ:
        return world.answer(by, Verdict.DELIVERED, note)
    if right is Right.STATE:
        return world.note(by, to, kind="statement")
    if right is Right.PROPOSE:
        return world.proposal(by)
    if right is Right.AMEND:
        return world.proposal(by, amends=note)
    if right is Right.OBJECT:
        return world.objection(note, by)
    return world.extension(note, world.clock + 3 * DAY, by)


@pytest.mark.parametrize("right", Right)
@pytest.mark.parametrize("seat", Seat)
def test_a_seat_may_what_its_row_of_the_table_says(seat, right):
    world = forum()
    roles = (MemberRole.ATTACHE, MemberRole.CHAIR)  # the person may: only the seat decides
    for member in SPEAKERS.values():
        world.accept(world.member(member, roles=roles))
    note = world.accept(world.proposal(DORA, {CHAIR: ACTION, LONDON: ACTION, SEAT: ACTION})).digest
    statement = doing(world, right, SPEAKERS[seat], note)
    if right in RIGHTS[seat]:
        world.accept(statement)
    else:
        refuses(world, statement, "seat", f"is {seat} in {worlds.ALIAS}; to {right} is for:")


def test_the_table_of_seats_is_the_one_that_the_text_has():
    everything = set(Right)
    assert {seat: set(rights) for seat, rights in RIGHTS.items()} == {
        Seat.CHAIR: everything,
        Seat.MEMBER: everything - {Right.EXTEND},
        Seat.OBSERVER: {Right.READ},
    }


def test_a_forum_seats_one_chair_and_each_party():
    world = worlds.MemoryWorld.staffed()

    def charter(*seats: Seat) -> Any:
        said = [Seated(party=p, seat=s) for p, s in zip((FCO, MOD), seats, strict=True)]
        return world.charter(rules=(worlds.use("seats"),), seats=tuple(said) or None)

    refuses(world, charter(Seat.MEMBER, Seat.OBSERVER), "seats", "seats 0 chairs")
    refuses(world, charter(Seat.CHAIR, Seat.CHAIR), "seats", "seats 2 chairs")
    world.accept(charter(Seat.CHAIR, Seat.OBSERVER))


def test_who_objects_has_a_role_of_the_kinds_writers_and_need_not_be_addressed():
    world = forum()
    note = proposed(world)
    refuses(world, world.objection(note, by=EDWIN), "role", "none of the roles attache, chair")
    world.accept(world.objection(note, by=worlds.GRETA))


def test_a_proposal_is_put_to_every_party_that_may_object():
    """Silence binds only those who could have spoken: nobody gets a decision behind another's back."""
    world = forum()
    missing = f"put to each party that may object, also to {MOD}"
    for to in ({CHAIR: ACTION}, {CHAIR: ACTION, SEAT: ACTION}):
        refuses(world, world.proposal(to=to), "not-addressed", missing)
    note = proposed(world, to={CHAIR: ACTION, DUTY: worlds.INFO})  # who only observes need not be
    refuses(world, world.proposal(DORA, {CHAIR: ACTION}, amends=note), "not-addressed", FCO)
    world.accept(world.participation(MOD, Standing.SUSPENDED))
    world.accept(world.proposal(to={CHAIR: ACTION}))


def test_a_party_that_takes_part_again_is_put_a_draft_of_before_too():
    world = drafting_forum()
    world.accept(world.participation(MOD, Standing.SUSPENDED))
    draft = reviewed(world, 3 * HOUR, drafted={CHAIR: ACTION})
    world.accept(world.participation(MOD, Standing.ACTIVE))
    refuses(world, world.release(draft), "not-addressed", MOD)
    world.accept(world.release(reviewed(world, 3 * HOUR)))


def test_a_kind_that_an_amendment_of_the_charter_took_away_takes_nobodys_say():
    world = forum()
    note = proposed(world)
    world.amend(UN, kinds=(worlds.kind("statement"),))
    world.accept(world.objection(note, by=DORA))
    assert stage(world, note) is Stage.BROKEN


def test_who_suspended_its_part_neither_objects_nor_extends():
    world = forum()
    note = proposed(world)
    for party, statement in (
        (UN, world.extension(note, world.clock + 2 * DAY)),
        (MOD, world.objection(note)),
    ):
        world.accept(world.participation(party, Standing.SUSPENDED))
        refuses(world, statement, "part-suspended")
        world.accept(world.participation(party, Standing.ACTIVE))
        world.accept(statement)


def test_without_seats_each_party_does_everything():
    world = worlds.forum(
        rules=(),
        seats=None,
        kinds=(worlds.kind("proposal", silence=Silence(min_s=60, max_s=86400)),),
    )
    note = proposed(world, 10 * MINUTE)
    world.accept(world.member(OTTO, roles=(MemberRole.ATTACHE, MemberRole.CHAIR)))
    world.accept(world.extension(note, world.clock + HOUR, by=OTTO))
    world.accept(world.objection(note, by=OTTO))


# The procedure's table


def test_what_the_table_of_the_procedure_does_not_list_changes_nothing():
    ended = (Stage.ADOPTED, Stage.BROKEN, Stage.WITHDRAWN)
    assert not [key for key in PROCEDURE if key[0] in ended]
    assert {act for _, act in PROCEDURE} == set(Act)
    reached = {Stage.PROPOSED} | set(PROCEDURE.values())
    assert reached == set(Stage)


def test_a_channel_replayed_keeps_its_procedures():
    world = forum()
    notes = [proposed(world, lasts) for lasts in (HOUR, DAY, 2 * DAY)]
    world.accept(world.objection(notes[1]))
    world.accept(world.extension(notes[2], world.clock + 3 * DAY))
    world.elapse(5 * DAY)
    assert rows_of(replay(world.records)) == rows_of(world.cells)
