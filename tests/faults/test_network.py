"""Two parties over bad networks: requests and frames cut, lost, late, twice, and silence."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from liaison.client import Authority, Precedence
from liaison.client.transport import SESSION_TRIES
from liaison.statements.payloads import Member
from liaison.words.errors import NotAllowed
from tests.client.council import PASSPHRASE
from tests.faults.proxy import ByChance, Fault, Passing, Plan
from tests.faults.town import LEVELS, Person, Town, draft, until_shown

NOTES = 12
"""Waiting together; fewer than 16, after which the oldest goes out of its turn."""


pytestmark = pytest.mark.usefixtures("impatient")


async def work(one: Person, chance: random.Random, notes: int) -> None:
    for _ in range(notes):
        await one.send(draft(chance.choice(LEVELS), by=one.name))
    await one.settle()


async def test_over_bad_networks_each_receipted_note_is_shown_once_both_ways(town: Town) -> None:
    def bad() -> ByChance:
        return ByChance(random.Random(town.chance.random()))

    async with (
        town.open(),
        town.person("F", bad()) as f,
        town.person("M", bad()) as m,
        town.person("M2", bad()) as m2,
    ):
        async with f.following(), m.following(), m2.following():
            await asyncio.gather(*(work(one, town.chance, 2 * NOTES) for one in (f, m)))
            await until_shown([m, m2], f.wanted, 60)
            await until_shown([f, m2], m.wanted, 60)
        assert len(f.wanted) == len(m.wanted) == 2 * NOTES
        did = Counter[Fault]()
        for one in (f, m, m2):
            assert set(one.counted().values()) == {1}, one.name
            did += one.proxy.did
        assert len(did) >= 4, did


async def test_what_waited_comes_urgent_first_though_each_connection_breaks(town: Town) -> None:
    async with town.open(), town.person("F") as f:
        for number in range(NOTES):
            await f.send(draft(LEVELS[number % len(LEVELS)]))
        bad = ByChance(random.Random(town.chance.random()), one_in=3, without=(Fault.HALTED,))

        def frames_only(passing: Passing) -> Fault | None:
            # An item that can't be fetched three times is passed over, and comes later.
            return bad(passing) if passing.is_frame else None

        async with town.person("M", frames_only) as m:
            async with m.following():
                await until_shown([m], f.wanted, 60)
            shown = [letter.digest for letter in m.shown]
            places = {digest: place for place, digest in enumerate(f.wanted)}
            assert shown == sorted(
                f.wanted, key=lambda digest: (-f.wanted[digest].rank, places[digest])
            )
            assert m.proxy.did.total() > 0


async def test_a_stream_that_falls_silent_in_the_middle_of_a_frame_is_left_and_joined_again(
    town: Town,
) -> None:
    halted = iter((Fault.HALTED,))

    def once(passing: Passing) -> Fault | None:
        return next(halted, None) if passing.type == "item" else None

    async with town.open(), town.person("F") as f, town.person("M", once) as m:
        async with m.following():
            await f.send(draft(Precedence.FLASH))
            await asyncio.wait_for(m.proxy.halted.wait(), 20)
            assert m.shown == []
            await f.send(draft(Precedence.ROUTINE))
            await until_shown([m], f.wanted, 30)
        assert set(m.counted().values()) == {1}


@pytest.mark.parametrize("path", ["/v1/challenges", "/v1/sessions", "/v1/statements"])
async def test_a_request_that_a_proxy_sends_twice_does_what_it_does_once(
    town: Town, path: str
) -> None:
    left = {"F": SESSION_TRIES - 1, "M": SESSION_TRIES - 1}

    def twice_of(name: str) -> Plan:
        def twice(passing: Passing) -> Fault | None:
            if passing.type != f"POST {path}" or not left[name]:
                return None
            left[name] -= 1
            return Fault.TWICE

        return twice

    async with (
        town.open(),
        town.person("F", twice_of("F")) as f,
        town.person("M", twice_of("M")) as m,
    ):
        async with m.following():
            for level in (Precedence.FLASH, Precedence.ROUTINE):
                await f.send(draft(level))
            await until_shown([m], f.wanted, 30)
        assert set(m.counted().values()) == {1}
        assert f.proxy.did[Fault.TWICE]


async def test_a_device_that_may_read_no_longer_is_told_so_after_a_few_tries(town: Town) -> None:
    asked = Counter[str]()

    def look(passing: Passing) -> Fault | None:
        asked[passing.type] += 1
        return None

    async with town.open(), town.person("M2", look) as m2:
        async with Authority.open(town.folder / "MA", PASSPHRASE, url=m2.proxy.url) as ministry:
            before = ministry._newest_of(Member, m2.client.device.member)
            kept = [d for d in before.devices if d.key != m2.client.device.public]
            ministry._sign_next(
                Member,
                before.member,
                member=before.member,
                name=before.name,
                roles=list(before.roles),
                state="active",
                devices=[{"key": d.key, "proof": d.proof} for d in kept],
            )
            await ministry.post()
        with pytest.raises(NotAllowed):
            await m2.client.inbox()
        assert asked["POST /v1/sessions"] == SESSION_TRIES
