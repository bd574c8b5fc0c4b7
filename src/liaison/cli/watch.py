"""``liaison desk``: the operators' queue. It shows what needs a human, and never what notes say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, cast

import typer

from liaison.cli import completing, desk
from liaison.cli.asking import Yes, ask, show
from liaison.cli.consequence import clock, roughly, typed
from liaison.cli.context import answer, say
from liaison.cli.notes import TIME, ChannelName, precedence_of, say_done, time_ahead
from liaison.cli.standing import State
from liaison.client import Client
from liaison.sealing.content import visible
from liaison.statements.procedures import WatchAction
from liaison.words.errors import NotHere, NotReady
from liaison.words.times import SECOND

queue = typer.Typer(
    invoke_without_command=True, help="The operators' queue: list, claim, escalate, close."
)

Item = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        autocompletion=completing.items,
        help="A note such as london-hotline/1; a channel for its line tests.",
    ),
]
Text = Annotated[str, typer.Option(help=desk.VISIBLE)]


def register(app: typer.Typer) -> None:
    app.add_typer(queue, name="desk")


@queue.callback()
def listing(context: typer.Context) -> None:
    """List what needs a human, most urgent first."""
    if context.invoked_subcommand is not None:
        return

    async def work(client: Client) -> tuple[list[State], list[State], int]:
        try:
            return await client.queue(), await client.minimized(), client.now()
        except NotHere as exc:
            raise NotReady(
                "The queue is for operators: this member has not that role",
                safe="nothing was changed",
                do="ask your authority: liaison member roles MEMBER --role operator, and each role kept",
            ) from exc

    items, minimized, now = desk.as_member(context, work)
    for one in minimized:
        say(_minimized(one, now))
    for item in items:
        for line in _item(item, now):
            say(line)
    if not items:
        say("Nothing waits for you.")
    answer({"minimized": minimized, "items": items})


def _item(item: State, now: int) -> Iterator[str]:
    level = str(item.get("precedence", "")).upper()
    if item.get("kind") == "missed-test":
        missed = cast("list[object]", item.get("missed", []))
        yield f"! {item['channel']}  LINE TESTS MISSED: {len(missed)}{_claimed(item, now)}"
        for one in cast("list[State]", missed)[-3:]:
            yield f"    {one.get('party', '')} at {clock(_int(one, 'at'), now)}"
        return
    at = _int(item, "at")
    what = {"exhausted": "EXHAUSTED", "unanswered": "unanswered"}.get(
        str(item.get("kind")), "unacknowledged"
    )
    flags = "".join(f", {name}" for name in ("raised", "vacant") if item.get(name))
    yield (
        f"{'! ' if what == 'EXHAUSTED' else ''}{item['reference']}  {level}  {what}{flags}  "
        f"from {item.get('from', '')}, {roughly(max(0, now - at) // SECOND)} old{_claimed(item, now)}"
    )
    for one in cast("list[State]", item.get("to", [])):
        tier = f", tier {one['tier']}" if one.get("tier") else ""
        yield f"    {one['post']}: {one['life']}{tier}"
    coming = item.get("next")
    if isinstance(coming, dict):
        due = _int(coming, "due")
        left = f"in {roughly((due - now) // SECOND)}" if due > now else "now"
        tier = f" the tier {coming['tier']}" if coming.get("tier") else ""
        yield f"    next: {coming.get('what', '')}{tier} at {clock(due, now)}, {left}"
    if item.get("annotation"):
        yield f"    said: {visible(str(item['annotation']))}"


def _minimized(one: State, now: int) -> str:
    return (
        f"{one['channel']}  MINIMIZE of {one['party']} below {str(one['below']).upper()} until "
        f"{clock(_int(one, 'until'), now)}, by {one['by']}: {visible(str(one['text']))}"
    )


def _claimed(item: State, now: int) -> str:
    if not item.get("claimed_by"):
        return "  not claimed"
    return f"  claimed by {item['claimed_by']} at {clock(_int(item, 'claimed_at'), now)}"


def _int(item: State, name: str) -> int:
    value = item.get(name, 0)
    return value if isinstance(value, int) else 0


def _act(
    context: typer.Context,
    reference: str,
    action: WatchAction,
    *,
    text: str | None = None,
    until: str | None = None,
    post: str | None = None,
) -> None:
    async def work(client: Client) -> None:
        time = time_ahead("--until", until, client.now())
        done = await client.watch_act(reference, action, text=text, until=time, post=post)
        say_done(done)

    desk.as_member(context, work)


@queue.command()
def claim(context: typer.Context, reference: Item) -> None:
    """Take an item on your watch. Of two claims one wins, and the other is told who."""
    _act(context, reference, WatchAction.CLAIM)


@queue.command("put-back")
def put_back(context: typer.Context, reference: Item) -> None:
    """Give back what you claimed."""
    _act(context, reference, WatchAction.PUT_BACK)


@queue.command()
def annotate(context: typer.Context, reference: Item, text: Text) -> None:
    """Write something beside an item for the next watch."""
    _act(context, reference, WatchAction.ANNOTATE, text=text)


@queue.command()
def escalate(context: typer.Context, reference: Item, is_yes: Yes = False) -> None:
    """Don't wait: the next rung of the ladder takes effect now."""
    show(
        "To escalate:", [("Note", reference)], ["the next rung of its ladder takes effect at once"]
    )
    ask("Escalate it?", is_yes=is_yes)
    _act(context, reference, WatchAction.ESCALATE)


@queue.command()
def minimize(
    context: typer.Context,
    channel: ChannelName,
    below: Annotated[
        str | None, typer.Option(help="ROUTINE to FLASH; what is lower waits. FLASH always passes.")
    ] = None,
    until: Annotated[str | None, typer.Option(help=f"Within the charter's bounds. {TIME}")] = None,
    text: Annotated[str | None, typer.Option(help=f"Why. {desk.VISIBLE}")] = None,
    is_end: Annotated[bool, typer.Option("--end", help="End it before its time.")] = False,
    is_yes: Yes = False,
) -> None:
    """Ask all for essential traffic only: to your party and from it, until a time."""
    given = [one for one in (below, until, text) if one is not None]
    if len(given) != (0 if is_end else 3):
        raise typer.BadParameter("--below, --until and --text together, or --end alone")
    level = precedence_of(below)

    async def work(client: Client) -> None:
        now = client.now()
        time = time_ahead("--until", until, now)
        if level is not None and time is not None:
            what = (
                f"new notes below {level.value.upper()} that ask or inform your party, and its own"
            )
            then = [
                f"until {typed(time)}, {what}, are refused",
                "answers, proposals, service notes, line tests and FLASH pass all the same",
            ]
            rows = [("Channel", channel), ("Reason", f"{visible(text or '')} (visible)")]
            show("To minimize:", rows, then)
            ask("Minimize it?", is_yes=is_yes)
        say_done(await client.minimize(channel, level, time, text))

    desk.as_member(context, work)


@queue.command()
def snooze(
    context: typer.Context,
    reference: Item,
    until: Annotated[str, typer.Option(help=f"Within the charter's bounds. {TIME}")],
) -> None:
    """Let an item rest a while; once a rung, FLASH never past its due time."""
    _act(context, reference, WatchAction.SNOOZE, until=until)


@queue.command()
def close(context: typer.Context, reference: Item, text: Text, is_yes: Yes = False) -> None:
    """Close what nobody answered, after its ladder was exhausted; missed line tests at any time."""
    then = ["it counts as unanswered; its sender is told, with your words"]
    show("To close:", [("Item", reference), ("Reason", f"{visible(text)} (visible)")], then)
    ask("Close it?", is_yes=is_yes)
    _act(context, reference, WatchAction.CLOSE, text=text)


@queue.command()
def reopen(
    context: typer.Context,
    reference: Item,
    post: Annotated[
        str,
        typer.Option(
            autocompletion=completing.posts, help="The post of yours that is asked again."
        ),
    ],
    text: Text,
    is_yes: Yes = False,
) -> None:
    """Ask a post again that had acknowledged or declined: the ladder is armed anew."""
    rows = [("Note", reference), ("Post", post), ("Reason", f"{visible(text)} (visible)")]
    show("To reopen:", rows, ["the post is asked again, and its ladder climbs from the first rung"])
    ask("Reopen it?", is_yes=is_yes)
    _act(context, reference, WatchAction.REOPEN, text=text, post=post)
