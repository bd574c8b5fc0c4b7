"""The stream over real sockets, time moved by hand. protocols/stream.md."""

from __future__ import annotations

import pytest

from tests.node.device import device
from tests.node.live import live_node
from tests.world import DORA


@pytest.fixture
async def node(tmp_path):
    async with live_node(tmp_path / "home") as live:
        await live.open_channel()
        yield live


async def test_an_item_comes_as_it_is_accepted_and_once(node):
    async with device(node, DORA) as dora:
        await dora.hello()
        assert await dora.hear("behind") == {"type": "behind", "waiting": 0, "more": False}
        sent, proved = await node.send()
        item = await dora.item()
        assert item["position"] == f"{proved.index}.{proved.index}"
