"""A node with an open channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.node.live import LiveNode, live_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_node(tmp_path / "home") as live:
        await live.open_channel()
        yield live
