"""Following an inbox, by the SDK over a real node: each item once, whatever the network does."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from liaison.client import Content, Draft, Letter, Told
from liaison.client.following import PACING, Pacing
from liaison.statements.payloads import Verdict
from liaison.words.precedence import Precedence
from tests.client.council import CANARY, DUTY, council

PATIENCE_S = 30


@pytest.fixture
async def world(tmp_path, monkeypatch):
    async with council(tmp_path, monkeypatch) as made:
        yield made


def note(subject: str, precedence: Precedence = Precedence.ROUTINE, **members) -> Draft:
    kind = "leader" if precedence is Precedence.FLASH else "service"
    return Draft(
        channel="london-hotline",
        to=(DUTY,),
        content=Content.text(subject, CANARY),
        precedence=precedence,
        kind=kind,
        **members,
    )


async def take(items, count: int) -> list:
    """Return the next ``count`` items."""
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(items) for _ in range(count)]


def subjects(items) -> list[str]:
    return [item.content.subject for item in items if isinstance(item, Letter)]


async def test_what_waits_comes_urgent_first_and_then_what_is_sent(world):
    async with world.client("F") as f:
        for n in range(3):
            await f.send(note(f"routine {n}"))
        await f.send(note("flash", Precedence.FLASH))
        async with world.client("M") as m, aclosing(m.follow()) as items:
            found = await take(items, 4)
            assert subjects(found) == ["flash", "routine 0", "routine 1", "routine 2"]
            await f.send(note("later"))
            assert subjects(await take(items, 1)) == ["later"]
        async with world.client("M") as m:
            assert await m.inbox() == []
