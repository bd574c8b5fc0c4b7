"""The migrated schema is the schema of the code."""

from __future__ import annotations

import stat
from contextlib import closing

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from liaison.adapters.sql.engines import writing_engine
from liaison.adapters.sql.migrate import Schema, _config, check, migrate
from liaison.adapters.sql.schema import METADATA
from liaison.adapters.sql.writer import SqlWriter
from liaison.words.errors import NotReady
from tests.contracts.batches import GrowingLog


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'store.db'}"


def statements_of(url: str) -> dict[str, str]:
    """Return what SQLite was told to create, by name, in words alone."""
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_schema WHERE sql NOTNULL"))
        found = {name: " ".join(sql.split()) for name, sql in rows}
    engine.dispose()
    found.pop("alembic_version", None)
    return found


def test_the_migrated_schema_is_the_schema_of_the_code(url, tmp_path):
    migrate(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert set(inspect(connection).get_table_names()) == {*METADATA.tables, "alembic_version"}
    engine.dispose()
    # Alembic compares neither checks nor WITHOUT ROWID; the text of the tables shows them.
    direct = f"sqlite:///{tmp_path / 'direct.db'}"
    engine = create_engine(direct)
    METADATA.create_all(engine)
    engine.dispose()
    assert statements_of(url) == statements_of(direct)


def test_a_store_is_absent_then_current(url, tmp_path):
    assert check(url) is Schema.ABSENT
    assert list(tmp_path.iterdir()) == [], "looking creates no file"
    migrate(url)
    assert check(url) is Schema.CURRENT


def test_a_store_of_the_first_schema_is_brought_up_and_keeps_its_rows(url):
    with writing_engine(url).begin() as connection:
        command.upgrade(_config(connection), "0001")
        connection.execute(text("INSERT INTO cells VALUES ('counter s', x'7b7d')"))
        connection.execute(
            text(
                "INSERT INTO entries VALUES (0, x'00', x'01', 'node', 1, x'02', '', 'a', x'03', "
                "x'04', x'05', 'digest', 's', 1)"
            )
        )
        before = connection.execute(text("SELECT * FROM entries")).all()
    assert check(url) is Schema.OLDER
    migrate(url)
    assert check(url) is Schema.CURRENT
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM entries")).all() == before
        cells = connection.execute(text("SELECT * FROM cells")).all()
    engine.dispose()
    assert cells == [("counter s", b"{}", None, None)]


def test_an_empty_file_is_absent(url, tmp_path):
    (tmp_path / "store.db").touch()
    assert check(url) is Schema.ABSENT
    migrate(url)
    assert check(url) is Schema.CURRENT


def test_migrating_again_changes_nothing(url, tmp_path):
    migrate(url)
    with closing(SqlWriter(url)) as writer:
        log = GrowingLog()
        writer.commit(log.grow(3))
        migrate(url)  # while the writer is there
        assert check(url) is Schema.CURRENT
        assert writer.head() == log.head


def test_a_newer_version_s_store_is_left_alone(url):
    migrate(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    assert check(url) is Schema.UNKNOWN
    with pytest.raises(NotReady) as caught:
        migrate(url)
    assert str(caught.value) == (
        "The store's schema is of a newer version of liaison · nothing was changed · "
        "run the version that wrote it, or a later one"
    )


def test_a_migration_that_fails_leaves_nothing(url, monkeypatch):
    upgrade = command.upgrade

    def fail(*arguments):
        upgrade(*arguments)
        raise OSError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", fail)
        with pytest.raises(OSError, match="injected"):
            migrate(url)
    assert check(url) is Schema.ABSENT
    assert statements_of(url) == {}
    migrate(url)
    assert check(url) is Schema.CURRENT


def test_other_users_cannot_read_the_store(url, tmp_path):
    migrate(url)
    with closing(SqlWriter(url)) as writer:
        writer.commit(GrowingLog().grow())
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), 0o600)


def test_another_database_is_refused():
    with pytest.raises(ValueError, match="no store for mysql: it's sqlite or postgresql"):
        check("mysql://host/name")
