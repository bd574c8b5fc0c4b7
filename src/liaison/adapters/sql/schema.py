"""The tables. design.md 5 and 7.

Entries, tiles and content are written once and no migration touches them: a column that erasure
will empty can be NULL from the start.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    literal_column,
)

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# PostgreSQL would order text as a language does, and otherwise after an upgrade of its libraries.
_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is ordered by its bytes. It never holds NUL: names, ids and digests are ASCII."""

# In SQLite only a column of type INTEGER is the row's place itself, without a second index.
_ENTRY_INDEX: Final = BigInteger().with_variant(Integer(), "sqlite")


def _index(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> Index:
    """Return an index of those rows only for which ``where`` holds."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


HEAD: Final = Table(
    "head",
    METADATA,
    Column("one", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    CheckConstraint("one = 1", name="one"),
)
"""One row, or none before the first record."""

ENTRIES: Final = Table(
    "entries",
    METADATA,
    Column("index", _ENTRY_INDEX, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
    Column("leaf_key", LargeBinary),
    Column("kind", _TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("channel", LargeBinary, nullable=False),
    Column("note", _TEXT),
    Column("actor", _TEXT),
    Column("urgency", LargeBinary),
    Column("statement", LargeBinary),
    Column("facts", LargeBinary),
    Column("digest", _TEXT),
    Column("scope", _TEXT, nullable=False),
    Column("n", BigInteger, nullable=False),
    UniqueConstraint("digest"),
    UniqueConstraint("scope", "n"),
)
"""The record's eight fields as they are committed to, byte for byte; NULL is for the erased.

``digest`` is NULL where the record has no statement. ``scope`` and ``n`` are what ``channel``
spells: by them the entries of one scope are read.
"""

_NOTHING: Final[ColumnElement[str]] = literal_column("''", Text)
IS_DUE_RECORD: Final = and_(
    func.coalesce(ENTRIES.c.digest, _NOTHING) == _NOTHING, ENTRIES.c.note != _NOTHING
)
"""Records about a note that no statement made. A query that is to use their index says it as here.

Not ``digest IS NULL``: SQLite takes that for one row, for digest is unique, and would rather walk
all that have none.
"""

_index("ix_entries_about_note", ENTRIES.c.note, ENTRIES.c.index, where=IS_DUE_RECORD)

TILES: Final = Table(
    "tiles",
    METADATA,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

CELLS: Final = Table(
    "cells",
    METADATA,
    Column("key", _TEXT, primary_key=True),
    Column("row", LargeBinary, nullable=False),
    Column("channel", _TEXT),
    Column("due", BigInteger),
    sqlite_with_rowid=False,
)
"""Keys as rules.cells.spell_key has them, rows as spell_cell.

``due`` is the first moment that a cell is to be looked at again, and ``channel`` the channel of
such a cell; both are NULL for all others.
"""

_index("ix_cells_due", CELLS.c.due, where=CELLS.c.due.is_not(None))
_index("ix_cells_channel_due", CELLS.c.channel, CELLS.c.due, where=CELLS.c.due.is_not(None))

INBOX: Final = Table(
    "inbox",
    METADATA,
    Column("member", _TEXT, primary_key=True),
    Column("pos", BigInteger, primary_key=True, autoincrement=False),
    Column("note_index", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", _TEXT, nullable=False),
    Column("precedence", _TEXT, nullable=False),
    sqlite_with_rowid=False,
)

CONTENTS: Final = Table(
    "contents",
    METADATA,
    Column("index", _ENTRY_INDEX, primary_key=True, autoincrement=False),
    Column("ciphertext", LargeBinary, nullable=False),
)

WRAPS: Final = Table(
    "wraps",
    METADATA,
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("key", _TEXT, primary_key=True),
    Column("device", _TEXT, nullable=False),
    Column("wrap", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Content is kept by the index of the note's entry, so that it is written at the tables' ends."""
