"""A world in memory: one log, two parties, their people, devices and keys, and one open channel.

The clock stands until a test moves it. ``submit`` takes a statement the way a node does, and
holds the rules to what they declared: reading an undeclared cell fails the test. Contents are
fake digests, since rules never see content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from liaison.ledger.record import Record, fields_of, record_from
from liaison.rules import cells
from liaison.rules.cells import C, CellKey, Overlay, World
from liaison.rules.decide import Duplicate, decide, needs, signer_of
from liaison.rules.evolve import evolve
from liaison.rules.refusal import Refused
from liaison.sealing.keys import EncryptionKey
from liaison.statements import charters, payloads
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import (
    AddresseeRole,
    Logged,
    MemberRole,
    Payload,
    Scope,
    State,
    Verdict,
)
from liaison.statements.statement import Statement, make_statement, parse_statement
from liaison.words.encoding import to_base64
from liaison.words.ids import new_note_id, party_of
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, MINUTE, SECOND, to_dtg

P = TypeVar("P", bound=Payload)

T0 = 1_795_000_000 * SECOND
ORIGIN = "node.example/log"
FCO, MOD = "fco.example", "mod.example"
ANNA, LONDON = "anna.ames@fco.example", "attache.london@fco.example"
DORA, DUTY = "dora.dunn@mod.example", "duty.desk@mod.example"
EDWIN, DEPUTY = "edwin.earl@mod.example", "deputy@mod.example"
ALIAS = "london-hotline"
HOLDERS = {LONDON: (ANNA,), DUTY: (DORA,), DEPUTY: (EDWIN,)}
ROLES = {
    ANNA: (MemberRole.ATTACHE,),
    DORA: (MemberRole.ATTACHE, MemberRole.DUTY_OFFICER),
    EDWIN: (MemberRole.OPERATOR,),
}


def fixed(label: str, size: int = 32) -> bytes:
    """Return bytes that anybody can make again."""
    return hashlib.shake_256(f"liaison test world: {label}".encode()).digest(size)


def digest(label: str) -> str:
    """Return a digest of nothing in particular."""
    return to_base64(fixed(f"digest {label}"))


@lru_cache
def signing(label: str) -> SigningKey:
    """Return the signing key of a label: ``fco.example/1``, ``anna.ames@fco.example/1``, ``log``."""
    return SigningKey(fixed(f"signing {label}"))


@lru_cache
def encryption(label: str) -> str:
    """Return the public encryption key of a label, padded base64."""
    return to_base64(EncryptionKey(fixed(f"encryption {label}")).public)


def kinds() -> tuple[charters.NoteKind, ...]:
    """Return the kinds of note that the charter allows: leader, service and test traffic."""
    flash, routine = Precedence.FLASH, Precedence.ROUTINE

    def kind(name: str, limit: Precedence, **members: Any) -> charters.NoteKind:
        said = {"justification": "none", "writers": (MemberRole.ATTACHE,), **members}
        return charters.NoteKind(kind=name, action_max=limit, info_max=limit, default=limit, **said)

    return (
        kind("leader", flash, justification="standing", standing="Heads of government"),
        kind("service", routine),
        kind("urgent", flash, justification="required"),
    )


def rules() -> tuple[charters.RuleUse, ...]:
    """Return the charter's rules."""
    return (
        charters.RuleUse(use="action-across", parameters={}),
        charters.RuleUse(
            use="cleared-above", parameters={"precedence": "immediate", "role": "attache"}
        ),
        charters.RuleUse(use="members-exactly", parameters={"count": 2}),
    )


class MemoryWorld:
    """The state of one log, its records, and someone who can sign for everybody."""

    def __init__(self) -> None:
        self.clock = T0
        self.head_at = 0
        self.cells = World()
        self.records: list[Record] = []
        self.accepted: list[Statement[Payload]] = []
        self._made = 0

    def copy(self) -> MemoryWorld:
        """Return a world that goes its own way from here."""
        other = MemoryWorld()
        other.__dict__.update(self.__dict__)
        other.cells = World(self.cells)
        other.records = list(self.records)
        other.accepted = list(self.accepted)
        return other

    @classmethod
    def begun(cls) -> MemoryWorld:
        """Return a world whose log has its first record and nothing else."""
        world = cls()
        world.accept(world.node_init())
        return world

    @classmethod
    def peopled(cls) -> MemoryWorld:
        """Return a world of two parties with members, posts and keys, and no channel."""
        world = cls.begun()
        for party in (FCO, MOD):
            world.accept(world.admission(party))
            world.accept(world.party(party))
        for member in (ANNA, DORA, EDWIN):
            world.accept(world.member(member))
            world.accept(world.encryption_key(member))
        for post in HOLDERS:
            world.accept(world.posting(post))
        return world

    @classmethod
    def opened(cls) -> MemoryWorld:
        """Return a world with an open channel, rosters and directories: notes may cross."""
        world = cls.peopled()
        world.accept(world.charter())
        for party in (FCO, MOD):
            world.accept(world.accession(party))
        for party in (FCO, MOD):
            world.accept(world.roster(party))
        for party in (FCO, MOD):
            world.accept(world.directory(party))
        return world

    # What a node does

    def advance(self, micros: int) -> None:
        """Move the clock."""
        self.clock += micros

    @property
    def next_at(self) -> int:
        """The time that the next record gets."""
        return max(self.head_at + 1, self.clock)

    def get(self, cell: type[C], *ids: str) -> C | None:
        """Return a cell as it is."""
        found = self.cells[cell.key_of(*ids)]
        assert found is None or isinstance(found, cell)
        return found

    def have(self, cell: type[C], *ids: str) -> C:
        """Return a cell that is there."""
        found = self.get(cell, *ids)
        assert found is not None
        return found

    def load(self, statement: Statement[Any]) -> Overlay:
        """Return a view of the cells that the statement's ruling declares, and of no others."""
        loaded: dict[CellKey, cells.Cell | None] = {}

        def peek(cell: type[C], *ids: str) -> C | None:
            found = loaded.get(cell.key_of(*ids))
            assert found is None or isinstance(found, cell)
            return found

        while missing := needs(statement, peek) - loaded.keys():
            loaded.update({key: self.cells[key] for key in missing})
        return Overlay(loaded)

    def submit(self, statement: Statement[Any]) -> Record | Refused | Duplicate:
        """Take a statement in: parse, signature, decide, evolve."""
        read = parse_statement(statement.raw)
        view = self.load(read)
        public = signer_of(read, view.get(cells.KeyClaim, read.payload.key))
        if isinstance(public, Refused):
            return public
        read.check_signature(public)
        at = self.next_at
        decided = decide(view, read, at)
        assert decide(view, read, at) == decided
        if isinstance(decided, Record):
            assert record_from(fields_of(decided)) == decided
            view.put(evolve(view, decided, len(self.records)))
            self.cells.update(view.changes)
            self.records.append(decided)
            self.accepted.append(read)
            self.head_at = at
        return decided

    def accept(self, statement: Statement[P]) -> Statement[P]:
        """Take a statement in and return it; fails if it isn't accepted."""
        decided = self.submit(statement)
        assert isinstance(decided, Record), decided
        return statement

    # Statements, each as it is right now; ``changes`` make it otherwise

    def make(self, model: type[P], key: SigningKey, **members: Any) -> Statement[P]:
        """Return a statement of any kind signed by ``key``, issued now; no two are the same."""
        self._made += 1
        lapse = self.clock + (HOUR if issubclass(model, Logged) else 30 * DAY) - self._made
        said: dict[str, Any] = {"key": key.id, "issued": self.clock, "lapse": lapse}
        if issubclass(model, Logged):
            said["log"] = ORIGIN
        return make_statement(model(**{**said, **members}), key)

    def node_init(self, key: SigningKey | None = None, **changes: Any) -> Statement[payloads.Node]:
        return self.make(
            payloads.Node,
            key or signing("node"),
            **{
                "by": ORIGIN,
                "event": "init",
                "log_key": to_base64(signing("log").public),
                "node_key": to_base64(signing("node").public),
                "administrator_key": to_base64(signing("administrator").public),
                "rules_version": 1,
                **changes,
            },
        )

    def time_confirmed(self, **changes: Any) -> Statement[payloads.Node]:
        said = {"by": ORIGIN, "event": "time-confirmed", "clock": self.clock, **changes}
        return self.make(payloads.Node, signing("node"), **said)

    def admission(
        self, party: str, key: SigningKey | None = None, **changes: Any
    ) -> Statement[payloads.Admission]:
        return self.make(
            payloads.Admission,
            key or signing("administrator"),
            **{
                "by": ORIGIN,
                "party": party,
                "authority": signing(f"{party}/1").id,
                "state": State.ACTIVE,
                **changes,
            },
        )

    def authority(self, party: str) -> SigningKey:
        """Return a party's present authority key."""
        known = self.get(cells.Party, party)
        for n in range(1, 9):
            key = signing(f"{party}/{n}")
            if known is None or known.authority == to_base64(key.public):
                return key
        raise AssertionError(party)

    def party(
        self, party: str, key: SigningKey | None = None, **changes: Any
    ) -> Statement[payloads.Party]:
        """Return a party's next statement; its registrar is the key ``<party>/registrar``."""
        known = self.get(cells.Party, party)
        key = key or self.authority(party)
        number = next(n for n in range(1, 9) if signing(f"{party}/{n}") is key)
        registrar = signing(f"{party}/registrar")
        said: dict[str, Any] = {
            "by": party,
            "party": party,
            "name": f"Ministry of {party}",
            "authority": to_base64(key.public),
            "next": signing(f"{party}/{number + 1}").id,
            "registrars": (
                payloads.Registrar(
                    key=to_base64(registrar.public),
                    proof=registrar.prove_possession(party),
                    scope=tuple(Scope),
                    until=T0 + 365 * DAY,
                ),
            ),
            "state": State.ACTIVE,
            **self._next_of(known),
            **changes,
        }
        return self.make(payloads.Party, key, **said)

    def member(
        self,
        member: str,
        /,
        key: SigningKey | None = None,
        devices: Iterable[SigningKey] | None = None,
        **changes: Any,
    ) -> Statement[payloads.Member]:
        """Return a member's next statement; the first device is the key ``<member>/1``."""
        party = party_of(member)
        held = [signing(f"{member}/1")] if devices is None else list(devices)
        said: dict[str, Any] = {
            "by": party,
            "member": member,
            "name": member.partition("@")[0],
            "roles": ROLES.get(member, (MemberRole.ATTACHE,)),
            "state": State.ACTIVE,
            "devices": devices_of(member, held),
            **self._next_of(self.get(cells.Member, member)),
            **changes,
        }
        return self.make(payloads.Member, key or signing(f"{party}/registrar"), **said)

    def posting(
        self,
        post: str,
        /,
        holders: tuple[str, ...] | None = None,
        key: SigningKey | None = None,
        **changes: Any,
    ) -> Statement[payloads.Posting]:
        party = party_of(post)
        said: dict[str, Any] = {
            "by": party,
            "post": post,
            "holders": HOLDERS[post] if holders is None else holders,
            **self._next_of(self.get(cells.Post, post)),
            **changes,
        }
        return self.make(payloads.Posting, key or signing(f"{party}/registrar"), **said)

    def encryption_key(
        self, member: str, label: str = "1", key: SigningKey | None = None, **changes: Any
    ) -> Statement[payloads.Key]:
        said: dict[str, Any] = {
            "by": member,
            "encryption": encryption(f"{member}/{label}"),
            "use_from": self.clock,
            "use_until": self.clock + 35 * DAY,
            "kept_until": self.clock + 70 * DAY,
            **changes,
        }
        return self.make(payloads.Key, key or signing(f"{member}/1"), **said)

    def charter(
        self, by: str = FCO, key: SigningKey | None = None, **changes: Any
    ) -> Statement[charters.Charter]:
        said: dict[str, Any] = {
            "by": by,
            "type": "hotline",
            "alias": ALIAS,
            "parties": (FCO, MOD),
            "log": charters.LogTerms(
                origin=ORIGIN,
                log_key=to_base64(signing("log").public),
                node_key=to_base64(signing("node").public),
            ),
            "terms": terms(),
            "kinds": kinds(),
            "rules": rules(),
            **changes,
        }
        return self.make(charters.Charter, key or self.authority(by), **said)

    @property
    def channel(self) -> str:
        """The channel that is called ``london-hotline``."""
        return self.have(cells.AliasClaim, ALIAS).channel

    def accession(
        self, by: str, key: SigningKey | None = None, **changes: Any
    ) -> Statement[charters.Accession]:
        said: dict[str, Any] = {"by": by, **changes}
        said.setdefault("channel", self.channel)
        said.setdefault("charter", said["channel"])
        return self.make(charters.Accession, key or self.authority(by), **said)

    def roster(
        self, by: str, key: SigningKey | None = None, **changes: Any
    ) -> Statement[payloads.Roster]:
        """Return a party's next roster; MOD has a second tier."""
        tiers: tuple[payloads.Tier, ...] = (
            payloads.Tier(name="desk", posts=(LONDON if by == FCO else DUTY,)),
        )
        if by == MOD:
            tiers += (payloads.Tier(name="deputy", posts=(DEPUTY,)),)
        said: dict[str, Any] = {"by": by, "tiers": tiers, **changes}
        said.setdefault("channel", self.channel)
        known = self.get(cells.Rosters, said["channel"], by)
        said = {**self._next_of(known.editions[-1] if known else None), **said}
        return self.make(payloads.Roster, key or signing(f"{by}/registrar"), **said)

    def directory(
        self, by: str, key: SigningKey | None = None, **changes: Any
    ) -> Statement[payloads.Directory]:
        """Return a party's next directory, which names all that is current."""
        mine = [cell for _, cell in sorted(self.cells.items()) if cell is not None]
        said: dict[str, Any] = {
            "by": by,
            "members": tuple(
                payloads.MemberEntry(member=c.member, statement=c.statement)
                for c in mine
                if isinstance(c, cells.Member) and c.party == by
            ),
            "postings": tuple(
                payloads.PostEntry(post=c.post, statement=c.statement)
                for c in mine
                if isinstance(c, cells.Post) and c.party == by
            ),
            "rosters": tuple(
                payloads.ChannelEntry(channel=c.channel, statement=c.editions[-1].statement)
                for c in mine
                if isinstance(c, cells.Rosters) and c.party == by
            ),
            "charters": tuple(
                payloads.ChannelEntry(channel=c.channel, statement=c.charter)
                for c in mine
                if isinstance(c, cells.Channel) and by in c.parties
            ),
            "revoked": (),
            "valid_until": self.clock + 7 * DAY,
        }
        known = self.get(cells.Directories, by)
        if known is not None and known.editions:
            said |= {"sequence": known.sequence + 1, "previous": known.editions[-1].statement}
        else:
            said["sequence"] = 1
        return self.make(
            payloads.Directory, key or signing(f"{by}/registrar"), **{**said, **changes}
        )

    def note(
        self,
        by: str = ANNA,
        to: Mapping[str, AddresseeRole] | None = None,
        key: SigningKey | None = None,
        post: str | None = None,
        serial: int | None = None,
        **changes: Any,
    ) -> Statement[payloads.Note]:
        """Return a note with wraps for each device of each holder that has a key.

        ``post`` is the one that the sender writes for; ``serial`` is the next unless given.
        """
        key = key or signing(f"{by}/1")
        own = post or next(p for p, holders in HOLDERS.items() if by in holders)
        if to is None:
            to = {DUTY if party_of(by) == FCO else LONDON: AddresseeRole.ACTION}
        channel = self.channel
        addressed = {party_of(address) for address in to}
        parties = sorted({party_of(by), *addressed})
        said: dict[str, Any] = {
            "by": by,
            "id": new_note_id(self.clock, fixed(f"note {self._made}", 10)),
            "channel": channel,
            "charter": self.have(cells.Channel, channel).charter,
            "parties": tuple(self._reliance(p, key, p in addressed, serial) for p in parties),
            "checkpoint": payloads.Seen(size=len(self.records), root=digest("root")),
            "kind": "leader",
            "precedence": payloads.NotePrecedence(
                action=Precedence.FLASH, info=Precedence.PRIORITY
            ),
            "addressees": (
                *(self._addressee(address, role) for address, role in to.items()),
                self._addressee(own, AddresseeRole.COPY, only=by),
            ),
            "content": payloads.Content(digest=digest(f"content {self._made}"), size=1040),
            "commitment": digest(f"commitment {self._made}"),
            "dtg": to_dtg(self.clock),
            "label": payloads.Label(classification="SECRET", releasable_to=(FCO, MOD)),
            "exercise": False,
            **changes,
        }
        return self.make(payloads.Note, key, **said)

    def answer(
        self,
        by: str,
        verdict: Verdict,
        *notes: str,
        key: SigningKey | None = None,
        **changes: Any,
    ) -> Statement[payloads.Answer]:
        said: dict[str, Any] = {
            "by": by,
            "channel": self.channel,
            "post": next(p for p, holders in HOLDERS.items() if by in holders),
            "verdict": verdict,
            "notes": tuple(sorted(notes)),
        }
        if verdict is Verdict.DECLINED:
            said["reason"] = "Not ours to answer"
        if verdict is Verdict.UNREADABLE:
            said["code"] = "wrap"
        return self.make(payloads.Answer, key or signing(f"{by}/1"), **{**said, **changes})

    def void(
        self, by: str, party: str, serial: int, key: SigningKey | None = None, **changes: Any
    ) -> Statement[payloads.Void]:
        said = {"by": by, "channel": self.channel, "party": party, "serial": serial, **changes}
        return self.make(payloads.Void, key or signing(f"{by}/1"), **said)

    def session(self, by: str = ANNA) -> Statement[payloads.Session]:
        return self.make(payloads.Session, signing(f"{by}/1"), by=by, challenge=digest("challenge"))

    def refusal(self) -> Statement[payloads.Refusal]:
        return self.make(
            payloads.Refusal,
            signing("node"),
            by=ORIGIN,
            payload_digest=digest("payload"),
            code="lapsed",
            text="It could enter until noon only",
        )

    def next_serial(self, key: SigningKey, party: str) -> int:
        spent = self.get(cells.Serials, self.channel, key.id, party)
        return spent.lowest_unused if spent else 1

    def _next_of(self, newest: Any) -> dict[str, Any]:
        if newest is None:
            return {"sequence": 1}
        return {"sequence": newest.sequence + 1, "previous": newest.statement}

    def _reliance(
        self, party: str, key: SigningKey, is_addressed: bool, serial: int | None
    ) -> payloads.Reliance:
        directories = self.get(cells.Directories, party)
        relied = directories.editions[-1].statement if directories else digest("no directory")
        if not is_addressed:
            return payloads.Reliance(party=party, directory=relied)
        rosters = self.get(cells.Rosters, self.channel, party)
        return payloads.Reliance(
            party=party,
            directory=relied,
            roster=rosters.editions[-1].statement if rosters else digest("no roster"),
            serial=serial or self.next_serial(key, party),
        )

    def _addressee(
        self, address: str, role: AddresseeRole, only: str | None = None
    ) -> payloads.Addressee:
        post = self.get(cells.Post, address)
        holders = HOLDERS.get(address, ()) if post is None else post.holders
        keys: list[str] = []
        for holder in holders:
            member = self.get(cells.Member, holder)
            if member is None or (only and holder != only):
                continue
            for n in range(1, 9):
                key = signing(f"{holder}/{n}")
                known = self.get(cells.DeviceKeys, key.id)
                if to_base64(key.public) in member.devices and known is not None:
                    keys.append(known.keys[-1][0])
        keys = keys or [digest(f"key of {address}")]
        return payloads.Addressee(
            post=address,
            role=role,
            wraps=tuple(
                payloads.Wrap(key=key, wrap=digest(f"wrap {self._made} {key}"))
                for key in sorted(keys)
            ),
        )


def terms(**changes: Any) -> charters.Terms:
    """Return the charter's parameters."""
    said: dict[str, Any] = {
        "lapse_max_s": HOUR // SECOND,
        "open_within_s": 21 * DAY // SECOND,
        "content_max_bytes": 4 * 1024 * 1024,
        "addressees_max": 8,
        "acknowledge": "any-of-tier",
        "classifications": ("SECRET", "RESTRICTED"),
        **changes,
    }
    return charters.Terms(**said)


def devices_of(member: str, keys: Iterable[SigningKey]) -> tuple[payloads.Device, ...]:
    """Return devices with their proofs of possession."""
    devices = [
        payloads.Device(key=to_base64(key.public), proof=key.prove_possession(member))
        for key in keys
    ]
    return tuple(sorted(devices, key=lambda device: device.key))


def replay(records: Iterable[Record]) -> World:
    """Return the cells that the records alone lead to."""
    world = World()
    for index, record in enumerate(records):
        view = Overlay(world)
        view.put(evolve(view, record_from(fields_of(record)), index))
        world.update(view.changes)
    return world


def rows_of(world: World) -> dict[str, bytes]:
    """Return a world's cells as a store would keep them."""
    return {
        cells.spell_key(key): cells.spell_cell(cell)
        for key, cell in sorted(world.items())
        if cell is not None
    }


def every_kind() -> dict[str, Statement[Any]]:
    """Return a statement of each kind, such as a node would take at some time."""
    world = MemoryWorld.opened()
    world.advance(MINUTE)
    note = world.accept(world.note())
    world.accept(world.answer(DORA, Verdict.DELIVERED, note.digest))
    world.accept(world.void(ANNA, MOD, 2))
    found: dict[str, Statement[Any]] = {}
    for statement in (*world.accepted, world.session(), world.refusal()):
        found.setdefault(statement.kind, statement)
    return dict(sorted(found.items()))
