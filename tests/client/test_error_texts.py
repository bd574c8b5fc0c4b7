"""The texts that people meet: what happened, what is safe, what to do, whole; the code last on the screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liaison.cli.channel import read_defaults
from liaison.client import Client, Home, Pins
from liaison.client.pins import FILE as PINS
from liaison.words.errors import NodeUnreachable, NotAllowed, NotReady, RefusedByNode
from liaison.words.times import DAY, HOUR, to_dtg
from tests.client.council import DEPUTY, DUTY, PASSPHRASE, Council, council, letters
from tests.client.test_acting import flash
from tests.world import MOD


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


async def text_of(world: Council, **said: Any) -> str:
    """Return what F is told who can't send a FLASH."""
    async with world.client("F") as f:
        with pytest.raises(NotReady) as told:
            await f.send(replace(flash(), **said))
    assert told.value.code == "not-ready"
    return str(told.value)


async def test_nobody_at_the_post_has_a_key_that_is_in_use(world: Council) -> None:
    world.clock.advance(36 * DAY)
    await signs(world, "FA", "MA")
    async with world.client("D"):
        pass  # makes its next key; the duty desk is away
    async with world.client("D") as d:
        await d.inbox()
    assert await text_of(world) == (
        f"Nobody at {DUTY} has an encryption key in use that is kept long enough · nothing was sealed "
        f"or sent · write to {DEPUTY}; a device makes its keys when its holder runs any command"
    )


async def test_the_newest_directory_lapsed(world: Council) -> None:
    until = world.clock.now() + 7 * DAY
    world.clock.advance(8 * DAY)
    await signs(world, "FA")
    assert await text_of(world) == (
        f"The newest directory of mod.example lapsed at {to_dtg(until)} · nothing was sealed or sent · "
        "ask mod.example to run: directory sign --post"
    )


async def test_the_post_is_vacant(world: Council) -> None:
    async with world.authority("MA") as authority:
        authority.set_posting(DUTY, [])
        await authority.post()
    await signs(world, "MA")
    assert (await text_of(world)).startswith(
        f"{DUTY} is vacant: nobody holds it · nothing was sealed or sent · write to {DEPUTY}"
    )


async def test_the_party_is_not_pinned(world: Council) -> None:
    home = Home(world.folder / "F")
    state = home.read_state(PINS)
    pins = state["authorities"]
    assert isinstance(pins, list)
    home.write_state(PINS, {**state, "authorities": [p for p in pins if p["party"] != MOD]})
    assert MOD not in Pins(home).authorities
    assert await text_of(world) == (
        "Nobody compared the fingerprint of mod.example yet · nothing was sent, and nothing of it is "
        "shown · get its party file and run: liaison party pin FILE (mod.example)"
    )


async def test_the_channel_is_not_open(world: Council) -> None:
    async with world.authority("FA") as authority:
        authority.propose("hotline", "new-line", ["mod.example"], read_defaults("hotline"))
        await authority.post()
        authority.accede(await authority.charter("new-line"))
        await authority.post()
    assert await text_of(world, channel="new-line") == (
        "new-line is not open: mod.example has not acceded · nothing was sealed or sent · wait for "
        "mod.example to run: channel accede new-line --post"
    )


async def test_somebody_acknowledged_already(world: Council) -> None:
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
    assert refused.value.problem == "already-acknowledged"
    assert "duty.desk.1@mod.example" in refused.value.happened
    assert to_dtg(told.at) in refused.value.happened


async def test_this_machines_clock_is_off(world: Council) -> None:
    ahead = Client.open(Home(world.folder / "F"), PASSPHRASE, now=lambda: world.clock.now() + HOUR)
    async with ahead as f:
        with pytest.raises(NotAllowed) as told:
            await f.send(flash())
    here, there = (to_dtg(world.clock.now() + off, exact=True) for off in (HOUR, 0))
    assert str(told.value) == (
        f"This device's clock and the node's don't agree: it signed at {here}, and here it is {there} · "
        "nothing was changed · the node advises: "
        "set the wrong one of the two by NTP (timedatectl set-ntp true); doctor says how far they are apart"
    )


async def test_the_node_can_t_be_reached(world: Council) -> None:
    nowhere = Client.open(
        Home(world.folder / "F"), PASSPHRASE, url="http://127.0.0.1:9", now=world.clock.now
    )
    async with nowhere as f:
        with pytest.raises(NodeUnreachable) as told:
            await f.plan(flash())
    assert str(told.value).startswith("No answer from the node at http://127.0.0.1:9: ")
    assert str(told.value).endswith(" · nothing was changed · try again later")
