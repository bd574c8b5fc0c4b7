"""The courier's way: what waits is carried to the node as a file, and what came of it is carried back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from liaison.client import Client, Sent, Waiting
from liaison.client.courier import Parcel, lodge
from liaison.client.transport import Transport
from liaison.words.errors import LogUntrusted, Malformed, NotHere, RefusedByNode, SignatureInvalid
from tests.client.hotline import ALIAS, CANARY, PASSPHRASE, SEEDS, Hotline, draft, hotline
from tests.client.test_outbox import cut
from tests.client.test_refusals import refusal, stranger


@pytest.fixture
async def line(tmp_path):
    async with hotline(tmp_path) as line:
        yield line


async def waits(line: Hotline) -> bytes:
    """Have a note of F wait; return its parcel's file."""
    async with line.client("F") as f:
        cut(f, is_after=False)
        with pytest.raises(Waiting):
            await f.send(draft())
        return Parcel.of(f.outbox.waiting[0]).to_bytes()


async def carried(line: Hotline, parcel: bytes) -> str:
    """Lodge a parcel where there is no home; return the receipt's text."""
    async with Transport(line.url) as transport:
        text, proven = await lodge(Parcel.from_bytes(parcel), line.card, transport)
    assert proven.record.kind == "note"
    return text


async def test_a_note_goes_by_courier_and_its_receipt_comes_back(line):
    parcel = await waits(line)
    assert CANARY.encode() not in parcel
    text = await carried(line, parcel)
    async with line.client("M") as m:
        (letter,) = await m.inbox()
        assert letter.content.body == CANARY
    async with Client.open(line.home("F"), PASSPHRASE, url="http://127.0.0.1:9") as f:
        sent = await f.take_back(text.encode())
        assert isinstance(sent, Sent)
        assert sent.reference == f"{ALIAS}/1"
        assert sent.receipt.read_text() == text
        assert f.outbox.waiting == ()
        assert (await f.read(sent.reference)).content.body == CANARY


@pytest.mark.parametrize("is_carried_first", [True, False])
async def test_a_note_that_goes_both_ways_is_accepted_once(line, is_carried_first):
    parcel = await waits(line)
    texts = [await carried(line, parcel)] if is_carried_first else []
    async with line.client("F") as f:
        (sent,) = await f.flush()
    texts += [await carried(line, parcel) for _ in range(2)]
    async with line.client("F") as f:
        for text in texts:
            again = await f.take_back(text.encode())
            assert (again.reference, again.at, again.digest) == (
                sent.reference,
                sent.at,
                sent.digest,
            )
        assert (await f.send(draft("next"))).reference == f"{ALIAS}/2"
    async with line.client("M") as m:
        assert [letter.content.body for letter in await m.inbox()] == [CANARY, "next"]


async def test_the_receipt_of_a_dropped_note_is_taken_all_the_same(line):
    parcel = await waits(line)
    text = await carried(line, parcel)
    async with line.client("F") as f:
        await f.outbox.drop(f.outbox.waiting[0].digest)
        assert (await f.take_back(text.encode())).reference == f"{ALIAS}/1"
        assert await f.flush() == []
        assert f.outbox.free_serials() == []


async def test_what_a_courier_brings_to_the_wrong_home_or_altered_changes_nothing(line):
    parcel = await waits(line)
    text = await carried(line, parcel)
    async with line.client("M") as m:
        with pytest.raises(NotHere, match="This note is about nothing that this device signed"):
            await m.take_back(text.encode())
    async with line.client("F") as f:
        for broken in (
            b"\xff",
            b"{",
            b"",
            text[:-9].encode(),
            text.replace("index", "indes").encode(),
        ):
            with pytest.raises((Malformed, LogUntrusted)):
                await f.take_back(broken)
        assert len(f.outbox.waiting) == 1


async def test_a_refusal_that_a_courier_brings_ends_the_waiting(line):
    await waits(line)
    async with line.client("F") as f:
        (waiting,) = f.outbox.waiting
        forged = refusal(waiting.statement, "lapsed", node=SEEDS["log"]).refusal
        with pytest.raises(SignatureInvalid):
            await f.take_back(forged)
        assert f.outbox.waiting == (waiting,)
        honest = refusal(waiting.statement, "lapsed").refusal
        with pytest.raises(RefusedByNode) as caught:
            await f.take_back(honest)
        assert caught.value.problem == "lapsed"
        assert f.outbox.waiting == ()
        with pytest.raises(NotHere):
            await f.take_back(honest)


async def test_lodging_says_what_the_node_refuses_and_believes_no_other(line):
    strange = Parcel(stranger(), b"", b"")
    async with Transport(line.url) as transport:
        with pytest.raises(RefusedByNode) as caught:
            await lodge(strange, line.card, transport)
        assert caught.value.problem == "unknown-key"
        other = replace(line.card, node_key=line.card.log_key)
        with pytest.raises(SignatureInvalid):
            await lodge(strange, other, transport)


async def test_lodging_believes_no_receipt_of_another_statement(line, monkeypatch):
    async with line.client("F") as f:
        other = (await f.send(draft("another"))).receipt.read_text()
    parcel = Parcel.from_bytes(await waits(line))
    async with Transport(line.url) as transport:

        async def swapped(*_):
            return other

        with monkeypatch.context() as patch:
            patch.setattr(transport, "submit", swapped)
            with pytest.raises(LogUntrusted, match="the receipt of another statement"):
                await lodge(parcel, line.card, transport)
        _, proven = await lodge(parcel, line.card, transport)
        assert proven.record.statement == parcel.statement.raw


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b'{"format":"liaison/parcel/1"}', b'{"format":"liaison/request/1"}'],
)
def test_a_file_that_is_no_parcel_is_malformed(data):
    with pytest.raises(Malformed):
        Parcel.from_bytes(data)
