"""What this machine can do at most, measured in the same run as what is compared with it."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from aiohttp import web

from benchmarks.wire import Connection
from liaison.statements.keys import SigningKey, check_signature

ROUNDS = 3
ROUND_S = 0.7


def _rate(step: Callable[[], object]) -> float:
    """Return how often ``step`` runs in a second: the median of three rounds."""
    rates = []
    for _ in range(ROUNDS):
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < ROUND_S:
            step()
            count += 1
        rates.append(count / elapsed)
    return median(rates)


def fdatasync_per_s(folder: Path) -> float:
    """4 KiB appended and synced."""
    descriptor = os.open(folder / "append", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return _rate(lambda: (os.write(descriptor, bytes(4096)), os.fdatasync(descriptor)))
    finally:
        os.close(descriptor)


def sqlite_commits_per_s(folder: Path) -> float:
    """One row of 2 KiB a transaction; WAL, synchronous=FULL."""
    store = sqlite3.connect(folder / "limit.db", isolation_level=None)
    try:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("PRAGMA synchronous = FULL")
        store.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, data BLOB)")
        row = secrets.token_bytes(2048)
        return _rate(lambda: store.execute("INSERT INTO rows (data) VALUES (?)", (row,)))
    finally:
        store.close()


def verifies_per_s() -> float:
    """Ed25519 over 2 KiB, by the function that intake uses."""
    key, message = SigningKey(secrets.token_bytes(32)), secrets.token_bytes(2048)
    signature = key.sign(message)
    return _rate(lambda: check_signature(key.public, message, signature))


async def bare_posts_per_s(connections: int = 32) -> float:
    """aiohttp answering 1 KiB to a POST of 4 KiB, in this same process as the asker."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=bytes(1024))

    app = web.Application()
    app.add_routes([web.post("/", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    request = b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 4096\r\n\r\n" + bytes(4096)
    count, ends = 0, time.perf_counter() + ROUNDS * ROUND_S

    async def ask() -> None:
        nonlocal count
        async with Connection(f"http://127.0.0.1:{port}") as connection:
            while time.perf_counter() < ends:
                await connection.ask(request)
                count += 1

    await asyncio.gather(*(ask() for _ in range(connections)))
    await runner.cleanup()
    return count / (ROUNDS * ROUND_S)


async def limits() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="liaison-bench-") as folder:
        return {
            "fdatasync_per_s": fdatasync_per_s(Path(folder)),
            "sqlite_full_commits_per_s": sqlite_commits_per_s(Path(folder)),
            "ed25519_verifies_per_s": verifies_per_s(),
            "aiohttp_bare_posts_per_s": await bare_posts_per_s(),
        }
