"""Databases that lost their end: what a power cut, or a disk that lied, may leave.

A copy of database and write-ahead log is cut at frames and inside them. It serves the history that
was signed, or it is refused; it never signs another.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from liaison.adapters.guard import FileGuard
from liaison.adapters.sql.reader import SqlReader
from liaison.node.beginning import take_up
from liaison.node.sequencer import Published
from liaison.settings import Settings
from liaison.tlog.note import SignerKey
from liaison.words.errors import GuardRefused
from tests.faults.field import Evidence, Field
from tests.faults.process import Process, SteadyClock
from tests.node.live import HandClock, live_node, settings_in
from tests.world import ORIGIN, MemoryWorld, signing

Opened = Callable[..., tuple[Path, MemoryWorld]]

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
FRAMES = 40
STORE = ("node.db", "node.db-wal")


def cuts_of(wal: bytes) -> list[int]:
    """Return lengths: each boundary of the last frames, and places inside some of them."""
    magic, _, page_bytes = struct.unpack_from(">III", wal)
    assert magic in (0x377F0682, 0x377F0683)
    frame = FRAME_HEADER_BYTES + page_bytes
    count = (len(wal) - HEADER_BYTES) // frame
    boundaries = [HEADER_BYTES + i * frame for i in range(max(0, count - FRAMES), count + 1)]
    inside = [b + off for b in boundaries[-9:-1] for off in (1, FRAME_HEADER_BYTES, frame - 1)]
    return [*boundaries, *inside, HEADER_BYTES - 1, 0]


def lay_out(folder: Path, source: Path, guard: Path, length: int) -> Settings:
    """Make a home of a cut copy; keys and card as they are."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    shutil.copy(guard, folder / "guard")
    (folder / "node.db-shm").unlink(missing_ok=True)
    with (folder / "node.db-wal").open("r+b") as wal:
        wal.truncate(length)
    return settings_in(folder)


async def taken_up(settings: Settings) -> Published | None:
    """Return what a node would sign at its start, None where the guard refuses."""
    guard = FileGuard.open(settings.guard)
    reader = SqlReader(settings.database)
    try:
        return await take_up(reader, guard, SignerKey(ORIGIN, signing("log").seed))
    except GuardRefused as exc:
        assert "does not hold what this log may have signed" in exc.happened  # noqa: PT017
        return None
    finally:
        guard.close()
        await reader.close()


async def test_a_cut_copy_never_signs_a_fork(opened: Opened, tmp_path: Path) -> None:
    home, world = opened()
    field = Field(world, SteadyClock.start())
    field.stock(80)
    node = await Process.start(home, field.clock)
    load = asyncio.create_task(field.load(node.url))
    while len(field.held) < 40:  # noqa: ASYNC110 it has no event
        await asyncio.sleep(0.01)
    # A copy of a node that runs: guard first, so that the store is not behind it.
    running = tmp_path / "running"
    shutil.copytree(home, running, ignore=shutil.ignore_patterns("node.db*"))
    for name in STORE:
        shutil.copy(home / name, running / name)
    await asyncio.sleep(0.2)
    await node.kill()
    await load

    found: Counter[str] = Counter()
    heads: dict[int, int] = {}
    for source, guard in (
        (home, home / "guard"),
        (running, home / "guard"),
        (running, running / "guard"),
    ):
        for length in cuts_of((source / "node.db-wal").read_bytes()):
            settings = lay_out(tmp_path / "cut", source, guard, length)
            published = await taken_up(settings)
            name = f"{source.name} with the guard of {guard.parent.name}"
            if published is None:
                found[f"{name}: refused"] += 1
                continue
            found[f"{name}: serves"] += 1
            field.evidence.take(published.checkpoint)
            if source is home:
                heads[published.head.size] = length
    # Both happened, or the cuts were too shallow to tell anything.
    assert found["home with the guard of home: serves"]
    assert found["home with the guard of home: refused"]
    assert found["running with the guard of home: refused"]
    assert found["running with the guard of running: serves"]

    # Where the newest guard lets a copy serve, it may go on: nothing of what is lost was signed.
    note = next(iter(field.queues.values()))[-1]
    for length in heads.values():
        future = Evidence()
        future.roots.update(field.evidence.roots)
        settings = lay_out(tmp_path / "cut", home, home / "guard", length)
        async with live_node(settings.home, HandClock(wall=field.clock.now())) as cut:
            status, text = await cut.post(**note.parts)
            assert status == 201, text
            future.receipt(text)
