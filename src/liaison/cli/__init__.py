"""The ``liaison`` command. ``main`` is the entry point; each module registers its commands.

The convention: a module of this room has ``register(app)`` and stands in ``MODULES``.
Errors end in ``failure``.
"""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from liaison import __version__
from liaison.cli.failure import tell
from liaison.words.errors import LiaisonError, NotReady

MODULES: Final = {  # module: its commands
    "party": ("party",),
    "enrol": ("enrol",),
    "authority": ("member", "posting", "roster", "directory"),
    "channel": ("channel",),
    "notes": ("send", "reply", "inbox", "read", "ack", "decline", "cancel", "status"),
    "drafts": ("draft", "release"),
    "procedure": ("propose", "object", "extend", "withdraw"),
    "watch": ("desk",),
    "line": ("hold", "line-test"),
    "receipt": ("receipt",),
    "outbox": ("outbox",),
    "node": ("node",),
    "upkeep": ("node",),
    "audit": ("audit",),
    "demo": ("demo",),
}
"""A person who sends a note doesn't wait until a database was imported: only what is typed is."""

_PLACE: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOENT}
    | {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
)
"""What is wrong with a place where a home is to be, not with liaison."""

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


_registered: set[str] = set()


def register(words: Sequence[str]) -> None:
    """Register the modules of the commands among ``words``, or all where there is none."""
    named = [module for module, commands in MODULES.items() if {*commands} & {*words}]
    for module in named or MODULES:
        if module not in _registered:
            importlib.import_module(f"liaison.cli.{module}").register(app)
            _registered.add(module)


def main() -> None:
    """Run the command line; exit 0, or 1 refused, 2 usage, 3 guard, 75 waiting in the outbox."""
    register(sys.argv[1:])
    try:
        app()
    except LiaisonError as exc:
        sys.exit(tell(exc))
    except OSError as exc:
        if exc.errno not in _PLACE:
            raise
        sys.exit(
            tell(
                NotReady(
                    f"{exc.filename or 'A file'} can't be written or read: {exc.strerror}",
                    safe="what was sent and kept before stands",
                    do="see to the place, then repeat the command",
                )
            )
        )
