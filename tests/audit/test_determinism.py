"""The same records give the same digest: whatever the hash seed, whatever the interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

import liaison
from liaison.words.encoding import to_base64
from tests.audit.logs import ANCHORS, replayed, small
from tests.tools import fetched, lacking

SCRIPT = Path(__file__).with_name("digest_of.py")
SOURCE = Path(liaison.__file__).parents[1]
NEEDED = ("pydantic", "cryptography", "pynacl", "orjson")
OTHERS = [minor for minor in (12, 13) if minor != sys.version_info.minor]
INSTALL_S = 90
_SAME = """
import sys
from importlib.metadata import version
import cryptography, nacl, orjson, pydantic
assert all(version(p.partition("==")[0]) == p.partition("==")[2] for p in sys.argv[1:])
"""


@cache
def log() -> str:
    keys = (ANCHORS.log_key, ANCHORS.node_key, ANCHORS.administrator_key)
    lines = [" ".join((ANCHORS.origin, *map(to_base64, keys)))]
    lines += [" ".join(map(to_base64, entry.fields)) for entry in small().entries]
    return "\n".join(lines) + "\n"


def digest_by(python: str, *packages: Path, **environment: str) -> str:
    path = os.pathsep.join(map(str, (SOURCE, *packages)))
    done = subprocess.run(
        [python, str(SCRIPT)],
        input=log(),
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
async def test_the_digest_does_not_depend_on_the_hash_seed(seed):
    assert digest_by(sys.executable, PYTHONHASHSEED=seed) == (await replayed(small())).digest


@pytest.mark.parametrize("minor", OTHERS)
async def test_the_digest_does_not_depend_on_the_interpreter(minor, pytestconfig):
    assert pytestconfig.cache is not None
    python = interpreter(minor)
    packages = packages_for(python, minor, pytestconfig.cache.mkdir(f"audit-python3.{minor}"))
    assert digest_by(python, packages) == (await replayed(small())).digest


def interpreter(minor: int) -> str:
    """Return a Python 3.``minor``: one of this machine, or Debian's."""
    name = f"python3.{minor}"
    home = Path("~/.pyenv/versions").expanduser()
    found = [shutil.which(name), *map(str, sorted(home.glob(f"3.{minor}.*/bin/{name}")))]
    for path in found:  # a shim of pyenv may lead nowhere
        if path and runs(path, "-c", "import sys"):
            return path
    return fetched(name, name)


def packages_for(python: str, minor: int, folder: Path) -> Path:
    """Return a folder with what a replay needs, for that Python, in the versions of this one."""
    packages = [f"{package}=={version(package)}" for package in NEEDED]
    if not runs(python, "-c", _SAME, *packages, path=folder):
        options = ("--quiet", "--retries=0", "--timeout=5", "--disable-pip-version-check")
        target = ("--upgrade", "--target", str(folder), "--only-binary=:all:")
        install = (sys.executable, "-m", "pip", "install", *options, *target)
        if not runs(*install, f"--python-version=3.{minor}", *packages, seconds=INSTALL_S):
            lacking(f"{', '.join(packages)} can't be had for Python 3.{minor}")
    return folder


def runs(*command: str, path: Path | None = None, seconds: int = 30) -> bool:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
