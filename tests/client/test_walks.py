"""What is broken in one kept note is named, and the others are listed; what waits is no node's to say.

The broken one is as a home of an earlier release took it: its receipt wasn't compared with what was sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from liaison.client import Client, Home, post_approval, request_device, take_approval
from liaison.client import seat as seat_module
from liaison.words.errors import LogUntrusted, RecordUntrusted
from liaison.words.precedence import Precedence
from liaison.words.times import MINUTE
from tests.cli.screen import Screen
from tests.client.council import DUTY, LONDON, PASSPHRASE, letters
from tests.client.hotline import CHEAP
from tests.client.lied import LONDON_1, MARY, Lied, lied_to, withhold
from tests.client.test_taken import logged_as, with_facts

FIRST, BROKEN, LAST = (f"london-hotline/{n}" for n in (1, 2, 3))
Walk = Callable[[Client], Awaitable[object]]


def settled(answer: Any) -> Any:
    """Say of a note that all have taken it on, and that nothing is owed of it."""
    gone = ("life", "overdue", "reply_by")
    state = answer["state"]
    shown = [{k: v for k, v in one.items() if k not in gone} for one in state["addressees"]]
    told = [{**one, "life": "acknowledged"} for one in shown]
    return {**answer, "state": {**state, "addressees": told}}


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        yield made


async def break_one(lied: Lied) -> None:
    """Have the second of three notes in F's cabinet contradict itself."""
    with lied.monkeypatch.context() as patch:
        patch.setattr(seat_module, "check_taken", lambda *_: None)
        change = with_facts(precedence=Precedence.IMMEDIATE)
        with logged_as(lied, "note", change, is_followed=True):
            assert (await lied.write()).reference == BROKEN
    assert (await lied.write()).reference == LAST


async def _known_as(client: Client) -> str:
    return client.known_as(f"london-hotline/entry-{client.kept(LAST).index}")


async def _handed_over(client: Client) -> list[str]:
    return [one.reference for one in await client.unsettled_at(DUTY)]


@pytest.mark.parametrize(
    ("walk", "found"),
    [
        (lambda f: f.unsettled_notes(), [FIRST, LAST]),
        (lambda f: f.awaited_at(LONDON), [FIRST, LAST]),
        (_handed_over, [FIRST, LAST]),
        (_known_as, LAST),
    ],
    ids=["status", "awaited", "handover", "entry-N"],
)
async def test_a_broken_note_is_named_and_keeps_no_other_from_its_list(
    lied: Lied, walk: Walk, found: object
) -> None:
    await break_one(lied)
    async with lied.council.client("F") as f:
        listed = await walk(f)
        (said,) = (f.left_out[name] for name in f.left_out if name == BROKEN)
        assert isinstance(said, RecordUntrusted)
        assert f"{BROKEN} is left out: The facts of entry" in said.happened
    assert listed == found


async def test_a_broken_note_keeps_no_other_from_a_second_device(lied: Lied) -> None:
    await break_one(lied)
    world = lied.council
    home = Home(world.folder / "F2")
    request = request_device(home, PASSPHRASE, LONDON, local=LONDON_1, cost=CHEAP)
    async with world.authority("FA") as authority:
        approval = authority.add_device(request)
        take_approval(home, approval, authority.pins.node)
    async with Client.open(home, PASSPHRASE, url=world.running.url, now=world.clock.now) as second:
        await post_approval(second, approval)
        key = second.device.key.id
    async with world.authority("FA") as authority:
        authority.sign_directory()
        await authority.post()
    async with world.client("F") as f:
        history = await f.history_for(key)
        assert list(f.left_out) == [BROKEN]
    assert [reference for reference, _ in history.notes] == [FIRST, LAST]


async def test_a_broken_note_keeps_no_doubt_about_another_from_being_told(lied: Lied) -> None:
    world = lied.council
    async with world.client("M") as m:
        await m.inbox()
        await m.acknowledge(FIRST)
        device = m.device.key.id
    async with world.client("F") as f:
        await f.inbox()
    await break_one(lied)
    async with world.authority("MA") as authority:
        authority.revoke_key(MARY, device, world.clock.now() - MINUTE)
        authority.sign_directory()
        await authority.post()
    async with world.client("F") as f:
        told = await f.doubted(FIRST)
        assert list(f.left_out) == [BROKEN]
    assert [one.what for one in told] == ["acknowledged"]


async def test_what_waits_is_handed_over_whatever_the_node_says_of_it(lied: Lied) -> None:
    world = lied.council
    await lied.write()
    async with world.client("M") as m:
        assert len(letters(await m.inbox())) == 2
        await m.acknowledge(FIRST)

    async def listed() -> list[tuple[str, str, bool]]:
        async with lied.client("M") as m:
            found = await m.unsettled_at(DUTY)
        return [(one.reference, one.life, one.is_unproven) for one in found]

    honest = await listed()
    assert (BROKEN, "delivered", False) in honest
    lied.liar.lies["/v1/notes/"] = settled
    # Of the first this home has its own receipt; of the other there is the node's word alone.
    assert await listed() == [(BROKEN, "acknowledged", True)]
    lied.liar.lies["/v1/notes/"] = withhold
    assert await listed() == [(BROKEN, "not shown", True)]
    lied.liar.lies.clear()
    async with world.client("M") as m:
        await m.acknowledge(BROKEN)
    lied.liar.lies["/v1/notes/"] = settled
    assert await listed() == []


async def test_the_command_line_names_what_is_broken_and_what_only_the_node_says(
    lied: Lied,
) -> None:
    world, patch = lied.council, lied.monkeypatch
    async with world.client("M") as m:
        await m.inbox()
        await m.acknowledge(FIRST)
    await break_one(lied)
    with (
        logged_as(lied, "note", with_facts(precedence=Precedence.DEFERRED)),
        suppress(LogUntrusted),
    ):
        await lied.write()
    screen = Screen(world.folder, patch)
    (world.folder / "passphrase").write_text(PASSPHRASE)
    (world.folder / "passphrase").chmod(0o600)
    patch.setenv("LIAISON_PASSPHRASE_FILE", str(world.folder / "passphrase"))
    opened = Client.open
    patch.setattr(Client, "open", lambda *of, **how: opened(*of, **{**how, "now": world.clock.now}))

    async def typed(line: str) -> str:
        return (await asyncio.to_thread(screen.type, f"--home {world.folder}/{line}"))[1]

    shown = await typed("F status")
    facts = r"STOP: {}The facts of entry \d+ are not what its note says · {}"
    left_out = facts.format(f"{BROKEN} is left out: ", "nothing of it is believed · ")
    waits = facts.format("", "it stands in the outbox, signed and on disk")
    assert re.search(rf"^{left_out}.*\(log-untrusted\)$", shown, re.MULTILINE), shown
    assert re.search(rf"^What was sent before: {waits}.*\(log-untrusted\)$", shown, re.MULTILINE)
    assert f"{LAST}  accepted" in shown
    assert f"{BROKEN}  accepted" not in shown
    lied.liar.lies["/v1/notes/"] = settled
    patch.setenv("LIAISON_URL", lied.liar.url)
    shown = await typed(f"M posting handover {DUTY} --to {MARY} --yes")
    said = "acknowledged, says the node, and nothing in this home proves it: Convoy"
    assert f"{LAST}  {said}" in shown, shown
    assert f"{FIRST}  {said}" not in shown
