"""The one door and what it turns away. protocols/api.md, API-2, API-4 to API-8, API-21."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from liaison.node import intake
from liaison.statements.envelope import MAX_STATEMENT_BYTES
from liaison.statements.payloads import Refusal
from liaison.statements.statement import make_statement, parse_statement_of
from liaison.words.encoding import from_base64, to_base64url
from tests.node.live import LiveNode
from tests.world import ANNA, DORA, signing

BOUNDARY = "border"


def part(name: str, data: bytes, end: bytes = b"\r\n") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
    return head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + end


def body_of(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(part(name, data) for name, data in parts) + f"--{BOUNDARY}--\r\n".encode()


async def send(
    node: LiveNode, body: bytes, content_type: str = f"multipart/form-data; boundary={BOUNDARY}"
) -> tuple[int, Any]:
    headers = {"Content-Type": content_type}
    url = f"{node.running.url}/v1/statements"
    async with node.http.post(url, data=body, headers=headers) as answer:
        if answer.status in (200, 201):
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            return answer.status, await answer.text()
        assert answer.content_type == "application/problem+json"
        problem = await answer.json()
        assert {"type", "title", "status", "detail", "code"} <= problem.keys()
        assert (problem["type"], problem["status"]) == ("about:blank", answer.status)
        return answer.status, problem


async def nothing_entered(node: LiveNode, before: int) -> bool:
    await asyncio.sleep(0)
    return node.running.services.sequencer.published.head.size == before


def size_of(node: LiveNode) -> int:
    return node.running.services.sequencer.published.head.size


async def test_multipart_in_order_enters_and_every_other_form_is_malformed(node: LiveNode) -> None:
    sent = node.note()
    s, c, w = (
        ("statement", sent.statement.raw),
        ("ciphertext", sent.ciphertext),
        ("wraps", sent.wraps),
    )
    whole = body_of(s, c, w)
    before = size_of(node)
    bad: list[tuple[bytes, str]] = [
        (body_of(c, w), "no part is named statement"),
        (body_of(s), "a note comes with the parts ciphertext and wraps"),
        (body_of(s, c), "a note comes with the parts ciphertext and wraps"),
        (body_of(s, w), "a note comes with the parts ciphertext and wraps"),
        (body_of(s, s), "'statement' doesn't belong here"),
        (body_of(s, c, c), "'ciphertext' doesn't belong here"),
        (body_of(s, c, ("secret", b"x")), "'secret' doesn't belong here"),
        (body_of(s, c, w, ("more", b"x")), "multipart"),
        (whole[:-10], "multipart"),
        (b"", "multipart"),
        (b"no multipart at all", "multipart"),
        (body_of(s, ("ciphertext", sent.ciphertext + b"\0"), w), "not the bytes that content"),
        (body_of(s, ("ciphertext", flipped(sent.ciphertext)), w), "not the bytes that content"),
        (body_of(s, c, ("wraps", sent.wraps[:-1])), "wraps: "),
        (body_of(s, c, ("wraps", flipped(sent.wraps))), "is not the one that the statement names"),
        (body_of(("statement", b"{}"), c, w), "envelope"),
    ]
    for body, why in bad:
        status, problem = await send(node, body)
        assert (status, problem["code"]) == (400, "malformed"), why
        assert why in problem["detail"], problem
        assert "refusal" not in problem
    for content_type in ("application/json", "multipart/mixed; boundary=border", "", "multipart"):
        status, problem = await send(node, whole, content_type or "text/plain")
        assert (status, problem["code"]) == (400, "malformed")
    assert size_of(node) == before
    assert (await send(node, whole))[0] == 201


def flipped(data: bytes) -> bytes:
    return data[:5] + bytes([data[5] ^ 1]) + data[6:]


async def test_what_is_no_note_comes_alone(node: LiveNode) -> None:
    sent, _ = await node.send()
    from liaison.statements.payloads import Verdict

    answer = node.world.answer(DORA, Verdict.DELIVERED, sent.statement.digest)
    status, problem = await node.post(statement=answer.raw, ciphertext=b"x")
    assert (status, problem["code"]) == (400, "malformed")
    assert (await node.post(statement=answer.raw))[0] == 201


async def test_kinds_that_are_not_for_the_log_are_malformed_here(node: LiveNode) -> None:
    for statement in (node.world.session(), node.world.refusal()):
        status, problem = await node.post(statement=statement.raw)
        assert (status, problem["code"]) == (400, "malformed")
        assert "does not enter a log" in problem["detail"]


async def test_too_large_is_413(node: LiveNode, monkeypatch: pytest.MonkeyPatch) -> None:
    status, problem = await node.post(statement=b" " * (MAX_STATEMENT_BYTES + 1))
    assert (status, problem["code"]) == (413, "too-large")
    assert "refusal" not in problem
    monkeypatch.setattr(intake, "CONTENT_MAX_BYTES", 1000)
    status, problem = await node.post(**node.note().parts)
    assert (status, problem["code"]) == (413, "too-large")


async def test_a_body_over_the_limit_is_413_before_it_is_read_whole(node: LiveNode) -> None:
    from liaison.server.app import MAX_BODY_BYTES

    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(MAX_BODY_BYTES + 2),
    }
    host, port = node.running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"POST /v1/statements HTTP/1.1\r\nHost: {host}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
    writer.write("".join([*lines, "\r\n"]).encode())
    chunk = b"\0" * (1 << 20)
    try:
        for _ in range(MAX_BODY_BYTES // len(chunk) + 2):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    head = await asyncio.wait_for(reader.read(4000), 20)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "too-large"' in head
    writer.close()


async def test_a_key_not_known_and_a_signature_of_another_are_403_with_the_nodes_word(
    node: LiveNode,
) -> None:
    note = node.note().statement.payload
    stranger = signing("stranger")
    unknown = make_statement(note.model_copy(update={"key": stranger.id}), stranger)
    honest = node.note()
    # The signature of one note over the payload of another.
    start = honest.statement.raw.index(b'"signatures"')
    forged = honest.statement.raw[:start] + unknown.raw[unknown.raw.index(b'"signatures"') :]
    forged = forged.replace(stranger.id.encode(), signing(f"{ANNA}/1").id.encode())
    whole = {"ciphertext": honest.ciphertext, "wraps": honest.wraps}
    for raw, code in ((forged, "signature-invalid"),):
        status, problem = await node.post(statement=raw, **whole)
        assert (status, problem["code"]) == (403, code), problem
        word = parse_statement_of(Refusal, from_base64(problem["refusal"]))
        word.check_signature(signing("node").public)
        assert word.payload.code == code
    answer = node.world.time_confirmed()
    other = make_statement(answer.payload.model_copy(update={"key": stranger.id}), stranger)
    status, problem = await node.post(statement=other.raw)
    assert (status, problem["code"]) == (403, "unknown-key")
    assert "refusal" in problem
    assert (await node.post(**honest.parts))[0] == 201


async def test_what_is_not_there_and_what_is_not_yours_look_the_same(node: LiveNode) -> None:
    sent, _ = await node.send()
    anna, dora = await node.token(ANNA), await node.token(DORA)
    nowhere = to_base64url(bytes(32))
    mine = to_base64url(from_base64(sent.statement.digest))
    assert (await node.get(f"/v1/notes/{mine}", dora))[0] == 200
    answers = [
        await node.get(f"/v1/notes/{nowhere}", anna),
        await node.get("/v1/channels/other", anna),
        await node.get("/v1/parties/other.example", anna),
        await node.get("/v1/openings?start=0&end=1", anna),
        await node.get("/v1/nothing", anna),
        await node.get("/log/tile/0/001", anna),
    ]
    for status, problem in answers:
        assert (status, problem["code"]) == (404, "not-here")
    for path in ("/v1/notes/AA", "/v1/inbox?after=1", "/v1/inbox?limit=0", "/v1/inbox?limit=07"):
        status, problem = await node.get(path, anna)
        assert (status, problem["code"]) == (400, "malformed"), path
    for path in ("/v1/inbox", "/v1/channels", f"/v1/notes/{mine}", "/v1/openings?start=0&end=1"):
        status, problem = await node.get(path)
        assert (status, problem["code"]) == (401, "not-allowed"), path
    async with node.http.delete(f"{node.running.url}/v1/inbox") as answer:
        assert (answer.status, (await answer.json())["code"]) == (405, "method")


async def test_an_inbox_is_the_same_by_one_as_in_one_page(node: LiveNode) -> None:
    for _ in range(5):
        await node.send()
    token = await node.token(DORA)
    whole = (await node.get("/v1/inbox", token))[1]
    assert (len(whole["items"]), whole["more"]) == (5, False)
    listed, after = [], ""
    while True:
        _, page = await node.get(f"/v1/inbox?limit=1{after}", token)
        assert len(page["items"]) == 1
        listed += page["items"]
        after = f"&after={page['items'][0]['position']}"
        if not page["more"]:
            break
    assert [i["position"] for i in listed] == [i["position"] for i in whole["items"]]
    assert (await node.get(f"/v1/inbox?limit=1{after}", token))[1] == {"items": [], "more": False}
