"""What a node makes up of releases: the reader asks of each what the rules ask, and who let it go."""

from __future__ import annotations

from pathlib import Path

import pytest

from liaison.client.links import LinkBroken
from liaison.client.reading import check_note, check_release
from liaison.client.watching import Entry
from liaison.ledger.facts import AddresseeFacts, ReleaseFacts, SerialFacts
from liaison.statements.payloads import MemberRole, Note, Verdict
from liaison.statements.procedures import Release, Released
from liaison.statements.statement import Statement
from tests import world as worlds
from tests.client.hostile import Desk, HostileWorld
from tests.world import (
    ACTION,
    ANNA,
    DORA,
    DUTY,
    FCO,
    FELIX,
    HEAD,
    MINISTRY,
    MOD,
    OLGA,
)


@pytest.fixture
def world() -> HostileWorld:
    """A channel of formal notes, in which also Anna and Dora may let a note go."""
    world = HostileWorld()
    world.__dict__.update(worlds.verbale().copy().__dict__)
    for member in (ANNA, DORA):
        world.accept(world.member(member, roles=(MemberRole.ATTACHE, MemberRole.RELEASER)))
    for party in (FCO, MOD):
        world.accept(world.directory(party))
    return world


@pytest.fixture
def dora(tmp_path: Path, world: HostileWorld) -> Desk:
    return Desk(tmp_path / "dora", world, DORA)


def cleared(world: HostileWorld) -> Statement[Note]:
    """Return a draft for Dora's post that Anna's party cleared."""
    draft = world.accept(world.draft())
    world.accept(world.answer(FELIX, Verdict.ACKNOWLEDGED, draft.digest))
    return draft


def forced(world: HostileWorld, release: Statement[Release], draft: Statement[Note]) -> Entry:
    """Have the log take a release of a draft that no rule was asked about."""
    said, note = release.payload, draft.payload
    facts = ReleaseFacts(
        statement=release.digest,
        payload=release.payload_digest,
        channel=said.channel,
        note=said.note,
        index=world.entry(draft.digest).index,
        reference=1,
        sender=note.by,
        device=said.key,
        precedence=note.precedence.action,
        info_precedence=note.precedence.info,
        addressees=tuple(
            AddresseeFacts(post=a.post, role=ACTION, readers=()) for a in said.addressees
        ),
        serials=tuple(
            SerialFacts(party=r.party, serial=r.serial)
            for r in said.parties
            if r.serial is not None
        ),
    )
    return world.force(release, facts)


async def read(desk: Desk, entry: Entry, draft: Statement[Note]) -> Release:
    """Return the release of a draft, as the desk's reader takes it."""
    view = await desk.book.channel(desk.world.alias)
    release, _ = await check_release(desk.book, entry, desk.world.entry(draft.digest), view)
    return release


async def test_a_draft_that_another_of_its_party_let_go_read(world, dora):
    ruled, drafted = cleared(world), cleared(world)
    release = world.accept(world.release(ruled))
    assert await read(dora, world.entry(release.digest), ruled) == release.payload
    release = world.release(drafted)
    assert await read(dora, forced(world, release, drafted), drafted) == release.payload


@pytest.mark.parametrize(
    ("by", "why"),
    [
        (ANNA, "A note was released by the one who drafted it"),
        (OLGA, "olga.orr@fco.example may not release a note of kind verbale"),
        (DORA, "The release is not that of this note by its own party"),
    ],
)
async def test_a_note_is_let_go_by_another_of_its_party_who_has_the_role(world, dora, by, why):
    draft = cleared(world)
    entry = forced(world, world.release(draft, by), draft)
    with pytest.raises(LinkBroken, match=why) as caught:
        await read(dora, entry, draft)
    assert caught.value.link == "release"


async def test_the_release_of_another_draft_lets_this_one_go_to_nobody(world, dora):
    draft, other = cleared(world), cleared(world)
    release = world.release(other)
    facts = forced(world.copy(), release, other).record.facts
    index = world.entry(draft.digest).index
    entry = world.force(release, facts.model_copy(update={"index": index}))
    with pytest.raises(LinkBroken, match="not that of this note by its own party"):
        await read(dora, entry, draft)


async def test_a_release_gives_the_note_to_nobody_whom_the_draft_doesnt_name(world, dora):
    draft = cleared(world)
    wraps = world.release(draft).payload.addressees[0].wraps
    addressees = tuple(Released(post=post, wraps=wraps) for post in (DUTY, MINISTRY))
    entry = forced(world, world.release(draft, addressees=addressees), draft)
    with pytest.raises(LinkBroken, match="addresses posts that the draft doesn't name"):
        await read(dora, entry, draft)


async def test_a_draft_goes_to_nobody_of_another_party(world, dora):
    view = await dora.book.channel(world.alias)
    honest = world.accept(world.draft())
    await check_note(dora.book, world.entry(honest.digest), view)
    draft = world.draft(to={HEAD: ACTION, MINISTRY: ACTION})
    later = tuple(
        AddresseeFacts(post=a.post, role=a.role, readers=()) for a in draft.payload.drafted or ()
    )
    facts = world.note_facts(draft)
    facts = facts.model_copy(update={"addressees": (*facts.addressees, *later), "reference": 0})
    entry = world.force(draft, facts)
    with pytest.raises(LinkBroken, match="A note of kind verbale went to others without a release"):
        await check_note(dora.book, entry, view)
