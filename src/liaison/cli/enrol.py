"""``liaison enrol POST`` and ``liaison enrol finish FILE``: how a device becomes a member's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from liaison.cli import comparing, desk
from liaison.cli.context import answer, say
from liaison.cli.showing import wrong_file
from liaison.client import (
    Approval,
    Client,
    check_approval,
    fingerprint,
    post_approval,
    request_device,
)
from liaison.client import take_approval as take
from liaison.words.errors import Malformed
from liaison.words.ids import check_id


class _PostOrCommand(TyperGroup):
    """``enrol POST`` is short for ``enrol request POST``."""

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]
        named = args if args[0] in self.commands else ["request", *args]
        return super().resolve_command(ctx, named)


enrol = typer.Typer(
    cls=_PostOrCommand,
    no_args_is_help=True,
    help="Make this device a member's: `enrol POST`, then `enrol finish FILE`.",
)


def register(app: typer.Typer) -> None:
    app.add_typer(enrol, name="enrol")


@enrol.command()
def request(
    context: typer.Context,
    post: Annotated[str, typer.Argument(help="Such as attache.london@fco.example.")],
    local: Annotated[
        str, typer.Option("--as", help="The member's own name before the @; POST's with .1.")
    ] = "",
    name: Annotated[str, typer.Option(help=f"What people call you. {desk.VISIBLE}")] = "",
    out: Annotated[Path | None, typer.Option(help="Where to write the request.")] = None,
) -> None:
    """Make this device's keys, and the request that goes to the authority."""
    home = desk.home_at(context)
    check_id("address", post)  # before a passphrase is typed, twice
    made = request_device(home, desk.passphrase(context, is_new=True), post, local=local, name=name)
    path = desk.write(context, "request.liaison", made.to_bytes(), out)
    phrase = made.phrase
    say(f"{made.member} asks to hold {made.post}.")
    say(f"Hand {path} to your authority, and read it these words when it calls:")
    comparing.say_phrase(phrase)
    answer({"member": made.member, "post": made.post, "phrase": " ".join(phrase), "file": path})


@enrol.command()
def finish(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The approval that the authority handed back.")],
    node: Annotated[
        Path | None, typer.Option(help="The node's card, node.liaison; known from a former time.")
    ] = None,
    heard: comparing.Heard = "",
    who: comparing.Who = "",
) -> None:
    """Take the approval: pin the node and the own authority, post member, posting and key."""
    try:
        approval = Approval.from_bytes(desk.read(context, file))
    except Malformed as exc:
        raise wrong_file(file, "an approval", exc) from exc
    card = desk.read_node(context, node) if node else desk.pins(context).node
    home = desk.home_at(context)
    check_approval(home, approval)
    party = approval.party.payload
    groups = fingerprint(party.authority)
    known = desk.pins(context).authorities.get(party.party)
    if known is None or known.authority != party.key:
        comparing.compare_fingerprint(f"Your own authority {party.party}", groups, heard)
    with home.locked():
        take(home, approval, card, who=comparing.whoever(who), how=comparing.HOW)

    async def work(client: Client) -> None:
        await post_approval(client, approval)

    desk.as_member(context, work)
    member, post = approval.member.payload.member, approval.posting.payload.post
    say(f"{member} holds {post} at {card.origin}; {party.party} is pinned.")
    say("Next: your authority signs a directory, with this device in it (directory sign --post);")
    say("and you pin each other party, from its file: liaison party pin NAME.party")
    answer(
        {
            "member": member,
            "post": post,
            "origin": card.origin,
            "party": party.party,
            "fingerprint": " ".join(groups),
        }
    )
