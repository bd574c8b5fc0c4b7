"""Programs that tests run: found on this machine, or fetched from Debian's packages into a cache.

Nothing is installed: packages are downloaded and laid out in a folder of the one who runs the tests,
with what they need and this machine hasn't. What can't be had fails the test in CI, with the reason;
elsewhere the test is skipped with it.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final, NoReturn

import pytest

_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "liaison-tests"
_PLACES: Final = ("usr/bin", "usr/sbin", "bin", "sbin")


def tool(name: str, package: str) -> str:
    """Return where a program is that ``package`` has. Fails, or outside CI skips, if it can't be had."""
    found = shutil.which(name)
    return found or fetched(name, package)


def fetched(name: str, package: str, cache: Path = _CACHE) -> str:
    """Return where a program is, laid out from ``package`` by this run or an earlier one."""
    folder, starter = cache / package, cache / "bin" / name
    if starter.exists():
        return str(starter)
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        lacking(f"{name} is not here, nor are Debian's packages (there it is in {package})")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other worker fetches, too
        if not starter.exists():
            _lay_out(package, cache, folder)
            _make_starter(name, package, folder, starter)
    return str(starter)


def lacking(reason: str) -> NoReturn:
    """Say that a test can't have what it needs: in CI it fails by that."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(
    *command: str, environment: dict[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command, with ``text`` to read, to its end; both its outputs come as one."""
    return subprocess.run(
        command,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **(environment or {})},
    )


def _lay_out(package: str, cache: Path, folder: Path) -> None:
    """Fetch a package and what it needs and this machine hasn't; unpack them, not installing any."""
    lists, debs = cache / "apt" / "lists", folder / "debs"
    for place in (lists / "partial", cache / "apt" / "archives" / "partial", debs):
        place.mkdir(parents=True, exist_ok=True)
    apt = ("apt-get", "-q", "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache / 'apt'}")
    _done(run(*apt, "update"), package)
    planned = _done(run(*apt, "-s", "install", "--no-install-recommends", package), package)
    names = re.findall(r"^Inst (\S+) ", planned, re.MULTILINE)
    if not names:  # it is installed; its program stands where nobody looked
        names = [package]
    _done(run("env", "-C", str(debs), *apt, "download", *names), package)
    for deb in sorted(debs.glob("*.deb")):
        _done(run("dpkg-deb", "-x", str(deb), str(folder)), package)
    shutil.rmtree(debs)


def _make_starter(name: str, package: str, folder: Path, starter: Path) -> None:
    """Write what starts a program among the libraries that were laid out with it."""
    program = next((folder / p / name for p in _PLACES if (folder / p / name).exists()), None)
    if program is None:
        lacking(f"the package {package} has no {name}")
    for other in program.parent.iterdir():
        if other != program and other.is_file():
            other.unlink()  # a server beside its tools may have 100 MB
    libraries = [
        str(folder / place / f"{platform.machine()}-linux-gnu{inner}")
        for place in ("usr/lib", "lib")
        for inner in ("", "/systemd")
    ]
    starter.parent.mkdir(exist_ok=True)
    new = starter.with_suffix(".new")
    new.write_text(
        f"#!/bin/sh\nLD_LIBRARY_PATH={':'.join(libraries)} "
        f"SYSTEMD_UNIT_PATH=${{SYSTEMD_UNIT_PATH:-{folder}/usr/lib/systemd/system:"
        f'{folder}/lib/systemd/system:}} exec {program} "$@"\n'
    )
    new.chmod(0o755)
    new.replace(starter)


def _done(done: subprocess.CompletedProcess[str], package: str) -> str:
    if done.returncode != 0:
        lacking(f"{package} can't be fetched: {' '.join(done.args[:3])}: {done.stdout[-2000:]}")
    return done.stdout
