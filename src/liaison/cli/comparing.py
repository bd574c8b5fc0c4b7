"""Comparing by voice: the words of a request, and the last group of a fingerprint.

What a machine shows may have been exchanged on its way; what a person hears from one they know was not.
So it is typed as it was heard. Nothing that another wrote stands on these screens beside it.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from liaison.cli.asking import typed
from liaison.cli.context import is_json, say
from liaison.words.errors import ChainBroken, NotReady

HOW: Final = "last group of the fingerprint heard by telephone"
Heard = Annotated[
    str, typer.Option("--heard", help="The fingerprint's last group as heard, for scripts.")
]
HeardWords = Annotated[
    str,
    typer.Option(
        "--heard", metavar="WORDS", help="The request's five words as heard, for scripts."
    ),
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
        heard = _ask("all eight groups", "The last group", "GROUP", safe="nothing was pinned")
    if heard.strip().upper() != groups[-1]:
        raise ChainBroken(
            f"{heard.strip()!r} is not the last group: misheard, or the file is not theirs",
            safe="nothing was pinned",
            do="have all eight read again; if one differs, the file may have been exchanged: "
            "get it by another way",
        )


def compare_phrase(phrase: Sequence[str], heard: str) -> None:
    """Return if the words that were heard are the request's; ask for them where ``heard`` is empty.

    They are not shown here: so nobody copies them off the screen, or is shown others.

    Raises:
        ChainBroken: others were heard.
        NotReady: nobody can be asked.
    """
    if not heard:
        heard = _ask("the five words", "The five words", "WORDS", safe="nothing was signed")
    if heard.lower().split() != list(phrase):
        raise ChainBroken(
            f"{heard.strip()!r} are not the words of this request: misheard, or it is not theirs",
            safe="nothing was signed",
            do="have all five read again; if they are still not these, the request was exchanged on "
            "its way: get it by another",
        )


def say_phrase(phrase: Sequence[str]) -> None:
    say(f"  {' '.join(phrase)}")


def whoever(who: str) -> str:
    """Return who compared: as said, else this account."""
    return who or getpass.getuser()


def _ask(read: str, what: str, name: str, *, safe: str) -> str:
    if is_json():
        raise typer.BadParameter(f"with --json nothing is asked: add --heard {name}")
    say(f"Call them by a number you had before, and have {read} read to you.")
    try:
        return typed(f"{what} as you heard {'it' if name == 'GROUP' else 'them'}:")
    except OSError as exc:
        raise NotReady(
            "Nobody is here to say what was heard by telephone",
            safe=safe,
            do=f"run it at a terminal, or add --heard {name}",
        ) from exc
