"""``liaison audit``: verify and replay a log, at a node's home or over HTTP. Reads only.

Exit 0: all that was checked is as it must be. Exit 1: the first difference is named.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import aiohttp
import typer

from liaison.adapters.clock import SystemClock
from liaison.adapters.keyfile import load_seed
from liaison.adapters.sql.source import StoreSource
from liaison.audit import walk
from liaison.audit.report import Report
from liaison.audit.source import Anchors, Source
from liaison.audit.url import UrlSource
from liaison.cli.configured import settings_at
from liaison.cli.context import answer, home_of, say
from liaison.cli.notes import time_of
from liaison.cli.progress import bar
from liaison.cli.showing import wrong_file
from liaison.cli.traces import Since, Trace, Wanted, Which, Who, say_traces, what_in
from liaison.ledger.record import Record
from liaison.statements.keys import SigningKey
from liaison.words.canonical import parse_canonical
from liaison.words.encoding import from_base64
from liaison.words.errors import Malformed, NotReady

T = TypeVar("T")

audit = typer.Typer(no_args_is_help=True, help="Recompute a log; trust neither node nor party.")

_OWN_CARD = (
    "origin and keys were read from the audited home itself; to audit against what was handed "
    "to you, give that card with --node"
)


def register(app: typer.Typer) -> None:
    app.add_typer(audit, name="audit")


Target = Annotated[str, typer.Argument(help="A node's home directory, or its http(s) URL.")]
Card = Annotated[
    Path | None, typer.Option("--node", help="The node's card, node.liaison, as handed over.")
]
KeyFile = Annotated[
    Path | None, typer.Option("--key", help="The administrator's key file, for a URL.")
]
Database = Annotated[
    str | None,
    typer.Option(help="The store's URL, if you read it as another user than the home's node."),
]
Kept = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", help="A signed checkpoint that the log must contain; repeatable."),
]


@audit.command("verify")
def verify_command(
    context: typer.Context,
    target: Target,
    node: Card = None,
    key: KeyFile = None,
    checkpoint: Kept = None,
    database: Database = None,
) -> None:
    """Recompute every opening, leaf, tile, signature and order, up to the signed checkpoint."""
    aim = _aim(context, target, node, key, database)
    kept = [_read(path).decode("utf-8", "replace") for path in checkpoint or ()]

    async def run(source: Source, progress: walk.Progress) -> Report:
        now = SystemClock().now()
        return await walk.verify(source, aim.anchors, now=now, checkpoints=kept, progress=progress)

    _tell(_run(aim, run))


@audit.command("replay")
def replay_command(
    context: typer.Context,
    target: Target,
    node: Card = None,
    key: KeyFile = None,
    database: Database = None,
) -> None:
    """Decide every record anew from nothing, and compare it, and at a home every cell."""
    aim = _aim(context, target, node, key, database)

    async def run(source: Source, progress: walk.Progress) -> Report:
        now = SystemClock().now()
        return await walk.replay(source, aim.anchors, now=now, progress=progress)

    _tell(_run(aim, run))


@audit.command("signed")
def signed_command(
    context: typer.Context,
    target: Target,
    member: Who,
    which: Which = "",
    since: Since = None,
    node: Card = None,
    key: KeyFile = None,
    database: Database = None,
) -> None:
    """List all that a key signed since a time, by the whole log: for after a key was in other hands."""
    aim = _aim(context, target, node, key, database)
    wanted = Wanted(member, which, time_of("--since", since, SystemClock().now()) or 0)

    async def run(source: Source, progress: walk.Progress) -> list[Trace]:
        return [
            Trace(index, record.at, what_in(record), _about(record), signer)
            async for index, record in walk.records(source, aim.anchors, progress)
            if (signer := wanted.key_of(record))
        ]

    traces = _read_through(aim, run)
    say_traces(traces)
    say(
        f"{len(traces)} in the log. Reading leaves one trace in it, *delivered*: what a device that"
    )
    say(
        "says nothing opened nobody can tell. Who could open a note its wraps say. That the log holds"
    )
    say("what it says is for: liaison audit verify")


def _about(record: Record) -> str:
    return f"entry {', '.join(map(str, record.urgency.about))}" if record.urgency.about else ""


@dataclass(frozen=True)
class Aim:
    """What is audited, and against what."""

    target: str = field(repr=False)
    """A URL, or the store's URL where ``administrator`` is None."""
    anchors: Anchors
    administrator: SigningKey | None
    """For a URL only."""
    remarks: tuple[str, ...] = ()


def _aim(
    context: typer.Context, target: str, node: Path | None, key: Path | None, database: str | None
) -> Aim:
    if not target.startswith(("http://", "https://")):
        settings = settings_at(Path(target), database=database)
        remarks = () if node else (_OWN_CARD,)
        return Aim(settings.database, anchors_in(node or settings.card), None, remarks)
    if node is None or key is None:
        home = settings_at(home_of(context))
        node, key = node or home.card, key or home.key("administrator")
    return Aim(target, anchors_in(node), SigningKey(load_seed(key, "administrator")))


def anchors_in(path: Path) -> Anchors:
    """Return what the card of a node says is to be believed.

    Raises:
        NotReady: there is no such file.
        Malformed: it is no card.
    """
    try:
        card = parse_canonical(_read(path).removesuffix(b"\n"))
        log, node, administrator = (
            from_base64(_key(card, purpose), 32) for purpose in ("log", "node", "administrator")
        )
        return Anchors(str(card.get("origin")), log, node, administrator)
    except Malformed as exc:
        raise wrong_file(path, "a node's card", exc) from exc


def _key(card: dict[str, Any], purpose: str) -> str:
    if (key := card.get(f"{purpose}_key")) is None:
        raise Malformed(f"{purpose}_key is missing")
    return str(key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise NotReady(
            f"{path} can't be read: {exc.strerror}",
            do="name a node's home, or its card with --node",
        ) from exc


def _read_through(aim: Aim, run: Callable[[Source, walk.Progress], Coroutine[Any, Any, T]]) -> T:
    async def main() -> T:
        async with _source(aim) as source:
            with bar("entries") as progress:
                return await run(source, progress)

    return asyncio.run(main())


def _run(aim: Aim, run: Callable[[Source, walk.Progress], walk.Audit]) -> Report:
    report = _read_through(aim, run)
    return replace(report, remarks=(*report.remarks, *aim.remarks))


@contextlib.asynccontextmanager
async def _source(aim: Aim) -> AsyncIterator[Source]:
    if aim.administrator is None:
        source = StoreSource(aim.target)
        try:
            yield source
        finally:
            await source.close()
        return
    async with aiohttp.ClientSession() as http:
        yield UrlSource(
            aim.target, aim.anchors.origin, aim.administrator, http, now=SystemClock().now
        )


def _tell(report: Report) -> None:
    say(report.to_text().removesuffix("\n"))
    answer(report.to_shape())
    if report.exit_code:
        raise typer.Exit(report.exit_code)
