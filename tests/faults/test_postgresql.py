"""A node on PostgreSQL: whole over HTTP, one process a database, crashes of either side, passwords."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from liaison import main
from liaison.adapters.sql import engines
from liaison.adapters.sql.source import StoreSource
from liaison.adapters.sql.urls import shown
from liaison.adapters.sql.writer import SqlWriter
from liaison.audit.walk import replay, verify
from liaison.node.sequencer import Fatal
from liaison.statements.payloads import Verdict
from liaison.words.encoding import from_base64, to_base64url
from liaison.words.errors import GuardRefused
from liaison.words.times import MINUTE
from tests.cli.screen import Screen
from tests.faults.field import ANCHORS, Evidence, Field, check_roots
from tests.faults.process import Process, SteadyClock, environment
from tests.faults.writers import BrokenWriter
from tests.node.line import live_line, send
from tests.node.live import HandClock, LiveNode, live_node, settings_in
from tests.node.test_timers import RUNGS
from tests.postgresql import Server, name_of
from tests.timed import WITH_DEPUTY
from tests.world import ANNA, DORA, MOD, MemoryWorld, signing

PASSWORD = "canary-password"
Opened = Callable[..., tuple[Path, MemoryWorld]]


def point(home: Path, database: str) -> Path:
    """Have the node in ``home`` keep its log in this database."""
    home.mkdir(exist_ok=True)
    (home / "node.toml").write_text(f'database = "{database}"\n')
    return home


@pytest.fixture(scope="module")
def _pg_opened(
    postgresql: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, MemoryWorld, str]:
    async def open_channel() -> MemoryWorld:
        async with live_node(home) as node:
            await node.open_channel()
            return node.world

    url = postgresql.empty()
    home = point(tmp_path_factory.mktemp("opened") / "home", url)
    return home, asyncio.run(open_channel()), url


@pytest.fixture
def opened(postgresql: Server, _pg_opened: tuple[Path, MemoryWorld, str], tmp_path: Path) -> Opened:
    """Return what makes a home, and its database, whose node has an open channel."""

    def make(name: str = "home") -> tuple[Path, MemoryWorld]:
        home, world, url = _pg_opened
        shutil.copytree(home, tmp_path / name)
        return point(tmp_path / name, postgresql.copy(url)), world.copy()

    return make


@pytest.fixture
async def node(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveNode]:
    """A node in this process, over a writer that fails on demand."""
    monkeypatch.setattr(main, "SqlWriter", BrokenWriter)
    home, world = opened()
    with contextlib.suppress(Fatal):
        async with live_node(home, HandClock()) as live:
            live.world = world
            yield live


def writer_of(node: LiveNode) -> BrokenWriter:
    writer = node.running.services.sequencer.writer
    assert isinstance(writer, BrokenWriter)
    return writer


def next_note(node: LiveNode) -> Any:
    return node.note(serial=node.world.next_serial(signing(f"{ANNA}/1"), MOD))


async def items(node: LiveNode, member: str = DORA) -> list[dict[str, Any]]:
    _, page = await node.get("/v1/inbox", await node.token(member))
    found: list[dict[str, Any]] = page["items"]
    return found


# One log, from beginning to audit


async def test_a_log_in_postgresql_is_written_read_taken_up_and_audited(
    postgresql: Server, tmp_path: Path
) -> None:
    home = point(tmp_path / "home", postgresql.empty())
    async with live_line(home) as node:
        world, clock = node.world, node.clock
        note = await send(node, world.note(to=WITH_DEPUTY))
        await node.accept(world.answer(DORA, Verdict.DELIVERED, note))
        assert [item["kind"] for item in await items(node)] == ["note"]
        path = f"/v1/notes/{to_base64url(from_base64(note))}/content"
        status, content = await node.get(path, await node.token(DORA))
        assert (status, "ciphertext" in content) == (200, True)
        head = node.running.services.sequencer.published.head
    assert not (home / "node.db").exists()
    async with live_node(home, clock) as node:
        node.world = world
        assert node.running.services.sequencer.published.head == head
        await node.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note))
        # A note that nobody takes on: what is due is found by an index, and committed like the rest.
        await send(node, world.note(to=WITH_DEPUTY))
        clock.advance(17 * MINUTE)
        fired = await node.running.services.timers.fire_due()
        assert fired == len(RUNGS)
    for audit in (verify, replay):
        source = StoreSource(settings_in(home).database)
        report = await audit(source, ANCHORS, now=clock.now())
        await source.close()
        assert report.exit_code == 0, report.to_text()
        assert report.size == head.size + 2 + fired


async def test_a_failed_commit_changes_nothing_and_the_same_bytes_are_accepted_after(
    node: LiveNode,
) -> None:
    before = await node.get("/log/checkpoint")
    note = next_note(node)
    writer_of(node).fails_before = True
    status, problem = await node.post(**note.parts)
    assert (status, problem["code"], problem["safe"]) == (
        503,
        "commit-failed",
        "nothing of it happened",
    )
    assert await node.get("/log/checkpoint") == before
    assert await items(node) == []
    assert (await node.post(**note.parts))[0] == 201
    assert len(await items(node)) == 1


async def test_a_commit_that_failed_but_was_persisted_gives_its_receipt(node: LiveNode) -> None:
    writer_of(node).fails_after = True
    sent, proved = await node.send()
    assert proved.record().statement == sent.statement.raw
    assert not writer_of(node).fails_after
    assert len(await items(node)) == 1
    _, after = await node.send()
    assert after.index == proved.index + 1


async def test_a_node_whose_connections_were_lost_goes_on(
    node: LiveNode, postgresql: Server, tmp_path: Path
) -> None:
    database = name_of(settings_in(tmp_path / "home").database)
    await node.send()
    postgresql.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", database
    )
    note = next_note(node)
    status, problem = await node.post(**note.parts)
    assert (status, problem["code"]) == (503, "commit-failed")
    assert (await node.post(**note.parts))[0] == 201
    assert len(await items(node)) == 2


# Two processes, one database


async def test_a_second_node_on_the_database_is_refused_and_the_first_goes_on(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_BUSY_S", 0.05)
    home, world = opened()
    shutil.copytree(home, tmp_path / "copy")  # its guard's lock is another
    async with live_node(home) as node:
        node.world = world
        with pytest.raises(GuardRefused, match="is in use: another instance serves its log"):
            async with live_node(tmp_path / "copy"):
                pytest.fail("it served")
        await node.send()
    async with live_node(tmp_path / "copy") as node:
        node.world = world
        await node.send()
    # Now the first one's guard is behind the store, which is no harm: it takes the log up as it is.
    async with live_node(home) as node:
        node.world = world
        await node.send()


async def test_two_nodes_that_both_serve_one_database_never_sign_two_histories(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if neither had noticed the other: what each signs is what the one head's lock let in."""
    monkeypatch.setattr(main, "SqlWriter", lambda url, alone: SqlWriter(url))
    home, world = opened()
    shutil.copytree(home, tmp_path / "copy")
    evidence = Evidence()
    ended: list[str] = []

    async def serve(place: Path, ready: asyncio.Barrier, by: str) -> list[str]:
        """Send until the node ends; return the receipts."""
        receipts: list[str] = []
        with contextlib.suppress(Fatal):
            async with live_node(place) as node:
                node.world = world.copy()
                await ready.wait()
                for _ in range(3):
                    sent = node.note(by)
                    status, text = await node.post(**sent.parts)
                    if status != 201:
                        assert (status, text["code"]) in ((500, "error"), (503, "busy"))
                        with pytest.raises(Fatal, match="another process wrote to this log"):
                            await asyncio.wait_for(asyncio.shield(node.running.ended), 10)
                        ended.append(place.name)
                        break
                    node.world.accept(sent.statement)
                    receipts.append(text)
                    evidence.take((await node.get("/log/checkpoint"))[1].decode())
        return receipts

    ready = asyncio.Barrier(2)
    with capture_logs():  # to draw the end of one with all its locals takes seconds
        both = await asyncio.gather(serve(home, ready, ANNA), serve(tmp_path / "copy", ready, DORA))
    assert len(ended) == 1, "who committed second found that the head had moved"
    places = [evidence.receipt(text).index for receipts in both for text in receipts]
    assert len(places) == len(set(places)) == 3
    for place in (home, tmp_path / "copy"):
        async with live_node(place) as node:
            await check_roots(node.http, node.running.url, evidence)


async def test_a_crash_of_the_server_under_load_loses_and_doubles_nothing(
    opened: Opened, postgresql: Server
) -> None:
    home, world = opened()
    field = Field(world, SteadyClock.start())
    field.stock(60)
    node = await Process.start(home, field.clock)
    load = asyncio.create_task(field.load(node.url))
    async with asyncio.timeout(30):
        while len(field.held) < 15:  # noqa: ASYNC110 it has no event
            await asyncio.sleep(0.01)
    ((backend,),) = postgresql.run("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")
    os.kill(backend, signal.SIGKILL)  # the server then ends all its processes, and recovers
    assert await node.ended(30) == 1, "who can't read the store after a failed commit is not sure"
    await asyncio.wait_for(load, 10)
    postgresql.wait()
    assert "can't be re" in node.journal.read_text()  # ...ad, or ...ached
    again = await Process.start(home, field.clock)
    await field.settle(again.url)
    await again.kill()
    await field.audit(home)


# The command line


@contextlib.contextmanager
def serving(home: Path, journal: Path) -> Iterator[str]:
    """Run ``node serve`` in a process of its own; give its URL."""
    said = ("--home", str(home), "node", "serve", "--listen", "127.0.0.1:0")
    with journal.open("ab") as stderr:
        child = subprocess.Popen(
            [sys.executable, "-m", "liaison.cli", *said],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment(),
        )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line.startswith("serving "), journal.read_text()
        yield line.removeprefix("serving ").strip()
        child.terminate()
        assert (child.communicate(timeout=20)[0], child.returncode) == ("", 0)
    finally:
        child.kill()
        child.communicate()


def test_the_commands_begin_serve_audit_and_retire_a_log_and_tell_no_password(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_BUSY_S", 0.2)
    postgresql.run(f"ALTER ROLE guarded PASSWORD '{PASSWORD}'")
    name, other = name_of(postgresql.empty()), postgresql.empty()
    postgresql.run(f"ALTER DATABASE {name} OWNER TO guarded")
    database = f"postgresql://guarded:{PASSWORD}@/{name}?host={postgresql.folder}"
    screen = Screen(tmp_path, monkeypatch)
    home, second, successor = (tmp_path / name for name in ("home", "second", "successor"))
    journal = tmp_path / "journal"
    begin = ("node", "init", "--origin", "node.example/log", "--database")

    def run(*words: str | Path) -> tuple[int, str]:
        code, said = screen.run([str(word) for word in words])
        return code, " ".join(said.split())

    code, told = run("--home", home, *begin, database.replace(PASSWORD, "canary-wrong"))
    assert code == 1
    assert f"The database {shown(database)} can't be reached" in told
    assert 'password authentication failed for user "guarded"' in told
    assert not (home / "keys").exists()
    code, told = run("--home", home, *begin, database)
    assert code == 0, told
    assert stat.S_IMODE((home / "node.toml").stat().st_mode) == 0o600
    assert {path.name for path in home.iterdir()} == {"guard", "keys", "node.liaison", "node.toml"}

    code, told = run("--home", second, *begin, database)
    assert code == 1
    assert "there is a log in this database already · nothing was changed" in told
    assert not (second / "keys").exists()

    with serving(home, journal) as url:
        card = ("--node", home / "node.liaison", "--key", home / "keys" / "administrator.key")
        code, told = run("audit", "verify", url, *card)
        assert code == 0, told
        shutil.copytree(home, tmp_path / "copy")
        code, told = run("--home", tmp_path / "copy", "node", "serve", "--listen", "127.0.0.1:0")
        assert code == 3
        assert "is in use: another instance serves its log" in told
    for command in ("verify", "replay"):
        code, told = run("audit", command, home)
        assert (code, "As it must be." in told) == (0, True), told
    code, told = run("audit", "verify", home, "--database", other)
    assert code == 1
    code, told = run("--home", home, "node", "settings")
    assert code == 0, told

    retire = ("node", "retire", "--origin", "node.example/log-2", "--successor", successor)
    code, told = run("--home", home, *retire, "--successor-database", database)
    assert code == 1
    assert "there is a log in this database already" in told
    code, told = run("--home", home, *retire, "--successor-database", other)
    assert code == 0, told
    code, told = run("audit", "replay", successor)
    assert code == 0, told
    with serving(successor, journal):
        pass

    assert not any("canary" in text for text in screen.said)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [
        path.relative_to(tmp_path).as_posix() for path in kept if b"canary" in path.read_bytes()
    ] == [
        "home/node.toml",
        "copy/node.toml",
    ]
