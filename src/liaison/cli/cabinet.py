"""``liaison cabinet``: what this device opened or sent and keeps, sealed under its passphrase."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from liaison.cli import completing, desk
from liaison.cli.asking import Yes, ask, show
from liaison.cli.context import Shape, answer, say
from liaison.cli.notes import Reference, kept_in_words, show_letter
from liaison.cli.outcomes import doubt_in_words
from liaison.cli.shapes import of_doubt
from liaison.client import Client, Letter
from liaison.client.doubts import Doubt
from liaison.client.keeping import Found
from liaison.sealing.content import visible
from liaison.words.errors import NotHere
from liaison.words.times import to_dtg

cabinet = typer.Typer(no_args_is_help=True, help="What this device opened or sent, and keeps.")

Where = Annotated[
    str,
    typer.Option("--channel", autocompletion=completing.channels, help="Of this channel only."),
]


def register(app: typer.Typer) -> None:
    app.add_typer(cabinet, name="cabinet")


@cabinet.command("list")
def list_kept(context: typer.Context, channel: Where = "") -> None:
    """List what is kept, the newest first. Nobody is asked: no node, no other device."""
    _say_found(context, [], channel)


@cabinet.command()
def search(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(help="In subject, text or names; each of them.")],
    channel: Where = "",
) -> None:
    """Find what is kept and has all these words. It is done here; no word leaves this device."""
    _say_found(context, words, channel)


def _say_found(context: typer.Context, words: list[str], channel: str) -> None:
    async def work(client: Client) -> tuple[list[tuple[Found, Doubt | None]], list[str]]:
        found = client.keeping.find(words, channel)
        has_doubts = client.book.has_doubts()  # else no receipt has to be read for it
        doubts = [(f, client.kept(f.reference).doubt if has_doubts else None) for f in found]
        return doubts, client.keeping.unkept

    found, unkept = desk.as_member(context, work)
    for one, doubt in found:
        at = to_dtg(one.at) if one.at else "earlier"
        say(f"{one.reference}  {at}  {visible(one.content.subject)}{doubt_in_words(doubt)}")
    if not found:
        say("Nothing is kept here." if not words else "Nothing that is kept has all these words.")
    for alias in unkept:
        say(f"{alias}: nothing is kept, as its charter says.")
    answer({"notes": [_shape(*each) for each in found], "unkept": unkept})


def _shape(one: Found, doubt: Doubt | None) -> Shape:
    return {
        "reference": one.reference,
        "at": one.at or None,
        "subject": one.content.subject,
        "doubtful": of_doubt(doubt),
    }


@cabinet.command("show")
def show_kept(context: typer.Context, reference: Reference) -> None:
    """Show a note that is kept. Unlike ``read`` it asks no node."""

    async def work(client: Client) -> tuple[Letter, str]:
        letter = client.kept(reference)
        if not client.cabinet.holds(letter.digest):
            raise NotHere(
                f"{reference} is not kept on this device",
                safe="its receipt is; nothing was changed",
                do=f"while its keys last, the node has it: liaison read {reference}",
            )
        return letter, kept_in_words(client, letter)

    letter, kept = desk.as_member(context, work)
    show_letter(letter, [], kept)


@cabinet.command()
def forget(
    context: typer.Context,
    references: Annotated[
        list[str],
        typer.Argument(
            metavar="REF...",
            autocompletion=completing.references,
            help="Or a channel, for all of it.",
        ),
    ],
    is_yes: Yes = False,
) -> None:
    """Keep the text of notes no longer. Their receipts stay, and so does the log."""

    async def work(client: Client) -> list[str]:
        wanted = list(_named(client, references))
        show(
            "To forget:",
            [("Notes", ", ".join(wanted) or "none that is kept")],
            [
                "their text is on this device no more; receipts and references stay",
                "while its keys last, the node still has it for you, sealed",
                "old blocks of the disk, and its backups, are not overwritten",
            ],
        )
        ask("Forget them?", is_yes=is_yes, safe="nothing was forgotten")
        return client.keeping.forget(wanted)

    forgotten = desk.as_member(context, work)
    say(f"Forgotten: {', '.join(forgotten) or 'nothing'}.")
    answer({"forgotten": forgotten})


def _named(client: Client, names: Iterable[str]) -> Iterable[str]:
    """Give the references that were named, and those of channels that were."""
    for name in names:
        if "/" in name:
            yield client.kept(name).reference
        else:
            yield from (one.reference for one in client.keeping.find([], name))
