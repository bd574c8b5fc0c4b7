"""A node in a process of its own that can die at a named point: ``python -m tests.faults.runner HOME``.

It is ``liaison.main.serve`` as it stands, with a crash point, a clock and perhaps a broken store
put in from here: production code has no switch for any of them.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import signal
import sys
from pathlib import Path

import uvloop

from liaison import main
from liaison.adapters.guard import FileGuard
from liaison.node.ports import Batch, Head
from liaison.node.sequencer import no_crash
from liaison.settings import load_settings
from tests.faults.process import SteadyClock
from tests.faults.writers import BrokenWriter


class Mine:
    """Kills its own process as kill -9 would, at the ``passes``-th pass of ``point`` once armed.

    The file ``fuse`` arms it, so that what a test does first does not set it off.
    """

    def __init__(self, point: str, passes: int, fuse: Path) -> None:
        self.point = point
        self.left = passes
        self.fuse = fuse

    def __call__(self, point: str) -> None:
        if point == self.point and self.fuse.exists():
            self.left -= 1
            if self.left == 0:
                os.write(2, f"crashed at {point}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)


class UnsyncedGuard(FileGuard):
    """Fails its third advance: the disk under it is gone."""

    advances = 0

    def advance(self, head: Head) -> None:
        self.advances += 1
        if self.advances == 3:
            self.close()
            raise OSError("the guard could not be synced")
        super().advance(head)


class UnreadableWriter(BrokenWriter):
    """Fails its third commit, and can't say what is in the store afterwards."""

    commits = 0

    def commit(self, batch: Batch) -> None:
        self.commits += 1
        if self.commits == 3:
            self.fails_before = True
            self.is_unreadable = True
        super().commit(batch)


def run() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--since", type=int, required=True)
    parser.add_argument("--crash-at", default="")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--fuse", type=Path)
    parser.add_argument("--break", dest="broken", choices=("store", "guard"))
    said = parser.parse_args()
    if said.broken == "store":
        setattr(main, "SqlWriter", UnreadableWriter)  # noqa: B010
    if said.broken == "guard":
        setattr(main, "FileGuard", UnsyncedGuard)  # noqa: B010
    main.run_node = functools.partial(
        main.run_node,
        clock=SteadyClock(said.since),
        crash_point=(Mine(said.crash_at, said.passes, said.fuse) if said.crash_at else no_crash),
    )
    settings = load_settings(said.home, options={"listen": "127.0.0.1:0"}).settings
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main.serve(settings, ready=_ready))


def _ready(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run()
