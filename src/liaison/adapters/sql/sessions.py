"""Sessions of PostgreSQL: what each is held to, and what its errors say. docs/decisions/0013.

SQLite's pragmas are in ``engines``. Nothing here imports the driver, which is an extra.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

from sqlalchemy import URL, Engine, event
from sqlalchemy.engine import ExceptionContext

from liaison.adapters.sql.urls import shown
from liaison.words.errors import GuardRefused, NotReady

OLDEST_VERSION: Final = 14
ALONE: Final = int.from_bytes(b"liaison\0", "big")
"""The advisory lock, one a database, of the process that serves or of a migration."""

CONNECT: Final = {
    "application_name": "liaison",
    "client_encoding": "utf8",
    "connect_timeout": 10,
    # A server whose machine is gone is noticed in half a minute, not in two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

# Of the server's side the same: what a node's machine held when it went is free soon.
_KEPT_ALIVE: Final = (
    "set_config('tcp_keepalives_idle', '10', false), "
    "set_config('tcp_keepalives_interval', '5', false), "
    "set_config('tcp_keepalives_count', '3', false)"
)
# A role, a database or the server may have said otherwise; a commit that returned is on disk.
_WRITES: Final = (
    f"SELECT {_KEPT_ALIVE}, set_config('idle_session_timeout', '0', false), "
    "set_config('lock_timeout', '{busy_ms}', false), "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
    "WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"
)
_READS: Final = (
    f"SELECT {_KEPT_ALIVE}, set_config('idle_session_timeout', '0', false), "
    "set_config('default_transaction_read_only', 'on', false)"
)
_SERVER: Final = (
    "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),"
    " current_setting('fsync'), pg_is_in_recovery()"
)
_LOCK_NOT_AVAILABLE: Final = "55P03"
_INSUFFICIENT_PRIVILEGE: Final = "42501"


def check_driver() -> None:
    """Return if there is a driver for PostgreSQL.

    Raises:
        NotReady: there is none.
    """
    if find_spec("psycopg") is None:
        raise NotReady(
            "A store in PostgreSQL needs the package psycopg",
            safe="nothing was changed",
            do="pip install 'liaison[postgresql]'",
        )


def hold_writer(engine: Engine, *, busy_s: float, alone: bool) -> None:
    """Have each new connection fit for commits, or refused; ``alone``: no other one with it."""

    def hold(connection: Any, _record: object) -> None:
        try:
            _check_server(_ask(connection, _SERVER), engine.url)
            _ask(connection, _WRITES.format(busy_ms=max(1, round(busy_s * 1000))))
            connection.commit()
            if alone:
                _lock(connection, engine)
        except BaseException:
            connection.close()
            raise

    event.listen(engine, "connect", hold)
    explain(engine)


def hold_reader(engine: Engine) -> None:
    """Have each new connection unable to write."""

    def hold(connection: Any, _record: object) -> None:
        try:
            _ask(connection, _READS)
            connection.commit()
        except BaseException:
            connection.close()
            raise

    event.listen(engine, "connect", hold)
    explain(engine)


def explain(engine: Engine) -> None:
    """Have errors say where the database is, without a password, and nothing of what was written."""

    def handle(context: ExceptionContext) -> BaseException | None:
        original = context.original_exception
        if context.connection is None:
            reason = str(original).splitlines()[0] if str(original) else type(original).__name__
            return NotReady(
                f"The database {shown(engine.url)} can't be reached: {reason}",
                safe="this attempt changed nothing",
                do="see that it runs and lets this user in; --database names another one, "
                "~/.pgpass or PGPASSWORD gives a password",
            )
        said = getattr(getattr(original, "diag", None), "message_primary", None)
        if said and getattr(original, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE:
            return NotReady(
                f"The database {shown(engine.url)} doesn't let this user do that: {said}",
                safe="nothing was changed",
                do="make the node's user the database's owner; an auditor's needs SELECT on its tables",
            )
        if said and context.sqlalchemy_exception is not None:
            # What PostgreSQL adds as DETAIL may be a whole row, and the key that salts it.
            original.args = (said,)
            context.sqlalchemy_exception.args = (f"({type(original).__name__}) {said}",)
        return None

    event.listen(engine, "handle_error", handle)


def _check_server(found: tuple[int, str, str, bool], url: URL) -> None:
    version, encoding, fsync, is_standby = found
    place = f"The database {shown(url)}"
    happened = do = ""
    if version < OLDEST_VERSION:
        happened = f"{place} is of PostgreSQL {version}"
        do = f"use version {OLDEST_VERSION} or a later one"
    elif encoding != "UTF8":
        happened = f"{place} has the encoding {encoding}, not UTF8"
        do = "make one with it: createdb --encoding UTF8 --template template0"
    elif fsync != "on":
        happened = f"{place} doesn't sync what it writes: what a receipt proves could be lost"
        do = "set fsync = on in its postgresql.conf"
    elif is_standby:
        happened = f"{place} is a standby"
        do = "name the primary, or several hosts and ?target_session_attrs=read-write"
    if happened:
        raise NotReady(happened, safe="nothing was changed", do=do)


def _lock(connection: Any, engine: Engine) -> None:
    """Take the lock for as long as the connection lasts; one that a dead process held is free soon."""
    try:
        _ask(connection, f"SELECT pg_advisory_lock({ALONE})")
        connection.commit()
    except engine.dialect.loaded_dbapi.Error as exc:
        if getattr(exc, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        raise GuardRefused(
            f"The database {shown(engine.url)} is in use: another instance serves its log",
            safe="This one has signed nothing, the other goes on",
            do="Stop the other instance first, or leave it in service",
        ) from exc


def _ask(connection: Any, statement: str) -> Any:
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
        return cursor.fetchone()
    finally:
        cursor.close()
