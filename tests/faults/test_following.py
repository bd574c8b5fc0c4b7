"""Who follows is killed in the middle of a frame, and so is the node: nothing is lost by it."""

from __future__ import annotations

import asyncio
import signal

import pytest

from liaison.client import Precedence
from liaison.client.following import BATCH_MAX
from tests.faults.proxy import Fault, Passing, nothing
from tests.faults.town import LEVELS, Person, Town, draft, until_shown

NOTES = 60
KILLS = 4
PATIENCE_S = 120
"""On a machine that has much else to do a process takes long to begin."""


class HaltsAtItem:
    """Falls silent in the middle of the item that ``left`` others precede."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, passing: Passing) -> Fault | None:
        if passing.type != "item":
            return None
        self.left -= 1
        return Fault.HALTED if self.left < 0 else None


async def sent_by(f: Person, count: int) -> list[str]:
    """Send notes of all precedences; return their references."""
    return [
        (await f.client.send(draft(LEVELS[number % len(LEVELS)]))).reference
        for number in range(count)
    ]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_who_is_ended_in_the_middle_of_a_frame_goes_on_where_it_was(
    town: Town, how: signal.Signals
) -> None:
    async with town.open(), town.person("F") as f, town.network() as bad:
        sent = await sent_by(f, NOTES)
        lives: list[list[str]] = []
        for _ in range(KILLS):
            bad.plan = HaltsAtItem(town.chance.randrange(12))
            screen = await town.terminal("M", bad.url)
            await asyncio.wait_for(bad.halted.wait(), PATIENCE_S)
            await asyncio.sleep(town.chance.uniform(0, 0.2))
            await screen.end(how)
            bad.halted.clear()
            lives.append(screen.shown)
        bad.plan = nothing
        screen = await town.terminal("M", bad.url)
        lives.append(screen.shown)
        async with asyncio.timeout(PATIENCE_S):
            while {one for life in lives for one in life} != set(sent):
                await screen.more()
        sent += await sent_by(f, 1)
        async with asyncio.timeout(PATIENCE_S):
            while screen.shown[-1:] != sent[-1:]:
                await screen.more()
        await screen.end(signal.SIGTERM)
        assert all(len(life) == len(set(life)) for life in lives), "twice in one life"
        for number, life in enumerate(lives):
            later = {one for other in lives[number + 1 :] for one in other}
            # A process that is killed can't say what of its last batch it showed.
            assert later & set(life) <= set(life[-BATCH_MAX:] if how is signal.SIGKILL else ())


async def test_a_node_that_is_killed_while_it_pushes_is_joined_again_and_goes_on(
    town: Town,
) -> None:
    async with town.open(), town.person("F") as f, town.person("M") as m:
        for number in range(NOTES):
            await f.send(draft(LEVELS[number % len(LEVELS)]))
        m.proxy.plan = HaltsAtItem(town.chance.randrange(4, 12))
        async with m.following():
            for _ in range(KILLS):
                await asyncio.wait_for(m.proxy.halted.wait(), PATIENCE_S)
                m.proxy.halted.clear()
                assert town.node is not None
                await town.node.kill()
                m.proxy.plan = HaltsAtItem(town.chance.randrange(4, 12))
                await m.proxy.cut_all()
                await town.serve()
                await f.send(draft(Precedence.FLASH))
            m.proxy.plan = nothing
            await m.proxy.cut_all()
            await until_shown([m], f.wanted, PATIENCE_S)
        assert set(m.counted().values()) == {1}
        assert len(m.shown) == NOTES + KILLS
