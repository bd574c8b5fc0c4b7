"""``liaison party``: new, pin, show. Authorities and their fingerprints."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from liaison.cli import desk
from liaison.cli.context import Shape, answer, is_json, say
from liaison.client import Authority, AuthorityPin, fingerprint
from liaison.client.seat import wall_clock
from liaison.rules.chain import id_of
from liaison.sealing.content import visible
from liaison.statements.payloads import Party
from liaison.words.encoding import from_base64
from liaison.words.errors import ChainBroken, Malformed, NotReady
from liaison.words.times import to_dtg

party = typer.Typer(no_args_is_help=True, help="Authorities: make one, pin others, see pins.")


def register(app: typer.Typer) -> None:
    app.add_typer(party, name="party")


@party.command()
def new(
    context: typer.Context,
    party_id: Annotated[str, typer.Argument(metavar="PARTY", help="Such as mod.example.")],
    name: Annotated[str, typer.Option(help=f"What people call it. {desk.VISIBLE}")] = "",
    out: Annotated[Path | None, typer.Option(help="Where to write the party file.")] = None,
) -> None:
    """Make a party's authority key, and the statement that presents it."""
    home = desk.home_at(context)
    authority, statement = Authority.new(
        home, desk.passphrase(context, is_new=True), party_id, name=name
    )
    path = desk.write(context, f"{party_id.partition('.')[0]}.party", statement.raw, out)
    say(f"{authority.party} begins; its authority key stays in {home.root}.")
    groups = " ".join(fingerprint(statement.payload.authority))
    say(f"Hand over {path}, and read this fingerprint to whoever pins it:")
    say(f"  {groups}")
    answer({"party": authority.party, "fingerprint": groups, "file": path})


@party.command()
def pin(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The other party's file, NAME.party.")],
    heard: Annotated[
        str, typer.Option(help="The fingerprint's last group as heard, for scripts.")
    ] = "",
    who: Annotated[str, typer.Option(help="Who compared it; this account by default.")] = "",
) -> None:
    """Pin another party's authority after comparing its fingerprint by telephone."""
    statement = desk.read_statement(context, file, Party)
    payload = statement.payload
    if payload.key != id_of(payload.authority):
        raise Malformed(f"{file}: the party statement isn't signed by its own authority key")
    statement.check_signature(from_base64(payload.authority))
    groups = fingerprint(payload.authority)
    say(f"{payload.party} ({visible(payload.name)}) shows this fingerprint:")
    say(f"  {' '.join(groups)}")
    if not heard:
        if is_json():
            raise typer.BadParameter("with --json nothing is asked: add --heard GROUP")
        if not sys.stdin.isatty():
            raise NotReady(
                "Nobody is here to say what was heard by telephone",
                safe="nothing was pinned",
                do="run it at a terminal, or add --heard GROUP",
            )
        say("Call them by a number you had before, and have all eight groups read to you.")
        heard = typer.prompt("The last group as you heard it")
    if heard.strip().upper() != groups[-1]:
        raise ChainBroken(
            f"{heard.strip()!r} is not the last group: misheard, or the file is not theirs",
            safe="nothing was pinned",
            do="have all eight read again; if one differs, the file may have been exchanged: "
            "get it by another way",
        )
    kept = AuthorityPin(
        payload.party,
        payload.key,
        who or getpass.getuser(),
        "last group of the fingerprint heard by telephone",
        wall_clock(),
    )
    home = desk.home_at(context)
    with home.locked():
        desk.pins(context).pin_authority(kept)
    say(f"{payload.party} is pinned, by {kept.who} at {to_dtg(kept.at)}.")
    answer(_pin_as_shape(kept))


@party.command()
def show(context: typer.Context) -> None:
    """Show the pins of this home: whom it trusts, and since when."""
    pins = desk.pins(context)
    if pins.has_node:
        say(f"node  {pins.node.origin} at {pins.node.address}")
    desk.say_table(
        (pin.party, "pinned by", pin.who, pin.how, to_dtg(pin.at), f"key {pin.authority}")
        for pin in pins.authorities.values()
    )
    if not pins.authorities:
        say("No party is pinned.")
    node = {"origin": pins.node.origin, "url": pins.node.address} if pins.has_node else None
    answer({"node": node, "parties": [_pin_as_shape(p) for p in pins.authorities.values()]})


def _pin_as_shape(pin: AuthorityPin) -> Shape:
    return {
        "party": pin.party,
        "authority": pin.authority,
        "by": pin.who,
        "how": pin.how,
        "at": pin.at,
    }
