"""The texts that people meet: what happened, what is safe, what to do, whole; the code last on the screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liaison.cli.channel import read_defaults
from liaison.client import Client, Home, Pins
from liaison.client.outbox import Waiting
from liaison.client.pins import FILE as PINS
from liaison.words.errors import (
    LiaisonError,
    NodeUnreachable,
    NotAllowed,
    NotReady,
    RefusedByNode,
)
from liaison.words.times import DAY, HOUR, SECOND, to_dtg
from tests.client.council import DEPUTY, DUTY, PASSPHRASE, Council, council, letters
from tests.client.test_acting import flash
from tests.node.test_storage import short_of_room
from tests.world import MOD

Documented = Callable[[LiaisonError], None]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Council]:
    async with council(tmp_path, monkeypatch) as made:
        yield made


async def signs(world: Council, *names: str) -> None:
    """Have authorities sign today's directory."""
    for name in names:
        async with world.authority(name) as authority:
            authority.sign_directory()
            await authority.post()


async def told_to(world: Council, **said: Any) -> NotReady:
    """Return what F is told who can't send a FLASH."""
    async with world.client("F") as f:
        with pytest.raises(NotReady) as told:
            await f.send(replace(flash(), **said))
    return told.value


async def test_nobody_at_the_post_has_a_key_that_is_in_use(
    world: Council, documented: Documented
) -> None:
    world.clock.advance(36 * DAY)
    await signs(world, "FA", "MA")
    async with world.client("D"):
        pass  # makes its next key; the duty desk is away
    async with world.client("D") as d:
        await d.inbox()
    documented(await told_to(world))


async def test_no_key_at_the_post_is_kept_until_the_note_expires(
    world: Council, documented: Documented
) -> None:
    kept_until = world.clock.now() + 57 * DAY
    world.clock.advance(8 * DAY)
    await signs(world, "FA", "MA")
    for name in ("F", "D"):  # whose next keys are kept for longer; the duty desk is away
        async with world.client(name) as anyone:
            await anyone.inbox()
    expiry = kept_until + SECOND
    told = await told_to(world, expiry=expiry, standby=())
    documented(told)
    assert to_dtg(expiry) in told.happened
    until = kept_until - 21 * DAY
    async with world.client("F") as f:
        assert (await f.send(flash(expiry=kept_until, standby=()))).reference == "london-hotline/1"
        to_deputy = replace(flash(expiry=expiry, standby=()), to=(DEPUTY,))
        assert (await f.send(to_deputy)).reference == "london-hotline/2"
        # Without an expiry it is for as long as the charter lets a note wait, once it is shown.
        with pytest.raises(NotReady, match="No key of duty"):
            await f.plan(flash(deferred_until=until, standby=()))
        await f.plan(flash(deferred_until=until - HOUR, standby=()))


async def test_the_newest_directory_lapsed(world: Council, documented: Documented) -> None:
    until = world.clock.now() + 7 * DAY
    world.clock.advance(8 * DAY)
    await signs(world, "FA")
    told = await told_to(world)
    documented(told)
    assert to_dtg(until) in told.happened


async def test_the_post_is_vacant(world: Council, documented: Documented) -> None:
    async with world.authority("MA") as authority:
        authority.set_posting(DUTY, [])
        await authority.post()
    await signs(world, "MA")
    documented(await told_to(world))


async def test_the_party_is_not_pinned(world: Council, documented: Documented) -> None:
    home = Home(world.folder / "F")
    state = home.read_state(PINS)
    pins = state["authorities"]
    assert isinstance(pins, list)
    home.write_state(PINS, {**state, "authorities": [p for p in pins if p["party"] != MOD]})
    assert MOD not in Pins(home).authorities
    documented(await told_to(world))


async def test_the_channel_is_not_open(world: Council, documented: Documented) -> None:
    async with world.authority("FA") as authority:
        authority.propose("hotline", "new-line", ["mod.example"], read_defaults("hotline"))
        await authority.post()
        authority.accede(await authority.charter("new-line"))
        await authority.post()
    documented(await told_to(world, channel="new-line"))


async def test_somebody_acknowledged_already(world: Council, documented: Documented) -> None:
    async with world.authority("MA") as authority:
        authority.set_posting(DUTY, ["deputy.1@mod.example", "duty.desk.1@mod.example"])
        await authority.post()
    await signs(world, "MA")
    async with world.client("F") as f:
        await f.send(flash(standby=()))
    async with world.client("M") as m, world.client("D") as d:
        (letter,) = letters(await m.inbox())
        assert letters(await d.inbox())
        told = await m.acknowledge(letter.reference)
        with pytest.raises(RefusedByNode) as refused:
            await d.acknowledge(letter.reference)
    documented(refused.value)
    assert to_dtg(told.at) in refused.value.happened


async def test_this_machines_clock_is_off(world: Council, documented: Documented) -> None:
    ahead = Client.open(Home(world.folder / "F"), PASSPHRASE, now=lambda: world.clock.now() + HOUR)
    async with ahead as f:
        with pytest.raises(NotAllowed) as told:
            await f.send(flash())
    here, there = (to_dtg(world.clock.now() + off, exact=True) for off in (HOUR, 0))
    documented(told.value)
    assert f"it signed at {here}, and here it is {there}" in told.value.happened


async def test_the_node_can_t_be_reached(world: Council, documented: Documented) -> None:
    async with world.client("F") as f:
        await f.plan(flash())
    nowhere = Client.open(
        Home(world.folder / "F"), PASSPHRASE, url="http://127.0.0.1:9", now=world.clock.now
    )
    async with nowhere as f:
        with pytest.raises(NodeUnreachable) as told:
            await f.inbox()
        documented(told.value)
        with pytest.raises(Waiting) as waits:
            await f.send(flash())
        documented(waits.value)


async def test_the_node_is_short_of_room(world: Council, documented: Documented) -> None:
    storage = world.running.services.storage
    before = storage.disk, storage.reserve
    short_of_room(storage)
    async with world.client("F") as f:
        with pytest.raises(Waiting) as told:
            await f.send(flash(kind="service", standby=()))
        documented(told.value)
        assert (await f.send(flash())).reference == "london-hotline/1"  # FLASH is taken
    storage.disk, storage.reserve = before


async def test_the_nodes_clock_is_suspect(world: Council, documented: Documented) -> None:
    world.clock.wall += HOUR
    async with world.client("F") as f:
        with pytest.raises(Waiting) as told:
            await f.send(flash())
    documented(told.value)
