"""Who may have what of a note, and from when on, over real HTTP. protocols/api.md, API-14 to 16, API-25."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from liaison.ledger.facts import DeadlineFacts, DueFacts, NoteFacts, ReleaseFacts, RungFacts
from liaison.node.sight import may_open, names_readers
from liaison.rules import cells
from liaison.statements.payloads import MemberRole, Verdict
from liaison.words.encoding import from_base64
from liaison.words.times import MINUTE, SECOND
from tests.node.line import (
    CONTENT,
    NOTHING,
    STATE,
    elapse,
    inbox,
    kinds,
    live_line,
    looks,
    note_of,
    path_of,
    send,
    state,
    with_wraps,
)
from tests.node.live import LiveNode
from tests.timed import CALM, WITH_DEPUTY
from tests.world import (
    ACTION,
    ANNA,
    DORA,
    DUTY,
    EDWIN,
    FELIX,
    GRETA,
    HEAD,
    LONDON,
    MINISTRY,
    OLGA,
    ORIGIN,
    PETE,
    STANDBY,
    MemoryWorld,
    signing,
)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_line(tmp_path / "home") as live:
        yield live


async def test_a_standby_copy_is_withheld_until_a_rung_opens_its_tier(node: LiveNode) -> None:
    digest = await send(node, node.world.note(to=WITH_DEPUTY))
    # Edwin is an operator of the party that is asked: he may know of the note, and not open it.
    assert await looks(node, EDWIN, digest) == STATE
    assert await inbox(node, EDWIN) == []
    assert await looks(node, GRETA, digest) == NOTHING
    assert await looks(node, DORA, digest) == CONTENT
    await elapse(node, 3 * MINUTE + SECOND)
    assert await looks(node, EDWIN, digest) == STATE
    assert await inbox(node, EDWIN) == []
    await elapse(node, MINUTE)
    assert await looks(node, EDWIN, digest) == CONTENT
    (item,) = await inbox(node, EDWIN)
    rung = node.verified(item["receipt"]).record()
    assert isinstance(rung.facts, RungFacts)
    assert (item["kind"], rung.facts.note) == ("note", digest)
    assert item["position"] == f"{node.verified(item['receipt']).index}.{rung.facts.index}"
    token = await node.token(EDWIN)
    _, text = await node.get(f"/v1/statements/{path_of(digest)}", token)
    assert node.verified(text.decode()).index == rung.facts.index
    _, content = await node.get(f"/v1/notes/{path_of(digest)}/content", token)
    assert item["content"] == content
    (wrap,) = content["wraps"]
    (mine,) = [a for a in note_of(node, digest).payload.addressees if a.role == STANDBY]
    assert wrap["key"] == mine.wraps[0].key


async def test_an_alternate_who_is_no_operator_sees_nothing_before_it_is_asked(
    node: LiveNode,
) -> None:
    asked: dict[str, Any] = {DUTY: ACTION, MINISTRY: {"role": STANDBY, "alternate_for": DUTY}}
    digest = await send(node, node.world.note(to=asked))
    assert await looks(node, GRETA, digest) == NOTHING
    assert await inbox(node, GRETA) == []
    await node.accept(node.world.answer(DORA, Verdict.DECLINED, digest))
    await elapse(node, SECOND)
    assert await looks(node, GRETA, digest) == CONTENT
    item, *others = await inbox(node, GRETA)
    assert (item["kind"], len(item["content"]["wraps"])) == ("note", 1)
    assert not any("content" in other for other in others)


async def test_another_device_gets_no_wrap_but_its_own(node: LiveNode) -> None:
    digest = await send(node, node.world.note(to=WITH_DEPUTY))
    payload = note_of(node, digest).payload
    keys = {a.post: {wrap.key for wrap in a.wraps} for a in payload.addressees}
    for member, post in ((DORA, DUTY), (ANNA, LONDON)):
        _, content = await node.get(
            f"/v1/notes/{path_of(digest)}/content", await node.token(member)
        )
        assert {wrap["key"] for wrap in content["wraps"]} == keys[post]


async def test_a_deferred_note_is_nobodys_but_its_writers_until_it_begins(node: LiveNode) -> None:
    world = node.world
    later = world.clock + 10 * MINUTE
    digest = await send(node, world.note(kind="plain", deferred_until=later))
    taken_back = await send(node, world.note(kind="plain", deferred_until=later))
    assert await looks(node, DORA, digest) == NOTHING
    assert await looks(node, PETE, digest) == NOTHING, "not even an operator's"
    assert await inbox(node, DORA) == []
    assert await looks(node, ANNA, digest) == CONTENT
    await node.accept(world.withdrawal(taken_back))
    await elapse(node, 11 * MINUTE)
    assert await looks(node, DORA, digest) == CONTENT
    (item,) = await inbox(node, DORA)
    begun = node.verified(item["receipt"]).record().facts
    assert isinstance(begun, DeadlineFacts)
    assert (begun.what, begun.note, "content" in item) == ("begun", digest, True)
    assert await looks(node, DORA, taken_back) == NOTHING


async def test_a_note_on_hold_waits_and_is_shown_when_the_hold_ends(node: LiveNode) -> None:
    await node.accept(node.world.hold(DORA, lasts=5 * MINUTE))
    digest = await send(node, node.world.note(kind="plain", precedence=CALM))
    assert await looks(node, DORA, digest) == NOTHING
    assert await looks(node, PETE, digest) == NOTHING
    assert await inbox(node, DORA) == []
    (coming,) = (await state(node, ANNA, digest))["next"]
    assert (coming["what"], coming["posts"]) == ("hold-ended", [DUTY])
    await elapse(node, 6 * MINUTE)
    assert await looks(node, DORA, digest) == CONTENT
    (item,) = await inbox(node, DORA)
    assert (item["kind"], item["precedence"], "content" in item) == ("note", "routine", True)


@pytest.mark.parametrize("ended", ["withdrawn", "not delivered"])
async def test_what_was_taken_back_or_came_too_late_is_given_to_nobody(
    ended: str, node: LiveNode
) -> None:
    latest = node.clock.wall + MINUTE
    digest = await send(node, node.world.note(kind="plain", latest_delivery=latest))
    assert await looks(node, DORA, digest) == CONTENT
    if ended == "withdrawn":
        await node.accept(node.world.withdrawal(digest))
    else:
        await elapse(node, 2 * MINUTE)
    assert await looks(node, DORA, digest) == NOTHING
    assert await looks(node, ANNA, digest) == CONTENT
    items = await inbox(node, DORA)
    assert items[0]["kind"] == "note"
    assert not any("content" in item for item in items)
    assert kinds(await inbox(node, ANNA))[0] == "copy"


async def test_a_draft_is_its_own_partys_until_it_is_released_with_wraps(node: LiveNode) -> None:
    world = node.world
    drafted = world.draft()
    digest = await send(node, drafted)
    draft = note_of(node, digest)
    for member in (DORA, PETE, GRETA, EDWIN):
        assert await looks(node, member, digest) == NOTHING
    assert await looks(node, FELIX, digest) == CONTENT
    assert await looks(node, OLGA, digest) == NOTHING, "an operator of the drafter's party"
    assert (await state(node, ANNA, digest))["draft"] is True
    await node.accept(world.answer(FELIX, Verdict.ACKNOWLEDGED, digest))
    released, wraps = with_wraps(world.release(draft))
    raw = released.raw
    for parts, why in (
        ({}, "comes with the part wraps, and no other"),
        ({"wraps": wraps, "ciphertext": b"x"}, "comes with the part wraps, and no other"),
        ({"wraps": wraps[:-1]}, "wraps: "),
        ({"wraps": wraps[:-1] + b"x"}, "is not the one that the statement names"),
    ):
        status, problem = await node.post(statement=raw, **parts)
        assert (status, problem["code"]) == (400, "malformed")
        assert why in problem["detail"]
    world.accept(released)
    status, text = await node.post(statement=raw, wraps=wraps)
    assert status == 201, text
    assert await looks(node, DORA, digest) == CONTENT
    (item,) = await inbox(node, DORA)
    proved = node.verified(item["receipt"])
    facts = proved.record().facts
    assert isinstance(facts, ReleaseFacts)
    assert (item["kind"], facts.note) == ("note", digest)
    assert item["position"] == f"{proved.index}.{facts.index}"
    (wrap,) = item["content"]["wraps"]
    assert from_base64(wrap["wrap"]) == wraps
    token = await node.token(DORA)
    now = await state(node, DORA, digest)
    assert (now["reference"], now["number"]["number"], "draft" in now) == (1, 1, False)
    _, text = await node.get(f"/v1/statements/{path_of(now['release'])}", token)
    assert node.verified(text.decode()).index == proved.index
    assert (await node.get(f"/v1/statements/{path_of(now['release'])}", await node.token(GRETA)))[
        0
    ] == 404
    assert kinds(await inbox(node, ANNA)) == ["copy", "answer", "released"]
    # The clearing reader still has their own wrap, and no other.
    _, content = await node.get(f"/v1/notes/{path_of(digest)}/content", await node.token(FELIX))
    assert len(content["wraps"]) == 1
    assert content["wraps"][0] != wrap


async def test_who_holds_the_senders_post_and_who_watches_sees_state_but_never_content(
    node: LiveNode,
) -> None:
    world = node.world
    digest = await send(node, world.note())
    assert await looks(node, OLGA, digest) == NOTHING
    assert await looks(node, FELIX, digest) == NOTHING
    assert await looks(node, PETE, digest) == STATE
    await node.accept(world.posting(LONDON, holders=(ANNA, FELIX)))
    assert await looks(node, FELIX, digest) == STATE
    await node.accept(world.member(PETE, roles=(MemberRole.LINE_TEST,)))
    assert await looks(node, PETE, digest) == NOTHING, "no operator any more"
    administrator = await node.token(ORIGIN, signing("administrator"))
    assert (await node.get(f"/v1/notes/{path_of(digest)}", administrator))[0] == 200
    status, _ = await node.get(f"/v1/notes/{path_of(digest)}/content", administrator)
    assert status == 404, "the administrator's business isn't content"
    party = await node.token("mod.example", signing("mod.example/1"))
    assert (await node.get(f"/v1/notes/{path_of(digest)}", party))[0] == 404


async def test_certificates_are_for_whom_they_concern(node: LiveNode) -> None:
    """A note to both parties' posts: each side gets what is about its own, the sender's all."""
    to = {**WITH_DEPUTY, HEAD: ACTION}
    digest = await send(node, node.world.note(to=to))
    await elapse(node, 6 * MINUTE + SECOND)

    async def certificates(by: str) -> list[DueFacts]:
        path = f"/v1/notes/{path_of(digest)}/certificates"
        status, answer = await node.get(path, await node.token(by))
        assert status == 200
        assert answer["more"] is False
        found = []
        for text in answer["certificates"]:
            record = node.verified(text).record()
            assert record.statement == b""
            assert isinstance(record.facts, DueFacts)
            found.append(record.facts)
        return found

    everything = await certificates(ANNA)
    assert everything == [r.facts for r in node.world.records if isinstance(r.facts, RungFacts)]
    assert {facts.party for facts in everything if isinstance(facts, RungFacts)} == {
        "fco.example",
        "mod.example",
    }
    assert await certificates(FELIX) == everything, "of the sender's party"
    for member in (DORA, EDWIN, PETE):
        mine = await certificates(member)
        assert mine
        assert all(isinstance(f, RungFacts) and f.party == "mod.example" for f in mine)
    assert (await looks(node, GRETA, digest))["certificates"] == 404


async def test_a_note_without_dues_has_no_certificates(node: LiveNode) -> None:
    digest = await send(node, node.world.note(kind="plain"))
    path = f"/v1/notes/{path_of(digest)}/certificates"
    _, answer = await node.get(path, await node.token(ANNA))
    assert answer == {"certificates": [], "more": False}


def test_under_the_first_rules_the_notes_own_facts_say_who_reads_it() -> None:
    world = MemoryWorld.opened(version=1)
    digest = world.accept(world.note()).digest
    note, facts = world.have(cells.Note, world.channel, digest), world.records[-1].facts
    assert isinstance(facts, NoteFacts)
    assert not names_readers(note)
    assert [may_open(note, facts, member) for member in (ANNA, DORA, EDWIN)] == [True, True, False]
    assert not may_open(note, None, DORA), "nobody, while it isn't known"
