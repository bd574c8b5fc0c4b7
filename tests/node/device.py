"""A device at the other end of a stream: says what a test has it say, shows each frame it gets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
from aiohttp import WSMsgType

from liaison.statements.keys import SigningKey
from tests.node.framed import check_frame
from tests.node.live import LiveNode

PATIENCE_S: Final = 20
"""After so long a test fails: nothing here waits for time to pass."""


class Device:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, kind: str, **members: Any) -> None:
        await self.socket.send_str(json.dumps({"type": kind, **members}))

    async def hello(self, **members: Any) -> dict[str, Any]:
        """Say hello; return the answer to it."""
        await self.say("hello", **members)
        return await self.hear("ready")

    async def next(self) -> dict[str, Any]:
        message = await self.socket.receive(timeout=PATIENCE_S)
        assert message.type is WSMsgType.TEXT, (message, self.socket.close_code)
        frame: dict[str, Any] = json.loads(message.data)
        check_frame(frame)
        return frame

    async def hear(self, kind: str) -> dict[str, Any]:
        """Return the next frame, which must be of this kind."""
        frame = await self.next()
        assert frame["type"] == kind, frame
        return frame

    async def item(self, *, got: bool = False) -> dict[str, Any]:
        """Return the next item, past what else is told; ``got`` says that it is stored."""
        while (frame := await self.next())["type"] != "item":
            assert frame["type"] in ("behind", "ping"), frame
        if got:
            await self.got(frame)
        return frame

    async def got(self, *items: dict[str, Any]) -> None:
        await self.say("got", positions=[item["position"] for item in items])

    async def closed(self) -> tuple[int | None, str]:
        """Return with which code and reason the stream is closed; frames before it are passed over."""
        while True:
            message = await self.socket.receive(timeout=PATIENCE_S)
            if message.type is WSMsgType.CLOSE:
                return message.data, str(message.extra)
            if message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
                return self.socket.close_code, ""

    async def cut(self) -> None:
        """Be gone without a word, as a process that is killed."""
        transport = self.socket._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def device(node: LiveNode, by: str, key: SigningKey | None = None) -> AsyncIterator[Device]:
    """Give a member's device, connected; it has not said hello."""
    headers = {"Authorization": f"Bearer {await node.token(by, key)}"}
    url = f"{node.running.url}/v1/stream"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, headers=headers) as socket:
        yield Device(socket)
