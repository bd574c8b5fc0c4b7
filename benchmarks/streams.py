"""Devices on the stream, as little as they can be: they say hello, stamp what comes, say ``got``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable

import aiohttp

from benchmarks.wire import Connection, newest

GOT_EVERY_S = 0.01
"""A device that names each item alone sends more frames in a second than it may (STREAM-5)."""
WINDOW = 256

Seen = Callable[[dict[str, object], float], None]
"""Called with an item and when its frame was there."""


async def listen(
    http: aiohttp.ClientSession,
    url: str,
    token: str,
    *,
    seen: Seen = lambda _, __: None,
    ready: Callable[[], None] = lambda: None,
    after: str | None = None,
) -> None:
    """Read one device's stream until it ends or the task is cancelled."""
    headers = {"Authorization": f"Bearer {token}"}
    hello = {"type": "hello", "window": WINDOW} | ({"after": after} if after else {})
    async with http.ws_connect(f"{url}/v1/stream", headers=headers, max_msg_size=2**22) as socket:
        await socket.send_json(hello)
        async with _naming(socket) as got:
            async for message in socket:
                frame = json.loads(message.data)
                if frame["type"] == "ready":
                    ready()
                elif frame["type"] == "item":
                    seen(frame, time.perf_counter())
                    got(frame["position"])
                elif frame["type"] == "ping":
                    await socket.send_json({"type": "pong"})
        raise ConnectionError(f"the stream ended: {socket.close_code}")


@contextlib.asynccontextmanager
async def _naming(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Callable[[str], None]]:
    had: list[str] = []
    wake = asyncio.Event()

    def got(position: str) -> None:
        had.append(position)
        wake.set()

    async def name() -> None:
        while await wake.wait():
            wake.clear()
            positions, had[:] = had[:], []
            await socket.send_json({"type": "got", "positions": positions})
            await asyncio.sleep(GOT_EVERY_S)

    naming = asyncio.create_task(name())
    try:
        yield got
    finally:
        naming.cancel()


def unbounded() -> aiohttp.ClientSession:
    """Return a session that opens as many connections as it is asked for."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


@contextlib.asynccontextmanager
async def listening(
    url: str, token: str, seen: Seen, *, from_start: bool = False
) -> AsyncIterator[None]:
    """Have one device online, which has all that came before unless it is to begin with that."""
    joined = asyncio.Event()
    after: str | None = None
    if not from_start:
        async with Connection(url) as connection:
            after = await newest(connection, token)
    async with unbounded() as http:
        device = asyncio.create_task(
            listen(http, url, token, seen=seen, ready=joined.set, after=after)
        )
        await joined.wait()
        try:
            yield
        finally:
            device.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await device
