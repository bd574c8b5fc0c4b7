"""Timers on a real node with a hand-moved clock: each moment once, in order, also late. design.md, law 5."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from liaison import main
from liaison.ledger.facts import ContestedFacts, DueFacts, MomentFacts, RungFacts
from liaison.ledger.record import Record, record_from
from liaison.main import begin
from liaison.node import timers as module
from liaison.node.beginning import confirm_time
from liaison.node.deciding import MOMENTS_MAX
from liaison.node.pace import Pace
from liaison.node.sequencer import BESIDE_DUE, Accepted, Submitted
from liaison.node.timers import MOMENTS_A_BATCH, Timers
from liaison.rules.cells import Note
from liaison.rules.moments import DUE_KINDS, DUES
from liaison.statements import payloads
from liaison.statements.payloads import Compromised, Verdict
from liaison.statements.statement import Statement, make_statement
from liaison.words.errors import CommitFailed
from liaison.words.times import HOUR, MINUTE, SECOND
from tests.faults.writers import BrokenWriter
from tests.node.line import live_line, send
from tests.node.live import SEEDS, HandClock, LiveNode, live_node, settings_in
from tests.timed import WITH_DEPUTY, timed_line
from tests.world import ANNA, DORA, ORIGIN, signing

RUNGS = ["alert", "alert", "raise", "open", "tell", "exhausted", "exhausted"]
AFTER = [MINUTE * n for n in (1, 2, 3, 4, 5, 6, 16)]


@pytest.fixture(autouse=True)
def _only_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the timers look at the hand-moved clock when they are told to, or something changed."""
    monkeypatch.setattr(module, "LOOK_S", 3600.0)


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveNode]:
    monkeypatch.setattr(main, "SqlWriter", BrokenWriter)
    async with live_line(tmp_path / "home") as node:
        yield node


def urgent(node: LiveNode) -> Statement[payloads.Note]:
    """Return a note whose ladder has somebody at each rung."""
    return node.world.note(to=WITH_DEPUTY)


def timers_of(node: LiveNode) -> Timers:
    return node.running.services.timers


async def fire(node: LiveNode, micros: int = 0) -> int:
    """Let time pass; return how many moments took effect."""
    node.clock.advance(micros)
    node.world.clock = node.clock.wall
    return await timers_of(node).fire_due()


async def test_what_came_due_since_the_last_look_is_not_slept_over(node: LiveNode) -> None:
    await send(node, urgent(node))
    assert await fire(node, MINUTE - 1) == 0  # the clock was read a microsecond too early
    node.clock.advance(1)
    assert timers_of(node)._sleep_s() == 0.0
    assert await fire(node) == 1


async def records(node: LiveNode) -> list[Record]:
    rows = await node.running.services.reading.store.entries(0, 10_000)
    return [record_from(row.fields) for row in rows]


async def due_records(node: LiveNode) -> list[Record]:
    return [record for record in await records(node) if isinstance(record.facts, DueFacts)]


async def rungs_of(node: LiveNode, note: str) -> list[tuple[str, int]]:
    """Return effect and moment of each rung of a note, the moment counted from its acceptance."""
    found, accepted = [], 0
    for record in await records(node):
        facts = record.facts
        if record.kind == "note" and record.note == note:
            accepted = record.at
        if isinstance(facts, RungFacts) and facts.note == note:
            found.append((facts.effect.value, facts.due - accepted))
    return found


def check_times(all_records: Sequence[Record]) -> None:
    """Each record is after the one before it, and none before its moment."""
    assert all(a.at < b.at for a, b in pairwise(all_records))
    for record in all_records:
        if isinstance(record.facts, DueFacts):
            assert record.facts.due <= record.at


async def test_an_unanswered_note_climbs_every_rung_once(node: LiveNode) -> None:
    note = await send(node, urgent(node))
    for passed, fired in (
        (MINUTE - 1, 0),
        (1, 1),
        (0, 0),
        (MINUTE, 1),
        (MINUTE, 1),
        (MINUTE, 1),
        (MINUTE, 1),
        (MINUTE, 1),
        (9 * MINUTE, 0),
        (MINUTE, 1),
    ):
        assert await fire(node, passed) == fired
    assert await rungs_of(node, note) == list(zip(RUNGS, AFTER, strict=True))
    check_times(await records(node))


async def test_after_an_outage_the_rungs_count_from_their_moments(node: LiveNode) -> None:
    note = await send(node, urgent(node))
    before = len(await records(node))
    assert await fire(node, 17 * MINUTE) == len(RUNGS)
    assert await rungs_of(node, note) == list(zip(RUNGS, AFTER, strict=True))
    after = await records(node)
    check_times(after)
    assert [record.kind for record in after[before:]] == ["rung"] * len(RUNGS)
    assert {record.at - node.clock.wall for record in after[before:]} == set(range(len(RUNGS)))
    assert await fire(node) == 0


async def test_moments_of_many_cells_fire_in_the_order_in_which_they_were_due(
    node: LiveNode,
) -> None:
    for _ in range(3):
        await send(node, urgent(node))
        await fire(node, 20 * SECOND)
    world = node.world
    await node.accept(world.hold(DORA, lasts=90 * SECOND))
    before = len(await due_records(node))
    fired = await fire(node, 26 * HOUR)
    found = await due_records(node)
    assert fired == len(found) - before > 3 * MOMENTS_A_BATCH
    assert {record.kind for record in found} == {"rung", "hold-ended", "missed-test"}
    dues = [record.facts.due for record in found if isinstance(record.facts, DueFacts)]
    assert dues == sorted(dues)
    check_times(await records(node))
    world.fire_due()
    alike = [record.facts for record in world.records if isinstance(record.facts, DueFacts)]
    assert [record.facts for record in found] == alike


class ShortBatches(Pace):
    """As on a busy node; the hand-moved clock has it that work takes no time at all."""

    room = 28


async def test_moments_go_before_what_waits_and_hold_it_up_no_longer_than_they_last(
    node: LiveNode,
) -> None:
    for _ in range(30):
        await send(node, urgent(node))
    assert await fire(node) == 0  # the next hour is read
    node.clock.advance(6 * MINUTE + SECOND)
    world, before = node.world, len(await records(node))
    world.clock = node.clock.wall
    first = world.next_serial(signing(f"{ANNA}/1"), "mod.example")
    notes = [Submitted(world.note(serial=first + n), 1, b"sealed") for n in range(80)]
    firing = asyncio.create_task(timers_of(node).fire_due())
    await asyncio.sleep(0)
    sequencer = node.running.services.sequencer
    sequencer.pace = ShortBatches()
    outcomes = await asyncio.gather(*(sequencer.submit(note) for note in notes))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    moments = await firing
    kinds = [record.kind for record in (await records(node))[before:]]
    assert (kinds.count("rung"), kinds.count("note")) == (moments, 80)
    among = kinds[: len(kinds) - kinds[::-1].index("rung")].count("note")
    batches = math.ceil(moments / MOMENTS_A_BATCH)
    assert BESIDE_DUE * (batches - 2) <= among <= BESIDE_DUE * batches


async def test_what_is_due_is_decided_before_an_answer_that_comes_late(node: LiveNode) -> None:
    note = await send(node, urgent(node))
    node.clock.advance(2 * MINUTE + SECOND)
    world = node.world
    world.clock = node.clock.wall
    answer = await node.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note))
    last = (await records(node))[-3:]
    assert [record.kind for record in last] == ["rung", "rung", "answer"]
    assert answer.index == len(await records(node)) - 1
    assert answer.record() == last[-1]
    check_times(last)
    # Whoever was told by a rung finds the receipt of its entry: it has no statement.
    rung = await node.running.services.reading.receipt_at(answer.index - 1)
    assert node.verified(rung).record() == last[1]
    assert await fire(node, HOUR // 2 - 3 * MINUTE) == 0


async def test_a_restart_in_the_middle_fires_the_rest_and_nothing_twice(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with live_line(home) as node:
        note = await send(node, urgent(node))
        assert await fire(node, MINUTE + SECOND) == 1
        assert await fire(node, MINUTE) == 1
        clock = node.clock
    clock.advance(2 * MINUTE)
    async with live_node(home, clock) as node:
        await fire(node)  # unless its start came first
        assert await rungs_of(node, note) == list(zip(RUNGS[:4], AFTER[:4], strict=True))
        assert await fire(node, MINUTE) == 1
    async with live_node(home, clock) as node:
        assert await fire(node) == 0
        assert await fire(node, MINUTE) == 1
        assert await rungs_of(node, note) == list(zip(RUNGS[:6], AFTER[:6], strict=True))


async def test_a_start_fires_what_was_due_while_the_node_was_down(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with live_line(home) as node:
        note = await send(node, urgent(node))
        clock = node.clock
    clock.advance(3 * MINUTE + SECOND)
    async with live_node(home, clock) as node:
        async with asyncio.timeout(20):
            while len(await rungs_of(node, note)) < 3:  # noqa: ASYNC110 it has no event
                await asyncio.sleep(0.002)
        assert await fire(node) == 0


async def test_a_contest_is_gone_through_once_also_where_the_node_stops_at_once(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    kept, stolen = (signing(f"{DORA}/{n}") for n in (1, 2))
    async with live_line(home) as node:
        await node.accept(node.world.member(DORA, None, [kept, stolen]))
        note = await send(node, urgent(node))
        lost = Compromised(key=stolen.id, since=node.clock.wall)
        node.clock.advance(SECOND)
        await node.accept(node.world.answer(DORA, Verdict.ACKNOWLEDGED, note, key=stolen))
        await node.accept(node.world.member(DORA, None, [kept], compromised=(lost,)))
        clock = node.clock
    clock.advance(SECOND)
    for _ in range(2):
        async with live_node(home, clock) as node:
            await fire(node)
            found = [record for record in await records(node) if record.kind == "contested"]
            (facts,) = (record.facts for record in found)
            assert isinstance(facts, ContestedFacts)
            assert [one.note for one in facts.armed] == [note]
        clock.advance(SECOND)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_nothing_fires_while_the_clock_is_suspect(step: int, node: LiveNode) -> None:
    note = await send(node, urgent(node))
    size = len(await records(node))
    node.clock.wall += step
    assert await fire(node) == 0
    assert await fire(node, 3 * MINUTE + SECOND) == 0
    assert len(await records(node)) == size
    node.clock.wall -= step
    assert await fire(node) == 3
    assert await rungs_of(node, note) == list(zip(RUNGS[:3], AFTER[:3], strict=True))


async def test_a_confirmed_clock_fires_what_is_due_by_it(node: LiveNode) -> None:
    note = await send(node, urgent(node))
    node.clock.wall += 5 * MINUTE + SECOND
    assert await fire(node) == 0
    await node.accept(confirm_time(ORIGIN, signing("node"), node.clock.wall))
    await fire(node)  # unless the confirmation itself came first
    assert await rungs_of(node, note) == list(zip(RUNGS[:5], AFTER[:5], strict=True))
    # A clock that was set back and confirmed has nothing due for a while, and nothing twice.
    node.clock.wall -= 5 * MINUTE
    await node.accept(confirm_time(ORIGIN, signing("node"), node.clock.wall))
    assert await fire(node) == 0
    assert await fire(node, 6 * MINUTE) == 1


# It failed


async def test_a_commit_that_failed_fires_nothing_and_then_once(node: LiveNode) -> None:
    writer = node.running.services.sequencer.writer
    assert isinstance(writer, BrokenWriter)
    note = await send(node, urgent(node))
    writer.fails_before = True
    with pytest.raises(CommitFailed):
        await fire(node, 2 * MINUTE + SECOND)
    assert await rungs_of(node, note) == []
    assert await fire(node) == 2
    writer.fails_after = True  # it failed but was persisted
    assert await fire(node, MINUTE) == 1
    assert await fire(node) == 0
    assert await rungs_of(node, note) == list(zip(RUNGS[:3], AFTER[:3], strict=True))


class _Poison:
    """The ruling of notes' moments, but on those of one note it raises, or makes nothing of them."""

    def __init__(self, how: str) -> None:
        self.note = ""
        self.how = how
        self.tried = 0
        self.real = DUES["note"]

    def decide(self, view: Any, note: Note) -> Any:
        if note.note == self.note and self.how == "decide":
            self.tried += 1
            raise ZeroDivisionError
        return self.real.decide(view, note)

    def evolve(self, view: Any, record: Record, index: int) -> Any:
        assert isinstance(record.facts, MomentFacts)
        if record.facts.note == self.note and self.how != "decide":
            self.tried += 1
            if self.how == "nothing":
                return []
            raise ZeroDivisionError
        return self.real.evolve(view, record, index)


@pytest.mark.parametrize("how", ["decide", "evolve", "nothing"])
async def test_a_poison_moment_is_set_aside_and_stops_no_other(
    how: str, node: LiveNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = _Poison(how)
    ruling = dataclasses.replace(poison.real, decide=poison.decide, evolve=poison.evolve)
    monkeypatch.setitem(DUES, "note", ruling)
    for kind in ruling.kinds:
        monkeypatch.setitem(DUE_KINDS, kind, ruling)
    poison.note = await send(node, urgent(node))
    healthy = await send(node, urgent(node))
    with capture_logs() as journal:
        assert await fire(node, 2 * MINUTE + SECOND) == 2
    alarms = [entry for entry in journal if entry["event"] == "poison-moment"]
    assert [alarm["log_level"] for alarm in alarms] == ["critical"]
    assert alarms[0]["cell"] == f"note {node.world.channel} {poison.note}"
    assert await fire(node, MINUTE) == 1
    assert poison.tried == 1, "it is not tried again"
    assert await rungs_of(node, poison.note) == []
    assert len(await rungs_of(node, healthy)) == 3
    # What would need it is refused; what doesn't, is not.
    world = node.world
    refused = world.answer(DORA, Verdict.ACKNOWLEDGED, poison.note)
    status, problem = await node.post(statement=refused.raw)
    assert (status, problem["code"]) == (409, "poison")
    answer = world.answer(DORA, Verdict.ACKNOWLEDGED, healthy)
    assert (await node.post(statement=answer.raw))[0] == 201
    assert poison.tried == 1


async def test_a_statement_before_which_a_moment_fails_is_refused_and_the_batch_goes_on(
    node: LiveNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = _Poison("decide")
    monkeypatch.setitem(DUES, "note", dataclasses.replace(poison.real, decide=poison.decide))
    poison.note = await send(node, urgent(node))
    node.clock.advance(MINUTE + SECOND)
    node.world.clock = node.clock.wall
    refused = node.world.answer(DORA, Verdict.ACKNOWLEDGED, poison.note)
    status, problem = await node.post(statement=refused.raw)
    assert (status, problem["code"]) == (409, "poison")
    assert "what was due before this" in problem["detail"]
    await send(node, urgent(node))
    # A process that begins anew, with rules that are mended, goes on where it stood.
    monkeypatch.undo()
    node.running.services.sequencer.set_aside.clear()
    assert (await node.post(statement=refused.raw))[0] == 201


async def test_timers_that_die_end_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 the node is the statement
        async with live_line(tmp_path / "home") as node:

            def fail(*_: Any) -> Any:
                raise ZeroDivisionError

            monkeypatch.setattr(Timers, "_next", fail)
            timers_of(node)._wake.set()
            with contextlib.suppress(ZeroDivisionError):
                await asyncio.wait_for(asyncio.shield(node.running.ended), 20)
            status, problem = await node.post(statement=node.world.void(ANNA, "x.example", 1).raw)
            assert (status, problem["code"]) == (503, "busy")


# What is in memory


@pytest.mark.parametrize("most", [1, 2, 3, 100])
async def test_the_store_is_read_in_pieces_and_nothing_is_passed_over(
    most: int, node: LiveNode
) -> None:
    notes = [await send(node, urgent(node)) for _ in range(5)]
    timers = Timers(node.running.services.reading.store, node.running.services.sequencer, most)
    node.clock.advance(3 * MINUTE + SECOND)
    async with timers_of(node)._firing:  # the node's own have all of it in memory
        assert await timers.fire_due() == 15
    for note in notes:
        assert len(await rungs_of(node, note)) == 3
    assert await fire(node) == 0


async def test_a_moment_beyond_the_next_hour_is_read_when_its_time_has_come(
    node: LiveNode,
) -> None:
    later = node.clock.wall + 5 * HOUR
    note = await send(node, node.world.note(kind="plain", expiry=later))
    assert timers_of(node)._first() is None
    assert await fire(node, 5 * HOUR - SECOND) == 0
    assert await fire(node, SECOND) == 1
    (expired,) = await due_records(node)
    assert (expired.note, expired.kind) == (note, "deadline")
    assert isinstance(expired.facts, DueFacts)
    assert expired.facts.due == later


# Exercise time


@contextlib.asynccontextmanager
async def exercise(folder: Path, clock: HandClock) -> AsyncIterator[LiveNode]:
    settings = settings_in(folder)
    if not settings.card.exists():
        begin(settings, ORIGIN, seeds=SEEDS, url="http://127.0.0.1", clock=clock, is_exercise=True)
    async with live_node(folder, clock) as node:
        yield node


async def advance_time(node: LiveNode, micros: int) -> None:
    now = node.running.services.sequencer.clock.clock.now()
    key = signing("node")
    said = payloads.Node(
        by=ORIGIN,
        key=key.id,
        issued=now,
        lapse=now + HOUR,
        log=ORIGIN,
        event="time-advanced",
        advance_us=micros,
    )
    status, text = await node.post(statement=make_statement(said, key).raw)
    assert status == 201, text


async def about_time(node: LiveNode) -> int:
    return int((await node.get("/v1/about"))[1]["time"])


async def test_exercise_time_moves_on_record_and_what_is_due_by_it_fires(tmp_path: Path) -> None:
    home, clock = tmp_path / "home", HandClock()
    world = timed_line(exercise=True)
    async with exercise(home, clock) as node:
        node.world.accept(node.world.node_init())
        await node.follow(world)
        clock.advance(MINUTE)
        note = await send(node, urgent(node))
        assert await about_time(node) == clock.wall
        await advance_time(node, 3 * MINUTE + SECOND)
        assert await about_time(node) == clock.wall + 3 * MINUTE + SECOND
        assert (await node.get("/readyz"))[0] == 200
        await fire(node)  # unless the record itself came first
        assert await rungs_of(node, note) == list(zip(RUNGS[:3], AFTER[:3], strict=True))
        assert await fire(node, MINUTE) == 1
        await advance_time(node, MINUTE)
        check_times(await records(node))
        assert await about_time(node) == clock.wall + 4 * MINUTE + SECOND
    # A node that starts again is where its log says it is.
    async with exercise(home, clock) as node:
        assert await about_time(node) == clock.wall + 4 * MINUTE + SECOND
        assert (await node.get("/readyz"))[0] == 200
        await fire(node)
        assert await rungs_of(node, note) == list(zip(RUNGS[:5], AFTER[:5], strict=True))


async def test_a_node_that_is_not_for_exercises_keeps_its_time(node: LiveNode) -> None:
    now, key = node.clock.wall, signing("node")
    said = payloads.Node(
        by=ORIGIN,
        key=key.id,
        issued=now,
        lapse=now + HOUR,
        log=ORIGIN,
        event="time-advanced",
        advance_us=HOUR,
    )
    status, problem = await node.post(statement=make_statement(said, key).raw)
    assert (status, problem["code"]) == (409, "exercise")
    assert await about_time(node) == node.clock.wall


async def test_more_moments_than_a_batch_takes_go_before_a_statement_and_it_is_accepted_after_them(
    node: LiveNode,
) -> None:
    note = await send(node, urgent(node))
    # The clock alone moves: the answer is the first to ask what was due, of two days of "exhausted".
    node.clock.advance(6 * MINUTE + 320 * 10 * MINUTE)
    node.world.clock = node.clock.wall
    before = await batches(node)
    status, text = await node.post(
        statement=node.world.answer(DORA, Verdict.ACKNOWLEDGED, note).raw
    )
    assert status == 201, text
    assert await batches(node) - before >= 2
    answered = node.verified(text).index
    all_records = await records(node)
    fallen = [i for i, r in enumerate(all_records) if r.kind == "rung" and r.note == note]
    assert len(fallen) == len(RUNGS) - 1 + 320 > MOMENTS_MAX
    assert max(fallen) < answered
    check_times(all_records)
    moments = await rungs_of(node, note)
    assert len(set(moments)) == len(moments)
    assert moments[-1] == ("exhausted", 6 * MINUTE + 320 * 10 * MINUTE)
    assert await fire(node) <= 3  # the line's own tests
    assert len(await rungs_of(node, note)) == len(moments)


async def batches(node: LiveNode) -> float:
    figures = node.running.services.figures
    value = figures.registry.get_sample_value("liaison_batch_seconds_count")
    assert value is not None
    return value
