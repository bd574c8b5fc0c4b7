"""The soak: a town at work for LIAISON_SOAK_MINUTES while everything fails, then the laws of conservation.

In its first half the node and a client are killed again and again, and every network is bad; in
the second the networks stay bad and the node lives, so that its memory can be looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time

from liaison.client import Letter
from liaison.client.following import BATCH_MAX
from tests.client.council import DEPUTY
from tests.faults.proxy import ByChance, Fault, Proxy
from tests.faults.town import LEADER, LEVELS, Person, Terminal, Town, draft, until_shown

SECONDS = 60 * float(os.environ.get("LIAISON_SOAK_MINUTES", "2"))
SETTLED_AFTER = 10
"""So many notes at most wait in an outbox before they are sent again."""
PAUSE_S = 0.05
CAUGHT_UP_S = 120
FULL_SOON = """
from liaison.adapters.sql import engines
from liaison.node import cellar, newest
cellar.CELLS_KEPT = 2_000
newest.ENTRIES_KEPT = 128
engines._WRITER_PRAGMAS = tuple(one.replace("-65536", "-1024") for one in engines._WRITER_PRAGMAS)
"""
"""What a node keeps in memory is full after moments and not after hours: what grows then has no end."""
WARM_UP = 0.4
"""Of the half in which the node lives: until then its memory may grow."""
GROWTH_MAX = 0.10
FILES_MORE = 8


def is_urgent(letter: Letter) -> bool:
    return letter.note.precedence.action in LEADER


class Deputy:
    """D at a terminal, who is killed and comes back; ``lives`` are the references that each life showed."""

    def __init__(self, town: Town, network: Proxy) -> None:
        self.town = town
        self.network = network
        self.lives: list[list[str]] = []
        self._screen: Terminal | None = None
        self._reading: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._screen = await self.town.terminal("D", self.network.url)
        self.lives.append(self._screen.shown)
        self._reading = asyncio.create_task(self._read(self._screen))

    async def _read(self, screen: Terminal) -> None:
        assert screen.child.stdout is not None
        while not screen.child.stdout.at_eof():
            await screen.more()

    async def end(self, how: signal.Signals) -> None:
        assert self._screen is not None
        assert self._reading is not None
        self._screen.child.send_signal(how)
        await self._reading
        ended = await self._screen.child.wait()
        # A process that has only begun dies of SIGTERM, too.
        assert ended == -how or (ended == 0 and how is signal.SIGTERM)

    @property
    def shown(self) -> set[str]:
        return {reference for life in self.lives for reference in life}

    def check(self, wanted: set[str]) -> None:
        """All was shown; twice at most what a life that was killed had shown last."""
        assert self.shown == wanted
        for number, life in enumerate(self.lives):
            assert len(set(life)) == len(life)
            later = {one for other in self.lives[number + 1 :] for one in other}
            assert later & set(life) <= set(life[-BATCH_MAX:])


class Soak:
    def __init__(self, town: Town, writers: tuple[Person, Person], deputy: Deputy) -> None:
        self.town = town
        self.writers = writers
        self.deputy = deputy

    async def write(self, one: Person, until: float) -> None:
        """Write notes of all precedences, one after the other."""
        count = 0
        while time.monotonic() < until:
            info = (DEPUTY,) if one.name == "F" else ()
            await one.send(draft(self.town.chance.choice(LEVELS), one.name, info))
            count += 1
            if count % SETTLED_AFTER == 0:
                await one.settle()
            await asyncio.sleep(PAUSE_S)

    async def storm(self, until: float) -> None:
        """Kill the node and the deputy's terminal again and again."""
        chance = self.town.chance
        while time.monotonic() < until:
            await asyncio.sleep(chance.uniform(0.5, 5))
            if chance.random() < 0.5:
                await self.deputy.end(
                    chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
                )
                await self.deputy.begin()
            else:
                assert self.town.node is not None
                await self.town.node.kill()
                await self.town.serve(before=FULL_SOON)

    async def stretch(self, until: float) -> None:
        """Let the node live, and hold its memory and its descriptors to be flat once it is warm."""
        assert self.town.node is not None
        await self.town.node.kill()
        node = await self.town.serve(before=FULL_SOON)
        span = until - time.monotonic()
        await asyncio.sleep(WARM_UP * span)
        sizes, files = [], []
        while time.monotonic() < until:
            sizes.append(node.rss_kib())
            files.append(node.descriptors())
            await asyncio.sleep(0.2)
        tenth = max(1, len(sizes) // 10)
        first, last = min(sizes[:tenth]), min(sizes[-tenth:])
        print(f"memory {sizes[::50]} KiB, descriptors {files[::50]}")  # noqa: T201 to look at
        assert last <= first * (1 + GROWTH_MAX), sizes
        assert min(files[-tenth:]) <= min(files[:tenth]) + FILES_MORE, files


async def test_a_town_at_work_loses_nothing_shows_nothing_twice_and_stays_flat(
    town: Town, impatient: None
) -> None:
    def bad(one_in: int = 40) -> ByChance:
        return ByChance(random.Random(town.chance.random()), one_in)

    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(town.open(before=FULL_SOON))
        f, m, m2 = [
            await stack.enter_async_context(town.person(n, bad())) for n in ("F", "M", "M2")
        ]
        hers = ByChance(random.Random(town.chance.random()), 40, without=(Fault.HALTED,))
        deputy = Deputy(town, await stack.enter_async_context(town.network(hers)))
        soak = Soak(town, (f, m), deputy)
        await deputy.begin()
        async with (
            f.following(acknowledge=is_urgent),
            m.following(acknowledge=is_urgent),
            m2.following(),
        ):
            for half in (soak.storm, soak.stretch):
                until = time.monotonic() + SECONDS / 2
                await asyncio.gather(half(until), *(soak.write(one, until) for one in (f, m)))
            await asyncio.gather(*(one.settle() for one in (f, m)))
            await until_shown([m, m2], f.wanted, CAUGHT_UP_S)
            await until_shown([f, m2], m.wanted, CAUGHT_UP_S)
            wanted = {letter.reference for letter in m.shown if letter.digest in f.wanted}
            async with asyncio.timeout(CAUGHT_UP_S):
                while deputy.shown != wanted:  # noqa: ASYNC110 another process' doing
                    await asyncio.sleep(0.05)
        await deputy.end(signal.SIGTERM)
        deputy.check(wanted)
        for one in (f, m, m2):
            assert set(one.counted().values()) == {1}, one.name
            assert one.proxy.did.total() > 0
        print(f"{len(f.wanted)} and {len(m.wanted)} notes; D lived {len(deputy.lives)} times")  # noqa: T201
