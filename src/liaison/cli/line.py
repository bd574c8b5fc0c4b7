"""``liaison hold`` and ``line-test``: a post that lets routine wait, and a line that is tried."""

from __future__ import annotations

from typing import Annotated

import typer

from liaison.cli import completing, desk
from liaison.cli.context import answer, say
from liaison.cli.notes import TIME, ChannelName, precedence_of, say_done, say_sent, time_ahead
from liaison.client import Client, Done, Sent
from liaison.words.times import to_dtg


def register(app: typer.Typer) -> None:
    app.command()(hold)
    app.command("line-test")(line_test)


def hold(
    context: typer.Context,
    channel: ChannelName,
    post: Annotated[
        str, typer.Argument(autocompletion=completing.posts, help="A post that you hold.")
    ],
    below: Annotated[
        str | None, typer.Option(help="Notes below this precedence wait; IMMEDIATE at most.")
    ] = None,
    until: Annotated[str | None, typer.Option(help=f"Until when. {TIME}")] = None,
) -> None:
    """Let notes below a precedence wait for a post. Without --below and --until: end that now."""
    level = precedence_of(below)

    async def work(client: Client) -> Done:
        time = time_ahead("--until", until, client.now())
        return await client.hold(channel, post, level, time)

    say_done(desk.as_member(context, work))


def line_test(context: typer.Context, channel: ChannelName) -> None:
    """Send this party's line test if its slot has begun and it isn't sent yet. For a timer: cron."""

    async def work(client: Client) -> Sent | int:
        return await client.line_test(channel)

    done = desk.as_member(context, work)
    if isinstance(done, Sent):
        say_sent(done)
    else:
        say(f"No test is due from you: your next slot begins at {to_dtg(done)}")
        answer({"next": done})
