"""A bad network between a client and a node: cuts, delays, doubles, falls silent, by a plan.

It knows as much of HTTP/1.1 and WebSocket (RFC 6455) as it takes to do that to whole requests and
frames, and half-way through them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

DELAY_MAX_S: Final = 0.03
TURNS_OF_AN_ACCEPT: Final = 4
"""Of asyncio's loop, from the accepting of a connection to the beginning of its line."""
TEXT: Final = 1
"""The opcode of a frame that carries JSON."""


class Fault(Enum):
    CUT = "cut"
    """A part of it arrives, then both connections break."""
    LOST = "lost"
    """A request arrives, of its answer a part at most; then both connections break."""
    LATE = "late"
    TWICE = "twice"
    SWAPPED = "swapped"
    """A frame arrives behind the one that follows it."""
    HALTED = "halted"
    """A part of it arrives, then nothing more in either direction; the connections stand."""


REQUEST: Final = (Fault.CUT, Fault.LOST, Fault.LATE, Fault.TWICE, Fault.HALTED)
FROM_NODE: Final = (Fault.CUT, Fault.LATE, Fault.TWICE, Fault.HALTED)
FROM_DEVICE: Final = (Fault.CUT, Fault.LATE)
GOT: Final = (*FROM_DEVICE, Fault.TWICE, Fault.SWAPPED)
"""Of the frames only items and ``got`` may come twice, and only ``got`` in any order: STREAM-8, 14."""


@dataclass(frozen=True)
class Passing:
    """What is on its way: a request (``type`` is method and path), or a frame by its type."""

    type: str
    is_frame: bool = False
    is_from_node: bool = False

    @property
    def possible(self) -> tuple[Fault, ...]:
        if not self.is_frame:
            # A session that came twice is refused the second time, and one tries a few times only.
            return tuple(f for f in REQUEST if f is not Fault.TWICE or "sessions" not in self.type)
        if self.is_from_node:
            return FROM_NODE if self.type == "item" else FROM_DEVICE
        return GOT if self.type == "got" else FROM_DEVICE


Plan = Callable[[Passing], Fault | None]
"""Says what happens to what passes; None lets it."""


def nothing(_: Passing) -> Fault | None:
    return None


@dataclass
class ByChance:
    """Something happens to one of ``one_in``; silence, which costs a client its patience, to few."""

    chance: random.Random
    one_in: int = 8
    without: tuple[Fault, ...] = ()

    def __call__(self, passing: Passing) -> Fault | None:
        if self.chance.randrange(self.one_in):
            return None
        fault = self.chance.choice(passing.possible)
        if fault is Fault.HALTED and self.chance.randrange(4):
            return None
        return None if fault in self.without else fault


class Broken(Exception):
    """The plan has both connections end now."""


@dataclass
class Proxy:
    """``url`` is where clients ask, ``upstream`` where the node is; either may change hands any time."""

    upstream: str
    plan: Plan = nothing
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    url: str = ""
    did: Counter[Fault] = field(default_factory=Counter)
    halted: asyncio.Event = field(default_factory=asyncio.Event)
    _lines: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            # A server that closes half-way through an accept leaves that socket open (CPython 3.11).
            for _ in range(TURNS_OF_AN_ACCEPT):
                await asyncio.sleep(0)
            server.close()
            await self.cut_all()

    async def cut_all(self) -> None:
        """Break every connection that stands."""
        lines = list(self._lines)
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.create_task(self._line(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)
        # Not in a ``finally`` of the line: one that is cut before its first step never enters it.
        line.add_done_callback(lambda _: writer.transport.abort())

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one client's connection, request by request, until one side or the plan ends it."""
        try:
            while True:
                await self._exchange(reader, writer)
        except (Broken, OSError, asyncio.IncompleteReadError):
            pass

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await _message(reader)
        request = head + body
        method, path = head.decode("latin-1").split(" ", 2)[:2]
        fault = self._decide(Passing(f"{method} {path.partition('?')[0]}"))
        if fault is Fault.LATE:
            await asyncio.sleep(self.chance.uniform(0, DELAY_MAX_S))
        async with self._to_node() as (from_node, to_node):
            if fault is Fault.CUT:
                to_node.write(self._part(request))
                await to_node.drain()
                raise Broken
            if fault is Fault.TWICE:
                await self._again(request)
            to_node.write(request)
            await to_node.drain()
            if b"upgrade: websocket" in head.lower():
                answer_head, answer_body = await _message(from_node)
                writer.write(answer_head + answer_body)
                if b" 101 " in answer_head.splitlines()[0]:
                    await self._frames(reader, writer, from_node, to_node)
                return
            answer = b"".join(await _message(from_node))
            if fault is Fault.LOST:
                writer.write(self._part(answer))
                await writer.drain()
                raise Broken
            if fault is Fault.HALTED:
                writer.write(self._part(answer))
                await self._halt(reader)
            writer.write(answer)
            await writer.drain()

    async def _again(self, request: bytes) -> None:
        """Have a request come before itself, over a connection of its own, as a hasty proxy may."""
        async with self._to_node() as (from_node, to_node):
            to_node.write(request)
            await _message(from_node)

    @contextlib.asynccontextmanager
    async def _to_node(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        host, port = self.upstream.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _frames(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_node: asyncio.StreamReader,
        to_node: asyncio.StreamWriter,
    ) -> None:
        """Carry a stream's frames both ways until it ends."""
        both = [
            asyncio.create_task(self._carry(reader, to_node, is_from_node=False)),
            asyncio.create_task(self._carry(from_node, writer, is_from_node=True)),
        ]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        if any(one.exception() is None for one in done):
            await self._halt(reader)
        raise Broken

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_from_node: bool
    ) -> None:
        """Return when nothing more is to pass, though both connections stand."""
        held = b""
        while True:
            frame, kind = await _frame(reader)
            fault = None
            if kind:
                fault = self._decide(Passing(kind, is_frame=True, is_from_node=is_from_node))
            if fault is Fault.LATE:
                await asyncio.sleep(self.chance.uniform(0, DELAY_MAX_S))
            elif fault is Fault.SWAPPED and not held:
                held = frame
                continue
            elif fault in (Fault.CUT, Fault.HALTED):
                writer.write(self._part(frame))
                await writer.drain()
                if fault is Fault.CUT:
                    raise Broken
                return
            writer.write(frame * 2 if fault is Fault.TWICE else frame)
            writer.write(held)
            held = b""
            await writer.drain()

    async def _halt(self, reader: asyncio.StreamReader) -> None:
        """Let nothing pass until the client has lost its patience."""
        self.halted.set()
        while await reader.read(4096):
            pass
        raise Broken

    def _decide(self, passing: Passing) -> Fault | None:
        fault = self.plan(passing)
        if fault is not None:
            self.did[fault] += 1
        return fault

    def _part(self, data: bytes) -> bytes:
        return data[: self.chance.randrange(len(data))]


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the head of a request or an answer, and its body as long as Content-Length says."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = 0
    for line in head.decode("latin-1").lower().split("\r\n"):
        if line.startswith("content-length:"):
            size = int(line.partition(":")[2])
    return head, await reader.readexactly(size)


async def _frame(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """Return a frame as it came, and its type if it carries one."""
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    extra = await reader.readexactly({126: 2, 127: 8}.get(size, 0))
    if extra:
        size = int.from_bytes(extra, "big")
    mask = await reader.readexactly(4) if head[1] & 0x80 else b""
    payload = await reader.readexactly(size)
    kind = ""
    if head[0] & 0x0F == TEXT:
        clear = bytes(b ^ mask[n % 4] for n, b in enumerate(payload)) if mask else payload
        said: Any = json.loads(clear)
        kind = str(said["type"])
    return head + extra + mask + payload, kind
