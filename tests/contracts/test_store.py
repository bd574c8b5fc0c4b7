"""The contract of ports.Writer and ports.Reader, for every store there is."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError

from liaison.adapters.sql.writer import SqlWriter
from liaison.node.ports import Batch, ContentRow, HeadMoved
from liaison.rules.cells import CELLS, AliasClaim, Counter, Taken
from liaison.rules.inbox import InboxRow
from tests.contracts.batches import MEMBER, SCOPE, GrowingLog, Timed, digest_of, entry_row, head_of
from tests.contracts.stores import STORES, TABLES


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    yield from STORES[request.param](request, tmp_path)


@pytest.fixture(params=STORES, scope="module")
def lasting(request, tmp_path_factory):
    """A store for many examples, each of which adds to it."""
    yield from STORES[request.param](request, tmp_path_factory.mktemp("store"))


@pytest.fixture
async def reader(store):
    reader = store.reader()
    yield reader
    await reader.close()


def commit(store, *batches: Batch) -> None:
    for batch in batches:
        store.writer.commit(batch)


def read(store, ask):
    """Return what ``ask`` asks a new reader, outside of any event loop."""

    async def run():
        reader = store.reader()
        try:
            return await ask(reader)
        finally:
            await reader.close()

    return asyncio.run(run())


# What is committed is read


async def test_a_new_store_has_no_head_and_answers_nothing(store, reader):
    assert store.writer.head() is None
    assert await reader.head() is None
    assert await reader.cells([("counter", SCOPE)]) == {("counter", SCOPE): None}
    assert await reader.cells([]) == {}
    assert await reader.entries(0, 10) == []
    assert await reader.leaves(0, 10) == []
    assert await reader.entry_of(digest_of(0)) is None
    assert await reader.about_note(digest_of(0), limit=10) == []
    assert await reader.due(until=2**62, limit=10) == []
    assert await reader.open_items(SCOPE, limit=10) == []
    assert await reader.tiles([(0, 0)]) == {}
    assert await reader.inbox(MEMBER, after=(0, 0), limit=10) == []
    assert await reader.lane(MEMBER, "FLASH", after=(0, 0), limit=10) == []
    assert await reader.last_position(MEMBER) is None
    assert await reader.contents([0], most_bytes=99) == {}
    assert await reader.wraps([0], "device-1") == {}


async def test_a_batch_is_read_back_whole(store, reader):
    batch = GrowingLog().grow(3)
    commit(store, batch)
    assert store.writer.head() == await reader.head() == batch.head
    assert await reader.entries(0, 3) == batch.entries
    assert await reader.leaves(0, 3) == [entry.entry for entry in batch.entries]
    assert await reader.tiles([(0, 0), (1, 0)]) == batch.tiles
    assert await reader.cells([cell.key for cell in batch.cells]) == {
        cell.key: cell for cell in batch.cells
    }
    assert await reader.inbox(MEMBER, after=(-1, 0), limit=10) == batch.inbox
    assert await reader.last_position(MEMBER) == (2, 2)
    both = [1, 99]
    assert await reader.contents(both, most_bytes=12) == {1: b"ciphertext 1"}
    assert await reader.contents(both, most_bytes=11) == {}
    assert await reader.wraps([1, 99], "device of key-1") == {1: {"key-1": b"wrap 1 key-1"}}
    assert await reader.wraps([1], "device of another") == {}


async def test_what_was_committed_is_there_after_closing(store, reader):
    log = GrowingLog()
    commit(store, log.grow(), log.grow())
    store.writer.close()
    again = SqlWriter(store.url)
    assert again.head() == log.head
    again.commit(log.grow())
    again.close()
    assert await reader.head() == log.head


async def test_entries_end_before_their_end_and_come_in_order(store, reader):
    commit(store, GrowingLog().grow(10))
    assert [entry.index for entry in await reader.entries(3, 6)] == [3, 4, 5]
    assert await reader.leaves(8, 100) == [b"entry 8", b"entry 9"]
    assert await reader.entries(5, 5) == []


async def test_an_entry_is_found_by_its_statement(store, reader):
    without = replace(GrowingLog().grow(2), entries=[entry_row(0), entry_row(1, statement=b"")])
    commit(store, without)
    assert await reader.entry_of(digest_of(0)) == entry_row(0)
    assert await reader.entry_of(digest_of(1)) is None
    assert await reader.entry_of("") is None, "records without a statement have no digest"
    assert (await reader.entries(1, 2))[0].digest == ""


async def test_many_keys_are_asked_at_once(store, reader):
    log = GrowingLog()
    aliases = [AliasClaim(alias=f"alias-{i}", channel=SCOPE) for i in range(1_203)]
    tiles = {(0, n): b"%d" % n for n in range(1_203)}
    commit(store, replace(log.grow(), cells=aliases, tiles=tiles))
    keys = [cell.key for cell in aliases] + [("alias-claim", "none")]
    found = await reader.cells(keys)
    assert list(found) == keys
    assert found.pop(("alias-claim", "none")) is None
    assert list(found.values()) == aliases
    assert await reader.tiles([*tiles, (1, 0)]) == tiles
    assert len(await reader.wraps(list(range(1_203)), "device of key-2")) == 1


async def test_cells_and_tiles_are_replaced(store, reader):
    log = GrowingLog()
    for count in (1, 2, 3):
        commit(store, log.grow(count))
    assert await reader.cells([("counter", SCOPE)]) == {
        ("counter", SCOPE): Counter(scope=SCOPE, n=6)
    }
    assert await reader.tiles([(0, 0)]) == {(0, 0): b"tile of 6"}
    assert len(store.dump()["cells"]) == 2
    assert len(store.dump()["tiles"]) == 1


async def test_a_key_of_several_ids_is_its_own(store, reader):
    taken = Taken(scope="s", payload="p", index=4)
    commit(store, replace(GrowingLog().grow(), cells=[taken]))
    keys = [("taken", "s", "p"), ("taken", "s", "q"), ("taken", "p", "s")]
    assert await reader.cells(keys) == {keys[0]: taken, keys[1]: None, keys[2]: None}


# What is due


@pytest.fixture
def timed(monkeypatch):
    monkeypatch.setitem(CELLS, Timed.name, Timed)


async def test_due_moments_come_in_order_up_to_a_time(store, reader):
    log = GrowingLog()
    cells = [Timed(channel="c", id=f"{n}", moment=moment) for n, moment in enumerate((7, 5, 9, 5))]
    commit(store, replace(log.grow(), cells=[*cells, Timed(channel="c", id="idle")]))
    expected = [(5, ("timed", "c", "1")), (5, ("timed", "c", "3")), (7, ("timed", "c", "0"))]
    assert await reader.due(until=8, limit=10) == expected
    assert await reader.due(until=8, limit=2) == expected[:2]
    assert await reader.due(until=4, limit=10) == []
    assert await reader.due(until=9, limit=10) == [*expected, (9, ("timed", "c", "2"))]


async def test_a_due_moment_moves_and_goes_with_its_cell(store, reader, timed):
    log = GrowingLog()
    for moment in (7, 5, None):
        cell = Timed(channel="c", id="1", moment=moment)
        commit(store, replace(log.grow(), cells=[cell]))
        found = [] if moment is None else [(moment, cell.key)]
        assert await reader.due(until=2**62, limit=10) == found
        assert await reader.open_items("c", limit=10) == ([] if moment is None else [cell])
    columns = store.dump()["cells"][0][2:]
    assert columns == (None, None), "a cell without a due moment is in no index"


async def test_open_items_are_a_channel_s_cells_with_a_due_moment(store, reader, timed):
    late, soon = Timed(channel="c", id="late", moment=9), Timed(channel="c", id="soon", moment=2)
    idle, other = Timed(channel="c", id="idle"), Timed(channel="d", id="soon", moment=1)
    commit(store, replace(GrowingLog().grow(), cells=[late, idle, soon, other]))
    assert await reader.open_items("c", limit=10) == [soon, late]
    assert await reader.open_items("c", limit=1) == [soon]
    assert await reader.open_items("d", limit=10) == [other]
    assert await reader.open_items("e", limit=10) == []


async def test_the_entries_of_a_scope_come_in_their_order(store, reader):
    entries = [
        entry_row(0, scope="mod.example", n=1),
        entry_row(1, scope="other.example", n=1),
        entry_row(2, scope="mod.example", n=2),
        entry_row(3, scope="mod.example", n=3),
    ]
    commit(store, replace(GrowingLog().grow(4), entries=entries))
    found = await reader.of_scope("mod.example", after=0, limit=10)
    assert found == [entries[0], entries[2], entries[3]]
    assert await reader.of_scope("mod.example", after=1, limit=1) == [entries[2]]
    assert await reader.of_scope("mod.example", after=3, limit=10) == []
    assert await reader.of_scope("none.example", after=0, limit=10) == []


async def test_due_records_about_a_note_come_by_index(store, reader):
    about = digest_of(0)
    entries = [
        entry_row(0),
        entry_row(1, statement=b"", note=about),
        entry_row(2, note=about),  # a statement about it, such as its answer
        entry_row(3, statement=b"", note=digest_of(2)),
        entry_row(4, statement=b"", note=about),
        entry_row(5, statement=b"", note=""),  # a due record about no note
    ]
    commit(store, replace(GrowingLog().grow(6), entries=entries))
    assert await reader.about_note(about, limit=10) == [entries[1], entries[4]]
    assert await reader.about_note(about, limit=1) == [entries[1]]
    assert await reader.about_note(digest_of(2), limit=10) == [entries[3]]
    assert await reader.about_note("", limit=10) == []


def test_a_batch_may_be_of_records_alone(store):
    log = GrowingLog()
    commit(store, replace(log.grow(), inbox=(), contents=(), wraps=(), cells=()))
    assert store.writer.head() == log.head


TEXTS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E))


# An id is ASCII without controls (words.ids); PostgreSQL's text has no NUL.
SCOPES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(st.binary(), st.binary(), st.binary(), TEXTS, SCOPES)
@example(b"", b"", b"", "", "scope\u00e9 \u2028 \U0001f1e8")
@example(b"\0\xff", b"null", b"\xc3", "~", "\x01")
def test_fields_come_back_byte_for_byte(lasting, statement, facts, urgency, actor, scope):
    previous = lasting.writer.head()
    index = previous.size if previous else 0
    row = entry_row(
        index,
        statement=statement,
        facts=facts,
        urgency=urgency,
        actor=actor.encode("ascii"),
        scope=scope,
    )
    lasting.writer.commit(Batch(previous, head_of(index + 1), [row], {}, []))
    assert read(lasting, lambda reader: reader.entries(index, index + 1)) == [row]


POSITIONS = st.tuples(st.integers(0, 5), st.integers(0, 5))


@given(st.sets(POSITIONS), POSITIONS, st.integers(1, 7))
def test_an_inbox_is_paged_in_order_without_gap_or_repeat(lasting, positions, after, limit):
    previous = lasting.writer.head()
    index = previous.size if previous else 0
    member = f"member-{index}"
    levels = ("flash", "routine")
    rows = [InboxRow(member, pos, n, "note", levels[(pos + n) % 2]) for pos, n in positions]
    other = [InboxRow(f"other-{index}", pos, note, "note", "FLASH") for pos, note in positions]
    lasting.writer.commit(
        Batch(previous, head_of(index + 1), [entry_row(index)], {}, [], inbox=[*other, *rows])
    )

    async def walk(ask):
        found = []
        at = after
        while some := await ask(after=at, limit=limit):
            assert len(some) <= limit
            found += some
            at = (some[-1].pos, some[-1].note_index)
        return found

    async def page(reader):
        lanes = [await walk(partial(reader.lane, member, level)) for level in levels]
        found = await walk(partial(reader.inbox, member))
        return found, lanes, await reader.last_position(member)

    found, lanes, last = read(lasting, page)
    assert lanes == [[row for row in found if row.precedence == level] for level in levels]
    expected = sorted(at for at in positions if at > after)
    assert [(row.pos, row.note_index) for row in found] == expected
    assert set(found) <= set(rows)
    assert last == max(positions, default=None)


# The head


def test_a_batch_that_continues_another_head_writes_nothing(store):
    log = GrowingLog()
    commit(store, log.grow(), log.grow())
    before = store.dump()
    nxt = log.grow()
    assert nxt.previous is not None
    for previous in (
        None,
        log.batches[0].head,
        replace(nxt.previous, root=bytes(32)),
        replace(nxt.previous, at=1),
    ):
        with pytest.raises(HeadMoved, match="the head is Head"):
            store.writer.commit(replace(nxt, previous=previous))
        assert store.dump() == before
    commit(store, nxt)
    assert store.writer.head() == nxt.head


def test_a_first_batch_needs_an_empty_store(store):
    log = GrowingLog(head=head_of(1))
    with pytest.raises(HeadMoved, match="the head is None"):
        store.writer.commit(log.grow())
    assert store.writer.head() is None


def test_of_two_writers_one_continues_and_the_other_sees_that_the_head_moved(store):
    other = SqlWriter(store.url)
    mine, theirs = GrowingLog().grow(1), GrowingLog().grow(2)
    outcomes = []
    ready = threading.Barrier(2)

    def run(writer, batch):
        ready.wait()
        try:
            writer.commit(batch)
            outcomes.append(batch.head)
        except HeadMoved:
            outcomes.append(None)

    threads = [
        threading.Thread(target=run, args=pair) for pair in ((store.writer, mine), (other, theirs))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (head,) = (outcome for outcome in outcomes if outcome is not None)
    assert len(outcomes) == 2
    assert store.writer.head() == other.head() == head
    other.close()


async def test_readers_see_the_last_commit_while_the_next_is_under_way(store, reader):
    log = GrowingLog()
    commit(store, log.grow())
    seen = []

    def look(*_):
        seen.append(read(store, lambda other: other.head()))

    event.listen(store.writer._engine, "commit", look)
    await asyncio.to_thread(commit, store, log.grow())
    assert seen == [log.batches[0].head]
    assert await reader.head() == log.head


# It failed


class Injected(Exception):
    """What a test raises inside of a commit."""


STATEMENTS = ("head", *TABLES)


@asynccontextmanager
async def failing(store, name, handler):
    event.listen(store.writer._engine, name, handler)
    try:
        yield
    finally:
        event.remove(store.writer._engine, name, handler)


@pytest.mark.parametrize("table", STATEMENTS)
async def test_it_failed_at_any_write_and_nothing_was_written(store, table):
    log = GrowingLog()
    commit(store, log.grow(2))
    before = store.dump()
    batch = log.grow(2)
    reached = []

    def fail(_connection, _cursor, statement, *_):
        if statement.startswith(f"INSERT INTO {table} "):
            reached.append(statement)
            raise Injected

    async with failing(store, "before_cursor_execute", fail):
        with pytest.raises(Injected):
            store.writer.commit(batch)
    assert len(reached) == 1
    assert store.dump() == before
    assert store.writer.head() == batch.previous
    commit(store, batch)
    assert store.writer.head() == batch.head


async def test_it_failed_before_the_commit_and_nothing_was_written(store, reader):
    batch = GrowingLog().grow(2)

    def fail(_connection):
        raise Injected

    async with failing(store, "commit", fail):
        with pytest.raises(Injected):
            store.writer.commit(batch)
    assert store.writer.head() is None
    assert await reader.head() is None
    commit(store, batch)
    assert await reader.head() == batch.head


def test_it_failed_but_was_persisted_and_the_head_says_so(store, monkeypatch):
    batch = GrowingLog().grow(2)
    dialect = store.writer._engine.dialect
    do_commit = dialect.do_commit

    def fail(connection):
        do_commit(connection)
        raise Injected

    with monkeypatch.context() as patch:
        patch.setattr(dialect, "do_commit", fail)
        with pytest.raises(Injected):
            store.writer.commit(batch)
    assert store.writer.head() == batch.head
    assert len(store.dump()["entries"]) == 2
    with pytest.raises(HeadMoved):
        store.writer.commit(batch)


def test_a_row_that_is_there_already_fails_the_whole_batch(store):
    log = GrowingLog()
    commit(store, log.grow())
    batch = log.grow()
    before = store.dump()
    for broken in (
        replace(batch, contents=[ContentRow(0, b"other")]),
        replace(batch, entries=[replace(batch.entries[0], index=0)]),
        replace(batch, entries=[replace(batch.entries[0], digest=digest_of(0))]),
        replace(batch, entries=[entry_row(1, n=1)]),
        replace(batch, inbox=[InboxRow(MEMBER, 0, 0, "note", "FLASH")]),
    ):
        with pytest.raises(IntegrityError) as caught:
            store.writer.commit(broken)
        assert "canary" not in str(caught.value), "an error shows no leaf key"
        assert store.dump() == before
    commit(store, batch)
    assert store.writer.head() == batch.head


def test_an_error_of_the_database_is_handed_on(store):
    batch = GrowingLog().grow()
    broken = replace(batch, contents=[ContentRow(0, object())])  # type: ignore[arg-type]
    with pytest.raises(DBAPIError):
        store.writer.commit(broken)
    commit(store, batch)
    assert store.writer.head() == batch.head
