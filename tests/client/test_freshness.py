"""Freshness: what a note relied on beside what its reader sees; pins that follow, and go back never."""

from __future__ import annotations

from pathlib import Path

import pytest

from liaison.client import LinkBroken, Pins
from liaison.client.book import Book
from liaison.client.seen import forget_seen
from liaison.client.watching import Entry
from liaison.rules import cells
from liaison.statements.payloads import MemberRole, State
from liaison.words.errors import LogUntrusted
from liaison.words.times import DAY, MINUTE
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
from tests.client.test_opening import broken, forge, log
from tests.world import FCO, MOD, digest, signing


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
    with pytest.raises(LinkBroken, match=r"shows statement 1 of fco\.example, and has shown 2"):
        await dora.book.standing(FCO)
    # Not even a home that forgot what it saw takes the former key back.
    forget_seen(dora.home, FCO)
    shown_by(dora, before)
    with pytest.raises(LinkBroken) as caught:
        await dora.book.standing(FCO)
    assert caught.value.link == "pin"


@pytest.mark.parametrize("has_seen", [True, False])
async def test_a_stranger_who_names_the_true_statement_before_takes_no_pin(
    world: HostileWorld, dora: Desk, has_seen: bool
) -> None:
    if has_seen:
        await dora.book.standing(FCO)
    pinned = dora.pins.authority(FCO)
    announced = world.have(cells.Party, FCO).next
    stranger = signing(f"{FCO}/3")
    assert stranger.id not in (pinned.authority, announced)
    takeover = world.party(FCO, key=stranger)
    assert takeover.payload.previous == world.have(cells.Party, FCO).statement
    world.force(takeover)
    for _ in range(2):
        shown_by(dora, WorldSource(world))
        with pytest.raises(LinkBroken) as caught:
            await dora.book.standing(FCO)
        assert caught.value.link == "pin"
        assert caught.value.happened == (
            "fco.example shows an authority key that isn't the pinned one, nor announced by it"
        )
        assert caught.value.do == "ask the other party by telephone before anything else"
    assert dora.pins.authority(FCO) == pinned
    assert dora.pins.followed == []


async def test_a_device_that_the_directory_names_as_revoked_is_not_in_force(
    world: HostileWorld, dora: Desk
) -> None:
    await dora.book.standing(FCO)
    world.accept(world.directory(FCO, revoked=(signing(f"{ANNA}/1").id,)))
    with pytest.raises(LinkBroken) as caught:
        await dora.book.standing(FCO, not_before=world.clock + 1)
    assert caught.value.link == "device"
    assert "names a device of" in caught.value.happened


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_member_is_as_the_directory_names_them_or_not_at_all(
    world: HostileWorld, dora: Desk, is_gone: bool
) -> None:
    before = (await WorldSource(world).party(FCO))["members"]
    if is_gone:
        world.accept(world.directory(FCO, members=()))
    else:
        world.accept(world.member(ANNA, roles=(MemberRole.AUDITOR,)))
        world.accept(world.directory(FCO))
    shown_by(dora, WorldSource(world))
    members = (await dora.book.standing(FCO)).members
    assert [one.roles for one in members.values()] == ([] if is_gone else [(MemberRole.AUDITOR,)])
    # The node shows what they were before, beside what is.
    now = await WorldSource(world).party(FCO)
    told = {**now, "members": [*now["members"], *before]}
    shown_by(dora, Frozen(world, FCO, told))
    with pytest.raises(LinkBroken) as caught:
        await dora.book.standing(FCO)
    assert caught.value.link == "member"
    assert caught.value.happened == "The directory of fco.example doesn't name this statement"


@pytest.mark.parametrize("newer", [1, 13, 14, 30])
async def test_however_old_the_view_was_that_a_sender_was_shown_it_is_told(
    world: HostileWorld, anna: Desk, dora: Desk, newer: int
) -> None:
    old = await frozen(world, MOD)
    for _ in range(newer):
        world.accept(world.directory(MOD))
    world.advance(MINUTE)
    shown_by(anna, old)
    signed = await anna.write()
    world.advance(MINUTE)
    note = note_in(signed)
    entry = world.force(note, world.note_facts(note))
    shown_by(dora, WorldSource(world))
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert "It relies on directory 1 of mod.example, though 2 was in the log" in error.happened


@pytest.mark.parametrize("is_behind", [False, True])
async def test_two_directories_of_one_number_are_told_apart(
    world: HostileWorld, anna: Desk, dora: Desk, is_behind: bool
) -> None:
    await dora.book.standing(MOD)
    one = world.directory(MOD)
    other = world.directory(MOD, revoked=(digest("a key"),))
    world.force(one)
    forked = await frozen(world, MOD)
    world.force(other)
    world.advance(MINUTE)
    shown_by(anna, forked)
    signed = await anna.write()
    note = note_in(signed)
    world.advance(MINUTE)
    entry = world.force(note, world.note_facts(note))
    shown_by(dora, forked)
    assert (await dora.open(entry, delivery_of(signed))).body == CANARY
    forget_seen(dora.home, MOD)
    if is_behind:
        world.accept(world.directory(MOD))
    shown_by(dora, WorldSource(world))
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.happened == (
        "There are two directories 2 of mod.example: it relies on one, and the node shows this home "
        "the other"
    )


async def test_a_directory_that_is_valid_for_longer_than_one_may_be_is_not_sealed_under(
    world: HostileWorld, anna: Desk
) -> None:
    await anna.write()
    world.force(world.directory(MOD, valid_until=world.clock + 8 * DAY))
    shown_by(anna, WorldSource(world))
    with pytest.raises(LogUntrusted, match="had to refuse: a directory is valid for at most seven"):
        await anna.write()


async def test_a_party_that_was_revoked_stays_so(world: HostileWorld, dora: Desk) -> None:
    await dora.book.standing(FCO)
    world.accept(world.party(FCO, state=State.REVOKED))
    shown_by(dora, WorldSource(world))
    assert (await dora.book.standing(FCO)).party.state is State.REVOKED
    world.force(world.party(FCO, key=signing(f"{FCO}/2"), state=State.ACTIVE))
    for _ in range(2):
        shown_by(dora, WorldSource(world))
        with pytest.raises(LinkBroken, match="was revoked, for good, and is shown again"):
            await dora.book.standing(FCO)
        forget_seen(dora.home, FCO)
    assert dora.pins.authority(FCO).authority == signing(f"{FCO}/1").id
