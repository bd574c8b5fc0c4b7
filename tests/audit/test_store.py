"""A node's home as a target: its store read as one snapshot, by the command line, never written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from contextvars import copy_context
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from liaison.adapters.clock import SystemClock
from liaison.adapters.sql.source import StoreSource
from liaison.audit.report import Report
from liaison.audit.walk import replay, verify
from liaison.cli import app
from liaison.statements.payloads import Verdict
from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.words.errors import LiaisonError, NotReady
from liaison.words.times import MINUTE
from tests.audit.logs import ANCHORS, LOG_KEY, flipped, now
from tests.node.grants import post_grant
from tests.node.line import elapse, live_line, note_of, send, with_wraps
from tests.node.live import HandClock, live_node, settings_in
from tests.timed import WITH_DEPUTY
from tests.world import DORA, DUTY, FELIX, ORIGIN, fixed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the database of a node that carried a note and stopped."""

    async def live() -> None:
        async with live_node(folder) as node:
            await node.open_channel()
            sent, _ = await node.send()
            await node.accept(node.world.answer(DORA, Verdict.DELIVERED, sent.statement.digest))

    folder = tmp_path_factory.mktemp("node")
    asyncio.run(live())
    made_card.append((folder / "node.liaison").read_bytes())
    return (folder / "node.db").read_bytes()


made_card: list[bytes] = []


@pytest.fixture
def home(made: bytes, tmp_path: Path) -> Path:
    (tmp_path / "node.db").write_bytes(made)
    (tmp_path / "node.liaison").write_bytes(made_card[0])
    return tmp_path


async def audited(home: Path) -> tuple[Report, Report]:
    source = StoreSource(settings_in(home).database)
    try:
        verified = await verify(source, ANCHORS, now=now())
        return verified, await replay(source, ANCHORS, now=now())
    finally:
        await source.close()


def sql(home: Path, statement: str, *values: object) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(home / "node.db")) as database, database:
        return database.execute(statement, values).fetchall()


async def test_the_store_of_a_stopped_node_is_whole_and_stays_as_it_is(home):
    before = (home / "node.db").read_bytes()
    verified, replayed = await audited(home)
    assert verified.difference is None
    assert replayed.difference is None
    assert replayed.counts["cells"] == sql(home, "select count(*) from cells")[0][0]
    assert verified.checkpoint_size is None
    assert (home / "node.db").read_bytes() == before


async def test_the_store_of_a_running_node_is_read_as_of_one_moment(tmp_path):
    async with live_node(tmp_path) as node:
        await node.open_channel()
        source = StoreSource(settings_in(tmp_path).database)
        size = len(node.world.records)
        await node.send()  # after the snapshot was taken
        for audit in (verify, replay):
            report = await audit(source, ANCHORS, now=node.clock.now())
            assert report.difference is None
            assert report.size == size
        await source.close()
        verified, replayed = await audited(tmp_path)
        assert (verified.exit_code, replayed.exit_code) == (0, 0)
        assert verified.size == size + 1


FIELDS = (
    "entry",
    "leaf_key",
    "kind",
    "at",
    "channel",
    "note",
    "actor",
    "urgency",
    "statement",
    "facts",
    "digest",
    "scope",
    "n",
)


@pytest.mark.parametrize("column", FIELDS)
@pytest.mark.parametrize("index", [0, 13, 21])
async def test_a_changed_column_of_an_entry_is_named(home, column, index):
    (value,) = sql(home, f'select "{column}" from entries where "index" = ?', index)[0]
    if isinstance(value, int):
        changed: object = value + 1
    elif isinstance(value, str):
        changed = flipped(value.encode(), len(value) // 2).decode() if value else "x"
    else:
        changed = flipped(value, len(value) // 2)
    for said in (changed, 7, 1.5, "\u00e9", b"\xff"):
        with contextlib.suppress(sqlite3.IntegrityError):
            sql(home, f'update entries set "{column}" = ? where "index" = ?', said, index)
            if sql(home, f'select "{column}" from entries where "index" = ?', index) == [(value,)]:
                continue
            verified, _ = await audited(home)
            assert verified.difference is not None
            if said is changed:
                assert verified.difference.index == index


async def test_text_that_is_no_longer_utf_8_is_named(home):
    sql(home, "update entries set kind = cast(x'ff6e' as text) where \"index\" = 3")
    for report in await audited(home):
        assert report.difference is not None
        assert report.difference.index == 3


async def test_a_changed_tile_or_cell_is_named(home):
    (tile,) = sql(home, "select hashes from tiles where level = 0")[0]
    sql(home, "update tiles set hashes = ? where level = 0", flipped(tile, 32 * 4))
    verified, replayed = await audited(home)
    assert verified.difference is not None
    assert verified.difference.index == 4
    assert replayed.difference is None
    key, row = sql(home, "select key, row from cells where key like 'member %'")[0]
    sql(home, "update cells set row = ? where key = ?", flipped(row, 20), key)
    _, replayed = await audited(home)
    assert replayed.difference is not None
    assert replayed.difference.where == f"cell {key}"
    assert replayed.difference.kind == "member"


async def test_a_file_that_is_no_database_or_not_there_is_said_so(tmp_path):
    with pytest.raises(NotReady):
        StoreSource(settings_in(tmp_path).database)
    assert not (tmp_path / "node.db").exists()
    (tmp_path / "node.db").write_bytes(b"not a database, and not empty either" * 50)
    with pytest.raises(NotReady):
        StoreSource(settings_in(tmp_path).database)


@pytest.mark.parametrize("at", range(20))
async def test_a_page_overwritten_below_the_rows_never_passes_unseen_or_crashes(home, made, at):
    """Damage that touches what an audit reads is a difference; elsewhere the rows are whole."""
    place = 8192 + at * (len(made) - 8192) // 20
    (home / "node.db").write_bytes(made[:place] + b"\xa5" * 64 + made[place + 64 :])
    try:
        verified, replayed = await audited(home)
    except LiaisonError:
        return
    if verified.exit_code == replayed.exit_code == 0:
        await unharmed(home, made)


async def unharmed(home: Path, made: bytes) -> None:
    """Fail if a row that was audited differs from the one it was."""
    tables = ("entries", "tiles", "cells", "head")
    damaged = {table: sql(home, f"select * from {table} not indexed") for table in tables}
    (home / "node.db").write_bytes(made)
    assert damaged == {t: sql(home, f"select * from {t} not indexed") for t in tables}


# The command line


def run(*arguments: str | Path, home: Path | None = None) -> Result:
    said = [] if home is None else ["--home", str(home)]
    words = [*said, "audit", *map(str, arguments)]
    return copy_context().run(CliRunner().invoke, app, words)  # `--json` is for this one only


def test_the_commands_audit_a_home_and_say_what_is_proven(home):
    done = run("verify", home)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"verify of the log {ORIGIN}\nchecked: ")
    assert "As it must be." in done.output
    assert "no signed checkpoint was part of this audit" in done.output
    assert "give that card with --node" in done.output
    assert "give that card" not in run("verify", home, "--node", home / "node.liaison").output
    done = run("replay", home, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert (report["audit"], report["result"]) == ("replay", "whole")
    assert "difference" not in report


def test_the_commands_name_the_first_difference_and_exit_1(home):
    sql(home, 'update entries set actor = "x@fco.example" where "index" = 9')
    done = run("verify", home)
    assert done.exit_code == 1
    assert "FIRST DIFFERENCE: entry 9 (" in done.output
    assert "), actor:\n  expected  " in done.output
    done = run("replay", home, "--json")
    assert done.exit_code == 1
    assert json.loads(done.output)["difference"]["index"] == 9


def test_a_kept_checkpoint_is_checked_against_the_store(home, tmp_path):
    size, root = sql(home, "select size, root from head")[0]
    kept = tmp_path / "kept"
    kept.write_text(sign_checkpoint(Checkpoint(ORIGIN, size, root), LOG_KEY))
    done = run("verify", home, "--checkpoint", kept)
    assert done.exit_code == 0, done.output
    assert "the log key signed this size and root" in done.output
    kept.write_text(sign_checkpoint(Checkpoint(ORIGIN, size, fixed("fork")), LOG_KEY))
    done = run("verify", home, "--checkpoint", kept)
    assert done.exit_code == 1
    assert "FIRST DIFFERENCE: checkpoint, root:" in done.output


def test_a_home_that_is_none_is_said_so(tmp_path):
    done = run("verify", tmp_path)
    assert isinstance(done.exception, NotReady)
    assert "node.liaison can't be read" in str(done.exception)


async def test_the_commands_audit_a_running_node_over_http(tmp_path):
    clock = HandClock(wall=SystemClock().now())  # the commands' own sessions are issued by it
    async with live_node(tmp_path, clock) as node:
        url, card, key = node.running.url, tmp_path / "node.liaison", "keys/administrator.key"
        named = ("--node", card, "--key", tmp_path / key)
        for command in ("verify", "replay"):
            done = await asyncio.to_thread(run, command, url, *named)
            assert done.exit_code == 0, done.output
            done = await asyncio.to_thread(run, command, url, home=tmp_path)
            assert done.exit_code == 0, done.output
            assert ("this source has no cells" in done.output) == (command == "replay")


ALTERED = {
    "an item deleted": (f"delete from inbox where member = '{DORA}'", f"inbox {DORA}"),
    "an item for a stranger": (
        "insert into inbox values ('eve@mod.example', 3, 3, 'note', 'flash')",
        "inbox eve@mod.example 3 3",
    ),
    "an item less urgent": ("update inbox set precedence = 'routine'", "inbox"),
    "a ciphertext changed": ("update contents set ciphertext = x'00'", "content"),
    "a ciphertext deleted": ("delete from contents", "content"),
    "a content too many": ("insert into contents values (2, x'00')", "content 2"),
    "a wrap changed": ("update wraps set wrap = x'00'", "wrap"),
    "a wrap deleted": ("delete from wraps", "wrap"),
    "a moment for a cell without one": (
        "update cells set due = 5 where key like 'note %'",
        "due note",
    ),
    "a channel for a cell without one": (
        "update cells set channel = 'another' where key like 'note %'",
        "due note",
    ),
    "a wrap for another device": ("update wraps set device = 'another'", "wrap"),
}


@pytest.mark.parametrize(("statement", "named"), ALTERED.values(), ids=ALTERED)
async def test_what_is_kept_for_readers_must_follow_from_the_records(home, statement, named):
    _, replayed = await audited(home)
    assert replayed.difference is None
    assert replayed.counts["kept for readers"] == sum(
        sql(home, f"select count(*) from {table}")[0][0]
        for table in ("inbox", "contents", "wraps", "cells where due is not null")
    )
    sql(home, statement)
    _, replayed = await audited(home)
    assert replayed.exit_code == 1
    assert replayed.difference is not None
    assert replayed.difference.where.startswith(named)


async def test_the_store_of_a_node_on_which_time_passed_is_whole_and_a_changed_moment_is_named(
    tmp_path,
):
    home = tmp_path / "node"
    async with live_line(home) as node:
        await send(node, node.world.note(to=WITH_DEPUTY))
        await elapse(node, 17 * MINUTE)
        digest = await send(node, node.world.draft())
        draft = note_of(node, digest)
        await node.accept(node.world.answer(FELIX, Verdict.ACKNOWLEDGED, digest))
        node.world.clock = node.clock.wall
        released, wraps = with_wraps(node.world.release(draft))
        status, _ = await node.post(statement=released.raw, wraps=wraps)
        assert status == 201
        node.world.accept(released)
        grant = await post_grant(node, node.world.grant(digest, DUTY, FELIX), FELIX)
    verified, replayed = await audited(home)
    assert (verified.difference, replayed.difference) == (None, None)
    assert replayed.counts["due records"] == 7
    # The wraps of the release are kept with the draft, and are missed there.
    (at,) = sql(home, 'select "index" from entries where digest = ?', digest)[0]
    rows = sql(home, 'select "key" from wraps where "index" = ?', at)
    assert len(rows) == len(draft.payload.wraps()) + len(released.payload.wraps())
    before = (home / "node.db").read_bytes()
    key = released.payload.wraps()[0].key
    sql(home, 'delete from wraps where key = ? and "index" = ?', key, at)
    _, replayed = await audited(home)
    assert replayed.difference is not None
    assert replayed.difference.where == f"wrap {at} {key}"
    assert replayed.difference.kind == "release"
    (home / "node.db").write_bytes(before)
    # Those of a grant are kept with the grant: the same key's other wrap is none of its.
    (granted,) = sql(home, 'select "index" from entries where digest = ?', grant)[0]
    sql(home, 'delete from wraps where key = ? and "index" = ?', key, granted)
    _, replayed = await audited(home)
    assert replayed.difference is not None
    assert replayed.difference.where == f"wrap {granted} {key}"
    assert replayed.difference.kind == "grant"
    (home / "node.db").write_bytes(before)
    # A rung's row is altered, then its due moment moved.
    (rung, facts) = sql(home, "select \"index\", facts from entries where kind = 'rung'")[0]
    sql(home, 'update entries set facts = ? where "index" = ?', flipped(facts, 30), rung)
    for report in await audited(home):
        assert report.difference is not None
        assert report.difference.index == rung
    (home / "node.db").write_bytes(before)
    sql(home, "update entries set digest = 'x' where \"index\" = ?", rung)
    verified, _ = await audited(home)
    assert verified.difference is not None
    assert (verified.difference.index, verified.difference.field) == (rung, "column digest")
    (home / "node.db").write_bytes(before)
    sql(home, "update cells set due = due + 1 where due is not null and key like 'note %'")
    _, replayed = await audited(home)
    assert replayed.difference is not None
    assert replayed.difference.where.startswith("due note ")


@pytest.mark.parametrize(
    "change", ["due = due + 1", "due = null", "channel = 'another'", "due = null, channel = null"]
)
async def test_a_due_moment_that_was_altered_is_named(tmp_path, change):
    async with live_line(tmp_path) as node:
        note = await send(node, node.world.note())
        index = node.running.services.sequencer.published.head.size - 1
    _, replayed = await audited(tmp_path)
    assert replayed.difference is None
    assert (
        replayed.counts["kept for readers"]
        > sql(tmp_path, "select count(*) from cells where due is not null")[0][0]
        > 1
    )
    sql(tmp_path, f"update cells set {change} where key like 'note %'")
    _, replayed = await audited(tmp_path)
    assert replayed.difference is not None
    assert replayed.difference.where == f"due note {node.world.channel} {note}"
    assert (replayed.difference.index, replayed.difference.kind) == (index, "note")
