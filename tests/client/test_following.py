"""Following an inbox, by the SDK over a real node: each item once, whatever the network does."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liaison.client import Content, Draft, Letter, Unopened
from liaison.client.following import BACKOFF_MAX_S, BACKOFF_S, GATHER_S, PACING, Delay, Pacing
from liaison.main import run_node
from liaison.node.streaming import FAILED, NOT_ALLOWED, REPLACED, SESSION_ENDED, SILENT, Ended
from liaison.settings import Settings
from liaison.words.errors import Busy, LogUntrusted, Malformed, NodeUnreachable, NotReady
from liaison.words.precedence import Precedence
from liaison.words.times import HOUR, MINUTE, SECOND
from tests.client.council import CANARY, DUTY, council

PATIENCE_S = 30


@pytest.fixture
async def world(tmp_path, monkeypatch):
    async with council(tmp_path, monkeypatch) as made:
        yield made


def note(subject: str, precedence: Precedence = Precedence.ROUTINE, **members) -> Draft:
    kind = "leader" if precedence is Precedence.FLASH else "service"
    said = {"content": Content.text(subject, CANARY), "kind": kind, **members}
    return Draft(channel="london-hotline", to=(DUTY,), precedence=precedence, **said)


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


async def test_a_restart_goes_on_where_the_last_item_was_given(world):
    async with world.client("F") as f:
        for n in range(8):
            await f.send(note(f"note {n}"))
    async with world.client("M") as m, aclosing(m.follow()) as items:
        assert subjects(await take(items, 3)) == ["note 0", "note 1", "note 2"]
    async with world.client("M") as m, aclosing(m.follow()) as items:
        assert subjects(await take(items, 2)) == ["note 3", "note 4"]
    async with world.client("M") as m:
        assert subjects(await m.inbox()) == ["note 5", "note 6", "note 7"]
        assert await m.inbox() == []
    async with world.client("F") as f:
        await f.send(note("late", Precedence.FLASH))
    async with world.client("M") as m, aclosing(m.follow()) as items:
        assert subjects(await take(items, 1)) == ["late"]


async def test_what_the_list_has_shown_the_stream_doesnt_and_the_other_way_round(world):
    async with world.client("F") as f, world.client("M") as m:
        await f.send(note("listed"))
        assert subjects(await m.inbox()) == ["listed"]
        await f.send(note("streamed"))
        async with aclosing(m.follow()) as items:
            assert subjects(await take(items, 1)) == ["streamed"]
        await f.send(note("listed again"))
        assert subjects(await m.inbox()) == ["listed again"]


async def test_after_a_crash_what_was_being_given_is_given_again_and_nothing_else(world):
    async with world.client("F") as f:
        for n in range(4):
            await f.send(note(f"note {n}"))
    state = world.folder / "M" / "inbox.json"
    async with world.client("M") as m:
        items = m.follow()
        assert subjects(await take(items, 4)) == [f"note {n}" for n in range(4)]
        crashed = state.read_bytes()
        await f_sends(world, "later")
        assert subjects(await take(items, 1)) == ["later"]
        await items.aclose()
    state.write_bytes(crashed)
    async with world.client("M") as m, aclosing(m.follow()) as items:
        again = subjects(await take(items, 5))
    assert again == [*(f"note {n}" for n in range(4)), "later"]


async def f_sends(world, subject: str, precedence: Precedence = Precedence.ROUTINE) -> None:
    async with world.client("F") as f:
        await f.send(note(subject, precedence))


async def test_each_item_comes_once_though_the_connection_breaks_again_and_again(world):
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await PACING.sleep(0)

    streams = world.running.services.streams
    async with world.client("F") as f, world.client("M") as m:
        pacing = Pacing(sleep=pause, chance=lambda: 0.5)
        async with aclosing(m.follow(pacing=pacing)) as items:
            found = []
            for n in range(6):
                await f.send(note(f"note {n}"))
                found += await take(items, 1)
                for stream in list(streams._of_key.values()):
                    _cut(stream, n)
            await f.send(note("last"))
            found += await take(items, 1)
    assert subjects(found) == [*(f"note {n}" for n in range(6)), "last"]
    assert pauses


def _cut(stream, n: int) -> None:
    """End a stream in one of the ways in which a node may."""
    ways = (FAILED, SESSION_ENDED, SILENT, Ended(4430, "window-shut"), NOT_ALLOWED)
    stream.end(ways[n % len(ways)])


@pytest.mark.parametrize("ended", [SESSION_ENDED, NOT_ALLOWED])
async def test_a_node_that_ends_each_session_at_once_is_lost_and_asked_ever_more_seldom(
    ended, world, monkeypatch
):
    """The session lasts; what the node says when it ends the stream is its own word."""
    pauses: list[float] = []
    lost: list[object] = []
    streams = type(world.running.services.streams)
    honest = streams.open

    def ends(self, *whose):
        stream = honest(self, *whose)
        stream.end(Ended(ended.code, ended.reason, {"type": "ready"}))
        return stream

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            monkeypatch.setattr(streams, "open", honest)
        await PACING.sleep(0)

    await f_sends(world, "waits")
    monkeypatch.setattr(streams, "open", ends)
    pacing = Pacing(sleep=pause, chance=lambda: 0.5, now=lambda: 0.0)
    async with world.client("M") as m, aclosing(m.follow(lost=lost.append, pacing=pacing)) as items:
        assert subjects(await take(items, 1)) == ["waits"]
    assert pauses[:5] == [0.25, 0.5, 1, 2, 4]
    assert [str(one) for one in lost] == ["The node ends each session as soon as it began"]


async def test_a_session_that_ends_after_its_time_is_followed_by_another_at_once(world):
    pauses: list[float] = []
    lost: list[object] = []
    passed = [0.0]

    async def pause(seconds: float) -> None:
        if seconds > GATHER_S:  # so long *delivered* is gathered
            pauses.append(seconds)
        await PACING.sleep(0)

    pacing = Pacing(sleep=pause, chance=lambda: 0.5, now=lambda: passed[0])
    streams = world.running.services.streams
    async with world.client("M") as m, aclosing(m.follow(lost=lost.append, pacing=pacing)) as items:
        for n in range(4):
            await f_sends(world, f"note {n}")
            assert subjects(await take(items, 1)) == [f"note {n}"]
            passed[0] += 15 * MINUTE / SECOND
            for stream in list(streams._of_key.values()):
                stream.end(SESSION_ENDED)
    assert (pauses, lost) == ([], [])


async def test_delivered_is_said_at_once_for_flash_and_together_for_the_rest(world):
    gate = asyncio.Event()

    async def held(_: float) -> None:
        await gate.wait()

    async with world.client("F") as f, world.client("M") as m:
        async with aclosing(m.follow(pacing=Pacing(sleep=held))) as items:
            await f.send(note("one"))
            await f.send(note("two"))
            await take(items, 2)
            before = _size(world)
            waiting = asyncio.create_task(take(items, 1))
            await f.send(note("flash", Precedence.FLASH))
            await waiting
            async with asyncio.timeout(PATIENCE_S):
                while _size(world) < before + 2:  # the note, and one statement for all three
                    await f.transport.about()
            await f.send(note("three"))
            await f.send(note("four"))
            await take(items, 2)
            before = _size(world)
            gate.set()
            async with asyncio.timeout(PATIENCE_S):
                while _size(world) < before + 1:
                    await f.transport.about()
        for n in range(1, 6):
            assert await _lives(f, f"london-hotline/{n}") == ["delivered"]
        assert _size(world) == before + 1


def _size(world) -> int:
    return world.running.services.sequencer.published.head.size


async def _lives(client, reference: str) -> list[object]:
    state = await client.status(reference)
    return [one["life"] for one in state["addressees"] if one["post"] == DUTY]


async def test_whose_place_another_process_takes_is_told(world):
    async with world.client("M") as m, aclosing(m.follow()) as items:
        waiting = asyncio.create_task(take(items, 1))
        streams = world.running.services.streams
        while not len(streams):
            await m.transport.about()
        (stream,) = streams._of_key.values()
        stream.end(REPLACED)
        with pytest.raises(NotReady, match="Another process follows with the key of this device"):
            await waiting


async def test_idle_is_said_when_nothing_waits_and_after_what_waited(world):
    said: list[str] = []

    def idle() -> None:
        said.append("idle")

    async with (
        world.client("F") as f,
        world.client("M") as m,
        aclosing(m.follow(idle=idle)) as items,
    ):
        waiting = asyncio.create_task(take(items, 1))
        while not said:
            await m.transport.about()
        await f.send(note("first"))
        await waiting
        assert said == ["idle"]
        waiting = asyncio.create_task(take(items, 1))
        await f.send(note("second"))
        await waiting
        assert said == ["idle", "idle"]


@given(st.integers(1, 40), st.floats(0, 1, exclude_max=True), st.floats(0, 1e6))
def test_a_delay_is_jittered_bounded_and_none_after_a_success(failures, chance, asked):
    delay = Delay(lambda: chance)
    assert delay.next_s() == 0
    for _ in range(failures):
        delay.failed(asked)
    most = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** (failures - 1))
    assert delay.next_s() == min(asked, BACKOFF_MAX_S) + chance * most
    delay.succeeded()
    assert delay.next_s() == 0


async def test_who_follows_waits_for_a_node_that_is_down_and_comes_back_after_a_restart(
    tmp_path, monkeypatch
):
    async with council(tmp_path, monkeypatch) as world:
        await f_sends(world, "before")
    listen = world.running.url.removeprefix("http://")
    settings = Settings(home=tmp_path / "N", listen=listen)
    tried = asyncio.Event()

    async def pause(_: float) -> None:
        tried.set()
        await asyncio.sleep(0)

    async with world.client("M") as m, aclosing(m.follow(pacing=Pacing(sleep=pause))) as items:
        waiting = asyncio.create_task(take(items, 1))
        await tried.wait()
        async with run_node(settings, clock=world.clock):
            assert subjects(await waiting) == ["before"]
            waiting = asyncio.create_task(take(items, 2))
            await f_sends(world, "streamed")
            tried.clear()
        await tried.wait()
        async with run_node(settings, clock=world.clock):
            await f_sends(world, "after")
            assert subjects(await waiting) == ["streamed", "after"]


async def test_content_that_is_too_large_to_come_along_is_fetched(world):
    text = CANARY + "\n" + "a long telegram " * 6000
    async with world.client("F") as f, world.client("M") as m, aclosing(m.follow()) as items:
        await f.send(note("Long", content=Content.text("Long", text)))
        (letter,) = await take(items, 1)
        assert letter.content.body == text


@pytest.mark.parametrize("lie", ["position", "receipt"])
async def test_a_node_that_lies_in_the_stream_is_found_out(lie, world, monkeypatch):
    reading = world.running.services.reading
    honest = type(reading).items

    async def lying(self, *args, **said):
        shown = await honest(self, *args, **said)
        for item in shown:
            if lie == "position":
                pos, note_index = item["position"].split(".")
                item["position"] = f"{int(pos) + 1}.{note_index}"
            else:
                item["receipt"] = item["receipt"].replace("index ", "index 1")
        return shown

    await f_sends(world, "true")
    async with world.client("M") as m:
        with monkeypatch.context() as patched:
            patched.setattr(type(reading), "items", lying)
            with pytest.raises((LogUntrusted, Malformed)):
                async with aclosing(m.follow()) as items:
                    await take(items, 1)
        assert subjects(await m.inbox()) == ["true"], "nothing was lost by the lie"


async def test_one_item_that_cant_be_had_keeps_back_no_other_and_comes_later(world, monkeypatch):
    large = CANARY + "\n" + "a long telegram " * 6000
    reading = type(world.running.services.reading)
    honest = reading.note_content

    async def failing(self, reader, digest):
        raise Busy("a disk that answers no more")

    async with world.client("F") as f:
        await f.send(note("large", content=Content.text("large", large)))
        await f.send(note("small"))
    pacing = Pacing(sleep=lambda _: asyncio.sleep(0))
    async with world.client("M") as m:
        monkeypatch.setattr(reading, "note_content", failing)
        lost: list[object] = []
        async with aclosing(m.follow(pacing=pacing, lost=lost.append)) as items:
            unopened, small = await take(items, 2)
        assert isinstance(unopened, Unopened)
        assert isinstance(unopened.error, Busy)
        assert subjects([small]) == ["small"]
        assert lost
        monkeypatch.setattr(reading, "note_content", honest)
        assert subjects(await m.inbox()) == ["large"]
        assert await m.inbox() == []


async def test_one_note_that_is_no_longer_ours_to_answer_keeps_back_none_of_the_others(
    world, monkeypatch
):
    async with world.client("F") as f:
        sent = [await f.send(note(f"note {n}")) for n in range(4)]
        late = await f.send(note("late", latest_delivery=world.clock.now() + HOUR))
        sent.append(await f.send(note("last")))

    async def gone(*_: object) -> str:
        raise NodeUnreachable("it is gone")

    async with world.client("M") as m:
        with monkeypatch.context() as patched:
            patched.setattr(m.transport, "submit", gone)
            assert len(await m.inbox()) == 6
        await world.passes(2 * HOUR // SECOND)
        await m.inbox()
    async with world.client("F") as f:
        assert [await _lives(f, one.reference) for one in sent] == [["delivered"]] * 5
        assert await _lives(f, late.reference) == ["non-delivered"]


async def test_what_was_taken_and_not_shown_outlives_a_start_that_failed(world, monkeypatch):
    async with world.client("F") as f:
        for n in range(4):
            await f.send(note(f"note {n}"))
    async with world.client("M") as m, aclosing(m.follow()) as items:
        assert subjects(await take(items, 1)) == ["note 0"]
    asked = asyncio.Event()

    async def gone(*_: object) -> None:
        asked.set()
        raise NodeUnreachable("it is gone")

    async with world.client("M") as m:
        monkeypatch.setattr(m, "_take_at", gone)
        async with aclosing(
            m.follow(pacing=Pacing(sleep=lambda _: asyncio.Event().wait()))
        ) as items:
            waiting = asyncio.create_task(take(items, 1))
            await asked.wait()
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
    async with world.client("M") as m, aclosing(m.follow()) as items:
        assert subjects(await take(items, 3)) == ["note 1", "note 2", "note 3"]


async def test_a_later_page_that_can_t_be_had_loses_nothing_of_an_earlier_one(world, monkeypatch):
    monkeypatch.setattr("liaison.client.member.PAGE_ITEMS", 2)
    async with world.client("F") as f:
        for n in range(5):
            await f.send(note(f"note {n}"))
    async with world.client("M") as m:
        honest, pages = m.transport.read, 0

        async def fails_at_the_second(path: str) -> dict[str, object]:
            nonlocal pages
            pages += path.startswith("/v1/inbox")
            if pages == 2:
                raise NodeUnreachable("it is gone")
            return await honest(path)

        monkeypatch.setattr(m.transport, "read", fails_at_the_second)
        with pytest.raises(NodeUnreachable):
            await m.inbox()
    async with world.client("M") as m:
        assert subjects(await m.inbox()) == [f"note {n}" for n in range(5)]
        assert await m.inbox() == []


async def test_what_could_not_be_judged_is_said_so_once_and_shown_once_when_it_can(
    world, monkeypatch
):
    await f_sends(world, "early")
    async with world.client("M") as m:

        async def not_yet(*_: object) -> None:
            raise NotReady("its party is not pinned")

        with monkeypatch.context() as patched:
            patched.setattr(m, "_open", not_yet)
            async with aclosing(m.follow()) as items:
                (unopened,) = await take(items, 1)
                assert isinstance(unopened, Unopened)
    await f_sends(world, "late")
    for expected in (["early", "late"], []):
        async with world.client("M") as m, aclosing(m.follow()) as items:
            assert subjects(await take(items, len(expected))) == expected
    async with world.client("M") as m:
        assert await m.inbox() == []
