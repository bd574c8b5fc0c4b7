"""Drafts, ladders, procedures and the queue, by the SDK over a real node on a clock moved by hand."""

from __future__ import annotations

import asyncio

import pytest

from liaison.client import Content, Draft, Told
from liaison.client.watching import check_digest
from liaison.ledger.facts import RungFacts
from liaison.statements.charters import Standing
from liaison.statements.payloads import AddresseeRole, Verdict
from liaison.statements.procedures import WatchAction
from liaison.words.errors import Malformed, NotHere, NotReady, RefusedByNode
from liaison.words.precedence import Precedence
from liaison.words.times import MINUTE, SECOND
from tests.client.council import (
    CANARY,
    CHAIR,
    DEPUTY,
    DUTY,
    HEAD,
    LEGAL,
    LONDON,
    MISSION,
    council,
    letters,
    news,
)


@pytest.fixture
async def world(tmp_path, monkeypatch):
    async with council(tmp_path, monkeypatch) as made:
        yield made


def flash(**members) -> Draft:
    return Draft(
        channel="london-hotline",
        content=Content.text("Convoy", CANARY),
        **{"to": (DUTY,), "kind": "leader", **members},
    )


def verbale(**members) -> Draft:
    said = {"to": (DUTY,), "clear": (LEGAL,), "info": (HEAD,), **members}
    return Draft(
        channel="london-notes",
        content=Content.text("Overflight", CANARY),
        kind="note-verbale",
        **said,
    )


def proposal(until: int, **members) -> Draft:
    return Draft(
        channel="council",
        to=(),
        info=(DUTY, MISSION, CHAIR),
        content=Content.text("A patrol", CANARY),
        silence_until=until,
        **members,
    )


async def test_a_standby_copy_opens_with_its_tier_and_not_before(world):
    async with world.client("F") as f:
        sent = await f.send(flash())
    async with world.client("D") as d:
        assert await d.inbox() == []
        with pytest.raises(NotHere):
            await d.transport.read(f"/v1/notes/{check_digest(sent.digest)}/content")
    assert await world.passes(3.1) == 1  # alerted again
    async with world.client("M") as m:
        items = await m.inbox()
        assert [letter.reference for letter in letters(items)] == ["london-hotline/1"]
        assert [item.kind for item in news(items)] == ["alert"]
    assert await world.passes(7) == 3  # alert again, raise, open
    async with world.client("D") as d:
        (letter,) = letters(await d.inbox())
        assert letter.content.body == CANARY
        told = await d.acknowledge(letter.reference)
        assert told.post == DEPUTY
    assert await world.passes(600) == 0  # nothing rings for what was taken on
    async with world.client("F") as f:
        (heard,) = [item for item in await f.inbox() if isinstance(item, Told)]
        assert (heard.verdict, heard.by) == (Verdict.ACKNOWLEDGED, "deputy.1@mod.example")
        certified = await f.certificates(sent.reference)
        effects = [h.facts.effect for h, _ in certified if isinstance(h.facts, RungFacts)]
        assert effects == ["alert", "alert", "raise", "open"]
        assert all(path.exists() for _, path in certified)


async def test_a_declined_note_climbs_at_once(world):
    async with world.client("F") as f:
        await f.send(flash())
    async with world.client("M") as m:
        await m.inbox()
        told = await m.decline("london-hotline/1", "Not ours")
        assert told.verdict is Verdict.DECLINED
    # Not after the three seconds of the charter: nobody is left to be alerted, so it is raised too.
    assert await world.passes(0.01) == 2


async def test_who_answers_stops_what_waits_for_the_answer(world):
    async with world.client("F") as f:
        sent = await f.send(flash(reply_by=world.clock.now() + 5 * MINUTE))
    async with world.client("M") as m:
        (letter,) = letters(await m.inbox())
        await m.acknowledge(letter.reference)
    await world.passes(301)
    async with world.client("F") as f:
        (overdue,) = news(await f.inbox(), "certificate")
        assert "no answer came" in overdue.text
        state = await f.status(sent.reference)
        assert state["waits_for"] == "answer"
    async with world.client("M") as m:
        assert [item.kind for item in news(await m.inbox())] != []
        await m.send(
            Draft(
                channel="london-hotline",
                to=(LONDON,),
                content=Content.text("Re: Convoy", "Here it is"),
                kind="leader",
                in_reply_to=letter.digest,
            )
        )
    async with world.client("F") as f:
        state = await f.status(sent.reference)
        assert "waits_for" not in state
        assert state["addressees"][0]["replied"] > state["addressees"][0]["overdue"]


async def test_each_post_has_a_time_of_its_own_for_its_answer(world):
    soon, later = (world.clock.now() + n * MINUTE for n in (5, 9))
    async with world.client("F") as f:
        with pytest.raises(Malformed, match="is not asked to act"):
            await f.send(flash(replies_by={DEPUTY: soon}))
        sent = await f.send(
            flash(to=(DUTY, DEPUTY), standby=(), replies_by={DUTY: soon}, reply_by=later)
        )
        state = await f.status(sent.reference)
    times = {one["post"]: one.get("reply_by") for one in state["addressees"]}
    assert (times[DUTY], times[DEPUTY]) == (soon, later)
    async with world.client("M") as m:
        (letter,) = letters(await m.inbox())
        assert {a.post: a.reply_by for a in letter.note.addressees}[DUTY] == soon
    await world.passes(301)
    async with world.client("F") as f:
        state = await f.status(sent.reference)
        overdue = {one["post"]: one.get("overdue") for one in state["addressees"]}
        assert (overdue[DUTY], overdue[DEPUTY]) == (soon, None)


async def test_a_draft_keeps_the_times_of_its_addressees_until_it_is_released(world):
    soon = world.clock.now() + 5 * MINUTE
    async with world.client("F") as f:
        drafted = await f.send(verbale(clear=(), replies_by={DUTY: soon}))
    async with world.client("R") as r:
        await r.inbox()
        await r.release(await r.read(drafted.reference))
    async with world.client("F") as f:
        await f.inbox()
        state = await f.status("london-notes/1")
    assert {one["post"]: one.get("reply_by") for one in state["addressees"]}[DUTY] == soon


async def test_a_draft_is_cleared_released_and_numbered_by_two_people(world):
    async with world.client("F") as f:
        drafted = await f.send(verbale())
        assert drafted.reference.startswith("london-notes/draft-")
    async with world.client("M") as m:
        assert await m.inbox() == []
        with pytest.raises(NotHere):
            await m.transport.read(f"/v1/notes/{check_digest(drafted.digest)}")
    async with world.client("R") as r:
        (letter,) = letters(await r.inbox())
        assert letter.content.body == CANARY
        with pytest.raises(RefusedByNode) as refused:
            await r.release(letter)
        assert refused.value.problem == "not-cleared"
    async with world.client("L") as legal:
        await legal.inbox()
        await legal.acknowledge(drafted.reference)
    async with world.client("F") as f:
        with pytest.raises(RefusedByNode) as refused:
            await f.release(await f.read(drafted.reference))
        assert refused.value.problem in ("role", "own-draft")
    async with world.client("R") as r:
        done = await r.release(await r.read(drafted.reference))
        assert done.reference == "london-notes/1"
        assert done.number.endswith(" 1/2026")
        assert (await r.read("london-notes/1")).content.body == CANARY
    async with world.client("M") as m:
        (letter,) = letters(await m.inbox())
        assert (letter.reference, letter.content.body) == ("london-notes/1", CANARY)
        assert (await m.acknowledge("london-notes/1")).post == DUTY
    async with world.client("F") as f:
        items = await f.inbox()
        assert "london-notes/1 was released by head.mission.1@fco.example" in [
            item.text for item in news(items, "released")
        ]
        assert (await f.read("london-notes/1")).digest == drafted.digest


async def test_a_node_with_the_draft_and_the_foreign_reader_cant_open_it(world):
    """Whatever a hostile node gives: there is no wrap for anybody outside the drafting party."""
    async with world.client("F") as f:
        drafted = await f.send(verbale())
        letter = await f.read(drafted.reference)
    async with world.client("M") as m:
        mine = set(m.device.opening)
        named = {wrap.key for wrap in letter.note.wraps()}
        assert mine
        assert not mine & named
        row = await world.running.services.reading.store.entry_of(drafted.digest)
        assert row is not None
        everything = await world.running.services.reading.store.wraps([row.index], m.device.key.id)
        assert everything == {}


async def test_an_objection_in_time_breaks_a_proposal_and_a_late_one_is_recorded(world):
    until = world.clock.now() + MINUTE
    async with world.client("F") as f:
        broken = await f.send(proposal(until))
        adopted = await f.send(proposal(until))
    async with world.client("P") as p:
        assert len(letters(await p.inbox())) == 2
        done = await p.object_to(broken.reference, reason="Not this week")
        assert not done.is_late
    assert await world.passes(61) == 1
    async with world.client("P") as p:
        (decision,) = news(await p.inbox(), "decision")
        assert "adopted as decision 1" in decision.text
        assert (await p.object_to(adopted.reference)).is_late
    async with world.client("F") as f:
        assert (await f.status(broken.reference))["procedure"]["stage"] == "broken"
        assert (await f.status(adopted.reference))["procedure"]["stage"] == "adopted"


async def test_the_chair_extends_and_an_amendment_breaks(world):
    until = world.clock.now() + MINUTE
    async with world.client("F") as f:
        sent = await f.send(proposal(until))
    async with world.client("P") as p:
        await p.inbox()
        with pytest.raises(RefusedByNode) as refused:
            await p.extend(sent.reference, until + MINUTE)
        assert refused.value.problem == "seat"
    async with world.client("C") as c:
        await c.inbox()
        with pytest.raises(RefusedByNode) as refused:
            await c.extend(sent.reference, until - SECOND)
        assert refused.value.problem == "silence-until"
        await c.extend(sent.reference, until + MINUTE)
    assert await world.passes(61) == 0
    async with world.client("P") as p:
        await p.inbox()
        digest, _ = await p.find(sent.reference)
        await p.send(
            Draft(
                channel="council",
                to=(),
                info=(LONDON, DUTY, CHAIR),
                content=Content.text("A better patrol", "From Friday"),
                silence_until=world.clock.now() + MINUTE,
                amends=digest,
            )
        )
    async with world.client("F") as f:
        assert (await f.status(sent.reference))["procedure"]["stage"] == "broken"


async def test_a_deferred_note_is_shown_in_time_or_cancelled_before(world):
    later = world.clock.now() + 5 * MINUTE
    async with world.client("F") as f:
        await f.send(flash(deferred_until=later))
        await f.send(flash(deferred_until=later))
        assert (await f.withdraw("london-hotline/2")).what == "withdrawal"
    async with world.client("M") as m:
        assert await m.inbox() == []
    await world.passes(301)
    async with world.client("M") as m:
        assert [letter.reference for letter in letters(await m.inbox())] == ["london-hotline/1"]


async def test_routine_waits_for_a_post_on_hold_and_immediate_passes(world):
    async with world.client("M") as m:
        until = world.clock.now() + 10 * MINUTE
        await m.hold("london-hotline", DUTY, Precedence.PRIORITY, until)
    async with world.client("F") as f:
        await f.send(flash(precedence=Precedence.ROUTINE))
        await f.send(flash(precedence=Precedence.IMMEDIATE))
    async with world.client("M") as m:
        assert [letter.reference for letter in letters(await m.inbox())] == ["london-hotline/2"]
        await m.hold("london-hotline", DUTY)
        assert [letter.reference for letter in letters(await m.inbox())] == ["london-hotline/1"]


async def test_the_queue_is_the_own_partys_and_of_two_claims_one_wins(world):
    async with world.client("F") as f:
        await f.send(flash())
        with pytest.raises(NotHere):
            await f.queue()
    async with world.client("O") as o:
        (item,) = await o.queue()
        assert (item["reference"], item["kind"]) == ("london-hotline/1", "unacknowledged")
        await o.watch_act("london-hotline/1", WatchAction.CLAIM)
        world.clock.advance(SECOND)  # the same bytes again would be the same claim
        with pytest.raises(RefusedByNode) as refused:
            await o.watch_act("london-hotline/1", WatchAction.CLAIM)
        assert refused.value.problem == "already-claimed"
        assert "watch.floor.1@mod.example" in refused.value.happened
        with pytest.raises(RefusedByNode) as refused:
            await o.watch_act("london-hotline/1", WatchAction.CLOSE, text="No use")
        assert refused.value.problem == "not-exhausted"
    await world.passes(20)
    async with world.client("O") as o:
        (item,) = await o.queue()
        assert item["kind"] == "exhausted"
        await o.watch_act("london-hotline/1", WatchAction.CLOSE, text="Called them instead")
        assert await o.queue() == []
    async with world.client("F") as f:
        assert any("Called them instead" in item.text for item in news(await f.inbox()))
    assert await world.passes(600) == 0


async def test_a_missed_line_test_alarms_both_sides(world):
    hour = 3600 * SECOND
    ahead = hour - world.clock.now() % hour
    assert await world.passes(ahead / SECOND + 301) == 1  # the first slot ends without a test
    for name in ("F", "M"):
        async with world.client(name) as client:
            assert [item.kind for item in news(await client.inbox())] == ["missed-test"]
    async with world.client("O") as o:
        (item,) = await o.queue()
        assert item["kind"] == "missed-test"
        await o.watch_act("london-hotline", WatchAction.CLOSE, text="Cable was cut")
        assert await o.queue() == []


async def test_line_tests_are_sent_in_turn_and_compare_both_sides_checkpoints(world):
    async with world.authority("FA") as fa, world.authority("MA") as ma:
        for authority, member in (
            (fa, "attache.london.1@fco.example"),
            (ma, "duty.desk.1@mod.example"),
        ):
            authority.set_roles(member, ["attache", "line-test"])
            authority.sign_directory()
            await authority.post()
    hour = 3600 * SECOND
    await world.passes((hour - world.clock.now() % hour) / SECOND)
    sent = []
    for _ in range(2):
        for name in ("F", "M"):
            async with world.client(name) as client:
                await client.inbox()
                done = await client.line_test("london-hotline")
                if not isinstance(done, int):
                    sent.append(name)
                    again = await client.line_test("london-hotline")
                    assert isinstance(again, int)
                    assert again > world.clock.now()
        assert await world.passes(3600) == 0  # each came in its slot: nothing was missed
    assert sorted(sent) == ["F", "M"]
    async with world.client("M") as m:
        await m.inbox()
        assert m.watch.disputed == []


async def test_a_line_test_needs_one_post_of_the_other_side_not_each_of_them(world):
    consul = "consul@fco.example"
    async with world.authority("FA") as fa, world.authority("MA") as ma:
        fa.set_posting(consul, [])
        fa.set_roster("london-hotline", [("desk", [consul, LONDON])])
        fa.sign_directory()
        await fa.post()
        ma.set_roles("duty.desk.1@mod.example", ["attache", "line-test"])
        ma.sign_directory()
        await ma.post()
    hour = 3600 * SECOND
    await world.passes((hour - world.clock.now() % hour) / SECOND)
    asked = await _tested(world)
    assert [a.post for a in asked if a.role is not AddresseeRole.COPY] == [LONDON]
    async with world.authority("FA") as fa:
        fa.set_posting(LONDON, [])
        fa.sign_directory()
        await fa.post()
    with pytest.raises(NotReady, match="is vacant: nobody holds it"):
        await _tested(world)


async def _tested(world):
    """Let M test the line in its turn, which is this hour or the next; return who was addressed."""
    asked = []
    for _ in range(2):
        async with world.client("M") as m:
            sent = await m.line_test("london-hotline")
            if not isinstance(sent, int):
                asked += m.kept(sent.reference).note.addressees
        await world.passes(3600)
    return asked


async def test_a_party_that_suspends_its_part_is_not_written_to(world):
    async with world.authority("MA") as ma:
        view = await ma.channel("london-hotline")
        ma.participate(view, Standing.SUSPENDED, reason="Maintenance")
        await ma.post()
    async with world.client("F") as f:
        with pytest.raises(RefusedByNode) as refused:
            await f.send(flash())
        assert refused.value.problem == "part-suspended"
        view = await f.channel("london-hotline")
        assert view.cell.standing("mod.example") is Standing.SUSPENDED
    async with world.authority("MA") as ma:
        ma.participate(await ma.channel("london-hotline"), Standing.ACTIVE)
        await ma.post()
    async with world.client("F") as f:
        assert (await f.send(flash())).reference == "london-hotline/1"


async def test_fifty_releases_at_once_leave_no_gap_in_the_register(world):
    async with world.client("F") as f:
        drafted = [await f.send(verbale(clear=(), info=(HEAD,))) for _ in range(50)]
    async with world.client("R") as r:
        assert len(letters(await r.inbox())) == 50
        noted = [await r.read(one.reference) for one in drafted]
        done = await asyncio.gather(*(r.release(letter) for letter in noted))
    numbers = sorted(int(one.number.rpartition(" ")[2].partition("/")[0]) for one in done)
    assert numbers == list(range(1, 51))
    assert sorted(int(one.reference.rpartition("/")[2]) for one in done) == list(range(1, 51))
