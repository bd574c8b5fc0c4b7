"""Migrations: the schema a database has, and bringing it to the one this version needs."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, func, make_url, select

from liaison.adapters.sql.engines import checking_engine, writing_engine
from liaison.adapters.sql.sessions import ALONE
from liaison.adapters.sql.urls import backend_of, shown
from liaison.words.errors import NotReady

_SCRIPTS: Final = Path(__file__).parent / "migrations"


class Schema(enum.Enum):
    """What ``check`` found."""

    ABSENT = "absent"
    OLDER = "older"
    CURRENT = "current"
    UNKNOWN = "unknown"
    """Of a revision that this version doesn't have: a newer version wrote it."""


def check(url: str | URL) -> Schema:
    """Return how the database's schema stands to this version's; nothing is written."""
    file = _file_of(url)
    if file is not None and not file.exists():
        return Schema.ABSENT  # connecting would create it
    engine = checking_engine(url)
    try:
        with engine.connect() as connection:
            return _check(connection)
    finally:
        engine.dispose()


def migrate(url: str | URL) -> None:
    """Bring the database to this version's schema, in one transaction; create it if need be.

    Raises:
        NotReady: a newer version of liaison wrote this database, or one is at work in it.
    """
    file = _file_of(url)
    if file is not None:
        # Records are in it: not for other users to read. SQLite gives -wal and -shm its mode.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = writing_engine(url)
    try:
        with engine.begin() as connection:
            found = _check(connection)
            if found is Schema.UNKNOWN:
                raise NotReady(
                    "The store's schema is of a newer version of liaison",
                    safe="nothing was changed",
                    do="run the version that wrote it, or a later one",
                )
            if found is not Schema.CURRENT:
                _exclude_others(connection)
                if _check(connection) is not Schema.CURRENT:  # another was quicker
                    command.upgrade(_config(connection), "head")
    finally:
        engine.dispose()


def pending(url: str | URL) -> list[str]:
    """Return what ``migrate`` would do, a line for each step; nothing is written."""
    engine = checking_engine(url)
    try:
        with engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
            scripts = ScriptDirectory.from_config(_config(connection))
            steps = scripts.iterate_revisions("head", revision or "base")
            found = [f"{step.revision}: {step.doc.partition(':')[0]}" for step in steps]
    finally:
        engine.dispose()
    return found[::-1]


def _exclude_others(connection: Connection) -> None:
    """Let nobody serve or migrate until the transaction's end; SQLite has its write lock."""
    if connection.dialect.name != "postgresql":
        return
    if not connection.execute(select(func.pg_try_advisory_xact_lock(ALONE))).scalar_one():
        raise NotReady(
            f"Another process is at work in the database {shown(connection.engine.url)}",
            safe="nothing was changed",
            do="stop the node that serves it; only then can its schema be brought up",
        )


def _check(connection: Connection) -> Schema:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        return Schema.ABSENT
    scripts = ScriptDirectory.from_config(_config(connection))
    if revision == scripts.get_current_head():
        return Schema.CURRENT
    try:
        scripts.get_revision(revision)
    except CommandError:
        return Schema.UNKNOWN
    return Schema.OLDER


def _config(connection: Connection) -> Config:
    config = Config()
    # Alembic takes % in an option as the start of a reference to another one.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _file_of(url: str | URL) -> Path | None:
    database = make_url(url).database
    if backend_of(url) != "sqlite" or not database or database.startswith(("file:", ":memory:")):
        return None
    return Path(database)
