"""A wire to the node: JSON frames over one WebSocket. protocols/stream.md; WebSocket ends here."""

from __future__ import annotations

from typing import Final

import aiohttp
from aiohttp import ClientWSTimeout, WSMsgType

from liaison.client.answers import json_object
from liaison.words.canonical import spell
from liaison.words.errors import Malformed, NodeUnreachable

FRAME_MAX_BYTES: Final = 4 * 1024 * 1024
"""A receipt of the longest statement, with 64 KiB of content, stays below it."""
CLOSE_S: Final = 2.0


class Parted(Exception):
    """The node closed the stream; ``code`` says why (STREAM-24)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason or 'the connection closed'} ({code})")
        self.code = code


class Wire:
    """Frames to and from the node, until one side ends it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @classmethod
    async def connect(cls, http: aiohttp.ClientSession, url: str, token: str) -> Wire:
        """Return an open wire.

        Raises:
            aiohttp.ClientError, TimeoutError, OSError: there is none to be had.
        """
        headers = {"Authorization": f"Bearer {token}"}
        timeout = ClientWSTimeout(ws_close=CLOSE_S)
        return cls(
            await http.ws_connect(
                url, headers=headers, timeout=timeout, max_msg_size=FRAME_MAX_BYTES
            )
        )

    async def say(self, frame: dict[str, object]) -> None:
        """Send a frame.

        Raises:
            NodeUnreachable: the connection is gone.
        """
        try:
            await self._socket.send_str(spell(frame).decode("utf-8"))
        except (aiohttp.ClientError, OSError) as exc:
            raise NodeUnreachable(f"The stream broke: {exc}") from exc

    async def hear(self, within_s: float) -> dict[str, object]:
        """Return the next frame.

        Raises:
            Parted: the node closed the stream.
            NodeUnreachable: no frame came in so long.
            Malformed: it sent what is no frame.
        """
        try:
            message = await self._socket.receive(timeout=within_s)
        except TimeoutError as exc:
            raise NodeUnreachable(f"Nothing came from the node for {within_s:.0f} s") from exc
        if message.type is not WSMsgType.TEXT:
            if message.type is WSMsgType.BINARY:
                raise Malformed("the node sent a frame that is not text")
            raise Parted(self._socket.close_code or 1006, str(message.extra or ""))
        return json_object(message.data)

    async def close(self) -> None:
        await self._socket.close()
