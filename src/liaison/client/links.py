"""Links: what holds of a party and a channel, once its chain was followed; and what says that it doesn't.

The shapes that ``parties`` and ``book`` make, and where it has its statements from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from liaison.client.watching import Entry
from liaison.rules import cells
from liaison.rules.cells import Cell
from liaison.rules.chain import id_of
from liaison.statements import charters, payloads
from liaison.statements.statement import Statement
from liaison.words.encoding import from_base64
from liaison.words.errors import ChainBroken, NotReady

C = TypeVar("C", bound=Cell, covariant=True)


class LinkBroken(ChainBroken):
    """A named link of the chain doesn't hold; ``link`` is what an *unreadable* answer says."""

    def __init__(self, link: str, happened: str, *, do: str = "") -> None:
        super().__init__(
            happened,
            safe="nothing of it is shown or used",
            do=do or "tell the other party by another way; it may be an attack or an old copy",
        )
        self.link = link


@dataclass(frozen=True)
class Link(Generic[C]):
    """A statement whose chain held, with the cell that the rules make of it."""

    entry: Entry
    cell: C

    @property
    def index(self) -> int:
        return self.entry.index


@dataclass(frozen=True)
class DirectoryLink:
    """A directory whose chain held."""

    entry: Entry
    payload: payloads.Directory

    @property
    def digest(self) -> str:
        return self.entry.statement.digest

    def named(self, kind: str) -> tuple[str, ...]:
        """Return the digests of the ``member`` or ``posting`` statements that are current."""
        named = self.payload.members if kind == "member" else self.payload.postings
        return tuple(one.statement for one in named)

    def member(self, member: str) -> str | None:
        """Return the digest of the member statement that is current."""
        return next((m.statement for m in self.payload.members if m.member == member), None)

    def post(self, post: str) -> str | None:
        return next((p.statement for p in self.payload.postings if p.post == post), None)

    def roster(self, channel: str) -> str | None:
        return next((r.statement for r in self.payload.rosters if r.channel == channel), None)

    def charter(self, channel: str) -> str | None:
        return next((c.statement for c in self.payload.charters if c.channel == channel), None)


@dataclass(frozen=True)
class Standing:
    """What is current in a party, verified from its pinned authority down."""

    party: cells.Party
    directory: DirectoryLink | None
    members: dict[str, cells.Member]
    posts: dict[str, cells.Post]
    keys: dict[str, tuple[tuple[cells.EncryptionKey, bytes], ...]]
    """By member: the key and its public bytes."""
    read_at: int
    strange: frozenset[str] = frozenset()
    """Members of whom the node also shows keys of a device that is not among theirs."""


@dataclass(frozen=True)
class Proposed:
    """A charter that is to succeed the present one, and who has acceded to it so far."""

    charter: str
    payload: charters.Charter
    acceded: tuple[str, ...]

    def lacks(self, party: str) -> bool:
        """Return whether it waits for this party's yes."""
        return party in self.payload.parties and party not in self.acceded


@dataclass(frozen=True)
class ChannelView:
    """A channel with its charter's statement and the newest roster of each party."""

    cell: cells.Channel
    charter: charters.Charter
    rosters: dict[str, cells.RosterEdition]
    proposed: tuple[Proposed, ...] = ()

    def posts(self, party: str) -> tuple[str, ...]:
        """Return the posts on a party's roster, first tier first."""
        edition = self.rosters.get(party)
        return tuple(p for tier in edition.tiers for p in tier.posts) if edition else ()


@dataclass(frozen=True)
class OwnPart:
    """What a party has in a channel: the charter that it acceded to, and its newest roster."""

    channel: str
    charter: Statement[payloads.Payload]
    roster: Entry | None


class Source(Protocol):
    """Where receipts come from; each is verified before it is given."""

    async def statement(self, digest: str) -> Entry: ...

    async def party(self, party: str) -> dict[str, list[Entry]]: ...

    async def channel(self, alias: str) -> dict[str, list[Entry]]: ...

    def held(self, shown: dict[str, list[Entry]]) -> None:
        """Hear that all of what was shown of a party or a channel holds."""
        ...


def public_of(member: cells.Member, key: str) -> bytes:
    """Return the public key of a member's device, by key id; the chain said that it is there."""
    return from_base64(next(public for public in member.devices if id_of(public) == key))


def not_listed(what: str, party: str) -> NotReady:
    return NotReady(
        f"The directory of {party} doesn't name {what}",
        safe="nothing was sealed or sent",
        do=f"ask {party} to run `directory sign --post`",
    )
