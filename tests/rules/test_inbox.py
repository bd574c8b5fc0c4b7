"""Whose inbox each kind of record is an item of: who can read now, who is told, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from liaison.ledger.facts import FACTS, Facts
from liaison.ledger.record import Record
from liaison.rules import inbox
from liaison.rules.inbox import InboxRow, ItemKind, items_of, kept_at
from liaison.statements.payloads import NotePrecedence, Verdict
from liaison.statements.procedures import WatchAction
from liaison.statements.statement import Statement
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, MINUTE, SECOND
from tests.timed import CALM, WITH_DEPUTY, line
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
    MINISTRY,
    OLGA,
    PETE,
    Asked,
    MemoryWorld,
)

NOTE, ALERT, TOLD, COPY = ItemKind.NOTE, ItemKind.ALERT, ItemKind.TOLD, ItemKind.COPY
Items = dict[tuple[str, str], str]


def items(world: MemoryWorld, record: Record | None = None) -> Items:
    """Return the items of a record, the newest unless given: member and kind, with precedence."""
    index = len(world.records) - 1 if record is None else world.records.index(record)
    rows = items_of(world.records[index].facts, index)
    assert all(row.pos == index for row in rows)
    found = {(row.member, row.kind): row.precedence for row in rows}
    assert len(found) == len(rows)
    return found


def one_of(fired: list[Record], outcome: str) -> Record:
    return next(record for record in fired if record.urgency.outcome == outcome)


def index_of(world: MemoryWorld, statement: Statement) -> int:
    return next(i for i, r in enumerate(world.records) if r.statement == statement.raw)


def test_a_note_is_an_item_for_readers_and_its_writer_and_not_for_who_stands_by():
    world = line()
    precedence = NotePrecedence(action=Precedence.FLASH, info=Precedence.ROUTINE)
    note = world.accept(world.note(to={**WITH_DEPUTY, MINISTRY: INFO}, precedence=precedence))
    assert items(world) == {
        (DORA, NOTE): "flash",
        (GRETA, NOTE): "routine",
        (ANNA, COPY): "flash",
    }
    index = index_of(world, note)
    assert {row.note_index for row in items_of(world.records[index].facts, index)} == {index}


def test_who_holds_two_posts_gets_one_item_with_the_higher_precedence():
    world = line()
    world.accept(world.posting(MINISTRY, holders=(DORA,)))
    world.accept(world.directory("mod.example"))
    precedence = NotePrecedence(action=Precedence.FLASH, info=Precedence.ROUTINE)
    world.accept(world.note(to={MINISTRY: INFO, DUTY: ACTION}, precedence=precedence))
    assert items(world) == {(DORA, NOTE): "flash", (ANNA, COPY): "flash"}


def test_who_writes_to_their_own_post_gets_the_note_and_no_copy():
    world = line()
    world.accept(world.posting(HEAD, holders=(ANNA, FELIX)))
    world.accept(world.directory("fco.example"))
    world.accept(world.note(to={HEAD: INFO, DUTY: ACTION}))
    assert items(world)[ANNA, NOTE]
    assert (ANNA, COPY) not in items(world)


def test_rungs_alert_open_tell_and_exhaust():
    world = line()
    world.accept(world.note(to=WITH_DEPUTY))
    fired = world.elapse(7 * MINUTE)
    assert items(world, one_of(fired, "alert")) == {(DORA, ALERT): "flash"}
    assert items(world, one_of(fired, "raise")) == {}
    assert items(world, one_of(fired, "open")) == {(EDWIN, NOTE): "flash"}
    assert items(world, one_of(fired, "tell")) == {(ANNA, TOLD): "flash", (GRETA, TOLD): "flash"}
    exhausted = items(world, one_of(fired, "exhausted"))
    assert exhausted == {
        (DORA, ALERT): "flash",
        (EDWIN, ALERT): "flash",
        (ANNA, TOLD): "flash",
        (GRETA, TOLD): "flash",
    }


def test_what_a_tier_that_opens_gets_is_the_note_at_the_rungs_position():
    world = line()
    note = world.accept(world.note(to=WITH_DEPUTY))
    rung = one_of(world.elapse(5 * MINUTE), "open")
    pos, index = world.records.index(rung), index_of(world, note)
    assert items_of(rung.facts, pos) == [InboxRow(EDWIN, pos, index, "note", "flash")]


def test_a_deferred_note_is_an_item_when_it_begins():
    world = line()
    world.accept(world.note(kind="plain", deferred_until=world.clock + MINUTE))
    assert items(world) == {(ANNA, COPY): "flash"}
    begun = one_of(world.elapse(2 * MINUTE), "begun")
    assert items(world, begun) == {(DORA, NOTE): "flash"}


@pytest.mark.parametrize("ended", ["by its time", "by the holder"])
def test_a_note_on_hold_is_an_item_when_the_hold_ends(ended):
    world = line()
    world.accept(world.hold(DORA, lasts=5 * MINUTE))
    notes = [world.accept(world.note(kind="plain", precedence=CALM)) for _ in range(2)]
    assert items(world) == {(ANNA, COPY): "routine"}
    if ended == "by its time":
        world.elapse(6 * MINUTE)
    else:
        world.accept(world.hold(DORA, below=None))
    pos = len(world.records) - 1
    rows = items_of(world.records[pos].facts, pos)
    expected = [InboxRow(DORA, pos, index_of(world, n), "note", "routine") for n in notes]
    assert rows == expected


def test_a_draft_is_an_item_for_its_own_party_and_for_others_by_its_release():
    world = line()
    draft = world.accept(world.draft())
    assert items(world) == {(FELIX, NOTE): "flash", (ANNA, COPY): "flash"}
    world.accept(world.answer(FELIX, Verdict.ACKNOWLEDGED, draft.digest))
    world.accept(world.release(draft))
    assert items(world) == {(DORA, NOTE): "flash", (ANNA, ItemKind.RELEASED): "flash"}
    pos, index = len(world.records) - 1, index_of(world, draft)
    facts = world.records[pos].facts
    assert {row.note_index for row in items_of(facts, pos)} == {index}
    assert kept_at(facts, pos) == index
    assert kept_at(world.records[index].facts, index) == index


def test_deadlines_certify_remind_and_go_to_the_alternate():
    world = line()
    now = world.clock
    note = world.accept(world.note(reply_by=now + 20 * MINUTE))
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note.digest))
    fired = world.elapse(21 * MINUTE)
    assert items(world, one_of(fired, "reminder")) == {(DORA, ItemKind.REMINDER): "flash"}
    certificate = {(DORA, ItemKind.CERTIFICATE): "flash", (ANNA, ItemKind.CERTIFICATE): "flash"}
    assert items(world, one_of(fired, "reply-overdue")) == certificate
    for when in ("expiry", "latest_delivery"):
        changes: dict[str, Any] = {"kind": "plain", when: world.clock + MINUTE}
        world.accept(world.note(**changes))
        ended = world.elapse(2 * MINUTE)
        outcome = "expired" if when == "expiry" else "non-delivered"
        sender = {(ANNA, ItemKind.CERTIFICATE): "flash"}
        assert items(world, one_of(ended, outcome)) == sender
    asked: dict[str, Asked] = {
        DUTY: ACTION,
        DEPUTY: {"role": WITH_DEPUTY[DEPUTY], "alternate_for": DUTY},
    }
    note = world.accept(world.note(to=asked))
    world.accept(world.answer(DORA, Verdict.DECLINED, note.digest))
    fired = world.elapse(SECOND)
    assert items(world, one_of(fired, "alternate")) == {(EDWIN, NOTE): "flash"}


def test_answers_go_to_the_writer_but_delivered_does_not():
    world = line()
    note = world.accept(world.note())
    world.accept(world.answer(DORA, Verdict.DELIVERED, note.digest))
    assert items(world) == {}
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note.digest))
    assert items(world) == {(ANNA, ItemKind.ANSWER): "flash"}


def test_procedures_and_decisions_are_told_to_who_had_the_note():
    world = line()
    proposed = world.accept(world.proposal(to={DUTY: ACTION}, lasts=15 * MINUTE))
    both = {(DORA, ItemKind.PROCEDURE): "flash", (ANNA, ItemKind.PROCEDURE): "flash"}
    world.accept(world.extension(proposed.digest, world.clock + 20 * MINUTE, by=ANNA))
    assert items(world) == both
    adopted = one_of(world.elapse(21 * MINUTE), "adopted")
    decided = {(DORA, ItemKind.DECISION): "flash", (ANNA, ItemKind.DECISION): "flash"}
    assert items(world, adopted) == decided
    world.accept(world.objection(proposed.digest))
    assert items(world) == both
    note = world.accept(world.note(kind="plain"))
    world.accept(world.withdrawal(note.digest))
    assert items(world) == both


def test_what_operators_do_is_told_when_it_closes_or_reopens():
    world = line()
    note = world.accept(world.note())
    world.elapse(7 * MINUTE)
    world.accept(world.watch(PETE, WatchAction.CLAIM, note.digest))
    assert items(world) == {}
    world.accept(world.watch(PETE, WatchAction.CLOSE, note.digest))
    assert items(world) == {(ANNA, ItemKind.WATCH): "flash"}
    world.accept(world.watch(PETE, WatchAction.REOPEN, note.digest, post=DUTY))
    assert items(world) == {(ANNA, ItemKind.WATCH): "flash", (DORA, ItemKind.WATCH): "flash"}


def test_a_missed_line_test_is_an_item_for_both_sides_first_tier():
    world = line()
    missed = one_of(world.elapse(DAY), "missed-test")
    kind = ItemKind.MISSED_TEST
    assert items(world, missed) == {(ANNA, kind): "immediate", (DORA, kind): "immediate"}
    pos = world.records.index(missed)
    assert {row.note_index for row in items_of(missed.facts, pos)} == {pos}
    assert not {OLGA, PETE} & {row.member for row in items_of(missed.facts, pos)}


def test_each_kind_of_facts_makes_items_or_is_known_to_make_none():
    silent = {
        *("accession", "admission", "charter", "directory", "key", "member", "node"),
        *("participation", "party", "posting", "roster", "void"),
    }
    gathered: dict[type[Facts], Callable] = inbox._GATHER
    assert {kind for kind, facts in FACTS.items() if facts not in gathered} == silent
