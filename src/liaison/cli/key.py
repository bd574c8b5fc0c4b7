"""``liaison key``: passphrase, a backup of what this home can't do without, what a key signed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from liaison.adapters import agent
from liaison.cli import desk
from liaison.cli.context import Shape, answer, say
from liaison.cli.failure import warn
from liaison.cli.notes import time_of
from liaison.cli.traces import Since, Trace, Wanted, Which, Who, say_traces, what_in
from liaison.client import Client
from liaison.client.backup import Backup, back_up, who_has
from liaison.client.backup import restore as restore_home
from liaison.client.filing import FILE as AUTHORITY
from liaison.client.home import KEYSTORE
from liaison.client.seat import wall_clock
from liaison.sealing.keystore import Keystore
from liaison.words.errors import LiaisonError, NotReady
from liaison.words.ids import party_of
from liaison.words.times import to_dtg

key = typer.Typer(no_args_is_help=True, help="This home's keys: passphrase, backup, restore.")

BackupPassphrase = Annotated[
    Path | None,
    typer.Option(
        "--backup-passphrase-file",
        envvar="LIAISON_BACKUP_PASSPHRASE_FILE",
        help="A file with the backup's own passphrase.",
    ),
]
_OPTION = "--backup-passphrase-file"


def register(app: typer.Typer) -> None:
    app.add_typer(key, name="key")


@key.command()
def passphrase(
    context: typer.Context,
    new: Annotated[
        Path | None,
        typer.Option(
            "--new-passphrase-file", help="A file with the new one; else it is asked for."
        ),
    ] = None,
) -> None:
    """Change the passphrase of this home's keystore. Copies made before keep the old one."""
    home = desk.home_at(context)
    who = who_has(home)
    with home.locked():
        keystore = Keystore.open(home.path(KEYSTORE), desk.passphrase(context))
        keystore.change_passphrase(
            desk.secret(new, "--new-passphrase-file", prompt="New passphrase", is_new=True)
        )
    place = agent.place_for(home.root, os.environ)
    if place is not None:
        try:
            agent.lock(place)
        except NotReady as exc:  # what it holds opens nothing that is saved from now on
            warn(str(exc))
    say(f"The keystore of {who} has another passphrase.")
    say("Copies made before, and backups, keep the one that they had: whoever has both reads them.")
    answer({"who": who, "keystore": home.path(KEYSTORE)})


@key.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it; nothing may be there.")],
    own: BackupPassphrase = None,
) -> None:
    """Write this home's keys and pins to one file, sealed under a passphrase of its own."""
    home = desk.home_at(context)
    with home.locked():
        keystore = Keystore.open(home.path(KEYSTORE), desk.passphrase(context))
        typed = desk.secret(own, _OPTION, prompt="Backup's passphrase", is_new=True)
        made = back_up(home, keystore, file, typed, now=wall_clock())
    keys = f"{len(made.secrets)} key{'s' * (len(made.secrets) != 1)}"
    say(f"{file} holds {keys} of {made.who}, and what this home trusts:")
    say(
        "  its names and certified keys, the node and the authorities it pinned, the newest checkpoint"
    )
    say("  and directories it saw; of an authority also what it signed.")
    say("Not in it: notes, receipts, and what waits in the outbox. Copy the home for these.")
    again = "when a new encryption key is made (weekly)"
    if "@" not in made.who:
        again = "when another key signs for the party, or is announced: party succeed, party next"
    say(f"Keep file and passphrase apart. Make another {again}.")
    answer({**_as_shape(made), "file": file})


@key.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `liaison key backup` wrote.")],
    own: BackupPassphrase = None,
) -> None:
    """Make this home of a backup, where there is no keystore; its passphrase is a new one."""
    home = desk.home_at(context)
    typed = desk.secret(own, _OPTION, prompt="Backup's passphrase")
    made = restore_home(home, file, typed, desk.passphrase(context, is_new=True))
    say(f"{home.root} is the home of {made.who} as of {to_dtg(made.at)}.")
    if home.has(AUTHORITY):
        say(
            "With its first command that reaches the node it goes on from what was signed since, and"
        )
        say(
            "names it. Was the party succeeded since, then this is not its key: find a newer backup."
        )
        say(
            "If the old home still exists, never use both. If it was stolen: liaison party succeed."
        )
    else:
        say(
            "At its first command it asks the node which serials it has spent since, and certifies a new"
        )
        say(
            "encryption key. Notes sealed for keys made after the backup stay unreadable here: ask for "
            "a grant."
        )
        say(
            "If the old device still exists, never use both: they are one key. If it was stolen, revoke "
            "it."
        )
    answer({**_as_shape(made), "home": home.root})


@key.command()
def signed(context: typer.Context, member: Who, which: Which = "", since: Since = None) -> None:
    """List what a key signed since a time, as far as this home has it; what of it is DOUBTFUL.

    All that it signed shows who can read the whole log: liaison audit signed.
    """

    async def work(client: Client) -> list[Trace]:
        wanted = Wanted(member, which, time_of("--since", since, client.now()) or 0)
        with suppress(LiaisonError):  # what the party said before serves, too
            await client.book.standing(party_of(member))
        return [
            Trace(
                entry.index,
                entry.at,
                what_in(entry.record),
                client.named_in(entry),
                signer,
                client.book.doubt(entry.statement.payload, entry.at),
            )
            for entry in client.signed_by(member)
            if (signer := wanted.key_of(entry.record))
        ]

    traces = desk.as_member(context, work)
    say_traces(traces)
    say(f"{len(traces)} in this home: what it was sent, was told and did. Not here: what {member}")
    say(
        "wrote to others or said of their notes, what came and wasn't fetched yet (liaison inbox), and"
    )
    say(
        "what was read: who opened your note says `status`. Who has the whole log sees all that was"
    )
    say("signed, *delivered* too: liaison audit signed NODE MEMBER KEY")


def _as_shape(made: Backup) -> Shape:
    return {"who": made.who, "at": made.at, "keys": len(made.secrets), "files": list(made.files)}
