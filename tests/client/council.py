"""Four parties, three channels, one real node on a clock moved by hand; every home made by the SDK."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from liaison.cli.founding import found
from liaison.client import Authority, Client, Home, Letter, News, Unopened
from liaison.main import Running, begin, run_node
from liaison.sealing.keystore import Cost, Keystore
from liaison.settings import Settings
from liaison.words.errors import RecordUntrusted
from liaison.words.times import SECOND
from tests.client.hotline import SEEDS
from tests.node.live import HandClock

PASSPHRASE = "correct horse"
CANARY = "the canary sings at dawn"
LONDON, LEGAL, HEAD = "attache.london@fco.example", "legal@fco.example", "head.mission@fco.example"
DUTY, DEPUTY = "duty.desk@mod.example", "deputy@mod.example"
MISSION, CHAIR = "mission@partner.example", "chair@council.example"


@dataclass
class Council:
    folder: Path
    clock: HandClock
    running: Running

    def client(self, name: str) -> Client:
        return Client.open(Home(self.folder / name), PASSPHRASE, now=self.clock.now)

    def authority(self, name: str) -> Authority:
        return Authority.open(Home(self.folder / name), PASSPHRASE, now=self.clock.now)

    async def passes(self, seconds: float) -> int:
        """Let time pass, and what is due by then happen; return how many moments there were."""
        self.clock.advance(int(seconds * SECOND))
        return await self.running.services.timers.fire_due()


def cheap_keystores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have keystores made that open at once: a test opens dozens."""
    create = Keystore.create
    cheap = Cost(memory_kib=8, passes=1, lanes=1)
    monkeypatch.setattr(
        Keystore,
        "create",
        lambda path, passphrase, *, cost=None: create(path, passphrase, cost=cheap),
    )


@contextlib.asynccontextmanager
async def council(folder: Path, monkeypatch) -> AsyncIterator[Council]:
    """Everything from ``node init`` to three open channels."""
    cheap_keystores(monkeypatch)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clock = HandClock()
    url = f"http://127.0.0.1:{port}"
    settings = Settings(home=folder / "N", listen=f"127.0.0.1:{port}")
    begin(settings, "localhost/test", seeds=SEEDS, url=url, clock=clock)
    async with run_node(settings, clock=clock) as running:
        await found(folder, url, PASSPHRASE, now=clock.now)
        yield Council(folder, clock, running)
    for path in (folder / "N").rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def untrusted(items) -> str:
    """Return what is said of the one record that isn't believed."""
    (told,) = [item for item in items if isinstance(item, Unopened)]
    assert isinstance(told.error, RecordUntrusted)
    return str(told.error)


def letters(items) -> list[Letter]:
    return [item for item in items if isinstance(item, Letter)]


def news(items, kind: str = "") -> list[News]:
    return [item for item in items if isinstance(item, News) and kind in ("", item.kind)]
