"""A real disk that is filled and freed: a small file system that only the test's own processes see."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.faults.process import environment
from tests.tools import lacking

MOUNTED = 'mount -t tmpfs -o size=64m,mode=0700 liaison-test "$1" && shift && exec "$@"'
FORMS = (
    ("unshare", "--mount"),
    ("unshare", "--user", "--map-root-user", "--mount"),  # who is not root has one of their own
)


def on_small_disk(form: tuple[str, ...], folder: Path, *command: str) -> tuple[int, str, str]:
    """Run a command for which a file system of 64 MiB stands in ``folder``; return how it ended."""
    said = [*form, "sh", "-c", MOUNTED, "sh", str(folder), *command]
    try:
        done = subprocess.run(
            said, capture_output=True, text=True, check=False, timeout=180, env=environment()
        )
    except FileNotFoundError as exc:
        return 127, "", str(exc)
    return done.returncode, done.stdout, done.stderr


def form_that_works(folder: Path) -> tuple[str, ...]:
    """Return how such a file system is had here; where it can't be had the test fails and says why."""
    reasons = []
    for form in FORMS:
        ended, _, errors = on_small_disk(form, folder, "true")
        if ended == 0:
            return form
        reasons.append(f"{' '.join(form)}: {errors.strip()}")
    pytest.fail(
        "a disk that may be filled needs unshare (util-linux), and root or user namespaces:\n"
        + "\n".join(reasons)
    )


def test_a_disk_is_filled_and_freed_under_a_node(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    form = form_that_works(folder)
    told = on_small_disk(form, folder, sys.executable, "-m", "tests.faults.filling", str(folder))
    assert told[:2] == (0, "held\n"), told[2][-6000:]
    assert list(folder.iterdir()) == [], "it was mounted where others see it"


def test_a_disk_is_filled_and_freed_under_a_database(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        lacking("only root can mount a disk for a PostgreSQL that runs as another user")
    folder = Path(tempfile.mkdtemp(prefix="liaison-disk-"))  # pytest's own may nobody else enter
    folder.chmod(0o711)
    try:
        said = (sys.executable, "-m", "tests.faults.filling_postgresql", str(folder))
        enter = ("sh", "-c", 'chmod 711 "$0" && exec "$@"', str(folder))
        told = on_small_disk(FORMS[0], folder, *enter, *said, str(tmp_path / "home"))
        assert (told[0], told[1][-5:]) == (0, "held\n"), told[2][-6000:]
        assert list(folder.iterdir()) == [], "it was mounted where others see it"
    finally:
        folder.rmdir()
