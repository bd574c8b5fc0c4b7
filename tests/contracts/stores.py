"""The stores that must keep the contract: one way each to make a new one and to look inside."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from liaison.adapters.sql.migrate import migrate
from liaison.adapters.sql.reader import SqlReader
from liaison.adapters.sql.writer import SqlWriter

TABLES = ("entries", "tiles", "cells", "inbox", "contents", "wraps")


@dataclass
class StoreUnderTest:
    url: str
    writer: SqlWriter
    dump: Callable[[], dict[str, list]]
    """Every row of every table, past the code under test."""

    def reader(self) -> SqlReader:
        return SqlReader(self.url)


def new_sqlite(folder: Path) -> Iterator[StoreUnderTest]:
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


STORES = {"sqlite": new_sqlite}
