"""``GET /v1/stream``: a WebSocket a device. protocols/stream.md.

The socket's own backpressure holds up nobody but its task: what waits is in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import structlog
from aiohttp import WSMsgType, web

from liaison.node.streaming import (
    FAILED,
    FRAME_MAX_BYTES,
    MALFORMED,
    NOT_ALLOWED,
    Ended,
    Hello,
    Stream,
    Streams,
)
from liaison.server.frames import parse_frame
from liaison.server.sessions import reader_of
from liaison.words.canonical import spell
from liaison.words.errors import Malformed, NotAllowed

CLOSE_S: Final = 2.0
"""So long a device may take to take leave; then the connection is cut."""
_REASON_MAX_BYTES: Final = 123
"""RFC 6455, 5.5: a control frame has 125 bytes, of which two are the code."""

STREAMS: Final = web.AppKey("streams", Streams)

log = structlog.get_logger(__name__)


def add_stream(app: web.Application, streams: Streams) -> None:
    """Serve the streams, look at the clock for them, and end them when the node stops."""
    app[STREAMS] = streams
    app.cleanup_ctx.append(_ticking)
    app.on_shutdown.append(_drain)


async def _ticking(app: web.Application) -> AsyncIterator[None]:
    ticking = asyncio.create_task(app[STREAMS].run(), name="streams")
    yield
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking


async def _drain(app: web.Application) -> None:
    app[STREAMS].drain()


async def stream(request: web.Request) -> web.StreamResponse:
    """Send a device what comes, until it goes, or it must end."""
    if request.query_string:
        # Addresses stand in logs and histories: what is in one has been given away.
        raise Malformed(
            "the stream takes nothing in its address",
            safe="nothing was opened",
            do="send the token in the Authorization header; if it stood in the address, begin a new "
            "session",
        )
    reader = await reader_of(request)
    socket = web.WebSocketResponse(
        timeout=CLOSE_S, max_msg_size=FRAME_MAX_BYTES, compress=False, autoclose=False
    )
    if not socket.can_prepare(request):
        raise Malformed("not a WebSocket handshake", do="connect with a WebSocket client")
    token = request.headers["Authorization"].partition(" ")[2]
    opened = request.app[STREAMS].open(reader, token)
    try:
        await socket.prepare(request)
        await _leave(request, socket, await _serve(socket, opened))
    finally:
        request.app[STREAMS].close(opened)
    return socket


async def _serve(socket: web.WebSocketResponse, opened: Stream) -> Ended | None:
    """Return why the stream ended; None if the device went."""
    hearing = asyncio.create_task(_hear(socket, opened))
    sending = asyncio.create_task(_send(socket, opened))
    tasks = {hearing, sending}
    try:
        ending: set[asyncio.Future[Any]] = {*tasks, opened.ended}
        await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
    if opened.ended.done():
        return opened.ended.result()
    for exc in found:
        if isinstance(exc, NotAllowed):
            return NOT_ALLOWED
        if isinstance(exc, Exception) and not isinstance(exc, OSError):
            log.error("defect", path="/v1/stream", exc_info=exc)
            return FAILED
    return None


async def _send(socket: web.WebSocketResponse, opened: Stream) -> None:
    while True:
        for frame in await opened.frames():
            await socket.send_str(spell(frame).decode("utf-8"))


async def _hear(socket: web.WebSocketResponse, opened: Stream) -> None:
    async for message in socket:
        if not opened.heard():
            return
        if message.type is not WSMsgType.TEXT:
            opened.end(Ended(MALFORMED, "not a text frame"))
            return
        try:
            said = parse_frame(message.data)
        except Malformed as exc:
            opened.end(Ended(MALFORMED, exc.happened))
            return
        if isinstance(said, Hello):
            await opened.hello(said)
        elif said is not None:
            opened.got(said)


async def _leave(request: web.Request, socket: web.WebSocketResponse, why: Ended | None) -> None:
    """Say why, and close; who doesn't take it is cut off."""
    try:
        async with asyncio.timeout(CLOSE_S):
            if why is None:
                await socket.close()
                return
            log.info("stream-ended", code=why.code, reason=why.reason)
            if why.last is not None:
                await socket.send_str(spell(why.last).decode("utf-8"))
            await socket.close(
                code=why.code, message=why.reason.encode("utf-8")[:_REASON_MAX_BYTES]
            )
    except (TimeoutError, OSError):
        pass
    finally:
        if why is not None and request.transport is not None:
            request.transport.abort()
