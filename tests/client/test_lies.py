"""What a node that lies about references, positions and answers can't make a client believe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from liaison.client import Letter
from liaison.client.links import LinkBroken
from liaison.client.pins import AuthorityPin
from liaison.client.reading import Delivery, check_answer, check_said
from liaison.client.watching import Entry
from liaison.ledger.facts import AnsweredFacts, AnswerFacts, HoldFacts
from liaison.rules.deriving import watch_facts
from liaison.rules.refusal import Refused
from liaison.statements.payloads import Answer, MemberRole, Verdict
from liaison.statements.statement import make_statement
from liaison.words.errors import LogUntrusted, Malformed
from liaison.words.precedence import Precedence
from tests.client.council import letters, untrusted
from tests.client.hostile import Desk, HostileWorld, delivery_of, note_in
from tests.client.hotline import ALIAS, CANARY, draft, hotline
from tests.world import ANNA, DORA, EDWIN, FCO, LONDON, MOD, signing
from tests.world import DUTY as DESK


@pytest.fixture
async def line(tmp_path):
    async with hotline(tmp_path) as line:
        yield line


def lying(client: Any, change: Any) -> None:
    """Have what the node answers to reads pass through ``change``."""
    honest = client.transport.read

    async def read(path: str) -> dict[str, object]:
        answer = await honest(path)
        if path.startswith("/v1/inbox"):
            change(answer)
        return answer

    client.transport.read = read


async def test_a_second_note_under_a_reference_never_takes_the_place_of_the_first(line):
    async with line.client("F") as f:
        await f.send(draft("the first"))
        await f.send(draft("the second"))
    async with line.client("M") as m:
        verify = m.watch.verify_any

        def verify_as_the_first(text: str, known: Any = None) -> Entry:
            entry = verify(text, known)
            facts = entry.record.facts.model_copy(update={"reference": 1})
            record = replace(entry.record, facts=facts)
            return Entry(entry.index, record, entry.statement, entry.receipt)

        m.watch.verify_any = verify_as_the_first
        items = await m.inbox()
        assert "the reference london-hotline/1 to a second note" in untrusted(items)
        assert [letter.content.body for letter in letters(items)] == ["the first"]
        assert (await m.read(f"{ALIAS}/1")).content.body == "the first"
    assert len(list(m.home.path("receipts").rglob("1.second.*.receipt"))) == 1


@pytest.mark.parametrize("position", ["0.0", "99999999.0", "1", "x.y"])
async def test_a_position_that_isnt_the_entrys_is_not_believed(line, position):
    async with line.client("F") as f:
        await f.send(draft())

    def misplace(answer: Any) -> None:
        for item in answer["items"]:
            item["position"] = position

    async with line.client("M") as m:
        lying(m, misplace)
        with pytest.raises((LogUntrusted, Malformed)):
            await m.inbox()
    async with line.client("M") as m:
        (letter,) = await m.inbox()
        assert isinstance(letter, Letter)
        assert letter.content.body == CANARY


async def test_pages_that_never_end_end(line):
    async with line.client("F") as f:
        await f.send(draft())
    async with line.client("M") as m:
        honest = m.transport.read
        (first,) = (await honest("/v1/inbox"))["items"]

        async def again(path: str) -> dict[str, object]:
            return {"items": [first], "more": True} if "/inbox" in path else await honest(path)

        m.transport.read = again
        with pytest.raises(LogUntrusted, match="at the position"):
            await m.inbox()


async def test_an_outsider_writes_nothing_into_a_channel(tmp_path):
    world = HostileWorld.peopled_and_open()
    anna, dora = Desk(tmp_path / "anna", world, ANNA), Desk(tmp_path / "dora", world, DORA)
    un, ulla, registrar = "un.example", "ulla@un.example", signing("un.example/registrar")
    for made in (world.admission(un), world.party(un), world.member(ulla)):
        world.accept(made)
    desk = {"post": "desk@un.example", "by": un, "sequence": 1, "previous": None}
    world.accept(world.posting(DESK, (ulla,), key=registrar, **desk))
    directory = world.accept(world.directory(un))
    dora.pins.pin_authority(
        AuthorityPin(un, signing("un.example/1").id, "test", "by hand", world.clock)
    )
    signed = await anna.write()
    honest = note_in(signed).payload
    theirs = next(reliance for reliance in honest.parties if reliance.party == MOD)
    own = theirs.model_copy(update={"party": un, "directory": directory.digest, "roster": None})
    copied = honest.addressees[-1].model_copy(update={"post": "desk@un.example"})
    outsiders = make_statement(
        honest.model_copy(
            update={
                "by": ulla,
                "key": signing(f"{ulla}/1").id,
                "parties": (theirs, own.model_copy(update={"serial": None})),
                "addressees": (*honest.addressees[:-1], copied),
                "label": honest.label.model_copy(update={"releasable_to": (MOD, un)}),
            }
        ),
        signing(f"{ulla}/1"),
    )
    refused = world.submit(outsiders)
    assert isinstance(refused, Refused)
    assert refused.code == "not-a-party"
    entry = world.force(outsiders, world.note_facts(outsiders))
    with pytest.raises(LinkBroken, match=r"un\.example is not a party of london-hotline") as caught:
        await dora.open(entry, Delivery(b"", {}))
    assert caught.value.link == "charter"
    entry = world.force(*_with_facts(world, signed))
    assert (await dora.open(entry, delivery_of(signed))).body == CANARY


async def test_nobody_answers_for_a_post_of_another_party(tmp_path):
    world = HostileWorld.peopled_and_open()
    anna = Desk(tmp_path / "anna", world, ANNA)
    signed = await anna.write()
    note = world.force(*_with_facts(world, signed))
    with pytest.raises(LinkBroken, match="a post of others"):
        await check_answer(anna.book, _answered(world, ANNA, note))


async def test_only_who_holds_a_post_answers_for_it(tmp_path):
    world = HostileWorld.peopled_and_open()
    anna = Desk(tmp_path / "anna", world, ANNA)
    note = world.force(*_with_facts(world, await anna.write()))
    told, _ = await check_answer(anna.book, _answered(world, DORA, note))
    assert told.post == DESK
    entry = _answered(world, EDWIN, note)
    with pytest.raises(LinkBroken, match="does not hold the post") as caught:
        await check_answer(anna.book, entry)
    assert caught.value.link == "posting"
    # Who takes the post later didn't hold it then; who is relieved did.
    world.accept(world.posting(DESK, (EDWIN,)))
    world.accept(world.directory(MOD))
    anna = Desk(tmp_path / "anna", world, ANNA)
    with pytest.raises(LinkBroken, match="does not hold the post"):
        await check_answer(anna.book, entry)
    answered = world.entry(entry.statement.digest)
    assert answered.index == entry.index
    earlier = next(
        e
        for e in map(world.entry, [s.digest for s in world.accepted if s.kind == "answer"])
        if e.statement.payload.by == DORA
    )
    await check_answer(anna.book, earlier)


async def test_a_note_is_written_by_who_has_the_role_and_holds_the_post_it_is_from(tmp_path):
    world = HostileWorld.peopled_and_open()
    anna = Desk(tmp_path / "anna", world, ANNA)
    signed, later, last = [await anna.write(text) for text in ("one", "two", "three")]
    await anna.open(world.force(*_with_facts(world, signed)), delivery_of(signed))
    world.accept(world.posting(LONDON, ()))
    entry = world.force(*_with_facts(world, later))
    world.accept(world.directory(FCO))
    anna = Desk(tmp_path / "anna", world, ANNA)
    with pytest.raises(LinkBroken, match="does not hold the post"):
        await anna.open(entry, delivery_of(later))
    world.accept(world.posting(LONDON))
    world.accept(world.member(ANNA, roles=(MemberRole.AUDITOR,)))
    entry = world.force(*_with_facts(world, last))
    world.accept(world.directory(FCO))
    anna = Desk(tmp_path / "anna", world, ANNA)
    with pytest.raises(LinkBroken, match="may not write a note of kind leader"):
        await anna.open(entry, delivery_of(last))


async def test_a_hold_is_by_who_holds_the_post_and_minimize_by_an_operator(tmp_path):
    world = HostileWorld.peopled_and_open()
    anna = Desk(tmp_path / "anna", world, ANNA)
    view = await anna.book.channel(ALIAS)

    def held(by: str) -> Entry:
        said = world.hold(by, post=DESK)
        facts = HoldFacts(
            statement=said.digest,
            payload=said.payload_digest,
            channel=world.channel,
            post=DESK,
            below=said.payload.below,
            until=said.payload.until,
            shown=(),
        )
        return world.force(said, facts)

    def minimized(by: str) -> Entry:
        said = world.minimize(by)
        return world.force(said, watch_facts(said))

    for entry in (held(DORA), minimized(EDWIN)):
        await check_said(anna.book, entry, view)
    for entry, why in (
        (held(EDWIN), "does not hold the post"),
        (minimized(DORA), "has not the role operator"),
    ):
        with pytest.raises(LinkBroken, match=why):
            await check_said(anna.book, entry, view)


def _answered(world: HostileWorld, by: str, note: Entry) -> Entry:
    """Have the log take an answer of ``by`` for the duty desk that no rule was asked about."""
    answer = world.answer(by, Verdict.ACKNOWLEDGED, note.statement.digest, post=DESK)
    said = answer.payload
    assert isinstance(said, Answer)
    facts = AnswerFacts(
        statement=answer.digest,
        payload=answer.payload_digest,
        channel=said.channel,
        post=said.post,
        by=said.by,
        verdict=said.verdict,
        notes=tuple(
            AnsweredFacts(
                note=digest, index=note.index, sender=ANNA, precedence=Precedence.FLASH, moves=True
            )
            for digest in said.notes
        ),
    )
    return world.force(answer, facts)


def _with_facts(world: HostileWorld, signed: Any) -> tuple[Any, Any]:
    statement = note_in(signed)
    return statement, world.note_facts(statement)
