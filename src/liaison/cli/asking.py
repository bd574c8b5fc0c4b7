"""Asking before something is sent: one screen, then yes or no. Scripts say ``--yes``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from liaison.cli.context import is_json, say
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
    """
    if is_yes:
        return
    try:
        answer = typed(f"{question} [y/N]")
    except OSError as exc:
        raise NotReady(
            "Nobody is here to say yes",
            safe=safe,
            do="read what is shown above; if it is right, repeat the command with --yes",
        ) from exc
    if answer.strip().lower() not in ("y", "yes"):
        raise NotReady("Not done: you said no", safe=safe)


def typed(question: str) -> str:
    """Return what a person types at the terminal.

    Raises:
        OSError: there is none.
    """
    with _TERMINAL.open("w", encoding="utf-8") as screen:
        screen.write(f"{question} ")
    with _TERMINAL.open("r", encoding="utf-8") as keyboard:
        return keyboard.readline()
