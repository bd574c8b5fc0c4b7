"""SQLite's checkpoints beside the writer: what its write-ahead log holds goes into the database.

By itself SQLite does that within a commit, once in so many pages, and everybody waits for it: 40 to
70 ms were measured. Here another connection copies, in a thread of its own, while the writer goes on.
Once the log is long the writer copies what came meanwhile, which is little; then it begins anew.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import Any, Final

import structlog

EVERY_S: Final = 0.5
ANEW_AT_FRAMES: Final = 8192
"""Pages in the log: 32 MiB."""
CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"

log = structlog.get_logger(__name__)


class Checkpoints:
    """Copies from when it is made until it is closed. ``committed`` and ``close`` are the writer's."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._grown = threading.Event()
        self._closing = threading.Event()
        self._is_nearly_done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def committed(self, connection: Any) -> None:
        """Tell that the log grew; copy the rest of it over the writer's own connection if it is long."""
        if self._is_nearly_done.is_set():
            self._is_nearly_done.clear()
            connection.execute(CHECKPOINT).fetchone()
        self._grown.set()

    def close(self) -> None:
        self._closing.set()
        self._grown.set()
        self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        has_failed = False
        while not self._closing.wait(EVERY_S):
            self._grown.wait()
            self._grown.clear()
            if self._closing.is_set():
                break
            try:
                connection = connection or sqlite3.connect(self._path, isolation_level=None)
                _, frames, moved = connection.execute(CHECKPOINT).fetchone()
            except sqlite3.Error as exc:
                # The log only grows meanwhile: the writer does it itself in the end, and says so
                # if it can't (engines: wal_autocheckpoint).
                if not has_failed:
                    log.error("checkpoint-failed", error=str(exc))
                has_failed = True
                continue
            has_failed = False
            if frames >= ANEW_AT_FRAMES and moved > 0:
                self._is_nearly_done.set()
        if connection is not None:
            connection.close()
