"""An objection that comes in time counts, however much FLASH waits before it. design.md, law 7."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from liaison.node.sequencer import Accepted, Submitted
from liaison.rules.cells import Note
from liaison.rules.lives import Stage
from liaison.words.errors import Busy
from liaison.words.precedence import STOP_BAND, Precedence
from liaison.words.times import DAY
from tests import world as worlds
from tests.node.live import live_node
from tests.world import ACTION, ANNA, DORA, DUTY, MemoryWorld, signing

FLASHES = 10_000 if os.environ.get("LIAISON_SOAK_ROUNDS") else 1_500
LEFT_US = 700
"""So many microseconds are left of silence: fewer than records wait, each of which takes one."""


def flashes(world: MemoryWorld, count: int) -> list[Submitted]:
    first = world.next_serial(signing(f"{ANNA}/1"), "mod.example")
    return [
        Submitted(
            world.note(ANNA, {DUTY: ACTION}, kind="statement", serial=first + n),
            Precedence.FLASH.rank,
            b"sealed",
        )
        for n in range(count)
    ]


async def test_an_objection_under_a_flood_of_flash_still_counts(tmp_path: Path) -> None:
    world = worlds.forum()
    proposal = world.accept(world.proposal())
    async with live_node(tmp_path) as node:
        node.clock.advance(world.clock - node.clock.wall)
        for statement in world.accepted[1:]:
            content = (b"sealed",) if statement.kind == "note" else ()
            submitted = Submitted(statement, STOP_BAND, *content)
            assert isinstance(await node.running.services.sequencer.submit(submitted), Accepted)
        node.clock.advance(DAY - 1_000_000)
        world.clock = node.clock.wall
        for party in ("fco.example", "mod.example"):
            directory = world.accept(world.directory(party))
            await node.running.services.sequencer.submit(Submitted(directory, STOP_BAND))
        flood = flashes(world, FLASHES)
        cell = await node.running.services.reading.cellar.get(Note, world.channel, proposal.digest)
        assert cell is not None
        assert cell.procedure is not None
        node.clock.advance(cell.procedure.until - LEFT_US - node.clock.wall)
        world.clock = node.clock.wall

        async def send(submitted: Submitted) -> object:
            while True:
                try:
                    return await node.running.services.sequencer.submit(submitted)
                except Busy:
                    await asyncio.sleep(0)

        sending = [asyncio.create_task(send(one)) for one in flood]
        await asyncio.sleep(0)
        objecting = asyncio.create_task(
            send(Submitted(world.objection(proposal.digest, DORA), STOP_BAND))
        )
        assert isinstance(await objecting, Accepted)
        outcomes = await asyncio.gather(*sending)
        # Who had to come again, because too many waited, may come in another order of its serials.
        assert sum(isinstance(outcome, Accepted) for outcome in outcomes) > LEFT_US
        assert node.running.services.sequencer.published.head.at > cell.procedure.until
        await node.running.services.timers.fire_due()
        after = await node.running.services.reading.cellar.get(Note, world.channel, proposal.digest)
        assert after is not None
        assert after.procedure is not None
        assert after.procedure.stage is Stage.BROKEN
