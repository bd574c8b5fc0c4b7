"""``make bench``: a table for people, ``build/bench.json`` for machines."""

from __future__ import annotations

import asyncio
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import crowd, due, flash, sdk, wire
from benchmarks.limits import limits
from benchmarks.stage import Stage, draft, prepare, rss_mib, served, stage, token

SENDERS = {1: 600, 32: 4000, 128: 6000}
"""Concurrent senders, and how many notes they send together."""
DUE = (10, 100, 1000)
"""So many answers are overdue within one second."""
PENDING = (0, 10_000, 100_000, 1_000_000)
TITLES = {
    "load": "1 KiB notes, durable, one online recipient",
    "flash": "FLASH every 100 ms: alone, and while ROUTINE takes all it can get",
    "fan_out": "A note to a forum whose devices are online: until each has it",
    "storm": "All these devices come back at once: until each is told where its inbox is",
    "inbox": f"A long inbox: pages of {crowd.PAGE}, and its stream's first item",
    "lateness_ms": "Answers overdue within one second: ms from due to decided",
    "pending": "Moments pending in the next hour: to arm one, to start with them, memory",
}
ONLINE = (100, 1000)
INBOX = 100_000
OUTPUT = Path("build/bench.json")


def row_of(
    generator: str, senders: int, loaded: wire.Loaded, cpu_s: float, rss: float
) -> dict[str, Any]:
    count = len(loaded.accepted_s)
    e2e = loaded.e2e_s()
    return {
        "generator": generator,
        "senders": senders,
        "notes_per_s": round(count / loaded.elapsed_s, 1),
        "accept_p50_ms": wire.percentile_ms(loaded.accepted_s, 50),
        "accept_p99_ms": wire.percentile_ms(loaded.accepted_s, 99),
        "e2e_p50_ms": wire.percentile_ms(e2e, 50),
        "e2e_p99_ms": wire.percentile_ms(e2e, 99),
        "server_cpu_s_per_1000": round(cpu_s / count * 1000, 3),
        "rss_mib": round(rss, 1),
    }


async def measure(made: Stage, generator: str, senders: int, notes: int) -> dict[str, Any]:
    if generator == "wire":
        prepared = await prepare(made, [draft()] * notes)
        asker = await token(made, "M")
        before = made.cpu_s()
        loaded = await wire.run(made.url, asker, senders, prepared)
    else:
        before = made.cpu_s()
        loaded = await sdk.run(made, senders, notes)
    return row_of(generator, senders, loaded, made.cpu_s() - before, rss_mib(made.pid))


async def main() -> dict[str, Any]:
    console = Console()
    measured: list[dict[str, Any]] = []
    console.print("limits of this machine …")
    found = await limits()
    with tempfile.TemporaryDirectory(prefix="liaison-bench-") as folder:
        async with stage(Path(folder)) as made:
            for senders, notes in SENDERS.items():
                for generator in ("wire", "sdk"):
                    console.print(f"{generator}, {senders} senders, {notes} notes …")
                    measured.append(await measure(made, generator, senders, notes))
        console.print("FLASH beside ROUTINE …")
        async with stage(Path(folder) / "flash") as made:
            urgent = await flash.flash(made)
        fanned, storms = [], []
        for count in ONLINE:
            console.print(f"{count} devices online …")
            async with stage(Path(folder) / f"crowd-{count}") as made:
                people = await crowd.crowd(made, count)
                fan, storm = await crowd.fan_out(made, people)
                fanned.append(fan)
                storms.append(storm)
        console.print(f"an inbox of {INBOX} …")
        crowd.lengthen(Path(folder) / "N", "attache.london.1@fco.example", INBOX)
        async with served(Path(folder)) as made:
            inbox = await crowd.long_inbox(made, "F", INBOX)
        late = []
        for loaded in (False, True):
            for count in DUE:
                console.print(f"{count} due in one second{', under load' * loaded} …")
                # A log of its own: to read past what lies in it already would cost the time ahead.
                async with stage(Path(folder) / f"due-{count}-{loaded}") as made:
                    late.append(await due.lateness(made, count, loaded=loaded))
        pending = []
        for count in PENDING:
            console.print(f"{count} pending moments …")
            pending.append(await asyncio.to_thread(due.pending, Path(folder) / "N", count))
    report = {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "load": measured,
        "flash": urgent,
        "fan_out": fanned,
        "storm": storms,
        "inbox": inbox,
        "lateness_ms": late,
        "pending": pending,
        "limits": {name: round(rate, 1) for name, rate in found.items()},
    }
    show(console, report)
    return report


def show(console: Console, report: dict[str, Any]) -> None:
    for part, title in TITLES.items():
        table = Table(title=title)
        rows = report[part] if isinstance(report[part], list) else [report[part]]
        for name in rows[0]:
            table.add_column(name.replace("_", " "), justify="right")
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        console.print(table)
    beside = Table(title="Beside it, in the same run: what this machine does at most")
    beside.add_column("limit")
    beside.add_column("per second", justify="right")
    for name, rate in report["limits"].items():
        beside.add_row(name.removesuffix("_per_s").replace("_", " "), f"{rate:,.0f}")
    console.print(beside)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text(json.dumps(runner.run(main()), indent=2) + "\n")
    print(f"written to {OUTPUT}")
