"""Drafts, clearances and releases; register numbers (NOTE-16, RELEASE, REGISTER)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from liaison.ledger.facts import ReleaseFacts, WithdrawalFacts
from liaison.rules import cells
from liaison.rules.lives import Life
from liaison.statements import charters, payloads
from liaison.statements.payloads import MemberRole, State, Verdict
from liaison.statements.procedures import Released, WatchAction
from liaison.words.times import DAY, HOUR, SECOND
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import WITH_DEPUTY, addressee, last, lives, note_of, quiet, story, verbale
from tests.world import (
    ACTION,
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    FCO,
    FELIX,
    GRETA,
    HEAD,
    INFO,
    LINE,
    LONDON,
    MINISTRY,
    MOD,
    OLGA,
    STANDBY,
    Asked,
    MemoryWorld,
    signing,
)

ACKNOWLEDGED, DECLINED, DELIVERED = Verdict.ACKNOWLEDGED, Verdict.DECLINED, Verdict.DELIVERED


def cleared(world: MemoryWorld, **changes: Any) -> Any:
    """Return a draft that its party cleared."""
    draft = world.accept(world.draft(**changes))
    world.accept(world.answer(FELIX, ACKNOWLEDGED, draft.digest))
    return draft


# Drafts


def test_a_draft_has_no_reference_and_nobody_of_another_party_can_read_it():
    world = verbale()
    draft = world.accept(world.draft()).digest
    cell = note_of(world, draft)
    assert (cell.draft, cell.reference, cell.number, cell.due) == (True, 0, None, None)
    assert lives(world, draft) == {HEAD: Life.QUEUED, DUTY: Life.DRAFTED}
    assert addressee(world, draft, DUTY).readers == ()
    assert [s.party for s in last(world).serials] == [FCO]
    for verdict in (DELIVERED, ACKNOWLEDGED, DECLINED, Verdict.UNREADABLE):
        refuses(world, world.answer(DORA, verdict, draft), "not-now", "not shown to")
    refuses(world, world.note(DORA, kind="plain", in_reply_to=draft), "unknown-note", "in_reply_to")
    assert world.elapse(30 * DAY) == []


def test_a_kind_with_a_release_is_drafted_and_no_other():
    world = verbale()
    refuses(world, world.note(kind="verbale"), "needs-release", "a draft until a releaser")
    refuses(world, world.draft(kind="plain"), "not-a-draft", "needs no release")
    refuses(world, world.draft(to={DUTY: ACTION}, drafted={MINISTRY: INFO}), "needs-release")
    refuses(world, world.draft(to={HEAD: STANDBY}), "needs-release", "can't read a draft")
    refuses(
        world, world.draft(drafted={DUTY: ACTION, LINE: INFO}), "needs-release", "of the drafting"
    )
    outside = world.draft(
        drafted={DUTY: ACTION, worlds.CHAIR: INFO},
        label=payloads.Label(classification="SECRET", releasable_to=(FCO, MOD)),
    )
    refuses(world, outside, "releasable-to")
    refuses(world, world.draft(deferred_until=world.clock + HOUR), "times", "waits for its release")
    world.accept(world.draft(drafted={DUTY: ACTION, MINISTRY: INFO}))
    world.accept(world.note(kind="plain"))


def test_a_draft_names_parties_of_the_channel():
    world = verbale()
    label = payloads.Label(classification="SECRET", releasable_to=(FCO, MOD, worlds.UN))
    drafted = {DUTY: ACTION, worlds.CHAIR: INFO}
    refuses(world, world.draft(drafted=drafted, label=label), "releasable-to", "not a party")
    world.accept(world.draft())


# Releases


def test_a_release_lets_a_draft_go_and_makes_its_wraps():
    world = verbale()
    draft = cleared(world, drafted={DUTY: ACTION, MINISTRY: INFO})
    world.accept(world.release(draft))
    facts = last(world)
    assert isinstance(facts, ReleaseFacts)
    assert (facts.reference, facts.sender) == (1, ANNA)
    assert [(a.post, a.readers) for a in facts.addressees] == [
        (DUTY, (DORA,)),
        (MINISTRY, (GRETA,)),
    ]
    assert [s.party for s in facts.serials] == [MOD]
    assert facts.device == signing(f"{FELIX}/1").id
    cell = note_of(world, draft.digest)
    assert (cell.reference, cell.draft, cell.at) == (1, None, world.records[-2].at - 1)
    assert lives(world, draft.digest) == {
        HEAD: Life.ACKNOWLEDGED,
        DUTY: Life.QUEUED,
        MINISTRY: Life.QUEUED,
    }
    at = world.head_at
    assert story(world.elapse(121 * SECOND), at) == [("alert", 120)]  # armed by the release
    world.accept(world.answer(DORA, ACKNOWLEDGED, draft.digest))


def test_a_draft_is_cleared_by_each_of_its_party_that_was_asked_to_act():
    world = verbale()
    draft = world.accept(world.draft(to={HEAD: ACTION, LINE: ACTION}))
    refuses(world, world.release(draft), "not-cleared", f"not cleared by {HEAD}: queued")
    world.accept(world.answer(FELIX, ACKNOWLEDGED, draft.digest))
    world.accept(world.answer(OLGA, DECLINED, draft.digest))
    refuses(world, world.release(draft), "not-cleared", f"{LINE}: declined")
    world.accept(world.watch(OLGA, WatchAction.REOPEN, draft.digest, post=LINE))
    assert world.first_due() is None  # a draft climbs nothing, reopened or not
    refuses(world, world.release(draft), "not-cleared", f"{LINE}: delivered")
    world.accept(world.answer(OLGA, ACKNOWLEDGED, draft.digest))
    world.accept(world.release(draft))
    mine = [c for c in note_of(world, draft.digest).climbs or () if c.party == FCO]
    assert mine == []


def test_who_is_only_to_know_of_a_draft_need_not_clear_it():
    world = verbale()
    draft = world.accept(world.draft(to={HEAD: INFO}))
    world.accept(world.release(draft))


def test_a_draft_is_released_by_another_person_with_the_charters_role():
    world = verbale()
    own = world.accept(world.draft(FELIX, to={LONDON: INFO}))
    refuses(world, world.release(own), "own-draft", "another person than its drafter")
    draft = cleared(world)
    refuses(world, world.release(draft, OLGA), "role", "is released by a releaser")
    refuses(world, world.release(draft, DORA), "other-party", f"not a draft of {MOD}")
    world.accept(world.release(draft))
    refuses(world, world.release(draft), "not-a-draft", "no draft that waits")
    refuses(world, world.release(draft, note=worlds.digest("x")), "unknown-note")


def test_a_release_wraps_for_exactly_those_whom_the_draft_names():
    world = verbale()
    draft = cleared(world, drafted={DUTY: ACTION, MINISTRY: INFO})
    good = world.release(draft).payload.addressees
    refuses(world, world.release(draft, addressees=good[:1]), "reliances", "exactly those")
    other = Released(post=DEPUTY, wraps=good[0].wraps)
    refuses(world, world.release(draft, addressees=(other, *good)), "reliances")
    swapped = tuple(
        Released(post=one.post, wraps=other.wraps)
        for one, other in zip(good, reversed(good), strict=True)
    )
    refuses(world, world.release(draft, addressees=swapped), "not-a-holder")
    world.accept(world.release(draft))


def test_a_release_relies_on_what_is_current_when_it_is_made():
    world = verbale()
    draft = cleared(world)
    old = world.release(draft)
    world.advance(SECOND)
    world.accept(world.directory(MOD))
    world.advance(SECOND)
    refuses(world, world.release(draft, parties=old.payload.parties), "directory-outdated")
    serial = world.next_serial(signing(f"{FELIX}/1"), MOD)
    refuses(world, world.release(draft, serial=serial + 300), "serial-ahead")
    world.accept(world.release(draft))


def test_a_withdrawn_draft_is_never_released():
    world = verbale()
    draft = cleared(world)
    world.accept(world.withdrawal(draft.digest))
    assert lives(world, draft.digest) == {HEAD: Life.ACKNOWLEDGED, DUTY: Life.CANCELLED}
    refuses(world, world.release(draft), "not-a-draft")
    assert world.get(cells.References, world.channel) is None


def test_a_draft_of_the_former_charter_is_not_released():
    world = verbale()
    draft = cleared(world)
    world.amend()
    for party in (FCO, MOD):
        world.accept(world.directory(party))
    refuses(world, world.release(draft), "other-charter", "draft it anew")
    again = cleared(world)
    world.accept(world.release(again))


def test_what_a_draft_says_of_times_holds_when_it_is_let_go():
    world = verbale()
    soon = world.clock + HOUR
    drafts = [
        cleared(world, expiry=soon),
        cleared(world, latest_delivery=soon),
        cleared(world, reply_by=soon),
        cleared(world, drafted={DUTY: {"reply_by": soon}}),
    ]
    early = world.copy()
    early.clock = soon - 10
    for draft in drafts:
        early.accept(early.release(draft))
    world.clock = soon
    for draft in drafts:
        refuses(world, world.release(draft), "times", "has passed")
    assert world.first_due() is None


def test_two_drafts_can_not_supersede_one_note():
    world = verbale()
    old = cleared(world)
    world.accept(world.release(old))
    first, second = (cleared(world, supersedes=old.digest) for _ in range(2))
    world.accept(world.release(first))
    assert note_of(world, old.digest).superseded_by == first.digest
    refuses(world, world.release(second), "superseded", "superseded meanwhile")


def test_a_released_reply_answers_when_it_is_released():
    world = verbale()
    asked = world.accept(world.note(DORA, kind="plain", reply_by=world.clock + HOUR)).digest
    reply = cleared(world, in_reply_to=asked)
    assert addressee(world, asked, LONDON).replied is None
    late = world.copy()
    late.advance(2 * HOUR)
    late.accept(late.release(reply))
    assert [r.kind for r in late.records[-2:]] == ["deadline", "release"]
    assert late.records[-2].facts.what == "reply-overdue"  # type: ignore[attr-defined]
    world.accept(world.release(reply))
    assert addressee(world, asked, LONDON).replied == world.head_at


def test_a_drafted_deputy_stands_in_a_tier_that_is_opened():
    world = verbale()
    deputy: dict[str, Asked] = {DUTY: ACTION, MINISTRY: STANDBY}
    draft = cleared(world, drafted=deputy)
    refuses(world, world.release(draft), "standby", "opens the tier ministry")
    draft = cleared(world, drafted=dict(WITH_DEPUTY))
    world.accept(world.release(draft))
    assert lives(world, draft.digest)[DEPUTY] is Life.WITHHELD
    world.elapse(601 * SECOND)
    assert lives(world, draft.digest)[DEPUTY] is Life.QUEUED


def test_reminders_of_a_released_note_count_from_its_release():
    world = verbale()
    draft = cleared(world, reply_by=world.clock + DAY + HOUR)
    world.advance(2 * HOUR)  # the first of two reminders has passed by then
    world.accept(world.release(draft))
    assert len(note_of(world, draft.digest).reminders or ()) == 1


# Register numbers


def numbers(world: MemoryWorld) -> list[tuple[str, str, int, int]]:
    found = []
    for record in world.records:
        facts: Any = record.facts
        number = getattr(facts, "number", None)
        if record.kind in ("note", "release") and number is not None:
            found.append((facts.sender, number.series, number.year, number.number))
    return found


def test_register_numbers_are_gapless_by_issuer_series_and_year():
    world = verbale()
    for kind in ("verbale", "first-person", "verbale", "verbale"):
        draft = cleared(world, kind=kind)
        world.accept(world.release(draft))
    world.accept(world.member(GRETA, roles=(MemberRole.ATTACHE, MemberRole.RELEASER)))
    theirs = world.accept(world.draft(DORA, drafted={LONDON: ACTION}, to={MINISTRY: INFO}))
    world.accept(world.release(theirs, GRETA))
    year = datetime.fromtimestamp(world.clock / 1e6, UTC).year
    assert numbers(world) == [
        (ANNA, "nv", year, 1),
        (ANNA, "fp", year, 1),
        (ANNA, "nv", year, 2),
        (ANNA, "nv", year, 3),
        (DORA, "nv", year, 1),
    ]


def test_register_numbers_begin_anew_with_the_year_in_utc():
    world = verbale()
    world.accept(world.release(cleared(world)))
    turn = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) * SECOND
    world.clock = turn - HOUR
    for member in (ANNA, DORA, FELIX):
        world.accept(world.encryption_key(member, "2"))
    for party in (FCO, MOD):
        world.accept(world.directory(party))
    drafts = [cleared(world) for _ in range(3)]
    world.clock = turn - 1
    world.accept(world.release(drafts[0]))
    world.clock = turn
    for draft in drafts[1:]:
        world.accept(world.release(draft))
    assert [(year, n) for _, _, year, n in numbers(world)] == [
        (2026, 1),
        (2026, 2),
        (2027, 1),
        (2027, 2),
    ]


def test_fifty_notes_posted_at_one_moment_have_fifty_numbers_in_a_row():
    world = worlds.quiet_hotline(kinds=(worlds.kind("leader", series="ld"),))
    notes = [world.note(serial=n) for n in range(1, 51)]
    for note in reversed(notes):
        world.accept(note)
    assert [n for *_, n in numbers(world)] == [*range(1, 51)]
    assert [note_of(world, n.digest).reference for n in reversed(notes)] == [*range(1, 51)]


def test_a_withdrawn_note_leaves_its_number_void():
    world = verbale()
    drafts = [cleared(world) for _ in range(2)]
    world.accept(world.release(drafts[0]))
    world.accept(world.withdrawal(drafts[0].digest))
    facts = last(world)
    assert isinstance(facts, WithdrawalFacts)
    assert facts.number is not None
    assert facts.number.number == 1
    world.accept(world.release(drafts[1]))
    assert numbers(world)[-1][-1] == 2


def test_a_draft_that_is_refused_or_withdrawn_takes_no_number_and_no_reference():
    world = verbale()
    world.accept(world.withdrawal(cleared(world).digest))
    refuses(world, world.release(world.accept(world.draft())), "not-cleared")
    draft = cleared(world)
    world.accept(world.release(draft))
    assert numbers(world)[-1][-1] == 1
    assert note_of(world, draft.digest).reference == 1


# Leader traffic that the charter has released by name


def test_leader_traffic_is_released_by_name_where_the_charter_says_so():
    world = worlds.quiet_hotline(
        kinds=(
            worlds.kind("leader", ladders=worlds.CLIMBS, release=MemberRole.RELEASER),
            worlds.kind("service"),
        )
    )
    refuses(world, world.note(), "needs-release")
    draft = world.accept(world.draft(kind="leader", to={HEAD: INFO}, drafted=dict(WITH_DEPUTY)))
    world.elapse(HOUR)
    assert world.get(cells.References, world.channel) is None
    world.accept(world.release(draft))
    assert note_of(world, draft.digest).climbs


def test_what_one_releases_is_of_a_party_that_takes_part():
    world = verbale()
    draft = cleared(world)
    world.accept(world.participation(MOD, charters.Standing.SUSPENDED))
    refuses(world, world.release(draft), "part-suspended", f"{MOD} has suspended its part")
    world.accept(world.participation(MOD, charters.Standing.ACTIVE))
    world.accept(world.release(draft))


def test_a_releaser_is_a_member_in_force():
    world = verbale()
    draft = cleared(world)
    world.accept(world.member(FELIX, state=State.SUSPENDED))
    world.accept(world.directory(FCO))
    refuses(world, world.release(draft), "member-not-active")


def test_a_note_of_the_hotline_is_no_draft():
    world = quiet()
    note = world.accept(world.note())
    refuses(world, world.release(world.draft(kind="leader"), note=note.digest), "not-a-draft")
