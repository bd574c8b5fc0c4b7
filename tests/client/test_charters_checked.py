"""What a node makes up of a channel: its charter and its accessions are the parties' own, for one log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from liaison.client.book import Book
from liaison.client.links import LinkBroken
from liaison.client.watching import Entry
from liaison.rules.deriving import accession_facts
from liaison.statements.charters import LogTerms
from liaison.statements.keys import SigningKey
from liaison.words.encoding import to_base64
from liaison.words.errors import LogUntrusted, SignatureInvalid
from tests.client.hostile import (
    ANNA,
    CANARY,
    DORA,
    Desk,
    HostileWorld,
    WorldSource,
    delivery_of,
    note_in,
)
from tests.client.lied import EVIL, under_another_name
from tests.world import ALIAS, FCO, MOD, ORIGIN, signing


def opened(
    charter_key: SigningKey | None = None, accession_key: SigningKey | None = None, **changes: Any
) -> HostileWorld:
    """Return a world whose node opened a channel and asked no rule.

    ``charter_key`` signed FCO's charter, ``accession_key`` MOD's accession, if not they themselves.
    """
    world = peopled()
    charter = world.charter(key=charter_key, **changes)
    world.force(charter)
    for party, key in ((FCO, None), (MOD, accession_key)):
        accession = world.accession(party, key=key, channel=charter.digest)
        world.force(accession, accession_facts(accession, opens=party == MOD))
    for party in (FCO, MOD):
        world.accept(world.roster(party, channel=charter.digest))
    for party in (FCO, MOD):
        world.accept(world.directory(party))
    return world


def peopled() -> HostileWorld:
    world = HostileWorld()
    world.__dict__.update(HostileWorld.peopled().copy().__dict__)
    return world


def terms(**changes: str) -> LogTerms:
    """Return what a charter says of the log, but for ``changes``."""
    keys = {f"{name}_key": to_base64(signing(name).public) for name in ("log", "node")}
    return LogTerms(**{"origin": ORIGIN, **keys, **changes})


async def test_a_channel_that_the_parties_opened_themselves_is_written_and_read_in(
    tmp_path: Path,
) -> None:
    world = opened(log=terms())
    signed = await Desk(tmp_path / "anna", world, ANNA).write()
    entry = world.entry(world.accept(note_in(signed)).digest)
    dora = Desk(tmp_path / "dora", world, DORA)
    assert (await dora.open(entry, delivery_of(signed))).body == CANARY


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "other.example/log"},
        {"log_key": to_base64(EVIL.public)},
        {"node_key": to_base64(EVIL.public)},
    ],
)
async def test_a_charter_for_another_log_or_with_other_keys_than_the_pinned_stops_the_client(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    world = opened(log=terms(**changes))
    for member in (ANNA, DORA):
        desk = Desk(tmp_path / member, world, member)
        with pytest.raises(LogUntrusted) as caught:
            await desk.book.channel(ALIAS)
        assert caught.value.happened == (
            f"The charter's log is {changes.get('origin', ORIGIN)} with other keys than the pinned "
            f"{ORIGIN}"
        )
    with pytest.raises(LogUntrusted, match="with other keys than the pinned"):
        await Desk(tmp_path / ANNA, world, ANNA).write()


async def test_a_charter_that_no_party_signed_opens_no_channel(tmp_path: Path) -> None:
    world = opened(charter_key=EVIL)
    with pytest.raises(LinkBroken) as caught:
        await Desk(tmp_path / "anna", world, ANNA).write()
    assert caught.value.link == "charter"
    world = opened(charter_key=under_another_name(signing(f"{FCO}/1").id))
    with pytest.raises(SignatureInvalid, match="not by the key it names"):
        await Desk(tmp_path / "anna", world, ANNA).write()


async def test_an_accession_that_its_party_didnt_sign_opens_no_channel(tmp_path: Path) -> None:
    world = opened(accession_key=EVIL)
    with pytest.raises(LinkBroken) as caught:
        await Desk(tmp_path / "anna", world, ANNA).write()
    assert caught.value.link == "charter"
    world = opened(accession_key=under_another_name(signing(f"{MOD}/1").id))
    with pytest.raises(SignatureInvalid, match="not by the key it names"):
        await Desk(tmp_path / "anna", world, ANNA).write()


class Moved(WorldSource):
    """A node that shows the accession to one channel as that to another."""

    def __init__(self, world: HostileWorld, shown: str, instead: str) -> None:
        super().__init__(world)
        self._shown = shown
        self._instead = instead

    async def channel(self, alias: str) -> dict[str, list[Entry]]:
        answer = await super().channel(alias)
        accessions = (await super().channel(self._shown))["accessions"]
        moved = [e for e in accessions if e.statement.payload.by == self._instead]
        return {**answer, "accessions": [*answer["accessions"], *moved]}


async def test_who_acceded_to_one_charter_acceded_to_no_other(tmp_path: Path) -> None:
    world = peopled()
    world.accept(world.charter())
    world.accept(world.accession(FCO))
    agreed = world.accept(world.charter(alias="agreed-line"))
    for party in (FCO, MOD):
        world.accept(world.accession(party, channel=agreed.digest))
    anna = Desk(tmp_path / "anna", world, ANNA)
    assert (await anna.book.channel("agreed-line")).cell.is_open
    assert not (await anna.book.channel(ALIAS)).cell.is_open
    lying = Book(anna.home, anna.pins, Moved(world, "agreed-line", MOD), anna.now)
    with pytest.raises(LinkBroken, match=r"mod\.example acceded to another charter") as caught:
        await lying.channel(ALIAS)
    assert caught.value.link == "charter"
