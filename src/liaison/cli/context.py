"""What every command has: its home, and one way to say something."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

_out = Console(highlight=False, soft_wrap=True, markup=False)


def home_of(context: typer.Context) -> Path:
    """Return the home that ``--home`` or LIAISON_HOME names."""
    home = context.find_root().params.get("home")
    if not isinstance(home, Path):
        raise typer.BadParameter("which home? --home DIR, or LIAISON_HOME")
    return home


def say(text: str) -> None:
    """Print one line to standard output."""
    _out.print(text)
