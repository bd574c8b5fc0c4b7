"""Grants on a real node: a second device, a lost key, a post that changes hands. design.md 3, 4."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from liaison.client import (
    Client,
    Home,
    Item,
    Letter,
    News,
    Pins,
    Told,
    Unopened,
    post_approval,
    request_device,
    take_approval,
)
from liaison.client.pins import groups_of
from liaison.client.reading import sha256
from liaison.sealing import seal
from liaison.statements.payloads import Reliance, Verdict, Wrap
from liaison.statements.procedures import Grant, GrantReason
from liaison.words.encoding import from_base64
from liaison.words.errors import NotReady, RefusedByNode, Unreadable
from tests.client.hotline import (
    ALIAS,
    CANARY,
    CHEAP,
    DUTY,
    LONDON,
    PASSPHRASE,
    Hotline,
    draft,
    enrol,
    hotline,
)

FIRST = f"{ALIAS}/1"
HOLDER, EDWIN = "duty.desk.1@mod.example", "edwin@mod.example"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path) as line:
        yield line


async def inbox(line: Hotline, name: str) -> list[Item]:
    async with line.client(name) as client:
        return await client.inbox()


async def second_device(line: Hotline, name: str, authority: str, post: str) -> str:
    """Give the first holder of a post another device; return the id of its key."""
    request = request_device(line.home(name), PASSPHRASE, post, cost=CHEAP)
    async with line.authority(authority) as signer:
        approval = signer.add_device(request)
    take_approval(line.home(name), approval, line.card)
    await _ready(line, name, authority)
    async with line.client(name) as client:
        await post_approval(client, approval)
        key = client.device.key.id
    async with line.authority(authority) as signer:
        signer.sign_directory()
        await signer.post()
    return key


async def _ready(line: Hotline, name: str, authority: str) -> None:
    """Pin what the authority's home has pinned."""
    home, pins = line.home(name), Pins(line.home(authority)).authorities
    for pin in pins.values():
        if pin.party not in Pins(Home(home.root)).authorities:
            Pins(home).pin_authority(pin)


async def hand_over(line: Hotline, holders: Sequence[str]) -> None:
    """Have Edwin enrolled, and the duty desk held by these from now on."""
    await enrol(line, "E", "MA", DUTY, local="edwin")
    await _ready(line, "E", "MA")
    async with line.authority("MA") as authority:
        authority.set_posting(DUTY, holders)
        authority.sign_directory()
        await authority.post()


async def test_a_second_device_reads_what_the_first_one_grants_it_and_nobody_is_bothered(
    line: Hotline,
) -> None:
    async with line.client("F") as f:
        await f.send(draft())
    assert isinstance((await inbox(line, "M"))[0], Letter)
    key = await second_device(line, "M2", "MA", DUTY)
    (item,) = await inbox(line, "M2")
    assert isinstance(item, Unopened)
    assert isinstance(item.error, Unreadable)
    assert item.error.happened == "This device was not known yet when it was sent"
    assert item.error.do == f"on that device, run: liaison grant --device {groups_of(key)[-1]}"
    async with line.client("M") as m:
        history = await m.history_for(key)
        assert (history.notes, history.gone, history.left) == (((FIRST, DUTY),), (), ())
        granting = await m.grant_plan(
            FIRST, DUTY, reason=GrantReason.HISTORY, devices=(history.device,)
        )
        assert (granting.members, granting.keys) == ((HOLDER,), 1)
        await m.grant(granting)
        m.granted(granting.letter, key)
        assert (await m.history_for(key)).notes == ()
        assert await m.inbox() == []  # it is for the other device
    (letter,) = await inbox(line, "M2")
    assert isinstance(letter, Letter)
    assert letter.content.body.strip() == CANARY
    async with line.client("M2") as m2:
        await m2.acknowledge(FIRST)
    (told,) = await inbox(line, "F")  # no unreadable, and no news of a reader who was one
    assert isinstance(told, Told)
    assert (told.verdict, told.by) == (Verdict.ACKNOWLEDGED, HOLDER)


async def test_what_was_sent_is_granted_to_a_second_device_too(line: Hotline) -> None:
    async with line.client("F") as f:
        await f.send(draft())
    key = await second_device(line, "F2", "FA", LONDON)
    async with line.client("F") as f:
        ((reference, post),) = (await f.history_for(key)).notes
        assert (reference, post) == (FIRST, LONDON)
        await f.grant(await f.grant_plan(reference, post, devices=(key,)))
    # The copy was there before its wrap: it is said once that it can't be opened, then shown.
    shown = [item for item in await inbox(line, "F2") if isinstance(item, Letter)]
    assert [letter.reference for letter in shown] == [FIRST]


async def test_who_left_a_post_gets_nothing_of_it_for_another_device(line: Hotline) -> None:
    async with line.client("F") as f:
        await f.send(draft())
    await inbox(line, "M")
    key = await second_device(line, "M2", "MA", DUTY)
    await hand_over(line, [EDWIN])
    async with line.client("M") as m:
        history = await m.history_for(key)
        assert (history.notes, history.gone, history.left) == ((), (), (FIRST,))
        plan = await m.grant_plan(FIRST, DUTY)  # but to who holds it now
        assert plan.members == (EDWIN,)


async def test_a_further_device_gives_nobody_a_post_back(line: Hotline) -> None:
    await hand_over(line, [EDWIN])
    request = request_device(line.home("M2"), PASSPHRASE, DUTY, cost=CHEAP)
    async with line.authority("MA") as signer:
        with pytest.raises(NotReady, match=f"{HOLDER} doesn't hold {DUTY}"):
            signer.add_device(request)
        (posting,) = signer.postings
        assert posting.holders == (EDWIN,)


async def test_nothing_is_granted_to_a_device_that_is_not_the_members_own(line: Hotline) -> None:
    async with line.client("F") as f:
        await f.send(draft())
    await inbox(line, "M")
    async with line.client("M") as m, line.client("F") as f:
        for key in (f.device.key.id, m.device.key.id, "nonsense"):
            with pytest.raises(NotReady, match="no other device"):
                await m.history_for(key)


async def lose_key(line: Hotline, name: str) -> None:
    """Take the secrets of a home's encryption keys away, as a damaged keystore would."""
    async with line.client(name) as client:
        for certified in client.device.certified:
            del client.device.keystore.secrets[certified.digest]
        client.device.keystore.save()


async def test_who_lost_a_key_says_unreadable_by_itself_and_the_sender_grants_it(
    line: Hotline,
) -> None:
    async with line.client("F") as f:
        await f.send(draft())
    await lose_key(line, "M")
    (item,) = await inbox(line, "M")
    assert isinstance(item, Unopened)
    async with line.client("F") as f:
        (told,) = await f.inbox()
        assert isinstance(told, Told)
        assert (told.verdict, told.post, told.reason) == (Verdict.UNREADABLE, DUTY, "key")
        done = await f.grant(await f.grant_plan(FIRST))
        assert (done.what, done.reference) == ("grant", FIRST)
    (letter,) = await inbox(line, "M")
    assert isinstance(letter, Letter)
    assert letter.content.body.strip() == CANARY
    async with line.client("M") as m:
        await m.acknowledge(FIRST)


async def test_a_post_changes_hands_and_its_new_holder_signs_for_what_was_open(
    line: Hotline,
) -> None:
    async with line.client("F") as f:
        for subject in ("open", "settled"):
            await f.send(draft(subject=subject))
    await inbox(line, "M")
    async with line.client("M") as m:
        await m.acknowledge(f"{ALIAS}/2")
        with pytest.raises(NotReady, match="doesn't hold"):
            await m.check_holder(DUTY, EDWIN)
    await hand_over(line, [EDWIN])
    assert await inbox(line, "E") == []
    async with line.client("M") as m:
        await m.check_holder(DUTY, EDWIN)
        # What was taken on owes an answer yet, by the hotline's charter.
        assert [(u.reference, u.life) for u in await m.unsettled_at(DUTY)] == [
            (f"{ALIAS}/2", "acknowledged"),
            (FIRST, "delivered"),
        ]
        devices = await m.devices_of(EDWIN)
        for unsettled in await m.unsettled_at(DUTY):
            plan = await m.grant_plan(
                unsettled.reference, DUTY, reason=GrantReason.HANDOVER, devices=devices
            )
            await m.grant(plan)
        with pytest.raises(RefusedByNode, match="does not hold"):
            await m.acknowledge(FIRST)
    letters = await inbox(line, "E")
    assert {x.content.subject for x in letters if isinstance(x, Letter)} == {"open", "settled"}
    async with line.client("E") as e:
        told = await e.acknowledge(FIRST)
        assert (told.by, told.post) == (EDWIN, DUTY)
    items = await inbox(line, "F")
    news = [item for item in items if isinstance(item, News)]
    assert f"{HOLDER} granted {FIRST} to {EDWIN} for {DUTY} (handover)" in [n.text for n in news]
    answers = [(i.reference, i.by) for i in items if isinstance(i, Told)]
    assert answers == [(f"{ALIAS}/2", HOLDER), (FIRST, EDWIN)]


async def test_a_post_of_several_holders_is_answered_by_each_under_their_own_name(
    line: Hotline,
) -> None:
    await hand_over(line, sorted([EDWIN, HOLDER]))
    async with line.client("F") as f:
        for subject in ("one", "two"):
            await f.send(draft(subject=subject))
    for name in ("M", "E"):
        assert len(await inbox(line, name)) == 2
    async with line.client("M") as m, line.client("E") as e:
        assert (await m.acknowledge(FIRST)).by == HOLDER
        with pytest.raises(RefusedByNode, match=f"acknowledged for {DUTY} by {HOLDER}"):
            await e.acknowledge(FIRST)
        assert (await e.acknowledge(f"{ALIAS}/2")).by == EDWIN
    answers = [(i.reference, i.by) for i in await inbox(line, "F") if isinstance(i, Told)]
    assert answers == [(FIRST, HOLDER), (f"{ALIAS}/2", EDWIN)]


async def false_grant(m: Client, reference: str) -> None:
    """Grant Edwin another secret than the note's."""
    granting = await m.grant_plan(reference, DUTY, devices=await m.devices_of(EDWIN))
    note, plan = granting.letter.note, granting.plan
    context = seal.SealContext(note.id, note.charter, note.key, note.kind)
    other = secrets.token_bytes(seal.SECRET_BYTES)
    commitment = from_base64(note.commitment)
    wraps = seal._wraps(other, context, plan.recipients, m.device.key.id, commitment)
    payload = m._payload(
        Grant,
        plan.channel,
        note=granting.letter.digest,
        post=DUTY,
        reason=GrantReason.HANDOVER,
        parties=tuple(Reliance(party=p, directory=d) for p, d in plan.directories),
        given=tuple(Wrap(key=k, wrap=sha256(wraps[k])) for k in sorted(wraps)),
    )
    cell = plan.channel.cell
    signed = m._signed(
        "grant", cell.channel, cell.alias, payload, {}, reference, wraps=b"".join(wraps.values())
    )
    await m.outbox.keep(signed)
    await m._submit(signed)
    m.outbox.receipted(signed.digest)


async def test_a_grant_of_another_secret_opens_nothing_and_hinders_no_other(line: Hotline) -> None:
    async with line.client("F") as f:
        await f.send(draft())
    await inbox(line, "M")
    await hand_over(line, sorted([EDWIN, HOLDER]))
    async with line.client("M") as m:
        await false_grant(m, FIRST)
    (item,) = await inbox(line, "E")
    assert isinstance(item, Unopened)
    assert isinstance(item.error, Unreadable)
    assert item.error.reason == "commitment"
    async with line.client("F") as f:
        await f.grant(await f.grant_plan(FIRST))
    (letter,) = await inbox(line, "E")
    assert isinstance(letter, Letter)
    assert letter.content.body.strip() == CANARY


async def test_what_this_device_cannot_open_any_more_it_cannot_grant(line: Hotline) -> None:
    async with line.client("F") as f:
        await f.send(draft())
    await inbox(line, "M")
    await lose_key(line, "M")
    key = await second_device(line, "M2", "MA", DUTY)
    async with line.client("M") as m:
        assert (await m.read(FIRST)).content.body.strip() == CANARY  # from the cabinet
        history = await m.history_for(key)
        assert (history.notes, history.gone) == ((), (FIRST,))
        with pytest.raises(Unreadable):
            await m.grant(await m.grant_plan(FIRST))
