"""The settings of a node, as its commands find them: options, environment, node.toml, the card."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from liaison.adapters.newfile import create_whole
from liaison.cli.context import home_of
from liaison.settings import CONFIG, FILE, Loaded, Settings, load_settings
from liaison.words.canonical import parse_canonical
from liaison.words.errors import Malformed, NotReady

Config = Annotated[
    Path | None,
    typer.Option("--config", envvar=CONFIG, help="The settings' file; node.toml in the home."),
]
Listen = Annotated[
    str | None, typer.Option(help="Address and port to listen on.", show_default=False)
]
GuardAt = Annotated[
    Path | None, typer.Option(help="Where the guard file is; outside the database's backups.")
]
Database = Annotated[
    str | None, typer.Option(help="The store's URL: sqlite:////PATH or postgresql://…")
]


def loaded(
    context: typer.Context, config: Path | None = None, **options: str | Path | None
) -> Loaded:
    """Return the settings of the node in this home, each with its source."""
    home = home_of(context)
    return load_settings(
        home, options=options, environment=os.environ, config=config, begun=_begun(home)
    )


def settings_of(
    context: typer.Context, config: Path | None = None, **options: str | Path | None
) -> Settings:
    return loaded(context, config, **options).settings


def settings_at(home: Path, **options: str | Path | None) -> Settings:
    """Return the settings of another home: what this one's environment says isn't meant for it."""
    return load_settings(home, options=options, begun=_begun(home)).settings


def remember(settings: Settings, **told: str | Path | None) -> Path | None:
    """Write what ``node init`` was told, and no later command could know, to a new node.toml."""
    lines = [
        f"{name} = {json.dumps(str(value), ensure_ascii=False)}\n"
        for name, value in told.items()
        if value is not None
    ]
    if not lines:
        return None
    file = settings.home / FILE
    try:
        create_whole(file, "".join(lines).encode())
    except FileExistsError as exc:
        raise NotReady(
            f"{file} is there already, and does not say {' '.join(lines).strip()}",
            safe="the node was made; its settings were not touched",
            do="write it there yourself, or name it to each command",
        ) from exc
    return file


def _begun(home: Path) -> dict[str, object]:
    """Return the address that the card names, if it is one to listen on, without a proxy before it."""
    with contextlib.suppress(OSError, Malformed, ValidationError):
        card = parse_canonical((home / "node.liaison").read_bytes().rstrip(b"\n"))
        scheme, _, address = str(card.get("url")).partition("://")
        if scheme == "http":
            return {"listen": Settings(home=home, listen=address).listen}
    return {}
