"""``liaison channel``: from a proposal to leaving. A charter is said in words before it is signed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from liaison.cli import completing, desk
from liaison.cli.asking import Yes, ask
from liaison.cli.asking import show as show_screen
from liaison.cli.authority import NodeCard, Post, send
from liaison.cli.consequence import of_charter, span
from liaison.cli.context import Shape, answer, say
from liaison.cli.shapes import of_channel, of_proposed, of_rosters
from liaison.cli.showing import say_table
from liaison.client import Authority, ChannelView, Client
from liaison.client.home import read_file
from liaison.sealing.content import visible
from liaison.statements.charters import Charter, NoteKind, Seat, Standing
from liaison.statements.statement import Statement
from liaison.words.errors import Malformed, NodeUnreachable, NotReady
from liaison.words.times import to_dtg

channel = typer.Typer(
    no_args_is_help=True, help="Channels: propose, accede, show, amend, suspend, leave."
)

Alias = Annotated[
    str,
    typer.Argument(
        metavar="CHANNEL", autocompletion=completing.channels, help="The channel's alias."
    ),
]


def register(app: typer.Typer) -> None:
    app.add_typer(channel, name="channel")


Terms = Annotated[
    Path | None,
    typer.Option("--terms", help="A TOML file with the parameters, instead of the type's own."),
]


@channel.command()
def propose(
    context: typer.Context,
    channel_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as hotline.")],
    alias: Annotated[str, typer.Option(help=f"What people call it. {desk.VISIBLE}")],
    parties: Annotated[list[str], typer.Option("--with", help="The other party; repeatable.")],
    seat: Annotated[
        list[str] | None,
        typer.Option(metavar="PARTY=SEAT", help="chair, member or observer; repeatable."),
    ] = None,
    terms: Terms = None,
    is_exercise: Annotated[
        bool, typer.Option("--exercise", help="For exercises only: each note in it says so.")
    ] = False,
    is_posted: Post = False,
    node: NodeCard = None,
) -> None:
    """Sign a charter with the parameters that its type starts from."""
    defaults = _parameters(context, channel_type, terms)

    async def work(authority: Authority) -> None:
        seats = _seats(authority.party, parties, seat, has_seats=_has_seats(defaults))
        statement = authority.propose(
            channel_type, alias, parties, defaults, seats=seats, is_exercise=is_exercise
        )
        for line in charter_in_words(statement.payload):
            say(line)
        path = desk.write(context, f"{alias}.charter", statement.raw, None)
        said = f"The charter of {alias}"
        answer(await send(authority, is_posted, said, path, statement))
        say(f"Next: liaison channel accede {alias}, by each party, you too.")

    desk.as_authority(context, work, node=node)


@channel.command()
def defaults(
    channel_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as hotline.")],
) -> None:
    """Print the parameters of a channel type, commented, to be edited and given to --terms."""
    text = _defaults_text(channel_type)
    say(text.removesuffix("\n"))
    answer({"type": channel_type, "terms": tomllib.loads(text)})


@channel.command()
def amend(
    context: typer.Context,
    alias: Alias,
    terms: Annotated[
        Path, typer.Option("--terms", help="A TOML file with all parameters of the successor.")
    ],
    added: Annotated[
        list[str] | None, typer.Option("--with", help="A party that joins; repeatable.")
    ] = None,
    is_posted: Post = False,
    node: NodeCard = None,
    is_yes: Yes = False,
) -> None:
    """Sign a successor of a channel's charter. It counts once all parties have acceded to it."""

    async def work(authority: Authority) -> None:
        parameters = _read_terms(desk.find(context, terms))
        then = ["it takes the place of the present charter once all have acceded"]
        show_screen("To propose a successor:", [("Channel", alias), ("Terms", str(terms))], then)
        ask("Sign it?", is_yes=is_yes)
        statement = await authority.amend(alias, parameters, added=added or [])
        for line in charter_in_words(statement.payload):
            say(line)
        path = desk.write(context, f"{alias}.successor.charter", statement.raw, None)
        said = f"The successor charter of {alias}"
        answer(await send(authority, is_posted, said, path, statement))
        say("The present charter holds until all have acceded; running timers keep their rules.")
        say(f"Next: liaison channel accede {alias}, by each party, you too.")

    desk.as_authority(context, work, node=node)


def _participation(
    context: typer.Context, alias: str, state: Standing, reason: str | None, *, is_posted: bool
) -> None:
    async def work(authority: Authority) -> None:
        view = await authority.channel(alias)
        statement = authority.participate(view, state, reason=reason)
        path = desk.write(context, f"{alias}.participation", statement.raw, None)
        said = {
            Standing.SUSPENDED: "suspends its part in",
            Standing.ACTIVE: "takes up its part again in",
            Standing.LEFT: "leaves",
        }[state]
        what = f"{authority.party} {said} {alias}"
        answer(await send(authority, is_posted, what, path, statement))
        if state is Standing.LEFT:
            say("Next, so that no directory names it any more: liaison directory sign --post")

    desk.as_authority(context, work)


Reason = Annotated[str | None, typer.Option(help=desk.VISIBLE)]


@channel.command()
def suspend(
    context: typer.Context, alias: Alias, reason: Reason = None, is_posted: Post = False
) -> None:
    """Suspend this party's part: nothing new crosses from or to it. What runs goes on."""
    _participation(context, alias, Standing.SUSPENDED, reason, is_posted=is_posted)


@channel.command()
def resume(
    context: typer.Context, alias: Alias, reason: Reason = None, is_posted: Post = False
) -> None:
    """Take up this party's part again."""
    _participation(context, alias, Standing.ACTIVE, reason, is_posted=is_posted)


@channel.command()
def leave(
    context: typer.Context,
    alias: Alias,
    reason: Reason = None,
    is_posted: Post = False,
    is_yes: Yes = False,
) -> None:
    """Leave a channel for good. What runs goes on and can still be answered."""
    show_screen("To leave:", [("Channel", alias)], ["this party can't come back into this channel"])
    ask("Leave it?", is_yes=is_yes)
    _participation(context, alias, Standing.LEFT, reason, is_posted=is_posted)


@channel.command()
def accede(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="CHANNEL",
            autocompletion=completing.channels,
            help="Its alias, or a charter file.",
        ),
    ],
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
        said = f"{authority.party} accedes to {alias}"
        done: Shape = await send(authority, is_posted, said, path, statement)
        if is_posted:
            view = await authority.follow(alias)
            say(_openness(view))
            done = {**done, "is_open": view.cell.is_open}
            if charter.payload.channel and view.cell.charter == charter.digest:
                say("The successor charter is in force. Next: liaison directory sign --post")
        answer(done)

    desk.as_authority(context, work, node=node)


async def _charter(authority: Authority, alias: str) -> Statement[Charter]:
    """Return what is to be acceded to: the charter known here, or a successor that waits."""
    try:
        known = authority.charter_of(alias)
    except NotReady:
        return await authority.charter(alias)
    if not authority.has_acceded(known):
        return known
    try:
        return await authority.charter(alias)
    except NodeUnreachable:
        return known


@channel.command()
def show(context: typer.Context, alias: Alias) -> None:
    """Show a channel: whether it is open, who is on it, what its rules mean."""

    async def of(opened: Client | Authority) -> ChannelView:
        return await opened.channel(alias)

    view = _either(context, of)
    say(f"{view.cell.alias}: {_openness(view)}")
    for line in (*_standings_in_words(view), *charter_in_words(view.charter)):
        say(line)
    for kind in view.cell.kinds:
        for line in of_charter(view, kind):
            say(f"  {kind.kind}, {line}.")
    for party in view.cell.parties:
        edition = view.rosters.get(party)
        if edition is None:
            say(f"{party} has set no roster yet.")
            continue
        for tier in edition.tiers:
            say(f"{party}, {tier.name}: {', '.join(tier.posts)}")
        for said in edition.alternates or ():
            say(f"{party}: {said.alternate} in place of {said.post}")
    for proposed in view.proposed:
        lacking = ", ".join(p for p in proposed.payload.parties if proposed.lacks(p))
        say(f"{proposed.payload.by} proposes a successor charter; it waits for {lacking}.")
    answer(
        {
            **of_channel(view),
            "rosters": of_rosters(view),
            "proposed": of_proposed(view),
            "charter": view.charter.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
    )


def _standings_in_words(view: ChannelView) -> Iterator[str]:
    """Say how each party takes part."""
    for acceded in view.cell.acceded:
        yield f"{acceded.party} acceded at {to_dtg(acceded.at)}."
    for standing in view.cell.standings or ():
        done = "left" if standing.state is Standing.LEFT else "suspended its part"
        yield f"{standing.party} {done} at {to_dtg(standing.at)}."
    for said in view.cell.minimized or ():
        yield (
            f"{said.party} has MINIMIZE below {said.below.value.upper()} since {to_dtg(said.at)} "
            f"until {to_dtg(said.until)}, by {said.by}: {visible(said.text)}"
        )


@channel.command("list")
def list_command(context: typer.Context) -> None:
    """List the channels of this party."""

    async def of(opened: Client | Authority) -> list[ChannelView]:
        return await opened.channels()

    views = _either(context, of)
    say_table((v.cell.alias, v.cell.type, _openness(v)) for v in views)
    if not views:
        say("There is no channel yet.")
    answer({"channels": [of_channel(view) for view in views]})


def _either(context: typer.Context, work: Any) -> Any:
    if desk.home_at(context).has("authority.json"):
        return desk.as_authority(context, work)
    return desk.as_member(context, work)


def _openness(view: ChannelView) -> str:
    acceded = {accession.party for accession in view.cell.acceded}
    left = [s.party for s in view.cell.standings or () if s.state is Standing.LEFT]
    suspended = [s.party for s in view.cell.standings or () if s.state is Standing.SUSPENDED]
    if view.cell.is_open and len(view.cell.parties) - len(left) < 2:
        return f"closed: {', '.join(left)} left."
    if view.cell.is_open and suspended:
        return f"open since {to_dtg(view.cell.opened_at)}, suspended by {', '.join(suspended)}."
    if view.cell.is_open:
        return f"open since {to_dtg(view.cell.opened_at)}, between {', '.join(view.cell.parties)}."
    missing = ", ".join(party for party in view.cell.parties if party not in acceded)
    return f"not open yet; {missing} has not acceded."


def read_defaults(channel_type: str) -> dict[str, Any]:
    """Return what a new charter of this type starts from.

    Raises:
        NotReady: there is no such type.
    """
    return tomllib.loads(_defaults_text(channel_type))


def _defaults_text(channel_type: str) -> str:
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
    return (folder / f"{channel_type.replace('-', '_')}.toml").read_text(encoding="utf-8")


def _parameters(context: typer.Context, channel_type: str, terms: Path | None) -> dict[str, Any]:
    given = read_defaults(channel_type)
    return given if terms is None else _read_terms(desk.find(context, terms))


def _read_terms(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_file(file).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise Malformed(
            f"{file} is not TOML: {exc}",
            safe="nothing was signed",
            do="begin with: liaison channel defaults TYPE > FILE",
        ) from exc


def _has_seats(defaults: dict[str, Any]) -> bool:
    return any(rule.get("use") == "seats" for rule in defaults.get("rule", []))


def _seats(
    own: str, parties: list[str], said: list[str] | None, *, has_seats: bool
) -> dict[str, str] | None:
    """Return each party's seat: member unless said otherwise; the proposer is the chair if nobody is."""
    given = {}
    for text in said or ():
        party, equals, seat = text.partition("=")
        if not equals or seat not in {each.value for each in Seat}:
            raise typer.BadParameter(f"PARTY=chair, member or observer, not {text}")
        given[party] = seat
    if not has_seats and not given:
        return None
    seats = dict.fromkeys([own, *parties], Seat.MEMBER.value) | given
    if Seat.CHAIR.value not in seats.values():
        seats[own] = Seat.CHAIR.value
    return seats


def _kind_in_words(kind: NoteKind) -> Iterator[str]:
    """Say what a kind asks for beside precedence and writers."""
    if kind.release is not None:
        yield f"a draft until a {kind.release} who didn't write it lets it go"
    if kind.series is not None:
        yield f"numbered by issuer and year in the series {kind.series}"
    if kind.answer_within_s is not None:
        yield f"an answer is due {span(kind.answer_within_s)} after it is taken on"
    if kind.reminders_s:
        yield f"reminders {', '.join(span(s) for s in kind.reminders_s)} before an answer is due"
    if kind.service:
        yield "never an answer"
    if kind.silence is not None:
        yield (
            f"adopted by silence of {span(kind.silence.min_s)} to {span(kind.silence.max_s)}, "
            "unless a party objects or amends it before"
        )


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
        for line in _kind_in_words(kind):
            yield f"    {line}."
    for seated in charter.seats or ():
        yield f"  {seated.party} is {seated.seat}."
    if charter.exercise:
        yield "  For exercises only."
    for rule in charter.rules:
        values = ", ".join(f"{name} {value}" for name, value in sorted(rule.parameters.items()))
        yield f"  rule {rule.use}{f' ({values})' if values else ''}."
    whose = "any post of a tier" if terms.acknowledge == "any-of-tier" else "every post"
    yield (
        f"  A note waits at most {span(terms.lapse_max_s)} to enter the log, and can be opened for "
        f"{span(terms.open_within_s)}; {whose} acknowledges it."
    )
    yield (
        f"  At most {terms.content_max_bytes} bytes sealed, to {terms.addressees_max} posts; "
        f"labels: {', '.join(visible(label) for label in terms.classifications)}."
    )
    if terms.cabinet is not None:
        yield "  Nobody's device keeps the text of what it opened or sent."
    if terms.cabinet_s is not None:
        yield f"  Devices keep the text of what they opened or sent for {span(terms.cabinet_s)}."
