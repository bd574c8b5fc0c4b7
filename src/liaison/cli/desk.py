"""What every client command needs: the passphrase, the home opened, files read and written."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import stat
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

import typer

from liaison.adapters import agent
from liaison.cli.asking import interruptible
from liaison.cli.context import home_of, named_home
from liaison.cli.failure import code_of, warn
from liaison.cli.outcomes import in_words, waiting_in_words
from liaison.cli.showing import wrong_file
from liaison.client import Authority, Client, Home, NodePin, Pins
from liaison.client.authority import Surprise
from liaison.client.home import KEYSTORE, RESTORED, read_file, write_file
from liaison.client.outbox import Outbox, Signed
from liaison.client.outcomes import Outcome
from liaison.client.seat import Patience
from liaison.rules.chain import id_of
from liaison.sealing.keystore import StretchedKey
from liaison.statements.payloads import Party, Payload
from liaison.statements.statement import Statement, parse_statement_of
from liaison.words.encoding import from_base64
from liaison.words.errors import (
    Busy,
    LiaisonError,
    Malformed,
    NodeUnreachable,
    NotAllowed,
    NotReady,
    RecordUntrusted,
    RefusedByNode,
)
from liaison.words.times import to_dtg

T = TypeVar("T")
P = TypeVar("P", bound=Payload)
A = TypeVar("A", Client, Authority)

PAUSES_S: Final = (1.0, 4.0)
"""Before what got no receipt is sent again at once; then it waits for the next command."""
PASSPHRASE_LEAST: Final = 12
"""So many characters has a new passphrase at least."""
WAIT_S: Final = 5.0
"""So long a command waits for another to give the home back."""
VISIBLE: Final = "Visible to the node and in the log: not sealed."


def home_at(context: typer.Context) -> Home:
    """Return the home that is named; two commands at once work in it one after the other."""
    return Home(home_of(context), wait_s=WAIT_S)


def url_of(context: typer.Context) -> str:
    """Return the URL that ``--url`` or LIAISON_URL names instead of the pinned one."""
    url = context.find_root().params.get("url")
    return url if isinstance(url, str) else ""


def passphrase(context: typer.Context, *, is_new: bool = False) -> str:
    """Return the passphrase from its file, or as typed; twice for a new home.

    Raises:
        NotReady: nobody can be asked, or the two differ.
    """
    file = context.find_root().params.get("passphrase_file")
    return secret(file if isinstance(file, Path) else None, "--passphrase-file", is_new=is_new)


def opener(context: typer.Context) -> str | StretchedKey:
    """Return what opens this home's keystore: a passphrase file's, the agent's key, or as typed."""
    if context.find_root().params.get("passphrase_file") is None:
        home = home_at(context)
        place = agent.place_for(home.root, os.environ)
        held = agent.take(place) if place is not None else b""
        if held and (key := StretchedKey.from_bytes(held)).fits(home.path(KEYSTORE)):
            return key
    return passphrase(context)


def secret(
    file: Path | None, option: str, *, prompt: str = "Passphrase", is_new: bool = False
) -> str:
    """Return the passphrase in ``file``, which ``option`` names, or as typed; twice for a new one.

    Raises:
        NotReady: nobody can be asked, the two differ, a new one is too short, or others can read
            the file.
    """
    if file is not None:
        _check_private(file)
        try:
            found = read_file(file, at_most_bytes=4096).decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as exc:
            raise Malformed(f"{file}: not UTF-8 at byte {exc.start}") from exc
        return _long_enough(found) if is_new else found
    if not sys.stdin.isatty():
        raise NotReady(
            f"Nobody is here to type the {prompt.lower()}",
            safe="nothing was done",
            do=f"name a file with {option}, or run it at a terminal",
        )
    with interruptible("nothing was done"):
        typed = getpass.getpass(f"{prompt}: ")
        again = getpass.getpass("Again: ") if is_new else typed
    if again != typed:
        raise NotReady("The two are not the same", safe="nothing was made", do="type them again")
    return _long_enough(typed) if is_new else typed


def _long_enough(text: str) -> str:
    """Return a new passphrase that isn't guessed at once by who has a copy of the file.

    Raises:
        NotReady: it is too short.
    """
    if len(text.strip()) < PASSPHRASE_LEAST:
        raise NotReady(
            f"A passphrase of {len(text.strip())} characters is guessed by who has a copy of the file",
            safe="nothing was made",
            do=f"take one of {PASSPHRASE_LEAST} at least: four words that nobody said together before",
        )
    return text


def _check_private(file: Path) -> None:
    """Return if only the one who runs this, root, or a group that may just read can have the file.

    Raises:
        NotReady: others can.
    """
    try:
        found = file.stat()
    except OSError:
        return  # reading it says why
    mode = stat.S_IMODE(found.st_mode)
    # A pipe, as <(command) makes one, is nobody else's.
    if stat.S_ISREG(found.st_mode) and (
        mode & (stat.S_IRWXO | stat.S_IWGRP) or found.st_uid not in (os.geteuid(), 0)
    ):
        raise NotReady(
            f"OTHERS CAN READ OR CHANGE the passphrase file {file} (mode {mode:04o}, owner {found.st_uid})",
            safe="nothing was done; if anybody else is on this machine, the passphrase may be known",
            do=f"chmod 600 {file}; and if in doubt: liaison key passphrase",
        )


def as_member(context: typer.Context, work: Callable[[Client], Awaitable[T]]) -> T:
    """Do ``work`` with this home's client."""
    home = members_home(context)
    return asyncio.run(visit(home, opener(context), url_of(context), work))


def members_home(context: typer.Context) -> Home:
    """Return the home that is named, which is a member's.

    Raises:
        NotReady: it isn't.
    """
    home = home_at(context)
    if not home.has("member.json"):
        raise not_a_members(home.root)
    return home


async def visit(
    home: Home,
    opens: str | StretchedKey,
    url: str,
    work: Callable[[Client], Awaitable[T]],
) -> T:
    """Open a member's home, do ``work``, and give the home back."""
    outgoing = _Outgoing()

    async def catching_up(client: Client) -> T:
        outgoing.begin(client.outbox)
        try:
            return await work(client)
        except asyncio.CancelledError:
            outgoing.warn_left()
            raise
        finally:
            _warn_caught_up(client.caught_up)
            for broken in client.left_out.values():
                warn(f"{broken} ({code_of(broken)})")

    patience = Patience(PAUSES_S, told=outgoing.warn_sent_again)
    return await _run(lambda: Client.open(home, opens, url=url, patience=patience), catching_up)


class _Outgoing:
    """What one command has in the outbox, told from what waited there before it."""

    def __init__(self) -> None:
        self._outbox: Outbox | None = None
        self._before: frozenset[str] = frozenset()

    def begin(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._before = frozenset(one.digest for one in outbox.waiting)

    def warn_sent_again(self, exc: LiaisonError, pause_s: float) -> None:
        older, new = self._waiting()
        what = "It is signed and in the outbox"
        if not new and older:
            what = f"What waited before: {'; '.join(map(waiting_in_words, older))}"
        warn(
            f"{exc.happened}. {what}. The same bytes are sent again in {pause_s:.0f} s; Ctrl-C leaves "
            f"it in the outbox ({exc.code})"
        )

    def warn_left(self) -> None:
        """Say what waits where the command was ended: it goes out with the next one."""
        older, new = self._waiting()
        for one in older:
            warn(f"What waited before: {waiting_in_words(one)}. It still waits in the outbox")
        for one in new:
            warn(
                f"WAITING in the outbox: {waiting_in_words(one)}. It is signed. Do not write it again: "
                "the next command sends it; or: liaison outbox drop"
            )

    def _waiting(self) -> tuple[list[Signed], list[Signed]]:
        waiting = self._outbox.waiting if self._outbox is not None else ()
        older = [one for one in waiting if one.digest in self._before]
        return older, [one for one in waiting if one.digest not in self._before]


def not_a_members(home: Path) -> NotReady:
    return NotReady(
        f"{home} is not a member's home",
        safe="nothing was done",
        do="name the member's home with --home, or begin with: liaison enrol POST",
    )


def as_authority(
    context: typer.Context,
    work: Callable[[Authority], Awaitable[T]],
    *,
    node: Path | None = None,
    is_online: bool = False,
) -> T:
    """Do ``work`` with this home's authority, or registrar; it pins ``node`` first where it is named.

    ``is_online``: it goes on from what the log holds, for another may have signed since. A registrar
    always is.
    """
    home = home_at(context)
    if not home.has("authority.json"):
        raise NotReady(
            f"{home.root} is not an authority's home",
            safe="nothing was done",
            do="name the authority's home with --home, or begin with: liaison party new PARTY",
        )

    card = read_node(context, node) if node is not None else None

    def opened() -> Authority:
        if card is not None:
            with home.locked():  # not once it is open: a refused card would leave the home taken
                pins(context).pin_node(card)
        return Authority.open(home, opener(context), url=url_of(context))

    async def current(authority: Authority) -> T:
        if is_online or authority.is_registrar:
            warn_surprises(await authority.catch_up(), is_restored=home.has(RESTORED))
            home.path(RESTORED).unlink(missing_ok=True)
        elif home.has(RESTORED):
            warn(
                "This home was restored from a backup, and doesn't know what was signed since: what "
                "it signs now may be refused. Once it reaches the node: liaison directory sign --post"
            )
        try:
            return await work(authority)
        except asyncio.CancelledError:
            for one in authority.unposted:
                warn(f"Signed here, and not in the log as far as this home knows: {one}")
            raise

    return asyncio.run(_run(opened, current))


def warn_surprises(surprises: Iterable[Surprise], *, is_restored: bool = False) -> None:
    """Say what was signed in this home's place, or with its own key and not here."""
    elsewhere = []
    for one in surprises:
        if one.is_overtaken:
            warn(f"What this home signed of {one.what} was never posted, and another signed since")
        if one.is_elsewhere:
            elsewhere.append(one.what)
    if not elsewhere:
        return
    listed = ", ".join(dict.fromkeys(elsewhere))
    if is_restored:
        warn(
            f"Signed with this home's key since its backup was made: {listed}. See whether all of it "
            "is yours: liaison directory show"
        )
    else:
        warn(
            f"STOP: signed with this home's key, and not in this home: {listed}. If no copy of this "
            "home signed it, the key is in other hands · see who signed what: liaison directory show; "
            "then docs/trust.md, An authority's key in other hands"
        )


async def _run(opening: Callable[[], A], work: Callable[[A], Awaitable[T]]) -> T:
    opened = opening()
    try:
        async with opened:
            done = await work(opened)
    finally:
        _say_followed(opened.pins)  # however it ended: the pin is another from now on
        for text in opened.gave_way:
            warn(text)
    _warn_unsettled(opened.unsettled)
    for dispute in opened.disputed:
        warn(
            f"STOP: {dispute}. One of you is shown a false log, or it says so falsely: compare "
            "your newest checkpoints by telephone and tell the auditors (log-untrusted)"
        )
    return done


def _say_followed(pins: Pins) -> None:
    for pin in pins.followed:
        warn(
            f"{pin.party} took up the authority key that it had announced, at {to_dtg(pin.at)}; "
            f"it is pinned now: {' '.join(pin.fingerprint)}"
        )


def _warn_caught_up(outcomes: Iterable[Outcome]) -> None:
    """Say what came of statements that had waited: nobody else would hear of it."""
    for outcome in outcomes:
        if isinstance(outcome, LiaisonError):
            if isinstance(outcome, RefusedByNode):
                warn(f"What was in the outbox was REFUSED: {outcome} ({code_of(outcome)})")
            elif isinstance(outcome, RecordUntrusted):
                warn(f"What was sent before: {outcome} ({code_of(outcome)})")
            else:  # what is safe, and what to do, is said of what was typed now
                warn(f"What was in the outbox before still waits there: {outcome.happened}")
        else:
            for line in in_words(outcome):
                warn(f"What was in the outbox: {line}")


async def warn_lapses(client: Client) -> None:
    """Say what ends soon, before it does; what can't be looked at now keeps nobody from anything.

    Raises:
        LinkBroken, SignatureInvalid, LogUntrusted: what the node shows of this party doesn't hold.
    """
    with contextlib.suppress(NodeUnreachable, Busy, NotAllowed, NotReady):
        for lapse in await client.lapses():
            warn(f"{lapse.said} · {lapse.do}")


def _warn_unsettled(error: LiaisonError | None) -> None:
    if error is not None:
        warn(
            "The log's checkpoints could not be compared now; the next command does it "
            f"({error.code})"
        )


def find(context: typer.Context, file: Path) -> Path:
    """Return ``file``, or the file of that name in the home, where commands write."""
    home = named_home(context)
    if file.exists() or home is None:
        return file
    inside = home / file
    return inside if inside.exists() else file


def read(context: typer.Context, file: Path) -> bytes:
    return read_file(find(context, file))


def read_statement(context: typer.Context, file: Path, kind: type[P]) -> Statement[P]:
    """Return the statement in a file.

    Raises:
        Malformed: it is none of this kind; the file is named.
    """
    try:
        return parse_statement_of(kind, read(context, file))
    except Malformed as exc:
        raise wrong_file(file, f"a {kind.kind_name} statement", exc) from exc


def read_party(context: typer.Context, file: Path) -> Statement[Party]:
    """Return a party's statement in a file, signed by the key that it carries.

    Raises:
        Malformed, SignatureInvalid: it isn't.
    """
    statement = read_statement(context, file, Party)
    payload = statement.payload
    if payload.key != id_of(payload.authority):
        raise Malformed(f"{file}: the party statement isn't signed by its own authority key")
    statement.check_signature(from_base64(payload.authority))
    return statement


def read_node(context: typer.Context, file: Path) -> NodePin:
    try:
        return NodePin.from_bytes(read(context, file))
    except Malformed as exc:
        raise wrong_file(file, "a node's card", exc) from exc


def node_of(context: typer.Context, card: Path | None) -> NodePin:
    """Return the node that a card names, else the one that this home pinned.

    Raises:
        NotReady: neither is named.
    """
    if card is not None:
        return read_node(context, card)
    if named_home(context) is None:
        raise NotReady(
            "Which node? Neither its card nor a home that has it pinned is named",
            safe="nothing was sent",
            do="name the card that the node's operator hands out: --node node.liaison; or a home: --home",
        )
    return pins(context).node


def write(context: typer.Context, name: str, data: bytes, out: Path | None) -> Path:
    """Write what is handed over: into the home, or where ``--out`` says."""
    if out is not None and out.exists() and not out.is_file():
        out.write_bytes(data)  # a device or a pipe: nothing takes its place
        return out
    return write_file(out or home_of(context) / name, data)


def pins(context: typer.Context) -> Pins:
    return Pins(home_at(context))
