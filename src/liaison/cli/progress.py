"""Progress: a bar for whoever looks at a terminal, once something takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console
from rich.progress import Progress, TaskID

from liaison.cli.context import is_json

Tell = Callable[[int, int], None]
"""Told how much is done, and how much there is."""

PATIENCE_S: Final = 1.0


@contextlib.contextmanager
def bar(what: str) -> Iterator[Tell]:
    """Give what shows a bar; nothing appears in a pipe, in a journal, with ``--json``, or before a
    second is over.
    """
    if is_json() or not sys.stderr.isatty():
        yield _silent
        return
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        shown: list[tuple[Progress, TaskID]] = []

        def tell(done: int, total: int) -> None:
            if not shown and time.monotonic() - started >= PATIENCE_S:
                progress = Progress(console=Console(stderr=True), transient=True)
                shown.append((stack.enter_context(progress), progress.add_task(what, total=None)))
            for progress, task in shown:
                progress.update(task, completed=done, total=total)

        yield tell


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
