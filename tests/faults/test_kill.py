"""kill -9 under load, at random moments and at each named point of the commit order."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path

from liaison.node import sequencer
from tests.faults.field import Field
from tests.faults.process import Process, SteadyClock
from tests.world import MemoryWorld

Opened = Callable[[], tuple[Path, MemoryWorld]]

POINTS = (
    "before-commit",
    "after-commit",
    "after-guard",
    "after-sign",
    "before-answer",
    "after-answer",
)
ROUNDS = int(os.environ.get("LIAISON_SOAK_ROUNDS", "6"))
SEED = int(os.environ.get("LIAISON_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


def test_the_sequencer_names_these_points_and_no_others() -> None:
    source = Path(sequencer.__file__).read_text()
    assert set(re.findall(r'crash_point\("([a-z-]+)"\)', source)) == set(POINTS)


async def test_kill_9_at_random_moments_loses_and_doubles_nothing(opened: Opened) -> None:
    print(f"LIAISON_SOAK_SEED={SEED}")  # noqa: T201 what it takes to do it again
    home, world = opened()
    chance = random.Random(SEED)
    field = Field(world, SteadyClock.start(), chance)
    for _ in range(ROUNDS):
        node = await Process.start(home, field.clock)
        await field.settle(node.url)
        field.stock(120)
        load = asyncio.create_task(field.load(node.url))
        await asyncio.sleep(chance.uniform(0.05, 0.8))
        await node.kill()
        assert node.child.returncode == -signal.SIGKILL
        await load
    await _in_the_end(field, home)
    assert field.answers_sent
    assert field.duplicates_sent


async def test_a_crash_at_each_named_point_loses_and_doubles_nothing(
    opened: Opened, tmp_path: Path
) -> None:
    print(f"LIAISON_SOAK_SEED={SEED}")  # noqa: T201 what it takes to do it again
    home, world = opened()
    chance = random.Random(SEED)
    field = Field(world, SteadyClock.start(), chance)
    for point in chance.sample(POINTS, len(POINTS)):
        fuse, passes = tmp_path / f"fuse {point}", str(chance.randrange(1, 6))
        mine = ("--crash-at", point, "--passes", passes, "--fuse", str(fuse))
        node = await Process.start(home, field.clock, *mine)
        await field.settle(node.url)
        field.stock(60)
        fuse.touch()
        await asyncio.wait_for(field.load(node.url), 30)
        assert await node.ended() == -signal.SIGKILL
        assert node.journal.read_text().endswith(f"crashed at {point}\n")
    await _in_the_end(field, home)


async def _in_the_end(field: Field, home: Path) -> None:
    node = await Process.start(home, field.clock)
    try:
        await field.settle(node.url)
        await field.audit(home)
        assert field.held
        assert not field.problems
    finally:
        await node.kill()
