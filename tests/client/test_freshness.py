"""Freshness: what a note relied on beside what its reader sees; pins that follow, and go back never."""

from __future__ import annotations

from pathlib import Path

import pytest

from liaison.client import LinkBroken, Pins
from liaison.client.folding import Book
from liaison.client.watching import Entry
from liaison.words.times import MINUTE
from tests.client.hostile import ANNA, CANARY, DORA, Desk, HostileWorld, WorldSource, delivery_of
from tests.client.test_opening import broken, forge, log
from tests.world import FCO, MOD, signing


class Frozen(WorldSource):
    """A node that goes on showing what it showed of one party at some time."""

    def __init__(self, world: HostileWorld, party: str, shown: dict[str, list[Entry]]) -> None:
        super().__init__(world)
        self._party = party
        self._shown = shown

    async def party(self, party: str) -> dict[str, list[Entry]]:
        return self._shown if party == self._party else await super().party(party)


async def frozen(world: HostileWorld, party: str) -> Frozen:
    return Frozen(world, party, await WorldSource(world).party(party))


def shown_by(desk: Desk, source: WorldSource) -> None:
    """Let a desk begin anew, as the next command does, on what ``source`` shows."""
    desk.pins = Pins(desk.home)
    desk.book = Book(desk.home, desk.pins, source, lambda: desk.world.clock)


@pytest.fixture
def world() -> HostileWorld:
    world = HostileWorld.peopled_and_open()
    world.advance(MINUTE)
    return world


@pytest.fixture
def anna(tmp_path: Path, world: HostileWorld) -> Desk:
    return Desk(tmp_path / "anna", world, ANNA)


@pytest.fixture
def dora(tmp_path: Path, world: HostileWorld) -> Desk:
    return Desk(tmp_path / "dora", world, DORA)


async def test_a_sender_who_was_shown_an_old_directory_of_the_readers_party_is_told(
    world: HostileWorld, anna: Desk, dora: Desk
) -> None:
    signed = await anna.write()
    honest = log(world, signed)
    world.advance(MINUTE)
    world.accept(world.directory(MOD))
    world.advance(MINUTE)
    # What was written before the newer directory is what it is.
    assert (await dora.open(honest, delivery_of(signed))).body == CANARY
    entry = forge(world, signed, issued=world.clock)
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "directory"
    assert error.happened == (
        "It relies on directory 1 of mod.example, though 2 was in the log before it was written: "
        "its sender was shown an old view"
    )


async def test_a_sender_who_was_shown_an_old_roster_is_told(
    world: HostileWorld, anna: Desk, dora: Desk
) -> None:
    signed = await anna.write()
    honest = log(world, signed)
    world.advance(MINUTE)
    world.accept(world.roster(MOD))
    world.advance(MINUTE)
    assert (await dora.open(honest, delivery_of(signed))).body == CANARY
    entry = forge(world, signed, issued=world.clock)
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "roster"
    assert "It relies on roster 1 of mod.example" in error.happened


async def test_a_reader_to_whom_a_newer_directory_is_withheld_learns_of_it_by_a_note(
    world: HostileWorld, anna: Desk, dora: Desk
) -> None:
    old = await frozen(world, MOD)
    world.accept(world.directory(MOD))
    world.advance(MINUTE)
    signed = await anna.write()
    entry = log(world, signed)
    shown_by(dora, old)
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "directory"
    assert error.happened == (
        "It relies on directory 2 of mod.example, and the node shows this home 1 as the newest: it "
        "withholds what is current"
    )
    shown_by(dora, WorldSource(world))
    assert (await dora.open(entry, delivery_of(signed))).body == CANARY


async def test_a_view_that_is_only_some_minutes_old_is_renewed_and_alarms_nobody(
    world: HostileWorld, anna: Desk, dora: Desk
) -> None:
    await dora.book.standing(MOD)
    world.advance(MINUTE)
    world.accept(world.directory(MOD))
    world.advance(MINUTE)
    signed = await anna.write()
    entry = log(world, signed)
    assert (await dora.open(entry, delivery_of(signed))).body == CANARY


async def test_a_pin_follows_an_announced_key_and_never_goes_back(
    world: HostileWorld, dora: Desk
) -> None:
    before = await frozen(world, FCO)
    world.accept(world.party(FCO, key=signing(f"{FCO}/2")))
    standing = await dora.book.standing(FCO)
    assert standing.party.sequence == 2
    (followed,) = dora.pins.followed
    assert followed.authority == signing(f"{FCO}/2").id
    assert followed.how == "announced by the key pinned before"
    shown_by(dora, WorldSource(world))
    assert dora.pins.authority(FCO) == followed
    assert [pin.authority for pin in dora.pins.former] == [signing(f"{FCO}/1").id]
    await dora.book.standing(FCO)
    assert dora.pins.followed == []
    shown_by(dora, before)
    with pytest.raises(LinkBroken) as caught:
        await dora.book.standing(FCO)
    assert caught.value.link == "pin"


async def test_a_device_that_the_directory_names_as_revoked_is_not_in_force(
    world: HostileWorld, dora: Desk
) -> None:
    await dora.book.standing(FCO)
    world.accept(world.directory(FCO, revoked=(signing(f"{ANNA}/1").id,)))
    with pytest.raises(LinkBroken) as caught:
        await dora.book.standing(FCO, not_before=world.clock + 1)
    assert caught.value.link == "device"
    assert "names a device of" in caught.value.happened
