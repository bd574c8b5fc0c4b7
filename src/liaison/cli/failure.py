"""The one place that turns an error into words on standard error and an exit code.

With ``--json`` each line of standard error is JSON, too: a problem, or a warning.
"""

from __future__ import annotations

import sys
from typing import ClassVar, Final

import typer
from rich.console import Console

from liaison.cli.context import Shape, is_json, one_line
from liaison.words.encoding import to_base64
from liaison.words.errors import LiaisonError, RefusedByNode

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
GUARD: Final = 3
DISK: Final = 4
WAITING: Final = 75
"""EX_TEMPFAIL of sysexits: it may be tried again, and the outbox does."""
INTERRUPTED: Final = 130

_EXITS: Final = {
    "waiting": WAITING,
    "disk-full": DISK,
    "guard-refused": GUARD,
    "interrupted": INTERRUPTED,
}
"""By the error's code; any other is 1."""

_STOP: Final = "STOP: call the other side, and keep file and receipts for the auditors"
_DO: Final = {
    "malformed": "whoever typed or made it corrects it",
    "signature-invalid": _STOP,
    "log-untrusted": _STOP,
    "chain-broken": _STOP,
    "not-allowed": "ask your authority whether this device, and who has it, is in force",
    "not-here": "check what was named, and the node's URL",
}
"""What to do by the error's code, as docs/errors.md has it, where the error itself doesn't say."""


class Interrupted(LiaisonError):
    """Somebody ended it with Ctrl-C."""

    code: ClassVar[str] = "interrupted"

    def __init__(self, *, safe: str = "") -> None:
        super().__init__("Ended with Ctrl-C", safe=safe)


_err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def warn(text: str) -> None:
    """Print one line to standard error."""
    if is_json():
        _err.print(one_line({"warning": text}))
    else:
        _say(text)


def tell(error: LiaisonError) -> int:
    """Say what happened, what is safe and what to do; return the exit code."""
    error.do = error.do or _DO.get(error.code, "")
    if is_json():
        _err.print(one_line(problem_of(error)))
    else:
        prefix = "WAITING in the outbox: " if error.code == "waiting" else ""
        if isinstance(error, RefusedByNode):
            prefix = "REFUSED: "
        _say(f"{prefix}{error} ({code_of(error)})")
    return exit_code_of(error)


def problem_of(error: LiaisonError) -> Shape:
    """Return an error as a problem: the members of the interface's, and the exit code."""
    refusal = error.refusal if isinstance(error, RefusedByNode) else b""
    return {
        "code": code_of(error),
        "detail": error.happened,
        "safe": error.safe or None,
        "do": error.do or None,
        "refusal": to_base64(refusal) if refusal else None,
        "exit_code": exit_code_of(error),
    }


def code_of(error: LiaisonError) -> str:
    return error.problem if isinstance(error, RefusedByNode) else error.code


def exit_code_of(error: LiaisonError) -> int:
    return _EXITS.get(error.code, REFUSED)


def misused(error: typer.TyperException) -> int:
    """Say that the command was typed wrong; return the exit code."""
    if is_json() or "--json" in sys.argv:  # perhaps nobody came to read it
        text = error.format_message() or "no command was named"
        _err.print(one_line({"code": "usage", "detail": text, "exit_code": error.exit_code}))
    else:
        show = getattr(error, "show", None)  # typer shows the usage beside it
        show() if show else _say(f"Error: {error.format_message()}")
    return error.exit_code


def _say(text: str) -> None:
    from liaison.sealing.content import visible  # noqa: PLC0415 `--version` waits for no cipher

    _err.print(visible(text))
