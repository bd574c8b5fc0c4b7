"""``liaison outbox`` and ``lodge``: what is signed and has no receipt yet, and the courier's way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from liaison.cli import desk
from liaison.cli.asking import Yes, ask, show
from liaison.cli.context import Shape, answer, home_of, say
from liaison.cli.failure import tell
from liaison.cli.outcomes import as_shape, in_words, waiting_in_words
from liaison.cli.shapes import of_part
from liaison.cli.showing import say_table, wrong_file
from liaison.client import Authority, Client, Content
from liaison.client.courier import Parcel
from liaison.client.courier import lodge as lodge_at
from liaison.client.filing import FILE as AUTHORITY
from liaison.client.filing import Unposted, unposted_in
from liaison.client.home import write_file
from liaison.client.outbox import Outbox, Signed
from liaison.client.outcomes import Outcome
from liaison.client.receipts import Proven
from liaison.client.transport import Transport
from liaison.client.watching import check_digest
from liaison.sealing.content import visible
from liaison.statements.payloads import AddresseeRole, Note
from liaison.statements.statement import parse_statement
from liaison.words.errors import LiaisonError, Malformed, NotHere, RefusedByNode
from liaison.words.times import to_dtg

outbox = typer.Typer(no_args_is_help=True, help="What waits to be sent again.")

Which = Annotated[
    str,
    typer.Argument(
        metavar="[DIGEST]", help="Its digest as `outbox list` has it, or how that begins."
    ),
]


def register(app: typer.Typer) -> None:
    app.add_typer(outbox, name="outbox")
    app.command()(lodge)


@outbox.command("list")
def list_command(context: typer.Context) -> None:
    """List what waits; in an authority's home what it signed and the log doesn't have.

    The subject of a note isn't shown: it is sealed.
    """
    if desk.home_at(context).has(AUTHORITY):
        _list_unposted(unposted_in(desk.home_at(context)))
        return
    with _opened(context) as box:
        waiting = box.waiting
    say_table((i.kind, i.alias, i.about, to_dtg(_issued(i), exact=True), i.digest) for i in waiting)
    say("What a note says: liaison outbox show DIGEST" if waiting else "The outbox is empty.")
    answer({"waiting": [_as_shape(each) for each in waiting]})


def _list_unposted(unposted: list[Unposted]) -> None:
    say_table(
        (one.kind, one.about, one.digest, f"REFUSED: {one.refused}" if one.refused else "")
        for one in unposted
    )
    if not unposted:
        say("Nothing that this home signed waits.")
    answer({"waiting": [_unposted_as_shape(one) for one in unposted]})


@outbox.command()
def flush(context: typer.Context) -> None:
    """Send what waits, as the same bytes; fill serials that were spent in vain."""

    async def work(client: Client) -> list[Outcome]:
        return await client.flush()

    code = 0
    outcomes = desk.as_member(context, work)
    done: list[Shape] = []
    for outcome in outcomes:
        if isinstance(outcome, LiaisonError):
            code = max(code, tell(outcome))
            continue
        for line in in_words(outcome):
            say(line)
        done.append(as_shape(outcome))
    if not outcomes:
        say("The outbox is empty.")
    answer({"sent": done})
    if code:
        raise typer.Exit(code)


@outbox.command()
def export(
    context: typer.Context,
    which: Which = "",
    out: Annotated[Path | None, typer.Option(help="Where to write the parcel.")] = None,
) -> None:
    """Write what waits to a file, sealed and signed as it is, for a courier. It stays here, too."""
    with _opened(context) as box:
        signed = _named(box, which)
    name = f"{signed.alias or signed.kind}.{check_digest(signed.digest)[:8]}.parcel"
    path = desk.write(context, name, Parcel.of(signed).to_bytes(), out)
    card = _card_beside(path)
    if path.is_file():  # else it went into a pipe
        write_file(card, desk.pins(context).node.to_bytes())
    say(
        f"{path} holds {waiting_in_words(signed)}, sealed and signed: who carries it can't read or change it."
    )
    say(f"{card} names the node: carry both. Where that can be reached: liaison lodge FILE")
    say("What that writes beside it, bring back: liaison receipt import FILE")
    answer({**_as_shape(signed), "file": path, "node": card if card.is_file() else None})


@outbox.command("show")
def show_command(
    context: typer.Context,
    which: Annotated[
        str,
        typer.Argument(metavar="[DIGEST|FILE]", help="What waits; or a file, as it was kept."),
    ] = "",
) -> None:
    """Show the text of a note that waits, was refused, or was not sent: with this device's key."""
    file = desk.find(context, Path(which)) if which else None
    if file is not None and file.suffix == ".text" and file.is_file():
        _show_unsent(context, file)
        return
    if file is not None and file.is_file():
        try:
            parcel = Parcel.from_bytes(desk.read(context, file))
        except Malformed as exc:
            raise wrong_file(file, "a parcel", exc) from exc
    else:
        with _opened(context) as box:
            parcel = Parcel.of(_named(box, which))

    async def work(client: Client) -> tuple[Note, Content]:
        return client.read_own(parcel)

    note, content = desk.as_member(context, work)
    posts = [each.post for each in note.addressees if each.role is not AddresseeRole.COPY]
    say(f"{note.kind}, {note.precedence.action.value.upper()}, to {', '.join(posts)}")
    say(f"DTG:      {note.dtg}, in no log as far as this home knows")
    say(f"Subject:  {visible(content.subject)}")
    say("")
    say(visible(content.body).rstrip("\n"))
    parts = [of_part(part) for part in content.parts]
    answer({"statement": parcel.statement.digest, "subject": content.subject, "parts": parts})


def _show_unsent(context: typer.Context, file: Path) -> None:
    async def work(client: Client) -> Content:
        return client.read_unsent(file)

    content = desk.as_member(context, work)
    say("Never sealed or sent.")
    say(f"Subject:  {visible(content.subject)}")
    say("")
    say(visible(content.body).rstrip("\n"))
    answer({"subject": content.subject, "parts": [of_part(part) for part in content.parts]})


@outbox.command()
def drop(context: typer.Context, which: Which = "", is_yes: Yes = False) -> None:
    """Send something no more, which doesn't take it back if the node has it."""
    if desk.home_at(context).has(AUTHORITY):
        _drop_unposted(context, which, is_yes=is_yes)
        return
    with _opened(context) as box:
        signed = _named(box, which)
        then = ["it is sent no more, and its text is gone from here"]
        if signed.serials:
            then.append(
                "a void fills its serial, so that nobody takes the gap for a note kept back"
            )
        then.append(
            "if the node has it already, it counts all the same: `inbox` shows that, `cancel` takes "
            "it back"
        )
        show("To drop:", [("Statement", waiting_in_words(signed)), ("Digest", signed.digest)], then)
        ask("Drop it?", is_yes=is_yes, safe="it still waits in the outbox")
        asyncio.run(box.drop(signed.digest))
    say(f"DROPPED {waiting_in_words(signed)}.")
    answer({"dropped": signed.digest})


def _drop_unposted(context: typer.Context, which: str, *, is_yes: bool) -> None:
    """Take back what an authority signed and the log doesn't have, with what follows on it."""

    async def work(authority: Authority) -> list[Unposted]:
        found = [one for one in authority.unposted if one.digest.startswith(which)]
        refused = [one for one in found if one.refused]
        if not which and refused:
            found = refused[:1]
        if len(found) != 1:
            raise NotHere(
                f"{len(found)} of what waits begins with {which[:44]}"
                if which
                else f"{len(found)} wait, and none was refused",
                safe="nothing was changed",
                do="name one, as it stands in: liaison outbox list",
            )
        show(
            "To drop:",
            [
                ("Statement", str(found[0])),
                ("Digest", found[0].digest),
                ("Refused", found[0].refused),
            ],
            [
                "it is never sent, nor what was signed of the same since, nor a directory naming it",
                "this home goes on from what was before; a file of it that was handed over is void",
                "if the log has it already, it counts all the same",
            ],
        )
        ask("Drop it?", is_yes=is_yes, safe="it still waits to be sent")
        return authority.drop(found[0].digest)

    dropped = desk.as_authority(context, work)
    for one in dropped:
        say(f"DROPPED {one}.")
    say("Next: liaison directory sign --post")
    answer({"dropped": [_unposted_as_shape(one) for one in dropped]})


def _unposted_as_shape(one: Unposted) -> Shape:
    return {
        "kind": one.kind,
        "about": one.about,
        "statement": one.digest,
        "refused": one.refused or None,
    }


def lodge(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A parcel, as `outbox export` wrote it.")],
    node: Annotated[
        Path | None, typer.Option(help="The node's card; else the one beside the parcel.")
    ] = None,
) -> None:
    """Hand in for somebody what they exported, from any machine; needs no home and no key.

    Its receipt, or the node's signed refusal, is written beside it, to be brought back.
    """
    try:
        parcel = Parcel.from_bytes(desk.read(context, file))
    except Malformed as exc:
        raise wrong_file(file, "a parcel", exc) from exc
    place = desk.find(context, file)
    beside = _card_beside(place)
    card = desk.node_of(context, node or (beside if beside.is_file() else None))

    async def hand_in() -> tuple[str, Proven]:
        async with Transport(desk.url_of(context) or card.address) as transport:
            return await lodge_at(parcel, card, transport)

    try:
        text, proven = asyncio.run(hand_in())
    except RefusedByNode as exc:
        path = write_file(place.with_name(f"{file.name}.refusal"), exc.refusal)
        exc.do = f"bring {path} back: liaison receipt import FILE"
        raise
    except Malformed as exc:
        raise Malformed(
            exc.happened,
            safe="who exported it has it still, and nothing was written for them",
            do="have them export it anew: it may have been changed on its way",
        ) from exc
    path = write_file(place.with_name(f"{file.name}.receipt"), text.encode())
    say(
        f"LODGED: entry {proven.index}, a {proven.record.kind} by {proven.record.actor}, accepted at "
        f"{to_dtg(proven.record.at)}."
    )
    say(f"Bring {path} back: liaison receipt import FILE")
    record = proven.record
    answer(
        {
            "kind": record.kind,
            "by": record.actor,
            "statement": parcel.statement.digest,
            "index": proven.index,
            "at": record.at,
            "receipt": path,
        }
    )


def _card_beside(parcel: Path) -> Path:
    """Return where the card of a parcel's node stands: who brings the receipt back checks it anew."""
    return parcel.with_name(f"{parcel.name}.node")


@contextmanager
def _opened(context: typer.Context) -> Iterator[Outbox]:
    """Give this home's outbox; what it holds is sealed, so it needs no passphrase."""
    home = desk.home_at(context)
    if not home.has("member.json"):
        raise desk.not_a_members(home_of(context))
    with home.locked():
        box = Outbox(home.path("outbox"))
        try:
            yield box
        finally:
            box.close()


def _named(box: Outbox, which: str) -> Signed:
    """Return what a digest's beginning names; all that waits, where that is one.

    Raises:
        NotHere: none, or several.
    """
    found = [signed for signed in box.waiting if signed.digest.startswith(which)]
    if len(found) != 1:
        waiting = "; ".join(
            f"{each.digest}, {waiting_in_words(each)}" for each in found or box.waiting
        )
        raise NotHere(
            (
                "The outbox has several of these"
                if found
                else f"The outbox has no {which[:44]}"
                if which
                else "The outbox is empty"
            ),
            safe="nothing was changed",
            do=f"name one: {waiting}" if waiting else "nothing waits here: see liaison outbox list",
        )
    return found[0]


def _issued(signed: Signed) -> int:
    """Return when it was signed, in microseconds."""
    return parse_statement(signed.statement).payload.issued


def _as_shape(signed: Signed) -> Shape:
    return {
        "issued": _issued(signed),
        "kind": signed.kind,
        "channel": signed.alias,
        "about": signed.about,
        "statement": signed.digest,
    }
