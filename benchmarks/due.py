"""Due moments: what pending ones cost, and how late those take effect that are due in one second.

Lateness is the record's time of decision less its due moment, as the log has it: the batch's
commit comes on top. The load beside it are the ``wire`` generator's notes.
"""

from __future__ import annotations

import asyncio
import compileall
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import liaison
from benchmarks import wire
from benchmarks.stage import Stage, draft, prepare, rss_mib, token
from liaison.adapters.sql.source import StoreSource
from liaison.client.seat import wall_clock
from liaison.ledger.facts import DeadlineFacts
from liaison.ledger.record import record_from
from liaison.node.clockwatch import ClockWatch
from liaison.node.ports import Reader
from liaison.node.sequencer import Sequencer
from liaison.node.timers import Timers
from liaison.rules.cells import Cell, CellKey
from liaison.settings import Settings
from liaison.words.times import HOUR, MINUTE, SECOND

SENDERS = 128
LOAD_NOTES = 6000
SEAL_MICROS = 4000
"""More than it takes to seal a note and to have it accepted, also on a slow machine."""


def percentiles_ms(micros: Sequence[int]) -> dict[str, float]:
    ordered = sorted(micros)
    at = {"p50": 50, "p99": 99}
    found = {n: ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for n, p in at.items()}
    return {name: round(value / 1000, 2) for name, value in {**found, "max": ordered[-1]}.items()}


async def lateness(made: Stage, count: int, *, loaded: bool) -> dict[str, Any]:
    """Have ``count`` answers overdue within one second; return how late their records are."""
    asker = await token(made, "M")
    load_notes = LOAD_NOTES if loaded else 0
    first = wall_clock() + (count + load_notes) * SEAL_MICROS + 10 * SECOND
    dues = [first + n * SECOND // count for n in range(count)]
    timed = await prepare(made, [draft(reply_by=due) for due in dues])
    await wire.run(made.url, asker, min(32, count), timed)
    load = await prepare(made, [draft()] * load_notes)
    start = first - SECOND
    assert wall_clock() < start, "sealing took longer than was allowed for"
    await asyncio.sleep((start - wall_clock()) / SECOND)
    rate = 0.0
    if loaded:
        seen = await wire.run(made.url, asker, SENDERS, load)
        rate = len(seen.accepted_s) / seen.elapsed_s
    await asyncio.sleep(max(0, first + 3 * SECOND - wall_clock()) / SECOND)
    late = await _late(made, set(dues))
    assert len(late) == count, f"{len(late)} of {count} are in the log"
    return {"due_in_1_s": count, "notes_per_s": round(rate), **percentiles_ms(late)}


async def _late(made: Stage, dues: set[int]) -> list[int]:
    source = StoreSource(Settings(home=made.folder / "N").database)
    end = await source.end()
    assert end is not None
    records = (record_from(opened.fields) for opened in await source.opened(0, end.size))
    late = [
        record.at - record.facts.due
        for record in records
        if isinstance(record.facts, DeadlineFacts)
        and record.facts.what == "reply-overdue"
        and record.facts.due in dues
    ]
    await source.close()
    return late


@dataclass
class _Due:
    due: int | None


class _Still:
    """Stands for store, clock and sequencer of timers that only take moments over."""

    set_aside: frozenset[CellKey] = frozenset()

    def __init__(self) -> None:
        self.clock = cast("ClockWatch", self)
        self.tell: Callable[[Mapping[CellKey, Cell]], None] = lambda _: None

    def follow(self, tell: Callable[[Mapping[CellKey, Cell]], None]) -> None:
        self.tell = tell

    def suspicion(self) -> None:
        return None

    def now(self) -> int:
        return 0

    async def due(self, **_: int) -> list[tuple[int, CellKey]]:
        return []


async def arm(count: int) -> float:
    """Return the microseconds that arming one of ``count`` moments takes in memory."""
    still = _Still()
    timers = Timers(cast("Reader", still), cast("Sequencer", still))
    await timers.fire_due()
    changes = {
        ("note", "bench", f"{n:044}"): cast("Cell", _Due(MINUTE + n * 7919 % (HOUR - MINUTE)))
        for n in range(count)
    }
    started = time.perf_counter()
    for key, cell in changes.items():
        still.tell({key: cell})
    return (time.perf_counter() - started) / count * 1e6


def pending(home: Path, count: int) -> dict[str, Any]:
    """Start the stopped node in ``home`` with ``count`` moments in its next hour; it stops again.

    Their cells are copies of a note's under other names. They stay: ``count`` only grows.
    """
    store = Settings(home=home).database.removeprefix("sqlite:///")
    first = wall_clock() + 10 * MINUTE
    with sqlite3.connect(store) as found:
        row, channel = found.execute(
            "SELECT row, channel FROM cells WHERE key LIKE 'note %' AND channel IS NOT NULL LIMIT 1"
        ).fetchone()
        found.executemany(
            "INSERT OR IGNORE INTO cells (key, row, channel, due) VALUES (?, ?, ?, ?)",
            (
                (
                    f"note {channel} {'pending':.<36}{n:08}",
                    row,
                    channel,
                    first + n * 40 * MINUTE // count,
                )
                for n in range(count)
            ),
        )
    found.close()
    # As installed: pip compiles what it installs; a fresh clone under test may be told not to.
    compileall.compile_dir(str(Path(liaison.__file__).parent), quiet=2)
    command = [sys.executable, "-m", "liaison.cli", "--home", str(home), "node", "serve"]
    started = time.perf_counter()
    node = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    try:
        assert node.stdout.readline().startswith("serving "), "the node doesn't serve"
        restart_s = time.perf_counter() - started
        time.sleep(2)
        rss = rss_mib(node.pid)
    finally:
        os.kill(node.pid, signal.SIGTERM)
        node.wait()
        node.stdout.close()
    return {
        "pending": count,
        "arm_us": round(asyncio.run(arm(count)), 2) if count else None,
        "restart_s": round(restart_s, 2),
        "rss_mib": round(rss, 1),
    }
