"""Cells: the state, as frozen values under typed keys. design.md 7.

Cells are a cache of the fold over records, never a second truth. A cell's key is its kind and the
ids that name it; its row is its canonical JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, Protocol, TypeVar

from liaison.ledger.facts import RegistrarFacts
from liaison.rules.lives import Life
from liaison.statements.fields import Frozen
from liaison.statements.payloads import (
    AddresseeRole,
    MemberRole,
    NoteKind,
    Predecessor,
    RuleUse,
    State,
    Terms,
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

    @property
    def is_open(self) -> bool:
        return self.opened_at > 0


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


class AddresseeState(Frozen):
    post: str
    role: AddresseeRole
    life: Life
    by: str = ""
    at: int = 0


class Note(Cell):
    """A note's life: each addressee in exactly one state (design.md, law 8)."""

    name: ClassVar[str] = "note"
    ids: ClassVar[tuple[str, ...]] = ("channel", "note")
    channel: str
    note: str
    index: int
    at: int
    reference: int
    sender: str
    kind: str
    precedence: Precedence
    info_precedence: Precedence
    addressees: tuple[AddresseeState, ...]


CELLS: Final[dict[str, type[Cell]]] = {
    cell.name: cell
    for cell in (
        Admitted,
        AliasClaim,
        Channel,
        Counter,
        DeviceKeys,
        Directories,
        EncryptionKey,
        KeyClaim,
        Log,
        Member,
        Note,
        Party,
        PartyChannels,
        Post,
        References,
        Rosters,
        Serials,
        Taken,
    )
}


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
