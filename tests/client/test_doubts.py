"""What a key signed while it was in other hands is doubtful wherever a home tells of it, also offline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liaison.client import Client, Home, News, Told
from liaison.client.doubts import Doubt
from liaison.client.seen import forget_seen
from liaison.client.transport import Transport
from liaison.words.errors import NodeUnreachable, NotAllowed
from liaison.words.times import MINUTE
from tests.client.council import CANARY, DUTY, LONDON, PASSPHRASE, Council, council, letters
from tests.client.test_acting import flash

HOLDER, PARTY = "duty.desk.1@mod.example", "/v1/parties/mod.example"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Council]:
    async with council(tmp_path, monkeypatch) as made:
        yield made


async def _say(world: Council) -> None:
    """Have F write to M, and M take that on, write itself and take its own note back."""
    async with world.client("F") as f:
        sent = await f.send(flash(to=(DUTY,)))
    async with world.client("M") as m:
        await m.inbox()
        await m.acknowledge(sent.reference)
        own = await m.send(flash(to=(LONDON,)))
        await m.send(flash(to=(LONDON,), in_reply_to=sent.digest))
        await m.withdraw(own.reference)


async def _lost(world: Council, since: int) -> None:
    """Have M's party say that its key was in other hands since then."""
    async with world.client("M") as m:
        device = m.device.key.id
    async with world.authority("MA") as authority:
        authority.revoke_key(HOLDER, device, since)
        authority.sign_directory()
        await authority.post()


async def test_each_thing_that_it_signed_since_is_told_with_the_doubt(world: Council) -> None:
    await _say(world)
    async with world.client("F") as f:
        before = [item.doubt for item in await f.inbox() if isinstance(item, Told | News)]
    assert before == [None, None]
    world.clock.advance(MINUTE)
    since = world.clock.now()
    world.clock.advance(3 * MINUTE)
    await _say(world)
    await _lost(world, since)
    doubt = Doubt(HOLDER, since)
    async with world.client("F") as f:
        items = await f.inbox()
        assert [item.doubt for item in letters(items)] == [doubt]
        assert [item.doubt for item in items if isinstance(item, Told)] == [doubt]
        (withdrawn,) = [i for i in items if isinstance(i, News) and i.kind == "procedure"]
        assert withdrawn.doubt == doubt
        # What is kept, and what it said of a note; not what it signed before.
        assert (await f.read("london-hotline/6")).doubt == doubt
        assert (await f.read("london-hotline/3")).doubt is None
        assert [(one.what, one.doubt) for one in await f.doubted("london-hotline/4")] == [
            ("acknowledged", doubt),
            ("answered with london-hotline/6", doubt),
        ]
        assert await f.doubted("london-hotline/1") == []


async def test_the_doubt_stays_where_nobody_is_asked_and_under_another_pin(
    world: Council, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _say(world)
    async with world.client("F") as f:
        await f.inbox()
        before = await f.transport.read(PARTY)
    since = world.clock.now() - 3 * MINUTE
    await _lost(world, since)
    honest = Transport.read

    async def as_before(self: Transport, path: str) -> dict[str, object]:
        return before if path == PARTY else await honest(self, path)

    async def unreached(*_: object) -> None:
        raise NodeUnreachable("not now")

    with monkeypatch.context() as patch:
        patch.setattr(Transport, "read", unreached)
        async with world.client("F") as f:
            assert (await f.read("london-hotline/3")).doubt is None  # nobody said so here yet
    async with world.client("F") as f:
        assert (await f.read("london-hotline/3")).doubt == Doubt(HOLDER, since)
    monkeypatch.setattr(Transport, "read", unreached)
    for _ in range(2):
        async with world.client("F") as f:
            assert (await f.read("london-hotline/3")).doubt == Doubt(HOLDER, since)
            assert f.kept("london-hotline/1").doubt is None
        # The party begins anew; what its lost key signed doesn't.
        forget_seen(Home(world.folder / "F"), "mod.example")
    # Nor where the node shows the party as it was before it said so.
    monkeypatch.setattr(Transport, "read", as_before)
    async with world.client("F") as f:
        assert (await f.read("london-hotline/3")).doubt == Doubt(HOLDER, since)
        assert f.book.standings()[0].members[HOLDER].compromised is None


async def test_what_is_kept_is_read_also_with_a_clock_that_is_wrong(world: Council) -> None:
    await _say(world)
    async with world.client("F") as f:
        await f.inbox()
    home = Home(world.folder / "F")
    for minutes in (-10, 10):
        now = world.clock.now() + minutes * MINUTE
        async with Client.open(home, PASSPHRASE, now=lambda now=now: now) as f:  # type: ignore[misc]
            letter = await f.read("london-hotline/3")
            assert letter.content.body == CANARY
            with pytest.raises(NotAllowed):
                await f.inbox()
