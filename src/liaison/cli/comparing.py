"""Comparing by voice: the words of a request, and the last group of a fingerprint.

What a machine shows may have been exchanged on its way; what a person hears from one they know was not.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from liaison.cli.asking import ask
from liaison.cli.context import is_json, say
from liaison.words.errors import ChainBroken, NotReady

HOW: Final = "last group of the fingerprint heard by telephone"
Heard = Annotated[
    str, typer.Option("--heard", help="The fingerprint's last group as heard, for scripts.")
]
Who = Annotated[str, typer.Option("--who", help="Who compared it; this account by default.")]


def compare_fingerprint(whose: str, groups: Sequence[str], heard: str) -> None:
    """Return if the last group was heard as it is shown; ask for it where ``heard`` is empty.

    Raises:
        ChainBroken: another was heard.
        NotReady: nobody can be asked.
    """
    say(f"{whose} shows this fingerprint:")
    say(f"  {' '.join(groups)}")
    if not heard:
        if is_json():
            raise typer.BadParameter("with --json nothing is asked: add --heard GROUP")
        if not sys.stdin.isatty():
            raise NotReady(
                "Nobody is here to say what was heard by telephone",
                safe="nothing was pinned",
                do="run it at a terminal, or add --heard GROUP",
            )
        say("Call them by a number you had before, and have all eight groups read to you.")
        heard = typer.prompt("The last group as you heard it")
    if heard.strip().upper() != groups[-1]:
        raise ChainBroken(
            f"{heard.strip()!r} is not the last group: misheard, or the file is not theirs",
            safe="nothing was pinned",
            do="have all eight read again; if one differs, the file may have been exchanged: "
            "get it by another way",
        )


def whoever(who: str) -> str:
    """Return who compared: as said, else this account."""
    return who or getpass.getuser()


def say_phrase(phrase: Sequence[str]) -> None:
    say(f"  {' '.join(phrase)}")


def compare_phrase(phrase: Sequence[str], *, is_yes: bool) -> None:
    """Return once a person said that the words on this screen are those that they heard.

    Raises:
        NotReady: they aren't, or nobody can be asked.
    """
    say_phrase(phrase)
    say("Call them by a number you had before, and have the words read to you.")
    ask("Are they the same, word for word?", is_yes=is_yes, safe="nothing was signed")
