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
from liaison.words.times import DAY, HOUR, SECOND, to_dtg
from tests.client.council import DEPUTY, DUTY, PASSPHRASE, Council, council, letters
from tests.client.test_acting import flash
from tests.world import MOD

FLOOR = "watch.floor@mod.example"


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
        f"Nobody at {DUTY} has an encryption key in use · nothing was sealed or sent · "
        f"write to {DEPUTY}; a device makes its keys when its holder runs any command"
    )


async def test_no_key_at_the_post_is_kept_until_the_note_expires(world: Council) -> None:
    kept_until = world.clock.now() + 57 * DAY
    world.clock.advance(8 * DAY)
    await signs(world, "FA", "MA")
    for name in ("F", "D"):  # whose next keys are kept for longer; the duty desk is away
        async with world.client(name) as anyone:
            await anyone.inbox()
    expiry = kept_until + SECOND
    assert await text_of(world, expiry=expiry, standby=()) == (
        f"No key of {DUTY} is kept until {to_dtg(expiry)}, when the note may still have to be opened · "
        f"nothing was sealed or sent · write to {DEPUTY}; give it an earlier expiry"
    )
    until = kept_until - 21 * DAY
    async with world.client("F") as f:
        assert (await f.send(flash(expiry=kept_until, standby=()))).reference == "london-hotline/1"
        to_deputy = replace(flash(expiry=expiry, standby=()), to=(DEPUTY,))
        assert (await f.send(to_deputy)).reference == "london-hotline/2"
        # Without an expiry it is for as long as the charter lets a note wait, once it is shown.
        with pytest.raises(NotReady, match="No key of duty"):
            await f.plan(flash(deferred_until=until, standby=()))
        await f.plan(flash(deferred_until=until - HOUR, standby=()))


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
    assert await text_of(world) == (
        f"{DUTY} is vacant: nobody holds it · nothing was sealed or sent · write to {DEPUTY}, {FLOOR}; "
        f"ask mod.example to fill it: posting set {DUTY} MEMBER --post"
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
