"""``liaison draft`` and ``release``: two pairs of eyes before a note leaves its party."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from liaison.cli import completing, desk
from liaison.cli.asking import Yes, ask, show
from liaison.cli.consequence import of_note
from liaison.cli.context import answer, say
from liaison.cli.notes import (
    ChannelName,
    Corrects,
    DeliverBy,
    Expires,
    Kind,
    Label,
    Level,
    NoRedirect,
    Reference,
    RepliesBy,
    Subject,
    Supersedes,
    To,
    Why,
    digest_of,
    precedence_of,
    reply_times,
    say_sent,
    sent,
    time_ahead,
    unwritten,
)
from liaison.cli.shapes import of_done
from liaison.cli.texts import Text, as_writer
from liaison.client import Client, Done, Draft, Sent
from liaison.sealing.content import visible
from liaison.statements.payloads import AddresseeRole
from liaison.words.errors import NotReady
from liaison.words.times import to_dtg


def register(app: typer.Typer) -> None:
    app.command()(draft)
    app.command()(release)


def draft(
    context: typer.Context,
    channel: ChannelName,
    to: To,
    subject: Subject,
    info: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=completing.posts,
            help="Who is to know: of your party now (the releaser too), of others later.",
        ),
    ] = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=completing.posts,
            help="A post of your party that must acknowledge it before the release.",
        ),
    ] = None,
    kind: Kind = None,
    precedence: Level = None,
    justification: Why = None,
    label: Label = None,
    reply_to: Annotated[
        str | None,
        typer.Option(autocompletion=completing.references, help="The note that this one answers."),
    ] = None,
    is_not_redirected: NoRedirect = False,
    reply_by: RepliesBy = None,
    expires: Expires = None,
    deliver_by: DeliverBy = None,
    supersedes: Supersedes = None,
    corrects: Corrects = None,
    is_yes: Yes = False,
) -> None:
    """Seal a draft for your own party: nobody else can read it before a releaser lets it go."""
    level = precedence_of(precedence)

    async def work(client: Client, text: Text) -> Sent:
        now = client.now()
        reply_by_all, replies_by = reply_times(reply_by, now)
        cited = "" if reply_to is None else await client.citation(reply_to)
        wanted = Draft(
            channel=channel,
            to=tuple(to),
            content=unwritten(subject),
            info=tuple(info or ()),
            clear=tuple(clear or ()),
            kind=kind,
            precedence=level,
            justification=justification,
            classification=label,
            no_redirect=is_not_redirected,
            in_reply_to=await digest_of(client, reply_to),
            reply_by=reply_by_all,
            replies_by=replies_by,
            expiry=time_ahead("--expires", expires, now),
            latest_delivery=time_ahead("--deliver-by", deliver_by, now),
            supersedes=await digest_of(client, supersedes),
            corrects=await digest_of(client, corrects),
        )
        plan = await client.plan(wanted)
        if plan.kind.release is None:
            raise NotReady(
                f"A note of kind {plan.kind.kind} on {channel} needs no release: it would go out at once",
                safe="nothing was sealed or sent",
                do="type it with: liaison send",
            )
        written = await text.written(client, wanted, cited=cited)
        return await sent(client, written, text, is_yes=is_yes)

    say_sent(as_writer(context, subject, work))


def release(context: typer.Context, reference: Reference, is_yes: Yes = False) -> None:
    """Let a draft go: the posts that it names can read it from now on. Show it first, and ask."""

    async def work(client: Client) -> Done:
        letter = await client.read(reference)
        note = letter.note
        if note.by == client.device.member:  # the log would refuse it, after the whole screen
            raise NotReady(
                f"You drafted {letter.reference}: another person lets it go",
                safe="nothing was wrapped or sent",
                do="ask a releaser who can read it to run: liaison release",
            )
        plan = await client.release_plan(letter)
        draft = Draft(
            channel=plan.channel.cell.alias,
            to=(),
            content=letter.content,
            kind=note.kind,
            precedence=note.precedence.action,
            reply_by=note.reply_by,
            replies_by={a.post: a.reply_by for a in note.drafted or () if a.reply_by},
            expiry=note.expiry,
            latest_delivery=note.latest_delivery,
            silence_until=note.silence_until,
        )
        to = ", ".join(f"{a.post} ({a.role.value})" for a in plan.addressees)
        asked = [a for a in note.addressees if a.role is AddresseeRole.ACTION]
        stands = {one["post"]: one for one in await client.state(letter)}
        cleared = [_cleared(a.post, stands.get(a.post, {})) for a in asked]
        rows = [
            ("Drafted by", note.by),
            ("Clearance", ", ".join(cleared)),
            ("To", to),
            ("Precedence", note.precedence.action.value.upper()),
            ("Label", visible(note.label.classification)),
            ("Subject", visible(letter.content.subject)),
        ]
        show(
            f"To let go, of kind {note.kind}:",
            rows,
            of_note(draft, plan, client.now(), is_release=True),
        )
        say("")
        say(visible(letter.content.body).rstrip("\n"))
        say("")
        ask("Release it?", is_yes=is_yes)
        return await client.release(letter, plan)

    done = desk.as_member(context, work)
    number = f", number {done.number}" if done.number else ""
    say(f"RELEASED {done.reference}{number} at {to_dtg(done.at)} (receipt: {done.receipt})")
    answer(of_done(done))


def _cleared(post: str, stands: Mapping[str, object]) -> str:
    """Return whether a post cleared a draft, and by whom."""
    if stands.get("life") == "acknowledged":
        return f"{post} cleared it, by {stands.get('by')}"
    return f"{post} HAS NOT CLEARED IT"
