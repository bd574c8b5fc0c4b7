"""The stores that must keep the contract: one way each to make a new one and to look inside."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from liaison.adapters.sql.migrate import migrate
from liaison.adapters.sql.reader import SqlReader
from liaison.adapters.sql.writer import SqlWriter
from tests.contracts.batches import GrowingLog
from tests.postgresql import Server, name_of

TABLES = ("entries", "tiles", "cells", "inbox", "contents", "wraps")


@dataclass
class StoreUnderTest:
    url: str
    writer: SqlWriter
    dump: Callable[[], dict[str, list]]
    """Every row of every table, past the code under test."""

    def reader(self) -> SqlReader:
        return SqlReader(self.url)


def new_sqlite(_: pytest.FixtureRequest, folder: Path) -> Iterator[StoreUnderTest]:
    url = f"sqlite:///{folder / 'store.db'}"
    migrate(url)
    writer = SqlWriter(url)
    yield StoreUnderTest(url, writer, lambda: dump_sqlite(folder / "store.db"))
    writer.close()


def dump_sqlite(path: Path) -> dict[str, list]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("head", *TABLES)
        }


def new_postgresql(request: pytest.FixtureRequest, _: Path) -> Iterator[StoreUnderTest]:
    server: Server = request.getfixturevalue("postgresql")
    url = server.store()
    writer = SqlWriter(url)
    yield StoreUnderTest(url, writer, lambda: dump_postgresql(server, url))
    writer.close()
    server.done(url)


def dump_postgresql(server: Server, url: str) -> dict[str, list]:
    with closing(server.admin(name_of(url))) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("head", *TABLES)
        }


def size_of(rows: dict[str, list], *, padding: int) -> int:
    """Return the size of a ``GrowingLog`` of one batch's cells, after checking that it is whole."""
    size = rows["head"][0][1] if rows["head"] else 0
    expected = GrowingLog(padding=padding)
    if size:
        expected.grow(size)
    assert {table: len(rows[table]) for table in ("entries", "inbox", "contents", "wraps")} == {
        "entries": size,
        "inbox": size,
        "contents": size,
        "wraps": 2 * size,
    }
    if size:
        batch = expected.batches[0]
        assert rows["tiles"][-1][2] == b"tile of %d" % size
        (counter,) = (row for key, row, *_ in rows["cells"] if key == "counter scope-1")
        assert f'"n":{size},'.encode() in counter
        assert [row[1] for row in rows["contents"]] == [
            c.ciphertext for c in sorted(batch.contents, key=lambda c: c.index)
        ]
    return size


STORES = {"sqlite": new_sqlite, "postgresql": new_postgresql}
