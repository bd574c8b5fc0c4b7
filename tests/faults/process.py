"""Starting and ending a node's process; a clock that goes on over all its lives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.world import T0

START_TIMEOUT_S = 60


@dataclass(frozen=True)
class SteadyClock:
    """Says ``T0`` at ``since`` (microseconds since boot) and goes as the machine does."""

    since: int

    @classmethod
    def start(cls) -> SteadyClock:
        return cls(_since_boot())

    def now(self) -> int:
        return T0 + _since_boot() - self.since

    def since_boot(self) -> int:
        return _since_boot()


def _since_boot() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def environment() -> dict[str, str]:
    """Return the environment of a child that is to import what this process imports."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@dataclass
class Process:
    """A node that serves under ``url`` until it is ended; its journal is in the file ``journal``."""

    child: asyncio.subprocess.Process
    url: str
    journal: Path

    @classmethod
    async def serve(cls, home: Path, *, before: str = "") -> Process:
        """Run ``liaison node serve`` as an operator does; ``before`` is Python that runs first."""
        journal = home.with_name(f"{home.name}.journal")
        main = f"{before}\nfrom liaison.cli import main\nmain()"
        words = ("--home", str(home), "node", "serve", "--listen", "127.0.0.1:0")
        child = await spawn(("-c", main, *words), journal)
        assert child.stdout is not None
        line = (await asyncio.wait_for(child.stdout.readline(), START_TIMEOUT_S)).decode()
        assert line.startswith("serving "), journal.read_text()[-4000:]
        return cls(child, line.split()[1], journal)

    @classmethod
    async def start(
        cls, home: Path, clock: SteadyClock, *said: str, journal: Path | None = None
    ) -> Process:
        journal = journal or home.with_name(f"{home.name}.journal")
        args = ("-m", "tests.faults.runner", str(home), "--since", str(clock.since), *said)
        child = await spawn(args, journal)
        assert child.stdout is not None
        line = await asyncio.wait_for(child.stdout.readline(), START_TIMEOUT_S)
        assert line, journal.read_text()[-4000:]
        return cls(child, line.decode().strip(), journal)

    async def kill(self) -> None:
        """End it as a power cut would; it may have ended by itself."""
        if self.child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.child.kill()
        await self.child.wait()

    def rss_kib(self) -> int:
        """Return the memory that it holds."""
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("it has ended")

    def descriptors(self) -> int:
        """Return how many file descriptors it has."""
        return len(list(Path(f"/proc/{self.child.pid}/fd").iterdir()))

    def terminate(self) -> None:
        self.child.send_signal(signal.SIGTERM)

    async def ended(self, timeout_s: float = 30) -> int:
        """Return the exit code once it has ended by itself."""
        return await asyncio.wait_for(self.child.wait(), timeout_s)


async def spawn(
    args: Sequence[str], journal: Path, *, stdin: int | None = None
) -> asyncio.subprocess.Process:
    with journal.open("ab") as stderr:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *args,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=environment(),
        )
