"""Minimize by the SDK: who writes is warned before anything is sealed, and the node has the last word."""

from __future__ import annotations

import pytest

from liaison.client import Content, Draft, LinkBroken
from liaison.words.errors import RefusedByNode
from liaison.words.precedence import Precedence
from liaison.words.times import HOUR, to_dtg
from tests.client.council import CANARY, DUTY, LONDON, council

IMMEDIATE, ROUTINE = Precedence.IMMEDIATE, Precedence.ROUTINE


@pytest.fixture
async def world(tmp_path, monkeypatch):
    async with council(tmp_path, monkeypatch) as made:
        yield made


def note(precedence: Precedence = ROUTINE, **members) -> Draft:
    said = {"to": (DUTY,), "kind": "leader", "precedence": precedence, **members}
    return Draft(channel="london-hotline", content=Content.text("Convoy", CANARY), **said)


async def minimize(world, lasts: int = HOUR) -> int:
    until = world.clock.now() + lasts
    async with world.client("O") as operator:
        done = await operator.minimize("london-hotline", IMMEDIATE, until, "The cable is cut")
        assert (done.what, done.reference) == ("minimize", "london-hotline")
    return until


async def test_who_writes_is_warned_before_anything_is_sealed(world):
    async with world.client("F") as f:
        assert (await f.plan(note())).turned_away is None
    until = await minimize(world)
    async with world.client("F") as f:
        warned = (await f.plan(note())).turned_away
        assert warned is not None
        assert warned.text == (
            "mod.example has MINIMIZE on london-hotline below IMMEDIATE until "
            f"{to_dtg(until)}: The cable is cut"
        )
        for passes in (note(IMMEDIATE), note(kind="service"), note(deferred_until=until)):
            assert (await f.plan(passes)).turned_away is None
        with pytest.raises(RefusedByNode) as refused:
            await f.send(note())
        assert refused.value.problem == "minimize"
        advice = f"the node advises: {warned.do} · its text: liaison outbox show "
        assert refused.value.do.startswith(advice)
        assert refused.value.happened == warned.text
        sent = await f.send(note(IMMEDIATE))
        assert sent.reference == "london-hotline/1"  # the refused one spent no serial
        assert not f.outbox.has_waiting


async def test_the_own_party_is_held_too_but_answers(world):
    async with world.client("F") as f:
        await f.send(note(reply_by=world.clock.now() + HOUR))
    await minimize(world)
    async with world.client("M") as m:
        (letter,) = await m.inbox()
        with pytest.raises(RefusedByNode, match="has MINIMIZE"):
            await m.send(note(to=(LONDON,)))
        answer = note(to=(LONDON,), in_reply_to=letter.digest)
        assert (await m.plan(answer)).turned_away is None
        await m.acknowledge(letter.reference)
        await m.send(answer)


async def test_who_was_refused_looks_again_the_next_time(world):
    async with world.client("F") as f:
        assert (await f.plan(note())).turned_away is None
        await minimize(world)
        with pytest.raises(RefusedByNode, match="has MINIMIZE"):
            await f.send(note())
        assert (await f.plan(note())).turned_away is not None


async def test_an_operator_ends_it_and_nobody_is_warned_any_more(world):
    await minimize(world)
    async with world.client("W") as watch:
        (seen,) = await watch.minimized()
        assert (seen["party"], seen["text"]) == ("mod.example", "The cable is cut")
        with pytest.raises(RefusedByNode, match="has no MINIMIZE"):
            await watch.minimize("london-hotline")  # it is the other party's
    async with world.client("O") as operator:
        await operator.minimize("london-hotline")
        assert await operator.minimized() == []
    async with world.client("F") as f:
        assert (await f.plan(note())).turned_away is None
        await f.send(note())


async def test_it_is_over_at_its_time_without_a_word(world):
    await minimize(world, HOUR)
    await world.passes(3600)
    async with world.client("F") as f:
        view = await f.book.channel("london-hotline", is_fresh=True)
        assert view.cell.minimized is None
        await f.send(note())


async def test_what_no_operator_said_warns_nobody(world, monkeypatch):
    await minimize(world)

    async def breaks(*_) -> None:
        raise LinkBroken("device", "not a device in force")

    async with world.client("F") as f:
        with monkeypatch.context() as patch:
            patch.setattr(f.book, "check_speaker", breaks)
            assert (await f.plan(note())).turned_away is None
        f.book.forget()
        f._planner.forget()
        assert (await f.plan(note())).turned_away is not None


async def test_another_record_shown_as_minimize_is_named(world):
    async with world.client("F") as f:
        sent = await f.send(note())
        receipt = sent.receipt.read_text()
        honest = f.transport.read

        async def lies(path: str) -> dict[str, object]:
            answer = await honest(path)
            return (
                {**answer, "minimized": [receipt]} if path.startswith("/v1/channels/") else answer
            )

        f.transport.read = lies
        f._planner.forget()
        with pytest.raises(LinkBroken, match="shows a note statement where a watch was asked"):
            await f.plan(note())
