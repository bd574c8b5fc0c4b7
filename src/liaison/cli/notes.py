"""``liaison send``, ``reply``, ``inbox``, ``read``, ``ack``, ``decline``, ``cancel``, ``status``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import typer

from liaison.cli import completing, desk
from liaison.cli.asking import Yes, ask, show
from liaison.cli.consequence import clock, of_note
from liaison.cli.context import Shape, answer, is_json, say
from liaison.cli.failure import REFUSED, tell, warn
from liaison.cli.following import follow
from liaison.cli.outcomes import done_in_words, doubt_in_words, sent_in_words, told_in_words
from liaison.cli.progress import bar
from liaison.cli.shapes import (
    of_certificate,
    of_done,
    of_doubted,
    of_item,
    of_letter,
    of_part,
    of_sent,
    of_told,
    outcome_of,
)
from liaison.cli.standing import addressee_in_words, next_in_words, note_in_words
from liaison.cli.texts import Text, as_writer
from liaison.client import (
    Client,
    Content,
    Done,
    Draft,
    Item,
    Letter,
    News,
    Plan,
    Precedence,
    Sent,
    Told,
    Unopened,
)
from liaison.client.evidence import STOP
from liaison.client.reached import INBOX, list_in
from liaison.sealing.content import visible
from liaison.statements.payloads import AddresseeRole
from liaison.words.canonical import MAX_INTEGER
from liaison.words.errors import (
    LiaisonError,
    Malformed,
    NotReady,
)
from liaison.words.times import SECOND, from_typed, to_dtg


def register(app: typer.Typer) -> None:
    app.command()(send)
    app.command()(reply)
    app.command()(inbox)
    app.command()(read)
    app.command()(ack)
    app.command()(decline)
    app.command()(cancel)
    app.command()(status)


def precedence_of(text: str | None) -> Precedence | None:
    if text is None:
        return None
    try:
        return Precedence(text.lower())
    except ValueError as exc:
        known = ", ".join(level.value.upper() for level in Precedence)
        raise typer.BadParameter(f"one of {known}") from exc


TIME = "As a DTG, RFC 3339, or +4h (s, m, h or d)."

Reference = Annotated[
    str,
    typer.Argument(
        metavar="REF", autocompletion=completing.references, help="Such as london-hotline/1."
    ),
]
ChannelName = Annotated[
    str,
    typer.Argument(
        metavar="CHANNEL", autocompletion=completing.channels, help="The channel's alias."
    ),
]
To = Annotated[
    list[str],
    typer.Option(autocompletion=completing.posts, help="A post that must act; repeatable."),
]
Info = Annotated[
    list[str] | None,
    typer.Option(autocompletion=completing.posts, help="A post that is to know; repeatable."),
]
Subject = Annotated[str, typer.Option(help="Sealed, like the text.")]
Level = Annotated[str | None, typer.Option(help="DEFERRED to OVERRIDE.")]
Kind = Annotated[str | None, typer.Option(help="One of the charter's kinds of note.")]
Why = Annotated[str | None, typer.Option(help=desk.VISIBLE)]
Label = Annotated[str | None, typer.Option(help=f"Classification. {desk.VISIBLE}")]
Standby = Annotated[
    list[str] | None,
    typer.Option(
        autocompletion=completing.posts,
        help="Who gets it if an escalation opens their tier; by default as the charter says.",
    ),
]
NoStandby = Annotated[bool, typer.Option("--no-standby", help="No copy for a later tier.")]
NoRedirect = Annotated[bool, typer.Option("--no-redirect", help="To nobody else in their place.")]
ReplyBy = Annotated[str | None, typer.Option(help=f"When an answer is due. {TIME}")]
RepliesBy = Annotated[
    list[str] | None,
    typer.Option(
        "--reply-by",
        metavar="[POST=]TIME",
        help=f"When an answer is due; repeatable for posts that differ. {TIME}",
    ),
]
Expires = Annotated[str | None, typer.Option(help=f"From when on it is stale. {TIME}")]
DeliverBy = Annotated[
    str | None, typer.Option(help=f"Who hasn't opened it by then gets it no more. {TIME}")
]
NotBefore = Annotated[str | None, typer.Option(help=f"Nobody can read it before. {TIME}")]
Supersedes = Annotated[
    str | None,
    typer.Option(
        autocompletion=completing.references, help="A note of yours that this one replaces."
    ),
]
Corrects = Annotated[
    str | None,
    typer.Option(
        autocompletion=completing.references, help="A note of yours that this one corrects."
    ),
]


def unwritten(subject: str) -> Content:
    """Return what stands in a draft until its text is ``written``."""
    return Content.text(subject, "")


def time_of(name: str, text: str | None, now: int) -> int | None:
    """Return the time that an option names.

    Raises:
        Malformed: it names none; the option is named.
    """
    if text is None:
        return None
    try:
        return from_typed(text, now)
    except Malformed as exc:
        raise exc.within(name) from exc


def time_ahead(name: str, text: str | None, now: int) -> int | None:
    """Return the time that an option names: one that has not passed. Else it could only be refused.

    Raises:
        Malformed: it names none, or one that has passed; the option is named.
    """
    time = time_of(name, text, now)
    if time is not None and time <= now:
        raise Malformed(
            f"{name}: {to_dtg(time, exact=True)} has passed",
            safe="nothing was signed or sent",
            do="name a time that lies ahead",
        )
    return time


def reply_times(texts: list[str] | None, now: int) -> tuple[int | None, dict[str, int]]:
    """Return the time for all that ``--reply-by`` names, and those of single posts.

    Raises:
        Malformed: one names no time, or one that has passed, or two name the same.
    """
    common: int | None = None
    single: dict[str, int] = {}
    for text in texts or ():
        post, _, typed = text.rpartition("=")
        time = time_ahead("--reply-by", typed, now)
        assert time is not None
        if post in single or (not post and common is not None):
            raise Malformed(f"--reply-by: two times for {post or 'all'}", do="give one")
        if post:
            single[post] = time
        else:
            common = time
    return common, single


async def digest_of(client: Client, reference: str | None) -> str | None:
    """Return the digest of a note that an option names by its reference."""
    if reference is None:
        return None
    digest, _ = await client.find(reference)
    return digest


async def sent(client: Client, draft: Draft, text: Text, *, is_yes: bool) -> Sent:
    """Show what is about to be sent, ask, and send it."""
    plan = await client.plan(draft)
    await desk.warn_lapses(client)
    is_away = client.source.is_from_memory
    then = [*of_note(draft, plan, None if is_away else client.now())]
    if is_away:
        then.insert(0, "it waits in the outbox; what follows counts from when the log has it")
    show(_title(plan), _rows(draft, plan), then)
    ask("Send it?", is_yes=is_yes)
    with text.leaving(), bar("sending; without an answer it waits in the outbox"):
        return await client.send(draft)


def _title(plan: Plan) -> str:
    what = "A draft" if plan.kind.release is not None else "A note"
    exercise = "EXERCISE. " if plan.channel.cell.exercise else ""
    return f"{exercise}{what} of kind {plan.kind.kind} on {plan.channel.cell.alias}:"


def _rows(draft: Draft, plan: Plan) -> Iterator[tuple[str, str]]:
    addressed = [*plan.addressees, *plan.drafted]

    def of(role: AddresseeRole, *, is_alternate: bool = False) -> str:
        return ", ".join(
            a.post + (f" (for {a.alternate_for})" if a.alternate_for else "")
            for a in addressed
            if a.role is role and (a.alternate_for is not None) == is_alternate
        )

    yield "Action", of(AddresseeRole.ACTION)
    yield "Info", of(AddresseeRole.INFO)
    yield "Standby", of(AddresseeRole.STANDBY)
    yield "Alternate", of(AddresseeRole.STANDBY, is_alternate=True)
    level = draft.precedence or plan.kind.default
    yield "Precedence", level.value.upper()
    yield "Label", visible(draft.classification or plan.channel.cell.terms.classifications[0])
    yield "Releasable", ", ".join(sorted(plan.parties))
    yield "Subject", visible(draft.content.subject)
    yield (
        "Reason",
        visible(draft.justification or "") and f"{visible(draft.justification or '')} (visible)",
    )


def send(
    context: typer.Context,
    channel: ChannelName,
    to: To,
    subject: Subject,
    info: Info = None,
    precedence: Level = None,
    kind: Kind = None,
    justification: Why = None,
    label: Label = None,
    standby: Standby = None,
    is_without_standby: NoStandby = False,
    is_not_redirected: NoRedirect = False,
    reply_by: RepliesBy = None,
    expires: Expires = None,
    deliver_by: DeliverBy = None,
    not_before: NotBefore = None,
    supersedes: Supersedes = None,
    corrects: Corrects = None,
    is_yes: Yes = False,
) -> None:
    """Seal the text on standard input, show what will happen, ask, and send it."""
    level = precedence_of(precedence)

    async def work(client: Client, text: Text) -> Sent:
        now = client.now()
        reply_by_all, replies_by = reply_times(reply_by, now)
        draft = Draft(
            channel=channel,
            to=tuple(to),
            content=unwritten(subject),
            info=tuple(info or ()),
            kind=kind,
            precedence=level,
            justification=justification,
            classification=label,
            standby=() if is_without_standby else (tuple(standby) if standby else None),
            no_redirect=is_not_redirected,
            reply_by=reply_by_all,
            replies_by=replies_by,
            expiry=time_ahead("--expires", expires, now),
            latest_delivery=time_ahead("--deliver-by", deliver_by, now),
            deferred_until=time_ahead("--not-before", not_before, now),
            supersedes=await digest_of(client, supersedes),
            corrects=await digest_of(client, corrects),
        )
        return await sent(client, await text.written(client, draft), text, is_yes=is_yes)

    say_sent(as_writer(context, subject, work))


def say_sent(done: Sent) -> None:
    """Say where a note stands now."""
    for line in sent_in_words(done):
        say(line)
    answer(of_sent(done))


def reply(
    context: typer.Context,
    reference: Reference,
    subject: Annotated[str, typer.Option(help="Sealed; 'Re: …' unless said.")] = "",
    precedence: Level = None,
    kind: Kind = None,
    justification: Why = None,
    label: Label = None,
    reply_by: ReplyBy = None,
    expires: Expires = None,
    info: Info = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=completing.posts, help="A post of yours that must clear a draft."
        ),
    ] = None,
    is_yes: Yes = False,
) -> None:
    """Answer a note and, where nobody of yours did, take it on under your name (ack)."""
    level = precedence_of(precedence)

    async def work(client: Client, text: Text) -> tuple[Sent, Told | None]:
        name = client.known_as(reference)
        letter = await client.read(name)
        cited = await client.citation(name)
        title = subject or f"Re: {letter.content.subject}"
        draft = Draft(
            channel=name.rpartition("/")[0],
            to=(letter.sender_post,),
            content=unwritten(title),
            info=tuple(info or ()),
            clear=tuple(clear or ()),
            kind=kind or letter.note.kind,
            precedence=level or letter.note.precedence.action,
            justification=justification,
            classification=label or letter.note.label.classification,
            reply_by=time_ahead("--reply-by", reply_by, client.now()),
            expiry=time_ahead("--expires", expires, client.now()),
            in_reply_to=letter.digest,
        )
        if letter.doubt is not None:
            say(letter.doubt.in_words())
        is_asked = await client.is_asked(letter)
        say(f"In answer to {name}{', which you take on with it' if is_asked else ''}:")
        written = await text.written(client, draft, cited=cited)
        done = await sent(client, written, text, is_yes=is_yes)
        if not is_asked:
            return done, None
        told = await client.acknowledge(name)
        say(told_in_words(told))
        return done, told

    done, told = as_writer(context, subject or f"Re: {reference}", work)
    for line in sent_in_words(done):
        say(line)
    answer({**of_sent(done), "answer": None if told is None else of_told(told)})


Follow = Annotated[
    bool, typer.Option("--follow", help="Go on showing what comes, as it comes; end with Ctrl-C.")
]


def inbox(context: typer.Context, is_followed: Follow = False) -> None:
    """Show what came since the last time, once. Opening says *delivered*, never *acknowledged*."""
    if is_followed:
        follow(context, _show)
        return

    async def work(client: Client) -> list[Item]:
        with bar("inbox"):
            items = await client.unshown()
        say_items(items)
        if not items:
            early = len(list_in(client.home.read_state(INBOX), "unopened"))
            waiting = (
                f" Not opened yet: {early} of before; see why: liaison doctor" if early else ""
            )
            say(f"Nothing new.{waiting}")
        answer({"items": [of_item(item) for item in items]})
        # Not before: what comes to no screen, because something ends this, is shown the next time.
        client.shown()
        await desk.warn_lapses(client)
        return items

    for item in desk.as_member(context, work):
        if isinstance(item, Unopened) and isinstance(item.error, STOP):
            raise typer.Exit(REFUSED)


def say_items(items: list[Item]) -> None:
    """Say what came, and put it into that order: alerts, notes, what else happened."""
    items.sort(key=_first)
    early: dict[str, list[str]] = {}
    rung = Counter((i.kind, i.reference) for i in items if isinstance(i, News) and i.is_urgent)
    for item in items:
        if isinstance(item, News) and item.is_urgent:
            # What rang again and again is said once, as it stands now.
            rung[item.kind, item.reference] -= 1
            if rung[item.kind, item.reference]:
                continue
        if isinstance(item, Unopened) and isinstance(item.error, NotReady):
            early.setdefault(_why(item.error), []).append(item.reference)
        else:
            _say_item(item)
    # Each note of a party that isn't pinned yet says the same: once is enough.
    for why, references in early.items():
        if not is_json():
            warn(
                f"{', '.join(references)} was not opened yet: {why}. `inbox` tries again each time"
            )


def _first(item: Item) -> tuple[int, int, int]:
    """Return by what the inbox is ordered: alerts, notes by precedence, of these what is due first."""
    if not isinstance(item, Letter):
        return (0 if isinstance(item, News) and item.is_urgent else 2), 0, 0
    note = item.note
    dues = [note.reply_by, note.silence_until, note.expiry, *(a.reply_by for a in note.addressees)]
    due = min((time for time in dues if time is not None), default=MAX_INTEGER)
    return 1, -note.precedence.action.rank, due


def _show(item: Item) -> None:
    _say_item(item)
    answer(of_item(item))
    sys.stdout.flush()


def _say_item(item: Item) -> None:
    if isinstance(item, Letter):
        note = item.note
        exercise = "EXERCISE  " if note.exercise else ""
        say(
            f"{item.reference}  {exercise}{note.precedence.action.value.upper()}  {to_dtg(item.at)}  "
            f"from {note.by}: {visible(item.content.subject)}{doubt_in_words(item.doubt)}"
        )
    elif isinstance(item, Told):
        say(told_in_words(item))
    elif isinstance(item, News):
        text = f"{visible(item.text)}{doubt_in_words(item.doubt)}"
        say(f"{'! ' if item.is_urgent else ''}{text}")
    elif isinstance(item.error, STOP):
        tell(item.error)
    elif not is_json():
        warn(f"{item.reference} was not opened: {_why(item.error)}")


def _why(error: LiaisonError) -> str:
    reason = getattr(error, "reason", "")
    return f"{error} ({error.code}: {reason})" if reason else f"{error} ({error.code})"


def read(context: typer.Context, reference: Reference) -> None:
    """Show a note. Reading never acknowledges."""

    async def work(client: Client) -> tuple[Letter, list[tuple[str, str]], str]:
        letter = await client.read(client.known_as(reference))
        related = [
            (name, client.cabinet.reference(digest))
            for name, digest in (
                ("Answers", letter.note.in_reply_to),
                ("Replaces", letter.note.supersedes),
                ("Corrects", letter.note.corrects),
                ("Amends", letter.note.amends),
            )
            if digest is not None
        ]
        return letter, related, kept_in_words(client, letter)

    show_letter(*desk.as_member(context, work))


def kept_in_words(client: Client, letter: Letter) -> str:
    """Return how long this device keeps a note, where its charter says so."""
    seconds = client.keeping.term(letter.reference.rpartition("/")[0])
    if seconds is None:
        return ""
    if seconds == 0:
        return "not on this device: so its charter has it"
    return f"until {to_dtg(letter.at + seconds * SECOND)}: so its charter has it"


def show_letter(letter: Letter, related: list[tuple[str, str]], kept: str) -> None:
    """Show a note whole; ``related`` are others, by how they are, ``kept`` how long it is."""
    note = letter.note
    if letter.doubt is not None:
        say(letter.doubt.in_words())
    exercise = "  EXERCISE" if note.exercise else ""
    say(f"{letter.reference}  {note.precedence.action.value.upper()}  {note.kind}{exercise}")
    say(f"From:     {note.by}, {letter.sender_post}")
    addressed = [*note.addressees, *(note.drafted or ())]
    for role in (AddresseeRole.ACTION, AddresseeRole.INFO, AddresseeRole.STANDBY):
        posts = [a.post for a in addressed if a.role is role]
        if posts:
            say(f"{role.value.capitalize() + ':':<9} {', '.join(posts)}")
    say(f"DTG:      {note.dtg}, accepted {to_dtg(letter.at)}")
    say(
        f"Label:    {visible(note.label.classification)}, "
        f"releasable to {', '.join(note.label.releasable_to)}"
    )
    if note.justification:
        say(f"Reason:   {visible(note.justification)} (was visible to the node)")
    for addressee in addressed:
        if addressee.reply_by is not None:
            say(f"Reply by: {to_dtg(addressee.reply_by)} ({addressee.post})")
    for name, time in (
        ("Reply by", note.reply_by),
        ("Expires", note.expiry),
    ):
        if time is not None:
            say(f"{name + ':':<9} {to_dtg(time)}")
    if note.silence_until is not None:
        as_proposed = f"as proposed; if it was extended: liaison status {letter.reference}"
        say(f"Silence:  {to_dtg(note.silence_until)}, {as_proposed}")
    for name, other in (*related, *([("Kept", kept)] if kept else [])):
        say(f"{name + ':':<9} {other}")
    say(f"Subject:  {visible(letter.content.subject)}")
    say("")
    say(visible(letter.content.body).rstrip("\n"))
    for part in letter.content.parts[1:]:
        name = visible(part.name or "without a name")
        say(f"[{part.type}, {part.role.value}, {len(part.data)} bytes: {name}]")
    shown = {name.lower(): other for name, other in related}
    parts = [of_part(part) for part in letter.content.parts]
    answer({**of_letter(letter), **shown, "parts": parts})


def ack(context: typer.Context, reference: Reference) -> None:
    """Acknowledge a note: you take it on, for the post that you hold."""

    async def work(client: Client) -> Told:
        name = client.known_as(reference)
        letter = await client.read(name)
        if letter.doubt is not None:
            warn(letter.doubt.in_words())
        return await client.acknowledge(name)

    _say_told(desk.as_member(context, work))


def decline(
    context: typer.Context,
    reference: Reference,
    reason: Annotated[str, typer.Option(help=f"Why your post doesn't take it on. {desk.VISIBLE}")],
) -> None:
    """Decline a note, with a reason: it goes to the next rung of its ladder at once."""

    async def work(client: Client) -> Told:
        return await client.decline(client.known_as(reference), reason)

    _say_told(desk.as_member(context, work))


def _say_told(told: Told) -> None:
    say(told_in_words(told))
    answer(of_told(told))


def cancel(
    context: typer.Context,
    reference: Reference,
    reason: Annotated[str | None, typer.Option(help=desk.VISIBLE)] = None,
    is_yes: Yes = False,
) -> None:
    """Withdraw a note of yours: who has not settled it is no longer asked."""
    withdraw_and_say(context, reference, reason, is_yes=is_yes)


def withdraw_and_say(
    context: typer.Context, reference: str, reason: str | None, *, is_yes: bool
) -> None:
    async def work(client: Client) -> Done:
        rows = [("Note", reference), ("Reason", f"{visible(reason)} (visible)" if reason else "")]
        then = [
            "nobody is asked to act on it any more",
            "whoever had it is told; the log keeps both",
        ]
        show("To withdraw:", rows, then)
        ask("Withdraw it?", is_yes=is_yes)
        return await client.withdraw(reference, reason=reason)

    say_done(desk.as_member(context, work))


def say_done(done: Done) -> None:
    """Say what the log took of something that isn't a note."""
    say(done_in_words(done))
    answer(of_done(done))


def status(
    context: typer.Context,
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="[REF]",
            autocompletion=completing.references,
            help="None: what you wrote and isn't settled.",
        ),
    ] = None,
) -> None:
    """Show where each addressee stands, what is due next, and what happens then."""

    async def one(client: Client, name: str) -> Shape:
        name = client.known_as(name)
        state = await client.status(name)
        now = client.now()
        for line in note_in_words(name, state, now):
            say(line)
        for line in addressee_in_words(state, now):
            say(f"  {line}")
        doubted = await client.doubted(name)
        for each in doubted:
            say(f"  {each.in_words()}")
        for line in next_in_words(state, now):
            say(f"  {line}")
        certified = await client.certificates(name)
        times = Counter(outcome_of(happening) for happening, _ in certified)
        for happening, path in certified:
            outcome = outcome_of(happening)
            if outcome not in times:
                continue
            due = clock(happening.facts.due, now)
            more = times.pop(outcome) - 1
            again = f", and {more} times more" if more else ""
            say(
                f"  certified: {outcome}, due {due}, recorded in entry {happening.index}{again} ({path})"
            )
        certificates = [of_certificate(*each) for each in certified]
        return {
            **state,
            "reference": name,
            "certificates": certificates,
            "doubtful": [of_doubted(each) for each in doubted] or None,
        }

    async def work(client: Client) -> None:
        names = [reference] if reference is not None else await client.unsettled_notes()
        shown = [await one(client, name) for name in names]
        if not names:
            say("Nothing that you wrote waits for anybody.")
        answer({"notes": shown})

    desk.as_member(context, work)
