"""Backups under fire: while the node takes notes, and killed at each step of writing or restoring one."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from liaison.adapters.guard import peek
from liaison.adapters.newfile import drafted
from liaison.adapters.sql import backup
from liaison.cli.audit import anchors_in
from liaison.cli.checkup import Depth, check_whole, standing
from liaison.words.errors import NotReady
from tests.cli.screen import Screen
from tests.faults.process import environment
from tests.node.live import HandClock, live_node
from tests.world import MemoryWorld

Opened = Callable[..., tuple[Path, MemoryWorld]]


def silent(done: int, total: int) -> None:
    """Tell nobody."""


def whole(home: Path, file: Path) -> int:
    """Return how many entries a backup has, every one of them recomputed and decided anew."""
    stands, _ = check_whole(file, anchors_in(home / "node.liaison"), Depth.REPLAY, silent)
    return stands.head.size


def head_of(home: Path) -> int:
    return standing(f"sqlite:///{home / 'node.db'}").head.size


def copied(home: Path, file: Path) -> Path:
    file.touch()
    backup.copy_store(home / "node.db", file, silent)
    return file


async def _one_more(home: Path, world: MemoryWorld) -> None:
    async with live_node(home, HandClock()) as node:
        node.world = world
        await node.send()


async def test_a_copy_taken_while_notes_come_in_is_of_one_moment_and_keeps_nobody_waiting(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PAGES_AT_ONCE", 4)
    home, world = opened()
    before = len(world.records)
    sent: list[int] = []
    draft = tmp_path / "B"
    draft.touch()
    async with live_node(home, HandClock()) as node:
        node.world = world
        loop = asyncio.get_running_loop()

        def tell(done: int, total: int) -> None:
            # Between two steps of the copying a note is accepted, and its sender has a receipt.
            _, receipt = asyncio.run_coroutine_threadsafe(node.send(), loop).result(30)
            sent.append(receipt.index)

        await asyncio.to_thread(backup.copy_store, home / "node.db", draft, tell)
    assert sent == list(range(before, before + len(sent)))
    assert len(sent) >= 3
    assert await asyncio.to_thread(whole, home, draft) == before
    assert await asyncio.to_thread(head_of, home) == before + len(sent)


def die(points: str, *words: str) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "tests.faults.dying", points, *words),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_backup_that_is_killed_has_no_name_and_the_next_one_clears_up(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = opened()
    screen = Screen(tmp_path, monkeypatch)
    store, points = (home / "node.db").read_bytes(), ("pages", "entries", "named")
    die(",".join(points), "--home", str(home), "node", "backup", str(tmp_path / "{}"))
    for point in points:
        (left,) = tmp_path.glob(f"*{point}*")
        assert re.fullmatch(rf"\.{point}\.[0-9a-f]+\.new", left.name)
        screen.ok(f"--home {home} node backup {tmp_path / point}")
        assert [path.name for path in tmp_path.glob(f"*{point}*")] == [point]
        assert whole(home, tmp_path / point) == head_of(home)
    assert (home / "node.db").read_bytes() == store


def test_a_restore_that_is_killed_leaves_a_whole_store_and_never_touches_the_guard(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, world = opened()
    file = copied(home, tmp_path / "B")
    asyncio.run(_one_more(home, world))
    size, guard = head_of(home), (home / "guard").read_bytes()
    points = ("pages", "entries", "linked")
    for point in points:
        shutil.copytree(home, tmp_path / f"N-{point}")
    die(",".join(points), "--home", str(tmp_path / "N-{}"), "node", "restore", str(file), "--yes")
    screen = Screen(tmp_path, monkeypatch)
    for point in points:
        home = tmp_path / f"N-{point}"
        assert list(home.glob("node.db.restoring")), "it had begun"
        assert (home / "guard").read_bytes() == guard
        # The store in place is whole, and still the newer one.
        assert head_of(home) == size
        assert standing(f"sqlite:///{home / 'node.db'}", peek(home / "guard")[0]).holds
        shown = screen.ok(f"--home {home} node restore {file} --yes")
        assert "Serving WILL BE REFUSED" in shown
        assert not list(home.glob("*.restoring*"))
        assert whole(home, home / "node.db") == size - 1
        assert (home / "guard").read_bytes() == guard
        assert screen.type(f"--home {home} node serve --listen 127.0.0.1:0")[0] == 3


def test_a_disk_that_fills_up_meanwhile_leaves_no_file(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says it itself, as it does on a disk: the copy may have no more than three pages."""
    home, _ = opened()
    connect = sqlite3.connect

    def small(database: str | Path, **said: bool) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(database, **said)  # type: ignore[call-overload]
        if not said:  # the copy's
            connection.execute("PRAGMA max_page_count = 3")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", small)
        with pytest.raises(NotReady, match="is full"), drafted(tmp_path / "B") as draft:
            backup.copy_store(home / "node.db", draft, silent)
    assert not list(tmp_path.glob("*B*"))
    with drafted(tmp_path / "B") as draft:
        backup.copy_store(home / "node.db", draft, silent)
    assert whole(home, tmp_path / "B") == head_of(home)


def test_as_a_service_a_node_is_ready_gives_signs_of_life_is_backed_up_and_stops(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command as the unit starts it, with the socket that systemd would give it."""
    home, _ = opened()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        given = {
            "LIAISON_HOME": str(home),
            "LIAISON_NODE_LISTEN": "127.0.0.1:0",
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "200000",
        }
        with (tmp_path / "journal").open("w") as journal:
            node = subprocess.Popen(
                (sys.executable, "-m", "liaison.cli", "node", "serve"),
                env={**environment(), **given},
                stdout=subprocess.PIPE,
                stderr=journal,
                text=True,
            )
        try:
            assert node.stdout is not None
            url = node.stdout.readline().removeprefix("serving ").strip()
            assert manager.recv(4096).decode() == f"READY=1\nSTATUS=serving {url}"
            assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            monkeypatch.setenv("LIAISON_NODE_LISTEN", url.removeprefix("http://"))
            screen = Screen(tmp_path, monkeypatch)
            screen.ok(f"--home {home} node backup {tmp_path / 'B'}")
            assert "ready on 127.0.0.1:" in screen.type(f"--home {home} node check")[1]
            assert screen.type(f"--home {home} node restore {tmp_path / 'B'} --yes")[0] == 3
            node.terminate()
            told = [manager.recv(4096)]
            while told[-1] == b"WATCHDOG=1":
                told.append(manager.recv(4096))
            assert told[-1] == b"STOPPING=1"
            assert node.wait(60) == 0
        finally:
            node.kill()
            node.communicate()
    assert os.environ.get("NOTIFY_SOCKET") is None
    assert whole(home, tmp_path / "B") == head_of(home)
