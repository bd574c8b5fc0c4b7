"""Floods: an objection in time counts, and FLASH is let in, whatever waits before. design.md, law 7."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from liaison import main
from liaison.node import sequencer
from liaison.node.admission import OF_PARTY, STOPS_AT_ONCE
from liaison.node.sequencer import Accepted, Submitted
from liaison.rules.cells import Note
from liaison.rules.lives import Stage
from liaison.words.errors import Busy, LiaisonError
from liaison.words.precedence import STOP_BAND, Precedence
from liaison.words.times import DAY
from tests import world as worlds
from tests.faults.writers import BrokenWriter
from tests.node.live import live_node, until
from tests.node.test_admission import gate_of
from tests.world import ACTION, ANNA, DORA, DUTY, MOD, MemoryWorld, digest, signing

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


async def test_what_a_party_s_members_stop_turns_nobody_s_flash_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "QUEUE_MAX", 128)
    monkeypatch.setattr(main, "SqlWriter", BrokenWriter)
    async with live_node(tmp_path) as node:
        await node.open_channel()
        staff, keys = [f"m{n}@mod.example" for n in range(8)], range(1, 3)
        for member in staff:
            devices = [signing(f"{member}/{n}") for n in keys]
            await node.accept(node.world.member(member, devices=devices))
        await node.accept(node.world.directory(MOD))
        stops = [
            node.world.withdrawal(digest("none"), by, key=signing(f"{by}/{n}")).raw
            for by in staff
            for n in keys
            for _ in range(16)
        ]
        services, flash = node.running.services, node.note()

        async def post(raw: bytes) -> str:
            try:
                await services.intake.submit(raw)
            except LiaisonError as exc:
                return exc.code
            raise AssertionError("a note that isn't there was withdrawn")

        with gate_of(node) as writer:
            held = asyncio.create_task(node.accept(node.world.member("m9@mod.example")))
            await until(lambda: writer.is_held)
            flood = [asyncio.create_task(post(raw)) for raw in stops]
            await until(lambda: services.sequencer.waiting >= OF_PARTY * STOPS_AT_ONCE)
            urgent = asyncio.create_task(node.post(**flash.parts))
            await until(lambda: services.sequencer.waiting_by_band[Precedence.FLASH.rank] == 1)
        await held
        assert (await urgent)[0] == 201
        assert "busy" not in await asyncio.gather(*flood)
