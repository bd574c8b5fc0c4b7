"""What answers at a node's address may say anything: its shape and its length are looked at first."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from liaison.client import transport as transports
from liaison.client.answers import json_object, object_of, objects_of, place_of, text_of, texts_of
from liaison.client.transport import SAID_MAX_CHARS, Transport
from liaison.words.canonical import spell
from liaison.words.encoding import to_base64
from liaison.words.errors import LogUntrusted, Malformed, NodeUnreachable, RefusedByNode
from tests.client.council import council, letters
from tests.client.liar import liar
from tests.client.lied import lied_to
from tests.client.test_acting import flash

PIECE = b"x" * 65_536


class Strange:
    """A server on a real socket that says whatever a test wants."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""
        self.says: Any = None
        self.session: dict[str, object] = {"challenge": to_base64(bytes(32)), "token": "secret"}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path in ("/v1/challenges", "/v1/sessions"):
            return web.json_response(self.session)
        answer = self.says(request)
        if isinstance(answer, web.StreamResponse):
            return answer
        endless = web.StreamResponse(status=answer)
        await endless.prepare(request)
        try:
            while True:
                await endless.write(PIECE)
        except (ConnectionError, aiohttp.ClientError):
            return endless


@pytest.fixture
async def strange() -> AsyncIterator[Strange]:
    made = Strange()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_without_an_end_is_read_to_a_bound(
    strange: Strange, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(transports, "ANSWER_MAX_BYTES", 1_000_000)
    strange.says = lambda _: web.Response(body=b"{}" + b" " * 900_000)
    async with Transport(strange.url, lambda _: b"{}") as transport:
        assert await transport.about() == {}
        strange.says = lambda _: status
        with pytest.raises(NodeUnreachable, match="its answer is longer than"):
            await transport.about()


async def test_a_packed_answer_is_asked_for_by_nobody_and_not_unpacked(strange: Strange) -> None:
    asked: list[str] = []

    def pack(request: web.Request) -> web.Response:
        asked.append(request.headers["Accept-Encoding"])
        return web.Response(
            body=gzip.compress(b"{" + b" " * 50_000_000), headers={"Content-Encoding": "gzip"}
        )

    strange.says = pack
    async with Transport(strange.url, lambda _: b"{}") as transport:
        with pytest.raises(NodeUnreachable, match="its answer is packed"):
            await transport.about()
    assert asked == ["identity"]


async def test_nobody_is_led_to_another_place(strange: Strange) -> None:
    elsewhere = strange.url.replace("127.0.0.1", "localhost") + "/internal"

    def lead(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": elsewhere})

    strange.says = lead
    async with Transport(strange.url, lambda _: b"{}") as transport:
        with pytest.raises(NodeUnreachable, match="answered 302"):
            await transport.about()
        with pytest.raises(NodeUnreachable, match="sends its askers elsewhere"):
            await transport.stream()
    assert "/v1/stream" in strange.asked
    assert "/internal" not in strange.asked


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[" * 60_000, "answered 409 without saying why"),
        (b'{"code": 7}', "answered 409 without saying why"),
        (b"\xff", "answered 409 without saying why"),
    ],
)
async def test_a_problem_that_has_no_reading_is_none(
    strange: Strange, body: bytes, said: str
) -> None:
    strange.says = lambda _: web.Response(status=409, body=body)
    async with Transport(strange.url, lambda _: b"{}") as transport:
        with pytest.raises(NodeUnreachable, match=said):
            await transport.about()


async def test_what_the_node_says_is_one_line_its_own_and_not_what_is_safe(
    strange: Strange,
) -> None:
    told = {
        "code": "lapsed",
        "detail": "long\n" * 10_000,
        "safe": "everything",
        "do": "pin me\nanew",
    }
    strange.says = lambda _: web.Response(status=409, body=json.dumps(told).encode())
    async with Transport(strange.url, lambda _: b"{}") as transport:
        with pytest.raises(RefusedByNode) as refused:
            await transport.about()
    assert len(refused.value.happened) == SAID_MAX_CHARS
    assert "\n" not in str(refused.value)
    assert refused.value.do == "the node advises: pin me anew"
    assert "everything" not in str(refused.value)


def test_an_answer_of_another_shape_is_malformed() -> None:
    assert json_object(b'{"a": 1}') == {"a": 1}
    assert objects_of({"items": [{"a": 1}]}, "items") == [{"a": 1}]
    assert objects_of({}, "items") == []
    assert texts_of({"items": ["a"]}, "items") == ["a"]
    assert object_of({"state": {}}, "state") == object_of({}, "state") == {}
    assert text_of({"a": "b"}, "a") == "b"
    assert place_of("12.7") == (12, 7)
    for read, wrong in (
        (objects_of, 5),
        (objects_of, ["x"]),
        (texts_of, [7]),
        (texts_of, "x"),
        (object_of, []),
        (text_of, 5),
    ):
        with pytest.raises(Malformed, match="the node's answer: name"):
            read({"name": wrong}, "name")
    for data in (b"[" * 60_000, b"[]", b"\xff"):
        with pytest.raises(Malformed):
            json_object(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": "\\ud83d"}', "holds a lone surrogate"),
        (b'{"\\ud83d": 1}', "holds a lone surrogate"),
        (b'{"a": NaN}', "holds what is no number"),
        (b'{"a": [1e999]}', "holds what is no number"),
        (b'{"a": 9007199254740992}', "holds an integer that is not below 2\\^53"),
        (b'{"a": ' + b"[" * 32 + b"]" * 32 + b"}", "is nested deeper than 32 levels"),
    ],
)
def test_what_could_not_be_written_down_or_shown_is_no_answer(data: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=f"^the node's answer {said}"):
        json_object(data)


def test_what_can_be_written_down_and_shown_is_an_answer() -> None:
    nested = b'{"a": ' + b"[" * 31 + b"]" * 31 + b"}"
    for data in (nested, b'{"a": "\\ud83d\\ude00", "b": [null, true, 1.5, 9007199254740991]}'):
        spell(json_object(data))


def _with(name: str, odd: object, answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "items": [{**item, name: odd} for item in answer["items"]]}


ODD: Final[tuple[object, ...]] = (["note"], {}, None, 1, "x")


@pytest.mark.parametrize("name", ["kind", "precedence", "position", "receipt"])
async def test_an_item_of_an_odd_shape_is_refused_and_the_inbox_stays_where_it_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lied_to(tmp_path, monkeypatch) as lied:
        for odd in ODD:
            lied.liar.lies["/v1/inbox"] = partial(_with, name, odd)
            async with lied.client("M") as m:
                with pytest.raises((Malformed, LogUntrusted)):
                    await m.inbox()
            assert lied.liar.told.pop() == "/v1/inbox"
        async with lied.council.client("M") as m:
            assert letters(await m.inbox())


@pytest.mark.parametrize(
    ("name", "odd", "said"),
    [
        ("challenge", None, "challenge is not a string"),
        ("challenge", "x", "challenge: not padded base64"),
        ("challenge", to_base64(bytes(31)), "challenge: 31 bytes, not 32"),
        ("token", 7, "token is not a string"),
        ("token", "a\r\nHost: b", "token is not of printable ASCII"),
    ],
)
async def test_a_session_of_an_odd_shape_is_malformed(
    strange: Strange, name: str, odd: object, said: str
) -> None:
    strange.says = lambda _: web.json_response({"a": 1})
    async with Transport(strange.url, lambda _: b"{}") as transport:
        assert await transport.read("/v1/inbox") == {"a": 1}
    strange.session[name] = odd
    async with Transport(strange.url, lambda _: b"{}") as transport:
        with pytest.raises(Malformed, match=f"^the node's answer: {said}"):
            await transport.read("/v1/inbox")


async def test_a_tile_is_read_up_to_the_bytes_that_it_can_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lied_to(tmp_path, monkeypatch) as lied:
        lied.liar.lies["/log/tile"] = lambda tile: tile + b"\0"
        async with lied.client("M") as m:
            await m.inbox()
        assert lied.liar.told
        assert m.unsettled is not None
        size = m.watch.seen.size
        assert f"its answer is longer than {size % 256 * 32} bytes" in str(m.unsettled)
        async with lied.council.client("M") as m:
            await m.watch.settle()
        assert m.unsettled is None


async def test_who_reads_is_not_led_in_a_circle(tmp_path, monkeypatch) -> None:
    async with council(tmp_path, monkeypatch) as world, liar(world.running.url) as node:
        async with world.client("F") as f:
            await f.send(flash())
        node.lies["/v1/inbox"] = lambda answer: {**answer, "more": True}
        async with world.client("M") as m:
            assert letters(await m.inbox())
        lied = transports.Transport.read

        async def around(self: Transport, path: str) -> dict[str, object]:
            return await lied(self, path.partition("&after")[0])

        monkeypatch.setattr(transports.Transport, "read", around)
        m = world.client("M")
        m.transport._url = node.url
        async with m:
            with pytest.raises(LogUntrusted, match=r"The node shows entry \d+ at the position"):
                await m.read("london-hotline/9")
        assert node.told
