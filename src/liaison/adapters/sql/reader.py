"""The reader: plain selects of committed rows. ports.Reader.

Each call is one look or a few; between two calls the log may have grown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import URL, BindParameter, Select, bindparam, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

from liaison.adapters.sql.engines import READERS, reading_engine
from liaison.adapters.sql.schema import (
    CELLS,
    CONTENTS,
    ENTRIES,
    HEAD,
    INBOX,
    IS_DUE_RECORD,
    TILES,
    WRAPS,
)
from liaison.node.ports import EntryRow, Head
from liaison.rules.cells import Cell, CellKey, read_cell, spell_key
from liaison.rules.inbox import InboxRow
from liaison.words.encoding import to_decimal

T = TypeVar("T")

_CHUNK: Final = 500
"""Values in one IN list; SQLite takes 32,766 in a statement, PostgreSQL 65,535."""

_ENTRY: Final = select(
    ENTRIES.c.index,
    ENTRIES.c.entry,
    ENTRIES.c.leaf_key,
    ENTRIES.c.kind,
    ENTRIES.c.at,
    ENTRIES.c.channel,
    ENTRIES.c.note,
    ENTRIES.c.actor,
    ENTRIES.c.urgency,
    ENTRIES.c.statement,
    ENTRIES.c.facts,
    ENTRIES.c.digest,
)
_START: Final[BindParameter[int]] = bindparam("start")
_END: Final[BindParameter[int]] = bindparam("end")
_KEYS: Final[BindParameter[Any]] = bindparam("keys", expanding=True)

_HEAD: Final = select(HEAD.c.size, HEAD.c.root, HEAD.c.at)
_CELLS: Final = select(CELLS.c.key, CELLS.c.row).where(CELLS.c.key.in_(_KEYS))
_ENTRIES: Final = _ENTRY.where(ENTRIES.c.index >= _START, ENTRIES.c.index < _END).order_by(
    ENTRIES.c.index
)
_LEAVES: Final = (
    select(ENTRIES.c.entry)
    .where(ENTRIES.c.index >= _START, ENTRIES.c.index < _END)
    .order_by(ENTRIES.c.index)
)
_ENTRY_OF: Final = _ENTRY.where(ENTRIES.c.digest == bindparam("digest"))
_OF_SCOPE: Final = (
    _ENTRY.where(ENTRIES.c.scope == bindparam("scope"), ENTRIES.c.n > bindparam("after"))
    .order_by(ENTRIES.c.n)
    .limit(bindparam("limit"))
)
_ABOUT_NOTE: Final = (
    _ENTRY.where(ENTRIES.c.note == bindparam("note"), IS_DUE_RECORD)
    .order_by(ENTRIES.c.index)
    .limit(bindparam("limit"))
)
_DUE: Final = (
    select(CELLS.c.due, CELLS.c.key)
    .where(CELLS.c.due <= bindparam("until"))
    .order_by(CELLS.c.due, CELLS.c.key)
    .limit(bindparam("limit"))
)
_AT_ONCE: Final = 256
"""So many rows are parsed before others get their turn."""

_OPEN_ITEMS: Final = (
    select(CELLS.c.key, CELLS.c.row)
    .where(CELLS.c.channel == bindparam("channel"), CELLS.c.due.is_not(None))
    .order_by(CELLS.c.due, CELLS.c.key)
    .limit(bindparam("limit"))
)
_TILES: Final = select(TILES.c.level, TILES.c.n, TILES.c.hashes).where(
    tuple_(TILES.c.level, TILES.c.n).in_(_KEYS)
)
_INBOX: Final = (
    select(INBOX.c.member, INBOX.c.pos, INBOX.c.note_index, INBOX.c.kind, INBOX.c.precedence)
    .where(
        INBOX.c.member == bindparam("member"),
        tuple_(INBOX.c.pos, INBOX.c.note_index)
        > tuple_(bindparam("after_pos"), bindparam("after_note_index")),
    )
    .order_by(INBOX.c.pos, INBOX.c.note_index)
    .limit(bindparam("limit"))
)
_LANE: Final = _INBOX.where(INBOX.c.precedence == bindparam("precedence"))
"""Its index is the inbox's own: a stream asks ever further on, so all its asking is one walk a level."""
_LAST_POSITION: Final = (
    select(INBOX.c.pos, INBOX.c.note_index)
    .where(INBOX.c.member == bindparam("member"))
    .order_by(INBOX.c.pos.desc(), INBOX.c.note_index.desc())
    .limit(1)
)
_CONTENTS: Final = select(CONTENTS.c.index, CONTENTS.c.ciphertext).where(
    CONTENTS.c.index.in_(_KEYS), func.length(CONTENTS.c.ciphertext) <= bindparam("most_bytes")
)
_WRAPS: Final = select(WRAPS.c.index, WRAPS.c.key, WRAPS.c.wrap).where(
    WRAPS.c.index.in_(_KEYS), WRAPS.c.device == bindparam("device")
)


class SqlReader:
    """ports.Reader on a migrated database."""

    def __init__(self, url: str | URL) -> None:
        self._engine = reading_engine(url)
        self._fetch = _FETCH[self._engine.dialect.name]
        self._open: list[AsyncConnection] = []
        self._free: asyncio.LifoQueue[AsyncConnection | None] = asyncio.LifoQueue()
        """Connections nobody reads from; None: one may be opened."""
        for _ in range(READERS):
            self._free.put_nowait(None)
        self._compiled: dict[Select[Any], SQLCompiler] = {}

    async def head(self) -> Head | None:
        rows = await self._read(_HEAD)
        return Head(*rows[0]) if rows else None

    async def cells(self, keys: Collection[CellKey]) -> dict[CellKey, Cell | None]:
        spelled = {spell_key(key): key for key in keys}
        found: dict[CellKey, Cell | None] = dict.fromkeys(keys)
        for chunk in _chunks(list(spelled)):
            for text, row in await self._read(_CELLS, keys=chunk):
                key = spelled[text]
                found[key] = read_cell(key, row)
        return found

    async def entries(self, start: int, end: int) -> list[EntryRow]:
        return [_entry(row) for row in await self._read(_ENTRIES, start=start, end=end)]

    async def leaves(self, start: int, end: int) -> list[bytes]:
        return [entry for (entry,) in await self._read(_LEAVES, start=start, end=end)]

    async def entry_of(self, digest: str) -> EntryRow | None:
        rows = await self._read(_ENTRY_OF, digest=digest)
        return _entry(rows[0]) if rows else None

    async def of_scope(self, scope: str, *, after: int, limit: int) -> list[EntryRow]:
        rows = await self._read(_OF_SCOPE, scope=scope, after=after, limit=limit)
        return [_entry(row) for row in rows]

    async def about_note(self, digest: str, *, limit: int) -> list[EntryRow]:
        return [_entry(row) for row in await self._read(_ABOUT_NOTE, note=digest, limit=limit)]

    async def due(self, *, until: int, limit: int) -> list[tuple[int, CellKey]]:
        rows = await self._read(_DUE, until=until, limit=limit)
        return [(due, _parse_key(text)) for due, text in rows]

    async def open_items(self, channel: str, *, limit: int) -> list[Cell]:
        rows = await self._read(_OPEN_ITEMS, channel=channel, limit=limit)
        found = []
        for place, (text, row) in enumerate(rows, start=1):
            found.append(read_cell(_parse_key(text), row))
            if place % _AT_ONCE == 0:
                await asyncio.sleep(0)  # others get their turn
        return found

    async def tiles(self, tiles: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        found: dict[tuple[int, int], bytes] = {}
        for chunk in _chunks(list(tiles)):
            for level, n, hashes in await self._read(_TILES, keys=chunk):
                found[level, n] = hashes
        return found

    async def inbox(self, member: str, *, after: tuple[int, int], limit: int) -> list[InboxRow]:
        pos, note_index = after
        rows = await self._read(
            _INBOX, member=member, after_pos=pos, after_note_index=note_index, limit=limit
        )
        return [InboxRow(*row) for row in rows]

    async def lane(
        self, member: str, precedence: str, *, after: tuple[int, int], limit: int
    ) -> list[InboxRow]:
        pos, note_index = after
        rows = await self._read(
            _LANE,
            member=member,
            precedence=precedence,
            after_pos=pos,
            after_note_index=note_index,
            limit=limit,
        )
        return [InboxRow(*row) for row in rows]

    async def last_position(self, member: str) -> tuple[int, int] | None:
        rows = await self._read(_LAST_POSITION, member=member)
        return (rows[0][0], rows[0][1]) if rows else None

    async def contents(self, indexes: Collection[int], *, most_bytes: int) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for chunk in _chunks(list(indexes)):
            for index, ciphertext in await self._read(_CONTENTS, keys=chunk, most_bytes=most_bytes):
                found[index] = ciphertext
        return found

    async def wraps(self, indexes: Collection[int], device: str) -> dict[int, dict[str, bytes]]:
        found: dict[int, dict[str, bytes]] = {}
        for chunk in _chunks(list(indexes)):
            for index, key, wrap in await self._read(_WRAPS, keys=chunk, device=device):
                found.setdefault(index, {})[key] = wrap
        return found

    async def close(self) -> None:
        for connection in self._open:
            await connection.close()
        await self._engine.dispose()

    async def _read(self, statement: Select[Any], **values: Any) -> Sequence[Any]:
        """Run a compiled select on a free connection, in one call to its driver.

        Through SQLAlchemy's asynchronous engine the same look takes seven times the processor
        time, most of it in switches between greenlets and threads (docs/decisions/0008).
        """
        compiled = self._compiled.get(statement)
        if compiled is None:
            fresh = statement.compile(dialect=self._engine.dialect)
            assert isinstance(fresh, SQLCompiler)
            compiled = self._compiled[statement] = fresh
        filled = compiled.construct_expanded_state(values)
        connection = await self._free.get()
        try:
            while True:
                was_open = connection is not None
                connection = connection or await self._connect()
                driver = (await connection.get_raw_connection()).driver_connection
                try:
                    return await self._fetch(driver, filled.statement, filled.positional_parameters)
                except Exception:
                    if not _is_lost(driver):
                        raise
                    lost, connection = connection, None
                    await self._discard(lost)
                    if not was_open:
                        raise
                    # It was lost since the last read: the server went and came back.
        finally:
            self._free.put_nowait(connection)

    async def _connect(self) -> AsyncConnection:
        connection = await self._engine.connect().start()
        self._open.append(connection)
        return connection

    async def _discard(self, connection: AsyncConnection) -> None:
        self._open.remove(connection)
        await connection.invalidate()
        await connection.close()


async def _fetch_sqlite(driver: Any, statement: str, values: Any) -> Sequence[Any]:
    rows: Sequence[Any] = await driver.execute_fetchall(statement, values)
    return rows


async def _fetch_postgresql(driver: Any, statement: str, values: Any) -> Sequence[Any]:
    cursor = await driver.execute(statement, values, binary=True)
    rows: Sequence[Any] = await cursor.fetchall()
    return rows


_FETCH: Final[dict[str, Callable[[Any, str, Any], Awaitable[Sequence[Any]]]]] = {
    "sqlite": _fetch_sqlite,
    "postgresql": _fetch_postgresql,
}


def _is_lost(driver: Any) -> bool:
    """Say whether the server has let a connection go; a file lets none go."""
    return bool(getattr(driver, "closed", False))


def _parse_key(text: str) -> CellKey:
    """Return the key that ``rules.cells.spell_key`` spelled."""
    return tuple(text.split(" "))


def _entry(row: Sequence[Any]) -> EntryRow:
    index, entry, leaf_key, kind, at, channel, note, actor, urgency, statement, facts, digest = row
    return EntryRow(
        index,
        entry,
        leaf_key,
        (
            kind.encode("ascii"),
            to_decimal(at).encode("ascii"),
            channel,
            note.encode("ascii"),
            actor.encode("ascii"),
            urgency,
            statement,
            facts,
        ),
        digest or "",
    )


def _chunks(keys: list[T]) -> Iterator[list[T]]:
    for at in range(0, len(keys), _CHUNK):
        yield keys[at : at + _CHUNK]
