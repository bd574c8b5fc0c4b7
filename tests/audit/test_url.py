"""A running node as a source: over real sockets, honest or not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from liaison.audit.report import Report
from liaison.audit.url import UrlSource
from liaison.audit.walk import replay, verify
from liaison.statements.payloads import Session, Verdict
from liaison.statements.statement import parse_statement_of
from liaison.tlog.tiles import TILE_WIDTH, format_bundle, parse_entries_path, parse_tile_path
from liaison.words.encoding import to_base64
from liaison.words.errors import Busy, NodeUnreachable, NotAllowed
from tests.audit.logs import ANCHORS, MemorySource, flipped, large, now, small, timed
from tests.node.live import live_node
from tests.world import ANNA, DORA, ORIGIN, digest, signing

ADMINISTRATOR = signing("administrator")


class FakeNode:
    """Serves a log in memory as protocols/api.md says; tests replace single answers."""

    def __init__(self, log: MemorySource) -> None:
        self.log = log
        self.answers: dict[str, Callable[[], web.Response]] = {}
        self.sessions = 0
        self.token_uses = 1_000_000

    async def handle(self, request: web.Request) -> web.Response:
        if request.path in self.answers:
            return self.answers[request.path]()
        path = request.path.removeprefix("/log/")
        if path == "checkpoint":
            return web.Response(text=self.log.signed)
        if path.startswith("tile/entries/"):
            n, width = parse_entries_path(path)
            leaves = await self.log.leaves(n * TILE_WIDTH, n * TILE_WIDTH + width)
            return web.Response(body=format_bundle(leaves))
        if path.startswith("tile/"):
            tile = parse_tile_path(path)
            found = await self.log.tiles([tile])
            return web.Response(body=found[tile]) if tile in found else web.Response(status=404)
        return await self.versioned(request)

    async def versioned(self, request: web.Request) -> web.Response:
        if request.path == "/v1/challenges":
            return web.json_response({"challenge": digest("challenge"), "lapse": 1}, status=201)
        if request.path == "/v1/sessions":
            session = parse_statement_of(Session, await request.read())
            session.check_signature(ADMINISTRATOR.public)
            assert (session.payload.by, session.payload.log) == (ORIGIN, ORIGIN)
            assert session.payload.challenge == digest("challenge")
            self.sessions += 1
            self.uses = 0
            return web.json_response({"token": f"token {self.sessions}", "more": 1}, status=201)
        self.uses += 1
        said = request.headers.get("Authorization")
        if said != f"Bearer token {self.sessions}" or self.uses > self.token_uses:
            return web.json_response({"detail": "no session"}, status=401)
        start, end = int(request.query["start"]), int(request.query["end"])
        entries = [
            {
                "index": entry.index,
                "entry": entry.entry.decode(),
                "leaf_key": to_base64(entry.leaf_key),
                "fields": [to_base64(value) for value in entry.fields],
            }
            for entry in await self.log.opened(start, end)
        ]
        return web.json_response({"entries": entries, "newer": True})


@contextlib.asynccontextmanager
async def served(node: FakeNode) -> AsyncIterator[UrlSource]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", node.handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield UrlSource(str(server.make_url("/")), ORIGIN, ADMINISTRATOR, http, now=now)


async def both(node: FakeNode) -> tuple[Report, Report]:
    async with served(node) as source:
        verified = await verify(source, ANCHORS, now=now())
        return verified, await replay(source, ANCHORS, now=now())


@pytest.mark.parametrize("make", [small, large, timed])
async def test_an_honest_node_passes(make):
    verified, replayed = await both(FakeNode(make()))
    assert verified.difference is None
    assert replayed.difference is None
    assert verified.checkpoint_size == len(make().entries)
    assert any("no cells" in said for said in replayed.not_proven)


async def test_a_real_node_passes_while_it_runs(tmp_path):
    async with live_node(tmp_path) as node, aiohttp.ClientSession() as http:
        await node.open_channel()
        sent, _ = await node.send()
        await node.accept(node.world.answer(DORA, Verdict.DELIVERED, sent.statement.digest))
        url = node.running.url
        source = UrlSource(url, ORIGIN, ADMINISTRATOR, http, now=node.clock.now)
        for audit in (verify, replay):
            report = await audit(source, ANCHORS, now=node.clock.now())
            assert report.difference is None
            assert report.size == len(node.world.records)
        stranger = UrlSource(url, ORIGIN, signing(f"{ANNA}/1"), http, now=node.clock.now)
        with pytest.raises(NotAllowed):
            await verify(stranger, ANCHORS, now=node.clock.now())


async def test_a_token_that_ended_is_replaced():
    node = FakeNode(large())
    node.token_uses = 1
    verified, _ = await both(node)
    assert verified.difference is None
    assert node.sessions > 2


LIES: list[tuple[str, Any]] = [
    ("/log/checkpoint", lambda: web.Response(text="")),
    ("/log/checkpoint", lambda: web.Response(body=b"\xff")),
    ("/log/checkpoint", lambda: web.Response(status=404)),
    ("/log/tile/0/000.p/26", lambda: web.Response(status=404)),
    ("/log/tile/0/000.p/26", lambda: web.Response(body=b"x" * 100_000)),
    ("/log/tile/0/000.p/26", lambda: web.Response(body=b"")),
    ("/log/tile/entries/000.p/26", lambda: web.Response(body=b"\0\1")),
    ("/v1/openings", lambda: web.Response(body=b"[" * 100_000)),
    ("/v1/openings", lambda: web.json_response({"entries": []})),
    ("/v1/openings", lambda: web.json_response({"entries": [{"index": 0}]})),
    (
        "/v1/openings",
        lambda: web.json_response(
            {"entries": [{"index": 0, "entry": "\ud800", "leaf_key": "AA==", "fields": ["?"]}]}
        ),
    ),
    ("/v1/challenges", lambda: web.json_response({"challenge": "x"})),
    ("/v1/sessions", lambda: web.json_response({"token": 7})),
]


@pytest.mark.parametrize(("path", "answer"), LIES)
async def test_an_answer_without_a_reading_is_a_difference_and_not_a_crash(path, answer):
    node = FakeNode(small())
    node.answers[path] = answer
    async with served(node) as source:
        report = await verify(source, ANCHORS, now=now())
    assert report.exit_code == 1
    assert report.proven == ()


async def test_a_leaf_or_opening_that_differs_is_named():
    node = FakeNode(small())
    node.log.leaf_rows = [entry.entry for entry in node.log.entries]
    node.log.leaf_rows[5] = flipped(node.log.leaf_rows[5], 12)
    verified, _ = await both(node)
    assert verified.difference is not None
    assert verified.difference.index == 5


async def test_a_busy_node_is_asked_again_and_given_up_in_the_end(monkeypatch):
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("liaison.audit.url.asyncio.sleep", sleep)
    node = FakeNode(small())
    busy = {"Retry-After": "3"}
    turns = iter([web.Response(status=503, headers=busy), web.Response(status=429)])
    node.answers["/log/checkpoint"] = lambda: next(turns, web.Response(text=node.log.signed))
    async with served(node) as source:
        assert (await verify(source, ANCHORS, now=now())).exit_code == 0
    assert [seconds for seconds in waited if seconds] == [3, 1]  # aiohttp sleeps too, for 0 s
    node.answers["/log/checkpoint"] = lambda: web.Response(status=503, headers=busy)
    async with served(node) as source:
        with pytest.raises(Busy):
            await verify(source, ANCHORS, now=now())


async def test_a_node_that_does_not_answer_is_said_to_be_unreachable():
    async with aiohttp.ClientSession() as http:
        source = UrlSource("http://127.0.0.1:1", ORIGIN, ADMINISTRATOR, http, now=now)
        with pytest.raises(NodeUnreachable, match=r"no answer from http://127\.0\.0\.1:1/log/"):
            await verify(source, ANCHORS, now=now())
