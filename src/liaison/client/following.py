"""Following: the stream of protocols/stream.md, joined again whenever it breaks.

What an item is, and that it is shown once, is for ``member``; here are connection, patience and
the gathering of *delivered*.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from liaison.client.transport import Transport
from liaison.client.wire import Parted, Wire
from liaison.words.errors import Busy, LiaisonError, Malformed, NodeUnreachable, NotReady

WINDOW: Final = 64
BATCH_MAX: Final = 32
"""So many items at most are stored together, with one sync of the disk."""
BACKOFF_S: Final = 0.5
BACKOFF_MAX_S: Final = 60.0
GATHER_S: Final = 0.05
ASK_AGAIN_S: Final = 1.0
CLOSE_S: Final = 5.0
BRIEF_S: Final = 10.0
"""A session lasts a quarter of an hour: a stream that ends with it so soon, and again, didn't serve."""
SILENT_S: Final = 60.0
"""A node pings every 20 seconds (STREAM-18): after so long without a frame nobody is there."""

_MALFORMED, _SESSION_ENDED, _NOT_ALLOWED, _REPLACED = 4400, 4401, 4403, 4409

Frame = dict[str, object]


@dataclass(frozen=True)
class Pacing:
    """How waiting is done: tests put hand-moved time and known chances here."""

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    """From 0 up to but without 1."""
    now: Callable[[], float] = time.monotonic
    """Seconds, from anywhere on."""


PACING: Final = Pacing()


@dataclass(frozen=True)
class Batch:
    """Item frames in the order in which they came."""

    items: list[Frame] = field(default_factory=list)
    is_caught_up: bool = False
    """Nothing else waits: all that the inbox had was sent."""


class Delay:
    """How long to wait before the next attempt: full jitter, doubling, bounded."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._failures = 0
        self._asked_s = 0.0

    def failed(self, asked_s: float = 0.0) -> None:
        """Count a failure; ``asked_s`` is what the node asks to wait at least (Retry-After)."""
        self._failures += 1
        self._asked_s = min(max(asked_s, 0.0), BACKOFF_MAX_S)

    def succeeded(self) -> None:
        self._failures, self._asked_s = 0, 0.0

    def next_s(self) -> float:
        """Return the seconds to wait: 0 after a success."""
        if not self._failures:
            return 0.0
        most = min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(self._failures - 1, 16))
        return self._asked_s + self._chance() * most


class Flow:
    """Batches of items, whatever the network does.

    ``hello`` gives the frame that a stream begins with; ``lost`` is told, once each time, that the
    node can't be had.
    """

    def __init__(
        self,
        transport: Transport,
        hello: Callable[[], Awaitable[Frame]],
        pacing: Pacing,
        lost: Callable[[LiaisonError], None] = lambda _: None,
    ) -> None:
        self._transport = transport
        self._hello = hello
        self._pacing = pacing
        self._delay = Delay(pacing.chance)
        self._lost = lost
        self._is_lost = False
        self._joined_at = 0.0
        self._was_brief = False
        """The node ended the session that the last stream was under as soon as it began."""
        self._wire: Wire | None = None
        self._hearing: asyncio.Task[None] | None = None
        # Items are bounded by the window; a node that sends more is not read any further.
        self._frames: asyncio.Queue[Frame | Exception] = asyncio.Queue(2 * WINDOW)
        self._failure: LiaisonError | None = None

    async def batch(self) -> Batch:
        """Return what came since the last time, as soon as there is something.

        Raises:
            NotAllowed: this device may read no longer.
            NotReady: another process follows with this device's key.
            Malformed: the node doesn't speak the protocol.
        """
        while True:
            if self._wire is None:
                await self._connect()
            frame = await self._frames.get()
            if self._failure is not None:
                raise self._failure
            if isinstance(frame, Exception):
                await self._parted(frame)
                continue
            batch = self._gather(frame)
            if batch is not None:
                return batch

    async def got(self, positions: Iterable[str]) -> None:
        """Tell the node what is stored; where it can't be told, the next hello says it."""
        if self._wire is not None:
            with suppress(NodeUnreachable):
                await self._wire.say({"type": "got", "positions": list(positions)})

    def fail(self, exc: LiaisonError) -> None:
        """Have ``batch`` raise ``exc``: something beside the stream went wrong for good."""
        self._failure = exc
        with suppress(asyncio.QueueFull):
            self._frames.put_nowait(exc)

    async def lose(self, exc: NodeUnreachable | Busy) -> None:
        """Drop the connection, and come back in a while: the node is not to be had."""
        self._failed(exc)
        await self.close()

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        if self._hearing is not None:
            self._hearing.cancel()
            with suppress(asyncio.CancelledError):
                await self._hearing
            self._hearing = None
        if wire is not None:
            await wire.close()

    def _failed(self, exc: NodeUnreachable | Busy) -> None:
        self._delay.failed(exc.retry_after_s if isinstance(exc, Busy) else 0)
        if not self._is_lost:
            self._is_lost = True
            self._lost(exc)

    def _succeeded(self) -> None:
        self._delay.succeeded()
        self._is_lost = False

    async def _connect(self) -> None:
        while True:
            pause_s = self._delay.next_s()
            if pause_s:
                await self._pacing.sleep(pause_s)
            if self._failure is not None:
                raise self._failure
            try:
                hello = await self._hello()
                wire = await self._transport.stream()
                await wire.say(hello)
            except (NodeUnreachable, Busy) as exc:
                self._failed(exc)
                continue
            self._wire, self._joined_at = wire, self._pacing.now()
            self._frames = asyncio.Queue(2 * WINDOW)
            self._hearing = asyncio.create_task(self._hear(wire, self._frames))
            return

    async def _hear(self, wire: Wire, frames: asyncio.Queue[Frame | Exception]) -> None:
        try:
            while True:
                frame = await wire.hear(SILENT_S)
                if frame.get("type") == "ping":
                    await wire.say({"type": "pong"})
                else:
                    await frames.put(frame)
        except (Parted, NodeUnreachable, Malformed) as exc:
            await frames.put(exc)

    def _gather(self, frame: Frame | None) -> Batch | None:
        """Return a frame with the items that have come already behind it; None if it says none."""
        items: list[Frame] = []
        is_caught_up: bool | None = None
        while frame is not None:
            kind = frame.get("type")
            if kind == "ready":
                if not self._was_brief:  # else it says so each time, and ends it
                    self._succeeded()
            elif kind == "item":
                items.append(frame)
                is_caught_up = frame.get("more") is False
            elif kind == "behind":
                is_caught_up = frame.get("waiting") == 0 and frame.get("more") is False
            elif kind == "drain":
                asked = frame.get("reconnect_s")
                spread = asked if isinstance(asked, int) else 5
                self._delay.failed(self._pacing.chance() * min(max(spread, 0), BACKOFF_MAX_S))
            frame = self._at_hand() if len(items) < BATCH_MAX else None
        return None if is_caught_up is None else Batch(items, is_caught_up)

    def _at_hand(self) -> Frame | None:
        """Return the next frame if one has come; that the stream ended stays where it is."""
        queue: asyncio.Queue[Frame | Exception] = self._frames
        if queue.empty():
            return None
        frame = queue.get_nowait()
        if isinstance(frame, Exception):
            queue.put_nowait(frame)  # the last one: nothing comes behind it
            return None
        return frame

    async def _parted(self, why: Exception) -> None:
        await self.close()
        code = why.code if isinstance(why, Parted) else 0
        if isinstance(why, Malformed) or code == _MALFORMED:
            raise Malformed(
                f"The node and this client don't understand each other: {why}",
                safe="what was shown is kept",
                do="read the list: liaison inbox",
            )
        if code == _REPLACED:
            raise NotReady(
                "Another process follows with the key of this device",
                safe="what was shown is kept, the rest is still in the inbox",
                do="end one of them; if there is none, have the device revoked: its key was copied",
            )
        is_brief = self._pacing.now() - self._joined_at < BRIEF_S
        if self._was_brief and not is_brief:
            self._succeeded()
        if code not in (_SESSION_ENDED, _NOT_ALLOWED):
            self._delay.failed()
        elif self._was_brief and is_brief:
            self._failed(NodeUnreachable("The node ends each session as soon as it began"))
        # The first time is nothing: a new session is begun at once (STREAM-19), or says why not.
        self._was_brief = is_brief and code in (_SESSION_ENDED, _NOT_ALLOWED)


class Gathering:
    """*Delivered*, said together: after 50 ms, at once for what is urgent or fills a statement.

    ``answer`` says what is owed, and whether nothing is any more; else it is asked again later.
    """

    def __init__(
        self,
        answer: Callable[[], Awaitable[bool]],
        pacing: Pacing,
        failed: Callable[[LiaisonError], None],
    ) -> None:
        self._answer = answer
        self._pacing = pacing
        self._failed = failed
        self._delay = Delay(pacing.chance)
        self._saying = asyncio.Lock()
        self._is_closing = False
        self._waiting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def owe(self, *, is_urgent: bool) -> None:
        """Have what is owed said: now, or with what comes within 50 ms."""
        if is_urgent:
            self._begin(self._say())
        elif self._waiting is None:
            self._waiting = self._begin(self._say_in(GATHER_S))

    async def close(self) -> None:
        """Say what is still owed, if that can be done soon: else it is said the next time."""
        self._is_closing = True
        if self._waiting is not None:
            self._waiting.cancel()
            self._begin(self._say())
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _say_in(self, seconds: float) -> None:
        await self._pacing.sleep(seconds)
        # Before it is said: what is owed while a statement is under way goes with the next one.
        self._waiting = None
        await self._say()

    async def _say(self) -> None:
        try:
            async with self._saying:
                is_said = await self._answer()
        except LiaisonError as exc:
            self._failed(exc)
            return
        if is_said:
            self._delay.succeeded()
        elif self._waiting is None and not self._is_closing:
            self._delay.failed(ASK_AGAIN_S)
            self._waiting = self._begin(self._say_in(self._delay.next_s()))
