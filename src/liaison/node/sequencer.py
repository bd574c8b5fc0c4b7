"""The sequencer: the one place where the log grows. design.md 5 ("Commit order") and 7.

A batch is decided, then (1) written in one transaction, (2) the guard takes its head, (3) its
checkpoint is signed, (4) senders are answered and readers told. Nobody sees an effect before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from liaison.ledger.facts import DueFacts, NodeFacts, RungFacts
from liaison.node.cellar import Asks, Cellar
from liaison.node.clockwatch import ClockWatch
from liaison.node.deciding import Deciding, Entered, Turn, poison
from liaison.node.delivery import Delivery
from liaison.node.figures import Figures, level_of, seconds
from liaison.node.newest import Newest
from liaison.node.pace import Pace
from liaison.node.ports import (
    Batch,
    ContentRow,
    Guard,
    Head,
    HeadMoved,
    StoreFull,
    WrapRow,
    Writer,
)
from liaison.node.queueing import NOBODY, Owner, Queue
from liaison.rules.cells import Cell, CellKey, EncryptionKey, View
from liaison.rules.decide import DueFirst, Duplicate, due_needs, needs
from liaison.rules.inbox import items_of, kept_at
from liaison.rules.refusal import Refused
from liaison.statements.payloads import Node
from liaison.statements.statement import Statement
from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.tlog.merkle import Grown, check_inclusion, leaf_hash
from liaison.tlog.note import SignerKey
from liaison.tlog.tiles import Edge
from liaison.words.errors import Busy, ClockSuspect, CommitFailed
from liaison.words.precedence import STOP_BAND

QUEUE_MAX: Final = 4096
"""So many wait, of one band and those above: what is less urgent turns away nothing more urgent."""
BESIDE_DUE: Final = 8
"""So many units at least are taken beside due moments: those of an outage may be very many."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Fatal(Exception):
    """The process must end: what it holds in memory may not be what is on disk."""


@dataclass(frozen=True)
class Submitted:
    """A statement whose form, signature and content were checked. ``band`` orders it."""

    statement: Statement[Any]
    band: int
    content: bytes | None = field(default=None, repr=False)
    wraps: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    """(digest of the key statement, wrap)."""
    owner: Owner = NOBODY
    """Whose turns it takes."""

    @property
    def units(self) -> int:
        """About how many times the work of a small statement it is.

        Long ones name many notes or wraps, each of which is looked at; content is only written.
        """
        return 1 + len(self.statement.raw) // 8192 + len(self.content or b"") // 65536


@dataclass(frozen=True)
class Accepted:
    receipt: str


Outcome = Accepted | Duplicate | Refused


@dataclass(frozen=True)
class Published:
    """The newest head that was signed, with what proofs under it need."""

    head: Head
    checkpoint: str
    edge: Edge


@dataclass
class _Waiting:
    submitted: Submitted
    future: asyncio.Future[Outcome]
    taken: Callable[[], None]
    since: int
    """When it came here, in microseconds as records have them."""

    @property
    def units(self) -> int:
        return self.submitted.units

    def asks(self) -> list[Asks]:
        return [partial(needs, self.submitted.statement)]


@dataclass
class _Due:
    """Cells that time alone may have changed by now; ``future`` gets how many moments took effect."""

    keys: tuple[CellKey, ...]
    until: Turn | None
    most: int
    future: asyncio.Future[int]

    @property
    def units(self) -> int:
        return self.most

    def asks(self) -> list[Asks]:
        return [partial(due_needs, key) for key in self.keys]


def no_crash(_: str) -> None:
    """Crash points are passed through; tests put something here that kills the process."""


def no_room_needed(_: int) -> None:
    """A store that isn't on a disk of ours makes its own room."""


def no_store_full() -> None:
    """Nobody asks how its disk fares."""


@dataclass
class Sequencer:
    """State between batches: the head, the right edge of the tiles, the newest checkpoint."""

    cellar: Cellar
    writer: Writer
    guard: Guard
    signer: SignerKey
    clock: ClockWatch
    delivery: Delivery
    published: Published
    crash_point: Callable[[str], None] = no_crash
    make_room: Callable[[int], object] = no_room_needed
    """Called in the writer's thread before so many bytes are written."""
    store_full: Callable[[], object] = no_store_full
    """Called in the writer's thread when the store said that its disk is full."""
    newest: Newest = field(default_factory=Newest)
    pace: Pace = field(default_factory=Pace)
    figures: Figures = field(default_factory=Figures)
    set_aside: set[CellKey] = field(default_factory=set)
    """Cells on whose due moments the rules failed: not tried again by this process."""
    _followers: list[Callable[[Mapping[CellKey, Cell]], None]] = field(default_factory=list)
    _queue: Queue[_Waiting | _Due] = field(default_factory=Queue)
    _carried: list[_Waiting | _Due] = field(default_factory=list)
    """Those before which more was due than their batch took: first in the next one."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _deciding: list[_Waiting | _Due] = field(default_factory=list)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="writer")
    )

    @property
    def waiting(self) -> int:
        """How many statements wait to be decided."""
        return self._queue.waiting

    @property
    def waiting_by_band(self) -> Mapping[int, int]:
        """How many statements and due moments wait to be decided, by their band."""
        return self._queue.by_band

    def suspicion(self) -> str | None:
        """Return in words why nothing is committed now, or None."""
        return self.clock.suspicion(self.published.head.at)

    async def submit(
        self, submitted: Submitted, *, taken: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Return the outcome once it is in the log, or was refused.

        ``taken`` is called when a batch takes it.

        Raises:
            ClockSuspect, CommitFailed, Busy: nothing happened; the same may be sent again.
        """
        if self._stopping:
            raise Busy("the node is stopping", do="send the same again in a few seconds")
        if self._queue.at_least(submitted.band) >= QUEUE_MAX:
            raise Busy(f"{QUEUE_MAX} statements wait already", do="send the same again")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(submitted, future, taken, self.clock.clock.now())
        self._queue.put(waiting, submitted.band, submitted.owner)
        self._wake.set()
        return await waiting.future

    async def fire(self, keys: Sequence[CellKey], *, until: Turn | None, most: int) -> int:
        """Decide what is due of these cells before the turn ``until``; return how many moments took effect.

        Their records are in the log then. None takes effect while the clock is suspect.

        Raises:
            CommitFailed, Busy: none did.
        """
        if self._stopping:
            raise Busy("the node is stopping")
        due = _Due(tuple(keys), until, most, asyncio.get_running_loop().create_future())
        self._queue.put(due, STOP_BAND)
        self._wake.set()
        return await due.future

    def follow(self, tell: Callable[[Mapping[CellKey, Cell]], None]) -> None:
        """Have ``tell`` called with the cells that a batch changed, after each commit."""
        self._followers.append(tell)

    async def stop(self) -> None:
        """Take nothing more; ``run`` returns when what waits has been answered."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Decide and commit batches until stopped. Whatever escapes ends the process."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue.waiting or self._carried:
                    await self._batch(self._next_batch())
                    # Who was answered may hand in what goes before all that waits: timers do.
                    await asyncio.sleep(0)
                if self._stopping:
                    return
        except BaseException:
            self._end()
            raise
        finally:
            self._thread.shutdown(wait=True)

    def _next_batch(self) -> list[_Waiting | _Due]:
        batch: list[_Waiting | _Due] = self._carried
        self._carried = []
        room = self.pace.room - sum(each.units for each in batch)
        while self._queue.waiting and (room > 0 or not batch):
            each = self._queue.take()
            if isinstance(each, _Waiting):
                each.taken()
            room -= each.units
            if isinstance(each, _Due):
                room = max(room, BESIDE_DUE)
            batch.append(each)
        return batch

    def _end(self) -> None:
        """Let nobody wait for an answer that won't come."""
        self._stopping = True
        for each in self._deciding:
            # Not Busy: it may be in the log, and only a node that takes the log up again can say.
            _fail(each, Fatal("the node ended while it committed this"))
        while self._queue.waiting:
            self._carried.append(self._queue.take())
        for each in self._carried:
            _fail(each, Busy("the node is stopping", safe="nothing of it happened"))

    async def _batch(self, taken: list[_Waiting | _Due]) -> None:
        batch = self._while_suspect(taken)
        if not batch:
            return
        self._deciding = batch
        taken_at = self._now()
        self.figures.batch_size.observe(len(batch))
        asks = [(place, ask) for place, each in enumerate(batch) for ask in each.asks()]
        failed = await self.cellar.load_all(ask for _, ask in asks)
        began = self._now()
        deciding = Deciding(self.cellar, self.published.head, self.clock.clock, self.set_aside)
        unfit = {asks[n][0]: exc for n, exc in failed.items()}
        accepted, others = await self._decide(batch, unfit, deciding)
        worked = self._now() - began
        if deciding.entered:
            try:
                worked += await self._commit(deciding, accepted)
            except CommitFailed as exc:
                for each in batch:
                    _fail(each, exc)
                self._deciding, self._carried = [], []
                return
        for answer in others:
            answer()
        self._deciding = []
        self.figures.batch_time.observe(seconds(self._now() - taken_at))
        self.pace.took(sum(each.units for each in batch), worked)
        self.cellar.trim()

    def _now(self) -> int:
        return self.clock.clock.since_boot()

    def _while_suspect(self, taken: list[_Waiting | _Due]) -> list[_Waiting | _Due]:
        """Let everything pass while the clock is believed; else only its confirmation."""
        suspicion = self.suspicion()
        if suspicion is None:
            return taken
        passing: list[_Waiting | _Due] = []
        for each in taken:
            if isinstance(each, _Due):
                _resolve(each.future, 0)
                continue
            payload = each.submitted.statement.payload
            if isinstance(payload, Node) and payload.event == "time-confirmed":
                passing.append(each)
                continue
            _fail(
                each,
                ClockSuspect(
                    suspicion,
                    safe="nothing was committed",
                    do="the operator sets the clock right, or confirms it: liaison node confirm-time",
                    retry_after_s=30,
                ),
            )
        return passing

    async def _decide(
        self, batch: Sequence[_Waiting | _Due], unfit: Mapping[int, Exception], deciding: Deciding
    ) -> tuple[list[tuple[_Waiting, Entered]], list[Callable[[], None]]]:
        """Return the statements that become entries, and how to answer all others after the commit."""
        accepted: list[tuple[_Waiting, Entered]] = []
        others: list[Callable[[], None]] = []
        for place, each in enumerate(batch):
            if isinstance(each, _Due):
                fired = await deciding.due(each.keys, until=each.until, most=each.most)
                others.append(partial(_resolve, each.future, fired))
                continue
            statement = each.submitted.statement
            if place in unfit:
                others.append(partial(_resolve, each.future, poison(statement, unfit[place])))
                continue
            outcome = await deciding.statement(statement)
            if isinstance(outcome, Entered):
                accepted.append((each, outcome))
            elif isinstance(outcome, DueFirst):
                self._carried.append(each)
            else:
                others.append(partial(_resolve, each.future, outcome))
        return accepted, others

    async def _commit(
        self, deciding: Deciding, accepted: Sequence[tuple[_Waiting, Entered]]
    ) -> int:
        """Make a batch true, in the fixed order; return how long that held up the loop."""
        began = self._now()
        previous = self.published
        entered, overlay = deciding.entered, deciding.overlay
        grown = previous.edge.head.append([leaf_hash(e.row.entry) for e in entered])
        edge, tiles = previous.edge.follow(grown)
        head = Head(grown.frontier.size, grown.root, deciding.at)
        rows = [row for e in entered for row in items_of(e.record.facts, e.row.index)]
        batch = Batch(
            previous=previous.head if previous.head.size else None,
            head=head,
            entries=[e.row for e in entered],
            tiles=tiles,
            cells=list(overlay.changes.values()),
            inbox=rows,
            contents=[
                ContentRow(e.row.index, waiting.submitted.content)
                for waiting, e in accepted
                if waiting.submitted.content is not None
            ],
            wraps=[
                WrapRow(kept_at(e.record.facts, e.row.index), key, _device(overlay, key), wrap)
                for waiting, e in accepted
                for key, wrap in waiting.submitted.wraps
            ],
        )
        handed = self._now()
        loop = asyncio.get_running_loop()
        checkpoint = await loop.run_in_executor(self._thread, self._write, batch)
        answering = self._now()
        self.crash_point("before-answer")
        self.published = Published(head, checkpoint, edge)
        self.cellar.merge(overlay.changes)
        if any(_confirms(e) for e in entered):
            self.clock.confirm(head.at)
        self.newest.take(entered, batch)
        for tell in self._followers:
            tell(overlay.changes)
        self._measure(entered)
        for waiting, e in accepted:
            level = level_of(waiting.submitted.band)
            self.figures.admit_to_at.labels(level).observe(seconds(e.record.at - waiting.since))
            _resolve(waiting.future, Accepted(_receipt(e, grown, checkpoint)))
        # Behind the senders: there may be very many to be told.
        self.delivery.publish(rows)
        self.crash_point("after-answer")
        return handed - began + self._now() - answering

    def _measure(self, entered: Iterable[Entered]) -> None:
        for e in entered:
            facts = e.record.facts
            if isinstance(facts, DueFacts):
                self.figures.moments.inc()
            if isinstance(facts, RungFacts):
                self.figures.lateness.observe(seconds(e.record.at - facts.due))

    def _write(self, batch: Batch) -> str:
        """Steps 1 to 3, in the writer thread."""
        self.crash_point("before-commit")
        began = self._now()
        self.make_room(_bytes(batch))
        try:
            self.writer.commit(batch)
        except Exception as exc:  # noqa: BLE001 whatever it was, only the head tells what happened
            self._after_failure(batch, exc)
        committed = self._now()
        self.figures.commit_time.observe(seconds(committed - began))
        self.crash_point("after-commit")
        self.guard.advance(batch.head)
        self.figures.guard_time.observe(seconds(self._now() - committed))
        self.crash_point("after-guard")
        checkpoint = Checkpoint(self.signer.name, batch.head.size, batch.head.root)
        text = sign_checkpoint(checkpoint, self.signer)
        self.crash_point("after-sign")
        return text

    def _after_failure(self, batch: Batch, exc: Exception) -> None:
        """Return if the batch is in the store after all; else nothing of it is, or all ends."""
        self.figures.commits_failed.inc()
        log.error("commit-failed", error=repr(exc), size=batch.head.size)
        if isinstance(exc, HeadMoved):
            raise Fatal("another process wrote to this log") from exc
        try:
            head = self.writer.head()
        except Exception as again:
            raise Fatal("the store can't be read after a failed commit") from again
        if head == batch.head:
            return
        if head != batch.previous:
            raise Fatal("another process wrote to this log") from exc
        why = ""
        if isinstance(exc, StoreFull):
            self.store_full()
            why = ": its store says that its disk is full"
        raise CommitFailed(
            f"the node could not store this{why}",
            safe="nothing of it happened",
            do="send the same again; the operator finds the cause in the journal",
            retry_after_s=5,
        ) from exc


def _confirms(entered: Entered) -> bool:
    facts = entered.record.facts
    return isinstance(facts, NodeFacts) and facts.event == "time-confirmed"


def _bytes(batch: Batch) -> int:
    """Return about what a batch takes on disk: fields, entry, cells, rows of the inbox, indexes."""
    content = sum(len(row.ciphertext) for row in batch.contents) + 2048 * len(batch.wraps)
    fields = sum(sum(map(len, row.fields)) for row in batch.entries)
    return content + 2 * fields + 4096 * (len(batch.entries) + len(batch.cells) + len(batch.inbox))


def _device(view: View, key: str) -> str:
    held = view.get(EncryptionKey, key)
    assert held is not None  # decide saw it
    return held.device


def _receipt(entered: Entered, grown: Grown, checkpoint: str) -> str:
    row = entered.row
    hashes = grown.inclusion_proof(row.index)
    # Nothing leaves that the receiver would find false (log-notes: recompute before handing out).
    check_inclusion(leaf_hash(row.entry), row.index, grown.frontier.size, hashes, grown.root)
    return entered.logged.receipt(hashes, checkpoint)


def _resolve(future: asyncio.Future[T], outcome: T) -> None:
    if not future.done():
        future.set_result(outcome)


def _fail(each: _Waiting | _Due, exc: Exception) -> None:
    if not each.future.done():
        each.future.set_exception(exc)
