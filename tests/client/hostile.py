"""A node that logs what it likes, and the two clients that have to see through it.

``HostileWorld.force`` skips every rule; the receipts' own cryptography is watching's business and
tested with real receipts, so entries are given here as if they had verified.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from liaison.client.book import Book
from liaison.client.home import Home
from liaison.client.links import ChannelView
from liaison.client.outbox import Signed
from liaison.client.pins import AuthorityPin, NodePin, Pins
from liaison.client.planning import Planner
from liaison.client.reading import Delivery, check_note, open_content
from liaison.client.watching import Entry
from liaison.client.writing import Draft, Spent, seal_note
from liaison.ledger.facts import AddresseeFacts, Facts, NoteFacts, SerialFacts, Stated
from liaison.ledger.record import Place, Record
from liaison.rules import cells, deriving
from liaison.rules.cells import Overlay
from liaison.rules.decide import scope_of
from liaison.rules.evolve import evolve
from liaison.sealing.content import Content
from liaison.sealing.keys import EncryptionKey
from liaison.statements import payloads
from liaison.statements.payloads import Note, Seen
from liaison.statements.statement import Statement, parse_statement_of
from liaison.words.encoding import to_base64
from liaison.words.errors import NotHere
from liaison.words.ids import new_note_id
from tests.world import (
    ALIAS,
    ANNA,
    DORA,
    DUTY,
    FCO,
    MOD,
    ORIGIN,
    T0,
    MemoryWorld,
    digest,
    fixed,
    signing,
)

CANARY = "the canary sings at dawn"

FACTS: dict[str, Any] = {
    "party": deriving.party_facts,
    "member": deriving.member_facts,
    "posting": deriving.posting_facts,
    "directory": deriving.directory_facts,
    "key": deriving.key_facts,
    "charter": deriving.charter_facts,
    "roster": deriving.roster_facts,
}


class HostileWorld(MemoryWorld):
    """A world whose node also takes what the rules refuse."""

    @classmethod
    def peopled_and_open(cls) -> HostileWorld:
        world = cls()
        world.__dict__.update(MemoryWorld.opened().copy().__dict__)
        return world

    def force(self, statement: Statement[Any], facts: Facts | None = None) -> Entry:
        """Log a statement without asking the rules."""
        if facts is None:
            facts = FACTS[statement.kind](statement)
        at = self.next_at
        scope = scope_of(statement)
        record = Record(
            kind=statement.kind,
            at=at,
            channel=Place(id=scope, n=len(self.records) + 1),
            note=statement.digest if statement.kind == "note" else "",
            actor=statement.payload.by,
            urgency=_NO_URGENCY,
            statement=statement.raw,
            facts=facts,
        )
        view = Overlay(self.cells)
        view.put(evolve(view, record, len(self.records)))
        self.cells.update(view.changes)
        self.records.append(record)
        self.accepted.append(statement)
        self.head_at = at
        return self.entry(statement.digest)

    def entry(self, wanted: str) -> Entry:
        for index, record in enumerate(self.records):
            if isinstance(record.facts, Stated) and record.facts.statement == wanted:
                return Entry(index, record, self.accepted[index], "")
        raise NotHere(f"no statement {wanted}")

    def note_facts(self, statement: Statement[Note]) -> NoteFacts:
        note = statement.payload
        last = self.get(cells.References, note.channel)
        return NoteFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            channel=note.channel,
            reference=last.last + 1 if last else 1,
            sender=note.by,
            device=note.key,
            kind=note.kind,
            precedence=note.precedence.action,
            info_precedence=note.precedence.info,
            addressees=tuple(
                AddresseeFacts(post=a.post, role=a.role, readers=()) for a in note.addressees
            ),
            serials=tuple(
                SerialFacts(party=r.party, serial=r.serial)
                for r in note.parties
                if r.serial is not None
            ),
            exercise=note.exercise,
        )


_NO_URGENCY = (
    MemoryWorld.opened().records[0].urgency.model_copy(update={"precedence": None, "outcome": None})
)


class WorldSource:
    """What the node of a world shows: the newest of everything."""

    def __init__(self, world: HostileWorld) -> None:
        self.world = world

    async def statement(self, wanted: str) -> Entry:
        return self.world.entry(wanted)

    async def party(self, party: str) -> dict[str, list[Entry]]:
        world = self.world
        known = world.have(cells.Party, party)
        directories = world.get(cells.Directories, party)
        shown: dict[str, list[Entry]] = {
            "party": [world.entry(known.statement)],
            "directory": [],
            "members": [],
            "postings": [],
            "keys": [],
        }
        if directories is None or not directories.editions:
            return shown
        newest = world.entry(directories.editions[-1].statement)
        directory = newest.statement.payload
        assert isinstance(directory, payloads.Directory)
        shown["directory"] = [newest]
        shown["members"] = [world.entry(m.statement) for m in directory.members]
        shown["postings"] = [world.entry(p.statement) for p in directory.postings]
        members = {m.member for m in directory.members}
        shown["keys"] = [
            world.entry(cell.statement)
            for cell in world.cells.values()
            if isinstance(cell, cells.EncryptionKey) and cell.member in members
        ]
        return shown

    def held(self, shown: dict[str, list[Entry]]) -> None:
        """Remember nothing: nobody asks while this node is away."""

    async def channel(self, alias: str) -> dict[str, list[Entry]]:
        world = self.world
        cell = world.have(cells.Channel, world.have(cells.AliasClaim, alias).channel)
        rosters = [world.get(cells.Rosters, cell.channel, party) for party in cell.parties]
        return {
            "charter": [world.entry(cell.charter)],
            "accessions": [world.entry(accession.statement) for accession in cell.acceded],
            "rosters": [world.entry(r.editions[-1].statement) for r in rosters if r is not None],
        }


class Desk:
    """One member's book over a world, pinned as two people on the telephone would have it."""

    def __init__(self, folder: Path, world: HostileWorld, member: str) -> None:
        self.home = Home(folder)
        self.home.make()
        self.world = world
        self.member = member
        self.key = signing(f"{member}/1")
        pins = Pins(self.home)
        if not pins.has_node:
            keys = (signing(name).public for name in ("log", "node", "administrator"))
            pins.pin_node(NodePin(ORIGIN, *(to_base64(key) for key in keys)))
            for party in (FCO, MOD):
                pin = AuthorityPin(party, signing(f"{party}/1").id, "test", "by hand", T0)
                pins.pin_authority(pin)
        self.pins = pins
        self.slow_us = 0
        """How far this machine's clock is behind."""
        self.book = Book(self.home, pins, WorldSource(world), self.now)

    def now(self) -> int:
        return self.world.clock - self.slow_us

    @property
    def keys(self) -> dict[str, EncryptionKey]:
        key = EncryptionKey(fixed(f"encryption {self.member}/1"))
        return {
            cell.statement: key
            for cell in self.world.cells.values()
            if isinstance(cell, cells.EncryptionKey) and cell.member == self.member
        }

    async def write(self, text: str = CANARY, **changes: Any) -> Signed:
        """Seal a note to the duty desk as the client does; ``changes`` are a forger's."""
        world = self.world
        planner = Planner(self.book, self.member, self.key.id, self.now, lambda: world.head_at)
        draft = Draft(
            channel=ALIAS, to=(DUTY,), kind="leader", content=Content.text("Subject", text)
        )
        plan = await planner.plan(draft)
        number = len(world.records)
        spent = Spent(
            new_note_id(world.clock, fixed(f"note {number}", 10)),
            {party: world.next_serial(self.key, party) for party in plan.addressed},
        )
        return seal_note(
            draft,
            plan,
            spent,
            by=self.member,
            key=self.key,
            seen=Seen(size=number, root=digest("root")),
            now=world.clock,
        )

    async def open(self, entry: Entry, delivery: Delivery) -> Content:
        view: ChannelView = await self.book.channel(ALIAS)
        note = await check_note(self.book, entry, view)
        return open_content(note, delivery, self.keys)


def note_in(signed: Signed) -> Statement[Note]:
    return parse_statement_of(Note, signed.statement)


def delivery_of(signed: Signed) -> Delivery:
    note = note_in(signed).payload
    names = [wrap.key for addressee in note.addressees for wrap in addressee.wraps]
    size = len(signed.wraps) // len(names)
    wraps = {name: signed.wraps[i * size : (i + 1) * size] for i, name in enumerate(names)}
    return Delivery(signed.ciphertext, wraps)


__all__ = ["ANNA", "CANARY", "DORA", "Desk", "HostileWorld", "delivery_of", "note_in"]
