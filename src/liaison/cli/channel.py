"""``liaison channel``: propose, accede, show, list. A charter is said in words before it is signed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from liaison.cli import desk
from liaison.cli.authority import NodeCard, Post, send
from liaison.cli.context import say
from liaison.client import Authority, ChannelView, Client
from liaison.sealing.content import visible
from liaison.statements.charters import Charter
from liaison.statements.statement import Statement
from liaison.words.errors import NotReady
from liaison.words.times import to_dtg

channel = typer.Typer(no_args_is_help=True, help="Channels: propose, accede, show, list.")

Alias = Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's alias.")]


def register(app: typer.Typer) -> None:
    app.add_typer(channel, name="channel")


@channel.command()
def propose(
    context: typer.Context,
    channel_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as hotline.")],
    alias: Annotated[str, typer.Option(help=f"What people call it. {desk.VISIBLE}")],
    parties: Annotated[list[str], typer.Option("--with", help="The other party; repeatable.")],
    is_posted: Post = False,
    node: NodeCard = None,
) -> None:
    """Sign a charter with the parameters that its type starts from."""
    defaults = read_defaults(channel_type)

    async def work(authority: Authority) -> None:
        statement = authority.propose(channel_type, alias, parties, defaults)
        for line in charter_in_words(statement.payload):
            say(line)
        path = desk.write(context, f"{alias}.charter", statement.raw, None)
        await send(authority, is_posted, f"The charter of {alias}", path)
        say(f"Next: liaison channel accede {alias}, by each party, you too.")

    desk.as_authority(context, work, node=node)


@channel.command()
def accede(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="CHANNEL", help="Its alias, or a charter file.")],
    is_posted: Post = False,
    node: NodeCard = None,
) -> None:
    """Sign this party's yes to a charter, after showing what it says."""
    file = desk.find(context, Path(what))
    is_file = file.is_file()

    async def work(authority: Authority) -> None:
        if is_file:
            charter = desk.read_statement(context, file, Charter)
        else:
            charter = await _charter(authority, what)
        for line in charter_in_words(charter.payload):
            say(line)
        statement = authority.accede(charter)
        alias = charter.payload.alias
        path = desk.write(context, f"{alias}.accession", statement.raw, None)
        await send(authority, is_posted, f"{authority.party} accedes to {alias}", path)
        if is_posted:
            view = await authority.channel(alias)
            say(_openness(view))

    desk.as_authority(context, work, node=node)


async def _charter(authority: Authority, alias: str) -> Statement[Charter]:
    try:
        return authority.charter_of(alias)
    except NotReady:
        return await authority.charter(alias)


@channel.command()
def show(context: typer.Context, alias: Alias) -> None:
    """Show a channel: whether it is open, who is on it, what its rules mean."""

    async def of(opened: Client | Authority) -> ChannelView:
        return await opened.channel(alias)

    view = _either(context, of)
    say(f"{view.cell.alias}: {_openness(view)}")
    for line in charter_in_words(view.charter):
        say(line)
    for party in view.cell.parties:
        edition = view.rosters.get(party)
        if edition is None:
            say(f"{party} has set no roster yet.")
            continue
        for tier in edition.tiers:
            say(f"{party}, {tier.name}: {', '.join(tier.posts)}")


@channel.command("list")
def list_command(context: typer.Context) -> None:
    """List the channels of this party."""

    async def of(opened: Client | Authority) -> list[ChannelView]:
        return await opened.channels()

    views = _either(context, of)
    desk.say_table((v.cell.alias, v.cell.type, _openness(v)) for v in views)
    if not views:
        say("There is no channel yet.")


def _either(context: typer.Context, work: Any) -> Any:
    if desk.home_at(context).has("authority.json"):
        return desk.as_authority(context, work)
    return desk.as_member(context, work)


def _openness(view: ChannelView) -> str:
    acceded = {accession.party for accession in view.cell.acceded}
    if view.cell.is_open:
        return f"open since {to_dtg(view.cell.opened_at)}, between {', '.join(view.cell.parties)}."
    missing = ", ".join(party for party in view.cell.parties if party not in acceded)
    return f"not open yet; {missing} has not acceded."


def read_defaults(channel_type: str) -> dict[str, Any]:
    """Return what a new charter of this type starts from.

    Raises:
        NotReady: there is no such type.
    """
    folder = files("liaison") / "protocols"
    known = sorted(
        item.name.removesuffix(".toml").replace("_", "-")
        for item in folder.iterdir()
        if item.name.endswith(".toml")
    )
    if channel_type not in known:
        raise NotReady(
            f"There is no channel type {channel_type[:40]!r}",
            safe="nothing was signed",
            do=f"choose one of {', '.join(known)}",
        )
    text = (folder / f"{channel_type.replace('-', '_')}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def charter_in_words(charter: Charter) -> Iterator[str]:
    """Say what a charter means."""
    terms = charter.terms
    yield f"{charter.alias}: a {charter.type} between {' and '.join(charter.parties)},"
    yield f"  proposed by {charter.by}, on the log {charter.log.origin}."
    for kind in charter.kinds:
        reason = {
            "none": "no reason needed",
            "required": "each note says why",
            "standing": f"standing reason: {visible(kind.standing or '')}",
        }[kind.justification]
        yield (
            f"  {kind.kind}: {kind.default.value.upper()} unless said otherwise, at most "
            f"{kind.action_max.value.upper()} for action and {kind.info_max.value.upper()} for "
            f"information, written by {', '.join(kind.writers)}; {reason}."
        )
    for rule in charter.rules:
        values = ", ".join(f"{name} {value}" for name, value in sorted(rule.parameters.items()))
        yield f"  rule {rule.use}{f' ({values})' if values else ''}."
    whose = "any post of a tier" if terms.acknowledge == "any-of-tier" else "every post"
    yield (
        f"  A note waits at most {_span(terms.lapse_max_s)} to enter the log, and can be opened for "
        f"{_span(terms.open_within_s)}; {whose} acknowledges it."
    )
    yield (
        f"  At most {terms.content_max_bytes} bytes sealed, to {terms.addressees_max} posts; "
        f"labels: {', '.join(visible(label) for label in terms.classifications)}."
    )


def _span(seconds: int) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds % size == 0 and seconds >= size:
            count = seconds // size
            return f"{count} {unit if count != 1 else unit.removesuffix('s')}"
    return f"{seconds} seconds"
