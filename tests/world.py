"""A world in memory: one log, its parties, their people, devices and keys, and one open channel.

The clock stands until a test moves it. ``submit`` takes a statement the way a node does, what is
due first included, and ``fire_due`` decides what time alone brings. Both hold the rules to what
they declared: reading an undeclared cell fails the test. Contents are fake digests, since rules
never see content.

``begun``, ``peopled`` and ``opened`` give a world of two parties with a channel that climbs nothing,
under rules version 1 or 2; ``hotline``, ``verbale`` and ``forum`` one of version 2 with all it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import Any, TypeVar

from liaison.ledger.record import Record, fields_of, record_from
from liaison.rules import cells
from liaison.rules.cells import C, CellKey, Overlay, World
from liaison.rules.decide import (
    DueFirst,
    Duplicate,
    decide,
    decide_due,
    due_key,
    due_needs,
    needs,
    signer_of,
)
from liaison.rules.evolve import evolve
from liaison.rules.refusal import Refused
from liaison.rules.ruling import NEWEST_RULES, Peek
from liaison.sealing.keys import EncryptionKey
from liaison.statements import charters, payloads, procedures
from liaison.statements.charters import Effect, Rung, Seat, Standing
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
Asked = AddresseeRole | Mapping[str, Any]
"""An addressee's role, or all that is asked for it; a mapping without a role means action."""

T0 = 1_795_000_000 * SECOND
ORIGIN = "node.example/log"
FCO, MOD = "fco.example", "mod.example"
ANNA, LONDON = "anna.ames@fco.example", "attache.london@fco.example"
DORA, DUTY = "dora.dunn@mod.example", "duty.desk@mod.example"
EDWIN, DEPUTY = "edwin.earl@mod.example", "deputy@mod.example"
ALIAS = "london-hotline"
# Those of the rich worlds
UN, OBS = "un.example", "obs.example"
FELIX, HEAD = "felix.ford@fco.example", "head.london@fco.example"
OLGA, LINE = "olga.orr@fco.example", "line.london@fco.example"
GRETA, MINISTRY = "greta.gray@mod.example", "ministry@mod.example"
PETE, WATCH = "pete.park@mod.example", "watch@mod.example"
ULLA, CHAIR = "ulla.urk@un.example", "chair@un.example"
OTTO, SEAT = "otto.oak@obs.example", "seat@obs.example"
HOLDERS = {
    LONDON: (ANNA,),
    DUTY: (DORA,),
    DEPUTY: (EDWIN,),
    HEAD: (FELIX,),
    LINE: (OLGA,),
    MINISTRY: (GRETA,),
    WATCH: (PETE,),
    CHAIR: (ULLA,),
    SEAT: (OTTO,),
}
FIRST_PEOPLE = (ANNA, DORA, EDWIN)
ROLES = {
    ANNA: (MemberRole.ATTACHE,),
    DORA: (MemberRole.ATTACHE, MemberRole.DUTY_OFFICER),
    EDWIN: (MemberRole.OPERATOR,),
    FELIX: (MemberRole.ATTACHE, MemberRole.RELEASER),
    OLGA: (MemberRole.LINE_TEST, MemberRole.OPERATOR),
    GRETA: (MemberRole.ATTACHE,),
    PETE: (MemberRole.LINE_TEST, MemberRole.OPERATOR),
    ULLA: (MemberRole.ATTACHE, MemberRole.CHAIR),
    OTTO: (MemberRole.ATTACHE,),
}
TIERS = {
    FCO: (("desk", LONDON), ("head", HEAD), ("line", LINE)),
    MOD: (("desk", DUTY), ("deputy", DEPUTY), ("ministry", MINISTRY), ("watch", WATCH)),
    UN: (("desk", CHAIR),),
    OBS: (("desk", SEAT),),
}
ACTION, INFO = AddresseeRole.ACTION, AddresseeRole.INFO
STANDBY, COPY = AddresseeRole.STANDBY, AddresseeRole.COPY


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
        """Statements in the order of their records; what was due has none."""
        self.alias = ALIAS
        """Of the channel that statements are about unless they name another."""
        self._made = 0
        self._dues: dict[CellKey, int] = {}

    def copy(self) -> MemoryWorld:
        """Return a world that goes its own way from here."""
        other = type(self)()
        other.__dict__.update(self.__dict__)
        other.cells = World(self.cells)
        other.records = list(self.records)
        other.accepted = list(self.accepted)
        other._dues = dict(self._dues)
        return other

    @classmethod
    def begun(cls, version: int = NEWEST_RULES) -> MemoryWorld:
        """Return a world whose log has its first record and nothing else."""
        world = cls()
        world.accept(world.node_init(rules_version=version))
        return world

    @classmethod
    def peopled(cls, version: int = NEWEST_RULES) -> MemoryWorld:
        """Return a world of two parties with members, posts and keys, and no channel."""
        world = cls.begun(version)
        for party in (FCO, MOD):
            world.accept(world.admission(party))
            world.accept(world.party(party))
        world.people(FIRST_PEOPLE)
        return world

    def people(self, members: Sequence[str]) -> None:
        """Accept these members with their keys, then the posts that they hold."""
        for member in members:
            self.accept(self.member(member))
            self.accept(self.encryption_key(member))
        for post, holders in HOLDERS.items():
            if set(holders) <= set(members):
                self.accept(self.posting(post))

    @classmethod
    def opened(cls, version: int = NEWEST_RULES) -> MemoryWorld:
        """Return a world with an open channel, rosters and directories: notes may cross."""
        world = cls.peopled(version)
        world.open(world.charter())
        return world

    @classmethod
    def staffed(cls) -> MemoryWorld:
        """Return a world of four parties with all their people, and no channel."""
        world = cls.begun()
        for party in (FCO, MOD, UN, OBS):
            world.accept(world.admission(party))
            world.accept(world.party(party))
        world.people(tuple(ROLES))
        return world

    def open(self, charter: Statement[charters.Charter]) -> Statement[charters.Charter]:
        """Accept a channel's first charter and all that notes need to cross it."""
        self.accept(charter)
        parties = charter.payload.parties
        for party in parties:
            self.accept(self.accession(party, channel=charter.digest))
        for party in parties:
            self.accept(self.roster(party, channel=charter.digest))
        for party in parties:
            self.accept(self.directory(party))
        return charter

    # What a node does

    def advance(self, micros: int) -> None:
        """Move the clock; what falls due meanwhile waits for ``fire_due`` or for a statement."""
        self.clock += micros

    def elapse(self, micros: int) -> list[Record]:
        """Move the clock and decide each due moment when it comes; return their records."""
        end, fired = self.clock + micros, []
        while (due := self.first_due()) is not None and due <= end:
            self.clock = max(self.clock, due)
            fired += self.fire_due(due)
        self.clock = end
        return fired

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

    def load(self, asks: Statement[Any] | Callable[[Peek], set[CellKey]]) -> Overlay:
        """Return a view of the cells that a ruling declares, and of no others."""
        if isinstance(asks, Statement):
            asks = partial(needs, asks)
        loaded: dict[CellKey, cells.Cell | None] = {}

        def peek(cell: type[C], *ids: str) -> C | None:
            found = loaded.get(cell.key_of(*ids))
            assert found is None or isinstance(found, cell)
            return found

        while missing := asks(peek) - loaded.keys():
            loaded.update({key: self.cells[key] for key in missing})
        return Overlay(loaded)

    def cells_view(self) -> Overlay:
        """Return a view of all cells."""
        return Overlay(self.cells)

    def submit(self, statement: Statement[Any]) -> Record | Refused | Duplicate:
        """Take a statement in: parse, signature, what is due first, decide, evolve."""
        read = parse_statement(statement.raw)
        view = self.load(read)
        public = signer_of(read, view.get(cells.KeyClaim, read.payload.key))
        if isinstance(public, Refused):
            return public
        read.check_signature(public)
        while True:
            at = self.next_at
            decided = decide(view, read, at)
            assert decide(view, read, at) == decided
            if isinstance(decided, DueFirst):
                # With the view that the statement's own needs gave: they name these cells too.
                assert self._moment(view, decided.key, at) is not None
                continue
            if isinstance(decided, Record):
                self._enter(view, decided)
                self.accepted.append(read)
            return decided

    def _moment(self, view: Overlay, key: CellKey, at: int) -> Record | None:
        """Enter the record of a cell's first moment, if it is due."""
        before = self.cells[key]
        record = decide_due(view, key, at)
        assert decide_due(view, key, at) == record
        if record is None:
            return None
        assert due_key(record) == key
        self._enter(view, record)
        after = self.cells[key]
        assert before is not None and after is not None  # noqa: PT018
        assert after != before, "a moment that changes nothing would come again and again"
        return record

    def _enter(self, view: Overlay, record: Record) -> None:
        assert record_from(fields_of(record)) == record
        view.put(evolve(view, record, len(self.records)))
        self.cells.update(view.changes)
        self.records.append(record)
        self.head_at = record.at
        for key, cell in view.changes.items():
            due = cell.due
            if due is not None:
                self._dues[key] = due
            else:
                self._dues.pop(key, None)

    def first_due(self) -> int | None:
        """Return the first due moment of all cells."""
        return min(self._dues.values(), default=None)

    def fire_due(self, until: int | None = None) -> list[Record]:
        """Decide all moments of all cells that are due up to the clock, in due order."""
        until = self.clock if until is None else min(until, self.clock)
        fired: list[Record] = []
        while self._dues:
            due, key = min((due, key) for key, due in self._dues.items())
            if due > until:
                break
            record = self._moment(self.load(partial(due_needs, key)), key, self.next_at)
            assert record is not None
            fired.append(record)
        return fired

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
                "rules_version": NEWEST_RULES,
                **changes,
            },
        )

    def rules_version(self, version: int, **changes: Any) -> Statement[payloads.Node]:
        said = {"by": ORIGIN, "event": "rules-version", "rules_version": version, **changes}
        return self.make(payloads.Node, signing("node"), **said)

    def time_advanced(self, micros: int, **changes: Any) -> Statement[payloads.Node]:
        said = {"by": ORIGIN, "event": "time-advanced", "advance_us": micros, **changes}
        return self.make(payloads.Node, signing("node"), **said)

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
        """Return a member's next statement; the first device is the key ``<member>/1``.

        What is for good is signed by the authority, all else by the registrar.
        """
        party = party_of(member)
        held = [signing(f"{member}/1")] if devices is None else list(devices)
        is_for_good = changes.get("state") is State.REVOKED or changes.get("compromised")
        signer = self.authority(party) if is_for_good else signing(f"{party}/registrar")
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
        return self.make(payloads.Member, key or signer, **said)

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

    def amendment(self, by: str = FCO, **changes: Any) -> Statement[charters.Charter]:
        """Return a successor of the channel's charter, which says the same but for ``changes``."""
        now = self.have(cells.Channel, self.channel)
        said = {
            name: getattr(now, name)
            for name in ("alias", "exercise", "kinds", "ladders", "parties", "rules", "seats")
        }
        said |= {"type": now.type, "terms": now.terms}
        return self.charter(
            by, **{**said, "channel": now.channel, "previous": now.charter} | changes
        )

    def amend(self, by: str = FCO, **changes: Any) -> Statement[charters.Charter]:
        """Have the channel's charter replaced by one that all its parties accede to."""
        amendment = self.accept(self.amendment(by, **changes))
        for party in amendment.payload.parties:
            self.accept(self.accession(party, charter=amendment.digest))
        return amendment

    def participation(
        self, by: str, state: Standing, key: SigningKey | None = None, **changes: Any
    ) -> Statement[charters.Participation]:
        said: dict[str, Any] = {"by": by, "channel": self.channel, "state": state, **changes}
        return self.make(charters.Participation, key or self.authority(by), **said)

    @property
    def channel(self) -> str:
        """The channel that is called ``alias``."""
        return self.have(cells.AliasClaim, self.alias).channel

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
        """Return a party's next roster: those tiers whose posts are known."""
        tiers = tuple(
            payloads.Tier(name=name, posts=(post,))
            for name, post in TIERS[by]
            if self.get(cells.Post, post) is not None
        )
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
        to: Mapping[str, Asked] | None = None,
        key: SigningKey | None = None,
        post: str | None = None,
        serial: int | None = None,
        **changes: Any,
    ) -> Statement[payloads.Note]:
        """Return a note with wraps for each device of each holder that has a key.

        ``to`` has an addressee's role, or all that is asked for it; ``post`` is the one that the
        sender writes for; ``serial`` is the next unless given.
        """
        key = key or signing(f"{by}/1")
        own = post or post_of(by)
        if to is None:
            to = {DUTY if party_of(by) == FCO else LONDON: AddresseeRole.ACTION}
        channel = self.channel
        now = self.have(cells.Channel, channel)
        addressed = {party_of(address) for address in to}
        parties = sorted({party_of(by), *addressed})
        said: dict[str, Any] = {
            "by": by,
            "id": new_note_id(self.clock, fixed(f"note {self._made}", 10)),
            "channel": channel,
            "charter": now.charter,
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
            "label": payloads.Label(
                classification="SECRET", releasable_to=tuple(sorted(now.parties))
            ),
            "exercise": bool(now.exercise),
            **changes,
        }
        return self.make(payloads.Note, key, **said)

    def draft(
        self,
        by: str = ANNA,
        drafted: Mapping[str, Asked] | None = None,
        to: Mapping[str, Asked] | None = None,
        **changes: Any,
    ) -> Statement[payloads.Note]:
        """Return a draft of kind ``verbale``; ``to`` are those of the own party who clear it."""
        drafted = {DUTY: ACTION} if drafted is None else drafted
        said = tuple(
            payloads.DraftedAddressee(post=post, **asked_of(asked))
            for post, asked in drafted.items()
        )
        to = {HEAD: ACTION} if to is None else to
        return self.note(by, to, **{"kind": "verbale", "drafted": said, **changes})

    def proposal(
        self,
        by: str = ANNA,
        to: Mapping[str, Asked] | None = None,
        lasts: int = DAY,
        **changes: Any,
    ) -> Statement[payloads.Note]:
        """Return a proposal whose silence lasts so many microseconds."""
        if to is None:
            posts = (LONDON, DUTY, CHAIR, SEAT)
            to = {post: ACTION for post in posts if party_of(post) != party_of(by)}
        said = {"kind": "proposal", "silence_until": self.next_at + lasts, **changes}
        return self.note(by, to, **said)

    def speak(
        self, model: type[P], by: str, key: SigningKey | None = None, **members: Any
    ) -> Statement[P]:
        """Return a member's statement in the channel: a watch, a hold, an objection."""
        said = {"by": by, "channel": self.channel, **members}
        return self.make(model, key or signing(f"{by}/1"), **said)

    def release(
        self, draft: Statement[payloads.Note], by: str = FELIX, **changes: Any
    ) -> Statement[procedures.Release]:
        """Return a draft's release, with wraps for those whom it names."""
        key = changes.pop("key", None) or signing(f"{by}/1")
        serial = changes.pop("serial", None)
        posts = sorted(a.post for a in draft.payload.drafted or ())
        addressed = {party_of(post) for post in posts}
        said: dict[str, Any] = {
            "note": draft.digest,
            "parties": tuple(
                self._reliance(party, key, party in addressed, serial)
                for party in sorted({party_of(by), *addressed})
            ),
            "checkpoint": payloads.Seen(size=len(self.records), root=digest("root")),
            "addressees": tuple(
                procedures.Released(post=post, wraps=self._addressee(post, ACTION).wraps)
                for post in posts
            ),
        }
        return self.speak(procedures.Release, by, key, **{**said, **changes})

    def grant(
        self,
        note: str,
        post: str,
        by: str = ANNA,
        keys: Iterable[str] | None = None,
        **changes: Any,
    ) -> Statement[procedures.Grant]:
        """Return a grant of a note for key statements: those of the post's present holders."""
        key = changes.pop("key", None) or signing(f"{by}/1")
        wraps = self._addressee(post, ACTION).wraps
        if keys is not None:
            wraps = tuple(
                payloads.Wrap(key=k, wrap=digest(f"grant {self._made} {k}")) for k in sorted(keys)
            )
        parties = sorted({party_of(by), party_of(post)})
        said: dict[str, Any] = {
            "note": note,
            "post": post,
            "reason": procedures.GrantReason.UNREADABLE,
            "parties": tuple(self._reliance(party, key, False, None) for party in parties),
            "given": wraps,
        }
        return self.speak(procedures.Grant, by, key, **{**said, **changes})

    def withdrawal(
        self, note: str, by: str = ANNA, **changes: Any
    ) -> Statement[procedures.Withdrawal]:
        return self.speak(procedures.Withdrawal, by, note=note, **changes)

    def objection(
        self, note: str, by: str = DORA, **changes: Any
    ) -> Statement[procedures.Objection]:
        return self.speak(procedures.Objection, by, note=note, **changes)

    def extension(
        self, note: str, until: int, by: str = ULLA, **changes: Any
    ) -> Statement[procedures.Extension]:
        return self.speak(procedures.Extension, by, note=note, silence_until=until, **changes)

    def watch(
        self,
        by: str,
        action: procedures.WatchAction,
        note: str | None = None,
        **members: Any,
    ) -> Statement[procedures.Watch]:
        """Return what an operator does; the text that some actions need is said."""
        saying = (
            procedures.WatchAction.ANNOTATE,
            procedures.WatchAction.CLOSE,
            procedures.WatchAction.REOPEN,
        )
        text = {"text": "They were told by telephone"} if action in saying else {}
        return self.speak(procedures.Watch, by, action=action, note=note, **{**text, **members})

    def minimize(
        self,
        by: str,
        below: Precedence | None = Precedence.IMMEDIATE,
        lasts: int = HOUR,
        **changes: Any,
    ) -> Statement[procedures.Watch]:
        """Return that an operator minimizes the channel; below None ends it."""
        said: dict[str, Any] = {}
        if below is not None:
            said = {"below": below, "until": self.clock + lasts, "text": "The cable is cut"}
        return self.watch(by, procedures.WatchAction.MINIMIZE, **{**said, **changes})

    def hold(
        self,
        by: str,
        below: Precedence | None = Precedence.IMMEDIATE,
        lasts: int = HOUR,
        **changes: Any,
    ) -> Statement[procedures.Hold]:
        """Return a hold on the post of ``by``; below None ends it."""
        until = None if below is None else self.clock + lasts
        said = {"post": post_of(by), "below": below, "until": until, **changes}
        return self.speak(procedures.Hold, by, **said)

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
            "post": post_of(by),
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
        self,
        address: str,
        asked: Asked,
        only: str | None = None,
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
            **asked_of(asked),
            wraps=tuple(
                payloads.Wrap(key=key, wrap=digest(f"wrap {self._made} {key}"))
                for key in sorted(keys)
            ),
        )


def asked_of(asked: Asked) -> dict[str, Any]:
    """Return what is asked for an addressee; a mapping without a role means action."""
    if isinstance(asked, AddresseeRole):
        return {"role": asked}
    return {"role": AddresseeRole.ACTION, **asked}


def post_of(member: str) -> str:
    """Return the post that a member of this world holds."""
    return next(post for post, holders in HOLDERS.items() if member in holders)


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
    rich = told()
    found: dict[str, Statement[Any]] = {}
    for statement in (*world.accepted, *rich.accepted, world.session(), world.refusal()):
        found.setdefault(statement.kind, statement)
    return dict(sorted(found.items()))


# Rich worlds, of rules version 2


def ladders() -> tuple[charters.Ladder, ...]:
    """Return two ladders: a steep one with all that a rung can do, and a calm one."""
    steep = (
        Rung(after_s=120, effect=Effect.ALERT, times=3, every_s=60),
        Rung(after_s=60, effect=Effect.RAISE),
        Rung(after_s=300, effect=Effect.OPEN, tier="deputy"),
        Rung(after_s=300, effect=Effect.TELL, tier="ministry"),
        Rung(after_s=600, effect=Effect.EXHAUSTED, every_s=600),
    )
    calm = (
        Rung(after_s=3600, effect=Effect.ALERT),
        Rung(after_s=3600, effect=Effect.EXHAUSTED, every_s=86400),
    )
    return (
        charters.Ladder(name="calm", rungs=calm),
        charters.Ladder(name="steep", rungs=steep),
    )


def kind(name: str, limit: Precedence = Precedence.FLASH, **members: Any) -> charters.NoteKind:
    """Return a kind of note that any attaché writes and that climbs nothing unless said."""
    said: dict[str, Any] = {"justification": "none", "writers": (MemberRole.ATTACHE,), **members}
    said = {"action_max": limit, "info_max": limit, "default": limit, **said}
    return charters.NoteKind(kind=name, **said)


CLIMBS = (
    charters.LadderUse(at_least=Precedence.DEFERRED, ladder="calm"),
    charters.LadderUse(at_least=Precedence.FLASH, ladder="steep"),
)


def use(name: str, **parameters: int | str) -> charters.RuleUse:
    """Return the use of a rule; its parameters are spelled with hyphens."""
    said = {key.replace("_", "-"): value for key, value in parameters.items()}
    return charters.RuleUse(use=name, parameters=said)


def hotline_charter(**changes: Any) -> dict[str, Any]:
    """Return what a hotline's charter says: leaders, service, tests each hour, plain notes."""
    return {
        "kinds": (
            kind("leader", ladders=CLIMBS, answer_within_s=1800, reminders_s=(600, 60)),
            kind("plain"),
            kind("service", service=True, ladders=CLIMBS),
            kind("test", Precedence.ROUTINE, writers=(MemberRole.LINE_TEST,)),
        ),
        "ladders": ladders(),
        "rules": (
            use("action-across"),
            use("line-tests", kind="test", every_s=3600, grace_s=300),
            use("members-exactly", count=2),
        ),
        "terms": terms(snooze_max_s=900, hold_max_s=28800),
        **changes,
    }


def hotline(**changes: Any) -> MemoryWorld:
    """Return a world with a hotline; its charter says ``changes`` otherwise."""
    return _opened(**hotline_charter(**changes))


def quiet_hotline(**changes: Any) -> MemoryWorld:
    """Return a world with a hotline that has no line tests."""
    rules = (use("action-across"), use("members-exactly", count=2))
    return hotline(**{"rules": rules, **changes})


def verbale(**changes: Any) -> MemoryWorld:
    """Return a world with a channel of formal notes, which are released and numbered."""
    said: dict[str, Any] = {
        "type": "diplomatic-note",
        "kinds": (
            kind("first-person", release=MemberRole.RELEASER, series="fp"),
            kind("plain"),
            kind(
                "verbale",
                ladders=CLIMBS,
                release=MemberRole.RELEASER,
                series="nv",
                reminders_s=(86400, 3600),
            ),
        ),
        "ladders": ladders(),
        "rules": (use("action-across"), use("members-exactly", count=2)),
        **changes,
    }
    return _opened(**said)


def forum(**changes: Any) -> MemoryWorld:
    """Return a world with a forum: UN is the chair, FCO and MOD are members, OBS observes."""
    writers = (MemberRole.ATTACHE, MemberRole.CHAIR)
    said: dict[str, Any] = {
        "type": "forum",
        "parties": (UN, FCO, MOD, OBS),
        "seats": tuple(
            charters.Seated(party=party, seat=seat)
            for party, seat in (
                (FCO, Seat.MEMBER),
                (MOD, Seat.MEMBER),
                (OBS, Seat.OBSERVER),
                (UN, Seat.CHAIR),
            )
        ),
        "kinds": (
            kind(
                "proposal",
                Precedence.FLASH,
                silence=charters.Silence(min_s=3600, max_s=14 * 86400),
                writers=writers,
            ),
            kind("statement", writers=writers),
            kind("urgent", ladders=CLIMBS, writers=writers),
        ),
        "ladders": ladders(),
        "rules": (use("seats"),),
        **changes,
    }
    return _opened(UN, **said)


def _opened(by: str = FCO, **said: Any) -> MemoryWorld:
    """Return a world with a channel of such a charter, a minute after it opened."""
    world = _staffed().copy()
    world.open(world.charter(by, **said))
    world.advance(MINUTE)
    return world


@cache
def _staffed() -> MemoryWorld:
    return MemoryWorld.staffed()


def told() -> MemoryWorld:
    """Return a world in which each kind of record and of cell came about."""
    from tests.rules.story import tell_all

    return tell_all()
