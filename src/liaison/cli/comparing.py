"""Comparing by voice: the words of a request, and groups of a fingerprint. docs/decisions/0022.

What a machine shows may have been exchanged on its way; what a person hears from one they know was not.
So it is typed as it was heard. Nothing that another wrote stands on these screens beside it.
"""

from __future__ import annotations

import getpass
import re
import secrets
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from liaison.cli.asking import typed
from liaison.cli.context import is_json, say
from liaison.words.errors import ChainBroken, NotReady

HOW: Final = "groups of the fingerprint heard by telephone"
DRAWN: Final = 2
"""So many groups are asked for beside the last one: a key that ends in it is made in a minute."""
HEARD_LEAST: Final = 4
"""So many groups stand in ``--heard``: nothing is drawn for a script."""
_BETWEEN: Final = re.compile(r"[\s-]+")
Heard = Annotated[
    str,
    typer.Option(
        "--heard",
        metavar="GROUPS",
        help="The fingerprint's last four groups, or more, as heard, for scripts.",
    ),
]
HeardWords = Annotated[
    str,
    typer.Option(
        "--heard", metavar="WORDS", help="The request's five words as heard, for scripts."
    ),
]
Who = Annotated[str, typer.Option("--who", help="Who compared it; this account by default.")]


def compare_fingerprint(whose: str, groups: Sequence[str], heard: str) -> None:
    """Return if what was heard is the fingerprint that is shown; ask where ``heard`` is empty.

    Asked for are the last group and then two that are drawn: who made a key in advance can't know which.

    Raises:
        ChainBroken: something else was heard.
        NotReady: nobody can be asked.
    """
    say(f"{whose} shows this fingerprint:")
    say(f"  {' '.join(groups)}")
    if heard:
        said = _plain(heard)
        if len(said) < HEARD_LEAST * len(groups[-1]):
            raise typer.BadParameter("--heard has the last four groups of the fingerprint at least")
        _check(heard, "are not the last groups", is_same="".join(groups).endswith(said))
        return
    heard = _ask(
        "all eight groups", "The last group as you heard it:", "GROUPS", "nothing was pinned"
    )
    _check(heard, "is not the last group", is_same=_plain(heard) == groups[-1])
    for place in sorted(secrets.SystemRandom().sample(range(len(groups) - 1), DRAWN)):
        heard = typed(f"And group {place + 1} of the eight:", safe="nothing was pinned")
        _check(heard, f"is not group {place + 1}", is_same=_plain(heard) == groups[place])


def _plain(heard: str) -> str:
    return _BETWEEN.sub("", heard).upper()


def _check(heard: str, what: str, *, is_same: bool) -> None:
    if not is_same:
        raise ChainBroken(
            f"{heard.strip()!r} {what}: misheard, or the file is not theirs",
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
        heard = _ask(
            "the five words", "The five words as you heard them:", "WORDS", "nothing was signed"
        )
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


def _ask(read: str, question: str, option: str, safe: str) -> str:
    if is_json():
        raise typer.BadParameter(f"with --json nothing is asked: add --heard {option}")
    say(f"Call them by a number you had before, and have {read} read to you.")
    try:
        return typed(question, safe=safe)
    except OSError as exc:
        raise NotReady(
            "Nobody is here to say what was heard by telephone",
            safe=safe,
            do=f"run it at a terminal, or add --heard {option}",
        ) from exc
