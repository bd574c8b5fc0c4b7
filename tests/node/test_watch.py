"""The operators' queue, a note's state and what happens next, over HTTP. protocols/api.md, API-23 to 26."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from liaison.rules import cells
from liaison.statements.payloads import MemberRole, Note, Verdict
from liaison.statements.procedures import WatchAction
from liaison.statements.statement import Statement
from liaison.words.ids import party_of
from liaison.words.times import DAY, MINUTE, SECOND
from tests.node.line import elapse, live_line, send, state, with_wraps
from tests.node.live import LiveNode
from tests.timed import CALM, WITH_DEPUTY
from tests.world import (
    ACTION,
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    FELIX,
    GRETA,
    HEAD,
    LINE,
    LONDON,
    MOD,
    OLGA,
    PETE,
)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_line(tmp_path / "home") as live:
        yield live


async def queue(node: LiveNode, by: str, limit: str = "") -> list[dict[str, Any]]:
    status, page = await node.get(f"/v1/watch{limit}", await node.token(by))
    assert status == 200, page
    items: list[dict[str, Any]] = page["items"]
    return items


async def test_the_queue_shows_what_waits_for_the_own_party_and_no_content(node: LiveNode) -> None:
    digest = await send(node, node.world.note(to=WITH_DEPUTY))
    note = node.world.have(cells.Note, node.world.channel, digest)
    (item,) = await queue(node, PETE)
    assert item == {
        "kind": "unacknowledged",
        "channel": "london-hotline",
        "reference": "london-hotline/1",
        "note": digest,
        "index": note.index,
        "note_kind": "leader",
        "precedence": "flash",
        "from": FCO,
        "to": [
            {"post": DUTY, "role": "action", "life": "queued", "at": note.at, "tier": "desk"},
            {
                "post": DEPUTY,
                "role": "standby",
                "life": "withheld",
                "at": note.at,
                "tier": "deputy",
            },
        ],
        "at": note.at,
        "next": {
            "due": note.at + MINUTE,
            "what": "alert",
            "party": MOD,
            "waits_for": "acknowledgement",
            "times": 2,
            "every_s": 60,
        },
    }
    assert await queue(node, OLGA) == [], "nobody of her party is asked"
    for member in (ANNA, DORA, GRETA):
        assert (await node.get("/v1/watch", await node.token(member)))[0] == 404
    assert (await node.get("/v1/watch"))[0] == 401
    assert await queue(node, EDWIN) == [item], "every operator of the party"


async def test_what_ladder_and_operators_do_shows_until_somebody_takes_it_on(
    node: LiveNode,
) -> None:
    digest = await send(node, node.world.note(to=WITH_DEPUTY))
    await elapse(node, 3 * MINUTE + SECOND)
    claimed = await node.accept(node.world.watch(PETE, WatchAction.CLAIM, digest))
    await node.accept(node.world.watch(PETE, WatchAction.ANNOTATE, digest, text="Line engaged"))
    (item,) = await queue(node, PETE)
    assert item["raised"] is True
    assert (item["claimed_by"], item["claimed_at"]) == (PETE, claimed.record().at)
    assert (item["annotation"], "vacant" in item) == ("Line engaged", False)
    assert (item["next"]["what"], item["next"]["tier"]) == ("open", "deputy")
    snoozed = node.clock.wall + 30 * SECOND
    await node.accept(node.world.watch(PETE, WatchAction.SNOOZE, digest, until=snoozed))
    assert (await queue(node, PETE))[0]["snoozed_until"] == snoozed
    await elapse(node, 3 * MINUTE)
    (item,) = await queue(node, PETE)
    assert (item["kind"], item["next"]["what"]) == ("exhausted", "exhausted")
    assert item["next"]["every_s"] == 600
    await node.accept(node.world.answer(DORA, Verdict.ACKNOWLEDGED, digest))
    assert await queue(node, PETE) == []
    await elapse(node, 31 * MINUTE)
    (item,) = await queue(node, PETE)
    assert (item["kind"], item["next"]["waits_for"]) == ("unanswered", "answer")


async def test_a_tier_that_reaches_nobody_shows_as_vacant(node: LiveNode) -> None:
    digest = await send(node, node.world.note(to=WITH_DEPUTY))
    await node.accept(node.world.posting(DUTY, holders=()))
    await elapse(node, MINUTE + SECOND)
    (item,) = await queue(node, PETE)
    assert (item["note"], item["vacant"]) == (digest, True)


async def test_the_queue_is_ordered_by_precedence_then_by_what_is_due_and_cut(
    node: LiveNode,
) -> None:
    calm = [await send(node, node.world.note(precedence=CALM)) for _ in range(2)]
    await elapse(node, SECOND)
    flash = [await send(node, node.world.note()) for _ in range(2)]
    await node.accept(node.world.watch(PETE, WatchAction.ESCALATE, flash[1]))
    await elapse(node, SECOND)
    items = await queue(node, PETE)
    assert [item["note"] for item in items] == [flash[0], flash[1], *calm]
    assert [item["next"]["due"] for item in items[:2]] == sorted(
        item["next"]["due"] for item in items[:2]
    )
    token = await node.token(PETE)
    _, page = await node.get("/v1/watch?limit=3", token)
    assert ([item["note"] for item in page["items"]], page["more"]) == ([*flash, calm[0]], True)
    _, page = await node.get("/v1/watch?limit=4", token)
    assert (len(page["items"]), page["more"]) == (4, False)
    assert (await node.get("/v1/watch?limit=0", token))[0] == 400


async def test_missed_line_tests_stand_on_both_sides_queues_until_closed(node: LiveNode) -> None:
    await elapse(node, 2 * DAY)
    line = node.world.have(cells.LineTest, node.world.channel)
    missed = [
        {"slot": slot, "at": slot * DAY, "party": (FCO, MOD)[slot % 2]}
        for slot in range(line.slot - 2, line.slot)
    ]
    expected = {
        "kind": "missed-test",
        "channel": "london-hotline",
        "reference": "london-hotline",
        "precedence": "immediate",
        "at": missed[0]["at"],
        "missed": missed,
        "next": {"due": line.due, "what": "missed-test"},
    }
    assert await queue(node, PETE) == [expected]
    assert await queue(node, OLGA) == [expected]
    for party in (FCO, MOD):
        await node.accept(node.world.directory(party))
    await node.accept(node.world.watch(PETE, WatchAction.CLOSE))
    assert await queue(node, PETE) == []
    assert await queue(node, OLGA) == [expected], "her own side's item stays"


async def test_an_operator_who_is_none_any_more_sees_no_queue(node: LiveNode) -> None:
    await send(node, node.world.note())
    token = await node.token(PETE)
    assert (await node.get("/v1/watch", token))[0] == 200
    await node.accept(node.world.member(PETE, roles=(MemberRole.LINE_TEST,)))
    assert (await node.get("/v1/watch", token))[0] == 404


# State, and what happens next


def whats(told: dict[str, Any]) -> list[tuple[str, int]]:
    """Return what is to come, in minutes after the note."""
    return [(one["what"], (one["due"] - told["at"]) // MINUTE) for one in told["next"]]


async def test_a_state_tells_each_rung_to_come_and_no_more_once_it_is_taken_on(
    node: LiveNode,
) -> None:
    digest = await send(node, node.world.note(to=WITH_DEPUTY))
    told = await state(node, ANNA, digest)
    assert {k: told[k] for k in ("reference", "kind", "precedence", "from")} == {
        "reference": 1,
        "kind": "leader",
        "precedence": "flash",
        "from": LONDON,
    }
    assert told["waits_for"] == "acknowledgement"
    ladder = [("alert", 1), ("raise", 3), ("open", 4), ("tell", 5), ("exhausted", 6)]
    assert whats(told) == ladder
    assert told["next"][0]["times"] == 2
    assert told["next"][2]["tier"] == "deputy"
    assert told["next"][4]["every_s"] == 600
    assert all(one["party"] == MOD for one in told["next"])
    assert await state(node, DORA, digest) == told
    await elapse(node, MINUTE + SECOND)
    told = await state(node, ANNA, digest)
    assert whats(told) == [("alert", 2), *ladder[1:]]
    assert "times" not in told["next"][0]
    await node.accept(node.world.answer(DORA, Verdict.ACKNOWLEDGED, digest))
    told = await state(node, ANNA, digest)
    taken = node.world.have(cells.Note, node.world.channel, digest).addressees[0]
    assert taken.reply_by is not None
    assert told["addressees"][0] == {
        "post": DUTY,
        "role": "action",
        "life": "acknowledged",
        "at": taken.at,
        "by": DORA,
        "tier": "desk",
        "reply_by": taken.reply_by,
    }
    assert "waits_for" not in told
    first, *rungs = told["next"]
    assert first == {"due": taken.reply_by, "what": "reply-overdue", "posts": [DUTY]}
    assert [one["what"] for one in rungs] == ["alert", "raise", "open", "tell", "exhausted"]
    assert rungs[0]["due"] == taken.reply_by + MINUTE
    assert {one["waits_for"] for one in rungs} == {"answer"}
    await elapse(node, 31 * MINUTE)
    assert (await state(node, ANNA, digest))["waits_for"] == "answer"


async def test_a_state_tells_of_deferral_reminders_expiry_and_latest_delivery(
    node: LiveNode,
) -> None:
    now = node.clock.wall
    at: dict[str, Any] = {
        "deferred_until": now + 10 * MINUTE,
        "reply_by": now + 40 * MINUTE,
        "expiry": now + 60 * MINUTE,
        "latest_delivery": now + 20 * MINUTE,
    }
    digest = await send(node, node.world.note(**at))
    told = await state(node, ANNA, digest)
    found = [(one["what"], (one["due"] - now) // MINUTE) for one in told["next"]]
    assert found == [
        *(("begun", 10), ("alert", 11), ("raise", 13), ("open", 14), ("tell", 15)),
        *(("exhausted", 16), ("non-delivered", 20), ("reminder", 30), ("reminder", 39)),
        *(("reply-overdue", 40), ("expired", 60)),
    ]
    assert (told["deferred_until"], told["expiry"]) == (at["deferred_until"], at["expiry"])
    await elapse(node, 11 * MINUTE)
    told = await state(node, ANNA, digest)
    assert "deferred_until" not in told
    assert told["next"][0]["what"] != "begun"


async def test_a_state_tells_of_a_procedure_and_its_decision(node: LiveNode) -> None:
    digest = await send(node, node.world.proposal(to={DUTY: ACTION}, lasts=15 * MINUTE))
    told = await state(node, DORA, digest)
    until = told["procedure"]["until"]
    assert told["procedure"] == {"stage": "under-silence", "until": until}
    assert {"due": until, "what": "concluded"} in told["next"]
    await elapse(node, 16 * MINUTE)
    told = await state(node, DORA, digest)
    assert told["procedure"] == {"stage": "adopted", "until": until, "decision": 1}


async def test_a_state_tells_what_was_superseded_and_withdrawn(node: LiveNode) -> None:
    old = await send(node, node.world.note(kind="plain"))
    new = await send(node, node.world.note(kind="plain", supersedes=old))
    told = await state(node, ANNA, old)
    assert (told["superseded_by"], told["withdrawn"], told["next"]) == (new, True, [])
    assert told["addressees"][0]["life"] == "cancelled"


async def test_a_draft_has_no_reference_and_nothing_that_comes(node: LiveNode) -> None:
    digest = await send(node, node.world.draft())
    told = await state(node, ANNA, digest)
    assert (told["reference"], told["draft"], told["next"]) == (0, True, [])
    assert {a["post"]: a["life"] for a in told["addressees"]} == {HEAD: "queued", DUTY: "drafted"}
    assert await state(node, FELIX, digest) == told
    assert LINE not in {a["post"] for a in told["addressees"]}


async def test_a_queue_of_which_not_all_was_looked_at_says_so(
    node: LiveNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await send(node, node.world.note())
    monkeypatch.setattr("liaison.node.reading.SCANNED_MAX", 2)
    _, page = await node.get("/v1/watch", await node.token(PETE))
    assert (len(page["items"]), page["more"]) == (2, True)


async def test_an_exhausted_flash_does_not_vanish_behind_what_is_due_before_it(
    node: LiveNode,
) -> None:
    await send(node, node.world.note())
    await elapse(node, 16 * MINUTE)
    for _ in range(530):
        await send(node, node.world.note(precedence=CALM))
    await elapse(node, 10 * SECOND)
    items = await queue(node, PETE, "?limit=256")
    assert items[0]["reference"] == "london-hotline/1"


async def test_who_cleared_a_draft_is_not_shown_to_another_party(node: LiveNode) -> None:
    draft = node.world.draft()
    digest = await send(node, draft)
    cleared = node.world.accept(node.world.answer(FELIX, Verdict.ACKNOWLEDGED, digest))
    status, text = await node.post(statement=cleared.raw)
    assert status == 201, text
    held = next(s for s in node.world.accepted if s.digest == digest)
    release, wraps = with_wraps(node.world.release(cast("Statement[Note]", held)))
    node.world.accept(release)
    status, text = await node.post(statement=release.raw, wraps=wraps)
    assert status == 201, text
    told = await state(node, DORA, digest)
    assert {party_of(a["post"]) for a in told["addressees"]} == {MOD}
    assert {one.get("party") for one in told["next"]} <= {None, MOD}
    own = await state(node, ANNA, digest)
    assert {party_of(a["post"]) for a in own["addressees"]} == {FCO, MOD}
