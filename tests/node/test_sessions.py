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
from liaison.words.times import MINUTE
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


async def test_a_member_a_party_and_the_administrator_begin_sessions(node: LiveNode) -> None:
    for by, key in ((ANNA, None), (FCO, None), (ORIGIN, signing("administrator"))):
        status, body, _ = await begin(node, by, key)
        assert (status, body["by"]) == (201, by)
        assert body["until"] == node.clock.wall + 15 * MINUTE
        expected = 200 if by == ANNA else 404
        assert (await node.get("/v1/inbox", body["token"]))[0] == expected
        expected = 200 if by == ORIGIN else 404
        assert (await node.get("/v1/openings?start=0&end=1", body["token"]))[0] == expected
        assert (await node.get(f"/v1/parties/{FCO}", body["token"]))[0] == 200


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
    await check_refused(node, "times", issued=now - 10 * MINUTE, lapse=now + MINUTE)
    await check_refused(node, "times", issued=now - MINUTE, lapse=now)
    await check_refused(node, "times", issued=now + 3 * MINUTE, lapse=now + 4 * MINUTE)
    await check_refused(node, "not known here", key=signing("nobody"))
    await check_refused(node, "", key=signing(f"{DORA}/1"))
    await check_refused(node, "", by=FCO, key=signing(f"{FCO}/registrar"))
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
