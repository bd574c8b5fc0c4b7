"""Gossip: what another member says to have seen of the log, and isn't here. protocols/log.md, LOG-16."""

from __future__ import annotations

import pytest

from liaison.client.watching import FILE, Watch
from liaison.statements.payloads import Seen
from liaison.words.encoding import to_base64
from tests.client.council import council
from tests.client.test_acting import flash
from tests.world import digest

LONDON_1 = "attache.london.1@fco.example"


@pytest.fixture
async def world(tmp_path, monkeypatch):
    async with council(tmp_path, monkeypatch) as made:
        yield made


async def test_who_names_false_checkpoints_makes_one_line_until_they_name_a_true_one(
    world, monkeypatch
):
    """A node takes any checkpoint that a note names: a peer must not fill the screen of others."""
    false: list[Seen] = []
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "seen", property(lambda _: false[-1]))
        for size in range(1, 4):
            false.append(Seen(size=size, root=to_base64(bytes([size]) * 32)))
            async with world.client("F") as f:
                await f.send(flash())
    async with world.client("M") as m:
        await m.inbox()
    async with world.client("M") as m:
        index = m.kept("london-hotline/3").index
        said = (
            f"{LONDON_1} says in entry {index} to have seen another log of 3 entries than this one"
        )
        assert m.disputed == [said]
    async with world.client("F") as f:
        await f.send(flash())
    async with world.client("M") as m:
        await m.inbox()
    async with world.client("M") as m:
        assert m.disputed == []
        assert "disputed" not in m.home.read_state(FILE)


async def test_what_one_disputes_is_taken_back_by_nobody_else_and_by_nothing_earlier(world):
    anna, dora, emil = (f"{name}@fco.example" for name in ("anna", "dora", "emil"))
    async with world.client("M") as m:
        await m.inbox()
        await m.watch.settle()
        old = m.watch.seen
        async with world.client("F") as f:
            await f.send(flash())
        await m.inbox()
        await m.watch.settle()
        new, n = m.watch.seen, m.watch.seen.size
        m.watch.gossip(anna, Seen(size=n, root=digest("another log")), n)
        m.watch.gossip(dora, new, n)
        m.watch.gossip(emil, Seen(size=n + 9, root=new.root), n)
        said = [
            f"{anna} says in entry {n} to have seen another log of {n} entries than this one",
            f"{emil} says in entry {n} to have seen a log of {n + 9} entries",
        ]
        await m.watch.settle()
        assert m.disputed == said
        m.watch.gossip(anna, old, old.size)
        m.watch.gossip(dora, new, n + 1)
        await m.watch.settle()
        assert m.disputed == said
        m.watch.gossip(anna, new, n + 1)
    async with world.client("M") as m:
        assert m.disputed == said[1:]
