"""``liaison send``, ``inbox``, ``read``, ``ack``: notes as people see them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from liaison.cli import desk
from liaison.cli.context import say
from liaison.cli.failure import warn
from liaison.client import Client, Content, Draft, Item, Letter, Precedence, Sent, Told, Unopened
from liaison.sealing.content import visible
from liaison.statements.payloads import AddresseeRole, Verdict
from liaison.words.errors import LiaisonError, Malformed, NodeUnreachable
from liaison.words.times import to_dtg


def register(app: typer.Typer) -> None:
    app.command()(send)
    app.command()(inbox)
    app.command()(read)
    app.command()(ack)


def _precedence(text: str | None) -> Precedence | None:
    if text is None:
        return None
    try:
        return Precedence(text.lower())
    except ValueError as exc:
        known = ", ".join(level.value.upper() for level in Precedence)
        raise typer.BadParameter(f"one of {known}") from exc


Reference = Annotated[str, typer.Argument(metavar="REF", help="Such as london-hotline/1.")]


def send(
    context: typer.Context,
    channel: Annotated[str, typer.Argument(help="The channel's alias.")],
    to: Annotated[list[str], typer.Option(help="A post that must act; repeatable.")],
    subject: Annotated[str, typer.Option(help="Sealed, like the text.")],
    info: Annotated[
        list[str] | None, typer.Option(help="A post that is to know; repeatable.")
    ] = None,
    precedence: Annotated[str | None, typer.Option(help="DEFERRED to OVERRIDE.")] = None,
    kind: Annotated[str | None, typer.Option(help="One of the charter's kinds of note.")] = None,
    justification: Annotated[str | None, typer.Option(help=desk.VISIBLE)] = None,
    label: Annotated[str | None, typer.Option(help=f"Classification. {desk.VISIBLE}")] = None,
) -> None:
    """Seal the text on standard input and send it; return once the log has it."""
    level = _precedence(precedence)
    if sys.stdin.isatty():
        warn("Type the text; end with Ctrl-D. It is sealed; --justification is not.")
    data = sys.stdin.buffer.read()
    try:
        content = Content.text(subject, data.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise Malformed(f"the text is not UTF-8 at byte {exc.start}") from exc
    draft = Draft(
        channel=channel,
        to=tuple(to),
        content=content,
        info=tuple(info or ()),
        kind=kind,
        precedence=level,
        justification=justification,
        classification=label,
    )

    async def work(client: Client) -> Sent:
        try:
            return await client.send(draft)
        except NodeUnreachable as exc:  # once it was on its way, the error is another: Waiting
            raise NodeUnreachable(
                exc.happened,
                safe="nothing was sealed or sent, and the text isn't kept",
                do="type it again when the node answers",
            ) from exc

    say_sent(desk.as_member(context, work))


def say_sent(sent: Sent) -> None:
    say(f"ACCEPTED {sent.reference} at {to_dtg(sent.at)} (receipt: {sent.receipt})")


def inbox(context: typer.Context) -> None:
    """Show what came since the last time, once. Opening says *delivered*, never *acknowledged*."""

    async def work(client: Client) -> list[Item]:
        return await client.inbox()

    items = desk.as_member(context, work)
    for item in items:
        _say_item(item)
    if not items:
        say("Nothing new.")


def _say_item(item: Item) -> None:
    if isinstance(item, Letter):
        note = item.note
        say(
            f"{item.reference}  {note.precedence.action.value.upper()}  {to_dtg(item.at)}  "
            f"from {note.by}: {visible(item.content.subject)}"
        )
    elif isinstance(item, Told):
        say(told_in_words(item))
    elif isinstance(item, Unopened):
        warn(f"{item.reference} was not opened: {item.error} ({_code(item.error)})")


def _code(error: LiaisonError) -> str:
    return str(getattr(error, "reason", "") or getattr(error, "link", "") or error.code)


def told_in_words(told: Told) -> str:
    """Return who said what of which note, and who was first."""
    text = f"{told.reference} was {_SAID[told.verdict]} by {told.by} for {told.post} at {to_dtg(told.at)}"
    if told.reason:
        text += f" ({visible(told.reason)})"
    if told.first is not None:
        first = told.first
        text += f"; {first.by} was first, for {first.post} at {to_dtg(first.at)}"
    return text


_SAID = {
    Verdict.ACKNOWLEDGED: "acknowledged",
    Verdict.DECLINED: "declined",
    Verdict.DELIVERED: "delivered",
    Verdict.UNREADABLE: "found unreadable",
}


def read(context: typer.Context, reference: Reference) -> None:
    """Show a note. Reading never acknowledges."""

    async def work(client: Client) -> Letter:
        return await client.read(reference)

    letter = desk.as_member(context, work)
    note = letter.note
    say(f"{letter.reference}  {note.precedence.action.value.upper()}  {note.kind}")
    say(f"From:     {note.by}")
    for role in (AddresseeRole.ACTION, AddresseeRole.INFO):
        posts = [a.post for a in note.addressees if a.role is role]
        if posts:
            say(f"{role.value.capitalize() + ':':<9} {', '.join(posts)}")
    say(f"DTG:      {note.dtg}, accepted {to_dtg(letter.at)}")
    say(
        f"Label:    {visible(note.label.classification)}, "
        f"releasable to {', '.join(note.label.releasable_to)}"
    )
    if note.justification:
        say(f"Reason:   {visible(note.justification)} (was visible to the node)")
    say(f"Subject:  {visible(letter.content.subject)}")
    say("")
    say(visible(letter.content.body).rstrip("\n"))
    for part in letter.content.parts[1:]:
        name = visible(part.name or "without a name")
        say(f"[{part.type}, {part.role.value}, {len(part.data)} bytes: {name}]")


def ack(context: typer.Context, reference: Reference) -> None:
    """Acknowledge a note: you take it on, for the post that you hold."""

    async def work(client: Client) -> Told:
        return await client.acknowledge(reference)

    say(told_in_words(desk.as_member(context, work)))
