"""Admission: who is let in to be verified and decided, and in which order. design.md, law 7 and 7.

Below IMMEDIATE few are past admission at once, so that what is urgent finds a short queue behind
it, however much routine traffic comes. Whether a statement is right is decided later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from liaison.node.cellar import Cellar
from liaison.node.figures import Figures, level_of
from liaison.node.ports import Clock
from liaison.node.queueing import Queue
from liaison.rules import cells
from liaison.statements.payloads import Note, Payload, Verdict
from liaison.statements.statement import Statement
from liaison.words.errors import Overloaded
from liaison.words.precedence import STOP_BAND, Precedence
from liaison.words.times import SECOND

PAST_MAX: Final = 32
"""Below IMMEDIATE: what FLASH may find in front of it, at 0.1 to 0.2 ms each."""
WAIT_S: Final = 1.0

STOPPING: Final = frozenset(
    {
        "admission",
        "extension",
        "member",
        "objection",
        "participation",
        "party",
        "release",
        "withdrawal",
    }
)
"""Kinds that stop something, beside answers that acknowledge or decline."""

STOPS_AT_ONCE: Final = 16
STOPS_PER_S: Final = 4
"""What one device may put above OVERRIDE. A person who clears a queue acknowledges note by note, a
few in a second, and an SDK that was offline sends what has gathered at once: neither gets to the
end of it. A device that floods does within a moment, and then stands where its notes stand. One
that holds to the rate costs the node below 1 % of what it can decide in a second.
"""
_BUCKETS_KEPT: Final = 4096


@dataclass
class _Bucket:
    """Tokens of one key: how many it had at ``at``, in microseconds since boot."""

    tokens: float
    at: int

    def fill(self, now: int) -> None:
        gained = (now - self.at) * STOPS_PER_S / SECOND
        self.tokens = min(float(STOPS_AT_ONCE), self.tokens + gained)
        self.at = now


@dataclass
class Admitted:
    """A statement that was let in. ``band`` orders it from here on."""

    band: int
    _bucket: _Bucket | None = None
    _held: Admission | None = None

    def decided(self) -> None:
        """Its turn to be decided has come: let the next one in."""
        if self._held is not None:
            self._held.leave()
            self._held = None

    def hold(self, admission: Admission) -> None:
        """It takes a place that others may wait for."""
        self._held = admission

    def forged(self) -> None:
        """The key that it names did not sign it, and doesn't pay for it."""
        if self._bucket is not None:
            self._bucket.tokens = min(float(STOPS_AT_ONCE), self._bucket.tokens + 1)
            self._bucket = None


@dataclass
class Admission:
    """``past`` counts those below IMMEDIATE that were let in and whose turn hasn't come yet."""

    cellar: Cellar
    clock: Clock
    wait_s: float = WAIT_S
    figures: Figures = field(default_factory=Figures)
    past: int = 0
    _queue: Queue[asyncio.Future[None]] = field(default_factory=Queue)
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How many wait to be let in."""
        return self._queue.waiting

    @property
    def waiting_by_band(self) -> Mapping[int, int]:
        """How many wait to be let in, by their band."""
        return self._queue.by_band

    @contextlib.asynccontextmanager
    async def admitted(
        self, statement: Statement[Any], *, is_known: bool
    ) -> AsyncIterator[Admitted]:
        """Hold a place past admission until it is ``decided``, or the context ends.

        ``is_known``: the log knows the key that the statement names. Whether that key signed it
        isn't known yet; if not, say ``forged``.

        Raises:
            Overloaded: no place became free in time.
        """
        # A precedence that anybody at all could claim is worth nothing.
        admitted = self._band(statement.payload) if is_known else Admitted(Precedence.ROUTINE.rank)
        if admitted.band >= Precedence.IMMEDIATE.rank:
            yield admitted
            return
        await self._wait(admitted.band)
        admitted.hold(self)
        try:
            yield admitted
        finally:
            admitted.decided()

    async def _wait(self, band: int) -> None:
        if self.past < PAST_MAX and not self._queue.waiting:
            self.past += 1
            return
        let_in = asyncio.get_running_loop().create_future()
        place = self._queue.put(let_in, band)
        try:
            async with asyncio.timeout(self.wait_s):
                await let_in
        except BaseException as exc:
            self._queue.leave(place)
            if let_in.done() and not let_in.cancelled():
                self.leave()  # let in at the moment at which it gave up
            if isinstance(exc, TimeoutError):
                self.figures.turned_away.labels(level_of(band)).inc()
                raise Overloaded(
                    "the node has more to decide than it can",
                    safe="nothing of it happened",
                    do="send the same again; what is more urgent goes first",
                ) from exc
            raise

    def leave(self) -> None:
        """Give a place back, and let in whose turn it is."""
        self.past -= 1
        while self._queue.waiting and self.past < PAST_MAX:
            let_in = self._queue.take()
            if not let_in.done():
                self.past += 1
                let_in.set_result(None)

    # What a statement's precedence is

    def _band(self, payload: Payload) -> Admitted:
        if isinstance(payload, Note):
            return Admitted(payload.precedence.action.rank)
        if _stops(payload):
            bucket = self._bucket(payload.key)
            if bucket.tokens >= 1:
                bucket.tokens -= 1
                return Admitted(STOP_BAND, bucket)
        return Admitted(self._own(payload))

    def _own(self, payload: Payload) -> int:
        """Return the precedence of the notes that a statement is about, as far as they're loaded."""
        channel = getattr(payload, "channel", "")
        bands = [Precedence.ROUTINE.rank]
        for digest in _about(payload):
            note = self.cellar.peek(cells.Note, channel, digest)
            if note is not None:
                bands.append(note.precedence.rank)
        return max(bands)

    def _bucket(self, key: str) -> _Bucket:
        now = self.clock.since_boot()
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _BUCKETS_KEPT:
                self._forget(now)
            bucket = self._buckets[key] = _Bucket(STOPS_AT_ONCE, now)
        bucket.fill(now)
        return bucket

    def _forget(self, now: int) -> None:
        """Drop the buckets that are full: a new one is the same."""
        for bucket in self._buckets.values():
            bucket.fill(now)
        self._buckets = {k: b for k, b in self._buckets.items() if b.tokens < STOPS_AT_ONCE}


def _stops(payload: Payload) -> bool:
    if payload.kind_name in STOPPING:
        return True
    return getattr(payload, "verdict", None) in (Verdict.ACKNOWLEDGED, Verdict.DECLINED)


def _about(payload: Payload) -> Iterable[str]:
    """Return the digests of the notes that a statement is about."""
    note = getattr(payload, "note", None)
    return getattr(payload, "notes", ()) if note is None else (note,)
