"""What the log took is what was sent, or it stays here: of another signature, or with other facts, it isn't.

The node's log takes what is sent in another way than it was sent, and answers with a true receipt of that.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liaison.client import Client, Home, post_approval, request_device, take_approval
from liaison.client.answers import objects_of
from liaison.client.courier import Parcel, lodge
from liaison.client.home import RESTORED
from liaison.client.outbox import Waiting
from liaison.client.taken import check_facts, check_taken
from liaison.client.transport import Transport
from liaison.client.watching import Entry
from liaison.ledger.facts import NoteFacts, Stated
from liaison.ledger.record import Record, record_from
from liaison.node import deciding
from liaison.rules.cells import Counter, Taken
from liaison.rules.decide import decide
from liaison.rules.evolve import evolve
from liaison.statements.kinds import KINDS
from liaison.statements.payloads import Verdict
from liaison.statements.statement import make_statement, parse_statement
from liaison.words.errors import LogUntrusted, NodeUnreachable, NotReady, RecordUntrusted
from liaison.words.precedence import Precedence
from liaison.words.times import HOUR
from tests.client.council import CANARY, DUTY, LONDON, PASSPHRASE, letters
from tests.client.hotline import CHEAP
from tests.client.lied import (
    EVIL,
    LONDON_1,
    MARY,
    Lied,
    facts_of,
    kept_back,
    lied_to,
    under_another_name,
)
from tests.client.test_acting import flash, verbale

HOMES = frozenset(KINDS) - {"admission", "node", "refusal", "session"}
"""The kinds that a member's home or an authority's signs."""
ANOTHER = r"Entry \d+ has this {kind} under a signature by another key than it names"
OTHER_FACTS = r"The facts of entry \d+ are not what its {kind} says"


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        yield made


def forged(record: Record) -> Record:
    """Return a record of the same payload under a stranger's signature."""
    said = parse_statement(record.statement).payload
    other = make_statement(said, under_another_name(said.key))
    facts = record.facts.model_copy(update={"statement": other.digest})
    note = other.digest if record.note and record.kind == "note" else record.note
    return replace(record, statement=other.raw, facts=facts, note=note)


def with_facts(**changes: object) -> Callable[[Record], Record]:
    return lambda record: replace(record, facts=record.facts.model_copy(update=changes))


@contextlib.contextmanager
def logged_as(
    lied: Lied, kind: str, change: Callable[[Record], Record], *, is_followed: bool = False
) -> Iterator[None]:
    """Have the log take statements of a kind as ``change`` makes them; nothing follows from it, or all."""
    taken: list[Record] = []

    def otherwise(view: Any, said: Any, at: int) -> Any:
        outcome = decide(view, said, at)
        if not isinstance(outcome, Record) or outcome.kind != kind:
            return outcome
        taken.append(change(outcome))
        return taken[-1]

    def unmoved(view: Any, record: Record, index: int) -> Any:
        if is_followed or record not in taken:
            return evolve(view, record, index)
        scope, facts = record.channel.id, record.facts
        assert isinstance(facts, Stated)
        return [
            Counter(scope=scope, n=record.channel.n),
            Taken(scope=scope, payload=facts.payload, index=index),
        ]

    with lied.monkeypatch.context() as patch:
        patch.setattr(deciding, "decide", otherwise)
        patch.setattr(deciding, "evolve", unmoved)
        yield
    assert taken


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (forged, ANOTHER),
        (with_facts(precedence=Precedence.DEFERRED), OTHER_FACTS),
        (lambda record: with_facts(addressees=record.facts.addressees[:1])(record), OTHER_FACTS),
    ],
    ids=["signature", "precedence", "addressees"],
)
async def test_a_note_that_others_cant_believe_is_not_accepted_and_stays_in_the_outbox(
    lied: Lied, change: Callable[[Record], Record], said: str
) -> None:
    world = lied.council
    with logged_as(lied, "note", change):
        async with contextlib.AsyncExitStack() as opened:
            with pytest.raises(RecordUntrusted, match=said.format(kind="note")) as stopped:
                async with world.client("F") as f:
                    await f.send(flash())
            f = await opened.enter_async_context(world.client("F"))
            (waiting,) = f.outbox.waiting
            assert (waiting.kind, f.cabinet.references()) == ("note", ["london-hotline/1"])
    assert str(stopped.value).startswith("STOP: ")
    assert "Do not write it again" in stopped.value.safe
    assert len(list((world.folder / "F" / "evidence").iterdir())) == 1
    # It is told with each command, and keeps nobody from reading or writing.
    async with world.client("F") as f:
        sent = await f.send(flash())
        (told,) = f.caught_up
        assert isinstance(told, RecordUntrusted)
        assert told.happened.startswith("STOP: ")
        assert [one.digest for one in f.outbox.waiting] == [waiting.digest]
        assert await f.unsettled_notes() == ["london-hotline/1", sent.reference]
        await f.outbox.drop(waiting.digest)


async def test_a_note_that_the_log_gave_the_reference_of_another_stays_with_its_text(
    lied: Lied,
) -> None:
    with (
        logged_as(lied, "note", with_facts(reference=1)),
        pytest.raises(
            RecordUntrusted, match="gave the reference london-hotline/1 to a second note"
        ),
    ):
        await lied.write()
    async with lied.council.client("F") as f:
        (waiting,) = f.outbox.waiting
        _, content = f.read_own(Parcel.of(waiting))
        assert content.body == CANARY
        sent = await f.send(flash())
        assert [type(told) for told in f.caught_up] == [RecordUntrusted]
        assert f.cabinet.references() == ["london-hotline/1", sent.reference]


async def test_an_answer_that_was_logged_as_another_is_not_told_as_given(lied: Lied) -> None:
    world = lied.council
    async with world.client("M") as m:
        (letter,) = letters(await m.inbox())
    with (
        logged_as(lied, "answer", with_facts(verdict=Verdict.DECLINED)),
        pytest.raises(RecordUntrusted, match=OTHER_FACTS.format(kind="answer")),
    ):
        async with world.client("M") as m:
            await m.acknowledge(letter.reference)
    async with world.client("M") as m:
        assert [one.kind for one in m.outbox.waiting] == ["answer"]
        world.clock.advance(1)
        told = await m.acknowledge(letter.reference)  # said anew
    assert told.verdict is Verdict.ACKNOWLEDGED


async def test_delivered_that_was_logged_as_another_is_said_again_and_the_notes_are_shown(
    lied: Lied,
) -> None:
    world = lied.council

    async def lives() -> list[object]:
        async with world.client("F") as f:
            state = await f.status("london-hotline/1")
        return [one["life"] for one in objects_of(state, "addressees") if one["post"] == DUTY]

    with logged_as(lied, "answer", with_facts(verdict=Verdict.UNREADABLE)):
        async with world.client("M") as m:
            assert len(letters(await m.inbox())) == 1
            (told,) = m.caught_up
            assert isinstance(told, RecordUntrusted)
    assert await lives() == ["queued"]
    world.clock.advance(1)
    async with world.client("M") as m:
        assert await m.inbox() == []
    assert await lives() == ["delivered"]


async def test_a_revocation_under_another_signature_is_not_posted(lied: Lied) -> None:
    world = lied.council
    async with world.client("M") as m:
        device = m.device.key.id
    with logged_as(lied, "member", forged):
        async with world.authority("MA") as authority:
            authority.revoke_key(MARY, device, world.clock.now())
            authority.sign_directory()
            with pytest.raises(RecordUntrusted, match=ANOTHER.format(kind="member")):
                await authority.post()
            assert [one.kind for one in authority.unposted] == ["member", "directory"]
    async with world.authority("MA") as authority:
        with pytest.raises(RecordUntrusted):  # the log has what it has
            await authority.post()
        authority.drop(authority.unposted[0].digest)
        world.clock.advance(1)
        authority.revoke_key(MARY, device, world.clock.now())
        authority.sign_directory()
        assert [entry.statement.kind for entry in await authority.post()] == ["member", "directory"]
    with pytest.raises(NotReady, match=f"Nobody at {DUTY} has an encryption key in use"):
        await lied.write()


async def test_an_authority_posts_nothing_that_was_logged_with_other_facts(lied: Lied) -> None:
    with logged_as(lied, "directory", with_facts(valid_until=1)):
        async with lied.council.authority("MA") as authority:
            authority.sign_directory()
            with pytest.raises(RecordUntrusted, match=OTHER_FACTS.format(kind="directory")):
                await authority.post()
            assert [one.kind for one in authority.unposted] == ["directory"]


@pytest.mark.parametrize("kind", ["member", "posting", "key"])
async def test_an_enrolment_that_was_logged_under_another_signature_is_told(
    lied: Lied, kind: str
) -> None:
    world = lied.council
    home = Home(world.folder / "night")
    request = request_device(home, PASSPHRASE, DUTY, local="night.desk", cost=CHEAP)
    async with world.authority("MA") as authority:
        approval = authority.approve(request, ["attache"])
        take_approval(home, approval, authority.pins.node)

    def opened() -> Client:
        return Client.open(home, PASSPHRASE, url=world.running.url, now=world.clock.now)

    with logged_as(lied, kind, forged):
        async with opened() as client:
            if kind == "key":
                await post_approval(client, approval)
                (told,) = client.caught_up
                assert isinstance(told, RecordUntrusted)
            else:
                with pytest.raises(RecordUntrusted, match=ANOTHER.format(kind=kind)):
                    await post_approval(client, approval)
            assert len(client.device.unposted()) == (1 if kind == "key" else 0)


async def test_what_a_courier_brings_is_asked_the_same(lied: Lied) -> None:
    world = lied.council
    honest = Transport.submit
    receipts: list[str] = []

    async def cut(self: Transport, *of: Any) -> str:
        receipts.append(await honest(self, *of))
        raise NodeUnreachable("cut")

    async with world.client("F") as f:
        lied.monkeypatch.setattr(Transport, "submit", cut)
        with logged_as(lied, "note", forged), pytest.raises(Waiting):
            await f.send(flash())
        lied.monkeypatch.setattr(Transport, "submit", honest)
        (waiting,) = f.outbox.waiting
        parcel = Parcel.of(waiting)
        with pytest.raises(RecordUntrusted, match=ANOTHER.format(kind="note")):
            await f.take_back(receipts[0].encode())
        assert len(f.outbox.waiting) == 1
        await f.outbox.drop(waiting.digest)
        with pytest.raises(RecordUntrusted, match=ANOTHER.format(kind="note")):
            await f.take_back(receipts[0].encode())
        assert f.cabinet.references() == ["london-hotline/1"]
    async with Transport(world.running.url) as transport:
        with pytest.raises(RecordUntrusted, match=ANOTHER.format(kind="note")):
            await lodge(parcel, f.pins.node, transport)


async def test_a_release_and_a_grant_are_asked_the_same(lied: Lied) -> None:
    world = lied.council
    async with world.client("F") as f:
        drafts = [(await f.send(verbale(clear=()))).reference for _ in range(2)]
    async with world.client("R") as r:
        await r.inbox()
        assert (await r.release(await r.read(drafts[0]))).reference == "london-notes/1"
        letter = await r.read(drafts[1])
        with (
            logged_as(lied, "release", with_facts(addressees=())),
            pytest.raises(RecordUntrusted, match=OTHER_FACTS.format(kind="release")),
        ):
            await r.release(letter)
        assert [one.kind for one in r.outbox.waiting] == ["release"]
        assert r.cabinet.has(drafts[1])
    async with world.client("M") as m:
        await m.inbox()
        granting = await m.grant_plan("london-hotline/1", DUTY)
        with (
            logged_as(lied, "grant", with_facts(post="deputy@mod.example")),
            pytest.raises(RecordUntrusted, match=OTHER_FACTS.format(kind="grant")),
        ):
            await m.grant(granting)
        assert [one.kind for one in m.outbox.waiting] == ["grant"]


async def test_of_a_duplicate_other_bytes_by_the_same_key_are_taken(lied: Lied) -> None:
    """STMT-7: it has the first one's receipt, whatever its signature. By a key that isn't known, none."""
    async with lied.council.client("F") as f:
        kept = f.cabinet.get("london-hotline/1")
        entry = f.watch.verify(kept.receipt)
        public = f.device.key.public
    other = make_statement(entry.statement.payload, under_another_name(entry.statement.payload.key))
    check_taken(entry, entry.statement, None)
    check_taken(entry, other, public)
    for known in (None, EVIL.public):
        with pytest.raises(RecordUntrusted, match=ANOTHER.format(kind="note")):
            check_taken(entry, other, known)
    with pytest.raises(LogUntrusted, match="the receipt of another statement"):
        check_taken(entry, parse_statement(await _another(lied)), public)


async def _another(lied: Lied) -> bytes:
    async with lied.council.client("F") as f:
        sent = await f.send(flash())
        return f.watch.verify(f.cabinet.get(sent.reference).receipt).statement.raw


@pytest.mark.parametrize("serial", [200, 2**52])
async def test_serials_are_learnt_from_what_this_device_signed_alone(
    lied: Lied, serial: int
) -> None:
    """Else one forged note moves them so far ahead that no node takes a note of it any more."""
    note = (await kept_back(lied)).payload
    parties = [
        r.model_copy(update={"serial": serial}) if r.serial is not None else r for r in note.parties
    ]
    said = note.model_copy(update={"parties": tuple(parties)})
    false = make_statement(said, under_another_name(said.key))
    facts = facts_of(false)
    readers = {LONDON: (LONDON_1,), DUTY: (MARY,)}
    shown = tuple(
        a.model_copy(update={"readers": readers.get(a.post, ())}) for a in facts.addressees
    )
    facts = facts.model_copy(update={"addressees": shown})
    await lied.file(false, facts=facts, content=b"x" * said.content.size)
    restored = Home(lied.council.folder / "F")
    restored.path("outbox").unlink()
    restored.path(RESTORED).touch()
    async with lied.council.client("F") as f:
        sent = await f.send(flash())
        logged = f.watch.verify(f.cabinet.get(sent.reference).receipt).record.facts
    assert isinstance(logged, NoteFacts)
    # 1 is that of the honest run, which the log has of this device.
    assert {one.serial for one in logged.serials} == {2}


async def test_the_facts_of_each_kind_that_a_home_signs_are_asked_after(lied: Lied) -> None:
    """Each honest record passes, and none whose facts name another payload, party or channel."""
    world = lied.council
    async with world.client("M") as m:
        await m.inbox()
        await m.acknowledge("london-hotline/1")
        await m.grant(await m.grant_plan("london-hotline/1", DUTY))
        await m.hold("london-hotline", DUTY, Precedence.IMMEDIATE, world.clock.now() + HOUR)
    async with world.client("F") as f:
        withdrawn = (await f.send(flash())).reference
        await f.withdraw(withdrawn)
        drafted = (await f.send(verbale(clear=()))).reference
    async with world.client("R") as r:
        await r.inbox()
        await r.release(await r.read(drafted))
    seen: set[str] = set()
    for index, row in enumerate(await world.running.services.reading.store.entries(0, 10_000)):
        record = record_from(row.fields)
        if not isinstance(record.facts, Stated):
            continue
        entry = Entry(index, record, parse_statement(record.statement), "")
        check_facts(entry)
        # Whose note another kind is about, its statement doesn't say.
        own = (
            "channel",
            "party",
            "member",
            "note",
            *(("sender",) if record.kind == "note" else ()),
        )
        for name in own if record.kind in HOMES else ():
            if isinstance(getattr(record.facts, name, None), str):
                false = record.facts.model_copy(update={name: "another"})
                with pytest.raises(RecordUntrusted):
                    check_facts(replace(entry, record=replace(record, facts=false)))
                seen.add(record.kind)
    assert seen >= HOMES - {"extension", "objection", "participation", "void", "watch"}
