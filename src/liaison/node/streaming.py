"""Streams: what one device is sent as it comes, and when that ends. protocols/stream.md.

The store is the letterbox, this only the doorbell: a stream that ends loses nothing, for the list
remains. How frames travel is server.stream's business, in which order items go is ``express``'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from liaison.node.delivery import Delivery
from liaison.node.express import LANE_ROWS, START, Express, Position, position_of
from liaison.node.figures import Figures, seconds
from liaison.node.places import Places
from liaison.node.ports import Clock
from liaison.node.reading import INLINE_MAX_BYTES, Reading
from liaison.node.sessions import Reader, Sessions
from liaison.rules import cells
from liaison.rules.cells import Cell, CellKey
from liaison.rules.inbox import InboxRow
from liaison.words.errors import Busy, NotAllowed, NotHere
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND

STREAMS_MAX: Final = 20_000
WINDOW_MAX: Final = 256
GOT_MAX: Final = 256
"""Positions in one frame."""
FRAME_MAX_BYTES: Final = 16 * 1024
"""Of what a device sends."""
BURST_FRAMES: Final = 512
FRAMES_PER_S: Final = 128
OFFERED_MAX: Final = 256
"""Of so many items at most a stream knows when they came: those that are to be counted."""
ITEMS_AT_ONCE: Final = 4
"""So many are read from the store together, and stand in memory while the socket takes them."""
COMPOSING_MAX: Final = 4
"""Of so many streams items are composed at once: a note to a thousand devices holds up no other."""

HELLO_WITHIN: Final = 10 * SECOND
PING_EVERY: Final = 20 * SECOND
SILENT_AFTER: Final = 60 * SECOND
SHUT_AFTER: Final = 30 * SECOND
TICK_S: Final = 1.0
RECONNECT_S: Final = 5
"""Over so long those spread themselves who come back after a node stopped."""

Json = dict[str, Any]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Ended:
    """Why a stream ends: the close code and reason (STREAM-24), and a frame that goes before it."""

    code: int
    reason: str
    last: Json | None = None


DRAINED: Final = Ended(1001, "drain", {"type": "drain", "reconnect_s": RECONNECT_S})
FAILED: Final = Ended(1011, "node-failed")
MALFORMED: Final = 4400
SESSION_ENDED: Final = Ended(4401, "session-ended")
NOT_ALLOWED: Final = Ended(4403, "not-allowed")
SILENT: Final = Ended(4408, "silent")
REPLACED: Final = Ended(4409, "replaced")
TOO_MANY: Final = Ended(4429, "too-many-frames")
WINDOW_SHUT: Final = 4430


@dataclass(frozen=True)
class Hello:
    """What a device says that it has (STREAM-7)."""

    after: Position = START
    reached: Mapping[Precedence, Position] = field(default_factory=dict)
    got: Collection[Position] = ()
    window: int = 64


class Stream:
    """One device's stream: ``frames`` are to be sent, until ``ended`` says why no more are."""

    def __init__(self, streams: Streams, reader: Reader, token: str) -> None:
        self._streams = streams
        self.reader = reader
        self.token = token
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._wake = asyncio.Event()
        self._queue: Express | None = None
        self._is_ready = False
        self._first: list[Json] = []
        """What goes before any item: ready, ping."""
        self._has_told_more: bool | None = None
        """Whether the device was told last that something else waits."""
        now = streams.clock.since_boot()
        self._heard = self._pinged = self._counted = now
        self._allowed = float(BURST_FRAMES)
        self._shut_since: int | None = None
        self._offered: dict[Position, int] = {}
        """When what came meanwhile was published, until it is sent."""

    @property
    def is_shut(self) -> bool:
        """Whether it waits for its device to store something."""
        return self._shut_since is not None

    def end(self, why: Ended) -> None:
        """Have it end, once, for the first reason given."""
        if not self.ended.done():
            self.ended.set_result(why)

    # What the device says

    def heard(self) -> bool:
        """Count a frame, of whatever kind; return whether it may be looked at."""
        now = self._streams.clock.since_boot()
        self._heard = now
        earned = (now - self._counted) * FRAMES_PER_S / SECOND
        self._counted = now
        self._allowed = min(float(BURST_FRAMES), self._allowed + earned) - 1
        if self._allowed < 0:
            self.end(TOO_MANY)
        return not self.ended.done()

    async def hello(self, hello: Hello) -> None:
        """Begin from what the device has."""
        if self._queue is not None:
            self.end(Ended(MALFORMED, "a second hello"))
            return
        window = min(hello.window, WINDOW_MAX)
        queue = Express(after=hello.after, reached=hello.reached, had=hello.got, window=window)
        # Before the newest is asked for: what is published meanwhile is offered.
        self._queue = queue
        newest = await self._streams.delivery.newest_of(self.reader.by)
        is_signed = START < newest < (self._streams.signed, -1)
        self._is_ready = True
        self._first.append(
            {
                "type": "ready",
                **({"position": spell_position(newest)} if is_signed else {}),
                "window": window,
                "limits": {
                    "frame_bytes": FRAME_MAX_BYTES,
                    "frames_per_s": FRAMES_PER_S,
                    "got": GOT_MAX,
                    "inline_bytes": INLINE_MAX_BYTES,
                    "ping_s": PING_EVERY // SECOND,
                    "silent_s": SILENT_AFTER // SECOND,
                    "shut_s": SHUT_AFTER // SECOND,
                },
            }
        )
        self._wake.set()

    def got(self, positions: Collection[Position]) -> None:
        """Open the window by what the device has stored."""
        if self._queue is None:
            self.end(Ended(MALFORMED, "got before hello"))
            return
        before = self._queue.under_way
        self._queue.got(positions)
        if self._queue.under_way < before:
            self.open_window()
        self._wake.set()

    def open_window(self) -> None:
        """Count for how long it was shut, if it was."""
        if self._shut_since is not None:
            shut = self._streams.clock.since_boot() - self._shut_since
            self._streams.figures.window_shut.observe(seconds(shut))
            self._shut_since = None

    # What it is sent

    def offer(self, rows: Sequence[InboxRow]) -> None:
        """Take the member's new rows (delivery.Listener)."""
        if self._queue is not None:
            now = self._streams.clock.since_boot()
            for row in rows[: OFFERED_MAX - len(self._offered)]:
                self._offered[position_of(row)] = now
            self._queue.offer(rows)
            self._wake.set()

    async def frames(self) -> list[Json]:
        """Return what is to be sent next, as soon as there is something.

        Raises:
            NotAllowed: its session ended, or its holder is no longer in force.
        """
        while True:
            self._wake.clear()
            frames = await self._due()
            if frames:
                return frames
            await self._wake.wait()

    async def _due(self) -> list[Json]:
        queue = self._queue
        if self._first or queue is None or not self._is_ready:
            frames, self._first = self._first, []
            return frames
        await self._fill(queue)
        if self._has_told_more is None:
            return self._behind(queue)
        rows: list[InboxRow] = []
        more: list[bool] = []
        while len(rows) < ITEMS_AT_ONCE and queue.wanted() is None:
            row = queue.take()
            if row is None:
                break
            rows.append(row)
            more.append(queue.waiting > 0 or queue.has_more)
        if rows:
            frames = await self._items(rows, more)
            self._has_told_more = more[-1]
        else:
            frames = self._behind(queue)
        self._look_at_window(self._streams.clock.since_boot())
        return frames

    async def _fill(self, queue: Express) -> None:
        while (wanted := queue.wanted()) is not None:
            level, after = wanted
            rows = await self._streams.delivery.lane(
                self.reader.by, level, after=after, limit=LANE_ROWS
            )
            # What a batch has committed and not yet signed comes again, by ``offer`` (law 2).
            fit = [row for row in rows if row.pos < self._streams.signed]
            queue.refill(level, fit, is_last=len(rows) < LANE_ROWS)

    async def _items(self, rows: Sequence[InboxRow], more: Sequence[bool]) -> list[Json]:
        composing = self._streams.composing
        await composing.take(max(Precedence(row.precedence).rank for row in rows))
        try:
            items = await self._streams.reading.items(
                self.reader, rows, with_content=True, with_urls=True
            )
        finally:
            composing.leave()
        # Last, so that nothing is sent to one who was suspended while this was read.
        await self._streams.sessions.reader(self.token)
        self._count(rows)
        return [
            {"type": "item", **item, "more": has_more}
            for item, has_more in zip(items, more, strict=True)
        ]

    def _count(self, rows: Sequence[InboxRow]) -> None:
        now, figures = self._streams.clock.since_boot(), self._streams.figures
        for row in rows:
            figures.pushed.labels(row.precedence).inc()
            offered = self._offered.pop(position_of(row), None)
            if offered is not None:
                figures.delivery_lag.labels(row.precedence).observe(seconds(now - offered))

    def _behind(self, queue: Express) -> list[Json]:
        """Say how much waits, where the device doesn't know it by the items."""
        waits = queue.waiting > 0 or queue.has_more
        if waits == self._has_told_more:
            return []
        self._has_told_more = waits
        return [behind(queue)]

    # Time

    def tick(self, now: int, wall: int) -> None:
        """Look at the clock: ping, or end what has lasted too long."""
        if wall >= self.reader.until:
            self.end(SESSION_ENDED)
        elif now - self._heard >= (HELLO_WITHIN if self._queue is None else SILENT_AFTER):
            self.end(SILENT)
        else:
            self._look_at_window(now)
            if now - self._pinged >= PING_EVERY:
                self._pinged = now
                if {"type": "ping"} not in self._first:
                    self._first.append({"type": "ping"})
                self._wake.set()

    def _look_at_window(self, now: int) -> None:
        queue = self._queue
        if queue is None or not queue.is_shut:
            self.open_window()
        elif self._shut_since is None:
            self._shut_since = now
        elif now - self._shut_since >= SHUT_AFTER:
            self.end(Ended(WINDOW_SHUT, "window-shut", behind(queue)))


@dataclass
class Streams:
    """All streams of a node, one a device."""

    reading: Reading
    delivery: Delivery
    sessions: Sessions
    clock: Clock
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    figures: Figures = field(default_factory=Figures)
    composing: Places = field(default_factory=lambda: Places(COMPOSING_MAX))
    _of_key: dict[str, Stream] = field(default_factory=dict)
    _checks: set[asyncio.Task[None]] = field(default_factory=set)
    _is_draining: bool = False

    def __len__(self) -> int:
        return len(self._of_key)

    @property
    def shut(self) -> int:
        """How many wait for their devices to store something."""
        return sum(stream.is_shut for stream in self._of_key.values())

    @property
    def signed(self) -> int:
        """How many entries the newest signed checkpoint covers."""
        return self.reading.sequencer.published.head.size

    def open(self, reader: Reader, token: str) -> Stream:
        """Return a new stream for a member's device; an older one of the same device ends.

        Raises:
            NotHere: it isn't a member who asks.
            Busy: the node is stopping, or has too many.
        """
        if not reader.is_member:
            raise NotHere("only a member has an inbox")
        if self._is_draining:
            raise Busy("the node is stopping", do="connect again in a few seconds")
        older = self._of_key.get(reader.key)
        if older is None and len(self._of_key) >= STREAMS_MAX:
            raise Busy("too many streams are open", do="read the list, /v1/inbox", retry_after_s=30)
        if older is not None:
            older.end(REPLACED)
            self.close(older)
        stream = Stream(self, reader, token)
        self._of_key[reader.key] = stream
        self.delivery.connect(reader.by, stream)
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a stream."""
        stream.open_window()
        self.delivery.disconnect(stream.reader.by, stream)
        if self._of_key.get(stream.reader.key) is stream:
            del self._of_key[stream.reader.key]

    async def run(self) -> None:
        """Look at the clock every second, until cancelled."""
        while True:
            await self.pause(TICK_S)
            self.tick()

    def tick(self) -> None:
        now, wall = self.clock.since_boot(), self.clock.now()
        for stream in list(self._of_key.values()):
            try:
                stream.tick(now, wall)
            except Exception:
                # One stream's defect must not stop the clock of all others.
                log.exception("defect", what="the clock of a stream")
                stream.end(FAILED)

    def drain(self) -> None:
        """End all streams because the node stops, and open no more."""
        self._is_draining = True
        for stream in list(self._of_key.values()):
            stream.end(DRAINED)

    def ended(self, token: str) -> None:
        """End the stream of a session that was ended before its time (Sessions.follow)."""
        for stream in list(self._of_key.values()):
            if stream.token == token:
                stream.end(NOT_ALLOWED)

    def look(self, changes: Mapping[CellKey, Cell]) -> None:
        """Have the streams ended of those whom a batch put out of force (Sequencer.follow)."""
        changed = {key for key in changes if key[0] in _STANDING}
        if not changed:
            return
        doubtful = [s for s in self._of_key.values() if changed & _standing_of(s.reader)]
        if doubtful:
            task = asyncio.create_task(self._check(doubtful))
            self._checks.add(task)
            task.add_done_callback(self._checks.discard)

    async def _check(self, doubtful: Sequence[Stream]) -> None:
        for stream in doubtful:
            try:
                await self.sessions.reader(stream.token)
            except NotAllowed:
                stream.end(NOT_ALLOWED)
            except Exception:
                log.exception("defect", what="check of a stream")
                stream.end(FAILED)


_STANDING: Final = frozenset({cells.Admitted.name, cells.Party.name, cells.Member.name})


def _standing_of(reader: Reader) -> set[CellKey]:
    """Return the keys of the cells that say whether a reader is in force."""
    party = party_of(reader.by)
    return {
        cells.Admitted.key_of(party),
        cells.Party.key_of(party),
        cells.Member.key_of(reader.by),
    }


def behind(queue: Express) -> Json:
    return {"type": "behind", "waiting": queue.waiting, "more": queue.has_more}


def spell_position(position: Position) -> str:
    return f"{position[0]}.{position[1]}"
