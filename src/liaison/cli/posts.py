"""``liaison grant``, ``posting show``, ``posting handover``: who can read what a post was sent.

Who holds a post its authority says (``posting set``). What the holders were sent before, only a
device that can open it can hand on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import typer

from liaison.cli import completing, desk
from liaison.cli.asking import Yes, ask, show
from liaison.cli.authority import posting
from liaison.cli.consequence import clock
from liaison.cli.context import Shape, answer, say
from liaison.cli.failure import warn
from liaison.cli.notes import say_items
from liaison.cli.outcomes import done_in_words
from liaison.cli.progress import bar
from liaison.cli.shapes import of_done, of_item
from liaison.client import Authority, Client, Done, Item
from liaison.client.granting import Granting, History, Holder, Unsettled
from liaison.client.pins import groups_of
from liaison.sealing.content import visible
from liaison.statements.procedures import GrantReason
from liaison.words.errors import NotReady, RefusedByNode, Unreadable

NOTHING_SENT = "nothing was wrapped or sent"


def register(app: typer.Typer) -> None:
    """Add ``grant``, and this module's commands to those of ``liaison posting``."""
    app.command()(grant)
    for name, command in (("show", posting_show), ("handover", posting_handover)):
        posting.command(name)(command)


Post = Annotated[
    str, typer.Argument(metavar="POST", autocompletion=completing.posts, help="One of your party.")
]


def grant(
    context: typer.Context,
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="[REF]", autocompletion=completing.references, help="Such as london-hotline/1."
        ),
    ] = None,
    post: Annotated[
        str | None,
        typer.Argument(
            metavar="[POST]",
            autocompletion=completing.posts,
            help="For who holds it now; where the note is addressed to one only, that one.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Instead: all that you can open, to another device of your own, named by the last "
            "group of its fingerprint: see whoami there.",
        ),
    ] = None,
    is_yes: Yes = False,
) -> None:
    """Let who holds an addressed post open a note that they couldn't, or your own second device."""
    if (reference is None) == (device is None):
        raise typer.BadParameter("name a note, or with --device another device of yours")
    if device is not None:
        wanted = device
        desk.as_member(context, lambda client: _history(client, wanted, is_yes=is_yes))
        return
    assert reference is not None
    name = reference

    async def work(client: Client) -> Done:
        await client.read(name)
        granting = await client.grant_plan(name, post)
        _show([granting])
        ask("Grant it?", is_yes=is_yes, safe=NOTHING_SENT)
        return await client.grant(granting)

    done = desk.as_member(context, work)
    say(done_in_words(done))
    answer(of_done(done))


def _show(grantings: Sequence[Granting]) -> None:
    first = grantings[0]
    rows = [
        ("Note", ", ".join(one.letter.reference for one in grantings)),
        ("Subject", visible(first.letter.content.subject) if len(grantings) == 1 else ""),
        ("At", first.post),
        ("For", f"{', '.join(first.members)} ({_devices(first.keys)})"),
    ]
    show("To grant:", rows, ["they can open it, and it stands in the log that you let them"])


def _notes(count: int) -> str:
    return "1 note" if count == 1 else f"{count} notes"


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"


async def _history(client: Client, device: str, *, is_yes: bool) -> None:
    history = await client.history_for(device)
    _say_what_stays(history)
    if not history.notes:
        say("There is nothing that this device could open for it.")
        answer({"granted": [], "gone": history.gone, "left": history.left})
        return
    rows = [("Device", device), ("Notes", f"{len(history.notes)}")]
    show("To grant, to another device of yours:", rows, ["it can open all of them"])
    ask("Is it yours, and in your hands?", is_yes=is_yes, safe=NOTHING_SENT)
    done = []
    for reference, post in history.notes:
        one = await _granted(
            client, reference, post, GrantReason.HISTORY, devices=(history.device,)
        )
        if one is not None:
            client.granted(client.kept(reference), history.device)
            done.append(one)
    say(f"Granted: {len(done)} of {_notes(len(history.notes))}.")
    granted = [of_done(one) for one in done]
    answer({"granted": granted, "gone": history.gone, "left": history.left})


def _say_what_stays(history: History) -> None:
    if history.gone:
        warn(
            f"{len(history.gone)} older notes can't be granted any more: the keys that opened them "
            "were destroyed. They are in this home's cabinet only"
        )
    if history.left:
        warn(
            f"{len(history.left)} notes were sent to posts that you hold no more: only who holds a "
            "post now is granted what it was sent"
        )


async def _granted(
    client: Client, reference: str, post: str, reason: GrantReason, *, devices: Iterable[str] = ()
) -> Done | None:
    """Grant one of many; what can't be is said, and keeps back none of the others."""
    try:
        granting = await client.grant_plan(reference, post, reason=reason, devices=devices)
        done = await client.grant(granting)
    except (RefusedByNode, Unreadable, NotReady) as exc:
        warn(f"{reference} was not granted: {exc.happened} ({exc.code})")
        return None
    say(done_in_words(done))
    return done


def posting_show(
    context: typer.Context,
    post: Annotated[
        str | None,
        typer.Argument(metavar="[POST]", autocompletion=completing.posts, help="None: all."),
    ] = None,
) -> None:
    """Show who holds the posts of your party, or of another's, and how long they can be written to.

    With a post named: by which devices what is sent there now can be read.
    An authority's home shows what it signed; it asks nobody, and knows no keys.
    """

    async def signed(authority: Authority) -> dict[str, list[Holder]]:
        return {
            one.post: [Holder(member, None, 0) for member in one.holders]
            for one in authority.postings
            if post in (None, one.post)
        }

    async def current(client: Client) -> dict[str, list[Holder]]:
        return await client.holders(post)

    if desk.home_at(context).has("authority.json"):
        found = desk.as_authority(context, signed)
    else:
        found = desk.as_member(context, current)
    for name, holders in found.items():
        if not holders:
            say(f"{name}  VACANT: nobody holds it, and nothing can be sealed for it")
        for holder in holders:
            say(f"{name}  {holder.member}{_until(holder)}")
            if post is not None:
                for line in _by_device(holder):
                    say(f"    {line}")
    answer(
        {
            "posts": [
                {
                    "post": name,
                    "holders": [_as_shape(holder) for holder in holders],
                }
                for name, holders in found.items()
            ]
        }
    )


def _until(holder: Holder) -> str:
    if holder.until is None:
        return ""
    if not holder.until:
        return "  NO KEY: it makes one with its next command"
    return f"  can be written to until {clock(holder.until, holder.now)}"


def _by_device(holder: Holder) -> Iterator[str]:
    """Say which devices read what is sent to the post now: for each a note is wrapped."""
    for device, until in (holder.devices or {}).items():
        reads = f"reads what is sent now: its key is sealed for until {clock(until, holder.now)}"
        yield f"{' '.join(groups_of(device))}  {reads if until else 'reads nothing that is sent now'}"


def _as_shape(holder: Holder) -> Shape:
    devices = holder.devices
    return {
        "member": holder.member,
        "until": holder.until or None,
        "devices": devices and [{"key": key, "until": at or None} for key, at in devices.items()],
    }


def posting_handover(
    context: typer.Context,
    post: Post,
    to: Annotated[str, typer.Option(metavar="MEMBER", help="Who holds the post from now on.")],
    is_yes: Yes = False,
) -> None:
    """List what is unanswered at a post, and let its new holder open it: for who leaves the post.

    What came and wasn't shown yet is shown first, as `inbox` does. The party says before who holds the
    post: posting set POST MEMBER, and directory sign.
    """

    async def work(client: Client) -> tuple[list[Unsettled], list[Done]]:
        await client.check_holder(post, to)
        with bar("inbox"):
            came.extend(await client.unshown())
        say_items(came)
        client.shown()
        with bar("looking through what was sent"):
            open_notes = await client.unsettled_at(post)
            awaited.extend(await client.awaited_at(post))
        now = client.now()
        for one in open_notes:
            due = f", due {clock(one.due, now)}" if one.due is not None else ""
            due += ", says the node, and nothing in this home proves it" if one.is_unproven else ""
            say(f"{one.reference}  {one.life}{due}: {visible(one.subject)}")
        for reference in awaited:
            say(
                f"{reference} was written for {post} by you, and waits for others: {to} hears of its "
                "answers and can't open it, for a copy is its writer's alone. Tell them what it says"
            )
        if not open_notes:
            say(f"Nothing that {post} was sent waits for it.")
            return [], []
        devices = await client.devices_of(to)
        rows = [("Post", post), ("To", f"{to} ({_devices(len(devices))})")]
        show("To hand over:", rows, [f"{to} can open them and answers for {post} from now on"])
        ask(f"Hand over {_notes(len(open_notes))}?", is_yes=is_yes, safe=NOTHING_SENT)
        done = []
        for one in open_notes:
            granted = await _granted(
                client, one.reference, post, GrantReason.HANDOVER, devices=devices
            )
            done += [granted] if granted is not None else []
        return open_notes, done

    came: list[Item] = []
    awaited: list[str] = []
    open_notes, done = desk.as_member(context, work)
    if open_notes:
        say(f"Handed over to {to}: {len(done)} of {_notes(len(open_notes))}.")
    answer(
        {
            "unsettled": [
                {
                    "reference": one.reference,
                    "life": one.life,
                    "due": one.due,
                    "unproven": one.is_unproven or None,
                }
                for one in open_notes
            ],
            "granted": [of_done(one) for one in done],
            "awaited": awaited,
            "items": [of_item(item) for item in came],
        }
    )
