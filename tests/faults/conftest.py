"""Homes made once and copied for each test: a node's with an open channel; a town's, everybody's."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.town import SEED, Town, founded
from tests.node.live import live_node
from tests.world import MemoryWorld


async def _open(home: Path) -> MemoryWorld:
    async with live_node(home) as node:
        await node.open_channel()
        return node.world


@pytest.fixture(scope="session")
def _founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    homes = tmp_path_factory.mktemp("founded") / "homes"
    homes.mkdir()
    asyncio.run(founded(homes))
    return homes


@pytest.fixture
def town(_founded: Path, tmp_path: Path) -> Town:
    """The demonstration's homes, to be served; its chances are those of ``SEED``."""
    print(f"LIAISON_SOAK_SEED={SEED}")  # noqa: T201 what it takes to do it again
    return Town.copied(_founded, tmp_path / "town", SEED)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients give up on silence in moments, not minutes."""
    monkeypatch.setattr("liaison.client.transport.TIMEOUT_S", 2)
    monkeypatch.setattr("liaison.client.following.SILENT_S", 2)


@pytest.fixture(scope="session")
def _opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MemoryWorld]:
    home = tmp_path_factory.mktemp("opened") / "home"
    return home, asyncio.run(_open(home))


@pytest.fixture
def opened(
    _opened: tuple[Path, MemoryWorld], tmp_path: Path
) -> Callable[[], tuple[Path, MemoryWorld]]:
    """Return what makes a home whose node has an open channel, and the world that fits it."""

    def make(name: str = "home") -> tuple[Path, MemoryWorld]:
        home, world = _opened
        shutil.copytree(home, tmp_path / name)
        return tmp_path / name, world.copy()

    return make
