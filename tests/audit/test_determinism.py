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

SCRIPT = Path(__file__).with_name("digest_of.py")
SOURCE = Path(liaison.__file__).parents[1]
NEEDED = ("pydantic", "cryptography", "pynacl", "orjson")
INSTALL_S = 90
_SAME = """
import sys
from importlib.metadata import version
assert all(version(p.partition("==")[0]) == p.partition("==")[2] for p in sys.argv[1:])
"""


@cache
def log() -> str:
    keys = (ANCHORS.log_key, ANCHORS.node_key, ANCHORS.administrator_key)
    lines = [" ".join((ANCHORS.origin, *map(to_base64, keys)))]
    lines += [" ".join(map(to_base64, entry.fields)) for entry in small().entries]
    return "\n".join(lines) + "\n"


def digest_by(python: str, **environment: str) -> str:
    done = subprocess.run(
        [python, str(SCRIPT)],
        input=log(),
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
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


@pytest.mark.parametrize("minor", [12, 13])
async def test_the_digest_does_not_depend_on_the_interpreter(minor, pytestconfig):
    if sys.version_info[:2] == (3, minor):
        pytest.skip(f"this is Python 3.{minor}")
    assert pytestconfig.cache is not None
    python = interpreter(minor, pytestconfig.cache.mkdir(f"audit-python3.{minor}"))
    assert digest_by(python) == (await replayed(small())).digest


def interpreter(minor: int, folder: Path) -> str:
    """Return a Python 3.``minor`` that has what a replay needs; skips where there is none."""
    name = f"python3.{minor}"
    home = Path("~/.pyenv/versions").expanduser()
    found = [shutil.which(name), *map(str, sorted(home.glob(f"3.{minor}.*/bin/{name}")))]
    candidates = [path for path in found if path and runs(path, "-c", "import sys")]
    if not candidates:
        pytest.skip(f"no {name} on this machine")
    for candidate in candidates:
        if runs(candidate, "-c", "import cryptography, nacl, orjson, pydantic"):
            return candidate
    python = folder / "bin" / "python"  # of an earlier run, perhaps
    packages = [f"{package}=={version(package)}" for package in NEEDED]
    if runs(str(python), "-c", _SAME, *packages):
        return str(python)
    if not runs(candidates[-1], "-m", "venv", str(folder)):
        pytest.skip(f"{name} can't make an environment")
    options = ("--quiet", "--retries=0", "--timeout=5", "--disable-pip-version-check")
    if not runs(str(python), "-m", "pip", "install", *options, *packages, seconds=INSTALL_S):
        pytest.skip(f"{name} lacks {', '.join(NEEDED)}, and they can't be installed here")
    return str(python)


def runs(*command: str, seconds: int = 30) -> bool:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
