"""What an attacker among the members tried: each attempt is refused, or undone in the open."""

from __future__ import annotations

from typing import Any

import pytest

from liaison.rules import cells
from liaison.rules.cells import Note, PostHold
from liaison.rules.channels import PROPOSED_MAX
from liaison.rules.decide import first_due, needs
from liaison.rules.inbox import items_of
from liaison.rules.lives import Life
from liaison.rules.showing import HELD_MAX
from liaison.statements.charters import Effect, Rung
from liaison.statements.payloads import Verdict
from liaison.statements.procedures import WatchAction
from liaison.words.precedence import Precedence
from liaison.words.times import HOUR, MINUTE, SECOND
from tests.rules.refusing import refuses
from tests.rules.telling import CALM, WITH_DEPUTY, addressee, forum, lives, note_of, quiet
from tests.timed import line
from tests.world import (
    ACTION,
    ANNA,
    DORA,
    DUTY,
    FCO,
    FELIX,
    GRETA,
    HEAD,
    MINISTRY,
    MOD,
    PETE,
    WATCH,
    MemoryWorld,
    digest,
)

# An operator in a hurry


def test_a_ladder_that_was_escalated_by_hand_is_closed_when_it_would_have_been_exhausted():
    world = line()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    armed = world.head_at
    for _ in range(6):
        world.accept(world.watch(PETE, WatchAction.ESCALATE, note))
        world.elapse(SECOND)
    item = note_of(world, note).items
    assert item is not None
    assert item[0].exhausted
    refuses(world, world.watch(PETE, WatchAction.CLOSE, note), "not-exhausted", "by hand")
    world.elapse(armed + 6 * MINUTE - world.clock)
    world.accept(world.watch(PETE, WatchAction.CLOSE, note))


# Silence about which nobody heard


@pytest.mark.parametrize("name", ["expiry", "latest_delivery"])
def test_a_proposal_does_not_go_away_before_its_silence_ends(name: str):
    world = forum()
    times: dict[str, Any] = {name: world.next_at + SECOND}
    refuses(world, world.proposal(**times), "times", name)


# Notes that wait for each other


def test_posts_on_hold_and_notes_that_wait_for_all_of_them_are_searched_once():
    world = quiet()
    base = world.accept(world.note(precedence=CALM))
    first = note_of(world, base.digest)
    posts = (DUTY, *(f"p{n}@mod.example" for n in range(31)))
    held = first.addressees[0].model_copy(update={"held": True})
    addressees = tuple(held.model_copy(update={"post": post}) for post in posts)
    digests = tuple(digest(f"held {n}") for n in range(HELD_MAX))
    for n, one in enumerate(digests):
        world.cells[Note.key_of(world.channel, one)] = first.model_copy(
            update={"note": one, "index": 1000 + n, "addressees": addressees, "climbs": None}
        )
    for n, post in enumerate(posts):
        world.cells[PostHold.key_of(world.channel, post)] = PostHold(
            channel=world.channel,
            post=post,
            below=Precedence.IMMEDIATE,
            until=world.clock + n,
            since=world.clock,
            waiting=digests,
        )
    world.advance(SECOND)
    statement = world.hold(DORA, lasts=MINUTE)
    asked: list[str] = []

    def peek(cell: type[cells.C], *ids: str) -> cells.C | None:
        asked.append(cell.name)
        found = world.cells.get((cell.name, *ids))
        assert found is None or isinstance(found, cell)
        return found

    found = needs(statement, peek)
    assert {Note.key_of(world.channel, one) for one in digests} <= found
    assert len(asked) < 3 * (len(posts) + len(digests)) + 10

    class Counting:
        def get(self, cell: type[cells.C], *ids: str) -> cells.C | None:
            return peek(cell, *ids)

    asked.clear()
    view = Counting()
    keys = [PostHold.key_of(world.channel, post) for post in posts]
    overdue = first_due(view, [*keys, *keys], world.clock)
    assert overdue == PostHold.key_of(world.channel, DUTY)
    assert len(asked) == len(posts) + len(digests)


# Another's note


def test_only_its_sender_or_who_holds_its_post_supersedes_a_note():
    world = quiet()
    old = world.accept(world.note()).digest
    refuses(
        world,
        world.note(by=FELIX, to={DUTY: ACTION}, supersedes=old),
        "not-the-sender",
        "superseded by",
    )
    assert lives(world, old) == {DUTY: Life.QUEUED}
    world.accept(world.note(supersedes=old))
    assert lives(world, old) == {DUTY: Life.CANCELLED}


# Answers that are none


def owing() -> tuple[MemoryWorld, str]:
    """Return a line, and a note that was taken on and is not answered in time."""
    world = line()
    note = world.accept(world.note()).digest
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note))
    world.elapse(31 * MINUTE)
    assert note_of(world, note).climbs
    return world, note


def test_who_was_not_asked_does_not_answer_for_a_party():
    world, note = owing()
    world.accept(world.note(by=GRETA, post=MINISTRY, kind="plain", in_reply_to=note))
    assert note_of(world, note).climbs
    world.accept(world.note(by=DORA, kind="plain", in_reply_to=note))
    assert not note_of(world, note).climbs


def test_an_answer_has_no_latest_delivery():
    world, note = owing()
    statement = world.note(
        by=DORA, kind="plain", in_reply_to=note, latest_delivery=world.next_at + HOUR
    )
    refuses(world, statement, "times", "latest_delivery")


@pytest.mark.parametrize("how", ["withdrawn", "superseded"])
def test_an_answer_that_is_taken_back_unread_is_owed_again(how: str):
    world, note = owing()
    reply = world.accept(world.note(by=DORA, kind="plain", in_reply_to=note)).digest
    assert not note_of(world, note).climbs
    if how == "withdrawn":
        world.accept(world.withdrawal(reply, by=DORA))
    else:
        world.accept(world.note(by=DORA, kind="plain", supersedes=reply))
    assert addressee(world, note, DUTY).replied is None
    assert addressee(world, note, DUTY).overdue == world.head_at
    climbs = note_of(world, note).climbs
    assert climbs is not None
    assert climbs[0].waits_for == "answer"


def test_an_answer_that_was_read_stays_one():
    world, note = owing()
    reply = world.accept(world.note(by=DORA, kind="plain", in_reply_to=note))
    post = next(a.post for a in note_of(world, reply.digest).addressees)
    world.accept(world.answer(ANNA, Verdict.DELIVERED, reply.digest, post=post))
    world.accept(world.withdrawal(reply.digest, by=DORA))
    assert addressee(world, note, DUTY).replied is not None
    assert not note_of(world, note).climbs


def test_an_answer_taken_back_in_time_leaves_the_rest_of_the_time():
    world = line()
    note = world.accept(world.note()).digest
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note))
    by = addressee(world, note, DUTY).reply_by
    first, second = (
        world.accept(world.note(by=DORA, kind="plain", in_reply_to=note)).digest for _ in range(2)
    )
    world.accept(world.withdrawal(first, by=DORA))
    assert addressee(world, note, DUTY).reply_by is None
    world.accept(world.withdrawal(second, by=DORA))
    assert addressee(world, note, DUTY).reply_by == by


# Records without end


def test_exhausted_is_said_once_a_minute_at_most():
    with pytest.raises(ValueError, match="every_s"):
        Rung(after_s=0, effect=Effect.EXHAUSTED, every_s=59)
    Rung(after_s=0, effect=Effect.EXHAUSTED, every_s=60)


def test_a_party_proposes_two_successors_of_a_charter_and_two_of_the_next():
    world = quiet()
    last = [world.accept(world.amendment(FCO)) for _ in range(PROPOSED_MAX)][-1]
    refuses(world, world.amendment(FCO), "amendment", "already")
    world.accept(world.amendment(MOD))
    for party in (FCO, MOD):
        world.accept(world.accession(party, charter=last.digest))
    world.accept(world.amendment(FCO))


# Line tests that test nothing


def at_slot() -> tuple[MemoryWorld, str, str]:
    """Return a line in the slot that is waited for, whose turn it is, and that party's own desk."""
    world = line()
    test = world.have(cells.LineTest, world.channel)
    world.clock = test.slot * test.every_us + SECOND
    for party in (FCO, MOD):
        world.accept(world.directory(party))
    by, own = (ANNA, HEAD) if test.turn == FCO else (DORA, MINISTRY)
    return world, by, own


def is_tested(world: MemoryWorld, slot: int) -> bool:
    return world.have(cells.LineTest, world.channel).slot > slot


def test_a_line_test_reaches_each_other_party_now_and_for_good():
    world, by, own = at_slot()
    slot = world.have(cells.LineTest, world.channel).slot
    world.accept(world.note(by=by, kind="test", to={own: ACTION}))
    for name in ("deferred_until", "expiry", "latest_delivery"):
        times: dict[str, Any] = {name: world.next_at + HOUR}
        world.accept(world.note(by=by, kind="test", **times))
        assert not is_tested(world, slot)
    world.accept(world.note(by=by, kind="test"))
    assert is_tested(world, slot)


# A note that went away unheard


def procedures(world: MemoryWorld, index: int) -> set[str]:
    items = items_of(world.records[-1].facts, len(world.records) - 1)
    return {i.member for i in items if i.kind == "procedure" and i.note_index == index}


def test_who_had_a_note_hears_that_it_was_superseded():
    world = quiet()
    old = world.accept(world.note()).digest
    world.accept(world.note(to={WATCH: ACTION}, supersedes=old))
    told = procedures(world, note_of(world, old).index)
    assert {ANNA, DORA} <= told


def test_proposer_and_readers_hear_that_a_proposal_was_amended():
    world = forum()
    old = world.accept(world.proposal(by=ANNA)).digest
    world.accept(world.proposal(by=DORA, amends=old))
    assert ANNA in procedures(world, note_of(world, old).index)
