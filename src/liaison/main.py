"""The roof: builds a node out of its adapters, begins one, retires one, runs one.

Only here and in ``cli`` is every adapter known.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from liaison.adapters.clock import ExerciseClock, SystemClock
from liaison.adapters.descriptors import room_for
from liaison.adapters.disk import RESERVE, Disk, Reserve
from liaison.adapters.guard import FileGuard
from liaison.adapters.keyfile import create_seed, load_seed
from liaison.adapters.service import ServiceManager
from liaison.adapters.sql.migrate import Schema, check, migrate
from liaison.adapters.sql.reader import SqlReader
from liaison.adapters.sql.writer import SqlWriter
from liaison.adapters.tls import Tls, TlsFiles
from liaison.node.admission import Admission, Rates
from liaison.node.beginning import NodeKeys, first_batch, first_statement, take_up
from liaison.node.cellar import Cellar
from liaison.node.clockwatch import ClockWatch
from liaison.node.delivery import Delivery
from liaison.node.figures import Figures
from liaison.node.intake import Intake
from liaison.node.ports import Clock, Head
from liaison.node.reading import Reading
from liaison.node.sequencer import Sequencer, no_crash
from liaison.node.sessions import Sessions
from liaison.node.storage import RESERVE_SHARE, Storage
from liaison.node.streaming import Streams
from liaison.node.timers import Timers
from liaison.node.watching import watch
from liaison.rules.cells import Cell, CellKey, Log
from liaison.server.app import Services, make_app
from liaison.server.gate import LINGER_S, Gates, swept
from liaison.server.keys import State
from liaison.server.listening import BACKLOG, Listening
from liaison.settings import Settings
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Predecessor
from liaison.tlog.note import SignerKey
from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.encoding import to_base64
from liaison.words.errors import GuardRefused, Malformed, NotReady
from liaison.words.ids import check_id

KEY_PURPOSES: Final = ("log", "node", "administrator")
DRAIN_S: Final = 10

log = structlog.get_logger(__name__)


def load_keys(settings: Settings) -> NodeKeys:
    """Return the node's three keys from their files."""
    seeds = {purpose: load_seed(settings.key(purpose), purpose) for purpose in KEY_PURPOSES}
    return NodeKeys(**{purpose: SigningKey(seed) for purpose, seed in seeds.items()})


def begin(
    settings: Settings,
    origin: str,
    *,
    seeds: dict[str, bytes],
    url: str,
    clock: Clock | None = None,
    predecessor: Predecessor | None = None,
    is_exercise: bool = False,
) -> None:
    """Make a node's home: three keys, guard, first record, and the card others know it by.

    ``seeds`` has 32 random bytes for each of ``KEY_PURPOSES``.

    Raises:
        NotReady: there is a node in this home, or a log in this database, already.
        GuardRefused: another instance serves the log in this database.
    """
    check_id("origin", origin)
    if settings.card.exists():
        raise NotReady(f"there is a node in {settings.home} already", safe="nothing was changed")
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate(settings.database)
    with contextlib.closing(SqlWriter(settings.database, alone=True)) as writer:
        if writer.head() is not None:
            raise NotReady(
                "there is a log in this database already",
                safe="nothing was changed",
                do="name an empty one with --database, or serve the home that the log belongs to",
            )
        settings.key("log").parent.mkdir(mode=0o700, exist_ok=True)
        for purpose in KEY_PURPOSES:
            create_seed(settings.key(purpose), purpose, seeds[purpose])
        keys = load_keys(settings)
        at = (clock or SystemClock()).now()
        first = first_statement(origin, keys, at, predecessor, is_exercise=is_exercise)
        batch = first_batch(first, at)
        writer.commit(batch)
    FileGuard.create(settings.guard, batch.head).close()
    card = {
        "administrator_key": to_base64(keys.administrator.public),
        "log_key": to_base64(keys.log.public),
        "node_key": to_base64(keys.node.public),
        "origin": origin,
        "url": url,
        **({"exercise": "yes"} if is_exercise else {}),
    }
    settings.card.write_bytes(format_canonical(card) + b"\n")


def read_card(settings: Settings) -> dict[str, str]:
    """Return the node's card: origin, url and the three public keys.

    Raises:
        NotReady: there is no node in this home.
    """
    try:
        data = settings.card.read_bytes()
    except FileNotFoundError as exc:
        raise NotReady(
            f"there is no node in {settings.home}", do="liaison --home DIR node init --origin NAME"
        ) from exc
    card = parse_canonical(data.rstrip(b"\n"))
    return {name: str(value) for name, value in card.items()}


async def predecessor_of(settings: Settings) -> Predecessor:
    """Return what a successor's first record says of the log in this home: its loss."""
    card = read_card(settings)
    head: Head | None = None
    if check(settings.database) is not Schema.ABSENT:
        reader = SqlReader(settings.database)
        try:
            head = await reader.head()
        finally:
            await reader.close()
    if head is None:
        raise NotReady("the store has no log", do="there is nothing to retire")
    guarded: Head | None = None
    if settings.guard.exists():
        try:
            guard = FileGuard.open(settings.guard)
        except GuardRefused as exc:
            if "locked" in exc.happened:
                raise
        else:
            guarded = guard.read()
            guard.close()
    return Predecessor(
        origin=card["origin"],
        guard_size=guarded.size if guarded else None,
        guard_root=to_base64(guarded.root) if guarded else None,
        store_size=head.size,
        store_root=to_base64(head.root),
    )


def mark_retired(settings: Settings, successor: str) -> None:
    """Keep this home's node from ever serving again."""
    settings.retired.write_text(json.dumps({"successor": successor}) + "\n")


@dataclass(frozen=True)
class Running:
    """A node that serves: its services and where it listens."""

    services: Services
    state: State
    url: str
    gates: Gates
    ended: asyncio.Task[None]
    """Ends only when the node was stopped, or with the reason why it must end."""
    reload: Callable[[], None]
    """Reads the files of TLS anew. Raises NotReady, and goes on as before, where they don't fit."""


@contextlib.asynccontextmanager
async def run_node(
    settings: Settings,
    *,
    clock: Clock | None = None,
    crash_point: Callable[[str], None] = no_crash,
) -> AsyncIterator[Running]:
    """Serve until the context is left; then stop accepting, drain, answer.

    Raises:
        NotReady: no node here, or it was retired.
        GuardRefused: guard and store don't agree, or another instance serves.
    """
    card = read_card(settings)
    if settings.retired.exists():
        raise GuardRefused(
            f"the node in {settings.home} was retired",
            safe="its log stays readable: liaison audit verify",
            do="serve its successor",
        )
    _check_listen(settings)
    keys = load_keys(settings)
    _check_card(card, keys)
    clock = clock or SystemClock()
    guard = FileGuard.open(settings.guard)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(guard.close)
        migrate(settings.database)
        # Before the head is read: whoever wrote to the database before has ended by then.
        writer = SqlWriter(settings.database, alone=True)
        stack.callback(writer.close)
        reader = SqlReader(settings.database)
        stack.push_async_callback(reader.close)
        signer = SignerKey(card["origin"], keys.log.seed)
        published = await take_up(reader, guard, signer)
        cellar = Cellar(reader)
        begun = await cellar.get(Log)
        if begun is None:
            raise NotReady("the store has no log yet", do="liaison node init")
        exercise = ExerciseClock(clock, begun.advanced or 0) if begun.exercise else None
        clock = exercise or clock
        figures = Figures()
        storage = _storage(settings, clock, stack)
        storage.show(figures)
        storage.look()
        delivery = Delivery(reader)
        sequencer = Sequencer(
            cellar=cellar,
            writer=writer,
            guard=guard,
            signer=signer,
            clock=ClockWatch.start(clock),
            delivery=delivery,
            published=published,
            crash_point=crash_point,
            figures=figures,
            make_room=storage.make_room,
            store_full=storage.store_full,
        )
        if exercise is not None:
            sequencer.follow(partial(_keep_exercise_time, exercise))
        timers = Timers(reader, sequencer)
        reading = Reading(cellar, reader, sequencer, delivery)
        rates = Rates(settings.member_rate, settings.party_rate)
        admission = Admission(cellar, clock, figures=figures, rates=rates)
        intake = Intake(cellar, admission, sequencer, reading, keys.node, card["origin"], storage)
        sessions = Sessions(cellar, clock, card["origin"])
        streams = Streams(reading, delivery, sessions, clock, figures=figures)
        sequencer.follow(streams.look)
        sessions.follow(streams.ended)
        services = Services(intake, sequencer, sessions, reading, timers, figures, storage, streams)
        watch(figures, admission, sequencer, timers, sessions, streams)
        state = State()
        gates = Gates(asyncio.get_running_loop().time, _connections(settings))
        _watch_gates(figures, gates)
        runner = web.AppRunner(
            make_app(services, state, gates, metrics_for=settings.metrics),
            access_log=None,
            auto_decompress=False,
            lingering_time=LINGER_S,
            shutdown_timeout=DRAIN_S,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None
        protocol = gates.before(runner.server)
        tls = _tls(settings)
        listening = await Listening.at(
            settings.host, settings.port, protocol, tls.context if tls else None
        )
        stack.callback(listening.close)
        await stack.enter_async_context(swept(gates))
        ended = asyncio.create_task(_work(sequencer, timers, storage), name="work")
        reload = tls.reload if tls is not None else _nothing_to_reload
        try:
            yield Running(services, state, listening.url, gates, ended, reload)
        finally:
            state.stopping = True
            listening.close()
            await sequencer.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await ended


def _check_listen(settings: Settings) -> None:
    """Nothing is served in the clear where others can listen, unless somebody said so."""
    if settings.tls_certificate is not None or settings.plain or is_loopback(settings.host):
        return
    raise NotReady(
        f"Serving {settings.listen} without TLS would show tokens, and who writes to whom, to the network",
        safe="nothing was served or signed",
        do="set tls_certificate and tls_key; or listen on 127.0.0.1 behind a TLS proxy; or, where "
        "nobody but such a proxy is on that network, set plain = true",
    )


def _connections(settings: Settings) -> int:
    """Return how many connections may stand: none may take a descriptor that the store needs."""
    most = room_for(settings.connections, BACKLOG)
    if most < settings.connections:
        log.warning(
            "few-descriptors",
            connections=most,
            wanted=settings.connections,
            do="raise the limit of open files (systemd: LimitNOFILE) or lower connections",
        )
    return most


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_certificate is None:
        return None
    key = settings.tls_key or settings.tls_certificate
    return Tls(TlsFiles(settings.tls_certificate, key, settings.tls_client_ca))


def _nothing_to_reload() -> None:
    """Without TLS there are no files that change while a node serves."""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _watch_gates(figures: Figures, gates: Gates) -> None:
    figures.gauge("liaison_connections", "Connections that stand.", lambda: len(gates))
    figures.gauge("liaison_connections_idle", "Those that ask for nothing now.", lambda: gates.idle)
    figures.counts(
        "liaison_connections_ended",
        "Connections that the node ended or turned away, and why.",
        "reason",
        lambda: {reason: float(count) for reason, count in gates.turned_away.items()},
    )


def _storage(settings: Settings, clock: Clock, stack: contextlib.AsyncExitStack) -> Storage:
    """Return the watch over the store's disk, its reserve laid aside while the node serves."""
    disk = Disk.under(settings.database, settings.home)
    low, short = int(settings.disk_low), int(settings.disk_reserve)
    reserve = None
    if disk.store is not None and short:
        reserve = Reserve(disk.folder / RESERVE, short // RESERVE_SHARE)
        stack.callback(reserve.remove)
    return Storage(disk, reserve, max(low, short), short, clock.since_boot)


async def _work(sequencer: Sequencer, timers: Timers, storage: Storage) -> None:
    """Run all until the sequencer was stopped. If one of them dies, so do the others, and it raises."""
    deciding = asyncio.create_task(sequencer.run(), name="sequencer")
    timing = asyncio.create_task(timers.run(), name="timers")
    storing = asyncio.create_task(storage.run(), name="storage")
    tasks = (deciding, timing, storing)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if not deciding.done():
        # A node that can't tell when something is due, or what it can still write, must not look
        # as if it could.
        await sequencer.stop()
    timing.cancel()
    storing.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _keep_exercise_time(clock: ExerciseClock, changes: Mapping[CellKey, Cell]) -> None:
    """Follow what the log says of exercise time, from its commit on."""
    log = changes.get(Log.key_of())
    if isinstance(log, Log):
        clock.advance_to(log.advanced or 0)


def _check_card(card: dict[str, str], keys: NodeKeys) -> None:
    for purpose in KEY_PURPOSES:
        public = to_base64(getattr(keys, purpose).public)
        if card.get(f"{purpose}_key") != public:
            raise Malformed(f"node.liaison: {purpose}_key is not the key in keys/{purpose}.key")


async def serve(settings: Settings, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. What ends the sequencer or the timers ends the process, by raising."""
    configure_journal()
    _calm_the_collector()
    manager = ServiceManager.of(os.environ)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with run_node(settings) as running:
        log.info("serving", url=running.url, size=running.services.sequencer.published.head.size)
        if ready is not None:
            ready(running.url)
        manager.ready(f"serving {running.url}")
        loop.add_signal_handler(signal.SIGHUP, partial(_reload, running))
        watching = asyncio.create_task(manager.watch())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, running.ended}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        watching.cancel()
        manager.stopping()
        log.info("stopping", waiting=running.services.sequencer.waiting)
    log.info("stopped")


def _reload(running: Running) -> None:
    """Take up new files of TLS; where they don't fit, go on with the ones that do."""
    try:
        running.reload()
    except NotReady as exc:
        log.error("tls-reload-failed", reason=exc.happened, do=exc.do)
    else:
        log.info("reloaded", url=running.url)


def _calm_the_collector() -> None:
    """Collect cycles rarely: cells live long, records make none.

    With the default thresholds a fifth of the processor time under load went into walking cells.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def configure_journal() -> None:
    """One JSON object a line on standard error; it never holds a note's content."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
