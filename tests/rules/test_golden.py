"""A log of an earlier release replays byte for byte, and goes on under the rules of this one."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from liaison.ledger.facts import Stated
from liaison.ledger.record import Record, fields_of, record_from
from liaison.rules import cells
from liaison.rules.cells import Overlay
from liaison.rules.decide import decide
from liaison.rules.evolve import evolve
from liaison.rules.lives import Life
from liaison.statements.payloads import Verdict
from liaison.statements.statement import parse_statement
from liaison.words.encoding import from_base64
from liaison.words.times import HOUR, MINUTE
from tests.rules.refusing import refuses
from tests.rules.telling import CALM, WITH_DEPUTY, lives, note_of, story
from tests.world import (
    ACTION,
    ANNA,
    CLIMBS,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    MOD,
    MemoryWorld,
    kind,
    ladders,
    replay,
    rows_of,
)

PATH = Path(__file__).parents[2] / "protocols" / "vectors" / "rules-1.json"


@cache
def told() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PATH.read_text("utf-8"))
    return found


def replayed() -> MemoryWorld:
    """Return the world that the vector's records lead to, each decided anew from its statement."""
    world = MemoryWorld()
    for number, fields in enumerate(told()["records"]):
        record = record_from([from_base64(field) for field in fields])
        statement = parse_statement(record.statement)
        view = Overlay(world.cells)
        decided = decide(view, statement, record.at)
        assert isinstance(decided, Record), (number, decided)
        assert [*fields_of(decided)] == [from_base64(field) for field in fields]
        view.put(evolve(view, decided, number))
        world.cells.update(view.changes)
        world.records.append(decided)
        world.accepted.append(statement)
        world.head_at = world.clock = decided.at
    return world


def test_a_log_of_the_first_rules_replays_byte_for_byte():
    world = replayed()
    spelled = {key: row.decode() for key, row in rows_of(world.cells).items()}
    assert spelled == told()["cells"]
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_a_log_of_the_first_rules_goes_on_under_the_second():
    world = replayed()
    old = next(
        record.note for record in world.records if record.kind == "note" and record.actor == ANNA
    )
    refuses(world, world.note(reply_by=world.clock + HOUR), "not-in-this-version")
    world.accept(world.rules_version(2))
    assert world.have(cells.Log).rules_version == 2
    # The channel's notes climb nothing until its parties agree on a ladder.
    plain = world.accept(world.note()).digest
    assert note_of(world, plain).due is None
    world.accept(world.member(EDWIN, world.authority(MOD)))
    for party in (FCO, MOD):
        world.accept(world.directory(party))
    world.amend(
        ladders=ladders(),
        kinds=(kind("leader", ladders=CLIMBS), kind("plain"), kind("service", service=True)),
    )
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    at = world.head_at
    assert [what for what, _ in story(world.elapse(16 * MINUTE), at)] == [
        *("alert", "alert", "alert", "raise", "open", "tell")
    ]
    world.accept(world.answer(EDWIN, Verdict.ACKNOWLEDGED, note))
    assert note_of(world, note).due is None
    # What the first rules left goes on as it was, without a timer.
    assert note_of(world, old).due is None
    assert {post: life.value for post, life in lives(world, old).items()}[DUTY] == "acknowledged"
    waiting = world.accept(world.note(kind="plain", precedence=CALM)).digest
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, plain, waiting))
    assert lives(world, plain) == {DUTY: Life.ACKNOWLEDGED}
    world.accept(world.withdrawal(world.accept(world.note(kind="plain")).digest))
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_what_was_written_under_the_first_rules_is_taken_on_under_the_second():
    world = MemoryWorld.opened(version=1)
    notes = [world.accept(world.note(to={DUTY: ACTION, DEPUTY: ACTION})).digest for _ in range(4)]
    world.accept(world.rules_version(2))
    world.accept(world.answer(DORA, Verdict.DELIVERED, notes[0]))
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, notes[0]))
    world.accept(world.answer(EDWIN, Verdict.DECLINED, notes[0]))
    world.accept(world.withdrawal(notes[1]))
    assert set(lives(world, notes[1]).values()) == {Life.CANCELLED}
    world.accept(world.note(supersedes=notes[2]))
    assert note_of(world, notes[2]).superseded_by is not None
    world.accept(world.note(DORA, in_reply_to=notes[3]))
    assert all(cell.due is None for cell in world.cells.values() if cell is not None)
    assert all(isinstance(record.facts, Stated) for record in world.records)
    assert rows_of(replay(world.records)) == rows_of(world.cells)
