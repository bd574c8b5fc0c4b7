"""Looking a node over: what is good, what is bad, and what to do. Nothing is changed by it.

``examine`` takes a second, also beside a node that serves; ``recompute`` reads all that the store
has. The commands are in ``upkeep``.
"""

from __future__ import annotations

import asyncio
import enum
import http.client
import json
import os
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from sqlalchemy import URL, make_url

from liaison.adapters.clock import SystemClock
from liaison.adapters.disk import Disk
from liaison.adapters.guard import peek
from liaison.adapters.sql.backup import check_pages, check_unused, file_of, url_of
from liaison.adapters.sql.migrate import Schema, check, migrate
from liaison.adapters.sql.source import StoreSource
from liaison.adapters.timesync import is_synchronised
from liaison.adapters.tls import TlsFiles
from liaison.audit import walk
from liaison.audit.report import Report
from liaison.audit.source import Anchors
from liaison.cli.audit import anchors_in
from liaison.cli.findings import Finding, Mark
from liaison.cli.progress import Tell
from liaison.main import load_keys, read_card
from liaison.node.clockwatch import STEP_MAX
from liaison.node.ports import Head
from liaison.rules.cells import Log, read_cell, spell_key
from liaison.settings import Loaded, Settings
from liaison.tlog.merkle import root_at
from liaison.tlog.tiles import TILE_WIDTH, Tile, node_from_tiles, tiles_for_root
from liaison.words.encoding import to_base64
from liaison.words.errors import GuardRefused, LiaisonError, LogUntrusted, NotReady
from liaison.words.times import DAY, SECOND, to_dtg

T = TypeVar("T")


class Depth(enum.StrEnum):
    """How much of a store is recomputed."""

    PAGES = "pages"
    VERIFY = "verify"
    REPLAY = "replay"


MIB: Final = 1 << 20
RESTORING: Final = ".restoring"
REPLACED: Final = ".replaced-"
"""What stands behind a store's name while a backup is put in its place, and after that."""
FREE_LEAST_BYTES: Final = 64 * MIB
"""With less, it is bad even where ``disk_reserve`` is 0."""
TLS_LEFT_LEAST: Final = 14 * DAY
WAL_MOST_BYTES: Final = 1_024 * MIB
_ANSWER_S: Final = 5.0
_SHOWN_CHARS: Final = 400
_HASH_BYTES: Final = 32


# What a store holds


@dataclass(frozen=True)
class Standing:
    """Where a store stands: its head, whose root its tiles lead to, and what its log says of itself."""

    head: Head
    log: Log
    holds: bool | None
    """Whether it holds the guard's head; None where no guard was asked for."""


def standing(url: str | URL, guarded: Head | None = None) -> Standing:
    """Return where a store stands, in a moment whatever its size.

    Raises:
        NotReady: it can't be read, or has no log.
        LogUntrusted: its tiles don't lead to its head's root.
    """
    return asyncio.run(_standing(url, guarded))


async def _standing(url: str | URL, guarded: Head | None) -> Standing:
    source = StoreSource(url)
    try:
        head = await source.end()
        row = await source.cell(spell_key(Log.key_of()))
        log = None if row is None else read_cell(Log.key_of(), row)
        if head is None or not isinstance(log, Log):
            raise NotReady("the store has no log", do="liaison node init")
        if await _root(source, head.size, head.size) != head.root:
            raise LogUntrusted(
                f"the store's tiles lead to another root than its head of {head.size:,} entries",
                do="bring back the newest backup; liaison audit verify names the entry",
            )
        holds = None
        if guarded is not None:
            holds = (
                guarded.size <= head.size
                and await _root(source, guarded.size, head.size) == guarded.root
            )
        return Standing(head, log, holds)
    finally:
        await source.close()


async def _root(source: StoreSource, size: int, head_size: int) -> bytes:
    """Return the root of the first ``size`` leaves of a store that has ``head_size``."""
    wanted = {
        Tile(t.level, t.n, min(TILE_WIDTH, (head_size >> (8 * t.level)) - t.n * TILE_WIDTH))
        for t in tiles_for_root(size)
    }
    stored = await source.tiles(wanted)
    found = {tile: stored.get(tile, b"")[: tile.width * _HASH_BYTES] for tile in wanted}
    return root_at(size, node_from_tiles(found.__getitem__, head_size))


def head_in_words(head: Head) -> str:
    entries = "entry" if head.size == 1 else "entries"
    return f"{head.size:,} {entries} (root {to_base64(head.root)[:12]}…)"


def audited(url: str | URL, anchors: Anchors, depth: Depth, tell: Tell) -> list[Report]:
    """Return what the audit says of a store: verify, or that and replay."""
    return asyncio.run(_audited(url, anchors, depth, tell))


async def _audited(url: str | URL, anchors: Anchors, depth: Depth, tell: Tell) -> list[Report]:
    source, now = StoreSource(url), SystemClock().now()
    try:
        reports = [await walk.verify(source, anchors, now=now, progress=tell)]
        if depth is Depth.REPLAY and reports[0].difference is None:
            reports.append(await walk.replay(source, anchors, now=now, progress=tell))
        return reports
    finally:
        await source.close()


def check_whole(
    file: Path, anchors: Anchors, depth: Depth, tell: Tell, *, is_migrated: bool = False
) -> tuple[Standing, str]:
    """Return where a copy of a store stands, and what of it was recomputed, in words.

    ``is_migrated``: the copy is brought to this version's schema first.

    Raises:
        LogUntrusted: something in it isn't as it must be; the text names the first.
        NotReady: it can't be read, or not by this version.
    """
    url = url_of(file)
    check_pages(file)
    schema = check(url)
    if schema is Schema.ABSENT:
        raise LogUntrusted(f"{file} holds no store of liaison")
    if schema is Schema.OLDER and is_migrated:
        migrate(url)
        check_unused(file)  # one file again, without a WAL
    elif schema is Schema.OLDER and depth is Depth.REPLAY:
        raise NotReady(
            "the store's schema is of an older version, so this version can't replay it",
            safe="nothing was changed",
            do="let it be with --check verify, then: liaison node upgrade-check FILE",
        )
    elif schema is Schema.UNKNOWN:
        migrate(url)  # raises, and says why
    found = standing(url)
    _check_log(found.log, anchors)
    if depth is Depth.PAGES:
        return found, "its pages, and its root from its tiles"
    for report in audited(url, anchors, depth, tell):
        if report.difference is not None:
            told = " ".join(report.difference.to_text().split())
            raise LogUntrusted(f"audit {report.audit} found a first difference: {told}")
    rest = ", each record decided anew, each row of its state" if depth is Depth.REPLAY else ""
    return found, f"its pages, each opening, signature and tile, its root{rest}"


def _check_log(log: Log, anchors: Anchors) -> None:
    if log.origin != anchors.origin:
        raise LogUntrusted(f"it is of the log {log.origin}, not of {anchors.origin}")
    for key, anchored in (
        (log.log_key, anchors.log_key),
        (log.node_key, anchors.node_key),
        (log.administrator_key, anchors.administrator_key),
    ):
        if key != to_base64(anchored):
            raise LogUntrusted(f"it is of a log {log.origin} with other keys than the card's")


# One thing after the other


def examine(loaded: Loaded) -> Iterator[Finding]:
    """Give what can be seen in a second."""
    settings = loaded.settings
    # The guard first: the store had its head before it did, so whoever looks later must find it.
    guarded = _attempt(lambda: peek(settings.guard))
    head = None if isinstance(guarded, LiaisonError) else guarded[0]
    stands = _attempt(lambda: _stands(settings, head))
    looks: list[tuple[str, Callable[[], str | Finding]]] = [
        ("settings", lambda: _settings(loaded)),
        ("home", lambda: _home(settings)),
        ("keys", lambda: _keys(settings)),
        ("store", lambda: _store(stands)),
        ("guard", lambda: _guard(settings, guarded, stands)),
        ("disk", lambda: _disk(settings)),
        ("clock", lambda: _clock(stands)),
        ("service", lambda: _service(settings)),
    ]
    if settings.tls_certificate is not None:
        looks.append(("tls", lambda: _tls(settings)))
    for what, look in looks:
        yield _finding(what, look)
    yield from _leftovers(settings)


def recompute(loaded: Loaded, tell: Tell) -> Iterator[Finding]:
    """Give what only reading the whole store can show."""
    settings = loaded.settings
    if settings.database.startswith("sqlite:"):
        yield _finding("pages", lambda: _pages(file_of(settings.database)))
    try:
        reports = audited(settings.database, anchors_in(settings.card), Depth.REPLAY, tell)
    except LiaisonError as exc:
        yield _bad("log", exc)
        return
    for what, report in zip(("log", "state"), reports, strict=False):
        counted = ", ".join(f"{number:,} {name}" for name, number in report.counts.items())
        if report.difference is not None:
            told = " ".join(report.difference.to_text().split())
            do = "keep a copy of it as it is, then bring back the newest backup that is whole"
            yield Finding(what, Mark.BAD, f"first difference: {told}", do)
        else:
            of = "recomputed" if what == "log" else "the fold of the log, decided anew"
            yield Finding(what, Mark.GOOD, f"{of}: {counted}")
        for remark in report.remarks:
            yield Finding(what, Mark.NOTE, remark)


def _finding(what: str, look: Callable[[], str | Finding]) -> Finding:
    try:
        said = look()
    except LiaisonError as exc:
        return _bad(what, exc)
    return said if isinstance(said, Finding) else Finding(what, Mark.GOOD, said)


def _bad(what: str, exc: LiaisonError) -> Finding:
    return Finding(what, Mark.BAD, exc.happened, exc.do)


def _attempt(look: Callable[[], T]) -> T | LiaisonError:
    try:
        return look()
    except LiaisonError as exc:
        return exc


def _settings(loaded: Loaded) -> str | Finding:
    if loaded.file is None:
        return "no file: options, environment and defaults"
    if loaded.is_secret_in_file and _is_open(loaded.file):
        raise NotReady(
            f"{loaded.file} holds a password and is open to other users",
            do=f"chmod 600 {loaded.file}",
        )
    return f"from {loaded.file}"


def _home(settings: Settings) -> str | Finding:
    card = read_card(settings)
    if settings.retired.exists():
        raise NotReady(f"the node in {settings.home} was retired", do="serve its successor")
    if _is_open(settings.home):
        raise NotReady(f"{settings.home} is open to other users", do=f"chmod 700 {settings.home}")
    owner = settings.home.stat().st_uid
    if owner != os.geteuid():
        return Finding(
            "home",
            Mark.NOTE,
            f"it belongs to user {owner}, and you are user {os.geteuid()}",
            "look as the node's own user, or what it may not read isn't noticed",
        )
    return f"{card['origin']}, closed to other users"


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _keys(settings: Settings) -> str:
    card, keys = read_card(settings), load_keys(settings)
    for purpose in ("log", "node", "administrator"):
        if card.get(f"{purpose}_key") != to_base64(getattr(keys, purpose).public):
            raise NotReady(
                f"{settings.key(purpose)} is not the {purpose}_key of {settings.card}",
                do="put both back from the copies of one node",
            )
    return "three, those of the card, closed to other users"


def _stands(settings: Settings, guarded: Head | None) -> Standing:
    found = check(settings.database)
    if found is Schema.ABSENT:
        raise NotReady("there is no store", do="put it back: liaison node restore FILE")
    if found is Schema.UNKNOWN:
        raise NotReady(
            "a newer version of liaison wrote the store", do="run that version, or a later one"
        )
    if found is Schema.OLDER:
        raise NotReady(
            "the store's schema is of an older version, and serving brings it up for good",
            do="take a backup first, and look at it with: liaison node upgrade-check FILE",
        )
    return standing(settings.database, guarded)


def _store(stands: Standing | LiaisonError) -> str:
    if isinstance(stands, LiaisonError):
        raise stands
    return (
        f"{head_in_words(stands.head)}, rules version {stands.log.rules_version}, "
        f"last record of {to_dtg(stands.head.at, exact=True)}"
    )


def _guard(
    settings: Settings, guarded: tuple[Head, bool] | LiaisonError, stands: Standing | LiaisonError
) -> str | Finding:
    if isinstance(guarded, LiaisonError):
        raise guarded
    head, is_whole = guarded
    if isinstance(stands, LiaisonError):
        said = f"it has {head_in_words(head)}; there is no store to compare it with"
        return Finding("guard", Mark.NOTE, said)
    if not stands.holds:
        raise GuardRefused(
            f"it has {head_in_words(head)}, which the store with its "
            f"{head_in_words(stands.head)} does not hold: serving is refused",
            do="bring the newer data back; if it is lost, liaison node retire begins a successor",
        )
    if not is_whole:
        return Finding(
            "guard",
            Mark.NOTE,
            "one of its two slots is damaged; the other is whole and agrees with the store",
            "if no crash explains it, look at the disk that it is on",
        )
    agrees = f"the store holds what it has: {head_in_words(head)}"
    file = _file(settings)
    if file is not None and file.stat().st_dev == settings.guard.stat().st_dev:
        return Finding(
            "guard",
            Mark.NOTE,
            f"{agrees}; it is on the store's disk",
            "keep it, or a live copy of it, on a second disk: with both lost only retiring is left",
        )
    return agrees


def _disk(settings: Settings) -> str | Finding:
    # The guard's disk doesn't matter: its file never grows.
    disk = Disk.under(settings.database, settings.home)
    free, wal = disk.free_bytes(), disk.wal_bytes() or 0
    said = f"{free // MIB:,} MiB free in {disk.folder}"
    if free < max(settings.disk_reserve, FREE_LEAST_BYTES):
        raise NotReady(
            f"{said}: new notes below FLASH are refused",
            do="make room now, around the store; never delete node.db-wal",
        )
    if wal > WAL_MOST_BYTES:
        return Finding(
            "disk",
            Mark.NOTE,
            f"{said}; the store's WAL has {wal // MIB:,} MiB",
            "an audit or a backup that runs for hours keeps it from shrinking; never delete it",
        )
    if free < settings.disk_low:
        return Finding("disk", Mark.NOTE, said, "make room this week")
    return said


def _clock(stands: Standing | LiaisonError) -> str | Finding:
    now = SystemClock().now()
    if isinstance(stands, LiaisonError):
        return Finding(
            "clock",
            Mark.NOTE,
            f"{to_dtg(now, exact=True)}; there is no log to compare it with",
        )
    now += stands.log.advanced or 0
    ahead = stands.head.at - now
    if ahead > STEP_MAX:
        raise NotReady(
            f"the log's last record is of {to_dtg(stands.head.at, exact=True)}, "
            f"{ahead // SECOND:,} s ahead of the clock, which says {to_dtg(now, exact=True)}",
            do="set the clock right; if it is right as it is, serve and say so: "
            "liaison node confirm-time",
        )
    if is_synchronised() is False:
        return Finding(
            "clock",
            Mark.NOTE,
            f"{to_dtg(now, exact=True)}; nothing keeps it right",
            "run chrony, ntpd or systemd-timesyncd",
        )
    return f"{to_dtg(now, exact=True)}, not behind the log"


def _tls(settings: Settings) -> str | Finding:
    assert settings.tls_certificate is not None
    key = settings.tls_key or settings.tls_certificate
    TlsFiles(settings.tls_certificate, key, settings.tls_client_ca).context()
    if key.stat().st_mode & stat.S_IRWXO:
        raise NotReady(f"the key {key} is open to all users", do=f"chmod o= {key}")
    own, *_ = x509.load_pem_x509_certificates(settings.tls_certificate.read_bytes())
    ends = int(own.not_valid_after_utc.timestamp()) * SECOND
    left, said = (
        ends - SystemClock().now(),
        f"the certificate is good until {to_dtg(ends, exact=True)}",
    )
    do = "put a new one in its place, then: systemctl reload liaison-node"
    if left <= 0:
        raise NotReady(f"the certificate ran out at {to_dtg(ends, exact=True)}", do=do)
    return Finding("tls", Mark.NOTE, said, do) if left < TLS_LEFT_LEAST else said


def _connection(settings: Settings) -> http.client.HTTPConnection:
    if settings.tls_certificate is None:
        return http.client.HTTPConnection(settings.host, settings.port, timeout=_ANSWER_S)
    # It is asked by its address on its own machine, and told nothing: whose certificate it has
    # is seen in the file.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(
        settings.host, settings.port, timeout=_ANSWER_S, context=context
    )


def _service(settings: Settings) -> str | Finding:
    connection = _connection(settings)
    try:
        connection.connect()
    except ConnectionRefusedError:
        return Finding("service", Mark.NOTE, f"nothing serves on {settings.listen}")
    except OSError as exc:
        raise _unheard(settings, exc) from exc
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(4_096).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as exc:
        if settings.tls_client_ca is None:
            raise _unheard(settings, exc) from exc
        told = f"it listens on {settings.listen}, and answers only who shows a certificate"
        return Finding("service", Mark.NOTE, told, "ask its /readyz with one")
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        detail, do = _problem(said)
        raise NotReady(
            f"what serves on {settings.listen} is not ready: {detail}",
            do=do or "look into its journal",
        )
    alarm = said.removeprefix("ready").strip()[:_SHOWN_CHARS]
    if alarm:
        return Finding("service", Mark.NOTE, f"ready on {settings.listen}, and alarms: {alarm}")
    return f"ready on {settings.listen}"


def _unheard(settings: Settings, exc: Exception) -> NotReady:
    return NotReady(
        f"what listens on {settings.listen} doesn't answer as a node: {exc}",
        do="look into its journal; does something else listen there?",
    )


def _problem(said: str) -> tuple[str, str]:
    """Return what a problem document says happened, and what to do."""
    try:
        problem = json.loads(said)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return said[:_SHOWN_CHARS], ""
    return str(problem.get("detail"))[:_SHOWN_CHARS], str(problem.get("do", ""))[:_SHOWN_CHARS]


def _pages(file: Path) -> str:
    check_pages(file)
    return f"whole: {file.stat().st_size // MIB:,} MiB"


def _leftovers(settings: Settings) -> Iterator[Finding]:
    file = _file(settings)
    if file is None or not file.parent.exists():
        return
    for paths, what, do in (
        (
            file.parent.glob(f"{file.name}{RESTORING}*"),
            "a restore that was broken off left",
            "remove it, or restore again",
        ),
        (
            file.parent.glob(f"{file.name}{REPLACED}*"),
            "restoring kept what it replaced:",
            "remove it when nobody needs it any more",
        ),
    ):
        if found := sorted(paths):
            size = sum(path.stat().st_size for path in found) // MIB
            names = ", ".join(path.name for path in found)
            yield Finding("leftovers", Mark.NOTE, f"{what} {names} ({size:,} MiB)", do)


def _file(settings: Settings) -> Path | None:
    located = make_url(settings.database)
    return Path(located.database or "") if located.get_backend_name() == "sqlite" else None
