"""The newest in memory: the same as in the store, for the same readers, and bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from liaison.node import newest as module
from liaison.node.intake import WRAP_BYTES
from liaison.node.newest import Newest
from liaison.statements.payloads import Verdict
from liaison.words.encoding import to_base64
from tests.node.line import live_line, note_of, path_of, send, with_wraps
from tests.node.live import LiveNode, live_node
from tests.world import ANNA, DORA, FELIX


def newest_of(node: LiveNode) -> Newest:
    return node.running.services.sequencer.newest


async def alike(node: LiveNode, path: str, by: str) -> Any:
    """Return what a member gets from memory; it must get the same from the store."""
    token, newest = await node.token(by), newest_of(node)
    status, from_memory = await node.get(path, token)
    kept, newest.contents = newest.contents, {}
    assert (status, from_memory) == await node.get(path, token)
    newest.contents = kept
    assert status == 200
    return from_memory


async def test_who_reads_gets_from_memory_what_the_store_has(tmp_path: Path) -> None:
    async with live_node(tmp_path) as node:
        await node.open_channel()
        for _ in range(3):
            await node.send()
        for by in (ANNA, DORA):
            page = await alike(node, "/v1/inbox?content=1", by)
            assert [len(item["content"]["wraps"]) for item in page["items"]] == [1] * 3
        assert len(newest_of(node).contents) == 3


async def test_the_wraps_of_a_release_stand_beside_the_drafts(tmp_path: Path) -> None:
    async with live_line(tmp_path) as node:
        draft = await send(node, node.world.draft())
        await node.accept(node.world.answer(FELIX, Verdict.ACKNOWLEDGED, draft))
        release, wraps = with_wraps(node.world.release(note_of(node, draft)))
        node.world.accept(release)
        status, _ = await node.post(statement=release.raw, wraps=wraps)
        assert status == 201
        path = f"/v1/notes/{path_of(draft)}/content"
        assert (await alike(node, path, FELIX))["wraps"]
        content = await alike(node, path, DORA)
        assert to_base64(wraps[:WRAP_BYTES]) in {each["wrap"] for each in content["wraps"]}


async def test_what_is_kept_is_bounded_and_what_left_comes_from_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENTRIES_KEPT", 2)
    async with live_node(tmp_path) as node:
        await node.open_channel()
        for _ in range(4):
            await node.send()
        newest = newest_of(node)
        assert (len(newest.entries), len(newest.contents)) == (2, 2)
        page = await alike(node, "/v1/inbox?content=1", DORA)
        assert [len(item["content"]["wraps"]) for item in page["items"]] == [1] * 4
        one = max(len(kept.ciphertext) for kept in newest.contents.values())
        monkeypatch.setattr(module, "CONTENTS_KEPT_BYTES", one)
        await node.send()
        assert len(newest.contents) == 1
        monkeypatch.setattr(module, "CONTENT_MAX_BYTES", one - 1)
        before = dict(newest.contents)
        await node.send()
        assert newest.contents == before
        page = await alike(node, "/v1/inbox?content=1", DORA)
        assert len(page["items"][-1]["content"]["wraps"]) == 1
