"""A process that commits until it dies: tests.adapters.commit_until_killed, from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys


class Child:
    """A process that commits until it dies."""

    def __init__(self, url: str, point: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.adapters.commit_until_killed", url, point],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def first_size(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def last_size(self) -> int:
        """Wait for its end, and return the last size that it said was committed, or 0."""
        out, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == -signal.SIGKILL, errors
        return int(out.split()[-1]) if out else 0
