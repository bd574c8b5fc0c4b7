"""Tools of Debian's packages that check what stands in deploy/: found, or in CI installed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_LOCK = Path(tempfile.gettempdir()) / "liaison-tests-apt.lock"
_INSTALL = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")


def tool(name: str, package: str) -> str:
    """Return where a program is. In CI it is installed, and the test fails with the reason if it can't be."""
    if found := shutil.which(name):
        return found
    if not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other worker installs, too
        said = ""
        for command in (("apt-get", "update", "-qq"), (*_INSTALL, package)):
            if found := shutil.which(name):
                return found
            done = run(*command, environment={"DEBIAN_FRONTEND": "noninteractive"})
            said = done.stdout
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} could not be installed from {package}: {said[-2000:]}")
    return found


def run(
    *command: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; both its outputs come as one."""
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **(environment or {})},
    )
