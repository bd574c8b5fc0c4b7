"""What channels become: amendments, parties that suspend their part or leave, exercises.

CHARTER-14 to -17, PART, EXERCISE.
"""

from __future__ import annotations

from typing import Any

import pytest

from liaison.ledger.facts import AccessionFacts, NoteFacts
from liaison.rules import cells, channels
from liaison.rules.channels import PROPOSED_MAX
from liaison.rules.lives import Life
from liaison.statements import charters
from liaison.statements.charters import Seat, Seated, Standing
from liaison.statements.payloads import Alternate, Verdict
from liaison.statements.procedures import WatchAction
from liaison.words.times import DAY, HOUR, SECOND
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import WITH_DEPUTY, forum, last, lives, note_of, quiet, story, verbale
from tests.world import (
    ACTION,
    ANNA,
    CHAIR,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    MOD,
    OBS,
    PETE,
    SEAT,
    ULLA,
    UN,
    MemoryWorld,
    digest,
    replay,
    rows_of,
    signing,
    use,
)

ACKNOWLEDGED, DELIVERED = Verdict.ACKNOWLEDGED, Verdict.DELIVERED


def channel(world: MemoryWorld) -> cells.Channel:
    return world.have(cells.Channel, world.channel)


# Amendments


def test_an_amendment_is_in_force_when_all_have_acceded_and_not_before():
    world = quiet()
    before = channel(world)
    amendment = world.accept(world.amendment(MOD, terms=worlds.terms(addressees_max=1)))
    assert channel(world).pending == (amendment.digest,)
    assert channel(world).charter == before.charter
    world.accept(world.accession(MOD, charter=amendment.digest))
    assert channel(world).charter == before.charter
    world.accept(world.note(to=WITH_DEPUTY))
    world.accept(world.accession(FCO, charter=amendment.digest))
    facts = last(world)
    assert isinstance(facts, AccessionFacts)
    assert facts.opens
    after = channel(world)
    assert (after.channel, after.opened_at) == (before.channel, before.opened_at)
    assert (after.charter, after.pending) == (amendment.digest, None)
    refuses(world, world.note(charter=before.charter), "other-charter")
    refuses(world, world.note(to=WITH_DEPUTY), "too-many-addressees")
    note = world.accept(world.note())
    assert note_of(world, note.digest).reference == 2  # references go on


def test_references_serials_registers_and_decisions_go_on_under_a_new_charter():
    world = verbale()

    def released() -> Any:
        draft = world.accept(world.draft())
        world.accept(world.answer(worlds.FELIX, ACKNOWLEDGED, draft.digest))
        return world.accept(world.release(draft))

    released()
    world.amend()
    released()
    facts = last(world)
    assert (facts.reference, facts.number.number, facts.serials[0].serial) == (2, 2, 2)


def test_an_amendment_follows_the_present_charter():
    world = quiet()
    stale = world.amendment(previous=digest("x"))
    refuses(world, stale, "other-charter", "previous: not the present charter")
    refuses(world, world.charter(previous=channel(world).charter), "other-charter")
    refuses(world, world.amendment(channel=digest("x")), "unknown-channel")
    refuses(world, world.amendment(alias="paris-hotline"), "amendment", "alias and type")
    refuses(world, world.amendment(type="forum"), "amendment", "alias and type")
    refuses(world, world.amendment(exercise=True), "exercise", "from its first charter on")
    refuses(world, world.amendment(parties=(MOD, FCO)), "amendment", "begins with")
    refuses(world, world.amendment(parties=(FCO, UN)), "amendment", "a party leaves by itself")
    refuses(world, world.amendment(UN, parties=(FCO, MOD, UN)), "not-a-party")
    refuses(world, world.amendment(rules=(use("moon-phase"),)), "unknown-rule")
    refuses(world, world.amendment(key=signing(f"{FCO}/registrar")), "not-the-authority")
    log = world.amendment().payload.log.model_copy(update={"origin": "other.example"})
    refuses(world, world.amendment(log=log), "other-log")
    world.accept(world.amendment())


def test_a_channel_that_is_not_open_has_nothing_to_amend():
    world = worlds.MemoryWorld.staffed()
    world.accept(world.charter())
    refuses(world, world.amendment(), "channel-not-open", "no charter in force")
    for party in (FCO, MOD):
        world.accept(world.accession(party))
    world.accept(world.amendment())


def test_one_amendment_wins_and_the_others_have_no_use():
    world = quiet()
    first, second = (world.accept(world.amendment()) for _ in range(2))
    for statement in (first, second):
        world.accept(world.accession(FCO, charter=statement.digest))
    world.accept(world.accession(MOD, charter=second.digest))
    refuses(world, world.accession(MOD, charter=first.digest), "other-charter")
    assert channel(world).charter == second.digest
    refuses(world, world.accession(MOD, charter=second.digest), "already-so")


def test_only_the_newest_proposals_are_kept_in_sight_and_each_can_be_acceded_to(
    monkeypatch: pytest.MonkeyPatch,
):
    world = quiet()
    monkeypatch.setattr(channels, "PENDING_KEPT", 3)
    proposed = [
        world.accept(world.amendment(party)).digest
        for _ in range(PROPOSED_MAX)
        for party in (FCO, MOD)
    ]
    assert channel(world).pending == tuple(proposed[-3:])
    for party in (FCO, MOD):
        world.accept(world.accession(party, charter=proposed[0]))
    assert channel(world).charter == proposed[0]


def test_a_party_joins_by_an_amendment_that_all_accede_to():
    world = worlds.forum(
        parties=(UN, FCO, MOD),
        seats=tuple(
            Seated(party=p, seat=s)
            for p, s in ((FCO, Seat.MEMBER), (MOD, Seat.MEMBER), (UN, Seat.CHAIR))
        ),
    )
    refuses(world, world.note(kind="statement", to={SEAT: ACTION}), "releasable-to")
    seats = (*(channel(world).seats or ()), Seated(party=OBS, seat=Seat.OBSERVER))
    seats = tuple(sorted(seats, key=lambda seated: seated.party))
    world.amend(UN, parties=(UN, FCO, MOD, OBS), seats=seats)
    assert channel(world).seat(OBS) is Seat.OBSERVER
    world.accept(world.roster(OBS))
    world.accept(world.directory(OBS))
    note = world.accept(world.note(kind="statement", to={SEAT: ACTION})).digest
    world.accept(world.answer(worlds.OTTO, ACKNOWLEDGED, note))


def test_notes_of_the_former_charter_keep_what_they_took_with_them():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    at = world.head_at
    before = note_of(world, note)
    world.amend(ladders=None, kinds=(worlds.kind("plain"),))
    assert note_of(world, note) == before
    assert story(world.elapse(700 * SECOND), at)[-1] == ("open", 600)
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    world.accept(world.watch(PETE, WatchAction.REOPEN, note, post=worlds.DEPUTY))
    assert note_of(world, note).climbs


# Participation


@pytest.mark.parametrize(
    ("state", "code"), [(Standing.SUSPENDED, "part-suspended"), (Standing.LEFT, "party-left")]
)
def test_nothing_new_crosses_from_or_to_a_party_that_does_not_take_part(state, code):
    world = quiet()
    world.accept(world.participation(MOD, state))
    refuses(world, world.note(), code, MOD)
    refuses(world, world.note(DORA), code, MOD)
    if state is Standing.SUSPENDED:
        world.accept(world.participation(MOD, Standing.ACTIVE))
        world.accept(world.note())


def test_what_crossed_before_goes_on_after_a_party_left():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    other = world.accept(world.note()).digest
    at = world.head_at
    world.accept(world.participation(MOD, Standing.LEFT))
    fired = [r for r in world.elapse(601 * SECOND) if r.note == note]
    assert story(fired, at)[-1][0] == "open"
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    world.accept(world.watch(PETE, WatchAction.CLAIM, other))
    world.accept(world.withdrawal(other))
    assert lives(world, other) == {DUTY: Life.CANCELLED}


def test_who_left_has_left_for_good():
    world = forum()
    world.accept(world.participation(MOD, Standing.LEFT))
    refuses(world, world.participation(MOD, Standing.ACTIVE), "party-left", "for good")
    refuses(world, world.amendment(MOD), "not-a-party")
    parties = channel(world).parties
    refuses(world, world.amendment(UN), "amendment", "begins with")
    kept = tuple(p for p in parties if p != MOD)
    seats = tuple(s for s in channel(world).seats or () if s.party != MOD)
    again = (*kept, MOD)
    refuses(
        world,
        world.amendment(UN, parties=again, seats=channel(world).seats),
        "party-left",
        f"{MOD} has left",
    )
    amendment = world.accept(world.amendment(UN, parties=kept, seats=seats))
    for party in kept:
        world.accept(world.accession(party, charter=amendment.digest))
    assert (channel(world).parties, channel(world).standings) == (kept, None)
    world.accept(world.note(kind="statement", to={CHAIR: ACTION}))


def test_a_party_that_left_accedes_to_no_amendment():
    world = forum()
    amendment = world.accept(world.amendment(UN))
    world.accept(world.participation(MOD, Standing.LEFT))
    refuses(world, world.accession(MOD, charter=amendment.digest), "party-left")
    world.accept(world.accession(FCO, charter=amendment.digest))


def test_a_standing_is_said_once_by_the_authority_of_a_party_that_acceded():
    world = quiet()
    refuses(world, world.participation(MOD, Standing.ACTIVE), "already-so")
    refuses(world, world.participation(UN, Standing.LEFT), "not-a-party", "has not acceded")
    refuses(world, world.participation(MOD, Standing.LEFT, channel=digest("x")), "unknown-channel")
    registrar = signing(f"{MOD}/registrar")
    refuses(world, world.participation(MOD, Standing.LEFT, registrar), "not-the-authority")
    world.accept(world.participation(MOD, Standing.SUSPENDED))
    refuses(world, world.participation(MOD, Standing.SUSPENDED), "already-so")
    (standing,) = channel(world).standings or ()
    assert (standing.party, standing.state, standing.at) == (MOD, Standing.SUSPENDED, world.head_at)
    world.accept(world.participation(MOD, Standing.ACTIVE))
    assert channel(world).standings is None


def test_the_first_rules_know_nothing_of_all_that():
    world = MemoryWorld.opened(version=1)
    refuses(world, world.amendment(), "not-in-this-version", "previous")
    refuses(world, world.participation(MOD, Standing.LEFT), "not-in-this-version")
    note = world.accept(world.note()).digest
    for statement in (
        world.withdrawal(note),
        world.objection(note),
        world.extension(note, world.clock, by=ANNA),
        world.watch(EDWIN, WatchAction.CLAIM, note),
        world.hold(DORA),
        world.roster(MOD, alternates=(Alternate(post=DUTY, alternate=worlds.DEPUTY),)),
        world.release(world.draft(to={worlds.DEPUTY: ACTION}), by=ANNA),
        world.time_advanced(1),
    ):
        refuses(world, statement, "not-in-this-version")
    later: tuple[dict[str, Any], ...] = (
        {"exercise": True},
        {"ladders": worlds.ladders()},
        {"terms": worlds.terms(snooze_max_s=60)},
        {"terms": worlds.terms(cabinet="none")},
        {"terms": worlds.terms(cabinet_s=3600)},
        {"terms": worlds.terms(hold_max_s=60)},
        {"kinds": (worlds.kind("leader", series="ld"),)},
        {"kinds": (worlds.kind("leader", service=True),)},
    )
    for changes in later:
        refuses(world, world.charter(alias="other", **changes), "not-in-this-version")
    refuses(world, world.charter(alias="other", rules=(use("seats"),)), "unknown-rule")
    world.accept(world.charter(alias="other"))


# Exercises


def test_the_exercise_bit_is_in_every_note_of_a_channel_for_exercises_and_nowhere_else():
    world = worlds.quiet_hotline(exercise=True)
    refuses(world, world.note(exercise=False), "exercise", "is a channel for exercises")
    note = world.accept(world.note()).digest
    facts = world.records[-1].facts
    assert isinstance(facts, NoteFacts)
    assert facts.exercise
    fired = world.elapse(HOUR)
    assert fired
    assert all(record.urgency.exercise for record in [*fired, world.records[-1]])
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    real = quiet()
    refuses(real, real.note(exercise=True), "exercise", "not a channel for exercises")
    real.accept(real.note())


def exercise_node() -> MemoryWorld:
    world = MemoryWorld()
    world.accept(world.node_init(exercise=True))
    for party in (FCO, MOD):
        world.accept(world.admission(party))
        world.accept(world.party(party))
    world.people(worlds.FIRST_PEOPLE)
    return world


def test_a_node_for_exercises_has_only_channels_for_exercises():
    world = exercise_node()
    assert world.have(cells.Log).exercise
    refuses(world, world.charter(), "exercise", "this node is for exercises")
    world.open(world.charter(exercise=True))
    world.accept(world.note())


def test_only_a_node_for_exercises_has_a_time_that_is_moved():
    world = exercise_node()
    world.accept(world.time_advanced(90 * SECOND))
    world.accept(world.time_advanced(DAY))
    assert world.have(cells.Log).advanced == DAY + 90 * SECOND
    real = quiet()
    refuses(real, real.time_advanced(SECOND), "exercise", "only a node made for exercises")
    assert real.have(cells.Log).advanced is None


def test_a_channel_with_everything_replays():
    world = forum()
    world.accept(world.participation(OBS, Standing.SUSPENDED))
    world.amend(UN)
    world.accept(world.participation(OBS, Standing.LEFT))
    note = world.accept(world.note(kind="urgent", to={DUTY: ACTION, CHAIR: ACTION})).digest
    world.elapse(DAY)
    world.accept(world.answer(ULLA, DELIVERED, note))
    assert rows_of(replay(world.records)) == rows_of(world.cells)
    assert charters.Standing.LEFT is channel(world).standing(OBS)
