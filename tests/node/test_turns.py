"""Nobody starves another: turns of parties and members, buckets, rates. API-32 to API-34."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import aiohttp
import pytest

from liaison.node import admission as module
from liaison.node.admission import (
    CROWD,
    EXPRESS_AT_ONCE,
    OF_PARTY,
    PAST_MAX,
    WAITING_OF_PARTY,
    Admission,
    Rates,
)
from liaison.node.buckets import Buckets
from liaison.node.queueing import OLDEST_EVERY, Owner, Queue
from liaison.statements.payloads import NotePrecedence, Verdict
from liaison.words.errors import Limited, Overloaded
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND
from tests.node.live import LiveNode, live_node
from tests.node.test_admission import Door, said, settled
from tests.world import ANNA, DORA, signing

ROUTINE = NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)
IMMEDIATE = NotePrecedence(action=Precedence.IMMEDIATE, info=Precedence.ROUTINE)
BAND = Precedence.ROUTINE.rank


def drained(queue: Queue[str]) -> list[str]:
    return [queue.take() for _ in range(queue.waiting)]


def test_parties_take_turns_and_within_a_party_its_members():
    queue: Queue[str] = Queue()
    for n in range(100):
        queue.put(f"flood {n}", BAND, Owner("a", "x@a"))
    queue.put("colleague", BAND, Owner("a", "y@a"))
    queue.put("other", BAND, Owner("b", "z@b"))
    queue.put("urgent", BAND + 1, Owner("a", "x@a"))
    assert drained(queue)[:5] == ["urgent", "flood 0", "other", "colleague", "flood 1"]
    assert (queue.waiting, queue._bands, queue.by_owner, queue.by_party) == (0, {}, {}, {})


def test_a_party_s_wait_does_not_depend_on_how_much_another_sends():
    for flood in (10, 1_000, 100_000):
        queue: Queue[str] = Queue()
        for n in range(flood):
            queue.put("a", BAND, Owner("a", f"{n % 50}@a"))
        queue.put("b", BAND, Owner("b", "z@b"))
        assert "b" in [queue.take() for _ in range(3)]


def test_of_one_member_the_first_comes_first_whoever_leaves_between():
    queue: Queue[str] = Queue()
    places = [queue.put(str(n), BAND, Owner("a", "x@a")) for n in range(40)]
    for place in places[1::3]:
        queue.leave(place)
        queue.leave(place)
    left = [str(n) for n in range(40) if n % 3 != 1]
    assert drained(queue) == left


def test_routine_keeps_moving_under_sustained_immediate():
    """At 80 % load of IMMEDIATE, and when there is more of it than can be decided."""
    for arriving, longest in ((0.8, 5 * OLDEST_EVERY), (1.0, 1_200), (3.0, 1_200)):
        queue: Queue[tuple[str, int]] = Queue()
        waited: dict[str, list[int]] = {"routine": [], "immediate": []}
        owed = 0.0
        for turn in range(4_000):
            owed += arriving
            while owed >= 1:
                owed -= 1
                if queue.by_band[3] < WAITING_OF_PARTY:  # as at the door: the rest is turned away
                    queue.put(("immediate", turn), 3, Owner("a", f"{turn % 7}@a"))
            if turn % 20 == 0:  # 5 %, and of the party that sends all the IMMEDIATE, too
                queue.put(("routine", turn), 1, Owner("a", "slow@a"))
            if queue.waiting:
                kind, since = queue.take()
                waited[kind].append(turn - since)
        assert len(waited["routine"]) + queue.by_band[1] == 200
        assert len(waited["routine"]) >= 0.7 * 200, (arriving, len(waited["routine"]))
        assert max(waited["routine"]) <= longest, (arriving, max(waited["routine"]))


@pytest.fixture
async def node(tmp_path):
    async with live_node(tmp_path / "home") as live:
        await live.open_channel()
        yield live


@pytest.fixture
async def door(node: LiveNode):
    door = Door(node.running.services.intake.admission)
    yield door
    await door.ends()
    assert (door.admission.past.taken, door.admission.waiting) == (0, 0)


async def test_routine_is_receipted_while_immediate_saturates_a_node(node):
    """Over real sockets: eight senders of IMMEDIATE never pause, and routine is decided all the same."""
    key, ended = signing(f"{ANNA}/1"), asyncio.Event()
    world, counts = node.world, Counter[str]()
    first = world.next_serial(key, "mod.example")
    serials = iter(range(first, first + 250))
    urgent = [node.note(serial=next(serials), precedence=IMMEDIATE) for _ in range(200)]
    quiet = [node.note(serial=next(serials), kind="service", precedence=ROUTINE) for _ in range(10)]
    waiting = iter(urgent)

    async def press() -> None:
        for note in waiting:
            if ended.is_set():
                return
            status, text = await node.post(**note.parts)
            assert status == 201, text
            counts["immediate"] += 1

    pressing = [asyncio.create_task(press()) for _ in range(8)]
    async with asyncio.timeout(20):
        for note in quiet:
            status, text = await node.post(**note.parts)
            assert status == 201, text
            counts["routine"] += 1
    still = counts["immediate"] < len(urgent)
    ended.set()
    await asyncio.gather(*pressing)
    assert counts["routine"] == 10
    assert still, "the pressure ended before routine was through"


async def test_one_party_s_flood_does_not_keep_another_waiting(node, door):
    for n in range(PAST_MAX):
        await door.comes(f"filling {n}", said(node, Precedence.ROUTINE))
    for n in range(50):
        await door.comes(f"flood {n}", said(node, Precedence.ROUTINE))
    await door.comes("other", answer(node))
    door.let_in.clear()
    for n in range(2):
        door.held[f"filling {n}"].decided()
        await settled()
    assert door.let_in == ["flood 0", "other"]


def answer(node: LiveNode) -> Any:
    """Return a routine statement of the other party."""
    return node.world.answer(DORA, Verdict.DELIVERED, node.world.note().digest)


async def test_of_one_member_and_one_party_only_so_many_wait(node, door, monkeypatch):
    monkeypatch.setattr(module, "WAITING_OF_MEMBER", 3)
    monkeypatch.setattr(module, "WAITING_OF_PARTY", 3)
    for n in range(PAST_MAX + 3):
        await door.comes(f"flood {n}", said(node, Precedence.ROUTINE))
    with pytest.raises(Overloaded, match="this member or party sent waits already"):
        async with door.admission.admitted(said(node, Precedence.ROUTINE), is_known=True):
            pass
    await door.comes("other", answer(node))
    assert door.admission.waiting == 4
    # Nor does it keep its own people from what is urgent.
    await door.comes("flash", said(node, Precedence.FLASH))
    assert door.let_in[-1] == "flash"


async def test_who_sends_more_urgent_notes_than_people_do_waits_at_the_door(node, door):
    for n in range(PAST_MAX):
        await door.comes(f"filling {n}", said(node, Precedence.ROUTINE))
    flash = said(node, Precedence.FLASH)
    for _ in range(EXPRESS_AT_ONCE):
        async with door.admission.admitted(flash, is_known=True):
            pass
    door.let_in.clear()
    await door.comes("routine", said(node, Precedence.ROUTINE))
    await door.comes("one too many", flash)
    assert door.let_in == []
    door.held["filling 0"].decided()
    await settled()
    assert door.let_in == ["one too many"], "it still goes before what is less urgent"
    node.clock.advance(SECOND // 64 + 1)
    await door.comes("in time", flash)
    assert door.let_in[-1] == "in time"


async def test_a_forger_does_not_use_up_a_member_s_express(node, door):
    flash = said(node, Precedence.FLASH)
    for _ in range(2 * EXPRESS_AT_ONCE * OF_PARTY):
        async with door.admission.admitted(flash, is_known=True) as admitted:
            admitted.forged()
    for n in range(PAST_MAX):
        await door.comes(f"filling {n}", said(node, Precedence.ROUTINE))
    await door.comes("honest", flash)
    assert door.let_in[-1] == "honest"


async def test_of_a_crowd_in_a_member_s_name_signatures_are_checked_first(node, door, monkeypatch):
    for n in range(PAST_MAX + CROWD):
        await door.comes(f"filling {n}", said(node, Precedence.ROUTINE))
    sent = node.note(kind="service", precedence=ROUTINE)
    raw = sent.statement.raw
    start = raw.index(b'"sig":"') + len(b'"sig":"')
    forged = raw[:start] + b"AAAA" + raw[start + 4 :]
    status, problem = await node.post(**{**sent.parts, "statement": forged})
    assert (status, problem["code"]) == (403, "signature-invalid")
    assert door.admission.waiting == CROWD
    monkeypatch.setattr(door.admission, "wait_s", 0)
    status, problem = await node.post(**sent.parts)
    assert (status, problem["code"]) == (429, "overloaded")


async def test_a_rate_is_held_to_with_retry_after_and_flash_is_admitted(node):
    services = node.running.services
    services.intake.admission._rates = Rates(member_per_s=1).buckets()
    first = node.world.next_serial(signing(f"{ANNA}/1"), "mod.example")

    def note(n: int, **precedence: Any) -> Any:
        return node.note(serial=first + n, kind="service", **precedence)

    for n in range(2):
        status, text = await node.post(**note(n, precedence=ROUTINE).parts)
        assert status == 201, text
    extra = note(2, precedence=ROUTINE)
    form = aiohttp.FormData()
    for name, data in extra.parts.items():
        form.add_field(name, data, content_type="application/octet-stream", filename=name)
    async with node.http.post(f"{node.running.url}/v1/statements", data=form) as reply:
        assert (reply.status, reply.headers["Retry-After"]) == (429, "1")
        problem = await reply.json()
    assert problem["code"] == "limited"
    assert problem["detail"] == "this member sends more than 1 statements a second"
    assert (await node.post(**node.note(serial=first + 3).parts))[0] == 201, (
        "FLASH goes past where ROUTINE is turned away"
    )
    node.clock.advance(SECOND)
    assert (await node.post(**extra.parts))[0] == 201


async def test_a_party_s_rate_is_not_another_s(node):
    admission: Admission = node.running.services.intake.admission
    admission._rates = Rates(party_per_s=1).buckets()

    async def come(statement: Any) -> None:
        async with admission.admitted(statement, is_known=True):
            pass

    for _ in range(2):
        await come(said(node, Precedence.ROUTINE))
    with pytest.raises(Limited, match="this party sends more than 1"):
        await come(said(node, Precedence.ROUTINE))
    await come(answer(node))


def test_a_bucket_fills_with_time_and_not_beyond_its_size():
    buckets = Buckets(at_once=2, per_s=4)
    assert [buckets.take("a", 0) for _ in range(3)] == [True, True, False]
    assert buckets.take("b", 0)
    assert buckets.wait_s("a", 0) == 0.25
    assert not buckets.take("a", SECOND // 4 - 1)
    assert buckets.take("a", SECOND // 4)
    buckets.give_back("a")
    assert buckets.take("a", SECOND // 4)
    assert [buckets.take("a", 3600 * SECOND) for _ in range(3)] == [True, True, False]


def test_buckets_are_bounded_and_who_has_emptied_one_finds_it_empty():
    buckets = Buckets(at_once=2, per_s=1, kept_max=100)
    assert buckets.take("greedy", 0)
    assert buckets.take("greedy", 0)
    for n in range(10_000):
        buckets.take(f"other {n}", 0)
        assert len(buckets) <= 100
    assert not buckets.take("greedy", 0)
