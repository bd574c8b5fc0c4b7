"""``liaison registrar``: who signs the daily business in the authority's stead, and doing it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from liaison.cli import comparing, desk
from liaison.cli.authority import NodeCard, Out, Post, send, written
from liaison.cli.context import answer, say
from liaison.cli.failure import warn
from liaison.cli.notes import time_ahead
from liaison.cli.showing import say_table, wrong_file
from liaison.cli.stopping import until_stopped
from liaison.client import (
    Authority,
    RegistrarRequest,
    Renewed,
    fingerprint,
    renew,
    request_registrar,
    take_delegation,
)
from liaison.rules.chain import id_of
from liaison.statements.payloads import Registrar as Delegated
from liaison.statements.payloads import Scope
from liaison.words.errors import (
    Busy,
    LiaisonError,
    Malformed,
    NodeUnreachable,
    NotReady,
    RefusedByNode,
)
from liaison.words.times import DAY, to_dtg

LOOK_S: Final = 300.0
"""So often it looks whether something changed, or is due."""

LONG: Final = 366 * DAY

registrar = typer.Typer(
    no_args_is_help=True, help="Who signs the daily business, within the authority's bounds."
)


def register(app: typer.Typer) -> None:
    app.add_typer(registrar, name="registrar")


@registrar.command()
def new(
    context: typer.Context,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="Such as mod.example.")],
    out: Out = None,
) -> None:
    """Make a registrar's key, and the request that goes to the authority."""
    home = desk.home_at(context)
    made = request_registrar(home, desk.passphrase(context, is_new=True), party)
    path = desk.write(context, "request.liaison", made.to_bytes(), out)
    say(f"This home asks to sign for {party}.")
    say(f"Hand {path} to the authority, and read it these words when it calls:")
    comparing.say_phrase(made.phrase)
    answer({"party": party, "phrase": " ".join(made.phrase), "file": path})


@registrar.command()
def delegate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The registrar's request, request.liaison.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help=f"One of {', '.join(Scope)}; repeatable; all unless said."),
    ] = None,
    until: Annotated[str, typer.Option(help="Until when it may sign.")] = "+90d",
    is_posted: Post = False,
    node: NodeCard = None,
    heard: comparing.HeardWords = "",
) -> None:
    """Let a registrar sign what its scope names, until a time. Again: other bounds, the same key."""
    try:
        request = RegistrarRequest.from_bytes(desk.read(context, file))
    except Malformed as exc:
        raise wrong_file(file, "a registrar's request", exc) from exc
    say(f"A registrar asks to sign for {request.party}.")
    comparing.compare_phrase(request.phrase, heard)
    scopes = sorted(scope or Scope)

    async def work(authority: Authority) -> None:
        time = time_ahead("--until", until, authority.now())
        assert time is not None
        if time - authority.now() > LONG:
            warn(f"Until {to_dtg(time)} is longer than a year: who steals that machine has as long")
        statement = authority.delegate(request, scopes, time)
        path = written(context, authority.party.partition(".")[0], statement)
        said = f"A registrar may sign {', '.join(scopes)} until {to_dtg(time)}"
        answer(await send(authority, is_posted, said, path, statement))
        groups = " ".join(fingerprint(statement.payload.authority))
        say(f"Hand back {path}, and read them the fingerprint of {authority.party}: {groups}")

    desk.as_authority(context, work, node=node, is_online=is_posted)


@registrar.command()
def begin(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The party file that the authority handed back.")],
    node: Annotated[Path, typer.Option(help="The node's card, node.liaison.")],
    heard: comparing.Heard = "",
    who: comparing.Who = "",
) -> None:
    """Take the delegation: pin the node and the authority, and go on from what the log holds."""
    statement = desk.read_party(context, file)
    payload = statement.payload
    card, home = desk.read_node(context, node), desk.home_at(context)
    comparing.compare_fingerprint(payload.party, fingerprint(payload.authority), heard)
    with home.locked():
        take_delegation(home, statement, card, who=comparing.whoever(who), how=comparing.HOW)

    async def work(registrar: Authority) -> Delegated:
        return registrar.delegated

    given = desk.as_authority(context, work, is_online=True)
    say(
        f"This home signs {', '.join(given.scope)} for {payload.party} until {to_dtg(given.until)}."
    )
    answer({"party": payload.party, "scope": list(given.scope), "until": given.until})


@registrar.command()
def end(
    context: typer.Context,
    key: Annotated[
        str, typer.Argument(help="Its key id, or the last group of its fingerprint: see list.")
    ],
    is_posted: Post = False,
    node: NodeCard = None,
) -> None:
    """Take a registrar's key away, for good."""

    async def work(authority: Authority) -> None:
        statement = authority.end_registrar(key)
        path = written(context, authority.party.partition(".")[0], statement)
        said = f"{key} signs no more for {authority.party}"
        answer(await send(authority, is_posted, said, path, statement))

    desk.as_authority(context, work, node=node, is_online=is_posted)


@registrar.command("list")
def list_registrars(context: typer.Context) -> None:
    """Show the registrars of this party, as the home's newest party statement names them."""

    async def work(authority: Authority) -> tuple[Delegated, ...]:
        return authority.statement.payload.registrars

    found = desk.as_authority(context, work)
    say_table(
        (" ".join(fingerprint(one.key)), f"until {to_dtg(one.until)}", ", ".join(one.scope))
        for one in found
    )
    if not found:
        say("There are no registrars.")
    answer(
        {
            "registrars": [
                {
                    "key": id_of(one.key),
                    "fingerprint": " ".join(fingerprint(one.key)),
                    "scope": list(one.scope),
                    "until": one.until,
                }
                for one in found
            ]
        }
    )


@registrar.command()
def run(
    context: typer.Context,
    is_once: Annotated[
        bool, typer.Option("--once", help="Look once, and end: for a timer of the system's own.")
    ] = False,
) -> None:
    """Renew the directory each day, and when something changed, until stopped; warn of what ends.

    The home is free between two looks, so that other commands can be typed in it.
    """
    home, passphrase, url = desk.home_at(context), desk.opener(context), desk.url_of(context)

    async def look() -> Renewed:
        async with Authority.open(home, passphrase, url=url) as authority:
            return await renew(authority)

    if is_once:
        renewed = asyncio.run(look())
        Looks().show(renewed)
        if not renewed.is_new:
            say(
                f"Directory {renewed.directory.sequence} of {renewed.directory.by} stands, valid until "
                f"{to_dtg(renewed.directory.valid_until)}: nothing was to be renewed."
            )
        return
    asyncio.run(until_stopped(keep_looking(look, lambda: asyncio.sleep(LOOK_S))))


async def keep_looking(
    look: Callable[[], Awaitable[Renewed]], pause: Callable[[], Awaitable[None]]
) -> None:
    """Look, show what came of it, pause, and so on; what may pass by itself is said and tried again."""
    looks = Looks()
    while True:
        try:
            looks.show(await look())
        except (NodeUnreachable, Busy, NotReady, RefusedByNode) as exc:
            looks.failed(exc)
        await pause()


class Looks:
    """What was said already isn't said again at each look, but when it changes."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def show(self, renewed: Renewed) -> None:
        directory = renewed.directory
        if renewed.is_new:
            say(
                f"Directory {directory.sequence} of {directory.by}, valid until "
                f"{to_dtg(directory.valid_until)}, is in the log."
            )
        self._warn(renewed.warnings)
        answer(
            {
                "sequence": directory.sequence,
                "valid_until": directory.valid_until,
                "is_new": renewed.is_new,
                "warnings": list(renewed.warnings),
            }
        )
        sys.stdout.flush()

    def failed(self, error: LiaisonError) -> None:
        self._warn([f"The directory was not renewed now: {error} ({error.code})"])

    def _warn(self, texts: tuple[str, ...] | list[str]) -> None:
        for text in texts:
            if text not in self._said:
                warn(text)
        self._said = set(texts)
