"""What every command has: its home, ``say`` for people, ``answer`` for scripts.

A command says its lines with ``say`` and gives what they mean to ``answer``, once. With ``--json`` only
the answer is printed, without it only the lines: no command has to ask which (docs/decisions/0016).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

_out = Console(highlight=False, soft_wrap=True, markup=False)
_is_json: Final = ContextVar("is_json", default=False)

Shape = Mapping[str, object]
"""What an answer is made of: texts, numbers, lists and shapes; a member that is None isn't said."""


def home_of(context: typer.Context) -> Path:
    """Return the home that ``--home`` or LIAISON_HOME names."""
    home = context.find_root().params.get("home")
    if not isinstance(home, Path):
        raise typer.BadParameter("which home? --home DIR, or LIAISON_HOME")
    return home


def is_json() -> bool:
    """Return whether this command speaks to a script."""
    return _is_json.get()


def speak_json(is_asked: bool) -> None:
    if is_asked:
        _is_json.set(True)


Json = Annotated[
    bool,
    typer.Option(
        "--json",
        callback=speak_json,
        is_eager=True,
        expose_value=False,
        help="Answer as one line of JSON, for scripts.",
    ),
]
"""For the root command; all others get it from there."""


def say(text: str) -> None:
    """Print one line to standard output, for people."""
    if not is_json():
        _out.print(text)


def answer(shape: Shape) -> None:
    """Print what the command found or did as one line of JSON, for scripts."""
    if is_json():
        _out.print(one_line(shape))


def one_line(shape: Shape) -> str:
    """Return a shape as JSON in ASCII, so that nothing in it can disturb a terminal."""
    return json.dumps(_said(shape))


def _said(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _said(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_said(each) for each in value]
    return str(value) if isinstance(value, Path) else value
