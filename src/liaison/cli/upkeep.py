"""``liaison node``: backup, restore, check, doctor, upgrade-check, settings.

What there is to look at, and what counts as bad, is in ``checkup``.
"""

from __future__ import annotations

import contextlib
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from liaison import __version__
from liaison.adapters.clock import SystemClock
from liaison.adapters.guard import locked, peek
from liaison.adapters.newfile import drafted
from liaison.adapters.sql.backup import (
    check_pages,
    check_unused,
    copy_store,
    file_of,
    put_in_place,
    url_of,
)
from liaison.adapters.sql.migrate import Schema, check, pending
from liaison.audit.source import Anchors
from liaison.cli.asking import Yes, ask
from liaison.cli.audit import Card, anchors_in
from liaison.cli.checkup import (
    REPLACED,
    RESTORING,
    Depth,
    Standing,
    check_whole,
    examine,
    head_in_words,
    recompute,
    standing,
)
from liaison.cli.configured import Config, Database, GuardAt, Listen, loaded, settings_of
from liaison.cli.context import Shape, answer, say
from liaison.cli.failure import warn
from liaison.cli.findings import say_findings
from liaison.cli.node import node
from liaison.cli.progress import Tell, bar
from liaison.cli.showing import say_table
from liaison.main import read_card
from liaison.node.ports import Head
from liaison.rules.ruling import NEWEST_RULES
from liaison.settings import FILE, NAMES, Settings
from liaison.words.encoding import to_base64
from liaison.words.errors import GuardRefused, LiaisonError, LogUntrusted, NotReady
from liaison.words.times import SECOND, to_dtg, to_rfc3339

_UNCHANGED: Final = "nothing was changed"
_BACKUP: Final = ".backup"


HowDeep = Annotated[
    Depth,
    typer.Option(
        "--check",
        help="What is recomputed of it: its pages; verify, the log too; replay, each decision too.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add this module's commands to those of ``liaison node``."""
    del app
    for name, command in (
        ("backup", backup),
        ("restore", restore),
        ("check", check_command),
        ("doctor", doctor),
        ("upgrade-check", upgrade_check),
        ("settings", settings_command),
    ):
        node.command(name)(command)


# Backup


def backup(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="A new file; or a directory, in which it gets a name by its time."),
    ],
    depth: HowDeep = Depth.VERIFY,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="In a directory: keep so many of this log's, delete the oldest."),
    ] = None,
    config: Config = None,
) -> None:
    """Copy the store to a file, also while the node serves, and verify the copy."""
    settings = settings_of(context, config)
    card, store = read_card(settings), file_of(settings.database)
    folder = file if file.is_dir() else None
    if folder is None and keep is not None:
        raise NotReady(
            f"{file} is not a directory: --keep has nothing to choose from",
            safe="nothing was written",
            do="name a directory, or leave --keep out",
        )
    stem = card["origin"].replace("/", "_")
    file = file if folder is None else _fresh(folder, f"{stem}-", _BACKUP)
    with _new(file) as draft:
        with bar("pages") as tell:
            copy_store(store, draft, tell)
        with bar("entries") as tell:
            stands, checked = _whole_copy(draft, settings, depth, tell)
        mib = draft.stat().st_size / (1 << 20)
    say(f"BACKED UP {head_in_words(stands.head)}, up to {to_dtg(stands.head.at, exact=True)}.")
    say(f"It is {file}, {mib:,.1f} MiB. Checked: {checked}.")
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        say("It is open to other users, for this file system keeps no modes: shut the disk away.")
    if file.stat().st_dev == store.stat().st_dev:
        say("It is on the disk of the store: copy it to another one, best to another place.")
    for line in _not_in_it(settings):
        say(line)
    deleted = [] if folder is None or keep is None else _thin_out(folder, stem, keep)
    answer({**_where_as_shape(stands, file), "bytes": file.stat().st_size, "deleted": deleted})


def _whole_copy(draft: Path, settings: Settings, depth: Depth, tell: Tell) -> tuple[Standing, str]:
    try:
        return check_whole(draft, anchors_in(settings.card), depth, tell)
    except LogUntrusted as exc:
        raise LogUntrusted(
            f"The copy is not what the log committed to, so there is no backup: {exc.happened}",
            safe="the store was only read; earlier backups were not touched",
            do="the store itself may be damaged: liaison node check; delete no earlier backup",
        ) from exc


@contextlib.contextmanager
def _new(file: Path) -> Iterator[Path]:
    """Give a draft of ``file``; refuse to take the place of one that is there."""
    try:
        with drafted(file) as draft:
            yield draft
    except FileExistsError as exc:
        raise NotReady(
            f"There is a file at {file} already", safe="it was not touched", do="name a new file"
        ) from exc


def _not_in_it(settings: Settings) -> Iterator[str]:
    yield "Not in it, and never to be put with it:"
    yield f"  the guard, {settings.guard}: what keeps an old backup from signing a second history."
    yield "Not in it, to be kept elsewhere:"
    yield f"  the three keys in {settings.keys}: without them nobody goes on with this log;"
    yield f"  the card {settings.card} and the settings ({settings.home / FILE}, service, proxy)."
    yield "It names who wrote to whom and when, never what: keep it as closed as the store."


def _thin_out(folder: Path, stem: str, keep: int) -> list[Path]:
    mine = sorted(folder.glob(f"{stem}-{'[0-9]' * 8}T{'[0-9]' * 6}Z{_BACKUP}"))
    for old in mine[:-keep]:
        old.unlink()
        say(f"Deleted {old}: {keep} newer ones are kept.")
    return mine[:-keep]


def _fresh(folder: Path, stem: str, suffix: str = "") -> Path:
    """Return a file that isn't there, named by its time: of two in a second, the later second."""
    at = SystemClock().now()
    while True:
        compact = to_rfc3339(at)[:19].replace("-", "").replace(":", "")
        file = folder / f"{stem}{compact}Z{suffix}"
        if not file.exists():
            return file
        at += SECOND


# Restore


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A backup.")],
    depth: HowDeep = Depth.VERIFY,
    is_yes: Yes = False,
    guard: GuardAt = None,
    config: Config = None,
) -> None:
    """Put a backup in the store's place. The node may not serve; the guard is never touched."""
    settings = settings_of(context, config, guard=guard)
    read_card(settings)
    store = file_of(settings.database)
    with contextlib.ExitStack() as held:
        guarded = _held_guard(settings, held)
        is_replaced = store.exists()
        draft = held.enter_context(_copy_of(file, store.with_name(store.name + RESTORING)))
        stands = _checked(draft, file, settings, depth, guarded)
        _foretell(stands, file, settings, guarded)
        if is_replaced:
            _tell_of_replaced(store, stands, guarded)
        ask("Put it in the store's place?", is_yes=is_yes, safe=_UNCHANGED)
        if is_replaced and not check_unused(store):
            warn(f"The store {store} is damaged; it is kept as it is.")
        aside = _fresh(store.parent, f"{store.name}{REPLACED}")
        put_in_place(draft, store, aside)
    say(
        f"RESTORED {head_in_words(stands.head)}, up to {to_dtg(stands.head.at, exact=True)}, from {file}."
    )
    if is_replaced:
        say(f"What it replaced is kept: {aside}.")
    say("The guard was not touched.")
    if not stands.holds:
        say(
            "As things are, serving is refused (exit 3): docs/administering.md, the second bad night."
        )
    answer(
        {
            **_where_as_shape(stands, file),
            "kept": aside if is_replaced else None,
            "serves": bool(stands.holds),
        }
    )


def _held_guard(settings: Settings, held: contextlib.ExitStack) -> Head | None:
    """Keep nodes off while the context lasts; return what the guard has, None if that is lost."""
    if settings.guard.exists():
        held.enter_context(locked(settings.guard))
    with contextlib.suppress(GuardRefused):
        return peek(settings.guard)[0]
    return None


@contextlib.contextmanager
def _copy_of(file: Path, place: Path) -> Iterator[Path]:
    """Give a copy of a backup, closed to others, that is gone afterwards unless it was moved."""
    if not file.is_file():
        raise NotReady(f"There is no file {file}", safe=_UNCHANGED, do="check the path")
    place.unlink(missing_ok=True)  # what a crash left
    try:
        place.touch(mode=0o600)
        with bar("pages") as tell:
            copy_store(file, place, tell)
        yield place
    finally:
        place.unlink(missing_ok=True)


def _checked(
    draft: Path, file: Path, settings: Settings, depth: Depth, guarded: Head | None
) -> Standing:
    """Return where a copy of a backup stands, once it is whole, of this log and of this schema."""
    try:
        with bar("entries") as tell:
            check_whole(draft, anchors_in(settings.card), depth, tell, is_migrated=True)
        return standing(url_of(draft), guarded)
    except LogUntrusted as exc:
        raise LogUntrusted(
            f"This is no whole backup of the log of this home: {_of(exc, draft, file)}",
            safe=_UNCHANGED,
            do="take another one",
        ) from exc


def _of(exc: LiaisonError, draft: Path, file: Path) -> str:
    """Return what is wrong with a backup, of which a copy was looked at."""
    return exc.happened.replace(str(draft), str(file))


def _foretell(stands: Standing, file: Path, settings: Settings, guarded: Head | None) -> None:
    """Say both heads, and whether the node will serve."""
    say(f"Backup:  {_where(stands)}, {file}")
    if guarded is None:
        say(f"Guard:   missing or damaged, {settings.guard}")
        say("Serving WILL BE REFUSED: put back the copy of the guard that is on the second disk.")
        return
    when = f", up to {to_dtg(guarded.at, exact=True)}" if guarded.at else ""
    say(f"Guard:   {head_in_words(guarded)}{when}, {settings.guard}")
    if stands.holds:
        say("The backup holds what the guard has: the node will serve.")
    else:
        say("Serving WILL BE REFUSED: the log may have signed what this backup does not hold.")
        say("Bring newer data; if it is lost, liaison node retire begins a successor.")


def _tell_of_replaced(store: Path, stands: Standing, guarded: Head | None) -> None:
    try:
        present = standing(url_of(store), guarded)
    except LiaisonError as exc:
        say(f"Store:   can't be read ({exc.happened}), {store}")
        return
    say(f"Store:   {_where(present)}, {store}")
    if present.holds and present.head.size > stands.head.size:
        lost = present.head.size - stands.head.size
        say(
            f"The store in place is NEWER, and the guard agrees with it: {lost:,} entries would go."
        )


def _where_as_shape(stands: Standing, file: Path) -> Shape:
    return {
        "file": file,
        "size": stands.head.size,
        "root": to_base64(stands.head.root),
        "at": stands.head.at,
        "rules_version": stands.log.rules_version,
    }


def _where(stands: Standing) -> str:
    return f"{head_in_words(stands.head)}, up to {to_dtg(stands.head.at, exact=True)}"


# Looking


def check_command(
    context: typer.Context,
    guard: GuardAt = None,
    database: Database = None,
    listen: Listen = None,
    config: Config = None,
) -> None:
    """Look everything over, and recompute the whole store. Changes nothing; the node may serve."""
    found = loaded(context, config, guard=guard, database=database, listen=listen)
    findings = list(examine(found))
    with bar("entries") as tell:
        findings += recompute(found, tell)
    say_findings(findings)


def doctor(
    context: typer.Context,
    guard: GuardAt = None,
    database: Database = None,
    listen: Listen = None,
    config: Config = None,
) -> None:
    """Say in a second what is good, what is bad, and what to do. Exit 1 if anything is bad."""
    found = loaded(context, config, guard=guard, database=database, listen=listen)
    say_findings(list(examine(found)))


def settings_command(
    context: typer.Context,
    guard: GuardAt = None,
    database: Database = None,
    listen: Listen = None,
    config: Config = None,
) -> None:
    """Say which settings are in effect, and where each was said. Secrets are not shown."""
    found = loaded(context, config, guard=guard, database=database, listen=listen)
    say_table((name, found.shown(name), found.sources[name]) for name in NAMES)
    answer({name: {"value": found.shown(name), "source": found.sources[name]} for name in NAMES})


# Before an upgrade


def upgrade_check(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A backup that the present version wrote.")],
    card: Card = None,
    work: Annotated[
        Path | None, typer.Option(help="Where the copy that is tried out is made; else TMPDIR.")
    ] = None,
    config: Config = None,
) -> None:
    """Try this version on a copy of a backup before anything is switched: schema, replay, rules."""
    anchors = anchors_in(card or settings_of(context, config).card)
    with (
        tempfile.TemporaryDirectory(prefix="liaison-upgrade-", dir=work) as folder,
        _copy_of(file, Path(folder) / "node.db") as draft,
        bar("entries") as tell,
    ):
        stands, checked, steps = _tried(draft, file, anchors, tell)
    say(f"liaison {__version__} takes this log up: {_where(stands)}.")
    say(f"Recomputed on a copy: {checked}.")
    say("What changes when this version serves it:")
    for step in steps:
        say(f"  schema: brought up once, before it serves, {step}")
    if steps:
        say("  an older version can't open it afterwards: keep this backup until you are content")
    else:
        say("  schema: nothing")
    rules = stands.log.rules_version
    say(f"  rules: nothing. Version {rules} is in force")
    if rules != NEWEST_RULES:
        say(
            f"  until you switch, on record and for good: liaison node rules-version {NEWEST_RULES}"
        )
    say("Nothing was switched: neither the store nor the guard was touched.")
    answer(
        {
            **_where_as_shape(stands, file),
            "version": __version__,
            "schema": steps,
            "checked": checked,
        }
    )


def _tried(
    draft: Path, file: Path, anchors: Anchors, tell: Tell
) -> tuple[Standing, str, list[str]]:
    """Return where the copy stands, what was recomputed, and what the schema asked for."""
    try:
        check_pages(draft)
        url = url_of(draft)
        steps = pending(url) if check(url) is Schema.OLDER else []
        return *check_whole(draft, anchors, Depth.REPLAY, tell, is_migrated=True), steps
    except LogUntrusted as exc:
        raise LogUntrusted(
            f"liaison {__version__} does not take this log up: {_of(exc, draft, file)}",
            safe="nothing was switched",
            do="stay with the version that serves it; if that one's `node check` is content, report this",
        ) from exc
