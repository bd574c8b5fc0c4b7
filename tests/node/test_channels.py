"""What a channel shows of itself: who stepped back, and which charters wait, over HTTP. API-17 to API-19."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from liaison.main import begin
from liaison.statements.charters import Standing
from liaison.words.encoding import from_base64, to_base64url
from tests.node.line import live_line
from tests.node.live import SEEDS, HandClock, LiveNode, live_node, settings_in
from tests.world import (
    ANNA,
    DORA,
    FCO,
    MOD,
    OBS,
    ORIGIN,
    OTTO,
    ULLA,
    UN,
    quiet_hotline,
)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_line(tmp_path / "home", quiet_hotline(rules=())) as live:
        yield live


async def channel(node: LiveNode, by: str) -> dict[str, Any]:
    status, told = await node.get("/v1/channels/london-hotline", await node.token(by))
    assert status == 200, told
    found: dict[str, Any] = told
    return found


def digests(node: LiveNode, receipts: list[str]) -> list[str]:
    return [node.verified(text).record().facts.model_dump()["statement"] for text in receipts]


async def test_who_suspended_its_part_or_left_is_shown_by_its_newest_statement(
    node: LiveNode,
) -> None:
    assert (await channel(node, ANNA))["participations"] == []
    suspended = node.world.participation(MOD, Standing.SUSPENDED)
    await node.accept(suspended)
    assert digests(node, (await channel(node, ANNA))["participations"]) == [suspended.digest]
    path = f"/v1/statements/{to_base64url(from_base64(suspended.digest))}"
    assert (await node.get(path, await node.token(ANNA)))[0] == 200
    assert (await node.get(path, await node.token(OTTO)))[0] == 404
    await node.accept(node.world.participation(MOD, Standing.ACTIVE))
    assert (await channel(node, ANNA))["participations"] == []
    left = node.world.participation(MOD, Standing.LEFT)
    await node.accept(left)
    assert digests(node, (await channel(node, DORA))["participations"]) == [left.digest]


async def test_a_proposed_charter_stands_beside_the_present_one_until_all_acceded(
    node: LiveNode,
) -> None:
    world = node.world
    before = await channel(node, ANNA)
    assert before["proposed"] == []
    amendment = world.amendment(rules=())
    await node.accept(amendment)
    accession = world.accession(MOD, charter=amendment.digest)
    await node.accept(accession)
    told = await channel(node, DORA)
    assert digests(node, [told["charter"]]) == digests(node, [before["charter"]])
    (proposed,) = told["proposed"]
    assert digests(node, [proposed["charter"]]) == [amendment.digest]
    assert digests(node, proposed["accessions"]) == [accession.digest]
    last = world.accession(FCO, charter=amendment.digest)
    await node.accept(last)
    told = await channel(node, ANNA)
    assert digests(node, [told["charter"]]) == [amendment.digest]
    assert digests(node, told["accessions"]) == [accession.digest, last.digest]
    assert (told["proposed"], told["is_open"]) == ([], True)


async def test_a_party_that_is_only_proposed_sees_the_charters_and_no_more(
    node: LiveNode,
) -> None:
    world = node.world
    roster = digests(node, (await channel(node, ANNA))["rosters"])[0]
    assert (await node.get("/v1/channels/london-hotline", await node.token(ULLA)))[0] == 404
    without = world.amendment(rules=())
    await node.accept(without)
    invites = world.amendment(parties=(FCO, MOD, UN), rules=())
    await node.accept(invites)
    await node.accept(world.accession(FCO, charter=invites.digest))
    told = await channel(node, ULLA)
    assert (told["rosters"], told["participations"]) == ([], [])
    assert len(told["accessions"]) == 2
    (proposed,) = told["proposed"]
    assert digests(node, [proposed["charter"]]) == [invites.digest]
    ulla, otto = await node.token(ULLA), await node.token(OTTO)
    assert [c["alias"] for c in (await node.get("/v1/channels", ulla))[1]["channels"]] == [
        "london-hotline"
    ]
    for digest, status in ((invites.digest, 200), (roster, 404)):
        path = f"/v1/statements/{to_base64url(from_base64(digest))}"
        assert (await node.get(path, ulla))[0] == status
        assert (await node.get(path, otto))[0] == 404
    assert (await node.get(f"/v1/parties/{FCO}", ulla))[0] == 200, "it must see who proposes"
    assert (await node.get(f"/v1/parties/{UN}", await node.token(ANNA)))[0] == 404
    assert (await node.get("/v1/channels/london-hotline", otto))[0] == 404
    assert (await node.get(f"/v1/parties/{OBS}", ulla))[0] == 404
    await node.accept(world.accession(UN, charter=invites.digest))
    assert (await node.get(f"/v1/parties/{UN}", await node.token(ANNA)))[0] == 200
    assert (await channel(node, ULLA))["rosters"] == []
    await node.accept(world.accession(MOD, charter=invites.digest))
    assert digests(node, (await channel(node, ULLA))["rosters"])[0] == roster


async def test_a_node_for_exercises_says_so(tmp_path: Path, node: LiveNode) -> None:
    assert "exercise" not in (await node.get("/v1/about"))[1]
    home = tmp_path / "exercise"
    clock = HandClock()
    begin(
        settings_in(home),
        ORIGIN,
        seeds=SEEDS,
        url="http://127.0.0.1",
        clock=clock,
        is_exercise=True,
    )
    async with live_node(home, clock) as exercising:
        about = (await exercising.get("/v1/about"))[1]
    assert (about["exercise"], about["rules_version"]) == (True, 2)
