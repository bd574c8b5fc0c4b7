"""Sources: what an audit reads, wherever it comes from. Nothing read here is believed.

A running node is read by ``url``; a source over a store is the adapters' business, for the audit
knows no SQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from liaison.tlog.tiles import TILE_WIDTH, Tile

PAGE: Final = TILE_WIDTH
"""Entries are read in ranges that are aligned to this: one bundle, one page of openings."""


@dataclass(frozen=True)
class Anchors:
    """What the audit believes: the log's name and its three keys, 32 bytes each.

    They are brought by the caller (``node.liaison``, handed over like a fingerprint), never read
    from what is audited.
    """

    origin: str
    log_key: bytes
    node_key: bytes
    administrator_key: bytes


class End(Protocol):
    """Where a store says that its log ends; ``at`` is the time of its last record."""

    @property
    def size(self) -> int: ...

    @property
    def root(self) -> bytes: ...

    @property
    def at(self) -> int: ...


class Opened(Protocol):
    """An entry with what it commits to: the secret of its salts and the eight fields.

    ``columns`` is what a store keeps beside it to find it by (``digest``, ``scope``, ``n``), to
    which the entry doesn't commit; empty where the source is no store.
    """

    @property
    def index(self) -> int: ...

    @property
    def entry(self) -> bytes: ...

    @property
    def leaf_key(self) -> bytes: ...

    @property
    def fields(self) -> Sequence[bytes]: ...

    @property
    def columns(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class OpenedEntry:
    """An ``Opened`` as a value."""

    index: int
    entry: bytes
    leaf_key: bytes = field(repr=False)
    fields: tuple[bytes, ...] = field(repr=False)
    columns: Mapping[str, str] = field(default_factory=dict)


CellRow = tuple[str, bytes]
"""A cell as a store has it: its key as one line (rules.cells.spell_key), its row."""


class Source(Protocol):
    """What an audit reads. All reads are of one state: nothing grows between them, or is cut."""

    async def checkpoint(self) -> str | None:
        """Return the signed checkpoint, None if the source has none."""
        ...

    async def end(self) -> End | None:
        """Return the store's own word on where the log ends, None if the source has no store."""
        ...

    async def leaves(self, start: int, end: int) -> Sequence[bytes]:
        """Return the leaves from ``start`` up to but without ``end``, at most ``PAGE``.

        Raises:
            LiaisonError: Malformed or LogUntrusted, if what came has no reading.
        """
        ...

    async def opened(self, start: int, end: int) -> Sequence[Opened]:
        """Return the entries of that range with all that they commit to; raises as ``leaves``."""
        ...

    async def tiles(self, tiles: Collection[Tile]) -> Mapping[Tile, bytes]:
        """Return these hash tiles, those that exist."""
        ...

    def cells(self) -> AsyncIterator[CellRow] | None:
        """Give all rows of cells, in any order; None if the source has none."""
        ...

    def kept(self) -> AsyncIterator[CellRow] | None:
        """Give what a store keeps for its readers, in any order; None if the source has none.

        ``due CELL-KEY`` with channel and due moment of a cell that holds one; ``inbox MEMBER POS
        NOTE`` with kind and precedence; ``content INDEX`` with the SHA-256 of the ciphertext,
        ``wrap INDEX KEY`` with the device and the SHA-256 of the wrap (padded base64).
        """
        ...

    async def close(self) -> None: ...
