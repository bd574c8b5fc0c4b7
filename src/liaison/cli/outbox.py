"""``liaison outbox``: what is signed and has no receipt yet."""

from __future__ import annotations

import typer

from liaison.cli import desk
from liaison.cli.context import Shape, answer, say
from liaison.cli.failure import tell
from liaison.cli.notes import done_in_words, sent_in_words, told_in_words
from liaison.cli.shapes import of_done, of_sent, of_told
from liaison.client import Client, Done, Sent, Told
from liaison.client.outbox import Outbox
from liaison.words.errors import LiaisonError

outbox = typer.Typer(no_args_is_help=True, help="What waits to be sent again.")


def register(app: typer.Typer) -> None:
    app.add_typer(outbox, name="outbox")


@outbox.command("list")
def list_command(context: typer.Context) -> None:
    """List what waits. The subject isn't shown: it is sealed."""
    home = desk.home_at(context)
    with home.locked():
        box = Outbox(home.path("outbox"))
        waiting = box.waiting
        box.close()
    desk.say_table((item.kind, item.alias, item.about, item.digest) for item in waiting)
    if not waiting:
        say("The outbox is empty.")
    answer(
        {
            "waiting": [
                {
                    "kind": each.kind,
                    "channel": each.alias,
                    "about": each.about,
                    "statement": each.digest,
                }
                for each in waiting
            ]
        }
    )


@outbox.command()
def flush(context: typer.Context) -> None:
    """Send what waits, as the same bytes; fill serials that were spent in vain."""

    async def work(client: Client) -> list[Sent | Told | Done | LiaisonError]:
        return list(await client.flush())

    code = 0
    outcomes = desk.as_member(context, work)
    done: list[Shape] = []
    for outcome in outcomes:
        if isinstance(outcome, Sent):
            for line in sent_in_words(outcome):
                say(line)
            done.append(of_sent(outcome))
        elif isinstance(outcome, Told):
            say(told_in_words(outcome))
            done.append(of_told(outcome))
        elif isinstance(outcome, Done):
            say(done_in_words(outcome))
            done.append(of_done(outcome))
        else:
            code = max(code, tell(outcome))
    if not outcomes:
        say("The outbox is empty.")
    answer({"sent": done})
    if code:
        raise typer.Exit(code)
