"""Keeping a node: docs/administering.md is typed at a real node, then each command is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from liaison.adapters.clock import SystemClock
from liaison.adapters.disk import Disk
from liaison.cli import checkup
from liaison.main import run_node
from liaison.settings import NAMES, load_settings
from liaison.words.times import DAY, HOUR
from tests.cli.screen import Screen, steady
from tests.server.certificates import Ca

PAGE = Path(__file__).parents[2] / "docs" / "administering.md"
NOT_RUN = ("useradd ", "install ", "python3 -m venv ", "/opt/", "ln ", "systemctl ", "rsync ")
"""What needs root, a service manager, a second machine."""
SHELL = ("cp ", "mv ", "mkdir ", "rm ", "tar ", "ls ")


@dataclass(frozen=True)
class Line:
    command: str
    exit_code: int = 0


def page() -> dict[str, list[Line]]:
    """Return the commands of the page by the section that they stand in."""
    sections: dict[str, list[Line]] = {}
    lines: list[Line] = []
    for text in PAGE.read_text().splitlines():
        if text.startswith("#"):
            lines = sections.setdefault(text.lstrip("# "), [])
        elif text.startswith("    "):
            command, _, told = text.strip().partition("    ")
            lines.append(Line(command, int(told.removeprefix("exit ")) if told else 0))
    return {title: lines for title, lines in sections.items() if lines}


@dataclass
class LateClock:
    """The machine's clocks, of which the wall clock can jump."""

    by: int = 0

    def now(self) -> int:
        return SystemClock().now() + self.by

    def since_boot(self) -> int:
        return SystemClock().since_boot()


@dataclass
class Place:
    """A machine of a test: the page's paths are folders in it."""

    screen: Screen
    folder: Path
    clock: LateClock = field(default_factory=LateClock)
    typed: list[str] = field(default_factory=list)
    names: dict[str, Path] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "var/lib/liaison"

    def here(self, command: str) -> str:
        for name, path in self.names.items():
            command = command.replace(f"/var/backups/liaison/{name}.backup", str(path))
        return re.sub(r"(?<![\w.])/(?=var/|mnt/|media/)", f"{self.folder}/", command)

    def type(self, line: Line) -> str:
        """Type a line of the page; return what it showed."""
        command = self.here(line.command)
        if line.command.startswith("liaison "):
            code, shown = self.screen.run(shlex.split(command)[1:])
            assert code == line.exit_code, f"{line.command}: {code}\n{shown}"
            self.typed.append(line.command)
            self.names["NEWEST"] = max(
                self.folder.glob("var/backups/liaison/*.backup"), default=Path()
            )
            return shown
        if line.command.startswith(SHELL):
            done = subprocess.run(
                ("sh", "-c", command), capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line.command}: {done.stderr}"
            return done.stdout
        assert line.command.startswith(NOT_RUN), line.command
        return ""

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve as the unit would, from a thread, with the settings that its commands find."""
        settings = load_settings(self.home, environment=os.environ).settings
        ready = threading.Event()
        stop: list[Any] = []

        async def serve() -> None:
            stopped = asyncio.Event()
            stop.extend((asyncio.get_running_loop(), stopped))
            async with run_node(settings, clock=self.clock):
                ready.set()
                await stopped.wait()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert ready.wait(30)
        try:
            yield
        finally:
            loop, stopped = stop
            loop.call_soon_threadsafe(stopped.set)
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def place(screen, tmp_path, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    for name in list(os.environ):
        if name.startswith("LIAISON_NODE_"):
            monkeypatch.delenv(name)
    made = Place(screen, tmp_path)
    monkeypatch.setenv("LIAISON_HOME", str(made.home))
    monkeypatch.setenv("LIAISON_NODE_LISTEN", listen)
    monkeypatch.setenv("LIAISON_URL", f"http://{listen}")
    for folder in ("var/lib/liaison", "mnt/second/liaison", "var/backups/liaison", "media/safe"):
        (tmp_path / folder).mkdir(mode=0o700, parents=True)
    return made


def new_parties(place: Place) -> None:
    for party in ("mod", "fco"):
        place.screen.ok(f"--home {party} party new {party}.example")
        shutil.copy(place.folder / party / f"{party}.party", place.folder)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    return tmp_path_factory.mktemp("node") / "made"


@pytest.fixture
def node(place, made_once):
    """A node that has begun and admitted a party, and doesn't serve. Made once, then copied."""
    if not made_once.exists():
        new_parties(place)
        place.screen.ok("node init --origin node.example/log --guard mnt/second/liaison/guard")
        with place.serving():
            place.screen.ok("node admit mod.party")
        shutil.copytree(place.folder, made_once)
    else:
        shutil.copytree(made_once, place.folder, dirs_exist_ok=True)
        guard = place.folder / "mnt/second/liaison/guard"
        (place.home / "node.toml").write_text(f'guard = "{guard}"\n')
    place.screen.said.clear()
    return place


def test_every_command_of_the_page_does_what_the_page_says(place, monkeypatch):
    sections = page()
    assert list(sections) == [
        "Day one",
        "Each week",
        "Each year",
        "The disk is full",
        "The guard refuses a restored backup",
        "The clock jumped",
    ]
    new_parties(place)
    _day_one(place, sections["Day one"])
    with place.serving():
        for line in sections["Each week"]:
            place.type(line)
        for line in sections["Each year"]:
            place.type(line)
        _disk_full(place, sections["The disk is full"], monkeypatch)
        _clock_jumped(place, sections["The clock jumped"])
    _guard_refuses(place, sections["The guard refuses a restored backup"])
    written = [line.command for lines in sections.values() for line in lines]
    assert sorted(place.typed) == sorted(c for c in written if c.startswith("liaison "))


def test_the_page_has_every_setting():
    text = PAGE.read_text()
    for name in NAMES:
        assert f"`{name} = " in text or f", `{name}" in text, name
        assert f"`LIAISON_NODE_{name.upper()}`" in text, name


def _day_one(place: Place, lines: list[Line]) -> None:
    started = next(i for i, line in enumerate(lines) if "enable --now" in line.command)
    for line in lines[:started]:
        shown = place.type(line)
        if "settings" in line.command:
            assert re.search(r"guard +mnt/second/liaison/guard +guard in \S+node.toml", shown)
            assert re.search(r"listen +127\.0\.0\.1:\d+ +LIAISON_NODE_LISTEN", shown)
    with place.serving():
        for line in lines[started:]:
            shown = place.type(line)
            if "doctor" in line.command:
                assert "ready on 127.0.0.1:" in shown
            if " backup " in line.command:
                place.names["OLD"] = place.names["NEWEST"]
                assert stat.S_IMODE(place.names["OLD"].stat().st_mode) == 0o600
                assert "the guard, " in shown
            if " admit " in line.command:
                assert shown == "mod.example is admitted.\n" or "mod.example (" in shown
        assert "https://node.example" in (place.home / "node.liaison").read_text()


class ShortDisk(Disk):
    def free_bytes(self) -> int:
        return 5 * checkup.MIB


def _disk_full(place: Place, lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    (place.home / "node.db.replaced-20261124T000000Z").write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(checkup, "Disk", ShortDisk)  # the command's look, not the node's
        shown = place.type(lines[0])
        assert "BAD   disk       5 MiB free in var/lib/liaison: new notes below FLASH are" in shown
        assert "→ make room now, around the store; never delete node.db-wal" in shown
        assert "node.db.replaced-20261124T000000Z" in shown
    for line in lines[1:]:
        shown = place.type(line)
        assert not line.command.startswith("liaison") or shown.endswith("Nothing is bad.\n")


def _clock_jumped(place: Place, lines: list[Line]) -> None:
    assert [line.exit_code for line in lines] == [1, 0, 0]
    place.clock.by -= HOUR
    shown = place.type(lines[0])
    assert "not ready: the clock stepped by -3600.0 s against the boot clock" in shown
    assert "→ set the clock right, or confirm it: liaison node confirm-time" in shown
    assert shown.endswith("BAD: service.\n")
    place.type(lines[1])
    assert "ready on" in place.type(lines[2])
    place.clock.by += HOUR


def _guard_refuses(place: Place, lines: list[Line]) -> None:
    guard = place.folder / "mnt/second/liaison/guard"
    place.screen.ok("node backup var/backups/liaison")  # what the page's reader finds elsewhere
    place.names["NEWEST"] = max(place.folder.glob("var/backups/liaison/*.backup"))
    for end in ("", "-wal", "-shm"):
        Path(f"{place.home}/node.db{end}").unlink(missing_ok=True)
    restore, serve, doctor, newest, doctor_again, again, *retire = lines
    before = guard.read_bytes()
    shown = place.type(restore)
    assert guard.read_bytes() == before
    assert "Serving WILL BE REFUSED" in shown
    assert "As things are, serving is refused (exit 3)" in shown
    assert "the store does not hold what this log may have signed" in place.type(serve)
    shown = place.type(doctor)
    assert re.search(
        r"BAD   guard      it has \d+ entries \(root .*does not hold: serving is refused", shown
    )
    shown = place.type(newest)
    assert "The backup holds what the guard has: the node will serve." in shown
    assert "What it replaced is kept: " in shown
    assert "Nothing is bad." in place.type(doctor_again)
    shown = place.type(again)
    assert "The store in place is NEWER, and the guard agrees with it" in shown
    assert "node.example/log is retired" in place.type(retire[0])
    for line in retire[1:]:
        shown = place.type(line)
        assert "As it must be." in shown or "Nothing is bad." in shown


# Backup


def files(folder: Path) -> dict[str, bytes]:
    """Return what stands in a folder. Who looks into a store may leave an empty WAL, and its index."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }
    return {name: data for name, data in found.items() if data or not name.endswith("-wal")}


def test_a_backup_says_what_is_in_it_and_what_is_not_the_guard_first(node):
    shown = node.screen.ok("node backup B")
    lines = shown.splitlines()
    assert re.fullmatch(r"BACKED UP 3 entries \(root .{12}…\), up to DTG\.", lines[0])
    assert re.fullmatch(
        r"It is B, 0\.1 MiB\. Checked: its pages, each opening, signature and tile, its root\.",
        lines[1],
    )
    assert lines[2].startswith("It is on the disk of the store: copy it to another one")
    assert lines[3:] == [
        "Not in it, and never to be put with it:",
        "  the guard, mnt/second/liaison/guard: what keeps an old backup from signing a second history.",
        "Not in it, to be kept elsewhere:",
        "  the three keys in var/lib/liaison/keys: without them nobody goes on with this log;",
        (
            "  the card var/lib/liaison/node.liaison and the settings (var/lib/liaison/node.toml, "
            "service, proxy)."
        ),
        "It names who wrote to whom and when, never what: keep it as closed as the store.",
    ]
    assert "each record decided anew" in node.screen.ok("node backup C --check replay")
    assert "Checked: its pages, and its root" in node.screen.ok("node backup D --check pages")
    assert sorted(p.name for p in node.folder.glob("[BCD]*")) == ["B", "C", "D"]  # nothing beside
    seeds = [path.read_bytes().split()[-1] for path in (node.home / "keys").iterdir()]
    assert not any(seed in (node.folder / "B").read_bytes() for seed in seeds)


def test_a_backup_takes_no_file_s_place(node):
    (node.folder / "B").write_text("mine")
    assert node.screen.type("node backup B") == (
        1,
        "There is a file at B already · it was not touched · name a new file (not-ready)\n",
    )
    assert (node.folder / "B").read_text() == "mine"
    code, shown = node.screen.type("node backup nowhere/B")
    assert (code, shown.endswith("(not-ready)\n")) == (1, True)


def test_in_a_directory_the_oldest_of_this_log_s_are_deleted_and_no_others(node):
    folder = node.folder / "var/backups/liaison"
    for name in (
        "node.example_log-20200101T000000Z.backup",
        "node.example_log-20200102T000000Z.backup",
        "node.example_log-20200101T000000Z.backup.gpg",
        "other.example_log-20200101T000000Z.backup",
    ):
        (folder / name).write_text("")
    shown = node.screen.ok(f"node backup {folder} --keep 2")
    assert "Deleted var/backups/liaison/node.example_log-20200101T000000Z.backup" in shown
    names = sorted(path.name for path in folder.iterdir())
    assert names[0:2] == [
        "node.example_log-20200101T000000Z.backup.gpg",
        "node.example_log-20200102T000000Z.backup",
    ]
    assert names[3] == "other.example_log-20200101T000000Z.backup"
    assert len(names) == 4
    code, shown = node.screen.type("node backup B --keep 2")
    assert (code, "B is not a directory" in shown) == (1, True)


def test_where_there_is_no_room_nothing_is_written(node, monkeypatch):
    usage = shutil.disk_usage(node.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    code, shown = node.screen.type("node backup B")
    assert code == 1
    assert "100 bytes are free" in shown
    assert "nothing was written · make room, or name another place (not-ready)" in shown
    assert not list(node.folder.glob("*B*"))


def test_a_store_in_postgresql_is_backed_up_by_its_own_tools(node, monkeypatch):
    monkeypatch.setenv("LIAISON_NODE_DATABASE", "postgresql://liaison:hunter2@127.0.0.1:9/liaison")
    for command in ("node backup B", "node restore B"):
        code, shown = node.screen.type(command)
        assert code == 1
        assert "pg_basebackup or pg_dump" in shown
    assert "hunter2" not in node.screen.ok("node settings")


# Restore


def test_a_restored_backup_serves_and_the_guard_was_not_touched(node):
    node.screen.ok("node backup B --check replay")
    guard = node.folder / "mnt/second/liaison/guard"
    before, store = guard.read_bytes(), node.home / "node.db"
    replaced = store.read_bytes()
    shown = node.screen.ok("node restore B --check replay --yes")
    assert re.fullmatch(
        r"Backup:  3 entries \(root .{12}…\), up to DTG, B\n"
        r"Guard:   3 entries \(root .{12}…\), up to DTG, mnt/second/liaison/guard\n"
        r"The backup holds what the guard has: the node will serve\.\n"
        r"Store:   3 entries \(root .{12}…\), up to DTG, var/lib/liaison/node\.db\n"
        r"RESTORED 3 entries \(root .{12}…\), up to DTG, from B\.\n"
        r"What it replaced is kept: var/lib/liaison/node\.db\.replaced-\d{8}T\d{6}Z\.\n"
        r"The guard was not touched\.\n",
        shown,
    )
    assert guard.read_bytes() == before
    (kept,) = node.home.glob("node.db.replaced-*")
    assert len(kept.read_bytes()) == len(replaced)
    assert stat.S_IMODE(store.stat().st_mode) == stat.S_IMODE(kept.stat().st_mode) == 0o600
    with node.serving():
        node.screen.ok("node admit fco.party")
    assert "As it must be." in node.screen.ok(f"audit replay {node.home}")


def test_nothing_is_restored_while_the_node_serves_or_an_audit_reads(node):
    node.screen.ok("node backup B")
    with node.serving():
        code, shown = node.screen.type("node restore B --yes")
    assert (code, "another instance serves this log" in shown) == (3, True)
    from liaison.adapters.sql.source import StoreSource

    source = StoreSource(f"sqlite:///{node.home / 'node.db'}")
    code, shown = node.screen.type("node restore B --yes")
    asyncio.run(source.close())
    assert (code, "is open: a node serves it, or an audit or a backup reads it" in shown) == (
        1,
        True,
    )
    assert not list(node.home.glob("node.db.re*"))
    node.screen.ok("node restore B --yes")


def test_nobody_says_yes_and_nothing_is_changed(node, monkeypatch):
    node.screen.ok("node backup B")
    monkeypatch.setattr("liaison.cli.asking._TERMINAL", node.folder / "no/terminal")
    before = files(node.home)
    code, shown = node.screen.type("node restore B")
    assert code == 1
    assert "Nobody is here to say yes · nothing was changed" in shown
    assert files(node.home) == before


def test_without_its_guard_a_backup_is_restored_and_serving_is_said_to_be_refused(node):
    node.screen.ok("node backup B")
    guard = node.folder / "mnt/second/liaison/guard"
    guard.rename(node.folder / "elsewhere")
    shown = node.screen.ok("node restore B --yes")
    assert "Guard:   missing or damaged, mnt/second/liaison/guard" in shown
    assert "Serving WILL BE REFUSED: put back the copy of the guard" in shown
    assert not guard.exists()
    assert node.screen.type("node serve")[0] == 3


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def in_a_statement(data: bytes) -> bytes:
    """Change a byte inside a record: the pages stay what SQLite takes for whole."""
    return flipped(data, data.rindex(b'"statement":"') + 20)


SPOILT = [
    (lambda data: flipped(data, 3), "is damaged: file is not a database"),
    (lambda data: b"", "holds no store of liaison"),
    (lambda data: data[:20_000], "is damaged"),
    (lambda data: b"not a backup at all" * 500, "is damaged: file is not a database"),
    (in_a_statement, "audit verify found a first difference: entry"),
]


@pytest.mark.parametrize(("spoil", "told"), SPOILT)
def test_a_corrupted_backup_is_refused_and_the_store_stays(spoil, told, node):
    node.screen.ok("node backup B")
    node.screen.ok("node restore B --yes")  # whole, it would have been taken
    for kept in node.home.glob("node.db.replaced-*"):
        kept.unlink()
    (node.folder / "B").write_bytes(spoil((node.folder / "B").read_bytes()))
    before = files(node.folder)
    for command in ("node restore B --yes", "node upgrade-check B"):
        code, shown = node.screen.type(command)
        assert code == 1
        assert told in shown, shown
        assert shown.endswith("(log-untrusted)\n")
        assert files(node.folder) == before


def test_a_backup_of_another_log_is_refused(node):
    node.screen.ok("--home other node init --origin other.example/log")
    node.screen.ok("--home other node backup O")
    node.screen.ok("--home twin node init --origin node.example/log")
    node.screen.ok("--home twin node backup T")
    before = files(node.home)
    for backup, said in (
        ("O", "it is of the log other.example/log, not of node.example/log"),
        ("T", "it is of a log node.example/log with other keys than the card's"),
    ):
        code, shown = node.screen.type(f"node restore {backup} --yes --check pages")
        assert code == 1
        assert shown.startswith(
            f"This is no whole backup of the log of this home: {said} · nothing"
        )
    assert files(node.home) == before


def test_a_damaged_store_is_kept_as_it_is_and_replaced(node):
    node.screen.ok("node backup B")
    store = node.home / "node.db"
    harmed = b"harmed" + store.read_bytes()[6:]
    store.write_bytes(harmed)
    Path(f"{store}-wal").write_bytes(b"left")
    shown = node.screen.ok("node restore B --yes")
    assert "is damaged; it is kept as it is" in shown
    assert "Store:   can't be read (" in shown
    kept = {path.suffix or path.name: path for path in node.home.glob("node.db.replaced-*")}
    assert sorted(path.read_bytes() for path in kept.values()) == sorted([harmed, b"left"])
    assert not Path(f"{store}-wal").exists()
    assert "As it must be." in node.screen.ok(f"audit verify {node.home}")


# Looking


def findings(node: Place, command: str = "node doctor") -> dict[str, dict[str, str]]:
    """Return what is said of each thing, the worst where there are two."""
    code, shown = node.screen.type(f"{command} --json")
    told = json.loads(shown)
    assert code == (told["result"] == "bad")
    rank = ["good", "note", "bad"]
    rows = sorted(told["findings"], key=lambda row: rank.index(row["mark"]))
    return {row["what"]: row for row in rows}


def test_of_a_node_that_is_well_nothing_is_bad_and_nothing_changes(node):
    before = files(node.folder)
    found = findings(node, "node check")
    assert {row["mark"] for row in found.values()} <= {"good", "note"}
    assert set(found) == {
        *("settings", "home", "keys", "store", "guard", "disk", "clock", "service"),
        *("pages", "log", "state"),
    }
    assert found["log"]["said"] == "recomputed: 3 entries, 24 openings, 3 signatures, 1 tiles"
    assert found["state"]["said"].startswith("the fold of the log, decided anew: 3 records, ")
    assert found["service"]["said"].startswith("nothing serves on ")
    assert files(node.folder) == before
    with node.serving():
        assert findings(node)["service"]["said"].startswith("ready on ")
        assert findings(node, "node check")["state"]["mark"] == "good"


def sql(statement: str):
    def harm(node: Place) -> None:
        import sqlite3

        with contextlib.closing(sqlite3.connect(node.home / "node.db")) as store, store:
            store.execute(statement)

    return harm


def open_key(node: Place) -> None:
    (node.home / "keys/log.key").chmod(0o640)


def open_home(node: Place) -> None:
    node.home.chmod(0o755)


def other_key(node: Place) -> None:
    node.screen.ok("--home other node init --origin other.example/log")
    shutil.copy(node.folder / "other/keys/log.key", node.home / "keys/log.key")


def no_store(node: Place) -> None:
    (node.home / "node.db").unlink()


def no_guard(node: Place) -> None:
    (node.folder / "mnt/second/liaison/guard").unlink()


def open_password(node: Place) -> None:
    (node.home / "node.toml").write_text('database = "postgresql://l:hunter2@127.0.0.1:9/l"\n')
    (node.home / "node.toml").chmod(0o644)


def retired(node: Place) -> None:
    node.screen.ok("node retire --origin node.example/log-2 --successor S")


BAD = [  # what was done, what is bad, what is said, what to do
    (open_key, "keys", "is open to other users (mode 0640)", "chmod 600"),
    (open_home, "home", "is open to other users", "chmod 700"),
    (other_key, "keys", "keys/log.key is not the log_key of", "put both back"),
    (no_store, "store", "there is no store", "liaison node restore FILE"),
    (no_guard, "guard", "There is no guard at", "the copy of the guard that you keep"),
    (open_password, "settings", "holds a password and is open to other users", "chmod 600"),
    (retired, "home", "was retired", "serve its successor"),
    (sql("UPDATE head SET root = zeroblob(32)"), "store", "another root than its head", "backup"),
    (sql("DELETE FROM tiles"), "store", "bytes", ""),
    (sql("UPDATE alembic_version SET version_num = '9999'"), "store", "a newer version", "run"),
    (sql("UPDATE alembic_version SET version_num = '0001'"), "store", "older version", "upgrade-"),
    (sql("UPDATE head SET at = at + 9000000000"), "clock", "ahead of the clock", "confirm-time"),
]


@pytest.mark.parametrize(("harm", "what", "said", "do"), BAD)
def test_doctor_names_what_is_bad_and_what_to_do(harm, what, said, do, node):
    assert findings(node)[what]["mark"] != "bad"
    harm(node)
    found = findings(node)[what]
    assert (found["mark"], said in found["said"]) == ("bad", True), found
    assert do in found.get("do", "")
    code, shown = node.screen.type("node doctor")
    assert code == 1
    assert re.search(rf"BAD: .*{what}.*\.\n$", shown)
    assert "hunter2" not in shown


def test_doctor_asks_a_node_that_serves_tls_and_says_how_long_its_certificate_is_good(
    node, monkeypatch
):
    ca = Ca(node.folder, "ca")
    issued = ca.issue("node")
    issued.key.chmod(0o600)
    monkeypatch.setenv("LIAISON_NODE_TLS_CERTIFICATE", str(issued.certificate))
    monkeypatch.setenv("LIAISON_NODE_TLS_KEY", str(issued.key))
    assert findings(node)["service"]["said"].startswith("nothing serves on ")
    with node.serving():
        found = findings(node)
        assert found["service"]["said"].startswith("ready on ")
        assert (found["tls"]["mark"], "good until" in found["tls"]["said"]) == ("note", True)
        assert "systemctl reload liaison-node" in found["tls"]["do"]
    monkeypatch.setenv("LIAISON_NODE_TLS_CLIENT_CA", str(ca.path))
    with node.serving():
        assert "answers only who shows a certificate" in findings(node)["service"]["said"]
        monkeypatch.delenv("LIAISON_NODE_TLS_CERTIFICATE")
        monkeypatch.delenv("LIAISON_NODE_TLS_CLIENT_CA")
        asked = findings(node)["service"]
        assert (asked["mark"], "doesn't answer as a node" in asked["said"]) == ("bad", True)
    monkeypatch.setenv("LIAISON_NODE_TLS_CERTIFICATE", str(issued.certificate))
    issued.key.chmod(0o644)
    assert findings(node)["tls"]["said"].endswith("node.key is open to all users")
    issued.key.chmod(0o600)
    monkeypatch.setattr(checkup, "SystemClock", lambda: LateClock(2 * DAY))
    assert "the certificate ran out at" in findings(node)["tls"]["said"]
    issued.key.write_text("none")
    assert "Can't use the TLS certificate" in findings(node)["tls"]["said"]


DEEP = [
    (sql("UPDATE cells SET row = x'7b7d' WHERE key LIKE 'party %'"), "state", "cell party"),
    (sql("UPDATE entries SET actor = 'x' WHERE \"index\" = 1"), "log", "entry 1 "),
    (sql('DELETE FROM entries WHERE "index" = 2'), "log", "entry 2"),
]


@pytest.mark.parametrize(("harm", "what", "said"), DEEP)
def test_check_finds_what_only_recomputing_shows(harm, what, said, node):
    harm(node)
    assert findings(node)["store"]["mark"] == "good"  # a look of a second doesn't see it
    found = findings(node, "node check")[what]
    assert (found["mark"], said in found["said"]) == ("bad", True), found
    code, shown = node.screen.type("node backup B --check replay")
    assert code == 1
    assert "so there is no backup" in shown
    assert not (node.folder / "B").exists()


# Before an upgrade


def test_a_new_version_says_what_it_would_change_and_changes_nothing(node):
    node.screen.ok("node backup B")
    before = files(node.folder)
    shown = node.screen.ok("node upgrade-check B")
    assert re.match(r"liaison [\d.]+ takes this log up: 3 entries", shown)
    assert "each record decided anew, each row of its state" in shown
    assert "  schema: nothing\n  rules: nothing. Version 2 is in force\n" in shown
    assert shown.endswith("Nothing was switched: neither the store nor the guard was touched.\n")
    assert files(node.folder) == before


def older_schema(file: Path) -> None:
    """Make of a backup what the version before the second schema would have made."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(file)) as store, store:
        for index in ("ix_cells_due", "ix_cells_channel_due", "ix_entries_about_note"):
            store.execute(f"DROP INDEX {index}")
        for column in ("channel", "due"):
            store.execute(f"ALTER TABLE cells DROP COLUMN {column}")
        store.execute("UPDATE alembic_version SET version_num = '0001'")


def test_a_backup_of_an_older_schema_is_brought_up_on_a_copy_and_so_restored(node):
    node.screen.ok("node backup B")
    older_schema(node.folder / "B")
    before = files(node.folder)
    shown = node.screen.ok("node upgrade-check B")
    assert "  schema: brought up once, before it serves, 0002: Due moments\n" in shown
    assert "an older version can't open it afterwards: keep this backup" in shown
    assert files(node.folder) == before
    node.screen.ok("node restore B --yes --check replay")
    assert (node.folder / "B").read_bytes() == before["B"]
    assert findings(node, "node check")["state"]["mark"] == "good"


def test_an_older_store_is_backed_up_as_it_is(node):
    older_schema(node.home / "node.db")
    code, shown = node.screen.type("node backup B --check replay")
    assert (code, "upgrade-check FILE" in shown) == (1, True)
    assert not (node.folder / "B").exists()
    node.screen.ok("node backup B")
    assert "0002: Due moments" in node.screen.ok("node upgrade-check B")


def test_a_newer_version_s_backup_is_left_to_it(node):
    node.screen.ok("node backup B")
    import sqlite3

    with contextlib.closing(sqlite3.connect(node.folder / "B")) as store, store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in ("node upgrade-check B", "node restore B --yes"):
        code, shown = node.screen.type(command)
        assert (code, "of a newer version of liaison" in shown) == (1, True), shown


def test_what_is_said_wrongly_names_the_setting_and_its_place(node, monkeypatch):
    monkeypatch.setenv("LIAISON_NODE_LISTEN", "8470")
    code, shown = node.screen.type("node doctor")
    assert code == 1
    assert shown == (
        "LIAISON_NODE_LISTEN: not ADDRESS:PORT: 8470 · nothing was done · "
        'such as listen = "127.0.0.1:8470" (malformed)\n'
    )
    monkeypatch.delenv("LIAISON_NODE_LISTEN")
    (node.folder / "n.toml").write_text('gard = "/g"\n')
    code, shown = node.screen.type("node serve --config n.toml")
    assert code == 1
    assert shown.startswith("gard in n.toml: there is no such setting")
    assert "did you mean guard?" in shown
    (node.folder / "n.toml").write_text('guard = "g"\n')
    shown = node.screen.ok("node settings --config n.toml --json")
    assert json.loads(shown)["guard"] == {"value": "g", "source": "guard in n.toml"}
    assert steady(shown)
