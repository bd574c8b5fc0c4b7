"""The gate: how many connections there are, and how long each may take to say what it wants.

protocols/api.md, API-36 to API-38. aiohttp reads the requests; a ``Gate`` stands before it on each
connection and sees only that bytes come, that a request began or ended, and that nobody reads what
was written. A connection that does nothing costs a place and no more, and is the first to lose it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

from aiohttp import web

from liaison.words.errors import Malformed, TooLarge, TooSlow

CONNECTIONS_MAX: Final = 4096
FIRST_BYTE_S: Final = 60
"""Proxies open connections ahead of need."""
HEADERS_S: Final = 10
UNREAD_S: Final = 60
BODY_S: Final = 15
BODY_BYTES_PER_S: Final = 256 * 1024
"""A body may take ``BODY_S``, and beyond it as long as it needs at this rate."""
SWEEP_S: Final = 1.0

LINGER_S: Final = 1.0
"""So long what is left of a body is waited for after its answer, so that the sender reads that."""

_KEEPALIVE: Final = tuple(
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE", 60),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 60_000),
    )
    if hasattr(socket, name)
)
"""A peer that is gone without a word is noticed in a minute and a half, or a minute after we wrote."""


class Gate(asyncio.Protocol):
    """One connection, before the ``inner`` protocol that speaks HTTP."""

    def __init__(self, gates: Gates, inner: asyncio.Protocol) -> None:
        self.inner = inner
        self.transport: asyncio.Transport | None = None
        self.requests = 0
        self.is_asked = False
        """A request was read and is being answered."""
        self._gates = gates

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not by isinstance: uvloop's transports have asyncio's methods and not its classes.
        self.transport = cast("asyncio.Transport", transport)
        if not self._gates.enter(self):
            self.transport.abort()
            self.transport = None
            return
        _keep_alive(self.transport)
        self.inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            return
        if not self.is_asked:
            self._gates.speaks(self)
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self.transport is None else self.inner.eof_received()

    def pause_writing(self) -> None:
        self._gates.unread(self)
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self._gates.read(self)
        self.inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self._gates.leave(self)
            self.inner.connection_lost(exc)

    def cut(self) -> None:
        """End it now: whoever is there had its time."""
        if self.transport is not None:
            self.transport.abort()


@dataclass
class Gates:
    """All connections of a node. ``now`` is in seconds, of any clock that goes on."""

    now: Callable[[], float]
    most: int = CONNECTIONS_MAX
    turned_away: Counter[str] = field(default_factory=Counter)
    """How many were ended, and why."""
    _open: dict[Any, Gate] = field(default_factory=dict)
    _idle: OrderedDict[Gate, float] = field(default_factory=OrderedDict)
    """Between requests, or before the first."""
    _speaking: OrderedDict[Gate, float] = field(default_factory=OrderedDict)
    """Bytes came, and no whole request yet."""
    _unread: OrderedDict[Gate, float] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        for reason in ("crowded", "full", "silent", "slow", "unread"):
            self.turned_away[reason] = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def idle(self) -> int:
        return len(self._idle)

    def before(self, inner: Callable[[], asyncio.Protocol]) -> Callable[[], Gate]:
        """Return what makes the protocol of a new connection."""
        return lambda: Gate(self, inner())

    # What a gate tells

    def enter(self, gate: Gate) -> bool:
        """Count a connection in; False where there is no place even for one in need."""
        if len(self._open) >= self.most:
            # Who has waited longest without a request; who is being answered keeps its place.
            longest = next(iter(self._idle), None) or next(iter(self._speaking), None)
            if longest is None:
                self.turned_away["full"] += 1
                return False
            self._end(longest, "crowded")
        self._open[gate.inner] = gate
        self._idle[gate] = self.now()
        return True

    def speaks(self, gate: Gate) -> None:
        if gate in self._idle:
            del self._idle[gate]
            self._speaking[gate] = self.now()

    def unread(self, gate: Gate) -> None:
        self._unread.setdefault(gate, self.now())

    def read(self, gate: Gate) -> None:
        self._unread.pop(gate, None)

    def leave(self, gate: Gate) -> None:
        self._open.pop(gate.inner, None)
        for line in (self._idle, self._speaking, self._unread):
            line.pop(gate, None)

    @contextlib.contextmanager
    def asked(self, inner: object) -> Iterator[None]:
        """A request was read whole but for its body; it is answered when the context ends."""
        gate = self._open.get(inner)
        if gate is None:
            yield
            return
        self._idle.pop(gate, None)
        self._speaking.pop(gate, None)
        gate.is_asked = True
        gate.requests += 1
        try:
            yield
        finally:
            gate.is_asked = False
            if gate.inner in self._open:
                self._idle[gate] = self.now()

    # What time does

    def sweep(self) -> None:
        """End the connections whose time is over."""
        now = self.now()
        for gate in _older(self._speaking, now - HEADERS_S):
            self._end(gate, "slow")
        for gate in _older(self._unread, now - UNREAD_S):
            self._end(gate, "unread")
        for gate in _older(self._idle, now - FIRST_BYTE_S):
            if not gate.requests:
                self._end(gate, "silent")

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()

    def _end(self, gate: Gate, why: str) -> None:
        self.turned_away[why] += 1
        self.leave(gate)
        # Its connection_lost comes later: its place is free now.
        gate.cut()


def _older(line: OrderedDict[Gate, float], than: float) -> list[Gate]:
    """Return those that have been there since before; the line is in the order of time."""
    found = []
    for gate, since in line.items():
        if since > than:
            break
        found.append(gate)
    return found


def _keep_alive(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, name, value)


GATES: Final = web.AppKey("gates", Gates)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def gated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the gate of a request's connection that one is being answered."""
    with request.app[GATES].asked(request.protocol):
        return await handler(request)


@web.middleware
async def formed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what no handler has to look at: a body that is packed, or that no limit allows."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        # A few KiB could unpack to as many GiB, and what is sealed doesn't shrink.
        raise Malformed(
            f"the body has the Content-Encoding {encoding[:20]!r}", do="send it as it is"
        )
    most = request.client_max_size
    if most and (request.content_length or 0) > most:
        raise TooLarge(f"a body of {request.content_length} bytes; the limit is {most}")
    return await handler(request)


async def body_of(request: web.Request, most: int | None = None) -> bytes:
    """Return a request's body.

    Raises:
        TooSlow: it did not come in time.
        TooLarge: it has more than ``most`` bytes.
    """
    if most is not None:
        request = request.clone(client_max_size=most)
    size = min(request.content_length or 0, request.client_max_size)
    try:
        async with asyncio.timeout(BODY_S + size / BODY_BYTES_PER_S):
            return await request.read()
    except TimeoutError as exc:
        raise TooSlow(
            "the body did not come in time", safe="nothing of it was taken", do="send it again"
        ) from exc


@contextlib.asynccontextmanager
async def swept(gates: Gates) -> AsyncIterator[None]:
    """Sweep while the context lasts."""
    sweeping = asyncio.create_task(gates.run(), name="gates")
    try:
        yield
    finally:
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping
