"""Short batches: some ms of work each, however much waits. design.md 7."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from liaison import main
from liaison.node.pace import BATCH_MAX, TARGET_US, Pace
from liaison.statements.payloads import NotePrecedence
from liaison.words.precedence import Precedence
from tests.faults.writers import BrokenWriter
from tests.node.live import HandClock, live_node, until
from tests.node.test_admission import gate_of
from tests.world import ANNA, MOD, signing

ROUTINE = NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)


@pytest.mark.parametrize("cost_us", [100, 300, 1_500])
def test_a_batch_has_room_for_about_its_time(cost_us: int) -> None:
    pace = Pace()
    for _ in range(50):
        pace.took(pace.room, pace.room * cost_us)
    assert pace.room == pytest.approx(TARGET_US / cost_us, abs=1)


def test_there_is_room_for_one_at_least_and_for_256_at_most() -> None:
    slow, quick = Pace(), Pace()
    for _ in range(100):
        slow.took(1, 1_000_000)
        quick.took(quick.room, 0)
    assert slow.room == 1
    assert quick.room == BATCH_MAX


def test_one_stall_does_not_make_batches_small_for_long() -> None:
    pace = Pace()
    for _ in range(50):
        pace.took(pace.room, pace.room * 300)
    usual = pace.room
    pace.took(usual, 60_000_000)
    assert pace.room >= usual / 2
    for _ in range(30):
        pace.took(pace.room, pace.room * 300)
    assert pace.room == pytest.approx(usual, abs=1)


async def test_what_waits_is_committed_in_short_batches_and_flash_in_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "SqlWriter", BrokenWriter)
    async with live_node(tmp_path, HandClock()) as node:
        await node.open_channel()
        sequencer = node.running.services.sequencer
        first = node.world.next_serial(signing(f"{ANNA}/1"), MOD)
        notes = [node.note(serial=first + n, kind="service", precedence=ROUTINE) for n in range(9)]
        urgent = node.note(serial=first + 9)
        with gate_of(node) as writer:
            held = asyncio.create_task(node.accept(node.world.encryption_key(ANNA, "2")))
            await until(lambda: writer.is_held)
            posting = [asyncio.create_task(node.post(**note.parts)) for note in (*notes, urgent)]
            await until(lambda: sequencer.waiting == 10)
            sequencer.pace = Pace(work_us=TARGET_US / 4, units=1)
            monkeypatch.setattr(Pace, "took", lambda *_: None)
        size = (await held).checkpoint.size
        proved = [node.verified(text) for _, text in await asyncio.gather(*posting)]
    assert sorted({p.checkpoint.size for p in proved}) == [size + 4, size + 8, size + 10]
    assert proved[-1].index == size
