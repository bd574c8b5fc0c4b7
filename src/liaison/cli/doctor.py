"""``liaison doctor`` and ``whoami``: how this home stands, what is good, what is bad, what to do.

``whoami`` asks nobody, not even for the passphrase; ``doctor`` also asks the node.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import typer

from liaison.adapters import agent
from liaison.cli import desk
from liaison.cli.context import say
from liaison.cli.findings import Finding, Mark, say_findings
from liaison.client import Client, Home, watching
from liaison.client import device as of_device
from liaison.client import filing as of_authority
from liaison.client.backup import who_has
from liaison.client.device import Certified, certified_in
from liaison.client.evidence import keep
from liaison.client.home import KEYSTORE, RESTORED
from liaison.client.lapses import Lapse, left, of_directory, of_key
from liaison.client.links import LinkBroken, Standing
from liaison.client.outbox import waiting_in
from liaison.client.pins import NodePin, Pins, groups_of
from liaison.client.registrar import WARNED_BEFORE
from liaison.client.seat import KNOWN, wall_clock
from liaison.client.seen import FILE as DIRECTORIES
from liaison.client.transport import Transport
from liaison.rules.chain import id_of
from liaison.statements.payloads import Directory, Party
from liaison.words.errors import (
    Damaged,
    LiaisonError,
    LogUntrusted,
    Malformed,
    NotHere,
    NotReady,
    SignatureInvalid,
)
from liaison.words.ids import party_of
from liaison.words.times import DAY, MINUTE, SECOND, to_dtg

CLOCK_OFF_MOST: Final = 2 * MINUTE
"""What is signed by a clock further ahead is refused (statements.md, STMT)."""
CLOCK_OFF_NOTED: Final = 20 * SECOND
CONTACT_LAST: Final = 3 * DAY
_MEANWHILE: Final = "what was sealed waits in the outbox, and nothing new can be sealed meanwhile"


def register(app: typer.Typer) -> None:
    app.command()(doctor)
    app.command()(whoami)


def whoami(context: typer.Context) -> None:
    """Say whose home this is, and how it stands by itself. Asks nobody, and no passphrase."""
    home = desk.home_at(context)
    about = _about(home)
    for name, value in about.items():
        then = " (as enrolled; liaison doctor says what you hold now)" if name == "post" else ""
        say(f"{name:<12} {value}{then}")
    say_findings(list(at_home(home, wall_clock(), _place(home))), about)


def doctor(context: typer.Context) -> None:
    """Say what is good, what is bad, and what to do, of this home and its node. Exit 1 if anything is bad."""
    home = desk.home_at(context)
    findings = list(at_home(home, wall_clock(), _place(home)))
    pins = Pins(home)
    if pins.has_node:
        url = desk.url_of(context) or pins.node.address
        found = asyncio.run(at_node(pins.node, url))
        findings += found
        is_there = all(finding.mark is not Mark.BAD for finding in found)
        if is_there and home.has(of_device.FILE):
            findings += _opened(context)
    say_findings(findings)


def _opened(context: typer.Context) -> list[Finding]:
    """Look with the keystore open: at what only a member is shown."""
    try:
        return desk.as_member(context, in_force)
    except LiaisonError as exc:
        return [Finding("opening", Mark.BAD, exc.happened, exc.do)]


def _about(home: Home) -> dict[str, object]:
    about: dict[str, object] = {"who": who_has(home), "home": home.root}
    if home.has(of_device.FILE):
        state = home.read_state(of_device.FILE)
        about["post"] = str(state["post"])
        for certified in certified_in(state)[-1:]:
            about["fingerprint"] = " ".join(groups_of(certified.statement.payload.key))
    pins = Pins(home)
    if pins.has_node:
        about["origin"] = pins.node.origin
        about["url"] = pins.node.address
    return about


# What the home says by itself


def at_home(home: Home, now: int, place: Path | None) -> Iterator[Finding]:
    """Look at a home's files; ``place`` is where its agent would listen.

    Raises:
        NotReady: it is nobody's home.
    """
    who = who_has(home)
    yield _files(home)
    yield _keystore(place)
    yield from _pins(home, party_of(who) if "@" in who else who)
    if home.has(of_device.FILE):
        if Pins(home).has_node:  # before, nothing of it is anybody's
            yield _key(certified_in(home.read_state(of_device.FILE)), now)
        yield _outbox(home)
    if home.has(of_authority.FILE):
        yield _unposted(home)
        yield from _signed(home, now)
    yield from _directories(home, now)
    if Pins(home).has_node:
        yield from _log(home, now)


def _files(home: Home) -> Finding:
    for path, most in ((home.root, 0o700), (home.path(KEYSTORE), 0o600)):
        if not path.exists():
            return Finding(
                "files",
                Mark.BAD,
                f"there is no {path}",
                "restore it from its backup: liaison key restore FILE",
            )
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        if mode & ~most or found.st_uid != os.geteuid():
            return Finding(
                "files",
                Mark.BAD,
                f"{path} is open to others (mode {mode:04o}, owner {found.st_uid})",
                f"chmod {most:o} {path}",
            )
    return Finding("files", Mark.GOOD, f"{home.root} is yours alone")


def _keystore(place: Path | None) -> Finding:
    left_s = agent.left_s(place) if place is not None else 0
    if left_s:
        said = f"unlocked, for {-(-left_s // 60)} minutes more without use"
        return Finding("keystore", Mark.NOTE, said, "liaison lock ends it at once")
    return Finding("keystore", Mark.GOOD, "locked: commands ask for the passphrase")


def _pins(home: Home, own: str) -> Iterator[Finding]:
    pins = Pins(home)
    if not pins.has_node:
        do = "name its card: --node node.liaison"
        if home.has(of_device.FILE):
            do = (
                "hand request.liaison to your authority, then run: liaison enrol finish FILE --node "
                "node.liaison"
            )
        elif not home.read_state(of_authority.FILE).get("statement"):
            do = "hand request.liaison to the authority, then run: liaison registrar begin FILE --node NODE"
        yield Finding("pins", Mark.BAD, "no node is pinned: this home isn't in use yet", do)
        return
    posts = cast("dict[str, list[str]]", home.read_state(KNOWN))
    parties = {own, *(party_of(post) for listed in posts.values() for post in listed)}
    missing = sorted(parties - set(pins.authorities))
    if missing:
        yield Finding(
            "pins",
            Mark.BAD,
            f"nobody compared the fingerprint of {', '.join(missing)}",
            "get the party's file, call them, and run: liaison party pin FILE",
        )
        return
    yield Finding(
        "pins", Mark.GOOD, f"{pins.node.origin}, and {', '.join(sorted(pins.authorities))}"
    )


def _key(certified: Iterable[Certified], now: int) -> Finding:
    posted = [each.statement.payload for each in certified if each.is_posted]
    ending = list(of_key(posted, now))
    if ending:
        return _of_lapse(ending[0], now)
    until = max(key.use_until for key in posted)
    return Finding(
        "key", Mark.GOOD, f"others seal for it until {to_dtg(until)}, {left(until, now)}"
    )


def _outbox(home: Home) -> Finding:
    try:
        waiting = waiting_in(home.path("outbox"))
    except Damaged as exc:
        return Finding("outbox", Mark.BAD, exc.happened, exc.do)
    if not waiting:
        return Finding("outbox", Mark.GOOD, "empty")
    return Finding(
        "outbox",
        Mark.BAD,
        f"{waiting} waiting for a receipt; do not write them again",
        "liaison outbox flush; or carry them: liaison outbox export",
    )


def _unposted(home: Home) -> Finding:
    waiting = of_authority.unposted_in(home)
    refused = [one for one in waiting if one.refused]
    if refused:
        return Finding(
            "outbox",
            Mark.BAD,
            f"{refused[0]} was refused, and what this home signed since waits behind it "
            f"({len(waiting)} in all): {refused[0].refused}",
            "take it back, if it is never to be taken: liaison outbox drop",
        )
    if waiting:
        said = f"{len(waiting)} signed here and not sent, as far as this home knows"
        return Finding("outbox", Mark.NOTE, said, "liaison directory sign --post sends them, too")
    return Finding("outbox", Mark.GOOD, "all that was signed here is in the log")


def _signed(home: Home, now: int) -> Iterator[Finding]:
    """Look at what an authority or its registrar signed: the directory's time, and the delegation's."""
    directory, party = of_authority.newest_in(home, Directory), of_authority.newest_in(home, Party)
    key = of_authority.registrar_in(home)
    if directory is not None:
        lapses = list(of_directory(directory.by, directory.valid_until, now))
        if not lapses:
            ends = directory.valid_until
            said = f"others seal to {directory.by} until {to_dtg(ends)}, {left(ends, now)}"
            known = "" if key else " (as this home last knew it)"
            yield Finding("directory", Mark.GOOD, f"{said}{known}")
        for lapse in lapses:
            if key:
                yield _of_lapse(replace(lapse, do="liaison directory sign --post"), now)
            else:  # its registrar may have signed a newer one, which an offline home doesn't know
                said = f"{lapse.said} (as this home last knew it)"
                do = "unless its registrar did: liaison directory sign --post"
                yield Finding("directory", Mark.NOTE, said, do)
    if party is None or not key:
        return
    until = next((one.until for one in party.registrars if id_of(one.key) == key), None)
    do = "ask the authority to run: liaison registrar delegate FILE --post"
    shut_out = home.read_state(of_authority.FILE).get(of_authority.SHUT_OUT)
    if shut_out:
        yield Finding(
            "delegation", Mark.BAD, f"the node lets this registrar in no more: {shut_out}", do
        )
    elif until is None:
        said = f"the authority of {party.party} names this registrar's key no more"
        yield Finding("delegation", Mark.BAD, said, do)
    elif until < now + WARNED_BEFORE:
        said = f"this registrar of {party.party} signs until {to_dtg(until)}, {left(until, now)}"
        yield Finding("delegation", Mark.BAD if until <= now else Mark.NOTE, said, do)
    else:
        said = f"this registrar of {party.party} signs until {to_dtg(until)}"
        yield Finding("delegation", Mark.GOOD, said)


def _directories(home: Home, now: int) -> Iterator[Finding]:
    for party, seen in sorted(home.read_state(DIRECTORIES).items()):
        until = seen.get("until") if isinstance(seen, dict) else None
        if isinstance(until, int):
            # A newer one may be there: only what has lapsed for this home is bad.
            for lapse in of_directory(party, until, now):
                said = f"{lapse.said} (as this home last saw it)"
                yield Finding("directory", Mark.NOTE, said, "liaison doctor asks for a newer one")


def _log(home: Home, now: int) -> Iterator[Finding]:
    state = home.read_state(watching.FILE)
    for dispute in watching.disputed_in(state):
        yield Finding(
            "log",
            Mark.BAD,
            f"STOP: {dispute}",
            "compare newest checkpoints by telephone and tell the auditors",
        )
    at = state.get("at", 0)
    if home.has(RESTORED):
        yield Finding(
            "contact",
            Mark.NOTE,
            "restored from a backup, and the node wasn't asked for what came since",
            "any command that reaches it does: liaison inbox",
        )
    elif not isinstance(at, int) or not at:
        yield Finding("contact", Mark.NOTE, "nothing of the log was seen yet", "liaison inbox")
    else:
        is_old = now - at > CONTACT_LAST
        said = f"the newest record that this home saw is of {to_dtg(at)}"
        yield Finding(
            "contact",
            Mark.NOTE if is_old else Mark.GOOD,
            said,
            "liaison inbox" if is_old else "",
        )


# What the node says


async def at_node(node: NodePin, url: str) -> list[Finding]:
    """Ask the node how it is, and compare the clocks; it is not believed in anything else."""
    async with Transport(url) as transport:
        before = wall_clock()
        try:
            about = await transport.about()
        except LiaisonError as exc:
            do = "look at the network, or ask the node's operator"
            return [Finding("node", Mark.BAD, f"{exc.happened}; {_MEANWHILE}", do)]
        after = wall_clock()
    if about.get("origin") != node.origin:
        return [
            Finding(
                "node",
                Mark.BAD,
                f"at {url} answers {str(about.get('origin'))[:80]}, and {node.origin} is pinned",
                "see --url and LIAISON_URL; believe the card that was handed over",
            )
        ]
    findings = [Finding("node", Mark.GOOD, f"{node.origin} answers at {url}")]
    if not about.get("ready"):
        said = f"{node.origin} takes no statements now; {_MEANWHILE}"
        findings = [Finding("node", Mark.BAD, said, "ask its operator")]
    at = about.get("time")
    if isinstance(at, int):
        findings.append(_clock(node, at - (before + after) // 2))
    return findings


def _clock(node: NodePin, ahead: int) -> Finding:
    """Judge how far the node's clock is ahead of this machine's, in microseconds."""
    if node.exercise:
        return Finding("clock", Mark.GOOD, "the node is for exercises; this home follows its time")
    off_s = abs(ahead) / SECOND
    which = "behind" if ahead > 0 else "ahead of"
    said = f"this machine is {off_s:.0f} s {which} the node"
    if abs(ahead) < CLOCK_OFF_NOTED:
        return Finding("clock", Mark.GOOD, said if off_s >= 1 else "as the node's")
    if abs(ahead) < CLOCK_OFF_MOST:
        return Finding("clock", Mark.NOTE, said, "set it by NTP: timedatectl set-ntp true")
    return Finding(
        "clock",
        Mark.BAD,
        f"{said}: what is signed so is refused, or lapses too early",
        "set the wrong one of the two by NTP: timedatectl set-ntp true",
    )


async def in_force(client: Client) -> list[Finding]:
    """Look at what is in force: this member, its party's directory, and what ends soon."""
    now, own = client.now(), client.device.party
    findings: list[Finding] = []
    is_own_broken = False
    for party in client.pins.authorities:
        try:
            await client.book.standing(party)
        except NotHere:
            continue  # pinned, and in no channel of ours yet
        except (LinkBroken, SignatureInvalid, LogUntrusted, Malformed) as exc:
            findings.append(_broken(client, party, exc))
            is_own_broken = is_own_broken or party == own
    if is_own_broken:
        return findings  # all else here rests on that chain
    findings += [_of_lapse(lapse, now) for lapse in await client.lapses() if lapse.what != "key"]
    for standing in client.book.standings():
        party, directory = standing.party.party, standing.directory
        if directory is None:
            do = f"ask {party} to sign one: liaison directory sign --post"
            findings.append(Finding("directory", Mark.BAD, f"{party} has signed none", do))
        elif all(party not in finding.said for finding in findings):
            until = directory.payload.valid_until
            said = f"that of {party} holds until {to_dtg(until)}, {left(until, now)}"
            findings.append(Finding("directory", Mark.GOOD, said))
        if party == own:
            findings.append(_held(client, standing))
        if party == own and directory is not None and not directory.member(client.device.member):
            findings.append(
                Finding(
                    "member",
                    Mark.BAD,
                    f"the directory of {own} doesn't name {client.device.member}",
                    "ask your authority; until it does, nothing that you sign is taken",
                )
            )
    return findings


def _broken(client: Client, party: str, exc: LiaisonError) -> Finding:
    """Say what isn't believed of a party; where one must stop at it, what the node said is kept."""
    exc.happened = f"{party}: {exc.happened}"
    keep(client.home, exc, client.transport.answers, client.now())
    return Finding("directory", Mark.BAD, exc.happened, exc.do or "tell the node's operator")


def _held(client: Client, standing: Standing) -> Finding:
    """Say which posts this member holds now, whatever they were enrolled for."""
    held = [n for n, post in standing.posts.items() if client.device.member in post.holders]
    if held:
        return Finding("post", Mark.GOOD, f"you hold {', '.join(sorted(held))}")
    return Finding(
        "post",
        Mark.BAD,
        "you hold no post now: nothing new comes to you, and you write for none",
        "ask your authority; what waits at a post that you left: liaison posting handover POST --to MEMBER",
    )


def _of_lapse(lapse: Lapse, now: int) -> Finding:
    mark = Mark.BAD if lapse.until <= now else Mark.NOTE
    return Finding(lapse.what, mark, lapse.said, lapse.do)


def _place(home: Home) -> Path | None:
    try:
        return agent.place_for(home.root, os.environ)
    except NotReady:
        return None
