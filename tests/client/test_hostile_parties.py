"""What a hostile node shows of parties: their keys, members, posts, directories and successions."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from liaison.client import Home, Pins, Unopened
from liaison.client.doubts import Doubt
from liaison.client.seen import forget_seen
from liaison.client.watching import check_digest
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import (
    Device,
    Directory,
    Key,
    Member,
    MemberRole,
    Party,
    Posting,
    State,
)
from liaison.statements.statement import Statement, make_statement, parse_statement_of
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import ChainBroken, LiaisonError, NotReady, SignatureInvalid
from liaison.words.times import DAY, MINUTE
from tests.client.council import DUTY, letters
from tests.client.liar import put
from tests.client.lied import (
    EVIL,
    LONDON_1,
    MARY,
    MOD,
    Lied,
    delegate,
    facts_of,
    forged_key,
    kept_back,
    lied_to,
    seen_through,
    under_another_name,
    withhold,
)
from tests.client.test_acting import flash


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        yield made


async def test_a_swapped_encryption_key_of_another_device_is_nobodys(
    lied: Lied, documented: Callable[[LiaisonError], None]
) -> None:
    lied.liar.lies[MOD] = put("keys", [])
    nobody = f"Nobody at {DUTY} has an encryption key in use"
    async with seen_through(lied, NotReady, f"{nobody} · "):  # nothing is there to be strange
        await lied.write()
    receipt = await lied.file(forged_key(lied, EVIL.id))
    lied.liar.lies[MOD] = put("keys", [receipt])
    with pytest.raises(NotReady, match=f"{nobody}: the node shows one of a device") as caught:
        await lied.write()
    documented(caught.value)
    # Beside the true one it draws nothing to itself.
    true = (await lied.answer(MOD))["keys"]
    lied.liar.lies[MOD] = put("keys", [receipt, *true])
    await lied.write()


async def test_a_swapped_encryption_key_in_a_devices_name_needs_its_signature(lied: Lied) -> None:
    async with lied.council.client("M") as m:
        device = m.device.key.id
    statement = forged_key(lied, EVIL.id)
    payload = statement.payload.model_copy(update={"key": device})
    envelope = make_statement(payload, under_another_name(device))
    lied.liar.lies[MOD] = put("keys", [await lied.file(envelope)])
    async with seen_through(lied, SignatureInvalid, "not by the key it names"):
        await lied.write()


async def test_an_added_reader_needs_the_registrar(lied: Lied) -> None:
    answer = await lied.answer(MOD)
    postings = lied.said(answer, "postings", Posting)
    known = next(each for each in postings if each.payload.post == DUTY)
    posting = make_statement(
        known.payload.model_copy(
            update={
                "key": EVIL.id,
                "holders": tuple(sorted((*known.payload.holders, "evil@mod.example"))),
                "sequence": known.payload.sequence + 1,
                "previous": known.digest,
            }
        ),
        EVIL,
    )
    member = make_statement(
        Member(
            by="mod.example",
            key=EVIL.id,
            issued=lied.council.clock.now(),
            lapse=lied.council.clock.now() + DAY,
            sequence=1,
            member="evil@mod.example",
            name="Evil",
            roles=(MemberRole.ATTACHE,),
            state=State.ACTIVE,
            devices=(
                Device(key=to_base64(EVIL.public), proof=EVIL.prove_possession("evil@mod.example")),
            ),
        ),
        EVIL,
    )
    told = [await lied.file(member), await lied.file(posting)]
    lied.liar.lies[MOD] = put("members", [*answer["members"], told[0]])
    async with seen_through(lied, ChainBroken, "neither the authority's nor a registrar's"):
        await lied.write()
    lied.liar.lies[MOD] = put("postings", [*answer["postings"], told[1]])
    async with seen_through(lied, ChainBroken, "neither the authority's nor a registrar's"):
        await lied.write()


async def test_a_reader_who_was_taken_off_a_post_is_not_kept(lied: Lied) -> None:
    before = await lied.answer(MOD)
    async with lied.council.authority("MA") as authority:
        authority.set_posting(DUTY, ["deputy.1@mod.example"])
        authority.sign_directory()
        await authority.post()
    lied.liar.lies[MOD] = put("postings", before["postings"])
    async with seen_through(
        lied, ChainBroken, "The directory of mod.example doesn't name this statement"
    ):
        await lied.write()
    lied.liar.lies.clear()
    await lied.write()


async def test_a_frozen_directory_fools_nobody_who_saw_a_newer_and_none_after_its_lapse(
    lied: Lied,
) -> None:
    fresh = lied.council.folder / "G"
    shutil.copytree(lied.council.folder / "F", fresh)  # one who never sees the newer
    frozen = await lied.answer(MOD)
    async with lied.council.authority("MA") as authority:
        authority.sign_directory()
        await authority.post()
    await lied.write()
    lied.liar.lies[MOD] = lambda _: frozen
    async with seen_through(
        lied, ChainBroken, "The node shows directory . of mod.example, and has shown"
    ):
        await lied.write()
    lied.council.clock.advance(8 * DAY)
    for name in ("FA", "MA"):
        async with lied.council.authority(name) as authority:
            authority.sign_directory()
            await authority.post()
    async with seen_through(lied, NotReady, "The newest directory of mod.example lapsed at"):
        await lied.write(by="G")


async def test_what_the_node_said_is_kept_as_evidence_where_one_must_stop(lied: Lied) -> None:
    receipt = await lied.file(forged_key(lied, EVIL.id))
    async with lied.council.client("M") as m:
        device = m.device.key.id
    payload = parse_statement_of(Key, forged_key(lied, EVIL.id).raw).payload
    forged = make_statement(payload.model_copy(update={"key": device}), under_another_name(device))
    lied.liar.lies[MOD] = put("keys", [receipt, await lied.file(forged)])
    with pytest.raises(SignatureInvalid) as stopped:
        await lied.write()
    (kept,) = (lied.council.folder / "F" / "evidence").iterdir()
    assert str(kept) in stopped.value.do
    assert str(stopped.value).startswith("STOP: ")
    told = json.loads(kept.read_text())
    assert (told["format"], told["code"]) == ("liaison/evidence/1", "signature-invalid")
    said = {
        each["path"]: json.loads(from_base64(each["body"]))
        for each in told["answers"]
        if each["path"] == MOD
    }
    assert said[MOD]["keys"][0] == receipt
    with pytest.raises(SignatureInvalid):
        await lied.write()
    assert len(list(kept.parent.iterdir())) == 2  # in the same second: the first stays
    # What merely can't be done now leaves none.
    lied.liar.lies[MOD] = put("keys", [receipt])
    with pytest.raises(NotReady):
        await lied.write()
    assert len(list(kept.parent.iterdir())) == 2


async def test_a_registrar_that_was_ended_signs_for_nobody_who_saw_it_end(lied: Lied) -> None:
    async with lied.council.authority("MA") as authority:
        await delegate(authority, EVIL)
    await lied.write()  # the honest run, with the registrar
    before = await lied.answer(MOD)
    async with lied.council.authority("MA") as authority:
        authority.end_registrar(EVIL.id)
        authority.sign_directory()
        await authority.post()
    await lied.write()
    # The node takes what the ended one signed, and shows the statement that names it.
    now = lied.council.clock.now()
    (newest,) = lied.said(await lied.answer(MOD), "directory", Directory)
    directory = make_statement(
        newest.payload.model_copy(
            update={
                "key": EVIL.id,
                "issued": now,
                "lapse": now + DAY,
                "sequence": newest.payload.sequence + 1,
                "previous": newest.digest,
            }
        ),
        EVIL,
    )
    told = {"party": before["party"], "directory": await lied.file(directory)}
    lied.liar.lies[MOD] = lambda answer: {**answer, **told}
    async with seen_through(
        lied, ChainBroken, r"shows statement 2 of mod\.example, and has shown 3"
    ):
        await lied.write()
    lied.liar.lies[MOD] = put("directory", told["directory"])
    async with seen_through(lied, ChainBroken, "neither the authority's nor a registrar's"):
        await lied.write()


async def test_a_stranger_who_names_the_true_statement_before_takes_no_pin(lied: Lied) -> None:
    (newest,) = lied.said(await lied.answer(MOD), "party", Party)
    before = Pins(Home(lied.council.folder / "F")).authority("mod.example")
    now = lied.council.clock.now()
    takeover = make_statement(
        newest.payload.model_copy(
            update={
                "key": EVIL.id,
                "authority": to_base64(EVIL.public),
                "sequence": newest.payload.sequence + 1,
                "previous": newest.digest,
                "issued": now,
                "lapse": now + DAY,
            }
        ),
        EVIL,
    )
    lied.liar.lies[MOD] = put("party", await lied.file(takeover))
    async with seen_through(
        lied,
        ChainBroken,
        r"mod\.example shows an authority key that isn't the pinned one, nor announced by it",
    ):
        await lied.write()
    assert Pins(Home(lied.council.folder / "F")).authority("mod.example") == before


async def test_a_next_key_is_announced_by_a_succession_only(lied: Lied) -> None:
    """Who has the present authority key, and a node of their own mind, doesn't get the pin."""
    (present,) = lied.said(await lied.answer(MOD), "party", Party)
    async with lied.council.authority("MA") as authority:
        stolen = authority._key
    announced = _party_after(lied, present, stolen, next=EVIL.id)
    succession = _party_after(
        lied,
        announced,
        EVIL,
        authority=to_base64(EVIL.public),
        next=SigningKey(b"\x42" * 32).id,
    )
    told = [await lied.file(one) for one in (announced, succession)]
    before = Pins(Home(lied.council.folder / "F")).authority("mod.example")
    for receipt in told:
        lied.liar.lies[MOD] = put("party", receipt)
        async with seen_through(
            lied, ChainBroken, "another next key, that no succession announced"
        ):
            await lied.write()
        forget_seen(Home(lied.council.folder / "F"), "mod.example")  # as one who is new
    assert Pins(Home(lied.council.folder / "F")).authority("mod.example") == before


async def test_of_two_statements_of_one_number_the_one_that_was_seen_stands(lied: Lied) -> None:
    (present,) = lied.said(await lied.answer(MOD), "party", Party)
    async with lied.council.authority("MA") as authority:
        stolen = authority._key
        await delegate(authority, SigningKey(b"\x41" * 32))
    await lied.write()
    other = _party_after(lied, present, stolen, name="Ministry of Ours")
    for one in (other, _party_after(lied, other, stolen)):  # of the same number, and on top of it
        lied.liar.lies[MOD] = put("party", await lied.file(one))
        async with seen_through(lied, ChainBroken, r"There are two statements 2 of mod\.example"):
            await lied.write()


def _party_after(
    lied: Lied, before: Statement[Party], key: SigningKey, **changes: Any
) -> Statement[Party]:
    now = lied.council.clock.now()
    members = {
        "key": key.id,
        "sequence": before.payload.sequence + 1,
        "previous": before.digest,
        "issued": now,
        "lapse": now + DAY,
        **changes,
    }
    return make_statement(before.payload.model_copy(update=members), key)


async def test_what_the_directory_names_is_not_left_out(lied: Lied) -> None:
    async with lied.council.authority("MA") as authority:
        authority.set_posting(DUTY, ["deputy.1@mod.example", MARY])
        authority.sign_directory()
        await authority.post()
    async with lied.client("F") as f:
        plan = await f.plan(flash())
    assert [len(one.keys) for one in plan.addressees if one.post == DUTY] == [2]
    lied.liar.lies[MOD] = lambda answer: {**answer, "members": [], "postings": []}
    async with lied.client("F") as f:  # it is asked for, one by one
        plan = await f.plan(flash())
    assert [len(one.keys) for one in plan.addressees if one.post == DUTY] == [2]
    withheld = {one.digest for one in lied.said(await lied.answer(MOD), "members", Member)}

    for digest in withheld:
        lied.liar.lies[f"/v1/statements/{check_digest(digest)}"] = withhold
    async with seen_through(
        lied, ChainBroken, r"withholds a member that the directory of mod\.example names"
    ):
        await lied.write()
    lied.liar.lies = {MOD: put("directory", None)}
    async with seen_through(
        lied, ChainBroken, r"shows no directory of mod\.example, and has shown"
    ):
        await lied.write()


@pytest.mark.parametrize("is_shown", [True, False])
async def test_what_a_revoked_key_signed_stays_out_whatever_came_after(
    lied: Lied, is_shown: bool
) -> None:
    kept = await kept_back(lied)
    async with lied.council.client("F") as f:
        device = f.device.key.id
    lied.council.clock.advance(10 * MINUTE)
    async with lied.council.authority("FA") as authority:
        authority.revoke_key(LONDON_1, device, lied.council.clock.now())
        authority.sign_directory()
        await authority.post()
    await lied.file(kept, facts=facts_of(kept), content=b"x" * kept.payload.content.size)
    # The next statement of that member names no device that was taken away either.
    async with lied.council.authority("FA") as authority:
        authority.set_roles(LONDON_1, ["attache", "operator"])
        authority.sign_directory()
        await authority.post()
    if not is_shown:
        lied.liar.lies["/v1/parties/fco.example"] = put("members", [])
    async with lied.client("M") as m:
        items = await m.inbox()
        (bad,) = [item for item in items if isinstance(item, Unopened)]
        assert isinstance(bad.error, ChainBroken)
        assert "not of a device of" in str(bad.error)
        (honest,) = letters(items)
        assert honest.doubt is None
    assert is_shown == (not lied.liar.told)


async def test_a_doubt_is_not_taken_away_by_leaving_out_whom_it_is_about(lied: Lied) -> None:
    async with lied.council.client("F") as f:
        device = f.device.key.id
    since = lied.council.clock.now() - 10 * MINUTE
    async with lied.council.authority("FA") as authority:
        authority.revoke_key(LONDON_1, device, since)
        authority.sign_directory()
        await authority.post()
    lied.liar.lies["/v1/parties/fco.example"] = put("members", [])
    async with lied.client("M") as m:
        (letter,) = letters(await m.inbox())
        assert letter.doubt == Doubt(LONDON_1, since)
    assert lied.liar.told
