"""The ``liaison`` command. ``main`` is the entry point; each module registers its commands.

The convention: a module of this room has ``register(app)``. Errors end in ``failure``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from liaison import __version__
from liaison.cli.failure import tell
from liaison.words.errors import LiaisonError

MODULES: Final = (
    "party",
    "enrol",
    "authority",
    "channel",
    "notes",
    "receipt",
    "outbox",
    "node",
    "audit",
    "demo",
)

app = typer.Typer(
    name="liaison",
    help="Notes between parties: sealed end to end, each in a log that anybody can check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"liaison {__version__}")
        raise typer.Exit


@app.callback()
def options(
    home: Annotated[
        Path | None, typer.Option(envvar="LIAISON_HOME", help="The directory of one user.")
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(envvar="LIAISON_PASSPHRASE_FILE", help="A file that holds the passphrase."),
    ] = None,
    url: Annotated[
        str, typer.Option(envvar="LIAISON_URL", help="Ask the pinned node at this URL.")
    ] = "",
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say it.")
    ] = False,
) -> None:
    """Notes between parties: sealed end to end, each in a log that anybody can check."""
    # Commands read these from the root context (context.home_of, desk.passphrase, desk.url_of).
    del home, passphrase_file, url, version


def register_all() -> None:
    for name in MODULES:
        module = f"liaison.cli.{name}"
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module).register(app)


register_all()


def main() -> None:
    """Run the command line; exit 0, or 1 refused, 2 usage, 3 guard, 75 waiting in the outbox."""
    try:
        app()
    except LiaisonError as exc:
        sys.exit(tell(exc))
