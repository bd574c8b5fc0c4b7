"""Admission by precedence: what is urgent goes past, what is not waits its turn. design.md, law 7 and 7."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from liaison import main
from liaison.node.admission import (
    OF_PARTY,
    PAST_MAX,
    STOPS_AT_ONCE,
    STOPS_PER_S,
    Admission,
    Admitted,
)
from liaison.node.queueing import OLDEST_EVERY, Queue
from liaison.statements import payloads
from liaison.statements.charters import Standing
from liaison.statements.payloads import Compromised, NotePrecedence, State, Verdict
from liaison.statements.procedures import Released, WatchAction
from liaison.statements.statement import Statement
from liaison.words.errors import Overloaded
from liaison.words.precedence import STOP_BAND, Precedence
from liaison.words.times import MINUTE, SECOND
from tests.faults.writers import BrokenWriter
from tests.node.live import HandClock, LiveNode, Sent, live_node, until
from tests.world import ANNA, DORA, DUTY, EDWIN, FCO, MOD, digest, signing

ROUTINE, PRIORITY, FLASH = Precedence.ROUTINE, Precedence.PRIORITY, Precedence.FLASH


@pytest.fixture
def admission(node: LiveNode) -> Admission:
    return node.running.services.intake.admission


def said(node: LiveNode, level: Precedence) -> Statement[payloads.Note]:
    return node.world.note(precedence=NotePrecedence(action=level, info=Precedence.DEFERRED))


class Door:
    """Statements that come in one after the other and stay until they are let go."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.let_in: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.held: dict[str, Admitted] = {}

    async def comes(self, name: str, statement: Statement[Any], *, is_known: bool = True) -> None:
        async def come() -> None:
            async with self.admission.admitted(statement, is_known=is_known) as admitted:
                self.held[name] = admitted
                self.let_in.append(name)
                await asyncio.Event().wait()

        self.tasks[name] = asyncio.create_task(come())
        await settled()

    async def ends(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        for task in self.tasks.values():
            with contextlib.suppress(asyncio.CancelledError, Overloaded):
                await task


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def door(admission: Admission) -> AsyncIterator[Door]:
    door = Door(admission)
    yield door
    await door.ends()
    assert (admission.past.taken, admission.waiting) == (0, 0)


async def fill(door: Door, statement: Statement[Any]) -> None:
    for n in range(PAST_MAX):
        await door.comes(f"filling {n}", statement)
    assert door.admission.past.taken == PAST_MAX
    door.let_in.clear()


async def test_below_immediate_the_33rd_waits_until_the_turn_of_one_has_come(
    node: LiveNode, door: Door
) -> None:
    await fill(door, said(node, ROUTINE))
    await door.comes("another", said(node, ROUTINE))
    assert (door.let_in, door.admission.waiting) == ([], 1)
    door.held["filling 3"].decided()
    await settled()
    assert door.let_in == ["another"]
    assert door.admission.past.taken == PAST_MAX


@pytest.mark.parametrize("level", [Precedence.IMMEDIATE, FLASH, Precedence.OVERRIDE])
async def test_from_immediate_on_nothing_waits(
    level: Precedence, node: LiveNode, door: Door
) -> None:
    await fill(door, said(node, ROUTINE))
    for n in range(2 * PAST_MAX):
        await door.comes(f"urgent {n}", said(node, level))
    assert len(door.let_in) == 2 * PAST_MAX
    assert door.held["urgent 0"].band == level.rank
    assert door.admission.past.taken == PAST_MAX


async def test_a_flash_of_an_unknown_key_waits_as_routine(node: LiveNode, door: Door) -> None:
    await fill(door, said(node, ROUTINE))
    await door.comes("claimed", said(node, FLASH), is_known=False)
    await door.comes("priority", said(node, PRIORITY))
    assert door.let_in == []
    for n in range(2):
        door.held[f"filling {n}"].decided()
        await settled()
    assert door.let_in == ["priority", "claimed"]
    assert door.held["claimed"].band == ROUTINE.rank


async def test_the_highest_is_let_in_first_then_the_oldest(node: LiveNode, door: Door) -> None:
    await fill(door, said(node, ROUTINE))
    for name, level in (
        ("routine 1", ROUTINE),
        ("priority 1", PRIORITY),
        ("deferred", Precedence.DEFERRED),
        ("priority 2", PRIORITY),
        ("routine 2", ROUTINE),
    ):
        await door.comes(name, said(node, level))
    for n in range(5):
        door.held[f"filling {n}"].decided()
    await settled()
    assert door.let_in == ["priority 1", "priority 2", "routine 1", "routine 2", "deferred"]


async def test_who_waits_too_long_is_told_to_come_again_and_holds_no_place(
    node: LiveNode, door: Door
) -> None:
    await fill(door, said(node, ROUTINE))
    door.admission.wait_s = 0
    with pytest.raises(Overloaded, match="more to decide than it can") as caught:
        async with door.admission.admitted(said(node, ROUTINE), is_known=True):
            pass
    assert (caught.value.safe, caught.value.retry_after_s) == ("nothing of it happened", 1)
    assert door.admission.waiting == 0
    door.held["filling 0"].decided()
    await door.comes("again", said(node, ROUTINE))
    assert door.let_in == ["again"]


async def test_who_goes_away_while_waiting_holds_no_place(node: LiveNode, door: Door) -> None:
    await fill(door, said(node, ROUTINE))
    for name in ("gone before", "gone when let in", "next"):
        await door.comes(name, said(node, ROUTINE))
    door.tasks["gone before"].cancel()
    await settled()
    door.held["filling 0"].decided()  # lets in the second,
    door.tasks["gone when let in"].cancel()  # which leaves before it can know
    await settled()
    assert door.let_in == ["next"]
    assert door.admission.past.taken == PAST_MAX


# The band above OVERRIDE


async def band(admission: Admission, statement: Statement[Any], *, is_known: bool = True) -> int:
    async with admission.admitted(statement, is_known=is_known) as admitted:
        return admitted.band


async def test_what_stops_something_goes_above_override(node: LiveNode) -> None:
    admission = node.running.services.intake.admission
    world = node.world
    note = world.note().digest
    lost = Compromised(key=signing(f"{ANNA}/9").id, since=world.clock)
    released = Released(post=DUTY, wraps=world.note().payload.addressees[0].wraps)
    stops: tuple[Statement[Any], ...] = (
        world.answer(DORA, Verdict.ACKNOWLEDGED, note),
        world.answer(DORA, Verdict.DECLINED, note),
        world.objection(note),
        world.extension(note, world.clock + MINUTE, by=DORA),
        world.withdrawal(note),
        world.release(world.note(), by=ANNA, addressees=(released,)),
        world.admission(FCO, state=State.SUSPENDED),
        world.participation(FCO, Standing.LEFT),
        world.party(FCO, state=State.REVOKED),
        world.party(FCO, signing(f"{FCO}/2")),  # the former key speaks no more
        world.party(FCO, registrars=()),
        world.member(ANNA, state=State.SUSPENDED),
        world.member(ANNA, devices=[]),
        world.member(ANNA, compromised=(lost,)),
        world.minimize(EDWIN),
    )
    for statement in stops:
        assert await band(admission, statement) == STOP_BAND
        assert await band(admission, statement, is_known=False) == ROUTINE.rank
    others: tuple[Statement[Any], ...] = (
        world.answer(DORA, Verdict.DELIVERED, note),
        world.answer(DORA, Verdict.UNREADABLE, note),
        world.encryption_key(ANNA, "2"),
        world.directory(FCO),
        world.admission(FCO),
        world.participation(FCO, Standing.ACTIVE),
        world.party(FCO, name="Another name"),
        world.member(ANNA, name="Another name", devices=[signing(f"{ANNA}/{n}") for n in (1, 2)]),
        world.member("new@fco.example"),
        world.minimize(EDWIN, below=None),
        world.watch(EDWIN, WatchAction.CLAIM),
    )
    for statement in others:
        assert await band(admission, statement) == ROUTINE.rank


async def test_delivered_and_unreadable_take_the_precedence_of_their_note(node: LiveNode) -> None:
    admission = node.running.services.intake.admission
    flash, _ = await node.send()
    routine, _ = await node.send(
        kind="service", precedence=NotePrecedence(action=ROUTINE, info=ROUTINE)
    )
    both = (flash.statement.digest, routine.statement.digest)
    for verdict in (Verdict.DELIVERED, Verdict.UNREADABLE):
        for notes, level in ((both[:1], FLASH), (both[1:], ROUTINE), (both, FLASH)):
            assert await band(admission, node.world.answer(DORA, verdict, *notes)) == level.rank


async def test_a_member_that_stops_too_much_takes_the_precedence_of_its_notes(
    node: LiveNode,
) -> None:
    admission = node.running.services.intake.admission
    flash, _ = await node.send()
    of_flash = node.world.answer(DORA, Verdict.ACKNOWLEDGED, flash.statement.digest)
    of_another = node.world.answer(DORA, Verdict.DECLINED, node.world.note().digest)
    for _ in range(STOPS_AT_ONCE):
        assert await band(admission, of_another) == STOP_BAND
    for _ in range(2):
        assert await band(admission, of_flash) == FLASH.rank
        assert await band(admission, of_another) == ROUTINE.rank
    # Nor by another of its devices. Nobody else is slower for it, and a quarter of a second gives
    # one more.
    other = node.world.answer(DORA, Verdict.DECLINED, digest("note"), key=signing(f"{DORA}/2"))
    assert await band(admission, other) == ROUTINE.rank
    assert await band(admission, node.world.withdrawal(digest("note"), EDWIN)) == STOP_BAND
    node.clock.advance(SECOND // 4)
    assert await band(admission, of_another) == STOP_BAND
    assert await band(admission, of_another) == ROUTINE.rank
    node.clock.advance(3600 * SECOND)
    for _ in range(STOPS_AT_ONCE):
        assert await band(admission, of_another) == STOP_BAND
    assert await band(admission, of_another) == ROUTINE.rank


async def test_a_party_that_stops_too_much_keeps_nobody_elses_from_it(node: LiveNode) -> None:
    admission = node.running.services.intake.admission
    staff = [f"m{n}@mod.example" for n in range(2 * OF_PARTY)]
    flood = [node.world.withdrawal(digest("note"), by) for by in staff]
    bands = [await band(admission, each) for each in flood for _ in range(STOPS_AT_ONCE)]
    assert bands.count(STOP_BAND) == OF_PARTY * STOPS_AT_ONCE
    assert set(bands[OF_PARTY * STOPS_AT_ONCE :]) == {ROUTINE.rank}
    assert await band(admission, node.world.withdrawal(digest("note"), ANNA)) == STOP_BAND
    # Who was not let in for the party's sake has what is theirs.
    node.clock.advance(SECOND // (OF_PARTY * STOPS_PER_S) + 1)
    assert await band(admission, flood[-1]) == STOP_BAND


async def test_a_member_does_not_use_up_what_another_has_by_writing_in_their_name(
    node: LiveNode,
) -> None:
    thiefs = node.world.withdrawal(digest("note"), DORA, key=signing(f"{EDWIN}/1"))
    for _ in range(2 * STOPS_AT_ONCE):
        status, problem = await node.post(statement=thiefs.raw)
        assert (status, problem["code"]) == (409, "device-not-in-force")
    honest = node.world.withdrawal(digest("note"), DORA)
    assert await band(node.running.services.intake.admission, honest) == STOP_BAND


async def test_a_forger_does_not_use_up_what_a_member_has(node: LiveNode) -> None:
    sent, _ = await node.send()
    honest = node.world.answer(DORA, Verdict.ACKNOWLEDGED, sent.statement.digest)
    start = honest.raw.index(b'"sig":"') + len(b'"sig":"')
    forged = honest.raw[:start] + b"AAAA" + honest.raw[start + 4 :]
    for _ in range(2 * STOPS_AT_ONCE):
        status, problem = await node.post(statement=forged)
        assert (status, problem["code"]) == (403, "signature-invalid")
    assert await band(node.running.services.intake.admission, honest) == STOP_BAND


# At the door


@pytest.fixture
async def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveNode]:
    """A node whose writer is held by one statement, and whose routine places are all taken."""
    monkeypatch.setattr(main, "SqlWriter", BrokenWriter)
    async with live_node(tmp_path, HandClock()) as node:
        await node.open_channel()
        yield node


@contextlib.contextmanager
def gate_of(node: LiveNode) -> Iterator[BrokenWriter]:
    writer = node.running.services.sequencer.writer
    assert isinstance(writer, BrokenWriter)
    writer.gate = threading.Event()
    try:
        yield writer
    finally:
        writer.gate.set()


async def test_over_its_bound_routine_is_429_and_flash_is_first_in_the_log(busy: LiveNode) -> None:
    node = busy
    admission, sequencer = node.running.services.intake.admission, node.running.services.sequencer
    first = node.world.next_serial(signing(f"{ANNA}/1"), MOD)
    quiet = NotePrecedence(action=ROUTINE, info=ROUTINE)

    def routine(n: int) -> Sent:
        return node.note(serial=first + n, kind="service", precedence=quiet)

    notes = [routine(n) for n in range(PAST_MAX)]
    extra, urgent = routine(PAST_MAX), node.note(serial=first + PAST_MAX + 1)
    with gate_of(node) as writer:
        held = asyncio.create_task(node.accept(node.world.encryption_key(ANNA, "2")))
        await until(lambda: writer.is_held)
        posting = [asyncio.create_task(node.post(**note.parts)) for note in notes]
        await until(lambda: sequencer.waiting == PAST_MAX)
        admission.wait_s = 0
        form = aiohttp.FormData()
        for name, data in extra.parts.items():
            form.add_field(name, data, content_type="application/octet-stream", filename=name)
        async with node.http.post(f"{node.running.url}/v1/statements", data=form) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            problem = json.loads(await answer.read())
        assert (problem["code"], problem["safe"]) == ("overloaded", "nothing of it happened")
        assert "refusal" not in problem
        flash = asyncio.create_task(node.post(**urgent.parts))
        await until(lambda: sequencer.waiting == PAST_MAX + 1)
    key = await held
    status, text = await flash
    assert status == 201
    assert node.verified(text).index == key.index + 1
    assert [status for status, _ in await asyncio.gather(*posting)] == [201] * PAST_MAX
    assert (await node.post(**extra.parts))[0] == 201


# The queue itself


def test_one_turn_in_sixteen_is_the_oldest_s() -> None:
    queue: Queue[str] = Queue()
    queue.put("low", 0)
    for n in range(2 * OLDEST_EVERY):
        queue.put(f"high {n}", 5)
    taken = [queue.take() for _ in range(OLDEST_EVERY)]
    assert taken == [*(f"high {n}" for n in range(OLDEST_EVERY - 1)), "low"]
    assert queue.take() == f"high {OLDEST_EVERY - 1}"


def test_what_has_left_is_not_taken_and_not_kept() -> None:
    queue: Queue[int] = Queue()
    stays = queue.put(-1, 0)
    for n in range(10_000):
        place = queue.put(n, 5)
        queue.leave(place)
        queue.leave(place)
    assert len(queue) == 1
    assert len(queue._oldest) == sum(queue.by_band.values()) == 1
    assert queue.take() == stays.item
    assert len(queue) == 0
