"""A store as an audit reads it: one snapshot, read only. audit/source.py has the shape.

Every value is given as it lies there, however it was altered; judging it is the audit's business.
An audit does one thing at a time, so reads block.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import URL, Executable, bindparam, or_, select
from sqlalchemy.exc import DBAPIError

from liaison.adapters.sql.engines import snapshot_engine
from liaison.adapters.sql.schema import CELLS, CONTENTS, ENTRIES, HEAD, INBOX, TILES, WRAPS
from liaison.adapters.sql.urls import shown
from liaison.node.ports import Head
from liaison.tlog.tiles import Tile
from liaison.words.encoding import to_base64
from liaison.words.errors import LogUntrusted, NotReady

_FIELDS: Final = ("kind", "at", "channel", "note", "actor", "urgency", "statement", "facts")
_COLUMNS: Final = ("digest", "scope", "n")

_HEAD: Final = select(HEAD.c.size, HEAD.c.root, HEAD.c.at)
_ENTRIES: Final = (
    select(
        ENTRIES.c.index,
        ENTRIES.c.entry,
        ENTRIES.c.leaf_key,
        *(ENTRIES.c[name] for name in (*_FIELDS, *_COLUMNS)),
    )
    .where(ENTRIES.c.index >= bindparam("start"), ENTRIES.c.index < bindparam("end"))
    .order_by(ENTRIES.c.index)
)
_TILE: Final = select(TILES.c.hashes).where(
    TILES.c.level == bindparam("level"), TILES.c.n == bindparam("n")
)
_CELLS: Final = select(CELLS.c.key, CELLS.c.row)
_CELL: Final = select(CELLS.c.row).where(CELLS.c.key == bindparam("key"))
_DUE: Final = select(CELLS.c.key, CELLS.c.channel, CELLS.c.due).where(
    or_(CELLS.c.due.is_not(None), CELLS.c.channel.is_not(None))
)
_INBOX: Final = select(
    INBOX.c.member, INBOX.c.pos, INBOX.c.note_index, INBOX.c.kind, INBOX.c.precedence
)
_CONTENTS: Final = select(CONTENTS.c.index, CONTENTS.c.ciphertext)
_WRAPS: Final = select(WRAPS.c.index, WRAPS.c.key, WRAPS.c.device, WRAPS.c.wrap)


@dataclass(frozen=True)
class StoredEntry:
    """An entry with what it commits to, and the columns that it is found by."""

    index: int
    entry: bytes
    leaf_key: bytes = field(repr=False)
    fields: tuple[bytes, ...] = field(repr=False)
    columns: dict[str, str]


class StoreSource:
    """Reads what a store held at one moment, also while a node writes to it.

    A store keeps no signed checkpoint; whoever has one gives it to the audit.

    Raises:
        NotReady: there is no store, or it has no such tables.
    """

    def __init__(self, url: str | URL) -> None:
        self._engine = snapshot_engine(url)
        try:
            self._connection = self._engine.connect()
            self._connection.execute(_HEAD).all()  # the snapshot is taken by the first read
        except DBAPIError as exc:
            self._engine.dispose()
            raise NotReady(
                f"The store at {shown(url)} can't be read: {exc.orig}",
                safe="An audit never writes to it",
                do="Name the home directory of a node, as a user who may read and enter it",
            ) from exc
        except NotReady:
            self._engine.dispose()
            raise

    async def checkpoint(self) -> None:
        return None

    async def end(self) -> Head | None:
        rows = self._read(_HEAD)
        if not rows:
            return None
        size, root, at = rows[0]
        return Head(
            _integer(size, "head: size"), _bytes(root, "head: root"), _integer(at, "head: at")
        )

    async def leaves(self, start: int, end: int) -> list[bytes]:
        return [entry.entry for entry in await self.opened(start, end)]

    async def opened(self, start: int, end: int) -> list[StoredEntry]:
        return [_entry(row) for row in self._read(_ENTRIES, start=start, end=end)]

    async def tiles(self, tiles: Collection[Tile]) -> dict[Tile, bytes]:
        found: dict[Tile, bytes] = {}
        for tile in tiles:
            rows = self._read(_TILE, level=tile.level, n=tile.n)
            if rows:
                found[tile] = _bytes(rows[0][0], f"tile {tile.level}/{tile.n}: hashes")
        return found

    async def cells(self) -> AsyncIterator[tuple[str, bytes]]:
        """Give all cells' rows."""
        for key, row in self._read(_CELLS):
            yield _text(key, "cell: key"), _bytes(row, "cell: row")

    async def cell(self, key: str) -> bytes | None:
        """Return the row of one cell."""
        rows = self._read(_CELL, key=key)
        return _bytes(rows[0][0], f"cell {key}") if rows else None

    async def kept(self) -> AsyncIterator[tuple[str, bytes]]:
        """Give what is kept to be found: due moments, inbox items; contents, wraps by their digests."""
        for key, channel, due in self._read(_DUE):
            where = f"due {_text(key, 'cell: key')}"
            both = ("none" if value is None else _text(value, where) for value in (channel, due))
            yield where, _bytes(" ".join(both), where)
        for member, pos, note, kind, precedence in self._read(_INBOX):
            said = f"{_text(kind, 'inbox')} {_text(precedence, 'inbox')}"
            yield f"inbox {_text(member, 'inbox')} {pos} {note}", _bytes(said, "inbox")
        for index, ciphertext in self._read(_CONTENTS):
            yield f"content {index}", _digest(_bytes(ciphertext, f"content {index}"))
        for index, key, device, wrap in self._read(_WRAPS):
            where = f"wrap {index} {_text(key, 'wrap')}"
            said = f"{_text(device, where)} {_digest(_bytes(wrap, where)).decode('ascii')}"
            yield where, _bytes(said, where)

    async def close(self) -> None:
        self._connection.close()
        self._engine.dispose()

    def _read(self, statement: Executable, **values: Any) -> Sequence[Any]:
        try:
            return self._connection.execute(statement, values).all()
        except DBAPIError as exc:
            if exc.connection_invalidated:
                raise NotReady(
                    f"The store at {shown(self._engine.url)} went away: {exc.orig}",
                    safe="An audit never writes to it",
                    do="begin the audit again when it's back",
                ) from exc
            # A file that was altered below the rows, not only in them.
            raise LogUntrusted(f"the database can't be read: {exc.orig}") from exc


def _digest(data: bytes) -> bytes:
    return to_base64(hashlib.sha256(data).digest()).encode("ascii")


def _entry(row: Sequence[Any]) -> StoredEntry:
    index, entry, leaf_key, *values = row
    where = f"entry {index}"
    named = dict(zip((*_FIELDS, *_COLUMNS), values, strict=True))
    if named["digest"] is None:
        named["digest"] = ""  # what was due has no statement
    return StoredEntry(
        _integer(index, where),
        _bytes(entry, f"{where}: entry"),
        _bytes(leaf_key, f"{where}: leaf_key"),
        tuple(_bytes(named[name], f"{where}: {name}") for name in _FIELDS),
        {name: _text(named[name], f"{where}: {name}") for name in _COLUMNS},
    )


def _bytes(value: object, where: str) -> bytes:
    if isinstance(value, bytes):
        return value
    return _text(value, where).encode("utf-8", "surrogateescape")


def _text(value: object, where: str) -> str:
    # SQLite holds any type in any column.
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise LogUntrusted(f"{where} is {type(value).__name__}, neither text nor bytes")
    return value


def _integer(value: object, where: str) -> int:
    if not isinstance(value, int):
        raise LogUntrusted(f"{where} is {type(value).__name__}, not an integer")
    return value
