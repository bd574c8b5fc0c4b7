"""SIGTERM under load: not ready, stop accepting, drain, answer, exit 0. design.md 7."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from liaison.adapters.sql.reader import SqlReader
from tests.faults.field import Field
from tests.faults.process import Process, SteadyClock
from tests.node.live import HandClock, live_node, settings_in
from tests.world import MemoryWorld

Opened = Callable[..., tuple[Path, MemoryWorld]]


async def test_sigterm_under_load_answers_all_loses_nothing_and_exits_0(opened: Opened) -> None:
    home, world = opened()
    field = Field(world, SteadyClock.start())
    field.stock(150)
    node = await Process.start(home, field.clock)
    load = asyncio.create_task(field.load(node.url))
    while len(field.held) < 30:  # noqa: ASYNC110 it has no event
        await asyncio.sleep(0.01)
    assert not load.done()
    node.terminate()
    assert await node.ended(15) == 0
    await load
    # Receipts, problems that say that nothing happened, or no connection. What had none of these
    # isn't in the log either: everything that was committed was answered.
    reader = SqlReader(settings_in(home).database)
    head = await reader.head()
    await reader.close()
    assert head is not None
    assert head.size == len(world.accepted) + len(field.held)
    assert field.unexpected("busy") == []
    assert {status for status, _ in field.problems} <= {503}
    assert set(field.readiness) <= {200, 503}
    journal = node.journal.read_text()
    assert '"event": "stopping"' in journal
    assert '"event": "stopped"' in journal

    again = await Process.start(home, field.clock)
    await field.settle(again.url)
    await field.audit(home)
    again.terminate()
    assert await again.ended(15) == 0


async def test_a_stopping_node_says_so_before_it_stops(opened: Opened) -> None:
    home, _ = opened()
    async with live_node(home, HandClock()) as node:
        assert (await node.get("/readyz"))[0] == 200
        node.running.state.stopping = True
        status, problem = await node.get("/readyz")
        assert (status, problem["code"], problem["detail"]) == (
            503,
            "busy",
            "the node is stopping",
        )
        assert (await node.get("/v1/about"))[1]["ready"] is False
        assert (await node.get("/healthz"))[0] == 200
