"""What the SQLite store promises beyond the contract: durability, locks, crashes."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing

import pytest
from sqlalchemy.exc import DatabaseError, OperationalError

from liaison.adapters.sql import engines
from liaison.adapters.sql.engines import reading_engine, writing_engine
from liaison.adapters.sql.migrate import migrate
from liaison.adapters.sql.reader import _ABOUT_NOTE, _DUE, _OPEN_ITEMS, SqlReader
from liaison.adapters.sql.writer import SqlWriter
from tests.adapters.commit_until_killed import BATCHES_BEFORE, NOTES
from tests.adapters.committing import Child
from tests.contracts.batches import GrowingLog
from tests.contracts.stores import TABLES, dump_sqlite, size_of


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def url(path):
    url = f"sqlite:///{path}"
    migrate(url)
    return url


@pytest.fixture
def writer(url):
    writer = SqlWriter(url)
    yield writer
    writer.close()


def test_a_commit_is_synced(writer):
    raw = writer._connection.connection.dbapi_connection
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert raw.execute("PRAGMA synchronous").fetchone() == (2,)
    assert raw.isolation_level is None


async def test_a_reader_cannot_write(url):
    engine = reading_engine(url)
    async with engine.connect() as connection:
        with pytest.raises(OperationalError, match="readonly"):
            await connection.exec_driver_sql("DELETE FROM entries")
    await engine.dispose()


async def test_readers_wait_for_a_connection_and_do_not_fail(url, writer):
    log = GrowingLog()
    writer.commit(log.grow())
    reader = SqlReader(url)
    heads = await asyncio.gather(*(reader.head() for _ in range(50)))
    assert heads == [log.head] * 50
    await reader.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (_DUE, "ix_cells_due"),
        (_OPEN_ITEMS, "ix_cells_channel_due"),
        (_ABOUT_NOTE, "ix_entries_about_note"),
    ],
)
def test_what_is_due_is_found_by_an_index_and_not_sorted(url, query, index):
    engine = writing_engine(url)
    text = str(query.compile(dialect=engine.dialect))
    with engine.connect() as connection:
        parameters = (1,) * text.count("?")
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters).all()
    engine.dispose()
    (step,) = (row[-1] for row in plan)
    assert f"USING INDEX {index} " in step or f"USING COVERING INDEX {index} " in step


# Locks


def test_the_write_lock_is_taken_before_the_head_is_read(url, path, monkeypatch):
    monkeypatch.setattr(engines, "_BUSY_S", 0.05)
    with closing(SqlWriter(url)) as writer, closing(sqlite3.connect(path)) as other:
        log = GrowingLog()
        batch = log.grow()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"):
            writer.commit(batch)
        other.rollback()
        writer.commit(batch)
        assert writer.head() == log.head


def test_a_writer_waits_for_another_that_is_quick(writer, path):
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.1, other.rollback)
        timer.start()
        writer.commit(GrowingLog().grow())
        timer.join()


# It failed


def test_a_full_disk_fails_the_batch_and_nothing_was_written(writer, path):
    log = GrowingLog()
    writer.commit(log.grow())
    before = dump_sqlite(path)
    raw = writer._connection.connection.dbapi_connection
    pages = raw.execute("PRAGMA page_count").fetchone()[0]
    raw.execute(f"PRAGMA max_page_count = {pages + 1}")
    batch = GrowingLog(head=log.head, padding=20_000).grow(20)
    with pytest.raises(OperationalError, match="full"):
        writer.commit(batch)
    assert writer.head() == log.head
    assert dump_sqlite(path) == before
    raw.execute(f"PRAGMA max_page_count = {pages * 1_000}")
    writer.commit(batch)
    assert writer.head() == batch.head


def test_a_commit_that_sqlite_refuses_is_rolled_back(writer, path):
    log = GrowingLog()
    writer.commit(log.grow())
    before = dump_sqlite(path)
    raw = writer._connection.connection.dbapi_connection

    def refuse_commit(action, operation, *_):
        is_commit = action == sqlite3.SQLITE_TRANSACTION and operation == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    batch = log.grow()
    raw.set_authorizer(refuse_commit)
    with pytest.raises(DatabaseError, match="not authorized"):
        writer.commit(batch)
    raw.set_authorizer(None)
    assert dump_sqlite(path) == before
    assert writer.head() == batch.previous
    writer.commit(batch)
    assert writer.head() == batch.head


# It was killed


def size_of_whole_store(path) -> int:
    """Return the size of the log, having checked that each table has what belongs to it."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    size = size_of(dump_sqlite(path), padding=8_000)
    assert size % NOTES == 0
    return size


@pytest.mark.parametrize("point", [*TABLES, "head", "before COMMIT", "after COMMIT"])
def test_killed_at_a_named_point_all_of_a_batch_is_there_or_nothing(url, path, point):
    said = Child(url, point).last_size()
    assert said == BATCHES_BEFORE * NOTES
    expected = said + NOTES if point == "after COMMIT" else said
    assert size_of_whole_store(path) == expected
    with closing(SqlWriter(url)) as writer:
        writer.commit(GrowingLog(head=writer.head()).grow())


def test_killed_at_any_moment_all_of_a_batch_is_there_or_nothing(url, path):
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")  # shown if it fails
    moments = random.Random(seed)
    for _ in range(4):
        child = Child(url, "never")
        size = child.first_size()
        time.sleep(moments.uniform(0, 0.15))
        child.process.send_signal(signal.SIGKILL)
        size = max(size, child.last_size())
        # One batch more may be committed than it came to say.
        assert size_of_whole_store(path) in {size, size + NOTES}
