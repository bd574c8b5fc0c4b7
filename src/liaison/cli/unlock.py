"""``liaison unlock``, ``lock``, ``profile``: homes by name, and a keystore opened once for a while."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from liaison.adapters import agent
from liaison.cli import desk
from liaison.cli.context import answer, homes_by_name, say
from liaison.cli.failure import warn
from liaison.cli.showing import say_table
from liaison.client import Home
from liaison.client.backup import who_has
from liaison.client.home import KEYSTORE
from liaison.sealing.keystore import Keystore
from liaison.words.errors import LiaisonError, NotReady

profile = typer.Typer(no_args_is_help=True, help="Homes by name: --profile NAME.")


def register(app: typer.Typer) -> None:
    app.command()(unlock)
    app.command()(lock)
    app.add_typer(profile, name="profile")


def unlock(context: typer.Context) -> None:
    """Type the passphrase once: an agent keeps the key until it is idle for 15 minutes, or `lock`.

    Any process of yours can use it meanwhile. It is kept in memory, and never written.
    """
    home = desk.home_at(context)
    who = who_has(home)
    place = _place(home)
    keystore = Keystore.open(home.path(KEYSTORE), desk.passphrase(context))
    is_unswapped = agent.start(place, keystore.key.to_bytes())
    say(f"{who} is unlocked: commands ask for no passphrase until none came for 15 minutes.")
    say("liaison lock ends it at once.")
    if not is_unswapped:
        warn("This system may write the agent's memory to swap: encrypt the swap, or don't unlock")
    answer({"who": who, "idle_s": agent.IDLE_S, "unswapped": is_unswapped})


def lock(context: typer.Context) -> None:
    """Have the agent of this home forget its key."""
    home = desk.home_at(context)
    was_there = agent.lock(_place(home))
    say("Locked." if was_there else "It was locked already.")
    answer({"was_unlocked": was_there})


def _place(home: Home) -> Path:
    place = agent.place_for(home.root, os.environ)
    if place is None:
        raise NotReady(
            "There is no XDG_RUNTIME_DIR: no folder in memory that is yours alone",
            safe="nothing was unlocked",
            do="log in by a session that makes one (systemd does); a service takes --passphrase-file",
        )
    return place


@profile.command("list")
def list_command() -> None:
    """List the homes that have a name, and whose each is."""
    folder = homes_by_name(os.environ)
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            found.append((path.name, who_has(Home(path)), path))
        except LiaisonError:
            continue
    say_table(found)
    if not found:
        say(f"No home has a name yet. Begin one: liaison --profile NAME enrol POST (in {folder})")
    answer({"profiles": [{"name": n, "who": who, "home": path} for n, who, path in found]})
