"""Sessions over real sockets. protocols/api.md, API-3, API-9 to API-12."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from liaison.node.sessions import CHALLENGES_MAX, TOKENS_OF_KEY_MAX
from liaison.rules import cells
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Session, State
from liaison.statements.statement import make_statement
from liaison.words.canonical import format_canonical
from liaison.words.encoding import from_base64, to_base64url
from liaison.words.times import DAY, MINUTE
from tests.node.live import LiveNode, live_node
from tests.world import ANNA, DORA, FCO, MOD, ORIGIN, MemoryWorld, digest, signing


async def challenge_of(node: LiveNode) -> str:
    async with node.http.post(f"{node.running.url}/v1/challenges") as answer:
        assert answer.status == 201
        return str((await answer.json())["challenge"])


async def begin(
    node: LiveNode, by: str = ANNA, key: SigningKey | None = None, **changes: Any
) -> tuple[int, dict[str, Any], bytes]:
    """Return status, body, and the statement that was sent."""
    key = key or signing(f"{by}/1")
    now = node.clock.wall
    said = {"by": by, "key": key.id, "issued": now, "lapse": now + MINUTE, "log": ORIGIN, **changes}
    if "challenge" not in said:
        said["challenge"] = await challenge_of(node)
    raw = make_statement(Session(**said), key).raw
    async with node.http.post(f"{node.running.url}/v1/sessions", data=raw) as answer:
        return answer.status, await answer.json(), raw


async def check_refused(node: LiveNode, why: str, **said: Any) -> None:
    status, problem, _ = await begin(node, **said)
    assert (status, problem["code"]) == (401, "not-allowed"), problem
    assert why in problem["detail"]


async def test_a_member_a_party_its_registrar_and_the_administrator_begin_sessions(
    node: LiveNode,
) -> None:
    registrar = signing(f"{FCO}/registrar")
    for by, key in (
        (ANNA, None),
        (FCO, None),
        (FCO, registrar),
        (ORIGIN, signing("administrator")),
    ):
        status, body, _ = await begin(node, by, key)
        assert (status, body["by"]) == (201, by)
        assert body["until"] == node.clock.wall + 15 * MINUTE
        expected = 200 if by == ANNA else 404
        assert (await node.get("/v1/inbox", body["token"]))[0] == expected
        expected = 200 if by == ORIGIN else 404
        assert (await node.get("/v1/openings?start=0&end=1", body["token"]))[0] == expected
        assert (await node.get(f"/v1/parties/{FCO}", body["token"]))[0] == 200


async def test_a_registrar_begins_none_once_its_time_ended(node: LiveNode) -> None:
    registrar = signing(f"{FCO}/registrar")
    status, _, _ = await begin(node, FCO, registrar)
    assert status == 201
    node.clock.advance(400 * DAY)
    await check_refused(node, "this registrar of fco.example ended", by=FCO, key=registrar)
    assert (await begin(node, FCO))[0] == 201


async def test_what_was_said_of_a_party_is_read_by_itself_in_its_order(node: LiveNode) -> None:
    tokens = {by: (await begin(node, by))[1]["token"] for by in (ANNA, FCO, MOD)}
    path = f"/v1/parties/{FCO}/statements"
    status, body = await node.get(f"{path}?limit=256", tokens[FCO])
    assert (status, body["more"]) == (200, False)
    everything = body["statements"]
    entries = [node.verified(text).record() for text in everything]
    assert [record.channel.n for record in entries] == list(range(1, len(entries) + 1))
    assert {record.channel.id for record in entries} == {FCO}
    status, body = await node.get(f"{path}?after=1&limit=2", tokens[ANNA])
    assert (body["statements"], body["more"]) == (everything[1:3], True)
    assert (await node.get(f"{path}?after={len(entries)}", tokens[FCO]))[1]["statements"] == []
    assert (await node.get(path, tokens[MOD]))[0] == 404


async def test_a_challenge_is_used_once_and_lapses(node: LiveNode) -> None:
    status, _, raw = await begin(node)
    assert status == 201
    async with node.http.post(f"{node.running.url}/v1/sessions", data=raw) as answer:
        assert answer.status == 401
        assert "unknown, used or lapsed" in (await answer.json())["detail"]
    await check_refused(node, "unknown, used or lapsed", challenge=digest("never given"))
    old = await challenge_of(node)
    node.clock.advance(MINUTE)
    await check_refused(node, "unknown, used or lapsed", challenge=old)


async def test_a_failed_attempt_spends_its_challenge(node: LiveNode) -> None:
    challenge = await challenge_of(node)
    await check_refused(node, "other.example", log="other.example/log", challenge=challenge)
    await check_refused(node, "unknown, used or lapsed", challenge=challenge)


async def test_sessions_are_refused_for_what_does_not_hold(node: LiveNode) -> None:
    now = node.clock.wall
    await check_refused(node, "other.example/log", log="other.example/log")
    await check_refused(node, "asks for more time", issued=now - 10 * MINUTE, lapse=now + MINUTE)
    await check_refused(node, "don't agree", issued=now - MINUTE, lapse=now)
    await check_refused(node, "don't agree", issued=now + 3 * MINUTE, lapse=now + 4 * MINUTE)
    await check_refused(node, "not known here", key=signing("nobody"))
    await check_refused(node, "", key=signing(f"{DORA}/1"))
    await check_refused(node, "", by=FCO, key=signing(f"{MOD}/registrar"))
    await check_refused(node, "", by=FCO, key=signing(f"{MOD}/1"))
    await check_refused(node, "administrator", by=ORIGIN, key=signing("node"))
    await check_refused(node, "administrator", by=ORIGIN, key=signing("log"))
    assert (await begin(node))[0] == 201


async def test_a_flipped_signature_begins_nothing(node: LiveNode) -> None:
    key = signing(f"{ANNA}/1")
    now = node.clock.wall
    session = Session(
        by=ANNA,
        key=key.id,
        issued=now,
        lapse=now + MINUTE,
        log=ORIGIN,
        challenge=await challenge_of(node),
    )
    honest = make_statement(session, key)
    other = make_statement(session.model_copy(update={"challenge": digest("other")}), key)
    envelope, signed_otherwise = json.loads(honest.raw), json.loads(other.raw)
    envelope["signatures"] = signed_otherwise["signatures"]
    forged = format_canonical(envelope)
    async with node.http.post(f"{node.running.url}/v1/sessions", data=forged) as answer:
        assert answer.status == 401, await answer.text()
        assert "signature" in (await answer.json())["detail"]
    async with node.http.post(f"{node.running.url}/v1/sessions", data=b"{}") as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "malformed")


async def test_a_token_ends_after_its_time_and_a_false_one_opens_nothing(node: LiveNode) -> None:
    token = await node.token(ANNA)
    assert (await node.get("/v1/inbox", token))[0] == 200
    for other in (token[:-1], token + "A", "x"):
        status, problem = await node.get("/v1/inbox", other)
        assert (status, problem["code"]) == (401, "not-allowed")
    node.clock.advance(15 * MINUTE - 1)
    assert (await node.get("/v1/inbox", token))[0] == 200
    node.clock.advance(1)
    assert (await node.get("/v1/inbox", token))[0] == 401


@pytest.mark.parametrize("whom", ["member", "party"])
async def test_the_token_of_one_who_is_suspended_dies_at_once(whom: str, node: LiveNode) -> None:
    dora, anna = await node.token(DORA), await node.token(ANNA)
    if whom == "member":
        await node.accept(node.world.member(DORA, state=State.SUSPENDED))
    else:
        await node.accept(node.world.admission(MOD, state=State.SUSPENDED))
    assert (await node.get("/v1/inbox", dora))[0] == 401
    assert (await node.get("/v1/inbox", anna))[0] == 200
    assert (await begin(node, DORA))[0] == 401


async def test_a_restart_ends_every_session(tmp_path: Any) -> None:
    from tests.node.live import live_node

    async with live_node(tmp_path) as node:
        await node.open_channel()
        token = await node.token(ANNA)
    async with live_node(tmp_path) as node:
        assert (await node.get("/v1/inbox", token))[0] == 401
        assert (await begin(node))[0] == 201


async def test_a_flood_of_challenges_keeps_nobody_out(node: LiveNode) -> None:
    sessions = node.running.services.sessions
    for _ in range(CHALLENGES_MAX + 1):
        sessions.challenge()
    assert (await begin(node))[0] == 201
    assert len(sessions._challenges) < CHALLENGES_MAX


async def test_one_device_has_only_its_newest_sessions(node: LiveNode) -> None:
    tokens = [(await begin(node))[1]["token"] for _ in range(TOKENS_OF_KEY_MAX + 1)]
    assert (await node.get("/v1/inbox", tokens[0]))[0] == 401
    assert (await node.get("/v1/inbox", tokens[1]))[0] == 200


async def test_asking_for_what_isnt_there_costs_no_memory(node: LiveNode) -> None:
    token = (await begin(node))[1]["token"]
    await node.get("/v1/channels/none", token)
    known = len(node.running.services.intake.cellar.cells)
    for number in range(50):
        assert (await node.get(f"/v1/channels/none-{number}", token))[0] == 404
        assert (await node.get(f"/v1/parties/none-{number}.example", token))[0] == 404
    assert len(node.running.services.intake.cellar.cells) == known


async def test_a_number_that_no_store_knows_is_malformed(node: LiveNode) -> None:
    token = (await begin(node))[1]["token"]
    for after in ("9223372036854775808.0", "0.9007199254740992"):
        assert (await node.get(f"/v1/inbox?after={after}", token))[0] == 400


async def test_a_charter_that_only_names_a_party_opens_nothing_of_it(tmp_path: Path) -> None:
    async with live_node(tmp_path / "home") as node:
        node.world.accept(node.world.node_init())
        for party in (FCO, MOD):
            await node.accept(node.world.admission(party))
            await node.accept(node.world.party(party))
        await node.follow(MemoryWorld.peopled())
        await node.accept(node.world.charter(FCO))
        fco, mod = await node.token(FCO), await node.token(MOD)
        member = to_base64url(from_base64(node.world.have(cells.Member, DORA).statement))
        assert (await node.get(f"/v1/parties/{MOD}", fco))[0] == 404
        assert (await node.get(f"/v1/statements/{member}", fco))[0] == 404
        assert (await node.get(f"/v1/parties/{FCO}", mod))[0] == 200, "it must see who proposes"
        await node.accept(node.world.accession(MOD))
        assert (await node.get(f"/v1/parties/{MOD}", fco))[0] == 200
        assert (await node.get(f"/v1/statements/{member}", fco))[0] == 200


# Listed and ended: API-39, API-40


async def listed(node: LiveNode, token: str) -> list[dict[str, Any]]:
    status, body = await node.get("/v1/sessions", token)
    assert status == 200, body
    found: list[dict[str, Any]] = body["sessions"]
    return found


async def end(node: LiveNode, token: str, number: str) -> int:
    url = f"{node.running.url}/v1/sessions/{number}"
    async with node.http.delete(url, headers={"Authorization": f"Bearer {token}"}) as answer:
        return answer.status


async def test_a_member_lists_their_own_sessions_and_nobody_else_s(node: LiveNode) -> None:
    first, other = await node.token(ANNA), await node.token(DORA)
    node.clock.advance(MINUTE)
    second = await node.token(ANNA)
    mine = await listed(node, second)
    begun = node.clock.wall
    assert [(one["begun"], one["until"], one.get("this")) for one in mine] == [
        (begun - MINUTE, begun + 14 * MINUTE, None),
        (begun, begun + 15 * MINUTE, True),
    ]
    assert {one["key"] for one in mine} == {signing(f"{ANNA}/1").id}
    assert mine[0]["used"] == begun - MINUTE
    node.clock.advance(1)
    await node.get("/v1/inbox", first)
    assert (await listed(node, second))[0]["used"] == begun + 1
    assert len(await listed(node, other)) == 1
    assert not {first, second, other} & {one["id"] for one in mine}
    assert (await node.get("/v1/sessions"))[0] == 401
    assert (await node.get("/v1/sessions", mine[0]["id"]))[0] == 401, "an id opens nothing"


async def test_a_session_is_ended_by_its_holder_at_once_and_by_nobody_else(node: LiveNode) -> None:
    lost, mine, other = await node.token(ANNA), await node.token(ANNA), await node.token(DORA)
    number = (await listed(node, mine))[0]["id"]
    assert await end(node, other, number) == 404
    assert await end(node, "", number) == 401
    assert (await node.get("/v1/inbox", lost))[0] == 200
    assert await end(node, mine, number) == 204
    assert (await node.get("/v1/inbox", lost))[0] == 401
    assert await end(node, mine, number) == 404
    (left,) = await listed(node, mine)
    assert await end(node, mine, left["id"]) == 204, "one may end the session that asks"
    assert (await node.get("/v1/inbox", mine))[0] == 401


async def test_the_stream_of_a_session_that_is_ended_ends_with_it(node: LiveNode) -> None:
    token, mine = await node.token(ANNA), await node.token(ANNA)
    headers = {"Authorization": f"Bearer {token}"}
    async with node.http.ws_connect(f"{node.running.url}/v1/stream", headers=headers) as stream:
        await stream.send_json({"type": "hello", "version": 1, "window": 8})
        await stream.receive()
        assert await end(node, mine, (await listed(node, mine))[0]["id"]) == 204
        while not (await stream.receive(timeout=5)).type.name.startswith("CLOS"):
            continue
    assert stream.closed


async def test_a_party_and_the_administrator_have_sessions_of_their_own(node: LiveNode) -> None:
    for by, key in ((FCO, signing(FCO)), (ORIGIN, signing("administrator"))):
        status, body, _ = await begin(node, by, None if by == FCO else key)
        assert status == 201
        (only,) = await listed(node, body["token"])
        assert only["this"] is True
        assert await end(node, body["token"], only["id"]) == 204


async def test_a_removed_device_s_session_ends_with_that_record_and_is_listed_no_more(
    node: LiveNode,
) -> None:
    old = await node.token(ANNA)
    new = signing(f"{ANNA}/2")
    both = (signing(f"{ANNA}/1"), new)
    await node.accept(node.world.member(ANNA, devices=both))
    mine = await node.token(ANNA, new)
    assert len(await listed(node, mine)) == 2
    await node.accept(node.world.member(ANNA, devices=(new,)))
    assert [one["key"] for one in await listed(node, mine)] == [new.id]
    assert (await node.get("/v1/inbox", old))[0] == 401
    assert (await node.get("/v1/inbox", mine))[0] == 200
    assert (await begin(node))[0] == 401


async def test_a_relayed_statement_begins_no_session(node: LiveNode, tmp_path: Path) -> None:
    """Whoever stands between may pass on what was signed, but not to what it was not signed for."""
    async with live_node(tmp_path / "other") as other:
        # Signed for this origin over a challenge of another node, presented here and there.
        await check_refused(node, "unknown, used or lapsed", challenge=await challenge_of(other))
        # Signed for another origin over this node's challenge, as a node in the middle would have it.
        relayed = await challenge_of(node)
        await check_refused(node, "other.example", log="other.example/log", challenge=relayed)
        # What was signed rightly works once, whoever brings it.
        status, body, raw = await begin(node)
        assert status == 201
        for at in (node, other):
            async with at.http.post(f"{at.running.url}/v1/sessions", data=raw) as answer:
                assert answer.status == 401
        assert (await other.get("/v1/sessions", body["token"]))[0] == 401
