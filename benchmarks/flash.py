"""FLASH every 100 ms, alone and while ROUTINE takes all that the node has, to one online device.

FLASH has a process of its own, so that its times hold nothing of what the load costs its generator.
It is sent on time whatever became of the one before: what is measured counts from when it was due.
End to end is until its frame is there, on the stream that brings the ROUTINE notes, too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import wire
from benchmarks.stage import Stage, draft, prepare, token
from benchmarks.streams import listening
from liaison.client import Precedence
from liaison.tlog.proof import TlogProof

EVERY_S = 0.1
FLASHES = 150
SENDERS = 128
ROUTINES = 13_000
CONNECTIONS = 16


async def flash(made: Stage) -> dict[str, Any]:
    """Return ``unloaded_p99_ms``, ``loaded_p99_ms``, ``routine_p99_ms`` and what explains them."""
    best = await _saturated(made, 4000)
    unloaded = await _probe(made, FLASHES)
    notes = await prepare(made, [draft()] * ROUTINES)
    probing = asyncio.create_task(_probe(made, FLASHES))
    beside = await wire.load(made.url, SENDERS, notes, until=probing)
    assert probing.done(), "the load ended before the last FLASH"
    loaded = await probing
    best_rate, beside_rate = (len(each.accepted_s) / each.elapsed_s for each in (best, beside))
    return {
        "unloaded_p50_ms": wire.percentile_ms(unloaded["e2e_s"], 50),
        "unloaded_p99_ms": wire.percentile_ms(unloaded["e2e_s"], 99),
        "loaded_p50_ms": wire.percentile_ms(loaded["e2e_s"], 50),
        "loaded_p99_ms": wire.percentile_ms(loaded["e2e_s"], 99),
        "loaded_accept_p99_ms": wire.percentile_ms(loaded["accept_s"], 99),
        "routine_p99_ms": wire.percentile_ms(beside.accepted_s, 99),
        "routine_per_s": round(beside_rate),
        "routine_alone_per_s": round(best_rate),
    }


async def _saturated(made: Stage, count: int) -> wire.Loaded:
    """Return how ROUTINE goes alone, to the same online device."""
    notes = await prepare(made, [draft()] * count)
    async with listening(made.url, await token(made, "M"), lambda _, __: None):
        return await wire.load(made.url, SENDERS, notes)


async def _probe(made: Stage, count: int) -> dict[str, list[float]]:
    notes = await prepare(made, [draft(precedence=Precedence.FLASH)] * count, writer="F")
    said = {
        "url": made.url,
        "token": await token(made, "M"),
        "notes": [(note.body.decode("latin-1"), note.boundary) for note in notes],
    }
    file = Path(made.folder) / "flash.json"
    file.write_text(json.dumps(said))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.flash", str(file), stdout=asyncio.subprocess.PIPE
    )
    text, _ = await child.communicate()
    assert child.returncode == 0, "the FLASH process failed"
    found: dict[str, list[float]] = json.loads(text)
    return found


async def _send_all(url: str, token: str, notes: Sequence[wire.Prepared]) -> dict[str, list[float]]:
    due: dict[int, float] = {}
    came: dict[int, float] = {}
    accept_s: list[float] = []
    arrived = asyncio.Event()
    free: asyncio.Queue[wire.Connection] = asyncio.Queue()

    async def one(at: float, request: bytes) -> None:
        await asyncio.sleep(at - time.perf_counter())
        connection = await free.get()
        status, body = await connection.ask(request)
        assert status == 201, body
        accept_s.append(time.perf_counter() - at)
        free.put_nowait(connection)
        due[TlogProof.from_text(body.decode()).index] = at

    def seen(frame: dict[str, object], at: float) -> None:
        arrived.set()
        came[int(str(frame["position"]).partition(".")[0])] = at

    connections = [wire.Connection(url) for _ in range(CONNECTIONS)]
    for connection in connections:
        free.put_nowait(await connection.__aenter__())
    async with listening(url, token, seen):
        start = time.perf_counter() + 0.5
        await asyncio.gather(
            *(one(start + n * EVERY_S, wire.request_of(note)) for n, note in enumerate(notes))
        )
        async with asyncio.timeout(60):
            while not due.keys() <= came.keys():
                await arrived.wait()
                arrived.clear()
    return {"accept_s": accept_s, "e2e_s": [came[index] - at for index, at in due.items()]}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    prepared = [wire.Prepared(body.encode("latin-1"), rim) for body, rim in given["notes"]]
    print(json.dumps(asyncio.run(_send_all(given["url"], given["token"], prepared))))
