"""kill -9 while ladders run: each rung takes effect exactly once, and counts from its moment."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import aiohttp

from liaison.adapters.sql.source import StoreSource
from liaison.audit.walk import replay, verify
from liaison.ledger.facts import RungFacts
from liaison.ledger.record import record_from
from liaison.statements.charters import Effect, Ladder, LadderUse, Rung
from liaison.words.precedence import Precedence
from liaison.words.times import MINUTE, SECOND
from tests import world as worlds
from tests.faults.field import ANCHORS, post
from tests.faults.process import Process, SteadyClock
from tests.node.live import live_node, settings_in, with_content
from tests.world import ANNA, MemoryWorld, signing

ROUNDS = int(os.environ.get("LIAISON_SOAK_ROUNDS", "5"))
SEED = int(os.environ.get("LIAISON_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
NOTES = 6
TIMES = 100
RUNGS = (
    Rung(after_s=1, effect=Effect.ALERT, times=TIMES, every_s=1),
    Rung(after_s=1, effect=Effect.EXHAUSTED, every_s=60),
)


def hurried() -> MemoryWorld:
    """Return a world whose leader's notes climb a rung every second."""
    return worlds.quiet_hotline(
        ladders=(Ladder(name="hurried", rungs=RUNGS),),
        kinds=(
            worlds.kind(
                "leader",
                ladders=(LadderUse(at_least=Precedence.DEFERRED, ladder="hurried"),),
            ),
        ),
    )


async def test_kill_9_at_random_moments_fires_no_rung_twice_and_skips_none(tmp_path: Path) -> None:
    print(f"LIAISON_SOAK_SEED={SEED}")  # noqa: T201 what it takes to do it again
    chance = random.Random(SEED)
    world = hurried()
    async with live_node(tmp_path / "home") as node:
        for statement in world.accepted[1:]:
            status, text = await node.post(statement=statement.raw)
            assert status == 201, text
    clock = SteadyClock.start()
    world.clock = clock.now()
    accepted: dict[str, int] = {}
    for round_number in range(ROUNDS):
        process = await Process.start(tmp_path / "home", clock)
        if round_number == 0:
            async with aiohttp.ClientSession() as http:
                for number in range(NOTES):
                    sent = with_content(world.note(ANNA, serial=number + 1), signing(f"{ANNA}/1"))
                    status, text = await post(http, process.url, sent.parts)
                    assert status == 201, text
                    accepted[sent.statement.digest] = number
        # As long as a rung or so, so that a kill falls before, within and after one.
        await asyncio.sleep(chance.uniform(0.2, 1.6))
        await process.kill()
    process = await Process.start(tmp_path / "home", clock)
    await asyncio.sleep(1.2)
    process.terminate()
    assert await process.ended() == 0
    await _check(tmp_path / "home", clock, accepted)


async def _check(home: Path, clock: SteadyClock, accepted: dict[str, int]) -> None:
    source = StoreSource(settings_in(home).database)
    end = await source.end()
    assert end is not None
    records = [record_from(e.fields) for e in await source.opened(0, end.size)]
    await source.close()
    shown = {r.note: r.at for r in records if r.kind == "note"}
    assert shown.keys() == accepted.keys()
    last_at = records[-1].at
    for digest, at in shown.items():
        rungs = [r for r in records if isinstance(r.facts, RungFacts) and r.note == digest]
        steps = [(r.facts.rung, r.facts.repeat) for r in rungs if isinstance(r.facts, RungFacts)]
        # Each once, none skipped: the alerts, then exhausted without an end.
        wanted = [(0, n) if n < TIMES else (1, n - TIMES) for n in range(len(steps))]
        assert steps == wanted
        dues = [r.facts.due for r in rungs if isinstance(r.facts, RungFacts)]
        assert dues == [at + (n + 1) * SECOND for n in range(len(dues))]
        assert all(r.at >= due for r, due in zip(rungs, dues, strict=True))
        assert at + (len(dues) + 1) * SECOND > last_at - SECOND  # and none is still owed
        assert len(dues) >= ROUNDS // 4
    for walk in (verify, replay):
        source = StoreSource(settings_in(home).database)
        report = await walk(source, ANCHORS, now=clock.now() + MINUTE)
        await source.close()
        assert report.exit_code == 0, report.to_text()
