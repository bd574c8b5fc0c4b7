"""Thirty days away, and back: everything once, the urgent first; what can't be opened has a state.

Meanwhile directories are renewed each day, and whoever is there replaces their keys each week.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from liaison.cli import founding
from liaison.cli.channel import read_defaults
from liaison.client import Client, Content, Draft, Item, Letter, Precedence, Unopened
from liaison.client.device import REPLACED_AFTER, USED_FOR
from liaison.node.express import OLDEST_EVERY
from liaison.words.errors import NotReady, Unreadable
from liaison.words.times import DAY, SECOND
from tests.client.council import CANARY, DEPUTY, DUTY, Council, council
from tests.faults.town import second_device

AWAY_DAYS = 30
LEVELS = (
    Precedence.ROUTINE,
    Precedence.DEFERRED,
    Precedence.FLASH,
    Precedence.PRIORITY,
    Precedence.IMMEDIATE,
)


def unhurried(channel_type: str) -> dict[str, Any]:
    """Return a type's own deadlines, without answers that fall due while days pass."""
    defaults = read_defaults(channel_type)
    for kind in defaults["kind"]:
        kind.pop("answer_within_s", None)
    return defaults


@dataclass
class Days:
    """A council on whose clock days pass; ``sent`` are F's notes, by digest."""

    world: Council
    sent: dict[str, Precedence] = field(default_factory=dict)

    async def pass_one(self, *, info: tuple[str, ...] = (DEPUTY,)) -> None:
        """Let a day pass: directories are signed, F writes, the second device takes it on."""
        await self.world.passes(DAY // SECOND)
        for name in ("FA", "MA"):
            async with self.world.authority(name) as authority:
                authority.sign_directory()
                await authority.post()
        level = LEVELS[len(self.sent) % len(LEVELS)]
        async with self.world.client("F") as f:
            sent = await f.send(self.draft(level, info))
            self.sent[sent.digest] = level
        async with self.world.client("M2") as m2:
            for item in await m2.inbox():
                if isinstance(item, Letter):
                    await m2.acknowledge(item.reference)

    def draft(self, level: Precedence, info: tuple[str, ...]) -> Draft:
        return Draft(
            channel="london-hotline",
            to=(DUTY,),
            info=info,
            kind="leader" if level is Precedence.FLASH else "service",
            precedence=level,
            content=Content.text(f"note {len(self.sent)}", CANARY),
            standby=(),
        )


@pytest.fixture
async def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Days]:
    monkeypatch.setattr(founding, "hurried", unhurried)
    async with council(tmp_path, monkeypatch) as world:
        await second_device(tmp_path, world.clock.now)
        yield Days(world)


async def followed(client: Client, letters: int) -> list[Item]:
    """Return what a device is shown until it was shown so many letters, and nothing else waits."""
    found: list[Item] = []
    idle: list[bool] = []
    async with aclosing(client.follow(idle=lambda: idle.append(True))) as items:
        while sum(isinstance(item, Letter) for item in found) < letters:
            found.append(await anext(items))
    return found


def out_of_turn(found: list[Item]) -> Iterator[int]:
    """Give the places, from 1, of letters that came before one that is more urgent."""
    levels = [i.note.precedence.action.rank if isinstance(i, Letter) else -1 for i in found]
    for place, rank in enumerate(levels):
        if rank >= 0 and any(later > rank for later in levels[place + 1 :]):
            yield place + 1


async def test_after_thirty_days_everything_comes_once_and_the_urgent_first(days: Days) -> None:
    world = days.world
    for _ in range(AWAY_DAYS):
        await days.pass_one()
    async with world.client("M2") as m2:
        assert len(m2.device.certified) >= AWAY_DAYS * DAY // REPLACED_AFTER
    async with world.client("M") as m:
        assert len(m.device.certified) == 1
        found = await followed(m, len(days.sent))
    shown = [item.digest for item in found if isinstance(item, Letter)]
    assert sorted(shown) == sorted(days.sent)
    assert not [item for item in found if isinstance(item, Unopened)]
    assert [place for place in out_of_turn(found) if place % OLDEST_EVERY] == []
    async with world.client("M") as m:
        assert len(m.device.certified) == 2
        assert [item for item in await m.inbox() if isinstance(item, Letter)] == []
    # The list, read by a device that was away as long, has the same, in the log's order.
    async with world.client("D") as d:
        listed = [item.digest for item in await d.inbox() if isinstance(item, Letter)]
        assert listed == list(days.sent)
        assert [item for item in await d.inbox() if isinstance(item, Letter)] == []


async def test_what_a_device_with_lapsed_keys_can_t_open_is_said_and_has_a_state(
    days: Days,
) -> None:
    world = days.world
    while len(days.sent) < USED_FOR // DAY - 1:
        await days.pass_one()
    in_time = list(days.sent)
    # From here on nothing can be sealed for who was away: who writes is told so before it is sent.
    with pytest.raises(NotReady, match=DEPUTY):
        await days.pass_one()
    await days.pass_one(info=())
    async with world.client("F") as f:
        nobody_opened = (await f.send(days.draft(Precedence.ROUTINE, ()))).digest
    async with world.client("M") as m:
        found = await followed(m, len(in_time))
        found += await m.inbox()
    assert sorted(i.digest for i in found if isinstance(i, Letter)) == sorted(in_time)
    errors = [item.error for item in found if isinstance(item, Unopened)]
    assert len(errors) == 2
    for error in errors:
        assert isinstance(error, Unreadable)
        assert error.reason == "key"
        # The member's other device, which was there meanwhile, has a wrap of it.
        assert error.do.startswith("on that device, run: liaison grant --device ")
    async with world.client("F") as f:
        states = {
            digest: await f.status(f.cabinet.reference(digest))
            for digest in (*days.sent, nobody_opened)
        }
    lives = {digest: life_of(state) for digest, state in states.items()}
    assert lives == {**dict.fromkeys(days.sent, "acknowledged"), nobody_opened: "queued"}
    assert states[nobody_opened]["next"], "its ladder goes on"
    async with world.client("D") as d:
        assert len([i for i in await d.inbox() if isinstance(i, Letter)]) == len(in_time)
    for name in ("M", "D"):
        async with world.client(name) as client:
            assert [i for i in await client.inbox() if isinstance(i, Letter | Unopened)] == []


def life_of(state: dict[str, Any]) -> str:
    """Return how the duty desk stands to a note."""
    (life,) = (one["life"] for one in state["addressees"] if one["post"] == DUTY)
    return str(life)
