"""The writer: one connection, one transaction a batch. ports.Writer; design.md 5 ("Commit order").

What an exception of ``commit`` means is the sequencer's to find out: it reads the head again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import URL, Connection, Dialect, Row, Table, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from liaison.adapters.sql.checkpoints import Checkpoints
from liaison.adapters.sql.engines import writing_engine
from liaison.adapters.sql.schema import CELLS, CONTENTS, ENTRIES, HEAD, INBOX, TILES, WRAPS
from liaison.node.ports import Batch, EntryRow, Head, HeadMoved, StoreFull
from liaison.rules.cells import Cell, spell_cell, spell_key

_INSERT: Final[dict[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_HEAD: Final = select(HEAD.c.size, HEAD.c.root, HEAD.c.at)
_LOCKED_HEAD: Final = _HEAD.with_for_update()  # SQLite has the lock from BEGIN IMMEDIATE
_LOCK_TABLE: Final = text("LOCK TABLE head IN SHARE ROW EXCLUSIVE MODE")
"""PostgreSQL's, where there is no head yet to lock: of two first batches one waits for the other."""


_DISK_FULL: Final = "53100"
"""PostgreSQL's SQLSTATE disk_full. SQLite's disk is watched, and doesn't get so far (node.storage)."""


class SqlWriter:
    """ports.Writer on a migrated database. Made in any thread, then called from one.

    ``alone``: until it's closed no other writer that is to be alone can be made. What could go
    wrong without is only that one of two finds that the head moved.

    Raises:
        NotReady: PostgreSQL can't be reached, or isn't fit to keep a log.
        GuardRefused: another one is alone there.
    """

    def __init__(self, url: str | URL, *, alone: bool = False) -> None:
        self._engine = writing_engine(url, alone=alone)
        self._connection = self._engine.connect()
        self._checkpoints = _checkpoints(self._engine.url)
        dialect = self._engine.dialect
        self._head = _Rows(dialect, HEAD, replaces=True)
        self._entries = _Rows(dialect, ENTRIES)
        self._tiles = _Rows(dialect, TILES, replaces=True)
        self._cells = _Rows(dialect, CELLS, replaces=True)
        self._inbox = _Rows(dialect, INBOX)
        self._contents = _Rows(dialect, CONTENTS)
        self._wraps = _Rows(dialect, WRAPS)

    def head(self) -> Head | None:
        # Locked: a commit whose connection was lost may be under way yet in the server, and what
        # the head is then is known only when it has ended.
        with self._transaction() as connection:
            return _head_of(connection.execute(_LOCKED_HEAD).one_or_none())

    def commit(self, batch: Batch) -> None:
        try:
            self._commit(batch)
        except DBAPIError as exc:
            if getattr(exc.orig, "sqlstate", None) == _DISK_FULL:
                raise StoreFull(str(exc.orig)) from exc
            raise

    def _commit(self, batch: Batch) -> None:
        with self._transaction() as connection:
            found = _head_of(connection.execute(_LOCKED_HEAD).one_or_none())
            if found is None and connection.dialect.name == "postgresql":
                connection.execute(_LOCK_TABLE)
                found = _head_of(connection.execute(_LOCKED_HEAD).one_or_none())
            if found != batch.previous:
                raise HeadMoved(f"the head is {found}, the batch continues {batch.previous}")
            # All of it commits together: an entry without its inbox row would be a note that was
            # receipted and never shown (design.md, law 2).
            self._entries.write(connection, [_entry_values(entry) for entry in batch.entries])
            self._tiles.write(
                connection, [(level, n, hashes) for (level, n), hashes in batch.tiles.items()]
            )
            self._cells.write(connection, [_cell_values(cell) for cell in batch.cells])
            self._inbox.write(
                connection,
                [(i.member, i.pos, i.note_index, i.kind, i.precedence) for i in batch.inbox],
            )
            self._contents.write(connection, [(c.index, c.ciphertext) for c in batch.contents])
            self._wraps.write(connection, [(w.index, w.key, w.device, w.wrap) for w in batch.wraps])
            head = batch.head
            self._head.write(connection, [(1, head.size, head.root, head.at)])
        if self._checkpoints is not None:
            self._checkpoints.committed(self._connection.connection.driver_connection)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._connection.begin():
                yield self._connection
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        # SQLAlchemy takes a transaction whose COMMIT failed for ended and sends no ROLLBACK; to
        # SQLite it is still open, and would refuse the next BEGIN.
        if self._connection.invalidated:
            return
        try:
            self._connection.connection.rollback()
        except self._engine.dialect.loaded_dbapi.Error:
            self._connection.invalidate()

    def close(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints.close()
        self._connection.close()
        self._engine.dispose()


def _checkpoints(url: URL) -> Checkpoints | None:
    """Return what moves SQLite's log into its file, where there is a file."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Checkpoints(url.database or "") if is_file else None


def _head_of(row: Row[int, bytes, int] | None) -> Head | None:
    return None if row is None else Head(*row)


def _entry_values(row: EntryRow) -> tuple[Any, ...]:
    """Return an entry's values in the order of the table's columns."""
    kind, at, channel, note, actor, urgency, statement, facts = row.fields
    place = json.loads(channel)
    return (
        row.index,
        row.entry,
        row.leaf_key,
        kind.decode("ascii"),
        int(at),
        channel,
        note.decode("ascii"),
        actor.decode("ascii"),
        urgency,
        statement,
        facts,
        row.digest or None,
        place["id"],
        place["n"],
    )


def _cell_values(cell: Cell) -> tuple[str, bytes, str | None, int | None]:
    # A cell that holds a due moment is of a channel, which its key names first (rules.cells.TIMED).
    channel = None if cell.due is None else cell.key[1]
    return spell_key(cell.key), spell_cell(cell), channel, cell.due


class _Rows:
    """Writes rows of one table with one prepared statement, whose text SQLAlchemy compiled once.

    Rows go to the driver as they are. Measured with batches of 256 notes: 20 to 50 % faster than
    one INSERT of many rows, and than SQLAlchemy's own executemany, which handles each value.
    """

    def __init__(self, dialect: Dialect, table: Table, *, replaces: bool = False) -> None:
        columns = list(table.columns)
        statement = _INSERT[dialect.name](table)
        if replaces:
            keys = list(table.primary_key.columns)
            statement = statement.on_conflict_do_update(
                index_elements=keys,
                set_={c.name: statement.excluded[c.name] for c in columns if c not in set(keys)},
            )
        compiled = statement.compile(dialect=dialect)
        assert compiled.positiontup == [column.name for column in columns]
        self._text = str(compiled)

    def write(self, connection: Connection, rows: list[tuple[Any, ...]]) -> None:
        """Write rows of values in the order of the table's columns."""
        if rows:
            connection.exec_driver_sql(self._text, rows)
