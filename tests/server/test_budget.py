"""Bodies that are being taken in are counted: large ones wait their turn, small ones always fit."""

from __future__ import annotations

import pytest

from liaison.server.keys import Budget
from liaison.words.errors import Busy
from tests.node.live import live_node


def test_large_bodies_share_a_budget_that_comes_back():
    budget = Budget(left=10_000, small=100)
    with budget.hold(9_000):
        with pytest.raises(Busy, match="too much at once"), budget.hold(1_001):
            pass
        with budget.hold(1_000):
            with budget.hold(100):
                assert budget.left == -100
            with pytest.raises(Busy), budget.hold(101):
                pass
    assert budget.left == 10_000


async def test_a_body_of_unknown_size_is_malformed_and_one_of_known_size_is_read(tmp_path):
    async with live_node(tmp_path) as node:
        url = f"{node.running.url}/v1/statements"

        async def pieces():
            yield b"--x\r\n"

        async with node.http.post(url, data=pieces()) as answer:
            assert (answer.status, (await answer.json())["detail"]) == (
                400,
                "the request has no Content-Length",
            )
        status, problem = await node.post(statement=b"{}")
        assert (status, problem["code"]) == (400, "malformed")
        assert problem["detail"].startswith("envelope:")
