"""``liaison propose``, ``object``, ``extend``, ``withdraw``: the silence procedure."""

from __future__ import annotations

from typing import Annotated

import typer

from liaison.cli import completing, desk
from liaison.cli.asking import Yes, ask, show
from liaison.cli.consequence import typed
from liaison.cli.notes import (
    TIME,
    ChannelName,
    Info,
    Kind,
    Label,
    Level,
    Reference,
    Subject,
    Why,
    digest_of,
    precedence_of,
    say_done,
    say_sent,
    sent,
    time_ahead,
    unwritten,
    withdraw_and_say,
)
from liaison.cli.texts import Text, as_writer
from liaison.client import Client, Done, Draft, Sent
from liaison.sealing.content import visible


def register(app: typer.Typer) -> None:
    app.command()(propose)
    app.command("object")(object_to)
    app.command()(extend)
    app.command()(withdraw)


Until = Annotated[str, typer.Option(help=f"When silence ends. {TIME}")]
Reason = Annotated[str | None, typer.Option(help=desk.VISIBLE)]


def propose(
    context: typer.Context,
    channel: ChannelName,
    subject: Subject,
    until: Until,
    to: Annotated[
        list[str] | None,
        typer.Option(autocompletion=completing.posts, help="A post; by default all that can read."),
    ] = None,
    info: Info = None,
    kind: Kind = None,
    amends: Annotated[
        str | None,
        typer.Option(
            autocompletion=completing.references,
            help="The proposal that this text replaces: its silence breaks.",
        ),
    ] = None,
    precedence: Level = None,
    justification: Why = None,
    label: Label = None,
    is_yes: Yes = False,
) -> None:
    """Propose: adopted when silence ends, unless a party objects or amends strictly before."""
    level = precedence_of(precedence)

    async def work(client: Client, text: Text) -> Sent:
        draft = Draft(
            channel=channel,
            to=tuple(to or ()),
            content=unwritten(subject),
            info=tuple(info or ()) if to or info else await client.other_posts(channel),
            kind=kind,
            precedence=level,
            justification=justification,
            classification=label,
            silence_until=time_ahead("--until", until, client.now()),
            amends=await digest_of(client, amends),
        )
        return await sent(client, await text.written(client, draft), text, is_yes=is_yes)

    say_sent(as_writer(context, subject, work))


def object_to(
    context: typer.Context, reference: Reference, reason: Reason = None, is_yes: Yes = False
) -> None:
    """Object to a proposal: its silence is broken, if the log has this before silence ends."""

    async def work(client: Client) -> Done:
        letter = await client.read(reference)
        rows = [
            ("Proposal", reference),
            ("Subject", visible(letter.content.subject)),
            ("Reason", f"{visible(reason)} (visible)" if reason else ""),
        ]
        show(
            "To object:",
            rows,
            ["the proposal is broken, and all are told that your party objected"],
        )
        ask("Object?", is_yes=is_yes)
        return await client.object_to(reference, reason=reason)

    say_done(desk.as_member(context, work))


def extend(context: typer.Context, reference: Reference, until: Until, is_yes: Yes = False) -> None:
    """Let silence on a proposal last longer, before it ends; for the chair. Never shorter."""

    async def work(client: Client) -> Done:
        time = time_ahead("--until", until, client.now())
        assert time is not None
        show("To extend:", [("Proposal", reference)], [f"silence ends at {typed(time)}"])
        ask("Extend it?", is_yes=is_yes)
        return await client.extend(reference, time)

    say_done(desk.as_member(context, work))


def withdraw(
    context: typer.Context, reference: Reference, reason: Reason = None, is_yes: Yes = False
) -> None:
    """Withdraw a proposal of yours before silence ends."""
    withdraw_and_say(context, reference, reason, is_yes=is_yes)
