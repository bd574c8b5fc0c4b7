"""Commands that die as kill -9 would: ``python -m tests.faults.dying POINTS liaison's words…``.

One child for each point, whose name takes the place of ``{}`` in the words. The points: ``pages`` and
``entries``, when that bar is told how far it is; ``linked``, when what is replaced was put aside;
``named``, before a draft takes its name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from liaison import cli
from liaison.adapters.sql import backup
from liaison.cli import progress, upkeep


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Set the mine at a point."""
    backup._PAGES_AT_ONCE = 4  # type: ignore[misc] # so that even a small store is copied in steps

    @contextlib.contextmanager
    def bar(what: str) -> Iterator[progress.Tell]:
        def tell(done: int, total: int) -> None:
            if what == point:
                die()

        yield tell

    setattr(upkeep, "bar", bar)  # noqa: B010
    link, replace = os.link, os.replace

    def dying_link(*paths: object, **said: object) -> None:
        if point == "named":
            die()
        link(*paths, **said)  # type: ignore[arg-type]

    def dying_replace(*paths: object) -> None:
        if point == "linked":
            die()
        replace(*paths)  # type: ignore[arg-type]

    os.link, os.replace = dying_link, dying_replace  # type: ignore[assignment]


def run(point: str, words: list[str]) -> int:
    """Let a child run the command to its death; return how it ended."""
    child = os.fork()
    if child == 0:
        arm(point)
        sys.argv = ["liaison", *(word.replace("{}", point) for word in words)]
        cli.main()
        os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for at in sys.argv[1].split(","):
        ended = run(at, sys.argv[2:])
        if ended != -signal.SIGKILL:
            sys.exit(f"at {at} it ended with {ended}")
