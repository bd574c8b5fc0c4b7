"""The disk under a store: how much is free, how much the store takes. SQLite's files; of a database
elsewhere only the disk of the node's home is known.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from liaison.adapters.sql.urls import backend_of


@dataclass(frozen=True)
class Disk:
    """``folder`` is on the disk that matters; ``store`` is SQLite's file, if the store is one."""

    folder: Path
    store: Path | None = None

    @classmethod
    def under(cls, database: str, home: Path) -> Disk:
        """Return the disk under a store, which its URL names, or under the node's home."""
        path = make_url(database).database if backend_of(database) == "sqlite" else None
        if not path or path == ":memory:":
            return cls(home)
        return cls(Path(path).parent, Path(path))

    def free_bytes(self) -> int:
        """Return what this process may still write there."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def store_bytes(self) -> int | None:
        """Return the size of the store's files together, None where they aren't here."""
        if self.store is None:
            return None
        return sum(_size(self.store.with_name(self.store.name + end)) for end in ("", "-wal"))

    def wal_bytes(self) -> int | None:
        """Return the size of SQLite's write-ahead log."""
        return None if self.store is None else _size(self.store.with_name(f"{self.store.name}-wal"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
