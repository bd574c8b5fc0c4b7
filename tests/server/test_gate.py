"""Connections over real sockets: idle, slow, oversize, packed, unread, half-open. API-36 to API-38."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from liaison.main import run_node
from liaison.server import gate as module
from liaison.server.app import MAX_BODY_BYTES
from liaison.server.gate import FIRST_BYTE_S, HEADERS_S, LINGER_S, UNREAD_S, Gate, Gates
from tests.node.live import HandClock, LiveNode, begin_in, live_node

ABOUT = b"GET /v1/about HTTP/1.1\r\nHost: n\r\n\r\n"
IDLE = 2_000


class Hand:
    """The gates' clock, moved by hand."""

    def __init__(self, since: float = 0.0) -> None:
        self.since = since
        self.s = 0.0

    def __call__(self) -> float:
        return self.since + self.s


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_node(tmp_path / "home") as live:
        await live.open_channel()
        yield live


@pytest.fixture
def hand(node: LiveNode) -> Hand:
    hand = Hand(node.running.gates.now())
    node.running.gates.now = hand
    return hand


def address_of(node: LiveNode) -> tuple[str, int]:
    host, port = node.running.url.removeprefix("http://").split(":")
    return host, int(port)


class Line:
    """A connection that says exactly what a test has it say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0.05)

    async def hears(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, body

    async def is_ended(self) -> bool:
        """Return whether the other side ended it, in a second at most."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(1):
                return await self.reader.read(1) == b""
        return self.reader.at_eof() or self.reader.exception() is not None


@contextlib.asynccontextmanager
async def line_to(node: LiveNode) -> AsyncIterator[Line]:
    line = Line(*await asyncio.open_connection(*address_of(node)))
    await asyncio.sleep(0.02)
    try:
        yield line
    finally:
        line.writer.close()
        with contextlib.suppress(OSError):
            await line.writer.wait_closed()


async def test_a_request_that_does_not_end_its_headers_loses_its_connection(node, hand):
    async with line_to(node) as slow, line_to(node) as quick:
        await slow.says(ABOUT[:-2])
        await quick.says(ABOUT)
        assert (await quick.hears())[0] == 200
        hand.s = HEADERS_S - 1
        node.running.gates.sweep()
        await slow.says(b"X: a\r\n")  # a byte now and then does not help
        hand.s = HEADERS_S
        node.running.gates.sweep()
        assert await slow.is_ended()
        await quick.says(ABOUT)
        assert (await quick.hears())[0] == 200
        await slow_again(quick, node, hand)
    assert node.running.gates.turned_away["slow"] == 2


async def slow_again(line: Line, node: LiveNode, hand: Hand) -> None:
    """A connection that asked before gets no more time for its next headers."""
    await line.says(ABOUT[:10])
    hand.s += HEADERS_S
    node.running.gates.sweep()
    assert await line.is_ended()


async def test_a_connection_on_which_nothing_ever_comes_ends(node, hand):
    async with line_to(node) as silent, line_to(node) as used:
        await used.says(ABOUT)
        await used.hears()
        hand.s = FIRST_BYTE_S + 1
        node.running.gates.sweep()
        assert await silent.is_ended()
        await used.says(ABOUT)
        assert (await used.hears())[0] == 200


@pytest.mark.parametrize("path", ["/v1/statements", "/v1/sessions"])
async def test_a_body_that_does_not_come_is_408_and_ends_the_connection(node, monkeypatch, path):
    monkeypatch.setattr(module, "BODY_S", 0.2)
    head = f"POST {path} HTTP/1.1\r\nHost: n\r\nContent-Length: 1000\r\n\r\n".encode()
    async with line_to(node) as line:
        await line.says(head + b"x")
        status, headers, body = await line.hears()
        assert (status, json.loads(body)["code"]) == (408, "too-slow")
        assert headers["connection"] == "close"
        await asyncio.sleep(LINGER_S)
        assert await line.is_ended()
    assert node.running.services.intake.admission.past.taken == 0


async def test_a_body_beyond_the_limit_is_413_before_it_is_sent(node):
    head = (
        f"POST /v1/statements HTTP/1.1\r\nHost: n\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
    )
    async with line_to(node) as line:
        await line.says(head.encode())
        status, _, body = await line.hears()
        assert (status, json.loads(body)["code"]) == (413, "too-large")

    # And one that doesn't say how large it is, as it comes.
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 8192

    async with node.http.post(f"{node.running.url}/v1/sessions", data=pieces()) as answer:
        assert (answer.status, (await answer.json())["code"]) == (413, "too-large")


@pytest.mark.parametrize(
    "head",
    [b"GET /" + b"a" * 20_000, ABOUT[:-2] + b"X: " + b"a" * 20_000, ABOUT[:-2] + b"X: a\r\n" * 500],
)
async def test_headers_beyond_any_measure_end_the_connection(node, head):
    async with line_to(node) as line:
        with contextlib.suppress(ConnectionError):
            await line.says(head + b"\r\n\r\n")
        heard = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(5):
                heard = await line.reader.read()
        assert b" 200 " not in heard[:20]
    assert (await node.get("/v1/about"))[0] == 200


@functools.cache
def bomb() -> bytes:
    return gzip.compress(gzip.compress(b"\0" * 200_000_000))


@pytest.mark.parametrize("path", ["/v1/statements", "/v1/sessions"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_a_packed_body_is_not_unpacked(node, path, encoding):
    packed = bomb()
    assert len(packed) < 10_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    url, headers = f"{node.running.url}{path}", {"Content-Encoding": encoding}
    async with node.http.post(url, data=packed, headers=headers) as answer:
        problem = await answer.json()
    assert (answer.status, problem["code"]) == (400, "malformed")
    assert "Content-Encoding" in problem["detail"]
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 50_000


async def test_who_does_not_read_what_was_written_loses_the_connection(node, hand):
    bare = socket.socket()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bare.setblocking(False)
    await asyncio.get_running_loop().sock_connect(bare, address_of(node))
    reader, writer = await asyncio.open_connection(sock=bare)
    cast("asyncio.Transport", writer.transport).pause_reading()
    gates = node.running.gates
    ask = b"GET /metrics HTTP/1.1\r\nHost: n\r\n\r\n"
    async with asyncio.timeout(20):
        while not gates._unread:
            writer.write(ask)
            await asyncio.sleep(0.002)
    hand.s = UNREAD_S - 1
    gates.sweep()
    assert gates.turned_away["unread"] == 0
    hand.s = UNREAD_S
    gates.sweep()
    assert gates.turned_away["unread"] == 1
    assert (await node.get("/v1/about"))[0] == 200
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    del reader


async def test_a_peer_that_is_gone_is_noticed_by_the_kernel(node):
    async with line_to(node) as line:
        await line.says(ABOUT)
        await line.hears()
        (gate,) = (
            gate
            for gate in node.running.gates._open.values()
            if gate.transport is not None
            and gate.transport.get_extra_info("peername") == line.writer.get_extra_info("sockname")
        )
        connection = gate.transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name, value in (
            ("TCP_KEEPIDLE", 60),
            ("TCP_KEEPINTVL", 10),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", 60_000),
        ):
            assert connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value


async def test_a_half_closed_connection_is_closed_after_its_answer(node):
    async with line_to(node) as line:
        await line.says(ABOUT)
        line.writer.write_eof()
        assert (await line.hears())[0] == 200
        assert await line.is_ended()
    assert len(node.running.gates) <= 1


async def test_idle_sockets_are_bounded_and_keep_nobody_out(tmp_path):
    """2,000 of them on a node that has room for 256; memory and file descriptors stay in bounds."""
    settings = begin_in(tmp_path / "home").model_copy(update={"connections": 256})
    async with (
        run_node(settings, clock=(clock := HandClock())) as running,
        aiohttp.ClientSession() as http,
    ):
        node = LiveNode(running, http, clock)
        await node.open_channel()
        sockets = []
        try:
            for n in range(IDLE):
                bare = socket.create_connection(address_of(node))
                sockets.append(bare)
                if n % 3 == 0:
                    bare.send(ABOUT[:20])
                if n % 64 == 0:
                    await asyncio.sleep(0)
                    assert len(running.gates) <= 256
            await asyncio.sleep(0.2)
            assert len(running.gates) <= 256
            assert running.gates.turned_away["crowded"] >= IDLE - 256
            assert running.gates.turned_away["full"] == 0
            assert (await node.get("/v1/about"))[0] == 200
            await node.send()
        finally:
            for bare in sockets:
                bare.close()
        async with asyncio.timeout(10):
            while len(running.gates) > 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


class Deaf(asyncio.Protocol):
    pass


class Wire(asyncio.Transport):
    is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def opened(gates: Gates) -> tuple[Gate, Wire]:
    gate, wire = gates.before(Deaf)(), Wire()
    gate.connection_made(wire)
    return gate, wire


def test_who_is_being_answered_keeps_its_place_and_the_longest_idle_loses_it():
    hand = Hand()
    gates = Gates(hand, most=3)
    (asking, first), (_, second), (_, third) = opened(gates), opened(gates), opened(gates)
    with gates.asked(asking.inner):
        _, fourth = opened(gates)
        assert (first.is_aborted, second.is_aborted, third.is_aborted) == (False, True, False)
        _, fifth = opened(gates)
        assert (third.is_aborted, fourth.is_aborted, fifth.is_aborted) == (True, False, False)
    assert len(gates) == 3
    assert gates.turned_away["crowded"] == 2


def test_when_all_are_being_answered_one_more_is_turned_away():
    gates = Gates(Hand(), most=2)
    (one, _), (two, _) = opened(gates), opened(gates)
    with gates.asked(one.inner), gates.asked(two.inner):
        late, wire = opened(gates)
        assert wire.is_aborted
        late.data_received(b"GET")
        assert late.eof_received() is None
        late.connection_lost(None)
        assert len(gates) == 2
    assert gates.turned_away["full"] == 1
    _, wire = opened(gates)
    assert not wire.is_aborted


def test_a_gate_that_has_left_is_in_no_line():
    gates = Gates(Hand())
    gate, _ = opened(gates)
    gate.data_received(b"G")
    gate.pause_writing()
    with gates.asked(gate.inner):
        gate.connection_lost(None)
    assert not gates._open
    assert not gates._idle
    assert not gates._speaking
    assert not gates._unread
