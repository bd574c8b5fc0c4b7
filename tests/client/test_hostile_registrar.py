"""A registrar that was bought, and a node that works with it: nothing of what they do is for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from liaison.cli.desk import visit
from liaison.client import Client, Home
from liaison.client.doubts import Doubt
from liaison.client.seen import FILE, Seen
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Compromised, Directory, Member, State
from liaison.statements.statement import Statement, make_statement
from liaison.words.canonical import MAX_INTEGER
from liaison.words.errors import ChainBroken, LogUntrusted, NotReady, RefusedByNode
from liaison.words.times import DAY, MINUTE
from tests.client.council import DUTY, LONDON, PASSPHRASE, letters
from tests.client.liar import put
from tests.client.lied import EVIL, MARY, MOD, Lied, delegate, lied_to, seen_through
from tests.client.test_acting import flash

PARTY = "mod.example"


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        async with made.council.authority("MA") as authority:
            await delegate(authority, EVIL)
        await made.write()  # the honest run, with the registrar
        made.council.clock.advance(MINUTE)
        yield made


async def end(lied: Lied, *keys: SigningKey) -> None:
    """End these registrars, if any, and sign what is current."""
    lied.council.clock.advance(MINUTE)
    async with lied.council.authority("MA") as authority:
        for key in keys:
            authority.end_registrar(key.id)
        authority.sign_directory()
        await authority.post()


def remembered(lied: Lied) -> int:
    seen = Home(lied.council.folder / "F").read_state(FILE)[PARTY]
    assert isinstance(seen, dict)
    return int(seen["sequence"])


async def newest(lied: Lied, member: str = MARY) -> tuple[Statement[Directory], Statement[Member]]:
    answer = await lied.answer(MOD)
    (directory,) = lied.said(answer, "directory", Directory)
    members = lied.said(answer, "members", Member)
    return directory, next(one for one in members if one.payload.member == member)


def signed(lied: Lied, before: Statement[Any], **changes: Any) -> Statement[Any]:
    """Return a statement of the registrar's that follows on another, but for ``changes``."""
    now = lied.council.clock.now()
    members = {
        "key": EVIL.id,
        "issued": now,
        "lapse": now + DAY,
        "sequence": before.payload.sequence + 1,
        "previous": before.digest,
        **changes,
    }
    return make_statement(before.payload.model_copy(update=members), EVIL)


async def says_of_mary(lied: Lied, before: Statement[Member] | None = None, **changes: Any) -> None:
    """Have the registrar say something of Mary, and the node show it, and a directory that names it."""
    directory, mary = await newest(lied)
    said = signed(lied, before or mary, **changes)
    named = tuple(
        one.model_copy(update={"statement": said.digest}) if one.member == MARY else one
        for one in directory.payload.members
    )
    following = signed(lied, directory, members=named, valid_until=lied.council.clock.now() + DAY)
    receipts = [await lied.file(one, is_shown_only=True) for one in (said, following)]
    lied.liar.lies[MOD] = lambda answer: {
        **answer,
        "directory": receipts[1],
        "members": [receipts[0]],
    }


async def test_a_directory_of_a_registrar_that_was_ended_holds_up_no_later_one(
    lied: Lied, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, _ = await newest(lied)
    jumped = signed(lied, directory, sequence=MAX_INTEGER)
    lied.liar.lies[MOD] = put("directory", await lied.file(jumped, is_shown_only=True))
    with pytest.raises(RefusedByNode):  # the node itself has no such directory
        await lied.write()
    assert remembered(lied) == MAX_INTEGER
    lied.liar.lies.clear()
    # While the registrar is one, so is its directory, whatever comes later.
    await end(lied)
    with pytest.raises(ChainBroken, match=f"and has shown {MAX_INTEGER}"):
        await lied.write()
    await end(lied, EVIL)
    opened, clock = Client.open, lied.council.clock
    lied.monkeypatch.setattr(
        Client, "open", lambda *of, **how: opened(*of, **{**how, "now": clock.now})
    )
    home, url = Home(lied.council.folder / "F"), lied.council.running.url
    await visit(home, PASSPHRASE, url, lambda f: f.send(flash()))
    said = capsys.readouterr().err
    assert "STOP" not in said
    assert said.startswith(
        f"mod.example: directory {MAX_INTEGER}, which this home was shown, is by a key that may sign no "
        "more for it. Directory 4 of "
    )
    assert remembered(lied) == 4
    async with lied.council.client("F") as f:
        await f.send(flash())
    assert f.gave_way == []


async def test_a_directory_of_a_registrar_that_was_ended_gives_way_to_no_older_one(
    lied: Lied,
) -> None:
    before = await lied.answer(MOD)
    directory, _ = await newest(lied)
    lied.council.clock.advance(MINUTE)
    following = signed(lied, directory, valid_until=lied.council.clock.now() + DAY)
    lied.liar.lies[MOD] = put("directory", await lied.file(following, is_shown_only=True))
    async with lied.client("F") as f:
        await f.book.standing(PARTY)
    assert remembered(lied) == 3
    async with lied.council.authority("MA") as authority:
        authority.end_registrar(EVIL.id)
        await authority.post()
    ended = (await lied.answer(MOD))["party"]
    lied.liar.lies[MOD] = lambda _: {**before, "party": ended}
    async with seen_through(
        lied, ChainBroken, r"shows directory 2 of mod\.example, and has shown 3"
    ):
        await lied.write()


async def test_a_directory_of_a_registrar_that_was_ended_gives_way_to_none_of_another_such(
    lied: Lied,
) -> None:
    other = SigningKey(b"\x67" * 32)
    async with lied.council.authority("MA") as authority:
        await delegate(authority, other)
    directory, _ = await newest(lied)
    jumped = signed(lied, directory, sequence=MAX_INTEGER)
    lied.council.clock.advance(MINUTE)
    later = make_statement(
        signed(lied, directory).payload.model_copy(update={"key": other.id}), other
    )
    told = [await lied.file(one, is_shown_only=True) for one in (jumped, later)]
    lied.liar.lies[MOD] = put("directory", told[0])
    async with lied.client("F") as f:
        await f.book.standing(PARTY)
    await end(lied, EVIL, other)
    lied.liar.lies[MOD] = put("directory", told[1])
    async with seen_through(lied, ChainBroken, f"shows directory 4 .* has shown {MAX_INTEGER}"):
        await lied.write()
    lied.liar.lies.clear()
    await lied.write()
    assert remembered(lied) == 4


async def test_who_signs_far_ahead_keeps_nothing_of_a_later_day_away(lied: Lied) -> None:
    async with lied.council.client("F") as f:
        link = (await f.book.standing(PARTY)).directory
    assert link is not None
    home, now = Home(lied.council.folder / "new"), link.payload.issued - 400 * DAY
    home.make()
    Seen(home).keep_directory(link, now)
    seen = home.read_state(FILE)[PARTY]
    assert isinstance(seen, dict)
    assert seen["issued"] == now


async def test_that_a_key_was_lost_is_not_the_registrars_to_say(lied: Lied) -> None:
    async with lied.council.client("M") as m:
        await m.inbox()
        own, device = await m.send(flash(to=(LONDON,))), m.device.key.id
    async with lied.council.client("F") as f:
        assert letters(await f.inbox())[0].doubt is None
    await says_of_mary(lied, compromised=(Compromised(key=device, since=1),))
    async with seen_through(lied, LogUntrusted, "a compromised key is no device's"):
        await lied.write()
    await says_of_mary(lied, devices=(), compromised=(Compromised(key=device, since=1),))
    async with seen_through(lied, LogUntrusted, "only the authority says since when"):
        await lied.write()
    lied.liar.lies.clear()
    async with lied.council.client("F") as f:
        assert (await f.read(own.reference)).doubt is None
    # The authority says so, and is believed; also once the registrar was ended.
    since = lied.council.clock.now() - 2 * MINUTE
    async with lied.council.authority("MA") as authority:
        authority.revoke_key(MARY, device, since)
        authority.sign_directory()
        await authority.post()
    await end(lied, EVIL)
    async with lied.council.client("F") as f:
        assert (await f.read(own.reference)).doubt == Doubt(MARY, since)


async def test_a_member_who_was_stopped_is_taken_up_by_no_registrar(lied: Lied) -> None:
    _, active = await newest(lied)
    async with lied.council.authority("MA") as authority:
        authority.suspend(MARY)
        authority.sign_directory()
        await authority.post()
    nobody = pytest.raises(NotReady, match=f"Nobody at {DUTY}")
    with nobody:
        await lied.write()
    await says_of_mary(lied, state=State.ACTIVE)
    async with seen_through(lied, LogUntrusted, "only the authority reinstates"):
        await lied.write()
    # Nor by a statement beside the one that stopped her.
    await says_of_mary(lied, before=active)
    async with seen_through(lied, ChainBroken, "doesn't follow on what it has shown"):
        await lied.write()
    lied.liar.lies.clear()
    async with lied.council.authority("MA") as authority:
        authority.reinstate(MARY)
        authority.sign_directory()
        await authority.post()
    await lied.write()
    async with lied.council.authority("MA") as authority:
        authority.revoke(MARY)
        authority.sign_directory()
        await authority.post()
    await says_of_mary(lied, state=State.ACTIVE)
    async with seen_through(lied, LogUntrusted, "is revoked, for good"):
        await lied.write()


async def test_what_a_registrar_may_say_of_a_member_is_believed(lied: Lied) -> None:
    await says_of_mary(lied, state=State.REVOKED)
    async with seen_through(lied, LogUntrusted, "only the authority revokes"):
        await lied.write()
    await says_of_mary(lied, state=State.SUSPENDED)
    async with seen_through(lied, NotReady, f"Nobody at {DUTY}"):
        await lied.write()


async def test_a_home_that_saw_nothing_yet_asks_what_came_before(lied: Lied) -> None:
    seen = Home(lied.council.folder / "F").path(FILE)
    seen.unlink()
    await says_of_mary(lied, name="Mary of the desk")
    async with lied.client("F") as f:
        assert (await f.book.standing(PARTY)).members[MARY].title == "Mary of the desk"
    async with lied.council.authority("MA") as authority:
        authority.suspend(MARY)
        authority.sign_directory()
        await authority.post()
    seen.unlink()
    await says_of_mary(lied, state=State.ACTIVE)
    async with seen_through(lied, LogUntrusted, "only the authority reinstates"):
        await lied.write()


@pytest.mark.parametrize("stop", ["suspend", "revoke"])
async def test_who_is_left_out_for_a_while_is_taken_up_by_no_registrar(
    lied: Lied, stop: str
) -> None:
    _, active = await newest(lied)
    async with lied.council.authority("MA") as authority:
        getattr(authority, stop)(MARY)
        authority.sign_directory()
        await authority.post()
    with pytest.raises(NotReady, match=f"Nobody at {DUTY}"):
        await lied.write()
    directory, _ = await newest(lied)
    lied.council.clock.advance(MINUTE)
    others = tuple(one for one in directory.payload.members if one.member != MARY)
    lapses = lied.council.clock.now() + DAY
    without = signed(lied, directory, members=others, revoked=(), valid_until=lapses)
    shown = await lied.file(without, is_shown_only=True)
    lied.liar.lies[MOD] = lambda answer: {**answer, "directory": shown, "members": []}
    async with lied.client("F") as f:
        assert MARY not in (await f.book.standing(PARTY)).members
    beside = signed(lied, active)
    named = tuple(
        one.model_copy(update={"statement": beside.digest}) if one.member == MARY else one
        for one in directory.payload.members
    )
    following = signed(lied, without, members=named, revoked=(), valid_until=lapses)
    told = [await lied.file(one, is_shown_only=True) for one in (beside, following)]
    lied.liar.lies[MOD] = lambda answer: {**answer, "directory": told[1], "members": [told[0]]}
    async with seen_through(lied, ChainBroken, "doesn't follow on what it has shown"):
        await lied.write()


async def test_a_stop_outlives_the_registrar_whose_directory_named_it(
    lied: Lied, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, active = await newest(lied)
    async with lied.council.authority("MA") as authority:
        authority.suspend(MARY)
        authority.sign_directory()
        await authority.post()
    directory, _ = await newest(lied)
    lied.council.clock.advance(MINUTE)
    by_registrar = signed(lied, directory, valid_until=lied.council.clock.now() + DAY)
    await lied.file(by_registrar)
    async with lied.client("F") as f:
        assert (await f.book.standing(PARTY)).members[MARY].state is State.SUSPENDED
    bought = SigningKey(b"\x67" * 32)
    async with lied.council.authority("MA") as authority:
        await authority.catch_up()
        authority.end_registrar(EVIL.id)
        await delegate(authority, bought)
    monkeypatch.setattr(f"{__name__}.EVIL", bought)
    lied.council.clock.advance(MINUTE)
    await says_of_mary(lied, before=active)
    async with seen_through(lied, ChainBroken, "doesn't follow on what it has shown"):
        await lied.write()
    # What that registrar may say is believed, and gives way to the authority's once it was ended.
    lied.liar.lies.clear()
    await says_of_mary(lied, name="Mary of the desk")
    async with lied.client("F") as f:
        assert (await f.book.standing(PARTY)).members[MARY].title == "Mary of the desk"
    lied.liar.lies.clear()
    lied.council.clock.advance(MINUTE)
    async with lied.council.authority("MA") as authority:
        authority.end_registrar(bought.id)
        authority.reinstate(MARY)
        authority.sign_directory()
        await authority.post()
    await lied.write()
