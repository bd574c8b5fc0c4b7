"""What the PostgreSQL store promises beyond the contract: durability, locks, crashes, one process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from liaison.adapters.sql import engines, sessions
from liaison.adapters.sql.engines import reading_engine, writing_engine
from liaison.adapters.sql.migrate import Schema, _config, check, migrate
from liaison.adapters.sql.reader import _ABOUT_NOTE, _DUE, _OPEN_ITEMS, SqlReader
from liaison.adapters.sql.schema import METADATA
from liaison.adapters.sql.source import StoreSource
from liaison.adapters.sql.urls import check_store_url, shown
from liaison.adapters.sql.writer import SqlWriter
from liaison.words.errors import GuardRefused, Malformed, NotReady
from tests.adapters.commit_until_killed import BATCHES_BEFORE, NOTES
from tests.adapters.committing import Child
from tests.contracts.batches import GrowingLog, entry_row
from tests.contracts.stores import dump_postgresql, size_of
from tests.postgresql import name_of

PASSWORD = "canary-pass@word"
SPELLED = "canary-pass%40word"


@pytest.fixture
def url(postgresql):
    url = postgresql.store()
    yield url
    postgresql.done(url)


@pytest.fixture
def empty(postgresql):
    return postgresql.empty()


@pytest.fixture
def writer(url):
    with closing(SqlWriter(url)) as writer:
        yield writer


def backend_of(writer: SqlWriter) -> int:
    driver = writer._connection.connection.driver_connection
    assert driver is not None
    return driver.info.backend_pid


def engine_of(url: str):
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


# The schema


def described(postgresql, url: str) -> list[tuple]:
    """Return all that PostgreSQL was told to create, by name."""
    columns = """SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default
        FROM information_schema.columns WHERE table_schema = 'public'"""
    constraints = """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace"""
    indexes = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    rows = [
        row
        for statement in (columns, constraints, indexes)
        for row in postgresql.run(statement, database=name_of(url))
        if row[0] != "alembic_version"
    ]
    return sorted(rows, key=str)


def test_the_migrated_schema_is_the_schema_of_the_code(postgresql, url, empty):
    engine = engine_of(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()
    direct = engine_of(empty)
    METADATA.create_all(direct)
    direct.dispose()
    assert described(postgresql, url) == described(postgresql, empty)


def test_all_text_is_ordered_by_its_bytes(postgresql, url):
    statement = """SELECT table_name, column_name, collation_name FROM information_schema.columns
        WHERE table_schema = 'public' AND data_type = 'text'"""
    found = postgresql.run(statement, database=name_of(url))
    assert {collation for _, _, collation in found} == {"C"}
    assert ("cells", "key", "C") in found


def test_a_store_of_the_first_schema_is_brought_up_and_keeps_its_rows(empty):
    assert check(empty) is Schema.ABSENT
    engine = writing_engine(empty)
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0001")
        connection.execute(text(r"INSERT INTO cells VALUES ('counter s', '\x7b7d')"))
    engine.dispose()
    assert check(empty) is Schema.OLDER
    migrate(empty)
    assert check(empty) is Schema.CURRENT
    engine = engine_of(empty)
    with engine.connect() as connection:
        cells = connection.execute(text("SELECT * FROM cells")).all()
    engine.dispose()
    assert cells == [("counter s", b"{}", None, None)]


def test_a_migration_that_fails_leaves_nothing(postgresql, empty, monkeypatch):
    upgrade = command.upgrade

    def fail(*arguments):
        upgrade(*arguments)
        raise OSError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", fail)
        with pytest.raises(OSError, match="injected"):
            migrate(empty)
    assert check(empty) is Schema.ABSENT
    assert described(postgresql, empty) == []
    migrate(empty)
    assert check(empty) is Schema.CURRENT


def test_a_schema_is_not_changed_under_a_running_node(empty, monkeypatch):
    engine = writing_engine(empty)
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0001")
    engine.dispose()
    with closing(SqlWriter(empty, alone=True)):
        with pytest.raises(NotReady, match="Another process is at work in the database") as caught:
            migrate(empty)
        assert "stop the node that serves it" in caught.value.do
        assert check(empty) is Schema.OLDER
    migrate(empty)
    with closing(SqlWriter(empty, alone=True)):
        migrate(empty)  # there is nothing to change


def test_of_two_who_migrate_at_once_the_later_finds_it_done_or_is_refused(empty):
    outcomes = []

    def run():
        try:
            migrate(empty)
            outcomes.append("done")
        except NotReady as exc:
            outcomes.append(exc.happened)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [outcome for outcome in outcomes if outcome != "done"]
    assert len(outcomes) == 2
    assert len(refused) < 2
    assert all("Another process is at work" in outcome for outcome in refused)
    assert check(empty) is Schema.CURRENT


# Sessions


@pytest.mark.parametrize(
    ("said", "holds"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")]
)
def test_a_commit_is_synced_whatever_the_role_says(postgresql, url, said, holds):
    setting = f"ALTER ROLE liaison IN DATABASE {name_of(url)}"
    postgresql.run(f"{setting} SET synchronous_commit = {said}")
    try:
        with closing(SqlWriter(url)) as writer:
            writer.commit(GrowingLog().grow())
            raw = writer._connection.connection.driver_connection
            assert raw is not None
            found = raw.execute(
                "SELECT current_setting('synchronous_commit'), current_setting('fsync'),"
                " current_setting('transaction_isolation')"
            ).fetchone()
    finally:
        postgresql.run(f"{setting} RESET synchronous_commit")
    assert found == (holds, "on", "read committed")


def test_a_server_that_does_not_sync_is_refused(postgresql, url):
    def reload(statement: str, holds: str) -> None:
        postgresql.run(statement)
        postgresql.run("SELECT pg_reload_conf()")
        while postgresql.run("SHOW fsync") != [(holds,)]:
            time.sleep(0.01)

    reload("ALTER SYSTEM SET fsync = off", "off")
    try:
        with pytest.raises(NotReady) as caught:
            SqlWriter(url)
    finally:
        reload("ALTER SYSTEM RESET fsync", "on")
    assert str(caught.value) == (
        f"The database {shown(url)} doesn't sync what it writes: what a receipt proves could be "
        "lost · nothing was changed · set fsync = on in its postgresql.conf"
    )
    SqlWriter(url).close()


def test_a_database_of_another_encoding_is_refused(postgresql):
    postgresql.run(
        "CREATE DATABASE bytes OWNER liaison ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
    )
    url = postgresql.url("bytes")
    with pytest.raises(NotReady, match="has the encoding SQL_ASCII, not UTF8"):
        migrate(url)


async def test_a_reader_cannot_write(url):
    engine = reading_engine(url)
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await connection.exec_driver_sql("DELETE FROM entries")
    await engine.dispose()
    source = StoreSource(url)
    with pytest.raises(DBAPIError, match="read-only transaction"):
        source._connection.exec_driver_sql("DELETE FROM entries")
    await source.close()


@pytest.mark.parametrize(
    ("query", "index", "values"),
    [
        (_DUE, "ix_cells_due", (1, 1)),
        (_OPEN_ITEMS, "ix_cells_channel_due", ("c", 1)),
        (_ABOUT_NOTE, "ix_entries_about_note", ("d", 1)),
    ],
)
def test_what_is_due_is_found_by_an_index(url, query, index, values):
    engine = writing_engine(url)
    said = str(query.compile(dialect=engine.dialect))
    with engine.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")
        connection.exec_driver_sql("SET enable_bitmapscan = off")
        steps = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {said}", values)]
    engine.dispose()
    assert any(f"Index Scan using {index} " in step for step in steps), steps
    # Moments that are equal are put in the order of their keys; all others come in order.
    assert not any("->  Sort " in step for step in steps), steps


# Locks


def test_the_head_is_locked_before_it_is_read(postgresql, url, monkeypatch):
    monkeypatch.setattr(engines, "_BUSY_S", 0.05)
    with closing(SqlWriter(url)) as writer, closing(postgresql.admin(name_of(url))) as other:
        log = GrowingLog()
        writer.commit(log.grow())
        batch = log.grow()
        with other.transaction():
            other.execute("SELECT * FROM head FOR UPDATE")
            with pytest.raises(OperationalError, match="lock timeout"):
                writer.commit(batch)
        writer.commit(batch)
        assert writer.head() == log.head


def test_what_the_head_is_waits_for_a_commit_that_is_under_way(postgresql, writer, url):
    """A connection may be lost while the server commits; what is true then is known only after it."""
    log = GrowingLog()
    writer.commit(log.grow())
    after = log.grow().head
    outcome = []
    asking = threading.Thread(target=lambda: outcome.append(writer.head()))
    with closing(postgresql.admin(name_of(url))) as lost:
        with lost.transaction():
            lost.execute(
                "UPDATE head SET size = %s, root = %s, at = %s", (after.size, after.root, after.at)
            )
            asking.start()
            time.sleep(0.1)
            assert outcome == []
        asking.join()
    assert outcome == [after]


# One process


def test_of_those_who_are_to_be_alone_a_second_is_refused(url, monkeypatch):
    monkeypatch.setattr(engines, "_BUSY_S", 0.05)
    with closing(SqlWriter(url, alone=True)) as first:
        with pytest.raises(GuardRefused) as caught:
            SqlWriter(url, alone=True)
        assert str(caught.value) == (
            f"The database {shown(url)} is in use: another instance serves its log · "
            "This one has signed nothing, the other goes on · "
            "Stop the other instance first, or leave it in service"
        )
        first.commit(GrowingLog().grow())
    SqlWriter(url, alone=True).close()


def test_the_next_waits_for_one_that_is_about_to_end(url):
    first = SqlWriter(url, alone=True)
    timer = threading.Timer(0.1, first.close)
    timer.start()
    SqlWriter(url, alone=True).close()
    timer.join()


def test_who_lost_its_connection_and_its_place_commits_no_more(postgresql, url, monkeypatch):
    monkeypatch.setattr(engines, "_BUSY_S", 0.05)
    log = GrowingLog()
    first = SqlWriter(url, alone=True)
    first.commit(log.grow())
    postgresql.run("SELECT pg_terminate_backend(%s, 5000)", backend_of(first))
    with closing(SqlWriter(url, alone=True)) as second:
        batch = log.grow()
        with pytest.raises(DBAPIError):
            first.commit(batch)
        with pytest.raises(GuardRefused):
            first.head()
        second.commit(batch)
    assert first.head() == log.head
    first.close()


# It failed


def test_a_lost_connection_fails_the_batch_and_the_next_one_is_written(postgresql, writer):
    log = GrowingLog()
    writer.commit(log.grow())
    postgresql.run("SELECT pg_terminate_backend(%s, 5000)", backend_of(writer))
    batch = log.grow()
    with pytest.raises(OperationalError):
        writer.commit(batch)
    assert writer.head() == batch.previous
    writer.commit(batch)
    assert writer.head() == batch.head


def test_a_connection_lost_after_the_commit_and_the_head_says_so(postgresql, writer, monkeypatch):
    log = GrowingLog()
    writer.commit(log.grow())
    dialect = writer._engine.dialect
    do_commit = dialect.do_commit

    def lose(connection):
        do_commit(connection)
        pid = connection.driver_connection.info.backend_pid
        postgresql.run("SELECT pg_terminate_backend(%s, 5000)", pid)
        connection.execute("SELECT 1")

    batch = log.grow()
    with monkeypatch.context() as patch:
        patch.setattr(dialect, "do_commit", lose)
        with pytest.raises(DBAPIError):
            writer.commit(batch)
    assert writer.head() == batch.head
    writer.commit(log.grow())
    assert writer.head() == log.head


def test_a_commit_that_postgresql_refuses_is_rolled_back(postgresql, writer, url):
    log = GrowingLog()
    writer.commit(log.grow())
    before = dump_postgresql(postgresql, url)
    name = name_of(url)
    postgresql.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'refused at the commit'; END $$",
        database=name,
    )
    postgresql.run(
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
        database=name,
    )
    batch = log.grow()
    try:
        with pytest.raises(DBAPIError, match="refused at the commit"):
            writer.commit(batch)
        assert writer.head() == batch.previous
        assert dump_postgresql(postgresql, url) == before
    finally:
        postgresql.run("DROP FUNCTION refuse() CASCADE", database=name)
    writer.commit(batch)
    assert writer.head() == batch.head


def test_text_with_nul_fails_the_whole_batch_and_nothing_is_altered(postgresql, writer, url):
    batch = GrowingLog().grow()
    with pytest.raises(DBAPIError, match="NUL"):
        writer.commit(replace(batch, entries=[entry_row(0, scope="a\0b")]))
    assert writer.head() is None
    assert dump_postgresql(postgresql, url)["entries"] == []
    writer.commit(batch)


@pytest.mark.parametrize("field", ["entry", "digest"])
def test_an_error_shows_nothing_of_a_row(writer, field):
    log = GrowingLog()
    writer.commit(log.grow())
    batch = log.grow()
    (row,) = batch.entries
    change = {"entry": None} if field == "entry" else {"digest": "digest-0"}
    with pytest.raises(IntegrityError) as caught:
        writer.commit(replace(batch, entries=[replace(row, **change)]))
    told = f"{caught.value} {caught.value!r} {caught.value.orig!r} {caught.value.__cause__!r}"
    assert "violates" in told
    for hidden in ("canary", row.leaf_key.hex()[:16], "DETAIL", "digest-0"):
        assert hidden not in told


def test_two_settings_keep_values_out_of_the_server_s_log(postgresql, url):
    """As docs/administering.md advises; without them what is logged holds leaf keys."""
    name = name_of(url)
    log = GrowingLog()
    secret = log.grow().entries[0].leaf_key.hex()
    advice = {"log_parameter_max_length": "0", "log_error_verbosity": "terse"}

    def logged() -> str:
        before = (postgresql.folder / "log").stat().st_size
        with closing(SqlWriter(url)) as writer:
            batch = GrowingLog(head=writer.head()).grow()
            writer.commit(batch)
            (row,) = batch.entries
            broken = replace(row, entry=None, index=99)  # type: ignore[arg-type]
            with pytest.raises(IntegrityError):
                writer.commit(replace(batch, previous=batch.head, entries=[broken]))
        return (postgresql.folder / "log").read_text()[before:]

    postgresql.run(f"ALTER DATABASE {name} SET log_statement = 'all'")
    found = logged()
    assert "Failing row contains" in found
    assert secret in found
    for setting, value in advice.items():
        postgresql.run(f"ALTER DATABASE {name} SET {setting} = {value}")
    found = logged()
    assert "INSERT INTO entries" in found
    assert "violates not-null constraint" in found
    assert secret[:16] not in found
    postgresql.run(f"ALTER DATABASE {name} RESET ALL")


# Reads go on


async def test_readers_wait_for_a_connection_and_do_not_fail(url, writer):
    log = GrowingLog()
    writer.commit(log.grow())
    reader = SqlReader(url)
    heads = await asyncio.gather(*(reader.head() for _ in range(50)))
    assert heads == [log.head] * 50
    await reader.close()


async def test_a_reader_whose_connections_were_lost_opens_others(postgresql, url, writer):
    log = GrowingLog()
    writer.commit(log.grow())
    reader = SqlReader(url)
    await asyncio.gather(*(reader.head() for _ in range(20)))
    for _ in range(2):
        postgresql.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
            " AND pid != %s",
            name_of(url),
            backend_of(writer),
        )
        heads = await asyncio.gather(*(reader.head() for _ in range(20)))
        assert heads == [log.head] * 20
    await reader.close()


async def test_a_reader_says_that_the_database_is_gone_and_reads_when_it_is_back(postgresql, empty):
    migrate(empty)
    reader = SqlReader(empty)
    await reader.head()
    name = name_of(empty)
    postgresql.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgresql.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", name
    )
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*(reader.head() for _ in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {NotReady}
    postgresql.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(reader.head() for _ in range(20))) == [None] * 20
    await reader.close()


async def test_a_read_that_was_given_up_leaves_its_connection_usable(postgresql, url, writer):
    log = GrowingLog()
    writer.commit(log.grow())
    reader = SqlReader(url)
    with closing(postgresql.admin(name_of(url))) as other:
        with other.transaction():
            other.execute("LOCK TABLE head IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(5):
                for _ in range(6):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.head(), 0.05)
        async with asyncio.timeout(5):
            assert await reader.head() == log.head
    await reader.close()


async def test_an_audit_whose_connection_was_lost_does_not_accuse_the_log(postgresql, url, writer):
    writer.commit(GrowingLog().grow())
    source = StoreSource(url)
    pid = source._connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
    postgresql.run("SELECT pg_terminate_backend(%s, 5000)", pid)
    with pytest.raises(NotReady, match="went away"):
        await source.end()
    await source.close()


# It was killed


def size_of_whole_store(postgresql, url) -> int:
    size = size_of(dump_postgresql(postgresql, url), padding=8_000)
    assert size % NOTES == 0
    return size


@pytest.mark.parametrize("point", ["wraps", "before COMMIT", "after COMMIT"])
def test_killed_at_a_named_point_all_of_a_batch_is_there_or_nothing(postgresql, url, point):
    said = Child(url, point).last_size()
    assert said == BATCHES_BEFORE * NOTES
    expected = said + NOTES if point == "after COMMIT" else said
    assert size_of_whole_store(postgresql, url) == expected
    with closing(SqlWriter(url, alone=True)) as writer:
        writer.commit(GrowingLog(head=writer.head()).grow())


def test_a_server_that_crashed_has_all_that_was_committed(postgresql, url):
    moment_s = random.uniform(0, 0.15)
    sys.stdout.write(f"after {moment_s} s\n")  # shown if it fails
    child = Child(url, "never")
    size = child.first_size()
    backends = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
    ((pid,),) = postgresql.run(backends, name_of(url))
    time.sleep(moment_s)
    os.kill(pid, signal.SIGKILL)  # the server then ends all its processes, and recovers
    out, errors = child.process.communicate(timeout=30)
    assert child.process.returncode == 1
    assert "Error" in errors
    size = max(size, *map(int, out.split()), 0)
    postgresql.wait()
    # One batch more may be committed than it came to say.
    assert size_of_whole_store(postgresql, url) in {size, size + NOTES}


# URLs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"postgresql://u:{SPELLED}@db.example:6432/n", "postgresql://u@db.example:6432/n"),
        (f"postgresql://u:{SPELLED}@/n?host=/run/pg&user=x", "postgresql://u@/n?host=%2Frun%2Fpg"),
        (f"postgresql+psycopg://u:{SPELLED}@h/n?password={SPELLED}", "postgresql://u@h/n"),
        ("sqlite:////srv/node.db", "sqlite:////srv/node.db"),
    ],
)
def test_a_url_is_shown_without_password_or_parameters(url, expected):
    assert shown(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://liaison@db.example/liaison",
        f"postgresql://liaison:{SPELLED}@db.example/liaison?sslmode=verify-full",
        "postgresql://liaison@/liaison?host=/run/postgresql",
        "sqlite:////srv/node.db",
    ],
)
def test_a_url_of_a_store_is_taken(url):
    assert check_store_url(url) == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"postgresql://u:{PASSWORD}@host/name", "the URL holds more than one @"),
        (f"postgresql://u@host/name?password={SPELLED}", "a password among its parameters"),
        (f"postgresql://u@host/name?sslpassword={SPELLED}", "a password among its parameters"),
        (f"postgresql://u:{SPELLED}@host", "names no database"),
        (f"postgresql://u@host:{PASSWORD}/x", "the URL|a URL"),
        (f"mysql://u:{SPELLED}@host/name", "a URL of no database that liaison knows"),
        (PASSWORD, "not the URL of a database"),
    ],
)
def test_another_url_is_refused_and_never_repeated(url, reason):
    with pytest.raises(Malformed, match=reason) as caught:
        check_store_url(url)
    told = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert "canary" not in told
    assert "word" not in told.replace("password", "")


def test_a_database_that_is_not_there_is_said_so_without_its_password(postgresql):
    socket = postgresql.folder / "nowhere"
    url = f"postgresql://liaison:{SPELLED}@/name?host={socket}"
    for ask in (check, migrate, SqlWriter, StoreSource):
        with pytest.raises(NotReady) as caught:
            ask(url)
        told = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
        assert "The database postgresql://liaison@/name?host=" in told
        assert "can't be reached" in told
        assert "canary" not in told


async def test_a_wrong_password_is_not_repeated(postgresql):
    postgresql.run("ALTER ROLE guarded PASSWORD 'another'")
    url = f"postgresql://guarded:{SPELLED}@/postgres?host={postgresql.folder}"
    with pytest.raises(NotReady, match="password authentication failed") as caught:
        migrate(url)
    reader = SqlReader(url)
    with pytest.raises(NotReady, match="password authentication failed") as read:
        await reader.head()
    await reader.close()
    for error in (caught.value, read.value):
        assert "canary" not in f"{error!r} {error} {error.__cause__!r}"


def test_without_the_driver_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(sessions, "find_spec", lambda _: None)
    with pytest.raises(NotReady, match=r"needs the package psycopg .* 'liaison\[postgresql\]'"):
        check("postgresql://liaison@db.example/liaison")


def test_a_user_who_may_not_create_tables_is_told_so(postgresql, empty):
    with pytest.raises(NotReady) as caught:
        migrate(postgresql.url(name_of(empty), "stranger"))
    assert str(caught.value) == (
        f"The database {shown(postgresql.url(name_of(empty), 'stranger'))} doesn't let this user do "
        "that: permission denied for schema public · nothing was changed · make the node's user the "
        "database's owner; an auditor's needs SELECT on its tables"
    )


async def test_an_auditor_with_a_role_of_their_own_reads_and_no_more(postgresql, url, writer):
    writer.commit(GrowingLog().grow())
    name = name_of(url)
    theirs = postgresql.url(name, "stranger")
    with pytest.raises(NotReady, match="permission denied for table head"):
        StoreSource(theirs)
    postgresql.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger", database=name)
    source = StoreSource(theirs)
    assert await source.end() == writer.head()
    await source.close()
    batch = GrowingLog(head=writer.head()).grow()
    with closing(SqlWriter(theirs)) as other, pytest.raises(NotReady, match="permission denied"):
        other.commit(batch)
    postgresql.run("REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM stranger", database=name)
