"""A grant is looked at before its wrap is tried: whose it is, of which note, at which post. GRANT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liaison.client import LinkBroken
from liaison.client.reading import check_grant
from liaison.client.watching import Entry
from liaison.ledger.facts import GrantFacts
from liaison.statements.payloads import AddresseeRole, Note
from liaison.statements.procedures import Grant
from liaison.statements.statement import Statement
from liaison.words.errors import LogUntrusted, SignatureInvalid
from liaison.words.precedence import Precedence
from liaison.words.times import MINUTE
from tests.client.hostile import Desk, HostileWorld
from tests.world import ALIAS, ANNA, DEPUTY, DORA, DUTY, FCO, signing


@pytest.fixture
def world() -> HostileWorld:
    world = HostileWorld.peopled_and_open()
    world.advance(MINUTE)
    return world


@pytest.fixture
def dora(tmp_path: Path, world: HostileWorld) -> Desk:
    return Desk(tmp_path / "dora", world, DORA)


def facts_of(grant: Statement[Grant], note: Entry, **changes: Any) -> GrantFacts:
    """Return what the rules would derive of a grant, but for ``changes``."""
    assert isinstance(note.statement.payload, Note)
    said, payload = note.statement.payload, grant.payload
    role = next((a.role for a in said.addressees if a.post == payload.post), AddresseeRole.ACTION)
    members = {
        "statement": grant.digest,
        "payload": grant.payload_digest,
        "channel": payload.channel,
        "note": payload.note,
        "index": note.index,
        "sender": said.by,
        "precedence": said.precedence.action,
        "info_precedence": said.precedence.info,
        "post": payload.post,
        "role": role,
        "reason": payload.reason,
        "keys": tuple(wrap.key for wrap in payload.given),
        "readers": (DORA,),
        "told": (),
    }
    return GrantFacts.model_validate({**members, **changes})


async def looked_at(dora: Desk, entry: Entry, note: Entry) -> str:
    """Return who made a grant that holds."""
    view = await dora.book.channel(ALIAS)
    grant, _ = await check_grant(dora.book, entry, note, view)
    return grant.by


async def test_an_honest_grant_holds(world, dora):
    note = world.entry(world.accept(world.note()).digest)
    for by in (ANNA, DORA):
        grant = world.entry(world.accept(world.grant(note.statement.digest, DUTY, by)).digest)
        assert await looked_at(dora, grant, note) == by


async def test_a_grant_of_another_note_is_none_of_this_one(world, dora):
    note = world.entry(world.accept(world.note()).digest)
    other = world.entry(world.accept(world.note()).digest)
    grant = world.entry(world.accept(world.grant(other.statement.digest, DUTY)).digest)
    with pytest.raises(LogUntrusted, match="not what its grant says"):
        await looked_at(dora, grant, note)
    statement = world.grant(other.statement.digest, DUTY)
    forged = world.force(statement, facts_of(statement, note))
    with pytest.raises(LinkBroken, match="not one of this note") as caught:
        await looked_at(dora, forged, note)
    assert caught.value.link == "grant"
    with pytest.raises(LinkBroken, match="is not a grant"):
        await looked_at(dora, note, note)


async def test_a_grant_at_a_post_that_was_not_addressed_opens_nothing(world, dora):
    note = world.entry(world.accept(world.note()).digest)
    statement = world.grant(note.statement.digest, DEPUTY)
    forged = world.force(statement, facts_of(statement, note))
    with pytest.raises(LinkBroken, match=f"not addressed to {DEPUTY}"):
        await looked_at(dora, forged, note)


async def test_facts_that_say_another_post_than_the_grant_are_the_logs_lie(world, dora):
    note = world.entry(world.accept(world.note()).digest)
    for changes in ({"post": DEPUTY}, {"sender": DORA}, {"precedence": Precedence.ROUTINE}):
        statement = world.grant(note.statement.digest, DUTY)
        forged = world.force(statement, facts_of(statement, note, **changes))
        with pytest.raises(LogUntrusted):
            await looked_at(dora, forged, note)


async def test_a_grant_is_by_a_device_in_force_that_signed_it(world, dora):
    note = world.entry(world.accept(world.note()).digest)
    digest = note.statement.digest
    mallory = world.grant(digest, DUTY, key=signing("mallory"))
    with pytest.raises(LinkBroken) as caught:
        await looked_at(dora, world.force(mallory, facts_of(mallory, note)), note)
    assert caught.value.link == "device"
    honest = world.grant(digest, DUTY)
    entry = world.force(honest, facts_of(honest, note))
    other = world.grant(digest, DUTY, DORA).envelope.signature
    swapped = replace(honest, envelope=replace(honest.envelope, signature=other))
    with pytest.raises(SignatureInvalid):
        await looked_at(dora, replace(entry, statement=swapped), note)
    unnamed = world.grant(digest, DUTY, parties=world.grant(digest, DUTY).payload.parties[1:])
    assert FCO not in {r.party for r in unnamed.payload.parties}
    with pytest.raises(LinkBroken, match="names no directory"):
        await looked_at(dora, world.force(unnamed, facts_of(unnamed, note)), note)
