"""The ``liaison`` command. ``main`` is the entry point; each module registers its commands.

The convention: a module of this room has ``register(app)`` and stands in ``MODULES``.
Errors end in ``failure``.
"""

from __future__ import annotations

import errno
import functools
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextvars import copy_context
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]
from typer.core import CompletionItem, TyperGroup  # type: ignore[attr-defined]
from typer.main import get_command, get_group

from liaison import __version__
from liaison.cli.context import Json, answer, check_profile, say
from liaison.cli.failure import DONE, INTERRUPTED, Interrupted, misused, tell
from liaison.words.errors import LiaisonError, NotReady

MODULES: Final = {  # module: its commands
    "party": ("party",),
    "enrol": ("enrol",),
    "authority": ("member", "device", "key", "posting", "roster", "directory"),
    "posts": ("grant", "posting"),
    "registrar": ("registrar",),
    "channel": ("channel",),
    "notes": ("send", "reply", "inbox", "read", "ack", "decline", "cancel", "status"),
    "drafts": ("draft", "release"),
    "procedure": ("propose", "object", "extend", "withdraw"),
    "watch": ("desk",),
    "line": ("hold", "line-test"),
    "cabinet": ("cabinet",),
    "receipt": ("receipt",),
    "outbox": ("outbox", "lodge"),
    "key": ("key",),
    "unlock": ("unlock", "lock", "profile"),
    "doctor": ("doctor", "whoami"),
    "node": ("node",),
    "upkeep": ("node",),
    "audit": ("audit",),
    "demo": ("demo",),
    "completing": ("completion",),
}
"""A person who sends a note doesn't wait until a database was imported: only what is typed is."""

COMPLETING: Final = "_LIAISON_COMPLETE"
"""Set where it is a shell that asks, on behalf of somebody who types."""

_PLACE: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOENT}
    | {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO}
)
"""What is wrong with a place where a home is to be, not with liaison."""


class Root(TyperGroup):
    """All commands. A command's module is imported when the command is asked for."""

    def list_commands(self, ctx: object) -> list[str]:
        del ctx
        return list(dict.fromkeys(name for names in MODULES.values() for name in names))

    def shell_complete(self, ctx: Any, incomplete: str) -> list[CompletionItem]:
        named = [CompletionItem(n) for n in self.list_commands(ctx) if n.startswith(incomplete)]
        # Beyond the commands, which typer would import for their help: the options.
        return [*named, *super(TyperGroup, self).shell_complete(ctx, incomplete)]

    def get_command(self, ctx: object, cmd_name: str) -> Any:
        del ctx
        made = _made(cmd_name)
        if made is not None:
            takes_json = next(each for each in self.params if each.name == "is_json")
            for command in commands_in(made):
                if all(each.name != takes_json.name for each in command.params):
                    command.params.append(takes_json)
        return made


@functools.cache
def _made(name: str) -> Any:
    """Return a command of the root, None where there is none of this name."""
    part = typer.Typer(add_completion=False, rich_markup_mode=None)
    for module, names in MODULES.items():
        if name in names:
            importlib.import_module(f"liaison.cli.{module}").register(part)
    return get_group(part).commands.get(name)


def commands_in(command: Any) -> Iterator[Any]:
    """Give a command and all below it."""
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from commands_in(below)


app = typer.Typer(
    cls=Root,
    name="liaison",
    help="Notes between parties: sealed end to end, each in a log that anybody can check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        say(f"liaison {__version__}")
        answer({"software": "liaison", "version": __version__})
        raise typer.Exit


@app.callback()
def options(
    home: Annotated[
        Path | None, typer.Option(envvar="LIAISON_HOME", help="The directory of one user.")
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            envvar="LIAISON_PROFILE",
            callback=check_profile,
            help="A home by a name: its directory is in your data folder.",
        ),
    ] = "",
    passphrase_file: Annotated[
        Path | None,
        typer.Option(envvar="LIAISON_PASSPHRASE_FILE", help="A file that holds the passphrase."),
    ] = None,
    url: Annotated[
        str, typer.Option(envvar="LIAISON_URL", help="Ask the pinned node at this URL.")
    ] = "",
    is_json: Json = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, help="Say it.")
    ] = False,
) -> None:
    """Notes between parties: sealed end to end, each in a log that anybody can check."""
    # Commands read these from the root context (context.home_of, desk.passphrase, desk.url_of).
    del home, profile, passphrase_file, url, is_json, version


def main() -> None:
    """Run the command line, and exit with one of ``failure``'s codes."""
    sys.exit(copy_context().run(_run))  # that one command speaks JSON says nothing of the next


def _run() -> int:
    if COMPLETING in os.environ:
        completion_init()
    try:
        _check_typed(sys.argv[1:], os.environ)
        code = get_command(app).main(prog_name="liaison", standalone_mode=False)
    except typer.TyperException as exc:
        return misused(exc)
    except typer.Abort:
        return tell(NotReady("Not done: the question was not answered"))
    except LiaisonError as exc:
        return tell(exc)
    except OSError as exc:
        if exc.errno not in _PLACE:
            raise
        return tell(
            NotReady(
                f"{exc.filename or 'A file'} can't be written or read: {exc.strerror}",
                safe="what was sent and kept before stands",
                do="see to the place, then repeat the command; if it was to send something, first see "
                "whether that was sent: liaison inbox",
            )
        )
    if code == INTERRUPTED:
        tell(Interrupted())
    return code if isinstance(code, int) else DONE


def _check_typed(words: Iterable[str], environment: Mapping[str, str]) -> None:
    """Return if all that was typed, or named for liaison, is text: no name or URL can be else.

    Raises:
        BadParameter: it isn't.
    """
    words = [*words]
    if "--home=" in words or ("--home", "") in pairwise(words):
        # An empty path is the current directory, which nobody means by it.
        raise typer.BadParameter("--home names no directory: is a variable empty?")
    named = (value for name, value in environment.items() if name.startswith("LIAISON_"))
    for word in (*words, *named):
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as exc:
            raise typer.BadParameter(f"{ascii(word)[:80]} is not UTF-8") from exc
