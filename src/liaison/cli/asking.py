"""Asking before something is sent: one screen, then yes or no. Scripts say ``--yes``."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from liaison.cli.context import is_json, say
from liaison.cli.failure import Interrupted
from liaison.words.errors import NotReady


def _who_asks(context: typer.Context, is_yes: bool) -> bool:
    if is_json() and not is_yes and not context.resilient_parsing:
        raise typer.BadParameter(
            "with --json nothing is asked: add --yes once you know what follows"
        )
    return is_yes


Yes = Annotated[bool, typer.Option("--yes", callback=_who_asks, help="Don't ask: for scripts.")]

_TERMINAL: Final = Path("/dev/tty")


def show(title: str, rows: Iterable[tuple[str, str]], consequence: Iterable[str]) -> None:
    """Show what is about to be done: rows of name and value, then what follows from it."""
    say(title)
    for name, value in rows:
        if value:
            say(f"  {name + ':':<12} {value}")
    lines = list(consequence)
    for number, line in enumerate(lines):
        say(
            f"  {'Then:' if number == 0 else '':<12} {line}{';' if number + 1 < len(lines) else '.'}"
        )


def ask(question: str, *, is_yes: bool, safe: str = "nothing was sealed or sent") -> None:
    """Return if the person says yes, at the terminal even where the text came from a pipe.

    ``safe`` is what an error says of what was not done.

    Raises:
        NotReady: no, or nobody can be asked.
        Interrupted: it was ended with Ctrl-C.
    """
    if is_yes:
        return
    try:
        answer = typed(f"{question} [y/N]", safe=safe)
    except OSError as exc:
        raise NotReady(
            "Nobody is here to say yes",
            safe=safe,
            do="read what is shown above; if it is right, repeat the command with --yes",
        ) from exc
    if answer.strip().lower() not in ("y", "yes"):
        raise NotReady("Not done: you said no", safe=safe)


def typed(question: str, *, safe: str) -> str:
    """Return what a person types at the terminal. ``safe`` is as of ``interruptible``.

    Raises:
        OSError: there is none.
        Interrupted: it was ended with Ctrl-C.
    """
    with interruptible(safe):
        with _TERMINAL.open("w", encoding="utf-8") as screen:
            screen.write(f"{question} ")
        with _TERMINAL.open("r", encoding="utf-8") as keyboard:
            return keyboard.readline()


@contextmanager
def interruptible(safe: str) -> Iterator[None]:
    """Have the first Ctrl-C end the command while a person is asked for something.

    Else the event loop only takes note of it, and what is typed next would still be believed.
    ``safe`` is what is said of what was not done.

    Raises:
        Interrupted: there was one, now or just before.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if _is_ending():
            raise Interrupted(safe=safe)
        yield
    except KeyboardInterrupt:
        if not is_json():
            sys.stderr.write("\n")  # the question stands on that line
        raise Interrupted(safe=safe) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _is_ending() -> bool:
    with suppress(RuntimeError):  # there is no event loop
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return False
