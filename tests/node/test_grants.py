"""Grants over real HTTP: whose wraps a reader gets, and from when on. protocols/api.md, API-14, API-15."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from liaison.ledger.facts import GrantFacts
from liaison.node.intake import WRAP_BYTES
from liaison.words.encoding import from_base64
from tests.node.grants import post_grant, with_grant_wraps
from tests.node.line import CONTENT, NOTHING, inbox, kinds, live_line, looks, path_of, send
from tests.node.live import LiveNode
from tests.world import ANNA, DORA, DUTY, GRETA, MOD


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_line(tmp_path / "home") as live:
        yield live


async def content(node: LiveNode, by: str, note: str) -> list[dict[str, Any]]:
    """Return the wraps that a member's device gets with a note."""
    _, told = await node.get(f"/v1/notes/{path_of(note)}/content", await node.token(by))
    wraps: list[dict[str, Any]] = told["wraps"]
    return wraps


async def test_who_takes_a_post_over_reads_its_note_by_a_grant(node: LiveNode) -> None:
    note = await send(node, node.world.note())
    await node.accept(node.world.posting(DUTY, (GRETA,)))
    await node.accept(node.world.directory(MOD))
    assert await looks(node, GRETA, note) == NOTHING
    grant = await post_grant(node, node.world.grant(note, DUTY, DORA), DORA)
    assert await looks(node, GRETA, note) == CONTENT
    (wrap,) = await content(node, GRETA, note)
    assert wrap["grant"] == grant
    item = (await inbox(node, GRETA))[0]
    opened = node.verified(item["receipt"])
    facts = opened.record().facts
    assert isinstance(facts, GrantFacts)
    assert (item["kind"], item["position"]) == ("note", f"{opened.index}.{facts.index}")
    assert item["content"]["wraps"] == [wrap]
    assert "granted" in kinds(await inbox(node, ANNA))
    _, text = await node.get(f"/v1/statements/{path_of(grant)}", await node.token(ANNA))
    assert node.verified(text.decode()).index == opened.index


async def test_no_grant_takes_the_place_of_another_wrap_for_the_same_key(node: LiveNode) -> None:
    note = await send(node, node.world.note())
    (first,) = await content(node, DORA, note)
    grants = [await post_grant(node, node.world.grant(note, DUTY, by), by) for by in (ANNA, DORA)]
    wraps = await content(node, DORA, note)
    assert [wrap.get("grant") for wrap in wraps] == [None, *grants]
    assert {wrap["key"] for wrap in wraps} == {first["key"]}
    assert len({wrap["wrap"] for wrap in wraps}) == 3
    assert wraps[0] == first


async def test_a_grant_comes_with_the_wraps_that_it_names(node: LiveNode) -> None:
    note = await send(node, node.world.note())
    signed, wraps = with_grant_wraps(node.world.grant(note, DUTY), ANNA)
    for wrong in (None, wraps[:-1], bytes(len(wraps))):
        parts = {} if wrong is None else {"wraps": wrong}
        status, text = await node.post(statement=signed.raw, **parts)
        assert (status, text["code"]) == (400, "malformed")
    assert len(from_base64((await content(node, DORA, note))[0]["wrap"])) == WRAP_BYTES
    status, _ = await node.post(statement=signed.raw, wraps=wraps)
    assert status == 201
