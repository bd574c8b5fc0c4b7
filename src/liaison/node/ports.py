"""Ports: what the node asks of a store, a guard and a clock. design.md 5 ("Commit order") and 7.

Adapters implement these; ``tests/contracts`` has one suite that every adapter passes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from liaison.rules.cells import Cell, CellKey
from liaison.rules.inbox import InboxRow


@dataclass(frozen=True)
class Head:
    """Where the log ends: its size, its root (32 bytes), the time of its last record."""

    size: int
    root: bytes
    at: int


@dataclass(frozen=True)
class EntryRow:
    """An entry with what it commits to.

    ``fields`` are the bytes of the record's eight fields (ledger.record.FIELDS); ``leaf_key`` is
    the secret that salts them; ``digest`` is the statement's, or empty.
    """

    index: int
    entry: bytes
    leaf_key: bytes = field(repr=False)
    fields: tuple[bytes, ...] = field(repr=False)
    digest: str


@dataclass(frozen=True)
class ContentRow:
    """The ciphertext of the note that entry ``index`` is."""

    index: int
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True)
class WrapRow:
    """One wrap of the note at ``index``, by the key statement and the device that it is for."""

    index: int
    key: str
    device: str
    wrap: bytes = field(repr=False)


@dataclass(frozen=True)
class Batch:
    """What must become true together: one transaction.

    ``tiles`` maps (level, n) to the whole present content of each hash tile that changed.
    """

    previous: Head | None
    head: Head
    entries: Sequence[EntryRow]
    tiles: Mapping[tuple[int, int], bytes]
    cells: Sequence[Cell]
    inbox: Sequence[InboxRow] = ()
    contents: Sequence[ContentRow] = ()
    wraps: Sequence[WrapRow] = ()


class HeadMoved(Exception):
    """The store's head isn't the one the batch continues: nothing of the batch was written."""


class StoreFull(Exception):
    """The store says that its own disk is full: the batch could not be written."""


class Writer(Protocol):
    """The one place that writes. Called from one thread only."""

    def head(self) -> Head | None:
        """Return the head, None before the first record."""
        ...

    def commit(self, batch: Batch) -> None:
        """Write the batch in one durable transaction, or raise and have written nothing known.

        Raises:
            HeadMoved: the head isn't ``batch.previous``.
            StoreFull: there is no room where the store is.
        """
        ...

    def close(self) -> None: ...


class Reader(Protocol):
    """Reads of committed rows."""

    async def head(self) -> Head | None: ...

    async def cells(self, keys: Collection[CellKey]) -> dict[CellKey, Cell | None]:
        """Return each key's cell, None where there is none."""
        ...

    async def entries(self, start: int, end: int) -> list[EntryRow]:
        """Return the entries ``start`` up to but without ``end``, in order."""
        ...

    async def leaves(self, start: int, end: int) -> list[bytes]:
        """Return the leaves alone, in order."""
        ...

    async def entry_of(self, digest: str) -> EntryRow | None:
        """Return the entry whose statement has this digest."""
        ...

    async def of_scope(self, scope: str, *, after: int, limit: int) -> list[EntryRow]:
        """Return a scope's entries behind its ``after``-th, in their order."""
        ...

    async def about_note(self, digest: str, *, limit: int) -> list[EntryRow]:
        """Return the due records about a note (those without a statement), by index."""
        ...

    async def due(self, *, until: int, limit: int) -> list[tuple[int, CellKey]]:
        """Return the cells whose due moment isn't after ``until``, as (due, key), ascending."""
        ...

    async def open_items(self, channel: str, *, limit: int) -> list[Cell]:
        """Return a channel's cells that hold a due moment, the earliest first."""
        ...

    async def tiles(self, tiles: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Return the present content of these hash tiles, those that exist."""
        ...

    async def inbox(self, member: str, *, after: tuple[int, int], limit: int) -> list[InboxRow]:
        """Return a member's items behind the position (pos, note index), in that order."""
        ...

    async def lane(
        self, member: str, precedence: str, *, after: tuple[int, int], limit: int
    ) -> list[InboxRow]:
        """As ``inbox``, of one precedence only."""
        ...

    async def last_position(self, member: str) -> tuple[int, int] | None:
        """Return the position of a member's newest item."""
        ...

    async def contents(self, indexes: Collection[int], *, most_bytes: int) -> dict[int, bytes]:
        """Return the ciphertexts of the notes at these indexes, those that aren't larger."""
        ...

    async def wraps(self, indexes: Collection[int], device: str) -> dict[int, dict[str, bytes]]:
        """Return a device's wraps of the notes at these indexes: by index, then by key statement.

        ``device`` is its key id.
        """
        ...

    async def close(self) -> None: ...


class Guard(Protocol):
    """The last head that may have been signed, kept apart from the store. Held by one process."""

    def read(self) -> Head:
        """Return the guarded head (its ``at`` is informative only)."""
        ...

    def advance(self, head: Head) -> None:
        """Replace the guarded head and sync it. A failed sync is never retried: it raises."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """The disk under the store. All in bytes; None where the store isn't on a disk of this machine."""

    def free_bytes(self) -> int: ...

    def store_bytes(self) -> int | None: ...

    def wal_bytes(self) -> int | None: ...


class Reserve(Protocol):
    """Bytes of the store's disk that are laid aside. Any thread may call."""

    size: int

    @property
    def left(self) -> int: ...

    def fill(self) -> bool:
        """Lay all of it aside; False where there is no room for that."""
        ...

    def give_back(self, size: int) -> int:
        """Free about that much of it; return how much is left."""
        ...


class Clock(Protocol):
    """Two clocks in microseconds: the wall clock (since 1970 UTC), and one that nobody sets."""

    def now(self) -> int: ...

    def since_boot(self) -> int: ...
