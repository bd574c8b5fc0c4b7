"""Progress: a bar for whoever looks at a terminal, once something takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from threading import Timer
from typing import Final

from rich.console import Console
from rich.progress import Progress

from liaison.cli.context import is_json

Tell = Callable[[int, int], None]
"""Told how much is done, and how much there is."""

PATIENCE_S: Final = 1.0


@contextlib.contextmanager
def bar(what: str) -> Iterator[Tell]:
    """Give what a bar shows; until it is told how much there is, the bar only moves.

    Nothing appears in a pipe, in a journal, with ``--json``, or before a second is over. Nothing else
    is printed meanwhile.
    """
    if is_json() or not sys.stderr.isatty():
        yield _silent
        return
    progress = Progress(console=Console(stderr=True), transient=True)
    task = progress.add_task(what, total=None)
    timer = Timer(PATIENCE_S, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done, total: progress.update(task, completed=done, total=total)
    finally:
        timer.cancel()
        timer.join()
        progress.stop()


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
