"""SQLite's log goes into the database beside the writer, and begins anew; nobody waits for it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from liaison.adapters.sql import checkpoints
from liaison.adapters.sql.migrate import migrate
from liaison.adapters.sql.writer import SqlWriter
from tests.contracts.batches import GrowingLog
from tests.contracts.stores import dump_sqlite, size_of


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.001)
    monkeypatch.setattr(checkpoints, "ANEW_AT_FRAMES", 64)
    path = tmp_path / "store.db"
    migrate(f"sqlite:///{path}")
    return path


def salt(path: Path) -> bytes:
    """Return what the header of the log has anew each time that it begins at its start."""
    return path.with_name("store.db-wal").read_bytes()[16:24]


def test_a_long_log_begins_anew_while_the_writer_goes_on(path: Path) -> None:
    log = GrowingLog(padding=8_000)
    with closing(SqlWriter(f"sqlite:///{path}")) as writer:
        writer.commit(log.grow())
        first, begun_anew = salt(path), False
        for _ in range(5_000):
            writer.commit(log.grow())
            begun_anew = salt(path) != first
            if begun_anew:
                break
        assert begun_anew, "SQLite itself would have done it after 65,536 pages only"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert log.head is not None
    assert size_of(dump_sqlite(path), padding=8_000) == log.head.size


def test_what_can_t_be_copied_is_said_once_and_tried_again_and_commits_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = threading.Semaphore(0)

    def fails(*_: object, **__: object) -> sqlite3.Connection:
        tries.release()
        raise sqlite3.OperationalError("disk I/O error")

    with capture_logs() as said, monkeypatch.context() as patch:
        log = GrowingLog()
        with closing(SqlWriter(f"sqlite:///{path}")) as writer:
            patch.setattr(sqlite3, "connect", fails)
            for _ in range(3):
                writer.commit(log.grow())
                assert tries.acquire(timeout=20)
    assert [entry["event"] for entry in said] == ["checkpoint-failed"]
    assert log.head is not None
    assert size_of(dump_sqlite(path), padding=0) == log.head.size
