"""Engines: how a store's URL is opened for writing and for reading.

A URL names the database and no driver (``urls``); which driver serves which side is settled here.
Errors never show parameters: they are records, and the keys that salt them.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    StaticPool,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from liaison.adapters.sql import sessions
from liaison.adapters.sql.urls import backend_of

WRITING_DRIVERS: Final = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
READING_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}

_BUSY_S: Final = 10.0
READERS: Final = 4
_WRITER_PRAGMAS: Final = (
    # Small pages: most writes of a large store go to random places of an index, a page each.
    "PRAGMA page_size = 4096",  # heeded by a database that is still empty
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 65536",  # pages; long before that ``checkpoints`` has done it
    "PRAGMA cache_size = -65536",  # KiB, because negative
)
_READER_PRAGMAS: Final = ("PRAGMA query_only = ON",)
_POSTGRESQL: Final[dict[str, Any]] = {
    "connect_args": sessions.CONNECT,
    "paramstyle": "format",
    "use_native_hstore": False,  # it would be looked for at each start
}


def writing_engine(url: str | URL, *, alone: bool = False) -> Engine:
    """Return an engine of one connection, whose transactions hold the write lock throughout.

    In PostgreSQL they hold it from where they read the head (``writer``). ``alone``: while the
    connection lasts no other one that is to be alone begins; SQLite's file is the guard's to watch.
    """
    backend = backend_of(url)
    if backend == "postgresql":
        engine = create_engine(
            _located(url, WRITING_DRIVERS[backend]),
            poolclass=NullPool,
            isolation_level="READ COMMITTED",
            hide_parameters=True,
            **_POSTGRESQL,
        )
        sessions.hold_writer(engine, busy_s=_BUSY_S, alone=alone)
        return engine
    engine = create_engine(
        _located(url, WRITING_DRIVERS[backend]),
        poolclass=NullPool,
        hide_parameters=True,
        # The writer's thread isn't the one that opened the connection.
        connect_args={"timeout": _BUSY_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", _own_transactions)
    event.listen(engine, "connect", _run(_WRITER_PRAGMAS))
    event.listen(engine, "begin", _begin_immediate)
    return engine


def checking_engine(url: str | URL) -> Engine:
    """Return an engine that looks at a database as it is, and changes nothing in it."""
    backend = backend_of(url)
    located = _located(url, WRITING_DRIVERS[backend])
    if backend == "postgresql":
        engine = create_engine(located, poolclass=NullPool, **_POSTGRESQL)
        sessions.hold_reader(engine)
        return engine
    engine = create_engine(located)
    event.listen(engine, "connect", _run(_READER_PRAGMAS))
    return engine


def reading_engine(url: str | URL) -> AsyncEngine:
    """Return an engine whose every statement sees what was committed before it."""
    backend = backend_of(url)
    is_sqlite = backend == "sqlite"
    engine = create_async_engine(
        _located(url, READING_DRIVERS[backend]),
        pool_size=READERS,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        pool_reset_on_return=None,  # there is no transaction to end
        **({"connect_args": {"timeout": _BUSY_S}} if is_sqlite else _POSTGRESQL),
    )
    if is_sqlite:
        event.listen(engine.sync_engine, "connect", _run(_READER_PRAGMAS))
    else:
        sessions.hold_reader(engine.sync_engine)
    return engine


def snapshot_engine(url: str | URL) -> Engine:
    """Return an engine of one connection whose only transaction sees one moment, read only."""
    backend = backend_of(url)
    if backend == "postgresql":
        engine = create_engine(
            _located(url, WRITING_DRIVERS[backend]),
            poolclass=StaticPool,
            isolation_level="REPEATABLE READ",
            **_POSTGRESQL,
        )
        sessions.hold_reader(engine)
        return engine
    # mode=ro and not immutable=1: what a running node wrote to the WAL is part of the store.
    read_only = URL.create(
        WRITING_DRIVERS[backend],
        database=f"file:{quote(make_url(url).database or '')}",
        query={"mode": "ro", "uri": "true"},
    )
    engine = create_engine(read_only, poolclass=StaticPool, connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _as_it_lies)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _located(url: str | URL, driver: str) -> URL:
    if driver.startswith("postgresql"):
        sessions.check_driver()
    return make_url(url).set(drivername=driver)


def _own_transactions(connection: Any, _record: object) -> None:
    # Else the driver begins transactions of its own, deferred ones, before some statements only.
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    # Deferred, two writers could both read the head and one fail later, at its first write.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _as_it_lies(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only = ON").close()
    # Text that was altered may not be UTF-8, and must still be shown to the audit.
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")


def _run(pragmas: tuple[str, ...]) -> Any:
    def run(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    return run
