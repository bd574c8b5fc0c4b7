"""``liaison party``: new, pin, show. Authorities and their fingerprints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from liaison.cli import authority, comparing, desk
from liaison.cli.asking import Yes, ask, show
from liaison.cli.context import Shape, answer, say
from liaison.cli.failure import warn
from liaison.cli.showing import say_table, wrong_file
from liaison.client import Authority, AuthorityPin, Records, fingerprint
from liaison.client.authority import Surprise
from liaison.client.home import RESTORED
from liaison.client.seat import wall_clock
from liaison.client.seen import forget_seen
from liaison.rules.chain import id_of
from liaison.words.errors import Malformed, NotReady
from liaison.words.ids import check_id
from liaison.words.times import MINUTE, to_dtg

AGAIN_AFTER: Final = 10 * MINUTE

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
    check_id("party id", party_id)  # before a passphrase is typed, twice
    made, statement = Authority.new(
        home, desk.passphrase(context, is_new=True), party_id, name=name
    )
    path = desk.write(context, f"{party_id.partition('.')[0]}.party", statement.raw, out)
    say(f"{made.party} begins; its authority key stays in {home.root}.")
    groups = " ".join(fingerprint(statement.payload.authority))
    say(f"Hand over {path}, and read this fingerprint to whoever pins it:")
    say(f"  {groups}")
    answer({"party": made.party, "fingerprint": groups, "file": path})


NextPassphrase = Annotated[
    Path | None,
    typer.Option(
        "--next-passphrase-file", help="A file with the passphrase of the next key's own file."
    ),
]
_NEXT_OPTION = "--next-passphrase-file"


@party.command("next")
def set_next_aside(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it; nothing may be there.")],
    own: NextPassphrase = None,
) -> None:
    """Move the announced next authority key into a file of its own, to be kept in another place.

    Who then has this home and its passphrase can't take the party over for good.
    """

    async def work(of: Authority) -> None:
        typed = desk.secret(own, _NEXT_OPTION, prompt="The next key's passphrase", is_new=True)
        key = of.set_next_aside(file, typed)
        say(f"{file} holds the next authority key of {of.party}; this home has it no more.")
        say("Keep file, passphrase and home in three places, and a copy of the file in a fourth:")
        say("  without it nobody can succeed the present key, and no other can be announced.")
        answer({"party": of.party, "key": key.id, "file": file})

    desk.as_authority(context, work)


@party.command()
def succeed(
    context: typer.Context,
    is_posted: authority.Post = False,
    node: authority.NodeCard = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="A registrar that goes on: its key id, or its fingerprint's last group; repeatable. "
            "All others end.",
        ),
    ] = None,
    next_file: Annotated[
        Path | None,
        typer.Option("--next", metavar="FILE", help="What `liaison party next` wrote."),
    ] = None,
    own: NextPassphrase = None,
    is_yes: Yes = False,
) -> None:
    """Let the next key, announced long before, be the authority; another one is announced.

    Registrars end with the key that delegated them, unless they are kept.
    """

    async def work(of: Authority) -> None:
        _check_not_just_succeeded(of)
        _show_registrars(of, keep or [])
        ask(
            "Is the present authority key never to sign again?",
            is_yes=is_yes,
            safe="nothing was signed",
        )
        if next_file is not None:
            typed = desk.secret(own, _NEXT_OPTION, prompt="The next key's passphrase")
            of.bring_next(next_file, typed)
        statement = of.succeed(keep or [])
        path = authority.written(context, of.party.partition(".")[0], statement)
        groups = " ".join(fingerprint(statement.payload.authority))
        said = f"The announced key is the authority of {of.party} from now on"
        done = await authority.send(of, is_posted, said, path, statement)
        say(
            "Who has the former one pinned follows by itself. Its fingerprint, for who pins it anew:"
        )
        say(f"  {groups}")
        say("A backup of before is no more this authority's. Next: liaison key backup FILE")
        answer({**done, "fingerprint": groups})

    desk.as_authority(context, work, node=node, is_online=is_posted)


def _check_not_just_succeeded(of: Authority) -> None:
    """Return if the present key did not take over just now: the command was typed twice.

    Raises:
        NotReady: it did.
    """
    own = of.pins.authorities.get(of.party)
    is_followed = any(pin.party == of.party for pin in of.pins.former)
    if own is not None and is_followed and of.now() - own.at < AGAIN_AFTER:
        raise NotReady(
            f"The key of {of.party} was succeeded at {to_dtg(own.at, exact=True)} already",
            safe="nothing was signed",
            do="if what took over then is to be succeeded in its turn, type it again from "
            f"{to_dtg(own.at + AGAIN_AFTER, exact=True)} on",
        )


def _show_registrars(of: Authority, keep: list[str]) -> None:
    rows = [("Authority", of.party)]
    for one in of.statement.payload.registrars:
        groups = fingerprint(one.key)
        is_kept = id_of(one.key) in keep or groups[-1] in keep
        bounds = f"{', '.join(one.scope)}, until {to_dtg(one.until)}"
        rows.append(
            ("Registrar", f"{' '.join(groups)} ({bounds}) {'GOES ON' if is_kept else 'ends'}")
        )
    then = [
        "the announced next key signs, and who pinned the present one follows by itself",
        "a registrar that ends is delegated again: liaison registrar delegate FILE",
        "what was signed before stands: see who signed it with liaison directory show",
    ]
    show("To succeed:", rows, then)


@party.command()
def export(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Where to write the file.")] = None,
) -> None:
    """Write all that the log holds of this party to a file, for an authority that is offline."""

    async def work(of: Authority) -> Records:
        return await of.export()

    records = desk.as_authority(context, work)
    path = desk.write(
        context, f"{records.party.partition('.')[0]}.records", records.to_bytes(), out
    )
    say(f"{len(records.receipts)} records of {records.party}: carry {path} to the authority.")
    answer({"party": records.party, "records": len(records.receipts), "file": path})


@party.command()
def take(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `party export` wrote, NAME.records.")],
    node: authority.NodeCard = None,
) -> None:
    """Go on from what was carried here of the log, offline: others may have signed meanwhile."""
    try:
        records = Records.from_bytes(desk.read(context, file))
    except Malformed as exc:
        raise wrong_file(file, "a party's records", exc) from exc

    is_restored = desk.home_at(context).has(RESTORED)

    async def work(of: Authority) -> list[Surprise]:
        return await of.take(records)

    desk.warn_surprises(desk.as_authority(context, work, node=node), is_restored=is_restored)
    say(f"This home goes on from {len(records.receipts)} records of {records.party}.")
    answer({"party": records.party, "records": len(records.receipts)})


@party.command()
def pin(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The other party's file, NAME.party.")],
    heard: comparing.Heard = "",
    who: comparing.Who = "",
    is_anew: Annotated[
        bool,
        typer.Option("--anew", help="Pin another key than the one that is pinned, after asking."),
    ] = False,
) -> None:
    """Pin another party's authority after comparing its fingerprint by telephone."""
    statement = desk.read_party(context, file)
    payload = statement.payload
    known = desk.pins(context).authorities.get(payload.party)
    is_another = known is not None and known.authority != payload.key
    kept = AuthorityPin(
        payload.party, payload.key, comparing.whoever(who), comparing.HOW, wall_clock()
    )
    if is_another and not is_anew:
        desk.pins(context).pin_authority(kept)  # raises, and says what to do
    if known is not None and is_another:
        warn(
            f"STOP: {payload.party} is pinned under another key, by {known.who} at "
            f"{to_dtg(known.at)} ({known.how}): {' '.join(known.fingerprint)}. A change that was "
            "not announced is what an attack looks like"
        )
    groups = fingerprint(payload.authority)
    comparing.compare_fingerprint(payload.party, groups, heard)
    home = desk.home_at(context)
    with home.locked():
        pins = desk.pins(context)
        if is_anew and is_another:
            pins.replace_authority(kept)
            forget_seen(home, payload.party)
        else:
            pins.pin_authority(kept)
    say(f"{payload.party} is pinned{' anew' * is_another}, by {kept.who} at {to_dtg(kept.at)}.")
    answer(_pin_as_shape(kept))


@party.command("show")
def show_pins(context: typer.Context) -> None:
    """Show the pins of this home: whom it trusts, and since when."""
    pins = desk.pins(context)
    if pins.has_node:
        say(f"node  {pins.node.origin} at {pins.node.address}")
    say_table(
        (pin.party, state, pin.who, pin.how, to_dtg(pin.at), " ".join(pin.fingerprint))
        for state, of_state in (
            ("pinned by", pins.authorities.values()),
            ("before by", pins.former),
        )
        for pin in of_state
    )
    if not pins.authorities:
        say("No party is pinned.")
    node = {"origin": pins.node.origin, "url": pins.node.address} if pins.has_node else None
    answer(
        {
            "node": node,
            "parties": [_pin_as_shape(p) for p in pins.authorities.values()],
            "former": [_pin_as_shape(p) for p in pins.former],
        }
    )


def _pin_as_shape(pin: AuthorityPin) -> Shape:
    return {
        "party": pin.party,
        "authority": pin.authority,
        "fingerprint": " ".join(pin.fingerprint),
        "by": pin.who,
        "how": pin.how,
        "at": pin.at,
    }
