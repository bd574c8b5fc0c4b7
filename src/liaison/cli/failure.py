"""The one place that turns an error into words on standard error and an exit code."""

from __future__ import annotations

from typing import Final

from rich.console import Console

from liaison.client import Waiting
from liaison.sealing.content import visible
from liaison.words.errors import DiskFull, GuardRefused, LiaisonError, RefusedByNode

REFUSED: Final = 1
USAGE: Final = 2
GUARD: Final = 3
DISK: Final = 4
WAITING: Final = 75
"""EX_TEMPFAIL of sysexits: it may be tried again, and the outbox does."""

_err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def warn(text: str) -> None:
    """Print one line to standard error."""
    _err.print(visible(text))


def tell(error: LiaisonError) -> int:
    """Say what happened, what is safe and what to do; return the exit code."""
    code = error.code
    prefix = ""
    if isinstance(error, Waiting):
        prefix = "WAITING in the outbox: "
    elif isinstance(error, RefusedByNode):
        prefix, code = "REFUSED: ", error.problem
    warn(f"{prefix}{error} ({code})")
    if isinstance(error, Waiting):
        return WAITING
    if isinstance(error, DiskFull):
        return DISK
    return GUARD if isinstance(error, GuardRefused) else REFUSED
