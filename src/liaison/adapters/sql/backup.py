"""Backups of a SQLite store: a whole copy while a node writes, and putting one in a store's place.

PostgreSQL has tools of its own for both. Whether a copy's contents are right is the audit's
business; here it is only whether the file is whole.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import URL, make_url

from liaison.adapters.newfile import sync_directory
from liaison.adapters.sql.urls import backend_of
from liaison.words.errors import LogUntrusted, NotReady

Progress = Callable[[int, int], None]
"""Told now and then: how much is done, how much there is."""

_PAGES_AT_ONCE: Final = 2_048
_BUSY_S: Final = 10.0
_PART_OF_IT: Final = ("", "-wal", "-journal")
_BESIDE: Final = ("-wal", "-journal", "-shm")
"""What SQLite keeps beside a database: to one that was put in its place it would be poison."""


def file_of(url: str | URL) -> Path:
    """Return the file of a store.

    Raises:
        NotReady: the store isn't a file.
    """
    located = make_url(url)
    if backend_of(located) != "sqlite":
        raise NotReady(
            "The store is in PostgreSQL, which has its own ways of copying it",
            safe="nothing was done",
            do="back it up with pg_basebackup or pg_dump, and keep the guard apart from that as well",
        )
    return Path(located.database or "")


def url_of(file: Path) -> URL:
    """Return the URL of the store in a file, whatever is in its name."""
    return URL.create("sqlite", database=str(file))


def copy_store(store: Path, draft: Path, progress: Progress) -> None:
    """Copy what the store holds at this moment into ``draft``, an empty file.

    A node may write meanwhile: it isn't kept waiting, and what it writes isn't copied. The copy is
    one file with nothing beside it. It isn't synced.

    Raises:
        NotReady: there is no store, or no room for a copy.
        LogUntrusted: the store's file is damaged.
    """
    try:
        with closing(_read_only(store)) as source, closing(sqlite3.connect(draft)) as copy:
            source.execute("BEGIN")
            # The first read takes the snapshot. Without it each write of the node would send the
            # copying back to its beginning, and under load it would never end.
            (pages,) = source.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = source.execute("PRAGMA page_size").fetchone()
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            check_room(draft.parent, pages * page_bytes)
            copy.execute("PRAGMA journal_mode = MEMORY")
            copy.execute("PRAGMA synchronous = OFF")  # whoever made the draft syncs it
            source.backup(
                copy,
                pages=_PAGES_AT_ONCE,
                progress=lambda _, left, total: progress(total - left, total),
            )
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as exc:
        raise _told(exc, store, draft.parent) from exc


def check_pages(file: Path) -> None:
    """Return if each page of a database, and each index, is what it must be.

    Raises:
        LogUntrusted: it isn't; the first complaint is named.
        NotReady: it can't be read.
    """
    try:
        with closing(_read_only(file)) as connection:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as exc:
        raise _told(exc, file, file.parent) from exc
    if said != "ok":
        raise LogUntrusted(f"{file} is damaged: {' '.join(str(said).split())}")


def check_unused(store: Path) -> bool:
    """Return if nobody has the store open; it is one file from then on, if it is whole.

    False: its file is damaged, so nothing was done to it.

    Raises:
        NotReady: somebody has it open.
    """
    try:
        # Opened for writing, a WAL that fits nothing would be thrown away: look before.
        with closing(_read_only(store)) as looking:
            looking.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        uri = f"file:{quote(str(store))}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
            # Leaving the WAL takes the lock that every open connection shares.
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise _told(exc, store, store.parent) from exc
        raise NotReady(
            f"The store {store} is open: a node serves it, or an audit or a backup reads it",
            safe="nothing was changed",
            do="stop the node, wait for the others, then repeat the command",
        ) from exc
    except sqlite3.DatabaseError:
        return False
    return True


def put_in_place(draft: Path, store: Path, aside: Path) -> None:
    """Let ``draft`` take the place of ``store``, which is kept as ``aside``. Nobody may have it open.

    A crash leaves the one or the other in place, and the old one aside in either case.
    """
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    if store.exists():
        for end in _PART_OF_IT:
            if (beside := Path(f"{store}{end}")).exists():
                os.link(beside, f"{aside}{end}")
        sync_directory(store.parent)
        for end in _BESIDE:
            Path(f"{store}{end}").unlink(missing_ok=True)
        sync_directory(store.parent)
    os.replace(draft, store)
    sync_directory(store.parent)


def check_room(folder: Path, wanted_bytes: int) -> None:
    """Return if a file of so many bytes has room there.

    Raises:
        NotReady: it hasn't.
    """
    free = shutil.disk_usage(folder).free
    if free < wanted_bytes:
        raise NotReady(
            f"There is no room in {folder}: {free:,} bytes are free, {wanted_bytes:,} are needed",
            safe="nothing was written",
            do="make room, or name another place",
        )


def _read_only(file: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(file))}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)


def _told(exc: sqlite3.Error, file: Path, folder: Path) -> LogUntrusted | NotReady:
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return NotReady(
            f"The disk of {folder} is full",
            safe="what was written of it was removed",
            do="make room, or name another place",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return LogUntrusted(
            f"{file} is damaged: {exc}",
            safe="nothing was changed",
            do="keep it, and take the newest backup that is whole",
        )
    return NotReady(
        f"{file} can't be read: {exc}",
        safe="nothing was changed",
        do="check the path, and that this user may read and enter it",
    )
