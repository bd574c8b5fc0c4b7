"""Minimize over HTTP: who sees it, and what a refused note is told. protocols/api.md, API-17, API-26."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from liaison.statements.payloads import Refusal
from liaison.statements.statement import parse_statement_of
from liaison.words.encoding import from_base64
from liaison.words.times import HOUR, SECOND, to_dtg
from tests.node.line import elapse, live_line, send
from tests.node.live import LiveNode, with_content
from tests.timed import CALM
from tests.world import ANNA, DORA, DUTY, MOD, OLGA, PETE, signing


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_line(tmp_path / "home") as live:
        yield live


async def minimize(node: LiveNode, **changes: Any) -> str:
    statement = node.world.accept(node.world.minimize(PETE, **changes))
    status, text = await node.post(statement=statement.raw)
    assert status == 201, text
    return statement.digest


async def shown(node: LiveNode, by: str) -> tuple[list[Any], list[Any]]:
    """Return what a member's channel and, for an operator, the queue say of it."""
    token = await node.token(by)
    status, page = await node.get("/v1/channels/london-hotline", token)
    assert status == 200
    status, queue = await node.get("/v1/watch?limit=1", token)
    return page["minimized"], queue["minimized"] if status == 200 else []


async def refused(node: LiveNode) -> dict[str, Any]:
    note = with_content(node.world.note(kind="plain", precedence=CALM), signing(f"{ANNA}/1"))
    problem: dict[str, Any]
    status, problem = await node.post(**note.parts)
    assert status == 409, problem
    signed = parse_statement_of(Refusal, from_base64(problem["refusal"])).payload
    assert signed.payload_digest == note.statement.payload_digest
    assert signed.code == problem["code"]
    return problem


async def test_a_refused_note_is_told_whose_it_is_why_until_when_and_what_helps(
    node: LiveNode,
) -> None:
    await minimize(node)
    until = to_dtg(node.world.records[-1].urgency.due or 0)
    problem = await refused(node)
    assert problem["code"] == "minimize"
    assert problem["detail"] == (
        f"mod.example has MINIMIZE on london-hotline below IMMEDIATE until {until}: The cable is cut"
    )
    assert problem["safe"] == "nothing of it is in the log"
    assert problem["do"].startswith("raise its precedence if it warrants that; ")
    assert problem["do"].endswith(f"leave out {DUTY}")
    await send(node, node.world.note())  # FLASH


async def test_operators_and_clients_of_both_parties_see_it_while_it_lasts(node: LiveNode) -> None:
    for member in (ANNA, DORA, OLGA, PETE):
        assert await shown(node, member) == ([], [])
    digest = await minimize(node, lasts=2 * HOUR)
    for member in (ANNA, DORA):
        assert [len(each) for each in await shown(node, member)] == [1, 0]
    for operator in (OLGA, PETE):
        receipts, told = await shown(node, operator)
        assert len(receipts) == 1
        assert [(each["party"], each["by"], each["below"]) for each in told] == [
            (MOD, PETE, "immediate")
        ]
        assert told[0]["text"] == "The cable is cut"
    assert digest
    await elapse(node, 2 * HOUR - SECOND)
    assert (await shown(node, OLGA))[0]
    await elapse(node, SECOND)
    assert await shown(node, OLGA) == ([], [])
    await send(node, node.world.note(kind="plain", precedence=CALM))


async def test_an_operator_ends_it_before_its_time(node: LiveNode) -> None:
    await minimize(node)
    assert (await refused(node))["code"] == "minimize"
    await minimize(node, below=None)
    assert await shown(node, PETE) == ([], [])
    await send(node, node.world.note(kind="plain", precedence=CALM))
