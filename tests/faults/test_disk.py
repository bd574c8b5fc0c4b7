"""A real disk that is filled and freed: a small file system that only the test's own processes see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.process import environment

MOUNTED = 'mount -t tmpfs -o size=64m,mode=0700 liaison-test "$1" && exec "$2" -m tests.faults.filling "$1"'


def may_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    probe = 'mount -t tmpfs -o size=1m probe "$1"'
    said = ["unshare", "--mount", "sh", "-c", probe, "sh", "/mnt"]
    return subprocess.run(said, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="needs root, unshare and a tmpfs")
def test_a_disk_is_filled_and_freed_under_a_node(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    told = subprocess.run(
        ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", str(folder), sys.executable],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env=environment(),
    )
    assert (told.returncode, told.stdout) == (0, "held\n"), told.stderr[-6000:]
    assert list(folder.iterdir()) == [], "it was mounted where others see it"
