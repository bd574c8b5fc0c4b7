"""Places: few at once, the urgent first, and nobody who went away keeps one."""

from __future__ import annotations

import asyncio

import pytest

from liaison.node.places import Places
from liaison.words.precedence import Precedence

ROUTINE, FLASH = Precedence.ROUTINE.rank, Precedence.FLASH.rank


async def test_who_waits_goes_by_precedence() -> None:
    places, order = Places(1), []

    async def one(name: str, band: int) -> None:
        await places.take(band)
        order.append(name)
        places.leave()

    await places.take(ROUTINE)
    waiting = [
        asyncio.create_task(one(name, band))
        for name, band in (("first", ROUTINE), ("second", ROUTINE), ("urgent", FLASH))
    ]
    await asyncio.sleep(0)
    assert order == []
    places.leave()
    await asyncio.gather(*waiting)
    assert order == ["urgent", "first", "second"]
    assert (places.taken, places.queue.waiting) == (0, 0)


async def test_who_waits_too_long_leaves_nothing_behind() -> None:
    places = Places(1)
    await places.take(ROUTINE)
    with pytest.raises(TimeoutError):
        await places.take(FLASH, within_s=0)
    assert (places.taken, places.queue.waiting) == (1, 0)
    places.leave()
    await places.take(ROUTINE)
    assert places.taken == 1


async def test_who_is_let_in_and_gone_at_once_gives_the_place_on() -> None:
    places = Places(1)
    await places.take(ROUTINE)
    gone, next_one = (asyncio.create_task(places.take(ROUTINE)) for _ in range(2))
    await asyncio.sleep(0)
    places.leave()  # ``gone`` was let in, and is cancelled before it learns of it
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await next_one
    assert gone.cancelled()
    assert (places.taken, places.queue.waiting) == (1, 0)
