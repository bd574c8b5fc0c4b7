"""A clock that can't be believed: nothing is committed, reading goes on. design.md 5, "One time"."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest

from liaison.ledger.facts import NodeFacts
from liaison.node.beginning import confirm_time
from liaison.statements.payloads import State
from liaison.words.times import HOUR, MINUTE, SECOND
from tests.node.live import HandClock, LiveNode, Sent, live_node
from tests.world import DORA, FCO, ORIGIN, T0, signing


async def times(node: LiveNode) -> list[int]:
    """Return ``at`` of every record, as the log has it."""
    rows = await node.running.services.reading.store.entries(0, 10_000)
    return [int(row.fields[1]) for row in rows]


async def check_ascending(node: LiveNode) -> None:
    at = await times(node)
    assert all(earlier < later for earlier, later in pairwise(at))


async def check_suspect(node: LiveNode, sent: Sent, why: str) -> None:
    """Hold a node to what it must do, and not do, while its clock is suspect."""
    before = await node.get("/log/checkpoint")
    form = aiohttp.FormData()
    for name, data in sent.parts.items():
        form.add_field(name, data, content_type="application/octet-stream", filename=name)
    async with node.http.post(f"{node.running.url}/v1/statements", data=form) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
        problem = json.loads(await answer.read())
    assert problem["code"] == "clock-suspect"
    assert why in problem["detail"]
    assert problem["safe"] == "nothing was committed"
    assert "liaison node confirm-time" in problem["do"]
    assert "refusal" not in problem
    status, problem = await node.get("/readyz")
    assert (status, problem["code"]) == (503, "clock-suspect")
    assert (await node.get("/v1/about"))[1]["ready"] is False
    assert (await node.get("/healthz"))[0] == 200
    assert (await node.get("/v1/inbox", await node.token(DORA)))[0] == 200
    assert await node.get("/log/checkpoint") == before


@pytest.mark.parametrize(("step", "why"), [(HOUR, "+3600.0 s"), (-HOUR, "-3600.0 s")])
async def test_a_clock_that_steps_stops_commits_until_it_steps_back(
    step: int, why: str, node: LiveNode
) -> None:
    sent = node.note()
    node.clock.wall += step
    await check_suspect(node, sent, f"the clock stepped by {why} against the boot clock")
    node.clock.wall -= step
    assert (await node.get("/readyz"))[0] == 200
    assert (await node.post(**sent.parts))[0] == 201
    await check_ascending(node)


async def test_a_small_step_is_believed(node: LiveNode) -> None:
    for step in (2 * SECOND, -2 * SECOND):
        node.clock.wall += step
        assert (await node.get("/readyz"))[0] == 200
        await node.send()
    node.clock.wall -= 2 * SECOND + 1
    assert (await node.get("/readyz"))[0] == 503
    await check_ascending(node)


@pytest.mark.parametrize("step", [30 * MINUTE, -30 * MINUTE])
async def test_a_confirmed_clock_is_on_record_and_records_go_on(step: int, node: LiveNode) -> None:
    await node.send()
    node.clock.wall += step
    await check_suspect(node, node.note(), "the clock stepped by")
    before = (await times(node))[-1]
    confirmed = await node.accept(confirm_time(ORIGIN, signing("node"), node.clock.wall))
    record = confirmed.record()
    assert isinstance(record.facts, NodeFacts)
    assert (record.facts.event, record.facts.clock) == ("time-confirmed", node.clock.wall)
    # A clock behind the head: records go on right behind it. One ahead: at the clock.
    assert record.at == max(before + 1, node.clock.wall)
    assert (await node.get("/readyz"))[0] == 200
    sent, proved = await node.send()
    assert proved.record().at == (record.at + 1 if step < 0 else node.clock.wall + 1)
    assert sent.statement.payload.issued == node.clock.wall
    await check_ascending(node)
    # And a step back is a step again.
    node.clock.wall -= step
    assert (await node.get("/readyz"))[0] == 503


async def test_only_the_nodes_own_word_confirms_a_clock(node: LiveNode) -> None:
    node.clock.wall += HOUR
    forged = confirm_time(ORIGIN, signing("administrator"), node.clock.wall)
    status, problem = await node.post(statement=forged.raw)
    assert (status, problem["code"]) == (409, "not-the-node")
    assert (await node.get("/readyz"))[0] == 503


async def test_a_head_in_the_future_at_start_stops_commits_until_confirmed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with live_node(home) as node:
        await node.open_channel()
        world = node.world
    async with live_node(home, HandClock(wall=T0 - HOUR)) as node:
        node.world = world
        await check_suspect(node, node.note(), "the log's last record is of")
        # An hour behind, what may enter for an hour only has lapsed by the log's time already.
        await node.accept(confirm_time(ORIGIN, signing("node"), node.clock.wall))
        assert (await node.get("/readyz"))[0] == 200
        last = (await times(node))[-1]
        suspended = await node.accept(
            world.admission(FCO, state=State.SUSPENDED, lapse=node.clock.wall + 2 * HOUR)
        )
        assert suspended.record().at == last + 1
        await check_ascending(node)
    # What was confirmed holds for this process alone: the next one asks again.
    async with live_node(home, HandClock(wall=T0 - HOUR)) as node:
        assert (await node.get("/readyz"))[0] == 503
    async with live_node(home, HandClock(wall=T0 + SECOND)) as node:
        assert (await node.get("/readyz"))[0] == 200
