"""What every command has: its home, ``say`` for people, ``answer`` for scripts.

A command says its lines with ``say`` and gives what they mean to ``answer``, once. With ``--json`` only
the answer is printed, without it only the lines: no command has to ask which (docs/decisions/0016).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

_PLAIN: Final = re.compile(r"[\t\n -~]*")
_PROFILE: Final = re.compile(r"[a-z0-9-]{1,40}")

_out = Console(highlight=False, soft_wrap=True, markup=False)
_is_json: Final = ContextVar("is_json", default=False)

Shape = Mapping[str, object]
"""What an answer is made of: texts, numbers, lists and shapes; a member that is None isn't said."""


def home_of(context: typer.Context) -> Path:
    """Return the home that ``--home`` or ``--profile`` names, or their variables."""
    home = named_home(context)
    if home is None:
        raise typer.BadParameter(
            "which home? --home DIR or --profile NAME (LIAISON_HOME, _PROFILE)"
        )
    return home


def named_home(context: typer.Context) -> Path | None:
    """Return the home that is named, if one is; what was typed goes before a variable."""
    root = context.find_root()
    home, profile = root.params.get("home"), root.params.get("profile")
    if isinstance(home, Path) and profile:
        typed = [
            name
            for name in ("home", "profile")
            if (source := root.get_parameter_source(name)) and source.name == "COMMANDLINE"
        ]
        if len(typed) != 1:
            raise typer.BadParameter(
                "--home or --profile: not both (LIAISON_HOME, LIAISON_PROFILE)"
            )
        if typed == ["home"]:
            return home
    if isinstance(profile, str) and profile:
        return homes_by_name(os.environ) / profile
    return home if isinstance(home, Path) else None


def homes_by_name(environment: Mapping[str, str]) -> Path:
    """Return the folder of homes that have a name: the data folder of the XDG specification."""
    data = Path(environment.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / "liaison"


def check_profile(name: str) -> str:
    if name and not _PROFILE.fullmatch(name):
        raise typer.BadParameter("a name has 1 to 40 of a-z, 0-9 and -")
    return name


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
    """Print one line to standard output, for people; nothing in it can disturb a terminal."""
    if not is_json():
        if not _PLAIN.fullmatch(text):
            from liaison.sealing.content import visible  # noqa: PLC0415 `--version` waits for no cipher

            text = visible(text)
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
