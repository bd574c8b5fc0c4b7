"""Refusals: only the node's signed word, about these very bytes, ends a sending; what is kept of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from liaison.client import Waiting, post_approval, request_device, take_approval
from liaison.client.courier import Parcel
from liaison.client.receipts import prove_refusal
from liaison.client.seat import wall_clock
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Note, Refusal, Void
from liaison.statements.statement import (
    Statement,
    make_statement,
    parse_statement,
    parse_statement_of,
)
from liaison.words.encoding import to_base64
from liaison.words.errors import Malformed, NodeUnreachable, NotHere, RefusedByNode
from liaison.words.times import SECOND
from tests.client.hotline import CANARY, CHEAP, ORIGIN, PASSPHRASE, SEEDS, draft, hotline
from tests.client.test_outbox import cut


@pytest.fixture
async def line(tmp_path):
    async with hotline(tmp_path) as line:
        yield line


def refusal(raw: bytes, problem: str, node: bytes = SEEDS["node"]) -> RefusedByNode:
    """Return the error of a refusal that the key of the seed ``node`` signed."""
    key, now = SigningKey(node), wall_clock()
    signed = make_statement(
        Refusal(
            by=ORIGIN,
            key=key.id,
            issued=now,
            lapse=now + SECOND,
            log=ORIGIN,
            payload_digest=parse_statement(raw).payload_digest,
            code=problem,
            text="no",
        ),
        key,
    )
    return RefusedByNode("no", problem=problem, status=409, refusal=signed.raw)


def relabelled(exc: RefusedByNode) -> RefusedByNode:
    return RefusedByNode("no", problem="serial-used", status=409, refusal=exc.refusal)


def stranger() -> Statement[Void]:
    """Return a statement by a key that no log knows."""
    key, now = SigningKey(bytes([9]) * 32), wall_clock()
    void = Void(
        by="attache.london.1@fco.example",
        key=key.id,
        issued=now,
        lapse=now + SECOND,
        log=ORIGIN,
        channel=to_base64(bytes(32)),
        party="mod.example",
        serial=1,
    )
    return make_statement(void, key)


def refuse(client, problem: str, times: int) -> list[bytes]:
    submit, sent = client.transport.submit, []

    async def submitted(statement, ciphertext=None, wraps=b""):
        sent.append(statement)
        if len(sent) <= times:
            raise refusal(statement, problem)
        return await submit(statement, ciphertext, wraps)

    client.transport.submit = submitted
    return sent


async def test_delivered_is_said_again_where_only_a_stranger_refused_it(line, monkeypatch):
    async with line.client("F") as f:
        await f.send(draft())
    async with line.client("M") as m:

        async def forged(*_):
            raise RefusedByNode("no", problem="not-addressed", status=409)

        submit = m.transport.submit
        monkeypatch.setattr(m.transport, "submit", forged)
        (letter,) = await m.inbox()
        assert (await m.state(letter))[0]["life"] == "queued"
        monkeypatch.setattr(m.transport, "submit", submit)
        assert await m.inbox() == []
        assert (await m.state(letter))[0]["life"] == "delivered"


async def test_an_authority_too_believes_no_refusal_that_the_node_did_not_sign(line, monkeypatch):
    async with line.authority("FA") as fa:
        fa.sign_directory()

        async def forged(*_):
            raise RefusedByNode("no", problem="already-so", status=409)

        submit = fa._connect().transport.submit
        monkeypatch.setattr(fa._connect().transport, "submit", forged)
        with pytest.raises(NodeUnreachable, match="not by the node's signed word"):
            await fa.post()
        monkeypatch.setattr(fa._connect().transport, "submit", submit)
        assert [entry.record.kind for entry in await fa.post()] == ["directory"]


@pytest.mark.parametrize("error", [RefusedByNode("no", problem="serial-used"), NotHere("nothing")])
async def test_an_enrolment_too_believes_no_refusal_that_the_node_did_not_sign(
    line, monkeypatch, error
):
    request = request_device(line.home("L"), PASSPHRASE, "legal@fco.example", cost=CHEAP)
    async with line.authority("FA") as fa:
        approval = fa.approve(request, ["attache"])
    take_approval(line.home("L"), approval, line.card)

    async def forged(*_):
        raise error

    async with line.client("L") as legal:
        with monkeypatch.context() as patch:
            patch.setattr(legal.transport, "submit", forged)
            with pytest.raises(NodeUnreachable, match="signed"):
                await post_approval(legal, approval)
        await post_approval(legal, approval)
        assert await legal.inbox() == []


async def test_after_a_refusal_for_what_is_outdated_it_is_sealed_anew(line):
    async with line.client("F") as f:
        sent = refuse(f, "roster-outdated", 1)
        await f.send(draft())
        first, second = (parse_statement_of(Note, raw).payload for raw in sent)
    assert (first.id, first.parties) == (second.id, second.parties)
    assert first.commitment != second.commitment
    assert first.content.digest != second.content.digest


async def test_a_refusal_is_kept_beside_the_receipts_with_the_nodes_signature(line):
    async with line.client("F") as f:
        with pytest.raises(
            RefusedByNode, match=r"the node's signed word is in .*\.refusal"
        ) as caught:
            await f.send(replace(draft(), classification="COSMIC"))
        assert caught.value.problem == "classification"
        (kept,) = (line.folder / "F" / "receipts" / "refused").glob("*.refusal")
        assert kept.read_bytes() == caught.value.refusal
    proven = prove_refusal(kept.read_bytes(), line.card).payload
    assert (proven.by, proven.code) == (ORIGIN, "classification")


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda raw: RefusedByNode("no", problem="lapsed", status=409), "envelope"),
        (lambda raw: refusal(raw, "lapsed", node=SEEDS["log"]), "signature"),
        (lambda raw: refusal(stranger().raw, "lapsed"), "about another statement"),
        (lambda raw: relabelled(refusal(raw, "lapsed")), "that word says lapsed"),
    ],
)
async def test_a_refusal_that_the_node_did_not_sign_leaves_the_note_in_the_outbox(line, made, why):
    async with line.client("F") as f:
        submit = f.transport.submit

        async def forged(statement, *_):
            raise made(statement)

        f.transport.submit = forged
        with pytest.raises(Waiting, match=f"not by the node's signed word: .*{why}"):
            await f.send(draft())
        (waiting,) = f.outbox.waiting
        f.transport.submit = submit
        (sent,) = await f.flush()
        assert sent.digest == waiting.digest
        assert not (line.folder / "F" / "receipts" / "refused").exists()


@pytest.mark.parametrize("is_after_waiting", [False, True])
async def test_the_text_of_a_note_that_was_refused_is_kept_sealed(line, is_after_waiting):
    async with line.client("F") as f:
        if is_after_waiting:
            cut(f, is_after=False)
            with pytest.raises(Waiting):
                await f.send(draft())
            refuse(f, "lapsed", 1)
            (exc,) = await f.flush()
        else:
            refuse(f, "precedence", 1)
            with pytest.raises(RefusedByNode) as caught:
                await f.send(draft())
            exc = caught.value
        assert isinstance(exc, RefusedByNode)
        (path,) = (line.folder / "F" / "receipts" / "refused").glob("*.parcel")
        assert f"its text: liaison outbox show {path}" in str(exc)
        assert CANARY.encode() not in path.read_bytes()
        parcel = Parcel.from_bytes(path.read_bytes())
        assert f.read_own(parcel)[1].body == CANARY
        with pytest.raises(Malformed, match="a void has no text"):
            f.read_own(Parcel(stranger(), b"", b""))
    async with line.client("M") as m:
        # It was sealed for them too; but what isn't in the log they are not shown.
        assert await m.inbox() == []
        with pytest.raises(NotHere):
            m.read_own(parcel)


async def test_a_note_that_is_sealed_anew_leaves_nothing_behind(line):
    async with line.client("F") as f:
        refuse(f, "roster-outdated", 1)
        await f.send(draft())
        assert list((line.folder / "F").rglob("*.parcel")) == []


async def test_a_serial_that_was_refused_is_used_by_the_next_note(line):
    async with line.client("F") as f:
        sent = refuse(f, "precedence", 1)
        with pytest.raises(RefusedByNode):
            await f.send(draft())
        assert f.outbox.waiting == ()
        await f.send(draft())
    serials = [parse_statement_of(Note, raw).payload.parties[1].serial for raw in sent]
    assert serials == [1, 1]


async def test_an_abandoned_serial_is_filled_with_a_void(line):
    async with line.client("F") as f:
        refuse(f, "precedence", 1)
        with pytest.raises(RefusedByNode):
            await f.send(draft())
    async with line.client("F") as f:
        assert f.outbox.free_serials()[0][1:] == ("mod.example", 1)
        await f.flush()
        assert f.outbox.free_serials() == []
        await f.send(draft())
    async with line.client("F") as f:
        assert f.outbox.free_serials() == []
