"""The disk under a store: how much is free, how much the store takes. SQLite's files; of a database
elsewhere only the disk of the node's home is known.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from liaison.adapters.sql.urls import backend_of

RESERVE: Final = "reserve"
"""The name of the reserve's file, beside the store."""


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


class Reserve:
    """A file of real blocks beside the store: what others on this disk can't fill. Given back in pieces.

    It is there while a node serves. A crash leaves it, and the next one takes it over.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self._lock = threading.Lock()
        """The writer's thread gives back, the loop's fills."""

    @property
    def left(self) -> int:
        """How many bytes it still has."""
        return _size(self.path)

    def fill(self) -> bool:
        """Take the whole of it; False where the disk has not that much."""
        with self._lock:
            if self.left >= self.size:
                return True
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self.size)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, 0)
                return False
            finally:
                os.close(descriptor)
            return True

    def give_back(self, size: int) -> int:
        """Free about ``size`` bytes of it; return how many are left."""
        with self._lock:
            left = max(0, self.left - size)
            if self.path.exists():
                os.truncate(self.path, left)
            return left

    def remove(self) -> None:
        with self._lock:
            self.path.unlink(missing_ok=True)
