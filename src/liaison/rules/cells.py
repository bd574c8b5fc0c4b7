"""Cells: the state, as frozen values under typed keys. design.md 7.

Cells are a cache of the fold over records, never a second truth. A cell's key is its kind and the
ids that name it; its row is its canonical JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import ClassVar, Final, Literal, NamedTuple, Protocol, TypeVar

from liaison.ledger.facts import RegisterFacts, RegistrarFacts
from liaison.rules.lives import Life, Stage
from liaison.statements.charters import (
    Ladder,
    NoteKind,
    RuleUse,
    Rung,
    Seat,
    Seated,
    Standing,
    Terms,
)
from liaison.statements.fields import Frozen
from liaison.statements.payloads import (
    AddresseeRole,
    Alternate,
    Compromised,
    MemberRole,
    Predecessor,
    State,
    Tier,
)
from liaison.words.precedence import Precedence

CellKey = tuple[str, ...]
C = TypeVar("C", bound="Cell")


class Cell(Frozen):
    """A value of the state. ``key_of`` builds the key from the ids, ``key`` from the cell."""

    name: ClassVar[str]
    ids: ClassVar[tuple[str, ...]] = ()

    @property
    def due(self) -> int | None:
        """Return the first moment, in microseconds, at which time alone changes the cell."""
        return None

    @property
    def key(self) -> CellKey:
        return (self.name, *(getattr(self, field) for field in self.ids))

    @classmethod
    def key_of(cls, *ids: str) -> CellKey:
        if len(ids) != len(cls.ids):
            raise TypeError(f"{cls.name} is named by {cls.ids}, not by {len(ids)} ids")
        return (cls.name, *ids)


class View(Protocol):
    """What a rule may read: the cells that its ``needs`` declared, and no others."""

    def get(self, cell: type[C], *ids: str) -> C | None:
        """Return the cell, or None where there is none."""
        ...


class Log(Cell):
    """The node's own: who it is, its keys, the rules version in force."""

    name: ClassVar[str] = "log"
    origin: str
    log_key: str
    node_key: str
    administrator_key: str
    rules_version: int
    clock_confirmed: int = 0
    predecessor: Predecessor | None = None
    exercise: Literal[True] | None = None
    advanced: int | None = None
    """By how much exercise time was moved ahead of the clock, in microseconds."""


class Counter(Cell):
    """How many records a scope (a channel, a party, the origin) has."""

    name: ClassVar[str] = "counter"
    ids: ClassVar[tuple[str, ...]] = ("scope",)
    scope: str
    n: int


class Taken(Cell):
    """A payload that is in the log, at ``index``: a second one is a duplicate."""

    name: ClassVar[str] = "taken"
    ids: ClassVar[tuple[str, ...]] = ("scope", "payload")
    scope: str
    payload: str
    index: int


class KeyClaim(Cell):
    """A key id is claimed once per log, for good, by one holder in one capacity.

    ``capacity`` is authority, registrar, device, encryption, log, node or administrator.
    """

    name: ClassVar[str] = "key-claim"
    ids: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    capacity: str
    holder: str
    public: str
    """Padded base64; empty for encryption keys, whose bytes stay in their statement."""


class AliasClaim(Cell):
    name: ClassVar[str] = "alias-claim"
    ids: ClassVar[tuple[str, ...]] = ("alias",)
    alias: str
    channel: str


class NoteClaim(Cell):
    """A note's id, which its device gives to one note of a channel. Claimed once, for good."""

    name: ClassVar[str] = "note-claim"
    ids: ClassVar[tuple[str, ...]] = ("channel", "device", "id")
    channel: str
    device: str
    id: str
    note: str


class Admitted(Cell):
    name: ClassVar[str] = "admitted"
    ids: ClassVar[tuple[str, ...]] = ("party",)
    party: str
    authority: str
    state: State


class Party(Cell):
    """A party as its newest statement has it; ``since`` is when that was accepted."""

    name: ClassVar[str] = "party"
    ids: ClassVar[tuple[str, ...]] = ("party",)
    party: str
    statement: str
    sequence: int
    title: str
    authority: str
    next: str
    registrars: tuple[RegistrarFacts, ...]
    state: State
    since: int


class Member(Cell):
    name: ClassVar[str] = "member"
    ids: ClassVar[tuple[str, ...]] = ("member",)
    member: str
    party: str
    statement: str
    sequence: int
    title: str
    roles: tuple[MemberRole, ...]
    state: State
    devices: tuple[str, ...]
    """Public keys, padded base64, ascending."""
    compromised: tuple[Compromised, ...] | None = None


class Post(Cell):
    name: ClassVar[str] = "post"
    ids: ClassVar[tuple[str, ...]] = ("post",)
    post: str
    party: str
    statement: str
    sequence: int
    holders: tuple[str, ...]


class Edition(Frozen):
    """One accepted directory: in force until it lapses, current until the next is accepted."""

    statement: str
    sequence: int
    at: int
    valid_until: int


class Directories(Cell):
    """A party's directories that haven't lapsed, oldest first, and its last revocation."""

    name: ClassVar[str] = "directories"
    ids: ClassVar[tuple[str, ...]] = ("party",)
    party: str
    sequence: int
    editions: tuple[Edition, ...]
    revoked_at: int = 0


class RosterEdition(Frozen):
    statement: str
    sequence: int
    at: int
    tiers: tuple[Tier, ...]
    alternates: tuple[Alternate, ...] | None = None

    def tier_of(self, post: str) -> str | None:
        """Return the name of the tier that a post stands in."""
        return next((tier.name for tier in self.tiers if post in tier.posts), None)


class Rosters(Cell):
    """A party's rosters for a channel, oldest first: the newest four."""

    name: ClassVar[str] = "rosters"
    ids: ClassVar[tuple[str, ...]] = ("channel", "party")
    channel: str
    party: str
    editions: tuple[RosterEdition, ...]


class EncryptionKey(Cell):
    """A certified encryption key, by the digest of its statement."""

    name: ClassVar[str] = "encryption-key"
    ids: ClassVar[tuple[str, ...]] = ("statement",)
    statement: str
    member: str
    device: str
    use_from: int
    use_until: int
    kept_until: int


class DeviceKeys(Cell):
    """A device's key statements, newest last; those past ``use_until`` fall out."""

    name: ClassVar[str] = "device-keys"
    ids: ClassVar[tuple[str, ...]] = ("device",)
    device: str
    keys: tuple[tuple[str, int], ...]
    """(statement digest, use_until)."""


class Acceded(Frozen):
    party: str
    at: int
    statement: str


class PartyStanding(Frozen):
    """A party that acceded, and suspended its part or left since."""

    party: str
    state: Standing
    at: int
    statement: str


class Minimized(Frozen):
    """A party asks for essential traffic only: what is below a precedence waits until a time."""

    party: str
    below: Precedence
    until: int
    at: int
    by: str
    text: str
    statement: str


class Channel(Cell):
    """A channel under its charter. It opens when all parties have acceded."""

    name: ClassVar[str] = "channel"
    ids: ClassVar[tuple[str, ...]] = ("channel",)
    channel: str
    charter: str
    type: str
    alias: str
    parties: tuple[str, ...]
    terms: Terms
    kinds: tuple[NoteKind, ...]
    rules: tuple[RuleUse, ...]
    acceded: tuple[Acceded, ...]
    opened_at: int = 0
    exercise: Literal[True] | None = None
    seats: tuple[Seated, ...] | None = None
    ladders: tuple[Ladder, ...] | None = None
    standings: tuple[PartyStanding, ...] | None = None
    """Only of parties that are not simply active."""
    pending: tuple[str, ...] | None = None
    """Charters proposed to succeed this one, the newest last."""
    proposers: tuple[str, ...] | None = None
    """Who proposed them, once for each, ascending; also of those that are not kept in sight."""
    minimized: tuple[Minimized, ...] | None = None
    """One of a party at most, ascending; each counts until its time."""

    @property
    def is_open(self) -> bool:
        return self.opened_at > 0

    def standing(self, party: str) -> Standing:
        known = next((s for s in self.standings or () if s.party == party), None)
        return known.state if known else Standing.ACTIVE

    def seat(self, party: str) -> Seat | None:
        return next((s.seat for s in self.seats or () if s.party == party), None)

    def kind(self, name: str) -> NoteKind | None:
        return next((kind for kind in self.kinds if kind.kind == name), None)

    def ladder(self, kind: NoteKind, precedence: Precedence) -> Ladder | None:
        """Return the ladder that a note of such kind and precedence for action climbs."""
        uses = [u for u in kind.ladders or () if u.at_least.rank <= precedence.rank]
        if not uses:
            return None
        name = max(uses, key=lambda use: use.at_least.rank).ladder
        return next((ladder for ladder in self.ladders or () if ladder.name == name), None)


class Amendment(Cell):
    """A charter that is to succeed the channel's present one, once all have acceded to it."""

    name: ClassVar[str] = "amendment"
    ids: ClassVar[tuple[str, ...]] = ("channel", "charter")
    channel: str
    charter: str
    previous: str
    proposed: Channel
    """The channel as it is from then on; ``acceded`` are those who said yes to this charter."""


class PartyChannels(Cell):
    """The channels whose charter names a party, ascending."""

    name: ClassVar[str] = "party-channels"
    ids: ClassVar[tuple[str, ...]] = ("party",)
    party: str
    channels: tuple[str, ...]


class References(Cell):
    """The last reference given in a channel."""

    name: ClassVar[str] = "references"
    ids: ClassVar[tuple[str, ...]] = ("channel",)
    channel: str
    last: int


class Serials(Cell):
    """Serials that a device spent towards a party in a channel.

    ``lowest_unused`` and the used ones above it, ascending.
    """

    name: ClassVar[str] = "serials"
    ids: ClassVar[tuple[str, ...]] = ("channel", "device", "party")
    channel: str
    device: str
    party: str
    lowest_unused: int
    above: tuple[int, ...]


class Decisions(Cell):
    """The last number given to a decision of a channel."""

    name: ClassVar[str] = "decisions"
    ids: ClassVar[tuple[str, ...]] = ("channel",)
    channel: str
    last: int


class Register(Cell):
    """An issuer's register in a channel: the last number of a series in its present year."""

    name: ClassVar[str] = "register"
    ids: ClassVar[tuple[str, ...]] = ("channel", "party", "series")
    channel: str
    party: str
    series: str
    year: int
    last: int


class AddresseeState(Frozen):
    post: str
    role: AddresseeRole
    life: Life
    by: str = ""
    at: int = 0
    # Rules version 2
    readers: tuple[str, ...] | None = None
    """Members with a wrap, ascending."""
    tier: str | None = None
    held: Literal[True] | None = None
    alternate_for: str | None = None
    no_redirect: Literal[True] | None = None
    reply_by: int | None = None
    """Until when an answer is due, while none came and the time has not passed."""
    overdue: int | None = None
    """The time that passed without an answer."""
    replied: int | None = None
    owed: int | None = None
    """What ``reply_by`` or ``overdue`` was when the answer came."""
    answers: tuple[str, ...] | None = None
    """The notes that answered, in their order, the last few."""
    device: str | None = None
    """The key id that acknowledged for it last."""


class Climb(Frozen):
    """Where a note stands on its ladder for a party: rung ``rung`` takes effect at ``due``."""

    party: str
    round: int
    rung: int
    repeat: int
    due: int
    waits_for: Literal["acknowledgement", "answer"]
    since: int
    """When it was armed."""
    snoozed: Literal[True] | None = None
    forced: Literal[True] | None = None
    """An operator had a rung take effect before its time."""


class Procedure(Frozen):
    """A proposal under the silence procedure: its stage, and when its silence ends."""

    stage: Stage
    until: int
    decision: int | None = None


class Item(Frozen):
    """What a party's operators did with an item of their queue."""

    party: str
    claimed_by: str | None = None
    claimed_at: int | None = None
    snoozed_until: int | None = None
    annotation: str | None = None
    raised: Literal[True] | None = None
    vacant: Literal[True] | None = None
    exhausted: Literal[True] | None = None
    missed: tuple[int, ...] | None = None
    """Slots of line tests that were missed and not closed yet."""


class GrantState(Frozen):
    """A grant of a note: the entry with which its wraps are kept, and its statement's digest."""

    index: int
    statement: str


class Given(Frozen):
    """To which keys, by their statements, a member granted a note at a post; ascending."""

    by: str
    post: str
    keys: tuple[str, ...]


class Granted(Cell):
    """What the members of one party granted of a note, by granter and post."""

    name: ClassVar[str] = "granted"
    ids: ClassVar[tuple[str, ...]] = ("channel", "note", "party")
    channel: str
    note: str
    party: str
    given: tuple[Given, ...]


class Note(Cell):
    """A note's life: each addressee in exactly one state (design.md, law 8).

    What stands behind ``addressees`` is of rules version 2: its timers with the rules under which
    they were armed.
    """

    name: ClassVar[str] = "note"
    ids: ClassVar[tuple[str, ...]] = ("channel", "note")
    channel: str
    note: str
    index: int
    at: int
    reference: int
    """0 for a draft."""
    sender: str
    kind: str
    precedence: Precedence
    info_precedence: Precedence
    addressees: tuple[AddresseeState, ...]
    post: str | None = None
    """The post that it is from."""
    charter: str | None = None
    draft: Literal[True] | None = None
    release: str | None = None
    """The statement that let a draft go."""
    exercise: Literal[True] | None = None
    service: Literal[True] | None = None
    """It never counts as an answer: by its kind, or since its key is contested."""
    acknowledge: Literal["any-of-tier", "all"] | None = None
    answer_within_s: int | None = None
    rungs: tuple[Rung, ...] | None = None
    informed: tuple[str, ...] | None = None
    climbs: tuple[Climb, ...] | None = None
    """One for each party that has not taken it on, ascending: no party stops another's."""
    rounds: int | None = None
    reminders: tuple[int, ...] | None = None
    """Moments of reminders that are to come, ascending."""
    expiry: int | None = None
    latest_delivery: int | None = None
    deferred_until: int | None = None
    in_reply_to: str | None = None
    supersedes: str | None = None
    superseded_by: str | None = None
    amends: str | None = None
    number: RegisterFacts | None = None
    procedure: Procedure | None = None
    withdrawn: Literal[True] | None = None
    """Its sender took it back, or superseded it: nobody is asked any more."""
    items: tuple[Item, ...] | None = None
    grants: tuple[GrantState, ...] | None = None

    @property
    def climb(self) -> Climb | None:
        """Return the climb whose next rung is due first."""
        return min(self.climbs or (), key=lambda climb: climb.due, default=None)

    def climb_of(self, party: str) -> Climb | None:
        """Return where a party stands, if the note climbs for it."""
        return next((climb for climb in self.climbs or () if climb.party == party), None)

    @property
    def due(self) -> int | None:
        moments = self.moments
        return moments[0].due if moments else None

    @property
    def moments(self) -> tuple[Moment, ...]:
        """Return what is due, first first; at one time what ends something comes first."""
        found: list[Moment] = []
        if self.draft:
            return ()
        if self.deferred_until is not None:
            found.append(Moment(self.deferred_until, MomentOrder.BEGUN))
            return tuple(found)
        if self.expiry is not None and self._may_expire:
            found.append(Moment(self.expiry, MomentOrder.EXPIRED))
        if self.latest_delivery is not None and self._may_be_delivered:
            found.append(Moment(self.latest_delivery, MomentOrder.NON_DELIVERED))
        if self.procedure is not None and self.procedure.stage is Stage.UNDER_SILENCE:
            found.append(Moment(self.procedure.until, MomentOrder.CONCLUDED))
        overdue = [a.reply_by for a in self.addressees if a.reply_by is not None]
        if overdue:
            found.append(Moment(min(overdue), MomentOrder.REPLY_OVERDUE))
        waiting = {a.alternate_for for a in self.addressees if a.life is Life.WITHHELD}
        gone = [
            a.at
            for a in self.addressees
            if a.post in waiting and a.life in (Life.DECLINED, Life.NON_DELIVERED)
        ]
        if gone:
            found.append(Moment(min(gone), MomentOrder.ALTERNATE))
        for climb in self.climbs or ():
            found.append(Moment(climb.due, MomentOrder.RUNG, climb.party))
        if self.reminders:
            found.append(Moment(self.reminders[0], MomentOrder.REMINDER))
        return tuple(sorted(found))

    @property
    def _may_be_delivered(self) -> bool:
        return any(a.life in (Life.QUEUED, Life.WITHHELD) for a in self.addressees)

    @property
    def _may_expire(self) -> bool:
        """Whether somebody is asked, or may be: else its expiry is no news to anybody."""
        return (
            self._may_be_delivered
            or any(
                a.life is Life.DELIVERED and a.role is not AddresseeRole.INFO
                for a in self.addressees
            )
            or any(c.waits_for == "acknowledgement" for c in self.climbs or ())
        )


class MomentOrder(IntEnum):
    """What a moment is, in the order in which moments of one time are decided."""

    BEGUN = 0
    EXPIRED = 1
    NON_DELIVERED = 2
    CONCLUDED = 3
    REPLY_OVERDUE = 4
    ALTERNATE = 5
    RUNG = 6
    REMINDER = 7


class Moment(NamedTuple):
    """Something that is due of a note at ``due``, in microseconds."""

    due: int
    what: MomentOrder
    party: str = ""
    """Whose ladder it is, of a rung."""


class LineTest(Cell):
    """Alternating line tests of a channel: whose is next, and until when it must have come."""

    name: ClassVar[str] = "line-test"
    ids: ClassVar[tuple[str, ...]] = ("channel",)
    channel: str
    kind: str
    every_us: int
    grace_us: int
    slot: int
    """The number of the slot that is waited for: it begins at ``slot * every_us``."""
    turn: str
    """The party whose turn the slot has."""
    items: tuple[Item, ...]
    stopped: Literal[True] | None = None
    """The channel's charter asks for no tests any more."""

    @property
    def due(self) -> int | None:
        return None if self.stopped else self.slot * self.every_us + self.grace_us


class PostHold(Cell):
    """Notes below a precedence wait for a post until a time."""

    name: ClassVar[str] = "post-hold"
    ids: ClassVar[tuple[str, ...]] = ("channel", "post")
    channel: str
    post: str
    below: Precedence | None = None
    until: int | None = None
    since: int | None = None
    """Since when the post is on hold without a break: no note waits longer than from then."""
    waiting: tuple[str, ...]
    """Digests of the notes that wait, in their order."""

    @property
    def due(self) -> int | None:
        return self.until


class Acknowledged(Frozen):
    note: str
    at: int
    answer: str | None = None
    """The note that answered it, where it was not acknowledged."""


class Acknowledgements(Cell):
    """What a device acknowledged (notes with a ladder) or answered in a channel, a page, in its order."""

    name: ClassVar[str] = "acknowledgements"
    ids: ClassVar[tuple[str, ...]] = ("channel", "device", "page")
    channel: str
    device: str
    page: str
    """0 is the newest, which is written to; full ones are numbered from 1."""
    entries: tuple[Acknowledged, ...]
    full: int
    """How many full pages there are; 0 on these themselves."""


class Acknowledger(Cell):
    """A device's key: in which channels it acknowledged or answered something, ascending."""

    name: ClassVar[str] = "acknowledger"
    ids: ClassVar[tuple[str, ...]] = ("device",)
    device: str
    channels: tuple[str, ...]
    contested: int
    """How often it was said since when it is compromised."""


class Contesting(Cell):
    """When the last contest of a party begins: the next one does so a moment later."""

    name: ClassVar[str] = "contesting"
    ids: ClassVar[tuple[str, ...]] = ("party",)
    party: str
    last: int


class Contest(Cell):
    """A device's key is compromised: what it acknowledged in a channel is looked through."""

    name: ClassVar[str] = "contest"
    ids: ClassVar[tuple[str, ...]] = ("channel", "device")
    channel: str
    device: str
    party: str
    member: str
    since: int
    page: int
    """Which page is looked through next."""
    moment: int | None = None
    """None once all were."""

    @property
    def due(self) -> int | None:
        return self.moment


CELLS: Final[dict[str, type[Cell]]] = {
    cell.name: cell
    for cell in (
        Acknowledgements,
        Acknowledger,
        Admitted,
        AliasClaim,
        Amendment,
        Channel,
        Contest,
        Contesting,
        Counter,
        Decisions,
        DeviceKeys,
        Directories,
        EncryptionKey,
        Granted,
        KeyClaim,
        LineTest,
        Log,
        Member,
        Note,
        NoteClaim,
        Party,
        PartyChannels,
        Post,
        PostHold,
        References,
        Register,
        Rosters,
        Serials,
        Taken,
    )
}

TIMED: Final = frozenset({Contest.name, LineTest.name, Note.name, PostHold.name})
"""Cells that time alone may change; each names its ``channel``."""


def spell_key(key: CellKey) -> str:
    """Return a key as one line; no id holds a space."""
    return " ".join(key)


def spell_cell(cell: Cell) -> bytes:
    """Return a cell's row: canonical JSON."""
    return cell.spelled()


def read_cell(key: CellKey, row: bytes) -> Cell:
    """Return the cell that ``row`` spells."""
    return CELLS[key[0]].model_validate_json(row)


class Undeclared(Exception):
    """A rule read a cell that its ``needs`` didn't declare: a defect of the rule."""


class Overlay:
    """A view over loaded cells and the changes of a batch, which are merged or dropped whole."""

    def __init__(self, base: Mapping[CellKey, Cell | None]) -> None:
        self._base = base
        self.changes: dict[CellKey, Cell] = {}

    def get(self, cell: type[C], *ids: str) -> C | None:
        key = (cell.name, *ids)
        found = self.changes.get(key)
        if found is None:
            try:
                found = self._base[key]
            except KeyError as exc:
                raise Undeclared(f"read of {spell_key(key)}") from exc
        assert found is None or isinstance(found, cell)
        return found

    def put(self, cells: Iterable[Cell]) -> None:
        for cell in cells:
            self.changes[cell.key] = cell


class World(dict[CellKey, Cell | None]):
    """All cells of a log in memory, as replay has them: what isn't there is absent, not unknown."""

    def __missing__(self, key: CellKey) -> None:
        return None
