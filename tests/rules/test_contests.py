"""A compromised key: what it alone had taken on is armed again. statements.md, MEMBER-5 and CONTEST."""

from __future__ import annotations

from typing import Any

import pytest

from liaison.ledger.facts import ContestedFacts
from liaison.ledger.record import Record
from liaison.rules import cells, contests
from liaison.rules.inbox import items_of
from liaison.rules.lives import Life
from liaison.rules.refusal import Refused
from liaison.statements.payloads import Compromised, State, Verdict
from liaison.statements.procedures import WatchAction
from liaison.statements.statement import Statement
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests import world as worlds
from tests.rules.refusing import refuses
from tests.rules.telling import (
    WITH_DEPUTY,
    addressee,
    lives,
    note_of,
    quiet,
    rungs_of,
)
from tests.world import (
    ACTION,
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    FELIX,
    LONDON,
    MOD,
    PETE,
    MemoryWorld,
    replay,
    rows_of,
    signing,
)

ACKNOWLEDGED = Verdict.ACKNOWLEDGED
STOLEN, KEPT = signing(f"{DORA}/2"), signing(f"{DORA}/1")


def two_devices(world: MemoryWorld) -> MemoryWorld:
    """Return the world with a second device for the duty officer, which will be stolen."""
    world.accept(world.member(DORA, None, [KEPT, STOLEN]))
    world.accept(world.directory(MOD))
    return world


def lost(world: MemoryWorld, since: int, **changes: Any) -> Statement[Any]:
    """Return the party's word that the stolen device's key is in other hands since a time."""
    said = {"compromised": (Compromised(key=STOLEN.id, since=since),), **changes}
    return world.member(DORA, None, [KEPT], **said)


def contested(records: list[Record]) -> list[ContestedFacts]:
    return [r.facts for r in records if isinstance(r.facts, ContestedFacts)]


def test_what_the_key_alone_acknowledged_since_is_delivered_again_and_climbs():
    world = two_devices(quiet())
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.advance(MINUTE)
    since = world.clock
    world.accept(world.answer(DORA, ACKNOWLEDGED, note, key=STOLEN))
    assert note_of(world, note).climbs is None
    world.advance(5 * MINUTE)
    world.accept(lost(world, since))
    at = world.head_at
    fired = world.elapse(SECOND)
    (facts,) = contested(fired)
    assert (facts.party, facts.member, facts.device, facts.since, facts.due) == (
        MOD,
        DORA,
        STOLEN.id,
        since,
        at,
    )
    (armed,) = facts.armed
    assert (armed.note, armed.sender) == (note, ANNA)
    assert [(r.post, r.readers) for r in armed.reached] == [(DUTY, (DORA,))]
    assert lives(world, note) == {DUTY: Life.DELIVERED, DEPUTY: Life.WITHHELD}
    climb = note_of(world, note).climb_of(MOD)
    assert climb is not None
    assert (climb.since, climb.due, climb.round) == (at, at + 120 * SECOND, 2)
    # The holder is alerted, the sender is told.
    items = items_of(facts, len(world.records) - 1)
    index = note_of(world, note).index
    assert sorted((i.member, i.note_index, i.kind) for i in items) == [
        (ANNA, index, "told"),
        (DORA, index, "alert"),
    ]
    assert [f.effect.value for f in rungs_of(world.elapse(130 * SECOND))] == ["alert"]
    # The member takes it on with the device that is left.
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    assert note_of(world, note).climbs is None
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def stolen_ack(world: MemoryWorld, note: str) -> None:
    world.accept(world.answer(DORA, ACKNOWLEDGED, note, key=STOLEN))


def both(world: MemoryWorld, note: str) -> None:
    stolen_ack(world, note)
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))


def then(world: MemoryWorld, note: str, statement: Statement[Any]) -> None:
    stolen_ack(world, note)
    world.accept(statement)


def superseded(world: MemoryWorld, note: str) -> None:
    stolen_ack(world, note)
    world.accept(world.note(to={DUTY: ACTION, DEPUTY: ACTION}, supersedes=note))


def then_wait(world: MemoryWorld, note: str) -> None:
    stolen_ack(world, note)
    world.elapse(2 * DAY)


def answered(world: MemoryWorld, note: str) -> None:
    stolen_ack(world, note)
    world.accept(world.note(DORA, in_reply_to=note))


TABLE: dict[str, tuple[bool, Any]] = {
    "it acknowledged alone": (
        True,
        lambda w, n: w.accept(w.answer(DORA, ACKNOWLEDGED, n, key=STOLEN)),
    ),
    "the other device did": (
        False,
        lambda w, n: w.accept(w.answer(DORA, ACKNOWLEDGED, n, key=KEPT)),
    ),
    "nobody did": (False, lambda w, n: None),
    "it said delivered only": (
        False,
        lambda w, n: w.accept(w.answer(DORA, Verdict.DELIVERED, n, key=STOLEN)),
    ),
    "it declined": (False, lambda w, n: w.accept(w.answer(DORA, Verdict.DECLINED, n, key=STOLEN))),
    "another post did too": (False, both),
    "it was taken back since": (False, lambda w, n: then(w, n, w.withdrawal(n))),
    "it was superseded since": (False, superseded),
    "it expired since": (False, then_wait),
    "it was answered since": (True, answered),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_happened_since_tells_whether_it_is_armed(case):
    is_armed, happens = TABLE[case]
    world = two_devices(quiet())
    asked = {DUTY: ACTION, DEPUTY: ACTION}
    note = world.accept(world.note(to=asked, expiry=world.clock + DAY)).digest
    since = world.clock
    happens(world, note)
    if world.clock - since > DAY:
        world.accept(world.directory(MOD))
    before = lives(world, note)
    world.accept(lost(world, since))
    found = contested(world.elapse(SECOND))
    assert [one.note for facts in found for one in facts.armed] == [note] * is_armed
    if not is_armed:
        assert lives(world, note) == before
        return
    assert addressee(world, note, DUTY).life is Life.DELIVERED
    assert note_of(world, note).climb_of(MOD) is not None


def test_what_it_acknowledged_before_it_was_stolen_stands():
    world = two_devices(quiet())
    old = world.accept(world.note()).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, old, key=STOLEN))
    world.advance(HOUR)
    since = world.clock
    new = world.accept(world.note()).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, new, key=STOLEN))
    world.accept(lost(world, since))
    (facts,) = contested(world.elapse(SECOND))
    assert [one.note for one in facts.armed] == [new]
    # It turns out to have been longer: the rest is armed too, and nothing a second time.
    world.accept(lost(world, since - 2 * HOUR))
    (facts,) = contested(world.elapse(SECOND))
    assert [one.note for one in facts.armed] == [old]
    world.accept(lost(world, since - 2 * HOUR))
    assert contested(world.elapse(SECOND)) == []


def test_where_all_must_acknowledge_each_post_that_it_spoke_for_is_asked_again():
    world = worlds.quiet_hotline(terms=worlds.terms(acknowledge="all"))
    two_devices(world)
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: ACTION})).digest
    since = world.clock
    both(world, note)
    world.accept(lost(world, since))
    (facts,) = contested(world.elapse(SECOND))
    assert [r.post for one in facts.armed for r in one.reached] == [DUTY]
    assert lives(world, note) == {DUTY: Life.DELIVERED, DEPUTY: Life.ACKNOWLEDGED}


@pytest.mark.parametrize(("acknowledge", "again"), [("all", [DEPUTY]), ("any-of-tier", [])])
def test_what_it_took_on_for_one_post_before_it_was_stolen_stands_beside_what_it_did_since(
    acknowledge, again
):
    world = two_devices(worlds.quiet_hotline(terms=worlds.terms(acknowledge=acknowledge)))
    world.accept(world.posting(DEPUTY, (DORA,)))
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: ACTION})).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note, key=STOLEN, post=DUTY))
    world.advance(SECOND)
    since = world.clock
    world.accept(world.answer(DORA, ACKNOWLEDGED, note, key=STOLEN, post=DEPUTY))
    world.accept(lost(world, since))
    (facts,) = contested(world.elapse(SECOND))
    assert [r.post for one in facts.armed for r in one.reached] == again
    assert addressee(world, note, DUTY).life is Life.ACKNOWLEDGED


def stolen_reply(world: MemoryWorld, note: str, **changes: Any) -> str:
    return world.accept(world.note(DORA, in_reply_to=note, key=STOLEN, **changes)).digest


def owed(world: MemoryWorld, note: str, post: str = DUTY) -> tuple[int | None, ...]:
    """Return until when an answer is due, since when it is overdue, and when one came."""
    found = addressee(world, note, post)
    return found.reply_by, found.overdue, found.replied


def test_an_answer_by_the_key_counts_no_more_and_what_it_owed_is_owed_again():
    world = two_devices(quiet())
    note = world.accept(world.note(to=WITH_DEPUTY, reply_by=world.clock + 3 * HOUR)).digest
    since = world.clock
    stolen_ack(world, note)
    by, _, _ = owed(world, note)  # the charter's time since it was taken on comes before it
    assert by is not None
    reply = stolen_reply(world, note)
    assert owed(world, note) == (None, None, addressee(world, note, DUTY).replied)
    assert addressee(world, note, DUTY).replied is not None
    world.accept(lost(world, since))
    (facts,) = contested(world.elapse(SECOND))
    (armed,) = facts.armed
    assert armed.answers == (reply,)
    assert [(r.post, r.readers) for r in armed.owing or ()] == [(DUTY, (DORA,))]
    assert [r.post for r in armed.reached] == [DUTY]
    assert owed(world, note) == (by, None, None)
    # Who takes it on now owes the answer, and it rings when none comes.
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    late = [r for r in world.elapse(3 * HOUR) if r.urgency.outcome == "reply-overdue"]
    assert [r.note for r in late] == [note]
    climb = note_of(world, note).climb_of(MOD)
    assert climb is not None
    assert climb.waits_for == "answer"
    world.accept(world.directory(MOD))
    world.accept(world.note(DORA, in_reply_to=note))
    assert note_of(world, note).climbs is None
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_an_answer_is_asked_again_also_of_who_took_it_on_with_the_device_that_is_left():
    world = two_devices(quiet())
    by = world.clock + HOUR
    note = world.accept(world.note(reply_by=by)).digest
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    since = world.clock
    reply = stolen_reply(world, note)
    world.elapse(2 * HOUR)
    world.accept(lost(world, since))
    at = world.head_at
    (facts,) = contested(world.elapse(SECOND))
    (armed,) = facts.armed
    assert (armed.reached, armed.answers) == ((), (reply,))
    assert lives(world, note)[DUTY] is Life.ACKNOWLEDGED
    # Its time passed meanwhile: it climbs at once, and both sides are told.
    assert owed(world, note) == (None, at, None)
    climb = note_of(world, note).climb_of(MOD)
    assert climb is not None
    assert climb.waits_for == "answer"
    told = {(i.member, i.kind) for i in items_of(facts, len(world.records) - 1)}
    assert told == {(ANNA, "told"), (DORA, "alert")}


def test_an_answer_by_another_device_or_before_it_was_stolen_stands():
    world = two_devices(quiet())
    old, new = (world.accept(world.note(reply_by=world.clock + DAY)).digest for _ in range(2))
    stolen_reply(world, old)
    world.advance(MINUTE)
    since = world.clock
    stolen_reply(world, new)
    world.accept(world.note(DORA, in_reply_to=new))
    world.accept(lost(world, since))
    (facts,) = contested(world.elapse(SECOND))
    (armed,) = facts.armed
    assert (armed.note, armed.owing) == (new, None)
    assert owed(world, old)[2] is not None
    assert owed(world, new)[2] is not None
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_an_answer_that_is_shown_only_later_never_counts():
    world = two_devices(quiet())
    note, other = (
        world.accept(world.note(reply_by=world.clock + 2 * HOUR)).digest for _ in range(2)
    )
    since = world.clock
    soon = world.clock + HOUR
    stolen_reply(world, note, deferred_until=soon)
    world.accept(world.note(DORA, in_reply_to=other, deferred_until=soon))
    world.accept(lost(world, since))
    (facts,) = contested(world.elapse(SECOND))
    assert facts.armed == ()
    world.elapse(HOUR + SECOND)
    assert owed(world, note)[2] is None
    assert owed(world, other)[2] is not None
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_an_answer_that_the_key_released_counts_no_more():
    world = worlds.verbale()
    stolen = signing(f"{FELIX}/2")
    asked = world.accept(world.note(DORA, kind="plain", reply_by=world.clock + DAY)).digest
    world.accept(world.member(FELIX, None, [signing(f"{FELIX}/1"), stolen]))
    world.accept(world.directory(FCO))
    since = world.clock
    draft = world.accept(world.draft(in_reply_to=asked))
    world.accept(world.answer(FELIX, ACKNOWLEDGED, draft.digest))
    world.accept(world.release(draft, key=stolen))
    assert owed(world, asked, LONDON)[2] is not None
    gone = (Compromised(key=stolen.id, since=since),)
    world.accept(world.member(FELIX, None, [signing(f"{FELIX}/1")], compromised=gone))
    (facts,) = contested(world.elapse(SECOND))
    assert [one.answers for one in facts.armed] == [(draft.digest,)]
    assert owed(world, asked, LONDON)[2] is None
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_page_by_page_nothing_is_left_out(monkeypatch):
    monkeypatch.setattr(contests, "PAGE_ENTRIES", 3)
    world = two_devices(quiet())
    notes = [world.accept(world.note()).digest for _ in range(8)]
    world.accept(world.answer(DORA, ACKNOWLEDGED, notes[0], key=STOLEN))
    world.advance(MINUTE)
    since = world.clock
    world.accept(world.answer(DORA, ACKNOWLEDGED, *notes[1:5], key=STOLEN))
    for note in notes[5:]:
        world.accept(world.answer(DORA, ACKNOWLEDGED, note, key=STOLEN))
    world.accept(lost(world, since))
    found = contested(world.elapse(SECOND))
    assert [facts.page for facts in found] == [0, 2, 1]
    assert all(len(facts.armed) <= 3 for facts in found)
    assert {one.note for facts in found for one in facts.armed} == {*notes[1:]}
    assert lives(world, notes[0])[DUTY] is Life.ACKNOWLEDGED
    contest = world.have(cells.Contest, world.channel, STOLEN.id)
    assert contest.due is None
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_a_record_says_so_where_it_acknowledged_something_even_if_nothing_is_armed():
    world = two_devices(quiet())
    stolen_ack(world, world.accept(world.note()).digest)
    world.advance(MINUTE)
    # Channels that name the party make no work, nor such as others only propose to it.
    for n in range(3):
        world.accept(world.charter(alias=f"never-{n}"))
    world.accept(lost(world, world.clock))
    (facts,) = contested(world.elapse(SECOND))
    assert (facts.channel, facts.armed) == (world.channel, ())
    assert items_of(facts, 1) == []
    assert world.records[-1].urgency.outcome == "contested"


def test_where_it_acknowledged_nothing_there_is_nothing_to_look_through():
    world = two_devices(quiet())
    world.accept(world.answer(DORA, ACKNOWLEDGED, world.accept(world.note()).digest))
    world.accept(lost(world, 0))
    assert world.elapse(SECOND) == []


def in_lines(world: MemoryWorld, count: int) -> None:
    """Open more lines, and have the stolen device take a note on in each."""
    rules = (worlds.use("action-across"), worlds.use("members-exactly", count=2))
    said = worlds.hotline_charter(rules=rules)
    for n in range(count):
        world.alias = f"line-{n}"
        world.open(world.charter(**{**said, "alias": world.alias}))
        stolen_ack(world, world.accept(world.note()).digest)
    world.alias = worlds.ALIAS


def test_between_the_contests_of_a_party_a_rung_has_its_turn():
    world = two_devices(quiet())
    since = world.clock
    in_lines(world, 3)
    climb = note_of(world, world.accept(world.note()).digest).climb_of(MOD)
    assert climb is not None
    world.clock = climb.due - contests.APART // 2
    world.accept(lost(world, since))
    at = world.head_at
    world.advance(SECOND)
    fired = world.fire_due()
    assert [record.kind for record in fired] == ["contested", "rung", "contested", "contested"]
    found = contested(fired)
    assert [facts.due - at for facts in found] == [n * contests.APART for n in range(3)]
    assert [facts.channel for facts in found] == sorted(facts.channel for facts in found)
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_what_a_party_says_next_is_looked_through_behind_what_it_said_before():
    world = two_devices(quiet())
    since = world.clock
    in_lines(world, 3)
    world.accept(lost(world, since + 1))
    first = world.head_at
    world.accept(lost(world, since))
    found = contested(world.elapse(SECOND))
    # What was not looked through yet is by the later word, once.
    assert [(facts.due - first, facts.since) for facts in found] == [
        (n * contests.APART, since) for n in range(3, 6)
    ]
    # Long after, it begins at once.
    world.elapse(MINUTE)
    world.accept(lost(world, since - 1))
    at = world.head_at
    assert [facts.due - at for facts in contested(world.elapse(SECOND))] == [0, 10_000, 20_000]


def test_a_statement_and_a_key_are_looked_through_so_often_and_no_more():
    world = quiet()
    pages = [[signing(f"{DORA}/x{page}-{n}") for n in range(8)] for page in range(2)]
    kept = signing(f"{DORA}/kept")
    for page in (*pages, [kept]):
        world.accept(world.member(DORA, None, page))
    keys = sorted(key.id for page in pages for key in page)

    def say(count: int, since: int) -> Statement[Any]:
        said = tuple(Compromised(key=key, since=since) for key in keys[:count])
        return world.member(DORA, None, [kept], compromised=said)

    refuses(world, say(9, world.clock), "compromised", "of 8 keys at once")
    since = world.clock
    for earlier in range(8):
        world.accept(say(8, since - earlier))
    refuses(world, say(8, since - 8), "compromised", "8 times of a key")
    # What was said may be said again, and of others something new.
    world.accept(say(8, since - 7))
    assert world.have(cells.Acknowledger, keys[0]).contested == 8
    said = [Compromised(key=key, since=since - 7) for key in keys[:8]]
    new = (*said, *(Compromised(key=key, since=since) for key in keys[8:16]))
    world.accept(world.member(DORA, None, [kept], compromised=new))


def test_what_was_due_of_a_note_goes_before_it_is_armed():
    world = two_devices(quiet())
    asked = {DUTY: ACTION, DEPUTY: ACTION}
    note = world.accept(world.note(to=asked, kind="service", expiry=world.clock + HOUR)).digest
    since = world.clock
    world.accept(world.answer(EDWIN, Verdict.DELIVERED, note))
    stolen_ack(world, note)
    world.advance(2 * HOUR)
    world.accept(lost(world, since))
    world.advance(MINUTE)
    fired = world.fire_due()
    assert [record.kind for record in fired] == ["deadline", "contested"]
    assert contested(fired)[0].armed == ()
    assert lives(world, note) == {DUTY: Life.ACKNOWLEDGED, DEPUTY: Life.EXPIRED}


def test_what_was_reopened_behind_its_expiry_is_asked_again():
    world = two_devices(quiet())
    asked = {DUTY: ACTION, DEPUTY: ACTION}
    note = world.accept(world.note(to=asked, kind="service", expiry=world.clock + HOUR)).digest
    world.accept(world.answer(EDWIN, Verdict.DELIVERED, note))
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.elapse(2 * HOUR)
    world.accept(world.watch(PETE, WatchAction.REOPEN, note, post=DUTY))
    since = world.clock
    stolen_ack(world, note)
    world.accept(lost(world, since))
    (facts,) = contested(world.elapse(SECOND))
    assert [one.note for one in facts.armed] == [note]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("unknown-key", {"compromised": (Compromised(key=signing(f"{EDWIN}/1").id, since=1),)}),
        ("unknown-key", {"compromised": (Compromised(key=worlds.digest("none"), since=1),)}),
        ("compromised", {"compromised": (Compromised(key=KEPT.id, since=1),)}),
        (
            "compromised",
            {"compromised": (Compromised(key=STOLEN.id, since=worlds.T0 + 400 * DAY),)},
        ),
    ],
)
def test_another_key_one_in_use_and_a_time_to_come_are_refused(code, changes):
    world = two_devices(quiet())
    refused = world.submit(lost(world, world.clock, **changes))
    assert isinstance(refused, Refused)
    assert refused.code == code
    world.accept(lost(world, world.clock))


def test_what_was_said_to_be_compromised_stays_so():
    world = two_devices(quiet())
    since = world.clock
    world.accept(lost(world, since))
    for compromised in (None, (Compromised(key=STOLEN.id, since=since + 1),)):
        refused = world.submit(world.member(DORA, None, [KEPT], compromised=compromised))
        assert isinstance(refused, Refused)
        assert refused.code == "compromised"
    world.elapse(SECOND)
    world.accept(lost(world, since, state=State.SUSPENDED))
    assert contested(world.elapse(SECOND)) == []


def test_a_log_of_version_1_knows_no_compromised_keys():
    world = MemoryWorld.opened(1)
    world.accept(world.member(DORA, None, [KEPT, STOLEN]))
    refused = world.submit(lost(world, world.clock))
    assert isinstance(refused, Refused)
    assert refused.code == "not-in-this-version"
    world.accept(world.member(DORA, None, [KEPT]))
