"""Ten thousand connections that do nothing, over real sockets: bounded, and the others are served."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import signal
from collections.abc import AsyncIterator

import aiohttp
import pytest

from liaison.client import Precedence
from liaison.server.gate import HEADERS_S
from tests.faults.crowd import raise_limit
from tests.faults.process import Process, spawn
from tests.faults.town import Town, draft, until_shown

COUNT = 10_000
SLOW = 200
DEFAULT = 4096
IDLE_MAX_KIB = 16
"""What docs/administering.md says that an idle connection costs at most."""
OWN = 32
"""Connections of the test itself, and some to spare."""


class Crowd:
    """tests/faults/crowd.py in a process of its own."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, node: Process, count: int, slow: int) -> AsyncIterator[Crowd]:
        host, port = node.url.removeprefix("http://").split(":")
        args = ("-m", "tests.faults.crowd", host, port, str(count), str(slow))
        child = await spawn(args, node.journal.with_name("crowd"), stdin=asyncio.subprocess.PIPE)
        try:
            yield cls(child)
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def standing(self, *, ask: bool = True) -> tuple[int, int]:
        """Return how many connections stand: idle ones, and slow ones."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        if ask:
            self.child.stdin.write(b"\n")
        line = await asyncio.wait_for(self.child.stdout.readline(), 60)
        idle, slow = line.split()
        return int(idle), int(slow)


async def served(town: Town) -> None:
    """Hold the node to it that it serves: notes, and refusals of what is too large or packed."""
    async with town.person("F") as f, town.person("M") as m, m.following():
        for level in (Precedence.FLASH, Precedence.ROUTINE):
            await f.send(draft(level))
        await until_shown([m], f.wanted, 20)
    assert town.node is not None
    async with aiohttp.ClientSession() as http:
        url = f"{town.node.url}/v1/statements"
        bomb = gzip.compress(b"\0" * 50_000_000)
        async with http.post(url, data=bomb, headers={"Content-Encoding": "gzip"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (400, "malformed")
        async with http.post(url, data=b"x", headers={"Content-Length": str(2**33)}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (413, "too-large")


@pytest.mark.parametrize("connections", [COUNT + 1000, DEFAULT])
async def test_ten_thousand_idle_sockets_cost_what_is_said_and_keep_nobody_out(
    town: Town, connections: int
) -> None:
    raise_limit()  # children inherit it
    (town.folder / "N" / "node.toml").write_text(f"connections = {connections}\n")
    async with town.open():
        await served(town)
        assert town.node is not None
        node = town.node
        before_kib, before = node.rss_kib(), node.descriptors()
        async with Crowd.at(node, COUNT, SLOW) as crowd:
            idle, slow = await crowd.standing(ask=False)
            came = asyncio.get_running_loop().time()
            assert idle + slow <= connections
            if connections > COUNT:
                assert (idle, slow) == (COUNT - SLOW, SLOW)
            assert node.descriptors() <= before + connections + OWN
            grown_kib = node.rss_kib() - before_kib
            assert grown_kib <= IDLE_MAX_KIB * min(COUNT, connections), grown_kib
            await served(town)
            # A peer that is stopped neither reads nor answers, as one behind a line that was cut.
            crowd.child.send_signal(signal.SIGSTOP)
            await served(town)
            crowd.child.send_signal(signal.SIGCONT)
            if connections > COUNT:
                # Who drips its headers has had its time; who is idle keeps its place.
                await asyncio.sleep(came + HEADERS_S + 2 - asyncio.get_running_loop().time())
                assert await crowd.standing() == (COUNT - SLOW, 0)
        async with asyncio.timeout(20):
            while node.descriptors() > before + OWN:  # noqa: ASYNC110 another process' doing
                await asyncio.sleep(0.05)
        await served(town)


async def test_a_node_with_few_descriptors_takes_fewer_connections_and_goes_on(town: Town) -> None:
    low = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))"
    async with town.open(before=low):
        await served(town)
        assert town.node is not None
        assert '"event": "few-descriptors"' in town.node.journal.read_text()
        async with Crowd.at(town.node, 1_000, 0) as crowd:
            idle, _ = await crowd.standing(ask=False)
            assert idle <= 400
            await served(town)
            assert town.node.descriptors() <= 400
