"""The bad network itself leaves nothing behind, whenever it ends."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys

import pytest

from tests.faults.proxy import TURNS_OF_AN_ACCEPT, Proxy


@pytest.mark.parametrize("turns", range(2 * TURNS_OF_AN_ACCEPT))
def test_a_line_that_is_cut_before_it_began_leaves_no_socket_open(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: left.append(what.exc_value))

    async def end_after_some_turns() -> socket.socket:
        async with Proxy("http://127.0.0.1:1").serving() as proxy:
            host, port = proxy.url.removeprefix("http://").split(":")
            client = socket.create_connection((host, int(port)))
            for _ in range(turns):
                await asyncio.sleep(0)
        return client

    asyncio.run(end_after_some_turns()).close()
    gc.collect()
    assert left == []
