"""The stream over real sockets, time moved by hand. protocols/stream.md."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import threading
from pathlib import Path

import aiohttp
import pytest

from liaison.node.express import OLDEST_EVERY
from liaison.node.intake import WRAP_BYTES
from liaison.node.places import Places
from liaison.node.reading import INLINE_MAX_BYTES
from liaison.node.sessions import TOKEN_LIFE
from liaison.node.streaming import (
    BURST_FRAMES,
    FRAME_MAX_BYTES,
    FRAMES_PER_S,
    HELLO_WITHIN,
    PING_EVERY,
    SHUT_AFTER,
    SILENT_AFTER,
    WINDOW_MAX,
)
from liaison.statements.payloads import NotePrecedence, State, Verdict
from liaison.words.encoding import from_base64
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND
from tests.node.device import Device, device
from tests.node.live import LiveNode, live_node, until, with_content
from tests.world import ANNA, DORA, MOD, signing

ROUTINE, FLASH = Precedence.ROUTINE, Precedence.FLASH
IDLE = {"type": "behind", "waiting": 0, "more": False}


async def note(node: LiveNode, level: Precedence = ROUTINE, size: int = 1040) -> str:
    """Have a note accepted; return its position."""
    node.world.clock = node.clock.wall
    plain = node.world.note(ANNA, precedence=NotePrecedence(action=level, info=level))
    sent = with_content(plain, signing(f"{ANNA}/1"), size)
    node.world.accept(sent.statement)
    status, text = await node.post(**sent.parts)
    assert status == 201, text
    index = node.verified(text).index
    return f"{index}.{index}"


def tick(node: LiveNode, micros: int) -> None:
    node.clock.advance(micros)
    node.running.services.streams.tick()


async def open_streams(node: LiveNode, count: int) -> None:
    """Return once the node has no more than ``count`` streams: those that ended are forgotten."""
    while len(node.running.services.streams) > count:
        await node.get("/healthz")


async def positions(dora: Device, count: int) -> list[str]:
    """Return the positions of the next items, each of which is stored at once."""
    return [(await dora.item(got=True))["position"] for _ in range(count)]


# Joining


async def test_ready_says_where_the_inbox_is_and_what_is_granted(node):
    async with device(node, DORA) as dora:
        ready = await dora.hello(window=10_000)
        assert ready["window"] == WINDOW_MAX
        assert "position" not in ready
        assert ready["limits"]["inline_bytes"] == INLINE_MAX_BYTES
        assert await dora.hear("behind") == IDLE
    position = await note(node)
    async with device(node, DORA) as dora:
        assert (await dora.hello())["position"] == position
        assert await dora.hear("behind") == {"type": "behind", "waiting": 1, "more": False}


@pytest.mark.parametrize("query", ["?token={}", "?access_token={}", "?after=1.1"])
async def test_nothing_is_taken_from_the_address(node, query):
    token = await node.token(DORA)
    status, problem = await node.get(f"/v1/stream{query.format(token)}")
    assert (status, problem["code"]) == (400, "malformed")
    status, problem = await node.get(f"/v1/stream{query.format(token)}", token)
    assert (status, problem["code"]) == (400, "malformed")
    assert token not in json.dumps(problem)


async def test_who_may_not_read_gets_no_stream(node):
    assert (await node.get("/v1/stream"))[0] == 401
    assert (await node.get("/v1/stream", "x"))[0] == 401
    status, problem = await node.get("/v1/stream", await node.token(DORA))
    assert (status, problem["code"]) == (400, "malformed"), "no handshake"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with device(node, MOD):
            pass
    assert refused.value.status == 404
    assert len(node.running.services.streams) == 0


# Order


async def test_an_item_comes_as_it_is_accepted_with_what_opens_it(node):
    async with device(node, DORA) as dora, device(node, ANNA) as anna:
        for one in (dora, anna):
            await one.hello()
            assert await one.hear("behind") == IDLE
        sent, proved = await node.send()
        item = await dora.hear("item")
        assert item["position"] == f"{proved.index}.{proved.index}"
        assert (item["kind"], item["precedence"], item["more"]) == ("note", "flash", False)
        receipt = node.verified(item["receipt"])
        assert receipt.record().statement == sent.statement.raw
        assert receipt.checkpoint.size > receipt.index, "signed before it is sent"
        assert from_base64(item["content"]["ciphertext"]) == sent.ciphertext
        (wrap,) = item["content"]["wraps"]
        assert len(from_base64(wrap["wrap"])) == WRAP_BYTES
        assert (await anna.hear("item"))["kind"] == "copy"


async def test_the_urgent_goes_first_through_a_narrow_window_and_every_16th_is_the_oldest(node):
    order = [ROUTINE, Precedence.IMMEDIATE, FLASH, Precedence.DEFERRED, Precedence.PRIORITY] * 7
    sent = [(await note(node, level), level) for level in order]
    async with device(node, DORA) as dora:
        await dora.hello(window=1)
        found = await positions(dora, len(sent))
    expected, left = [], list(sent)
    for turn in range(1, len(sent) + 1):
        best = max(left, key=lambda one: one[1].rank)  # of equals the first
        chosen = left[0] if turn % OLDEST_EVERY == 0 else best
        left.remove(chosen)
        expected.append(chosen[0])
    assert found == expected


async def test_a_flash_overtakes_what_waits_for_the_window(node):
    async with device(node, DORA) as dora:
        await dora.hello(window=2)
        first = [await note(node) for _ in range(5)]
        under_way = [await dora.item(), await dora.item()]
        flash = await note(node, FLASH)
        await dora.got(*under_way)
        assert [one["position"] for one in under_way] == first[:2]
        assert await positions(dora, 4) == [flash, *first[2:]]


async def test_nothing_is_sent_before_a_signed_checkpoint_covers_it(node):
    is_committed, may_sign = threading.Event(), threading.Event()

    def hold(point: str) -> None:
        if point == "after-commit":
            is_committed.set()
            may_sign.wait(20)

    async with device(node, DORA) as dora, device(node, ANNA) as anna:
        await dora.hello()
        assert await dora.hear("behind") == IDLE
        node.running.services.sequencer.crash_point = hold
        sending = asyncio.create_task(note(node, FLASH))
        assert await asyncio.to_thread(is_committed.wait, 20)
        assert "position" not in await anna.hello()  # for her the store is asked, which has it
        assert await anna.hear("behind") == IDLE
        tick(node, PING_EVERY)
        assert await dora.hear("ping") == {"type": "ping"}
        assert await anna.hear("ping") == {"type": "ping"}
        may_sign.set()
        position = await sending
        assert await positions(dora, 1) == await positions(anna, 1) == [position]


async def test_content_over_64_kib_is_named_by_its_address(node):
    await note(node, size=INLINE_MAX_BYTES)
    await note(node, size=INLINE_MAX_BYTES + 1)
    async with device(node, DORA) as dora:
        await dora.hello()
        small, large = await dora.item(), await dora.item()
    assert len(from_base64(small["content"]["ciphertext"])) == INLINE_MAX_BYTES
    assert "content_url" not in small
    assert "content" not in large
    status, content = await node.get(large["content_url"], await node.token(DORA))
    assert status == 200
    assert len(from_base64(content["ciphertext"])) == INLINE_MAX_BYTES + 1


# Nobody waits for another


async def test_who_never_says_got_delays_nobody_else_and_is_let_go(node):
    async with device(node, DORA) as slow, device(node, ANNA) as anna:
        await slow.hello(window=1)
        await anna.hello()
        for _ in range(3):
            await note(node)
        assert (await slow.item())["kind"] == "note"
        for _ in range(3):
            assert (await anna.item(got=True))["kind"] == "copy"
        await note(node, FLASH)
        assert (await anna.item(got=True))["precedence"] == "flash"
        tick(node, SECOND)
        await anna.say("pong")
        tick(node, SHUT_AFTER)
        *_, last = await _until_closed(slow)
        assert last == {"type": "behind", "waiting": 3, "more": False}
        assert slow.socket.close_code == 4430
    _, page = await node.get("/v1/inbox", await node.token(DORA))
    assert len(page["items"]) == 4, "the list remains"


async def test_a_window_that_opens_in_time_stays(node):
    async with device(node, DORA) as dora:
        await dora.hello(window=1)
        sent = [await note(node) for _ in range(4)]
        found = []
        for _ in sent:
            item = await dora.item()
            tick(node, SHUT_AFTER - SECOND)
            found.append(item["position"])
            await dora.got(item)
        assert found == sent


async def test_a_socket_that_nobody_reads_costs_few_rows_and_is_let_go(node):
    writer = await _raw_stream(node)
    writer.write(_masked({"type": "hello", "window": WINDOW_MAX}))
    (stream,) = node.running.services.streams._of_key.values()
    async with device(node, ANNA) as anna:
        await anna.hello()
        for _ in range(60):
            await note(node, size=INLINE_MAX_BYTES)  # more than the socket's buffers take
            await anna.item(got=True)
        assert stream._queue.waiting + stream._queue.under_way <= 60
        assert stream._queue.waiting > 0, "the socket took everything: nothing was tested"
        await note(node, FLASH)
        assert (await anna.item(got=True))["precedence"] == "flash"
        tick(node, SILENT_AFTER - SECOND)
        await anna.say("pong")
        await _heard(node, ANNA)
        tick(node, SECOND)
        await open_streams(node, 1)
        assert await anna.hear("ping") == {"type": "ping"}
    writer.close()


async def _raw_stream(node: LiveNode) -> asyncio.StreamWriter:
    """Return a stream's socket that nothing reads from."""
    host, port = node.running.url.removeprefix("http://").split(":")
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
    token = await node.token(DORA)
    writer.write(
        f"GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head, head
    return writer


def _masked(frame: dict) -> bytes:
    """Return a text frame as a client sends it (RFC 6455, 5.2), under a mask of zeros."""
    data = json.dumps(frame).encode()
    assert len(data) < 126
    return struct.pack("!BB", 0x81, 0x80 | len(data)) + bytes(4) + data


# Coming back


async def test_who_is_cut_off_comes_back_and_gets_what_it_has_not(node):
    sent = [await note(node) for _ in range(6)]
    async with device(node, DORA) as dora:
        await dora.hello(window=4)
        had = [await dora.item() for _ in range(4)]
        await dora.got(had[2], had[0], had[0], had[2])
        await dora.cut()
    flash = await note(node, FLASH)
    async with device(node, DORA) as dora:
        await dora.hello(after=had[0]["position"], got=[had[2]["position"]])
        assert await positions(dora, 5) == [flash, sent[1], *sent[3:]]
    async with device(node, DORA) as dora:
        await dora.hello(reached={"flash": flash, "routine": sent[4]})
        assert await positions(dora, 1) == sent[5:]
        await dora.say("pong")
    async with device(node, DORA) as dora:
        await dora.hello(after=max((flash, *sent), key=lambda at: int(at.split(".")[0])))
        assert await dora.hear("behind") == IDLE


async def test_a_client_killed_in_the_middle_of_a_frame_frees_its_place(node):
    writer = await _raw_stream(node)
    writer.write(_masked({"type": "hello"})[:9])
    await writer.drain()
    writer.transport.abort()
    await open_streams(node, 0)
    position = await note(node)
    async with device(node, DORA) as dora:
        await dora.hello()
        assert await positions(dora, 1) == [position]


async def test_got_may_come_late_twice_and_in_any_order(node):
    async with device(node, DORA) as dora:
        await dora.hello(window=3)
        sent = [await note(node) for _ in range(9)]
        found = []
        for _ in range(3):
            three = [await dora.item() for _ in range(3)]
            found += [item["position"] for item in three]
            await dora.got(three[2])
            await dora.say("got", positions=["9999.9999", "0.0", sent[8]])
            await dora.got(three[1], three[2], three[1], three[0])
        assert found == sent


async def test_a_node_that_stops_while_it_pushes_says_so_and_the_next_one_goes_on(tmp_path: Path):
    async with contextlib.AsyncExitStack() as stack:
        async with live_node(tmp_path) as node:
            await node.open_channel()
            dora = await stack.enter_async_context(device(node, DORA))
            await dora.hello(window=2)
            sent = [await note(node) for _ in range(5)]
            had = [await dora.item() for _ in range(2)]
            await dora.got(had[0])
            leaving = asyncio.create_task(_until_closed(dora))
        *_, drain = await leaving
        assert drain == {"type": "drain", "reconnect_s": 5}
        assert dora.socket.close_code == 1001
    async with live_node(tmp_path, node.clock) as again, device(again, DORA) as dora:
        await dora.hello(after=had[0]["position"])
        assert await positions(dora, 4) == sent[1:]


async def _until_closed(dora: Device) -> list[dict]:
    frames = []
    while (message := await dora.socket.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
        frames.append(json.loads(message.data))
    return frames


async def test_a_node_on_its_way_out_opens_no_stream(node):
    node.running.services.streams.drain()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with device(node, DORA):
            pass
    assert refused.value.status == 503
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"] == "1"


async def test_two_devices_of_a_member_each_get_all_with_their_own_wraps(node):
    one, two = signing(f"{DORA}/1"), signing(f"{DORA}/2")
    await node.accept(node.world.member(DORA, devices=[one, two]))
    await node.accept(node.world.directory(MOD))
    await node.accept(node.world.encryption_key(DORA, "2", key=two))
    async with device(node, DORA, one) as first, device(node, DORA, two) as second:
        await first.hello()
        await second.hello()
        sent, _ = await node.send()
        named = {wrap.key for wrap in sent.statement.payload.wraps()}
        items = [await first.item(got=True), await second.item(got=True)]
        assert items[0]["position"] == items[1]["position"]
        wraps = [{wrap["key"] for wrap in item["content"]["wraps"]} for item in items]
        assert len(wraps[0]) == len(wraps[1]) == 1
        assert wraps[0] != wraps[1]
        assert wraps[0] | wraps[1] <= named
        position = await note(node)
        assert await positions(second, 1) == [position]
        assert await positions(first, 1) == [position]


async def test_two_devices_that_join_at_once_both_get_what_waits(node):
    sent = [await note(node) for _ in range(3)]
    one, two = signing(f"{DORA}/1"), signing(f"{DORA}/2")
    await node.accept(node.world.member(DORA, devices=[one, two]))
    async with device(node, DORA, one) as first, device(node, DORA, two) as second:
        await asyncio.gather(first.hello(), second.hello())
        assert await positions(first, 3) == await positions(second, 3) == sent


async def test_what_one_device_has_stored_opens_nothing_for_another_of_the_member(node):
    one, two = signing(f"{DORA}/1"), signing(f"{DORA}/2")
    await node.accept(node.world.member(DORA, devices=[one, two]))
    async with device(node, DORA, one) as first, device(node, DORA, two) as second:
        await first.hello(window=2)
        await second.hello(window=2)
        sent = [await note(node) for _ in range(6)]
        held = [await second.item(), await second.item()]
        assert await positions(first, 6) == sent
        await first.say("got", positions=sent)
        tick(node, PING_EVERY)
        frames = [await second.next(), await second.next()]
        assert [f["type"] for f in frames] == ["behind", "ping"], "its window is still shut"
        await second.got(*held)
        assert await positions(second, 4) == sent[2:]


@pytest.mark.parametrize("seed", range(4))
async def test_two_devices_whose_got_is_doubled_shuffled_ahead_or_anothers_each_get_all_once(
    node, seed
):
    chance = random.Random(seed)
    one, two = signing(f"{DORA}/1"), signing(f"{DORA}/2")
    await node.accept(node.world.member(DORA, devices=[one, two]))
    sent = [await note(node) for _ in range(12)]
    answer = node.world.answer(DORA, Verdict.DECLINED, node.world.accepted[-1].digest)
    anothers = (await node.accept(answer)).index
    junk = ["9999.9999", "0.0", f"{anothers}.{sent[-1].partition('.')[0]}", *sent]

    async def reads(key) -> list[str]:
        found: list[str] = []
        stored: list[str] = []
        while len(found) < len(sent):
            async with device(node, DORA, key) as dora:
                # What it says that it stored it gets no more; what it doesn't say comes again.
                await dora.hello(window=chance.randrange(1, 4), got=stored)
                held: list[dict] = []
                for _ in range(chance.randrange(1, 8)):
                    if len(found) == len(sent):
                        break
                    item = await dora.item()
                    found.append(item["position"])
                    stored.append(item["position"])
                    held.append(item)
                    said = [h["position"] for h in held] * 2
                    ahead = [p for p in junk if p not in found]
                    said += chance.sample(ahead, min(3, len(ahead)))
                    chance.shuffle(said)
                    await dora.say("got", positions=said)
                await dora.cut()
        return found

    assert [*await asyncio.gather(reads(one), reads(two))] == [sent, sent]
    async with device(node, ANNA) as anna:
        await anna.hello()
        kinds = [(await anna.item(got=True))["kind"] for _ in range(13)]
        assert kinds == ["copy"] * 12 + ["answer"], "hers were nobody else's to store"


async def test_a_newer_stream_of_a_device_takes_the_olders_place(node):
    async with device(node, DORA) as older:
        await older.hello()
        async with device(node, DORA) as newer:
            await newer.hello()
            assert await older.closed() == (4409, "replaced")
            position = await note(node)
            assert await positions(newer, 1) == [position]
            assert len(node.running.services.streams) == 1


# Who is no longer in force


@pytest.mark.parametrize("whom", ["member", "party", "device"])
async def test_the_stream_of_one_who_is_suspended_ends_before_anything_else_is_sent(whom, node):
    async with device(node, DORA) as dora, device(node, ANNA) as anna:
        await dora.hello()
        await anna.hello()
        assert await dora.hear("behind") == IDLE
        if whom == "member":
            await node.accept(node.world.member(DORA, state=State.SUSPENDED))
        elif whom == "device":
            await node.accept(node.world.member(DORA, devices=[signing(f"{DORA}/2")]))
        else:
            await node.accept(node.world.admission(MOD, state=State.SUSPENDED))
        assert await dora.closed() == (4403, "not-allowed")
        await open_streams(node, 1)
        tick(node, PING_EVERY)
        assert await anna.hear("behind") == IDLE
        assert await anna.hear("ping") == {"type": "ping"}, "the other one's stays"


async def test_the_stream_of_a_session_that_is_ended_ends_and_no_other(node):
    async with device(node, DORA) as dora, device(node, ANNA) as anna:
        await dora.hello()
        await anna.hello()
        streams = node.running.services.streams
        (token,) = [s.token for s in streams._of_key.values() if s.reader.by == DORA]
        streams.ended(token)
        assert await dora.closed() == (4403, "not-allowed")
        position = await note(node)
        assert await positions(anna, 1) == [position]


async def test_a_stream_ends_with_its_token(node):
    async with device(node, DORA) as dora:
        await dora.hello()
        assert await dora.hear("behind") == IDLE
        node.clock.wall += TOKEN_LIFE - 1
        node.running.services.streams.tick()
        node.clock.wall += 1
        node.running.services.streams.tick()
        assert await dora.closed() == (4401, "session-ended")


# Time


async def test_a_device_is_pinged_and_who_is_silent_is_let_go(node):
    async with device(node, DORA) as dora, device(node, ANNA) as anna:
        await dora.hello()
        await anna.hello()
        assert await dora.hear("behind") == IDLE
        assert await anna.hear("behind") == IDLE
        for passed in range(PING_EVERY, SILENT_AFTER + 1, PING_EVERY):
            tick(node, PING_EVERY)
            if passed < SILENT_AFTER:
                assert await dora.hear("ping") == {"type": "ping"}
            await anna.hear("ping")
            await anna.say("pong")
            await _heard(node, ANNA)
        assert await dora.closed() == (4408, "silent")
        position = await note(node)
        assert await positions(anna, 1) == [position]


async def _heard(node: LiveNode, by: str) -> None:
    """Return once the node has taken a member's last frame."""
    key = signing(f"{by}/1").id
    stream = node.running.services.streams._of_key[key]
    while stream._heard != node.clock.boot:
        await node.get("/healthz")


async def test_a_defect_in_one_stream_ends_that_one_and_stops_no_clock(node, monkeypatch):
    async with device(node, DORA) as dora, device(node, ANNA) as anna:
        await dora.hello()
        await anna.hello()
        streams = node.running.services.streams
        (hers,) = [s for s in streams._of_key.values() if s.reader.by == DORA]
        monkeypatch.setattr(hers, "tick", None)
        monkeypatch.setattr("liaison.node.streaming.log.exception", lambda *_, **__: None)
        tick(node, PING_EVERY)
        assert await dora.closed() == (1011, "node-failed")
        assert await anna.hear("behind") == IDLE
        assert await anna.hear("ping") == {"type": "ping"}


async def test_who_says_no_hello_is_let_go(node):
    async with device(node, DORA) as dora:
        tick(node, HELLO_WITHIN - SECOND)
        tick(node, SECOND)
        assert await dora.closed() == (4408, "silent")


# What the node refuses

REFUSED = {
    "not json": "{",
    "no object": "[]",
    "no type": "{}",
    "another type": '{"type":"subscribe"}',
    "a type that is no text": '{"type":["got"]}',
    "a member of no frame": '{"type":"pong","more":1}',
    "no list": '{"type":"got","positions":"1.1"}',
    "no positions": '{"type":"got"}',
    "a position without a note": '{"type":"got","positions":["1"]}',
    "a position spelled otherwise": '{"type":"got","positions":["01.1"]}',
    "a number for a position": '{"type":"got","positions":[1]}',
    "a position no store knows": '{"type":"got","positions":["9007199254740992.1"]}',
    "too many": json.dumps({"type": "got", "positions": ["1.1"] * 257}),
    "a second hello": '{"type":"hello"}',
    "deep": '{"type":' + "[" * 5000 + "]" * 5000 + "}",
}
REFUSED_HELLOS = {
    "no window": '{"type":"hello","window":0}',
    "a window that is no number": '{"type":"hello","window":true}',
    "reached is no object": '{"type":"hello","reached":[]}',
    "reached of no precedence": '{"type":"hello","reached":{"urgent":"1.1"}}',
    "after is no position": '{"type":"hello","after":""}',
    "got before hello": '{"type":"got","positions":[]}',
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_frame_that_isnt_one_closes_the_stream(name, node):
    async with device(node, DORA) as dora:
        await dora.hello()
        await dora.socket.send_str(REFUSED[name])
        code, reason = await dora.closed()
        assert code == 4400
        assert reason
    async with device(node, DORA) as dora:
        await dora.hello()
        await dora.got({"position": "1.1"})
        await dora.say("pong")
        position = await note(node)
        assert await positions(dora, 1) == [position]


@pytest.mark.parametrize("name", REFUSED_HELLOS)
async def test_a_hello_that_isnt_one_closes_the_stream(name, node):
    async with device(node, DORA) as dora:
        await dora.socket.send_str(REFUSED_HELLOS[name])
        assert (await dora.closed())[0] == 4400


async def test_binary_and_oversized_frames_close_the_stream(node):
    async with device(node, DORA) as dora:
        await dora.hello()
        await dora.socket.send_bytes(b'{"type":"pong"}')
        assert await dora.closed() == (4400, "not a text frame")
    async with device(node, DORA) as dora:
        await dora.hello()
        await dora.socket.send_str('{"type":"pong"' + " " * FRAME_MAX_BYTES + "}")
        assert (await dora.closed())[0] == 1009


async def test_more_frames_than_may_be_close_the_stream_and_a_second_earns_new_ones(node):
    async with device(node, DORA) as dora:
        await dora.hello()
        for _ in range(BURST_FRAMES - 1):
            await dora.say("pong")
        position = await note(node)
        item = await dora.item()
        assert item["position"] == position
        node.clock.advance(SECOND)
        for _ in range(FRAMES_PER_S):
            await dora.say("pong")
        position = await note(node)
        assert (await dora.item())["position"] == position
        await dora.say("pong")
        assert await dora.closed() == (4429, "too-many-frames")


async def test_few_streams_are_composed_at_once_and_the_urgent_first(node):
    async with device(node, DORA) as dora, device(node, ANNA) as anna:
        await dora.hello()
        await anna.hello()
        streams = node.running.services.streams
        streams.composing = Places(1)
        await streams.composing.take(ROUTINE.rank)
        first = await note(node)
        waits = streams.composing.queue
        await until(lambda: waits.by_band[ROUTINE.rank] == 2)
        await note(node, FLASH)
        streams.composing.leave()
        for each in (dora, anna):
            assert (await each.item())["position"] == first
            assert (await each.item())["precedence"] == FLASH.value
        assert (streams.composing.taken, waits.waiting) == (0, 0)
