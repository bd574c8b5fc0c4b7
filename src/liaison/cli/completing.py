"""``liaison completion SHELL``, and what its shell asks while a person types.

Commands and options come from typer. References, channels and posts are what the home's files say
without a passphrase, a lock or a node: what can't be read so is not offered.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from liaison.cli import COMPLETING
from liaison.cli.context import answer, named_home, say
from liaison.client.acting import SEEN
from liaison.client.home import Home
from liaison.client.journal import headers
from liaison.client.seat import KNOWN
from liaison.words.errors import LiaisonError


class Shell(enum.StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    app.command()(completion)


def completion(
    shell: Annotated[Shell, typer.Argument(help="Yours.")],
) -> None:
    """Print what makes a shell complete commands, options, references, channels and posts.

    bash: liaison completion bash > ~/.local/share/bash-completion/completions/liaison

    zsh: liaison completion zsh > DIR/_liaison, where DIR stands in fpath before compinit

    fish: liaison completion fish > ~/.config/fish/completions/liaison.fish
    """
    script = get_completion_script(prog_name="liaison", complete_var=COMPLETING, shell=shell.value)
    say(script)
    answer({"shell": shell.value, "script": script})


def references(context: typer.Context, incomplete: str) -> list[str]:
    """Return what this home has of notes, the newest first."""
    return _matching(_references(context), incomplete)


def channels(context: typer.Context, incomplete: str) -> list[str]:
    return _matching(_channels(context), incomplete)


def items(context: typer.Context, incomplete: str) -> list[str]:
    """Return what an operator can name: notes, and channels for their line tests."""
    return _matching([*_references(context), *_channels(context)], incomplete)


def posts(context: typer.Context, incomplete: str) -> list[str]:
    """Return the posts of the channel that was typed; of all, where none was or it isn't known."""
    known = _state(context, KNOWN)
    typed = known.get(str(context.params.get("channel")))
    lists = [typed] if isinstance(typed, list) else [*known.values()]
    return _matching(
        (str(post) for each in lists if isinstance(each, list) for post in each), incomplete
    )


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return list(dict.fromkeys(name for name in names if name.startswith(incomplete)))


def _references(context: typer.Context) -> list[str]:
    home = _home(context)
    found: list[str] = []
    if home is not None:
        with suppress(OSError, LiaisonError):
            found += [str(header["reference"]) for header in headers(home.path("cabinet"))]
    return [*reversed([*_state(context, SEEN), *found])]


def _channels(context: typer.Context) -> Iterator[str]:
    yield from _state(context, KNOWN)
    home = _home(context)
    if home is not None:
        yield from sorted(path.stem for path in home.root.glob("*.charter"))


def _state(context: typer.Context, name: str) -> dict[str, object]:
    home = _home(context)
    with suppress(OSError, LiaisonError):
        return {} if home is None else home.read_state(name)
    return {}


def _home(context: typer.Context) -> Home | None:
    root = named_home(context)
    return None if root is None else Home(root)
