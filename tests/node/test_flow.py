"""A note crosses a real node: door, log, receipt, inbox, content, answer."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from liaison.ledger.facts import NoteFacts
from liaison.ledger.receipt import Receipt
from liaison.node.reading import _runs
from liaison.statements.payloads import MemberRole, Verdict
from liaison.words.encoding import from_base64, to_base64url
from tests.node.live import HandClock, live_node
from tests.world import ANNA, DORA, EDWIN, signing


def url_of(digest: str) -> str:
    return to_base64url(from_base64(digest))


async def test_a_note_gets_a_receipt_that_opens_all_it_says(tmp_path: Path) -> None:
    async with live_node(tmp_path) as node:
        await node.open_channel()
        sent, proved = await node.send()
        record = proved.record()
        assert record.statement == sent.statement.raw
        assert isinstance(record.facts, NoteFacts)
        assert record.facts.reference == 1
        assert proved.checkpoint.size == proved.index + 1


async def test_the_addressee_lists_fetches_and_acknowledges_and_the_sender_is_told(
    tmp_path: Path,
) -> None:
    async with live_node(tmp_path) as node:
        await node.open_channel()
        sent, _ = await node.send()
        dora, anna = await node.token(DORA), await node.token(ANNA)
        status, page = await node.get("/v1/inbox?content=1", dora)
        assert status == 200
        (item,) = page["items"]
        assert (item["kind"], item["precedence"], page["more"]) == ("note", "flash", False)
        assert node.verified(item["receipt"]).record().statement == sent.statement.raw
        assert from_base64(item["content"]["ciphertext"]) == sent.ciphertext
        (wrap,) = item["content"]["wraps"]
        assert from_base64(wrap["wrap"]) in sent.wraps
        assert (await node.get(f"/v1/inbox?after={item['position']}", dora))[1]["items"] == []

        await node.accept(node.world.answer(DORA, Verdict.DELIVERED, sent.statement.digest))
        await node.accept(node.world.answer(DORA, Verdict.ACKNOWLEDGED, sent.statement.digest))
        status, page = await node.get("/v1/inbox", anna)
        assert [i["kind"] for i in page["items"]] == ["copy", "answer"]
        status, told = await node.get(f"/v1/notes/{url_of(sent.statement.digest)}", anna)
        assert told["state"]["addressees"][0]["life"] == "acknowledged"
        assert told["state"]["addressees"][0]["by"] == DORA


async def test_who_is_not_a_reader_sees_nothing(tmp_path: Path) -> None:
    async with live_node(tmp_path) as node:
        await node.open_channel()
        sent, _ = await node.send()
        # An operator of the addressed party would see that the note is there (test_sight).
        await node.accept(node.world.member(EDWIN, roles=(MemberRole.ATTACHE,)))
        edwin = await node.token(EDWIN)
        digest = url_of(sent.statement.digest)
        assert (await node.get("/v1/inbox", edwin))[1]["items"] == []
        for path in (
            f"/v1/notes/{digest}",
            f"/v1/notes/{digest}/content",
            f"/v1/statements/{digest}",
        ):
            assert (await node.get(path, edwin))[0] == 404, path
        assert (await node.get("/v1/inbox"))[0] == 401
        dora = await node.token(DORA)
        assert (await node.get(f"/v1/notes/{digest}", dora))[0] == 200


async def test_the_same_bytes_again_get_the_same_receipt_and_no_second_note(tmp_path: Path) -> None:
    async with live_node(tmp_path) as node:
        await node.open_channel()
        sent, first = await node.send()
        status, text = await node.post(**sent.parts)
        assert status == 200
        again = node.verified(text)
        assert (again.index, again.fields) == (first.index, first.fields)
        assert len((await node.get("/v1/inbox", await node.token(DORA)))[1]["items"]) == 1


async def test_a_refusal_is_signed_by_the_node(tmp_path: Path) -> None:
    from liaison.statements.payloads import Refusal
    from liaison.statements.statement import parse_statement_of

    async with live_node(tmp_path) as node:
        await node.open_channel()
        unknown = node.note(kind="treaty")
        status, problem = await node.post(**unknown.parts)
        assert (status, problem["code"]) == (409, "unknown-kind")
        refusal = parse_statement_of(Refusal, from_base64(problem["refusal"]))
        refusal.check_signature(signing("node").public)
        assert refusal.payload.payload_digest == unknown.statement.payload_digest
        assert refusal.payload.code == "unknown-kind"


async def test_receipts_under_newer_checkpoints_verify_over_many_tiles(tmp_path: Path) -> None:
    async with live_node(tmp_path) as node:
        await node.open_channel()
        sent, first = await node.send()
        for _ in range(300):
            await node.send()
        status, body = await node.get(
            f"/v1/statements/{url_of(sent.statement.digest)}", await node.token(DORA)
        )
        assert status == 200
        late = Receipt.from_text(body.decode()).verify(node.key, "node.example/log")
        assert late.index == first.index
        assert late.checkpoint.size > 300


@given(st.sets(st.integers(0, 200), max_size=30))
def test_runs_cover_each_index_and_little_more(indexes: set[int]) -> None:
    runs = list(_runs(indexes))
    covered = {index for start, end in runs for index in range(start, end)}
    assert indexes <= covered
    assert len(covered) <= 9 * len(indexes)
    assert runs == sorted(runs)


async def test_after_a_restart_each_statement_sent_again_gets_its_first_receipt(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    async with live_node(tmp_path, clock) as node:
        await node.open_channel()
        world = node.world
    async with live_node(tmp_path, clock) as node:
        for index, statement in list(enumerate(world.accepted))[1:]:
            status, text = await node.post(statement=statement.raw)
            assert (status, node.verified(text).index) == (200, index)
