"""``liaison member``, ``device``, ``posting``, ``roster``, ``directory``: what an authority signs of its own.

Each writes into the home, and sends only with ``--post``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from liaison.cli import comparing, completing, desk
from liaison.cli.asking import Yes, ask, show
from liaison.cli.context import Shape, answer, named_home, say
from liaison.cli.failure import warn
from liaison.cli.key import key
from liaison.cli.notes import time_of
from liaison.cli.showing import say_table, wrong_file
from liaison.client import Approval, Authority, Home, Request, fingerprint
from liaison.client.backup import who_has
from liaison.client.filing import Current
from liaison.client.pins import groups_of
from liaison.rules.chain import id_of
from liaison.sealing.content import visible
from liaison.statements.payloads import Member, MemberRole, Scope
from liaison.statements.statement import Statement
from liaison.words.errors import LiaisonError, Malformed, RefusedByNode
from liaison.words.ids import party_of
from liaison.words.times import to_dtg

member = typer.Typer(no_args_is_help=True, help="Members of this party and their devices.")
device = typer.Typer(no_args_is_help=True, help="Further devices of members.")
posting = typer.Typer(no_args_is_help=True, help="Who holds which post.")
roster = typer.Typer(no_args_is_help=True, help="This party's side of a channel.")
directory = typer.Typer(no_args_is_help=True, help="What is current in this party.")

Post = Annotated[bool, typer.Option("--post", help="Send it, and what else waits to be sent.")]
NodeCard = Annotated[
    Path | None, typer.Option("--node", help="The node's card, at the first use of a home.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Where to write it; the home by default.")]
Rows = Iterator[tuple[str, str]]
_ROLES: Final = ", ".join(MemberRole)


def _whole(context: typer.Context, name: str) -> str:
    """``anna`` is short for a member of the party whose home it is."""
    home = named_home(context)
    if home is not None:
        with suppress(LiaisonError):  # what is wrong with the home is said when it is opened
            return _with_party(name, party_of(who_has(Home(home))))
    return name


MemberName = Annotated[
    str,
    typer.Argument(metavar="MEMBER", callback=_whole, help="Such as anna@mod.example, or anna."),
]


def register(app: typer.Typer) -> None:
    app.add_typer(member, name="member")
    app.add_typer(device, name="device")
    app.add_typer(posting, name="posting")
    app.add_typer(roster, name="roster")
    app.add_typer(directory, name="directory")


async def send(
    authority: Authority, is_posted: bool, what: str, path: Path, statement: Statement[Any]
) -> Shape:
    """Say where a statement lies, send it where that was asked, and return what to answer."""
    signed = {"signed": statement.kind, "statement": statement.digest, "file": path}
    if not is_posted:
        say(f"{what}: signed in {path}; not sent (--post sends it).")
        return {**signed, "sent": False}
    try:
        entries = await authority.post()
    except RefusedByNode as exc:
        waiting = authority.unposted
        if waiting and waiting[0].refused:
            warn(
                f"{what}: signed in {path}. What this home signed goes out in order; the first that "
                f"waits, {waiting[0]}, was refused, and the rest waits behind it:"
            )
            exc.do = "take it back, if it is never to be taken: liaison outbox drop"
        raise
    at = to_dtg(entries[-1].at) if entries else "an earlier time"
    say(f"{what}: in the log at {at} ({path}).")
    return {**signed, "sent": True, "at": entries[-1].at if entries else None}


@member.command()
def approve(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The device's request, request.liaison.")],
    role: Annotated[list[MemberRole], typer.Option(help=f"One of {_ROLES}; repeatable.")],
    name: Annotated[str, typer.Option(help=f"What people call them. {desk.VISIBLE}")] = "",
    out: Out = None,
    heard: comparing.HeardWords = "",
) -> None:
    """Sign a device into a member and the member into the post, offline."""
    request = _request(context, file)
    _approve(
        context,
        request,
        out,
        lambda of: of.approve(request, [str(r) for r in role], name=name),
        roles=role,
        heard=heard,
    )


@device.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The further device's request, request.liaison.")],
    out: Out = None,
    heard: comparing.HeardWords = "",
) -> None:
    """Sign a further device into a member, offline; the new device enrols with --as MEMBER."""
    request = _request(context, file)
    _approve(context, request, out, lambda of: of.add_device(request), roles=(), heard=heard)


def _request(context: typer.Context, file: Path) -> Request:
    try:
        request = Request.from_bytes(desk.read(context, file))
    except Malformed as exc:
        raise wrong_file(file, "a device's request", exc) from exc
    say(f"{request.member} asks to hold {request.post}.")
    return request


def _approve(
    context: typer.Context,
    request: Request,
    out: Path | None,
    approve: Callable[[Authority], Approval],
    *,
    roles: Sequence[str],
    heard: str,
) -> None:
    """Show what is granted, have the words of the request compared, and sign it."""

    async def work(authority: Authority) -> Approval:
        show("To approve:", _granted(authority, request, roles), _reads(authority, request))
        comparing.compare_phrase(request.phrase, heard)
        return approve(authority)

    approval = desk.as_authority(context, work)
    path = desk.write(context, "approval.liaison", approval.to_bytes(), out)
    groups = " ".join(fingerprint(approval.party.payload.authority))
    name = approval.member.payload.name
    who = request.member if name == request.member else f"{request.member} ({visible(name)})"
    given = ", ".join(approval.member.payload.roles)
    say(f"{who} is to hold {request.post}, as {given}. Hand back {path}, and read them")
    say(f"the fingerprint of {approval.party.payload.party}: {groups}")
    answer(
        {
            "member": request.member,
            "post": request.post,
            "phrase": " ".join(request.phrase),
            "roles": approval.member.payload.roles,
            "holders": approval.posting.payload.holders,
            "fingerprint": groups,
            "file": path,
        }
    )


def _granted(authority: Authority, request: Request, roles: Sequence[str]) -> Rows:
    known = next((m for m in authority.members if m.member == request.member), None)
    all_roles = sorted({*roles, *(known.roles if known else ())})
    yield "Member", request.member
    yield "Roles", ", ".join(all_roles) or "none"
    yield "Device", " ".join(fingerprint(request.device))
    others = [d.key for d in known.devices if d.key != request.device] if known else []
    yield "Beside", ", ".join(f"{fingerprint(each)[-1]}, theirs" for each in others)
    yield "Post", request.post
    yield "Held also by", ", ".join(_others_at(authority, request))


def _reads(authority: Authority, request: Request) -> Iterator[str]:
    """Say who reads what, once it is in a directory."""
    yield f"this device can read all that is sent to {request.post}, and acts for it"
    others = _others_at(authority, request)
    if others:
        yield f"so can {', '.join(others)}, as before: what is sent to the post goes to each of them"
        yield f"if it is to be theirs alone: liaison posting set {request.post} {request.member}"
    yield "others seal to it once a directory says so: liaison directory sign --post"


def _others_at(authority: Authority, request: Request) -> list[str]:
    holders = [h for p in authority.postings if p.post == request.post for h in p.holders]
    return [holder for holder in holders if holder != request.member]


@device.command("list")
def device_list(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[MEMBER]", help="Of this one only.")] = "",
) -> None:
    """Show the devices of this party's members, as this home signed them."""

    async def work(authority: Authority) -> list[Member]:
        return [m for m in authority.members if name in ("", m.member)]

    found = [
        {
            "member": one.member,
            "state": one.state.value,
            "key": id_of(device.key),
            "fingerprint": " ".join(fingerprint(device.key)),
        }
        for one in desk.as_authority(context, work)
        for device in one.devices
    ]
    say_table((one["member"], one["state"], one["fingerprint"]) for one in found)
    if not found:
        say("There are no devices.")
    answer({"devices": found})


@member.command("list")
def member_list(context: typer.Context) -> None:
    """Show this party's members: their roles, the posts that they hold, and how many devices."""

    async def work(authority: Authority) -> list[tuple[Member, list[str]]]:
        return [
            (one, [p.post for p in authority.postings if one.member in p.holders])
            for one in authority.members
        ]

    found = desk.as_authority(context, work)
    say_table(
        (
            one.member,
            one.state.value,
            ", ".join(one.roles),
            ", ".join(posts) or "no post",
            f"{len(one.devices)} device{'s' * (len(one.devices) != 1)}",
        )
        for one, posts in found
    )
    if not found:
        say("There are no members.")
    answer(
        {
            "members": [
                {
                    "member": one.member,
                    "name": one.name,
                    "state": one.state.value,
                    "roles": list(one.roles),
                    "posts": posts,
                    "devices": len(one.devices),
                }
                for one, posts in found
            ]
        }
    )


@member.command()
def roles(
    context: typer.Context,
    name: MemberName,
    role: Annotated[list[MemberRole], typer.Option(help=f"One of {_ROLES}; repeatable.")],
    is_posted: Post = False,
    node: NodeCard = None,
) -> None:
    """Say what a member may do from now on, instead of what it could before."""

    async def work(authority: Authority) -> None:
        statement = authority.set_roles(name, [str(each) for each in role])
        path = written(context, name.partition("@")[0], statement)
        said = f"{name} is {', '.join(sorted(role))}"
        answer(await send(authority, is_posted, said, path, statement))
        say("Next: liaison directory sign --post")

    desk.as_authority(context, work, node=node, is_online=is_posted)


@member.command()
def suspend(
    context: typer.Context, name: MemberName, is_posted: Post = False, node: NodeCard = None
) -> None:
    """Take a member out of force at once; only the authority takes them up again."""
    _change(
        context, lambda of: of.suspend(name), f"{name} is suspended", is_posted=is_posted, node=node
    )


@member.command()
def reinstate(
    context: typer.Context, name: MemberName, is_posted: Post = False, node: NodeCard = None
) -> None:
    """Take up again a member who was suspended."""
    said = f"{name} is active again"
    _change(context, lambda of: of.reinstate(name), said, is_posted=is_posted, node=node)


@member.command()
def revoke(
    context: typer.Context,
    name: MemberName,
    is_posted: Post = False,
    node: NodeCard = None,
    is_yes: Yes = False,
) -> None:
    """Take a member out of force for good, with all their devices."""
    ask(f"Is {name} never to act again under this name?", is_yes=is_yes, safe="nothing was signed")
    said = f"{name} is revoked, for good"
    _change(context, lambda of: of.revoke(name), said, is_posted=is_posted, node=node)


@key.command("revoke")
def key_revoke(
    context: typer.Context,
    name: MemberName,
    device: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="Its id, or the last group of its fingerprint: see device list."
        ),
    ],
    is_lost: Annotated[
        bool,
        typer.Option(
            "--lost", help="Others may have used it: what it alone took on is asked again."
        ),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="With --lost: since when; now unless said. As a DTG, RFC 3339, or -4h."),
    ] = None,
    is_posted: Post = False,
    node: NodeCard = None,
    is_yes: Yes = False,
) -> None:
    """Take a device's key away for good."""
    if since is not None and not is_lost:
        raise typer.BadParameter("--since says since when a key is --lost")

    def signed(authority: Authority) -> Statement[Any]:
        now = authority.now()
        time = (time_of("--since", since, now) if since else now) if is_lost else None
        key = authority.key_to_revoke(name, device, is_lost=is_lost)
        show("To revoke:", _revoked(authority, name, key, time), _falls(time))
        ask(
            f"Is that device of {name} never to be used again?",
            is_yes=is_yes,
            safe="nothing was signed",
        )
        return authority.revoke_key(name, device, time)

    said = f"The device {device} of {name} is revoked"
    _change(context, signed, said, is_posted=is_posted, node=node)


def _revoked(authority: Authority, name: str, key: str, since: int | None) -> Rows:
    known = next(m for m in authority.members if m.member == name)
    groups = {id_of(d.key): " ".join(fingerprint(d.key)) for d in known.devices}
    yield "Member", name
    yield "Device", groups.get(key, f"{key}, which was taken away before")
    left = [fingerprint(d.key)[-1] for d in known.devices if id_of(d.key) != key]
    yield "Left", ", ".join(left) or f"none: {name} can do nothing until another is added"
    yield "Lost", "no: nobody else had it" if since is None else f"since {to_dtg(since)}"


def _falls(since: int | None) -> Iterator[str]:
    """Say what a revocation takes away."""
    yield "it reads and signs nothing more, for good"
    if since is None:
        yield "what it signed stands; if others may have used it, say --lost"
        return
    yield f"what it alone took on or answered since {to_dtg(since)} is asked again, its senders are told"
    yield "whatever it signed since is shown as DOUBTFUL, to everybody; no later word takes it back"


def _change(
    context: typer.Context,
    sign: Callable[[Authority], Statement[Any]],
    said: str,
    *,
    is_posted: bool,
    node: Path | None,
) -> None:
    """Sign what takes somebody out of force, or into it, and with it the directory that says so.

    From the one on nobody may rely on an earlier directory: without the other nothing could be
    sealed to the party.
    """

    async def work(authority: Authority) -> None:
        statement = sign(authority)
        path = written(context, str(statement.payload.member).partition("@")[0], statement)
        directory = authority.sign_directory() if authority.may_sign(Scope.DIRECTORY) else None
        answer(await send(authority, is_posted, said, path, statement))
        if directory is None:
            say("Next, by who may sign it: liaison directory sign --post")

    desk.as_authority(context, work, node=node, is_online=is_posted)


@posting.command("set")
def posting_set(
    context: typer.Context,
    post: Annotated[str, typer.Argument(help="Such as duty.desk@mod.example.")],
    holders: Annotated[
        list[str] | None, typer.Argument(metavar="[MEMBER]...", help="None: it is vacant.")
    ] = None,
    is_posted: Post = False,
    node: NodeCard = None,
) -> None:
    """Say who holds a post from now on."""

    async def work(authority: Authority) -> None:
        named, *held = (_with_party(each, authority.party) for each in (post, *(holders or ())))
        statement = authority.set_posting(named, list(dict.fromkeys(held)))
        who = ", ".join(statement.payload.holders) or "nobody"
        path = written(context, post.partition("@")[0], statement)
        said = f"{named} is held by {who}"
        answer(await send(authority, is_posted, said, path, statement))
        for member in authority.members:
            if member.member in statement.payload.holders:
                roles = ", ".join(member.roles) or "nothing"
                say(f"{member.member} is {roles}: what they may do there (liaison member roles)")
        say("Next: liaison directory sign --post")

    desk.as_authority(context, work, node=node, is_online=is_posted)


@roster.command("set")
def roster_set(
    context: typer.Context,
    channel: Annotated[
        str, typer.Argument(autocompletion=completing.channels, help="The channel's alias.")
    ],
    tiers: Annotated[
        list[str],
        typer.Argument(
            metavar="POST[,POST]...", help="Each argument is a tier; NAME=POST,POST names it."
        ),
    ],
    alternate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POST=OTHER",
            help="Who gets a note in place of a post that declines or isn't reached; repeatable.",
        ),
    ] = None,
    is_posted: Post = False,
    node: NodeCard = None,
) -> None:
    """Set this party's side of a channel: the tiers in the order they are opened."""
    pairs = dict(_pair(text) for text in alternate or ())
    named = [_tier(number, text) for number, text in enumerate(tiers, 1)]

    async def work(authority: Authority) -> None:
        home_party = authority.party
        full = [(name, [_with_party(post, home_party) for post in posts]) for name, posts in named]
        alternates = {
            _with_party(post, home_party): _with_party(other, home_party)
            for post, other in pairs.items()
        }
        statement = authority.set_roster(channel, full, alternates)
        path = written(context, channel, statement)
        shown = "; ".join(f"{name}: {', '.join(posts)}" for name, posts in full)
        said = f"The roster of {home_party} ({shown})"
        answer(await send(authority, is_posted, said, path, statement))

    desk.as_authority(context, work, node=node, is_online=is_posted)


@directory.command()
def sign(context: typer.Context, is_posted: Post = False, node: NodeCard = None) -> None:
    """Sign what is current: members, postings, rosters, charters. Valid for seven days."""

    async def work(authority: Authority) -> None:
        if is_posted and not authority.is_registrar:
            await authority.follow_all()
        statement = authority.sign_directory()
        payload = statement.payload
        path = written(context, authority.party.partition(".")[0], statement)
        what = (
            f"Directory {payload.sequence} of {authority.party}, valid until "
            f"{to_dtg(payload.valid_until)}: {len(payload.members)} members, "
            f"{len(payload.postings)} postings, {len(payload.rosters)} rosters, "
            f"{len(payload.charters)} charters"
        )
        done = await send(authority, is_posted, what, path, statement)
        answer({**done, "sequence": payload.sequence, "valid_until": payload.valid_until})

    desk.as_authority(context, work, node=node, is_online=is_posted)


@directory.command("show")
def directory_show(context: typer.Context) -> None:
    """Show what is current in this party, as this home knows it, and whose key signed it.

    To see what a key signed that was in other hands; where this home's own did, nothing more is signed
    before. Asks nobody in an authority's home: `party take` or any command with --post brings what
    others signed.
    """

    async def work(authority: Authority) -> list[tuple[Current, str]]:
        found = [(one, _signer(authority, one)) for one in authority.current()]
        authority.looked()
        return found

    found = desk.as_authority(context, work)
    say_table(
        (
            one.kind,
            one.about,
            f"{one.sequence}",
            f"signed {to_dtg(one.at)} by {by}{', NOT IN THIS HOME' * one.is_elsewhere}",
        )
        for one, by in found
    )
    answer(
        {
            "current": [
                {
                    "kind": one.kind,
                    "about": one.about,
                    "sequence": one.sequence,
                    "issued": one.at,
                    "key": one.key,
                    "by": by,
                    "elsewhere": one.is_elsewhere,
                }
                for one, by in found
            ]
        }
    )


def _signer(authority: Authority, signed: Current) -> str:
    """Return whose key signed it, as this home's party statement has it."""
    key = signed.key
    party, group = authority.statement.payload, groups_of(key)[-1]
    if signed.by != party.party:
        return signed.by
    if key == party.key:
        return "the authority"
    if key in {id_of(registrar.key) for registrar in party.registrars}:
        return f"the registrar {group}"
    if key in {pin.authority for pin in authority.pins.former if pin.party == authority.party}:
        return f"the former authority {group}"
    return f"{group}, which signs no more"


def written(context: typer.Context, stem: str, statement: Statement[Any]) -> Path:
    """Write a signed statement into the home, to be handed over or posted."""
    return desk.write(context, f"{stem}.{statement.kind}", statement.raw, None)


def _tier(number: int, text: str) -> tuple[str, list[str]]:
    name, equals, posts = text.rpartition("=")
    return name if equals else f"tier-{number}", posts.split(",")


def _pair(text: str) -> tuple[str, str]:
    post, equals, other = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"POST=OTHER, not {text}")
    return post, other


def _with_party(post: str, party: str) -> str:
    """``duty.desk`` is short for a post, or a member, of the own party."""
    return post if "@" in post else f"{post}@{party}"
