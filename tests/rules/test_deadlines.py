"""Per addressee: reply-by, reminders, expiry, latest delivery, deferral, alternates (DEADLINE, SHOW)."""

from __future__ import annotations

from typing import Any

import pytest

from liaison.ledger.facts import DeadlineFacts
from liaison.rules.cells import MomentOrder
from liaison.rules.lives import Life
from liaison.statements.payloads import AddresseeRole, Verdict
from liaison.statements.procedures import WatchAction
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import (
    CALM,
    WITH_DEPUTY,
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
    HEAD,
    INFO,
    LONDON,
    MINISTRY,
    PETE,
    STANDBY,
    Asked,
    MemoryWorld,
    signing,
)

ACKNOWLEDGED, DECLINED, DELIVERED = Verdict.ACKNOWLEDGED, Verdict.DECLINED, Verdict.DELIVERED


def deadlines(world: MemoryWorld) -> list[DeadlineFacts]:
    return [r.facts for r in world.records if isinstance(r.facts, DeadlineFacts)]


# Times that a note names


@pytest.mark.parametrize("name", ["reply_by", "expiry", "latest_delivery"])
def test_a_time_lies_ahead_to_the_microsecond(name):
    world = quiet()

    def note(time: int, **changes: Any) -> Any:
        changes[name] = time
        return world.note(**changes)

    refuses(world, note(world.next_at), "times", name)
    world.accept(note(world.next_at + 1))
    shown = world.next_at + HOUR
    refuses(world, note(shown, deferred_until=shown), "times", name)
    world.accept(note(shown + 1, deferred_until=shown))


def test_one_addressees_reply_by_lies_ahead_and_is_asked_for_action():
    world = quiet()
    refuses(world, world.note(to={DUTY: {"reply_by": world.next_at}}), "times", "reply_by")
    soon = world.next_at + HOUR
    to: dict[str, Asked] = {DUTY: ACTION, MINISTRY: {"role": INFO, "reply_by": soon}}
    refuses(world, world.note(to=to), "times", f"{MINISTRY} is not addressed for action")
    world.accept(world.note(to={DUTY: {"reply_by": soon}}))


# Reply-by and reminders


def test_a_reply_by_has_its_reminders_and_then_its_certificate():
    world = quiet()
    note = world.accept(world.note(reply_by=world.clock + HOUR)).digest
    world.accept(world.answer(DORA, DELIVERED, note))
    at = note_of(world, note).at
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))  # 1800 s from now: before the hour
    fired = world.elapse(3700 * SECOND)
    told = [(what, due) for what, due in story(fired, at) if what in ("reminder", "reply-overdue")]
    assert told[0][0] == "reply-overdue"
    assert told[0][1] == pytest.approx(1800, abs=1)


def test_reminders_reach_who_owes_the_answer_until_it_comes():
    world = quiet()
    later = world.clock + HOUR
    note = world.accept(
        world.note(kind="leader", reply_by=later, to={DUTY: ACTION, MINISTRY: INFO})
    )
    at = world.head_at
    world.elapse(3001 * SECOND)
    (reminder,) = deadlines(world)
    assert (reminder.what, reminder.posts) == ("reminder", (DUTY,))
    assert reminder.due == at + 3000 * SECOND
    assert reminder.reached[0].readers == (DORA,)
    world.accept(world.note(DORA, kind="plain", in_reply_to=note.digest))
    assert addressee(world, note.digest, DUTY).replied == world.head_at
    world.elapse(HOUR)
    assert len(deadlines(world)) == 1


def test_reminders_that_an_outage_passed_over_are_said_once_each_in_their_order():
    world = quiet()
    world.accept(world.note(reply_by=world.clock + HOUR, kind="leader"))
    at = world.head_at
    world.advance(2 * HOUR)
    fired = [one for one in story(world.fire_due(), at) if one[0] in ("reminder", "reply-overdue")]
    assert fired == [("reminder", 3000), ("reminder", 3540), ("reply-overdue", 3600)]


def test_each_addressee_has_a_time_of_its_own():
    world = quiet()
    soon, later = world.clock + HOUR, world.clock + 2 * HOUR
    to: dict[str, Asked] = {DUTY: {"reply_by": soon}, DEPUTY: ACTION}
    note = world.accept(world.note(kind="plain", to=to, reply_by=later)).digest
    world.elapse(3 * HOUR)
    assert [(d.what, d.posts) for d in deadlines(world)] == [
        ("reply-overdue", (DUTY,)),
        ("reply-overdue", (DEPUTY,)),
    ]
    assert {d.informed for d in deadlines(world)} == {(ANNA,)}
    assert note_of(world, note).due is None  # a kind without a ladder only certifies


def test_an_answer_that_comes_late_leaves_the_certificate_and_stands_beside_it():
    world = quiet()
    note = world.accept(world.note(kind="plain", reply_by=world.clock + HOUR)).digest
    world.elapse(HOUR + SECOND)
    certificate = world.records[-1]
    world.accept(world.note(DORA, kind="plain", in_reply_to=note))
    state = addressee(world, note, DUTY)
    assert (state.overdue, state.replied) == (certificate.facts.due, world.head_at)  # type: ignore[attr-defined]
    assert certificate in world.records


def test_a_reply_is_the_addressed_partys_own():
    world = worlds.forum()
    note = world.accept(
        world.note(kind="statement", to={DUTY: ACTION}, reply_by=world.clock + HOUR)
    ).digest
    world.accept(world.note(worlds.ULLA, {DUTY: ACTION}, kind="statement", in_reply_to=note))
    assert addressee(world, note, DUTY).replied is None
    world.accept(world.note(DORA, {LONDON: ACTION}, kind="statement", in_reply_to=note))
    assert addressee(world, note, DUTY).replied is not None
    assert note_of(world, note).due is None


# Expiry as against latest delivery


def test_what_expired_is_not_asked_for_any_more_and_can_be_read():
    world = quiet()
    note = world.accept(world.note(expiry=world.clock + 400 * SECOND, to=WITH_DEPUTY)).digest
    world.accept(world.answer(DORA, DELIVERED, note))
    world.elapse(HOUR)
    assert deadlines(world)[-1].what == "expired"
    assert (deadlines(world)[-1].posts, deadlines(world)[-1].informed) == ((DUTY,), (ANNA,))
    assert lives(world, note) == {DUTY: Life.EXPIRED, DEPUTY: Life.LAPSED}
    assert note_of(world, note).due is None
    assert effects(world.records)[-1].value == "raise"
    refuses(world, world.answer(DORA, ACKNOWLEDGED, note), "not-now", "is expired for")
    world.accept(world.answer(DORA, Verdict.UNREADABLE, note))  # its reader has it still


def test_an_expiry_counts_to_the_microsecond():
    world = quiet()
    note = world.accept(world.note(expiry=world.clock + HOUR, kind="plain")).digest
    due = note_of(world, note).expiry
    assert due is not None
    early = world.copy()
    early.clock = due - 1
    early.accept(early.answer(DORA, ACKNOWLEDGED, note))
    world.clock = due
    refused = world.submit(world.answer(DORA, ACKNOWLEDGED, note))
    assert getattr(refused, "code", "") == "not-now"
    assert lives(world, note) == {DUTY: Life.EXPIRED}


def test_who_acknowledged_in_time_never_expires():
    world = quiet()
    note = world.accept(world.note(expiry=world.clock + HOUR, kind="plain")).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    assert world.elapse(DAY) == []
    assert lives(world, note) == {DUTY: Life.ACKNOWLEDGED}


def test_a_declined_note_keeps_its_expiry_for_those_who_come_after():
    world = quiet()
    note = world.accept(world.note(expiry=world.clock + HOUR, to=WITH_DEPUTY)).digest
    world.accept(world.answer(DORA, DECLINED, note))
    world.elapse(2 * HOUR)
    assert lives(world, note) == {DUTY: Life.DECLINED, DEPUTY: Life.EXPIRED}
    assert note_of(world, note).due is None


def test_an_expiry_that_concerns_nobody_is_certified_to_nobody():
    world = quiet()
    note = world.accept(world.note(expiry=world.clock + 200 * SECOND)).digest
    world.accept(world.answer(DORA, DECLINED, note))
    world.elapse(201 * SECOND)
    facts = deadlines(world)[-1]
    assert (facts.what, facts.posts, facts.informed) == ("expired", (), ())
    assert note_of(world, note).climbs is None


def test_what_was_not_delivered_in_time_is_cancelled_and_certified():
    world = quiet()
    to = {DUTY: ACTION, MINISTRY: INFO}
    note = world.accept(world.note(kind="plain", latest_delivery=world.clock + HOUR, to=to)).digest
    world.accept(world.answer(GRETA, DELIVERED, note))
    world.elapse(HOUR + SECOND)
    facts = deadlines(world)[-1]
    assert (facts.what, facts.posts, facts.informed) == ("non-delivered", (DUTY,), (ANNA,))
    assert lives(world, note) == {DUTY: Life.NON_DELIVERED, MINISTRY: Life.DELIVERED}
    refuses(world, world.answer(DORA, DELIVERED, note), "not-now", "not shown")
    refuses(world, world.answer(DORA, ACKNOWLEDGED, note), "not-now")
    assert note_of(world, note).due is None


def test_what_was_delivered_in_time_goes_on_climbing():
    world = quiet()
    note = world.accept(world.note(latest_delivery=world.clock + 60 * SECOND)).digest
    world.accept(world.answer(DORA, DELIVERED, note))
    assert effects(world.elapse(130 * SECOND))
    assert lives(world, note) == {DUTY: Life.DELIVERED}
    assert not deadlines(world)


def test_expiry_and_latest_delivery_of_one_time_come_before_a_rung_of_that_time():
    world = quiet()
    due = world.clock + 120 * SECOND
    note = world.accept(world.note(expiry=due)).digest
    assert [m.what for m in note_of(world, note).moments] == [
        MomentOrder.EXPIRED,
        MomentOrder.RUNG,
    ]
    fired = world.elapse(HOUR)
    assert [what for what, _ in story(fired, 0)] == ["expired"]


# Deferral


def test_a_deferred_note_is_shown_at_its_time_and_not_before():
    world = quiet()
    world.accept(world.note(deferred_until=world.clock + HOUR, to=WITH_DEPUTY))
    note, at = world.accepted[-1].digest, world.head_at
    assert note_of(world, note).reference == 1  # it shows its serial and its time at once
    refuses(world, world.answer(DORA, DELIVERED, note), "not-now", "not shown")
    refuses(world, world.answer(DORA, ACKNOWLEDGED, note), "not-now", "not shown")
    fired = world.elapse(HOUR + 130 * SECOND)
    assert story(fired, at) == [("begun", 3600), ("alert", 3720)]
    assert deadlines(world)[0].reached[0].readers == (DORA,)
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))


def test_a_deferred_note_is_cancelled_before_anybody_sees_it():
    world = quiet()
    note = world.accept(world.note(deferred_until=world.clock + HOUR)).digest
    world.accept(world.withdrawal(note))
    assert last(world).told == (ANNA,)
    assert lives(world, note) == {DUTY: Life.CANCELLED}
    assert world.elapse(DAY) == []


def test_a_deferral_lies_ahead_and_may_be_this_very_moment():
    world = quiet()
    refuses(world, world.note(deferred_until=world.next_at - 1), "times", "has passed")
    note = world.accept(world.note(deferred_until=world.next_at)).digest
    world.fire_due()
    assert note_of(world, note).climbs


def test_a_deferred_note_answers_and_supersedes_nothing_before_it_is_shown():
    world = quiet()
    asked = world.accept(world.note(DORA, kind="plain", reply_by=world.clock + 2 * HOUR)).digest
    reply = world.note(kind="plain", in_reply_to=asked, deferred_until=world.clock + HOUR)
    world.accept(reply)
    assert addressee(world, asked, LONDON).replied is None
    world.elapse(HOUR + SECOND)
    assert addressee(world, asked, LONDON).replied == world.accepted[-1].payload.deferred_until  # type: ignore[attr-defined]
    old = world.accept(world.note(kind="plain")).digest
    soon = world.clock + HOUR
    refuses(world, world.note(kind="plain", supersedes=old, deferred_until=soon), "times")
    refuses(
        world,
        world.note(
            kind="plain",
            in_reply_to=world.accept(world.note(kind="plain", deferred_until=soon)).digest,
        ),
        "unknown-note",
    )


def test_what_was_due_before_a_deferred_reply_began_comes_before_it():
    """Also when a statement about the reply is what brings the two to be decided."""
    world = quiet()
    asked = world.accept(world.note(DORA, kind="plain", reply_by=world.clock + HOUR)).digest
    late = world.note(kind="plain", in_reply_to=asked, deferred_until=world.clock + 2 * HOUR)
    world.accept(late)
    world.advance(3 * HOUR)
    world.accept(world.answer(DORA, DELIVERED, late.digest))
    assert [r.facts.what for r in world.records[-3:-1]] == ["reply-overdue", "begun"]  # type: ignore[attr-defined]
    assert addressee(world, asked, LONDON).overdue is not None


# Alternates


ALTERNATE: dict[str, Asked] = {DUTY: ACTION, DEPUTY: {"role": STANDBY, "alternate_for": DUTY}}


def test_an_alternate_gets_the_note_when_the_first_declines():
    world = quiet()
    note = world.accept(world.note(to=ALTERNATE)).digest
    refuses(world, world.answer(EDWIN, DELIVERED, note), "not-now")
    world.accept(world.answer(DORA, DECLINED, note))
    at = world.head_at
    fired = world.elapse(1)
    assert story(fired, at)[:2] == [("alternate", 0), ("alert", 0)]
    assert deadlines(world)[0].reached[0].readers == (EDWIN,)
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    assert note_of(world, note).climbs is None


def test_an_alternate_gets_the_note_when_the_first_was_not_reached_and_it_climbs_for_it():
    world = quiet()
    note = world.accept(world.note(to=ALTERNATE, latest_delivery=world.clock + 60 * SECOND)).digest
    at = world.head_at
    fired = world.elapse(190 * SECOND)
    assert story(fired, at) == [("non-delivered", 60), ("alternate", 60), ("alert", 180)]
    assert lives(world, note) == {DUTY: Life.NON_DELIVERED, DEPUTY: Life.QUEUED}
    assert rungs_of(fired)[0].open == (DEPUTY,)


def test_an_alternate_is_not_needed_once_the_note_was_taken_on():
    world = quiet()
    to: dict[str, Asked] = {**ALTERNATE, MINISTRY: ACTION}
    note = world.accept(world.note(kind="plain", to=to)).digest
    world.accept(world.answer(GRETA, ACKNOWLEDGED, note))
    assert lives(world, note)[DEPUTY] is Life.LAPSED
    world.accept(world.answer(DORA, DECLINED, note))
    assert world.elapse(HOUR) == []


def test_an_alternate_stands_in_for_a_post_of_its_party_that_is_asked_to_act():
    world = quiet()

    def to(**asked: Any) -> dict[str, Asked]:
        return {DUTY: ACTION, DEPUTY: {"role": STANDBY, "alternate_for": DUTY, **asked}}

    action = AddresseeRole.ACTION
    refuses(world, world.note(to=to(role=action)), "alternate", "addressed as standby")
    refuses(world, world.note(to=to(alternate_for=MINISTRY)), "alternate", "not addressed")
    refuses(world, world.note(to={**to(alternate_for=HEAD), HEAD: ACTION}), "alternate", "party")
    refuses(
        world, world.note(to={**to(), DUTY: {"no_redirect": True}}), "no-redirect", "anybody else"
    )
    world.accept(world.note(to=to()))


def test_an_addressee_without_redirection_is_all_the_same_escalated_to_its_deputy():
    world = quiet()
    note = world.accept(world.note(to={**WITH_DEPUTY, DUTY: {"no_redirect": True}})).digest
    world.elapse(700 * SECOND)
    assert lives(world, note)[DEPUTY] is Life.QUEUED


# Withdrawal and superseding


def test_a_withdrawn_note_owes_nothing_and_rings_no_more():
    world = quiet()
    to: dict[str, Asked] = {DUTY: ACTION, DEPUTY: STANDBY, MINISTRY: INFO}
    note = world.accept(world.note(to=to, reply_by=world.clock + DAY)).digest
    world.elapse(700 * SECOND)
    world.accept(world.answer(DORA, DECLINED, note))
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    world.accept(world.withdrawal(note))
    assert last(world).told == tuple(sorted((ANNA, DORA, EDWIN, GRETA)))
    assert lives(world, note) == {
        DUTY: Life.DECLINED,
        DEPUTY: Life.ACKNOWLEDGED,
        MINISTRY: Life.CANCELLED,
    }
    assert world.elapse(10 * DAY) == []
    refuses(
        world, world.watch(PETE, WatchAction.REOPEN, note, post=DEPUTY), "not-now", "taken back"
    )
    refuses(world, world.answer(GRETA, DELIVERED, note), "already-so")


def test_a_note_that_everybody_declined_can_be_taken_back_while_it_rings():
    world = quiet()
    note = world.accept(world.note()).digest
    world.accept(world.answer(DORA, DECLINED, note))
    world.elapse(HOUR)
    world.accept(world.withdrawal(note))
    assert world.elapse(DAY) == []
    refuses(world, world.withdrawal(note), "not-now", "nothing to take back")


def test_a_note_is_taken_back_by_its_sender_or_its_post():
    world = quiet()
    note = world.accept(world.note(kind="plain")).digest
    refuses(world, world.withdrawal(note, by=DORA), "not-the-sender")
    refuses(world, world.withdrawal(note, by=FELIX), "not-the-sender")
    refuses(world, world.withdrawal(worlds.digest("x")), "unknown-note")
    world.accept(world.posting(LONDON, (ANNA, FELIX)))
    world.accept(world.withdrawal(note, by=FELIX))
    done = world.accept(world.note(kind="plain")).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, done))
    refuses(world, world.withdrawal(done), "not-now", "settled with everybody")


def test_an_alternate_of_a_withdrawn_note_is_not_opened():
    world = quiet()
    note = world.accept(world.note(kind="plain", to={**ALTERNATE, MINISTRY: ACTION})).digest
    world.accept(world.withdrawal(note))
    assert lives(world, note)[DEPUTY] is Life.LAPSED
    assert world.elapse(DAY) == []


def test_superseding_notes_make_a_chain_without_forks_or_loops():
    world = quiet()
    first = world.accept(world.note()).digest
    second = world.accept(world.note(supersedes=first)).digest
    third = world.accept(world.note(supersedes=second)).digest
    assert [note_of(world, n).superseded_by for n in (first, second, third)] == [
        second,
        third,
        None,
    ]
    assert [set(lives(world, n).values()) for n in (first, second)] == [{Life.CANCELLED}] * 2
    assert note_of(world, first).due is None
    refuses(world, world.note(supersedes=first), "superseded", "/1 was superseded already")
    refuses(world, world.note(corrects=first), "superseded")
    refuses(world, world.note(supersedes=worlds.digest("x")), "unknown-note", "supersedes")
    refuses(world, world.note(DORA, supersedes=third), "other-party", "not a note of")
    refuses(world, world.note(kind="plain", supersedes=third), "unknown-kind", "not plain")
    world.accept(world.note(corrects=third))
    assert note_of(world, third).superseded_by is None


def test_a_superseded_note_owes_no_answer():
    world = quiet()
    old = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, old))
    new = world.accept(world.note(supersedes=old)).digest
    assert note_of(world, old).due is None
    world.accept(world.answer(DORA, ACKNOWLEDGED, new))
    assert addressee(world, new, DUTY).reply_by is not None


def test_a_correction_and_a_reply_cite_what_they_are_about():
    world = verbale()
    first = world.accept(world.note(kind="plain")).digest
    world.accept(world.note(DORA, kind="plain", in_reply_to=first))
    assert last(world).in_reply_to == first
    world.accept(world.note(kind="plain", corrects=first))
    assert last(world).corrects == first
    assert lives(world, first) == {DUTY: Life.QUEUED}


def test_a_key_is_kept_until_the_note_can_be_opened_last():
    world = quiet()
    kept = world.clock + 40 * DAY
    short = world.accept(world.encryption_key(DORA, "2", kept_until=kept))
    assert signing(f"{DORA}/1").id == short.payload.key
    soon = world.clock + DAY
    refuses(world, world.note(deferred_until=world.clock + 30 * DAY), "key-not-kept")
    refuses(world, world.note(expiry=kept + 1, precedence=CALM), "key-not-kept")
    world.accept(world.note(expiry=kept, precedence=CALM))
    world.accept(world.note(deferred_until=soon + MINUTE))
