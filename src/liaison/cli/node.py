"""``liaison node``: init, serve, admit, confirm-time, rules-version, advance, retire."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop

from liaison.cli.configured import (
    Config,
    Database,
    GuardAt,
    Listen,
    remember,
    settings_at,
    settings_of,
)
from liaison.cli.context import answer, say
from liaison.cli.showing import wrong_file
from liaison.main import (
    KEY_PURPOSES,
    begin,
    load_keys,
    mark_retired,
    predecessor_of,
    read_card,
    serve,
)
from liaison.node.beginning import confirm_time
from liaison.sealing.content import visible
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Admission, Node, Party, State
from liaison.statements.statement import Statement, make_statement, parse_statement_of
from liaison.words.encoding import from_base64
from liaison.words.errors import Malformed, NotReady, RefusedByNode
from liaison.words.ids import check_id
from liaison.words.times import HOUR, from_typed, to_dtg

if TYPE_CHECKING:
    from liaison.client.transport import Transport

node = typer.Typer(no_args_is_help=True, help="Begin, serve and keep a node.")


def register(app: typer.Typer) -> None:
    app.add_typer(node, name="node")


def _transport(url: str) -> Transport:
    from liaison.client.transport import Transport  # noqa: PLC0415 `node serve` waits for no client

    return Transport(url)


@node.command()
def init(
    context: typer.Context,
    origin: Annotated[
        str,
        typer.Option(help="The log's name for good, without http://: such as node.example/log."),
    ],
    listen: Listen = None,
    guard: GuardAt = None,
    database: Database = None,
    public_url: Annotated[
        str,
        typer.Option(
            help="How others reach it, where a TLS proxy stands before it: https://node.example."
        ),
    ] = "",
    config: Config = None,
    is_exercise: Annotated[
        bool,
        typer.Option("--exercise", help="A node for exercises: its time can be moved ahead."),
    ] = False,
) -> None:
    """Make the node's three keys, its guard and its first record; write node.liaison."""
    settings = settings_of(context, config, listen=listen, guard=guard, database=database)
    _check_origin(origin)
    url = _public(public_url) or f"http://{settings.listen}"
    seeds = {purpose: secrets.token_bytes(32) for purpose in KEY_PURPOSES}
    begin(settings, origin, seeds=seeds, url=url, is_exercise=is_exercise)
    say(f"The log {origin} begins. Hand {settings.card} to whoever is to use this node.")
    say(
        f"Keep a copy of {settings.guard} on a second disk, for the day this one fails (never to serve "
        f"from a second place), and of {settings.keys} offline: plain files, without passphrase."
    )
    told = {
        "listen": settings.listen if public_url and listen else None,
        "guard": guard and guard.absolute(),
        "database": database,
    }
    if config is None and (file := remember(settings, **told)) is not None:
        say(f"{file} keeps what was said here, for the commands to come.")
    answer(
        {"origin": origin, "card": settings.card, "guard": settings.guard, "keys": settings.keys}
    )


@node.command("serve")
def serve_command(
    context: typer.Context,
    listen: Annotated[
        str | None, typer.Option(help="Address and port to listen on; those of init by default.")
    ] = None,
    guard: GuardAt = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Serve until SIGTERM. Exit 3: the guard refuses, and nothing was signed."""
    settings = settings_of(context, config, listen=listen, guard=guard, database=database)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve(settings, ready=_say_serving))
        except OSError as exc:
            if exc.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
                raise
            raise NotReady(
                f"Nothing can listen on {settings.listen}: {os.strerror(exc.errno)}",
                safe="nothing was served or signed",
                do="stop what listens there, or name another address with --listen",
            ) from exc


def _say_serving(url: str) -> None:
    say(f"serving {url}")
    answer({"serving": url})


@node.command()
def admit(
    context: typer.Context,
    party: Annotated[Path, typer.Argument(help="The party's statement, NAME.party.")],
    config: Config = None,
) -> None:
    """Admit a party and its authority key to this node, then post its party statement."""
    settings = settings_of(context, config)
    card = read_card(settings)
    keys = load_keys(settings)
    try:
        statement = parse_statement_of(Party, _read(party))
    except Malformed as exc:
        raise wrong_file(party, "a party statement", exc) from exc
    statement.check_signature(from_base64(statement.payload.authority))
    asyncio.run(admit_party(_url(context, card), card["origin"], keys.administrator, statement))
    say(f"{statement.payload.party} ({visible(statement.payload.name)}) is admitted.")
    answer({"party": statement.payload.party, "authority": statement.payload.key})


@node.command("confirm-time")
def confirm_time_command(context: typer.Context, config: Config = None) -> None:
    """Confirm, on record, that the node's clock is right as it is now (after clock-suspect)."""
    settings = settings_of(context, config)
    card = read_card(settings)
    keys = load_keys(settings)
    at = asyncio.run(_confirm(_url(context, card), card["origin"], keys.node))
    say(f"The clock is confirmed at {to_dtg(at, exact=True)}; the node commits again.")
    answer({"at": at})


@node.command("rules-version")
def rules_version_command(
    context: typer.Context,
    version: Annotated[int, typer.Argument(help="The version that counts from then on.")],
    config: Config = None,
) -> None:
    """Switch the log to a newer version of the rules, on record; there is no way back."""
    event = {"event": "rules-version", "rules_version": version}
    at = _node_says(context, config, event)
    since = to_dtg(at, exact=True)
    say(f"Rules version {version} is in force from {since} on; what came before replays as it was.")
    answer({"rules_version": version, "at": at})


@node.command()
def advance(
    context: typer.Context,
    by: Annotated[str, typer.Argument(help="How far: such as 90s, 30m, 4h, 2d.")],
    config: Config = None,
) -> None:
    """Move the time of a node made for exercises ahead, on record. Its timers follow."""
    micros = from_typed(f"+{by.lstrip('+')}", 0)
    at = _node_says(context, config, {"event": "time-advanced", "advance_us": micros})
    say(f"Exercise time was moved ahead by {by}, at {to_dtg(at, exact=True)}.")
    answer({"advance_us": micros, "at": at})


def _node_says(context: typer.Context, config: Path | None, event: dict[str, Any]) -> int:
    settings = settings_of(context, config)
    card = read_card(settings)
    keys = load_keys(settings)
    return asyncio.run(_say_event(_url(context, card), card["origin"], keys.node, event))


async def _say_event(url: str, origin: str, key: SigningKey, event: dict[str, Any]) -> int:
    async with _transport(url) as node:
        at = _time(await node.about())
        statement = make_statement(
            Node(by=origin, key=key.id, issued=at, lapse=at + HOUR, log=origin, **event), key
        )
        await node.submit(statement.raw)
        return at


@node.command()
def retire(
    context: typer.Context,
    origin: Annotated[str, typer.Option(help="The successor log's name.")],
    successor: Annotated[Path, typer.Option(help="The successor's new home.")],
    listen: Listen = None,
    guard: GuardAt = None,
    database: Database = None,
    successor_database: Annotated[
        str | None, typer.Option(help="The successor's store, if not in its home: its URL.")
    ] = None,
    config: Config = None,
) -> None:
    """Give this log up and begin a successor, whose first record names the loss."""
    old = settings_of(context, config, guard=guard, database=database)
    _check_origin(origin)
    if old.retired.exists():
        raise NotReady(
            f"the node in {old.home} was retired already",
            safe="nothing was changed",
            do="serve its successor",
        )
    predecessor = asyncio.run(predecessor_of(old))
    if predecessor.origin == origin:
        raise NotReady(
            "the successor needs another origin than the log that is given up",
            safe="nothing was changed",
            do="name it with --origin",
        )
    new = settings_at(successor, listen=listen, database=successor_database)
    seeds = {purpose: secrets.token_bytes(32) for purpose in KEY_PURPOSES}
    begin(new, origin, seeds=seeds, url=f"http://{new.listen}", predecessor=predecessor)
    mark_retired(old, origin)
    remember(new, database=successor_database)
    size = predecessor.guard_size
    guarded = "the guard was lost" if size is None else f"the guard had {size} entries"
    say(
        f"{predecessor.origin} is retired. The first record of {origin} says so: {guarded}, "
        f"the store had {predecessor.store_size}."
    )
    say(f"Hand {new.card} to whoever used the old node.")
    answer(
        {
            "retired": predecessor.origin,
            "origin": origin,
            "card": new.card,
            "guard_size": size,
            "store_size": predecessor.store_size,
        }
    )


def _url(context: typer.Context, card: dict[str, str]) -> str:
    return str(context.find_root().params.get("url") or card["url"])


def _public(url: str) -> str:
    if url and not url.startswith(("https://", "http://")):
        raise Malformed(
            f"--public-url: {url} does not begin with https://",
            safe="nothing was made",
            do=f"say it whole: https://{url}",
        )
    return url.rstrip("/")


def _check_origin(origin: str) -> None:
    """A log's name is forever: a URL's scheme in it is a slip."""
    check_id("origin", origin)
    if "://" in origin:
        raise Malformed(
            f"--origin: {origin} begins with a scheme",
            safe="nothing was made",
            do=f"name it {origin.partition('://')[2]}",
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().rstrip(b"\n")
    except OSError as exc:
        raise NotReady(
            f"{path} can't be read: {exc.strerror}", safe="nothing was done", do="check the path"
        ) from exc


async def admit_party(url: str, origin: str, key: SigningKey, party: Statement[Party]) -> None:
    """Admit a party in the administrator's name, then post its party statement."""
    async with _transport(url) as node:
        now = _time(await node.about())
        admission = Admission(
            by=origin,
            key=key.id,
            issued=now,
            lapse=now + HOUR,
            log=origin,
            party=party.payload.party,
            authority=party.payload.key,
            state=State.ACTIVE,
        )
        try:
            await node.submit(make_statement(admission, key).raw)
        except RefusedByNode as exc:
            if exc.problem != "already-so":  # admitted before; its statement may still be missing
                raise
        await node.submit(party.raw)


async def _confirm(url: str, origin: str, key: SigningKey) -> int:
    async with _transport(url) as node:
        at = _time(await node.about())
        await node.submit(confirm_time(origin, key, at).raw)
        return at


def _time(about: dict[str, object]) -> int:
    at = about.get("time")
    if not isinstance(at, int):
        raise Malformed("/v1/about: time is not a number of microseconds")
    return at
