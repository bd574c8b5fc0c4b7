"""Engines: how a store's URL is opened for writing and for reading.

A URL names the database and no driver: ``sqlite:////var/lib/liaison/store.db`` or
``postgresql://...``; which driver serves which side is settled here. Errors never show
parameters: they are records, and the keys that salt them.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

WRITING_DRIVERS: Final = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
READING_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}

_BUSY_S: Final = 10.0
READERS: Final = 4
_WRITER_PRAGMAS: Final = (
    # Small pages: most writes of a large store go to random places of an index, a page each.
    "PRAGMA page_size = 4096",  # heeded by a database that is still empty
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 8192",  # pages
    "PRAGMA cache_size = -65536",  # KiB, because negative
)
_READER_PRAGMAS: Final = ("PRAGMA query_only = ON",)


def backend_of(url: str | URL) -> str:
    """Return ``sqlite`` or ``postgresql``.

    Raises:
        ValueError: the URL is of another database.
    """
    backend = make_url(url).get_backend_name()
    if backend not in WRITING_DRIVERS:
        raise ValueError(f"no store for {backend}: it's {' or '.join(WRITING_DRIVERS)}")
    return backend


def writing_engine(url: str | URL) -> Engine:
    """Return an engine of one connection, whose transactions hold the write lock throughout."""
    backend = backend_of(url)
    located = make_url(url).set(drivername=WRITING_DRIVERS[backend])
    if backend != "sqlite":
        return create_engine(located, poolclass=NullPool, paramstyle="format", hide_parameters=True)
    engine = create_engine(
        located,
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
    engine = create_engine(make_url(url).set(drivername=WRITING_DRIVERS[backend]))
    if backend == "sqlite":
        event.listen(engine, "connect", _run(_READER_PRAGMAS))
    return engine


def reading_engine(url: str | URL) -> AsyncEngine:
    """Return an engine whose every statement sees what was committed before it."""
    backend = backend_of(url)
    located = make_url(url).set(drivername=READING_DRIVERS[backend])
    engine = create_async_engine(
        located,
        pool_size=READERS,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        pool_reset_on_return=None,  # there is no transaction to end
        connect_args={"timeout": _BUSY_S} if backend == "sqlite" else {},
    )
    if backend == "sqlite":
        event.listen(engine.sync_engine, "connect", _run(_READER_PRAGMAS))
    return engine


def _own_transactions(connection: Any, _record: object) -> None:
    # Else the driver begins transactions of its own, deferred ones, before some statements only.
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    # Deferred, two writers could both read the head and one fail later, at its first write.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _run(pragmas: tuple[str, ...]) -> Any:
    def run(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    return run
