"""The house's floors, held to from the syntax trees of src/liaison.

An import goes down or stays in its room, never up, never sideways. Imports inside functions and
under ``TYPE_CHECKING`` count: that is where circles live. A room that isn't built yet is absent.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "liaison"

FLOORS = {
    "words": 0,
    "statements": 1,
    "sealing": 1,
    "tlog": 1,
    "ledger": 2,
    "rules": 3,
    "node": 4,
    "adapters": 4,
    "client": 4,
    "server": 5,
    "audit": 5,
}
ROOF = frozenset({"__main__", "main", "settings", "cli"})

# Doors that the floors alone would allow, or forbid.
WALLED = {
    "ledger": {"sealing": "a node runs this and is blind"},
    "rules": {"sealing": "a node runs this and is blind"},
    "node": {"sealing": "a node is blind"},
    "adapters": {"sealing": "a node runs this and is blind"},
    "server": {"sealing": "a node is blind", "client": "a node is blind, the SDK is not"},
    "audit": {"node": "it trusts no node", "adapters": "it trusts no node"},
}
PORTS = "liaison.node.ports"  # adapters fulfil them, so they may name them

CLOCKLESS = frozenset({"words", "statements", "sealing", "tlog", "ledger", "rules"})
CHANCELESS = frozenset({"words", "statements", "ledger", "rules"})
CLOCKS = frozenset(
    {"now", "utcnow", "today", "time_ns", "monotonic", "monotonic_ns", "perf_counter"}
)
CHANCES = frozenset({"urandom", "getrandom", "uuid1", "uuid4", "uuid6", "uuid7", "token_bytes"})

_SQL = frozenset({"sqlalchemy", "sqlite3", "aiosqlite", "asyncpg", "alembic"})
_HTTP = frozenset({"aiohttp", "http", "urllib"})
_IO = frozenset({"asyncio", "socket", "ssl", "subprocess"})
FOREIGN = {
    "words": _SQL | _HTTP | _IO,
    "statements": _SQL | _HTTP | _IO,
    "ledger": _SQL | _HTTP | _IO,
    "rules": _SQL | _HTTP | _IO,
    "node": _SQL | _HTTP,
    "server": _SQL,
}

CHANNEL_TYPE = re.compile(r"(?:hotline|diplomatic[_-]note|forum)(?:\.toml)?")
NAMELESS = frozenset({"util", "utils", "helper", "helpers"})


def room_of(path: PurePosixPath) -> str:
    """Return the room of a module, its path relative to src/liaison; '' for the package itself."""
    if len(path.parts) > 1:
        return path.parts[0]
    return "" if path.stem == "__init__" else path.stem


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the full dotted name of everything imported, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}"


def check_import(room: str, target: str) -> str | None:
    """Return what is wrong with a module of ``room`` importing ``target``, or None."""
    if target.startswith("."):
        return "relative import: name the room"
    if target == "liaison":
        return "imports the whole house: name the room"
    if not target.startswith("liaison."):
        return None
    other = target.split(".")[1]
    if room in ROOF or other == room or other == "__version__":
        return None
    if other in ROOF:
        return f"goes up: {room or 'the package'} imports the roof ({other})"
    if room not in FLOORS or other not in FLOORS:
        return f"no floor is known for {room or 'the package'} importing {other}"
    if why := WALLED.get(room, {}).get(other):
        return f"no door: {room} imports {other}, but {why}"
    if room == "adapters" and (target == PORTS or target.startswith(f"{PORTS}.")):
        return None
    if FLOORS[other] > FLOORS[room]:
        return f"goes up: {room} imports {other}"
    if FLOORS[other] == FLOORS[room]:
        return f"goes sideways: {room} imports {other}"
    return None


def check_imports(room: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for line, target in imports(tree):
        top, _, rest = target.partition(".")
        if found := check_import(room, target):
            yield line, found
        if top in FOREIGN.get(room, ()):
            yield line, f"{room} does no I/O of this kind: {top}"
        if room in CLOCKLESS and (top == "time" or rest in CLOCKS):
            yield line, f"clock below node/: {target}"
        if room in CHANCELESS and (
            top in {"random", "secrets"} or target.rpartition(".")[2] in CHANCES
        ):
            yield line, f"chance in {room}: {target}"


def check_uses(room: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if room in CLOCKLESS and node.attr in CLOCKS:
                yield node.lineno, f"clock below node/: .{node.attr}"
            if room in CHANCELESS and node.attr in CHANCES:
                yield node.lineno, f"chance in {room}: .{node.attr}"
        elif isinstance(node, ast.Call) and room not in ROOF:
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in {"import_module", "__import__"}:
                yield node.lineno, f"an import that can't be read here: {name}"


def check_channel_types(path: PurePosixPath, tree: ast.AST) -> Iterator[tuple[int, str]]:
    if path.parts[0] == "cli" or path.parts[:2] == ("rules", "kinds") or path.stem == "cli":
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and CHANNEL_TYPE.fullmatch(node.value)
        ):
            yield node.lineno, f"channel type named outside rules/kinds/: {node.value!r}"


def violations(path: str, source: str) -> list[str]:
    """Return ``path:line: what is wrong``; ``path`` is relative to src/liaison, with slashes."""
    where = PurePosixPath(path)
    tree = ast.parse(source, path)
    room = room_of(where)
    found = [
        *check_imports(room, tree),
        *check_uses(room, tree),
        *check_channel_types(where, tree),
    ]
    found += [(1, f"{part} says nothing: name the thing") for part in named(where) & NAMELESS]
    if room and room not in FLOORS and room not in ROOF:
        found.append((1, f"no floor is known for {room}"))
    return [f"{path}:{line}: {what}" for line, what in sorted(found)]


def named(path: PurePosixPath) -> set[str]:
    return {*path.parts[:-1], path.stem}


MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


def test_the_house_is_found():
    assert "words/canonical.py" in MODULES


@pytest.mark.parametrize("path", MODULES)
def test_a_module_keeps_to_its_floor(path):
    assert violations(path, (SOURCE / path).read_text(encoding="utf-8")) == []


UP = "from liaison.node.intake import Intake"

PLANTED = [  # where it stands, what it says, what must be found
    ("words/ids.py", "from liaison.statements import note", "goes up: words imports statements"),
    ("tlog/tree.py", "from liaison.ledger.entry import Entry", "goes up: tlog imports ledger"),
    ("rules/decide.py", "import liaison.node", "goes up: rules imports node"),
    ("rules/decide.py", "from liaison import node", "goes up: rules imports node"),
    ("node/intake.py", "from liaison.server import app", "goes up: node imports server"),
    ("client/outbox.py", "import liaison.server.app", "goes up: client imports server"),
    ("server/app.py", "from liaison.main import main", "goes up: server imports the roof"),
    ("audit/replay.py", "from liaison import settings", "goes up: audit imports the roof"),
    ("node/timers.py", "from liaison.cli.demo import demo", "goes up: node imports the roof"),
    ("__init__.py", "from liaison.words import ids", "no floor is known for the package"),
    ("rules/decide.py", f"def decide():\n    {UP}", "rules/decide.py:2: goes up"),
    (
        "rules/decide.py",
        f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {UP}",
        "rules/decide.py:3: goes up",
    ),
    (
        "rules/decide.py",
        f"try:\n    {UP}\nexcept ImportError:\n    pass",
        "rules/decide.py:2: goes up",
    ),
    ("statements/note.py", "import liaison.sealing", "goes sideways: statements imports sealing"),
    ("sealing/wrap.py", "from liaison.tlog import tree", "goes sideways: sealing imports tlog"),
    ("tlog/tree.py", "import liaison.statements.note", "goes sideways: tlog imports statements"),
    ("node/intake.py", "from liaison.adapters.sql import Sql", "goes sideways: node imports"),
    ("node/ports.py", "from liaison.client import Client", "goes sideways: node imports client"),
    ("adapters/sql/store.py", "from liaison.node.intake import I", "goes sideways: adapters"),
    ("adapters/guard.py", "from liaison.node import intake", "goes sideways: adapters"),
    ("adapters/guard.py", "import liaison.node", "goes sideways: adapters imports node"),
    ("adapters/guard.py", "from liaison.node.portside import X", "goes sideways: adapters"),
    ("client/outbox.py", "from liaison.node import ports", "goes sideways: client imports node"),
    ("client/outbox.py", "import liaison.adapters.sql", "goes sideways: client imports adapters"),
    ("server/app.py", "from liaison.audit import verify", "goes sideways: server imports audit"),
    ("audit/verify.py", "from liaison.server import app", "goes sideways: audit imports server"),
    ("audit/verify.py", "from liaison.node.ports import Store", "no door: audit imports node"),
    ("audit/source.py", "import liaison.adapters.sql", "no door: audit imports adapters"),
    ("node/intake.py", "from liaison.sealing import open_note", "no door: node imports sealing"),
    ("node/intake.py", "from liaison import sealing", "no door: node imports sealing"),
    ("server/app.py", "import liaison.sealing.wrap", "no door: server imports sealing"),
    ("server/app.py", "from liaison.client import Client", "no door: server imports client"),
    ("rules/chain.py", "from liaison.sealing import wrap", "no door: rules imports sealing"),
    ("adapters/keyfile.py", "import liaison.sealing.keystore", "no door: adapters imports"),
    ("words/ids.py", "from .errors import Malformed", "relative import"),
    ("rules/decide.py", "from ..node import intake", "relative import"),
    ("rules/decide.py", "import liaison", "imports the whole house"),
    ("attic/old.py", "x = 1", "no floor is known for attic"),
    ("rules/decide.py", "from liaison.attic import old", "no floor is known for rules importing"),
    (
        "rules/decide.py",
        "import importlib\nimportlib.import_module('liaison.node')",
        "rules/decide.py:2: an import that can't be read here",
    ),
    ("ledger/entry.py", "__import__('liaison.node')", "an import that can't be read here"),
    *((f"{room}/x.py", "import time", "clock below node/: time") for room in sorted(CLOCKLESS)),
    ("tlog/tree.py", "from time import monotonic", "clock below node/: time.monotonic"),
    ("rules/x.py", "import datetime as d\nd.datetime.now(d.UTC)", "rules/x.py:2: clock"),
    ("sealing/x.py", "from datetime import datetime as D\nD.utcnow()", "below node/: .utcnow"),
    ("words/times.py", "from datetime import date\ndate.today()", "clock below node/: .today"),
    ("ledger/x.py", "from datetime import datetime as D\nf = D.now", "clock below node/: .now"),
    ("statements/x.py", "def f(t): return t.time_ns()", "clock below node/: .time_ns"),
    *((f"{room}/x.py", "import random", "chance in") for room in sorted(CHANCELESS)),
    *((f"{room}/x.py", "import secrets", "chance in") for room in sorted(CHANCELESS)),
    ("rules/x.py", "from random import choice", "chance in rules: random.choice"),
    ("ledger/x.py", "import os\nos.urandom(32)", "chance in ledger: .urandom"),
    ("words/x.py", "from os import urandom", "chance in words: os.urandom"),
    ("statements/x.py", "import uuid\nuuid.uuid4()", "chance in statements: .uuid4"),
    ("rules/x.py", "import asyncio", "does no I/O of this kind: asyncio"),
    ("node/x.py", "from sqlalchemy import select", "does no I/O of this kind: sqlalchemy"),
    ("node/x.py", "from aiohttp import web", "does no I/O of this kind: aiohttp"),
    ("server/x.py", "import sqlite3", "does no I/O of this kind: sqlite3"),
    ("node/x.py", "if kind == 'hotline': pass", "channel type named outside rules/kinds/"),
    ("rules/x.py", "def f(k='forum'): pass", "channel type named outside rules/kinds/: 'forum'"),
    ("statements/x.py", "K = Literal['diplomatic-note']", "channel type named outside"),
    ("server/x.py", "match k:\n  case 'diplomatic_note': pass", "server/x.py:2: channel type"),
    ("client/x.py", "p = files('liaison') / 'hotline.toml'", "channel type named outside"),
    ("rules/kinds.py", "K = 'hotline'", "channel type named outside"),
    ("main.py", "K = 'hotline'", "channel type named outside"),
    ("words/utils.py", "", "utils says nothing: name the thing"),
    ("cli/helpers.py", "", "helpers says nothing: name the thing"),
    ("node/utils/times.py", "", "utils says nothing: name the thing"),
]


@pytest.mark.parametrize(("path", "source", "expected"), PLANTED)
def test_a_planted_violation_is_found(path, source, expected):
    found = violations(path, source)
    assert any(expected in line for line in found), found


ALLOWED = [
    ("statements/note.py", "from liaison.words.ids import check_id"),
    ("statements/note.py", "from liaison.statements.envelope import Envelope"),
    ("rules/decide.py", "import liaison.ledger.record\nfrom liaison.words import ids"),
    ("client/outbox.py", "from liaison.sealing import seal\nfrom liaison.rules import chain"),
    ("adapters/sql/store.py", "from liaison.node.ports import Store"),
    ("adapters/sql/store.py", "from liaison.node import ports\nimport liaison.node.ports"),
    ("audit/replay.py", "from liaison.rules import evolve\nfrom liaison.sealing import open_note"),
    ("server/app.py", "from liaison.node.intake import Intake\nfrom liaison import __version__"),
    ("main.py", "from liaison.adapters.sql import Sql\nfrom liaison.server import app"),
    ("cli/demo.py", "import liaison.settings\nimport liaison.node\nKIND = 'hotline'"),
    ("cli/demo.py", "from importlib import import_module\nimport_module('liaison.main')"),
    ("rules/kinds/hotline.py", "NAME = 'hotline'"),
    ("rules/x.py", "'''What a hotline and a forum share.'''\nx = 'hotline desk'"),
    ("node/clock.py", "import time\nfrom datetime import datetime, UTC\ndatetime.now(UTC)"),
    ("sealing/seal.py", "import secrets\nsecrets.token_bytes(32)"),
    ("words/times.py", "from datetime import UTC, datetime, timedelta\nx = datetime(1970, 1, 1)"),
    ("words/ids.py", "from uuid import UUID"),
    ("adapters/sql/store.py", "import sqlalchemy"),
    ("server/app.py", "from aiohttp import web\nimport asyncio"),
    ("__init__.py", "__version__ = '0.1.0'"),
]


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_what_the_floors_allow_is_let_through(path, source):
    assert violations(path, source) == []
