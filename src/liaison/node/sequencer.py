"""The sequencer: the one place where the log grows. design.md 5 ("Commit order") and 7.

A batch is decided, then (1) written in one transaction, (2) the guard takes its head, (3) its
checkpoint is signed, (4) senders are answered and readers told. Nobody sees an effect before.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import structlog

from liaison.ledger.entry import LEAF_KEY_BYTES, Opening, commit_to
from liaison.ledger.facts import NodeFacts
from liaison.ledger.receipt import spell_extra
from liaison.ledger.record import Record, fields_of
from liaison.node.cellar import Cellar
from liaison.node.clockwatch import ClockWatch
from liaison.node.delivery import Delivery
from liaison.node.ports import (
    Batch,
    ContentRow,
    EntryRow,
    Guard,
    Head,
    HeadMoved,
    WrapRow,
    Writer,
)
from liaison.node.queueing import Queue
from liaison.rules.cells import Cell, EncryptionKey, Overlay, View
from liaison.rules.decide import Duplicate, decide
from liaison.rules.evolve import evolve
from liaison.rules.inbox import items_of
from liaison.rules.refusal import Refused
from liaison.statements.payloads import Node
from liaison.statements.statement import Statement
from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.tlog.merkle import Grown, check_inclusion, leaf_hash
from liaison.tlog.note import SignerKey
from liaison.tlog.proof import TlogProof
from liaison.tlog.tiles import Edge
from liaison.words.errors import Busy, ClockSuspect, CommitFailed

BATCH_MAX: Final = 64
"""Bounds how long FLASH waits for the batch before it. Measured with 128 senders: 16 costs a quarter
of the rate, 128 gains a tenth; batches closed by time come with admission by precedence."""
QUEUE_MAX: Final = 4096
RECENT_KEPT: Final = 1024

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


@dataclass(frozen=True)
class Logged:
    """An entry as receipts show it, all eight fields opened."""

    index: int
    digest: str
    entry: bytes
    openings: tuple[Opening, ...] = field(repr=False)

    @cached_property
    def _extra(self) -> bytes:
        return spell_extra(self.entry, self.openings)

    def receipt(self, hashes: tuple[bytes, ...], checkpoint: str) -> str:
        """Return the entry's receipt under a checkpoint that ``hashes`` lead to (RCPT)."""
        return TlogProof(self.index, hashes, checkpoint, self._extra).to_text()


def logged(row: EntryRow) -> Logged:
    """Return a stored entry as receipts show it."""
    entry, openings = commit_to(row.fields, row.leaf_key)
    return Logged(row.index, row.digest, entry, openings)


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


@dataclass
class _Decided:
    """A record of a batch on its way into the log."""

    waiting: _Waiting
    record: Record
    row: EntryRow
    logged: Logged


def no_crash(_: str) -> None:
    """Crash points are passed through; tests put something here that kills the process."""


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
    recent: dict[int, Logged] = field(default_factory=dict)
    """The newest entries, for readers who are online."""
    _queue: Queue[_Waiting] = field(default_factory=Queue)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _deciding: list[_Waiting] = field(default_factory=list)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="writer")
    )

    @property
    def waiting(self) -> int:
        """How many statements wait to be decided."""
        return self._queue.waiting

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
        if self._queue.waiting >= QUEUE_MAX:
            raise Busy(f"{QUEUE_MAX} statements wait already", do="send the same again")
        waiting = _Waiting(submitted, asyncio.get_running_loop().create_future(), taken)
        self._queue.put(waiting, submitted.band)
        self._wake.set()
        return await waiting.future

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
                while self._queue.waiting:
                    await self._batch(self._next_batch())
                if self._stopping:
                    return
        except BaseException:
            self._end()
            raise
        finally:
            self._thread.shutdown(wait=True)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._queue.waiting and len(batch) < BATCH_MAX:
            waiting = self._queue.take()
            waiting.taken()
            batch.append(waiting)
        return batch

    def _end(self) -> None:
        """Let nobody wait for an answer that won't come."""
        self._stopping = True
        for waiting in self._deciding:
            # Not Busy: it may be in the log, and only a node that takes the log up again can say.
            _fail(waiting, Fatal("the node ended while it committed this"))
        while self._queue.waiting:
            waiting = self._queue.take()
            _fail(waiting, Busy("the node is stopping", safe="nothing of it happened"))

    async def _batch(self, taken: list[_Waiting]) -> None:
        batch = self._while_suspect(taken)
        if not batch:
            return
        self._deciding = batch
        failed = await self.cellar.load_for(waiting.submitted.statement for waiting in batch)
        overlay = Overlay(self.cellar.cells)
        decided, others = self._decide(
            [waiting for place, waiting in enumerate(batch) if place not in failed], overlay
        )
        others += [(batch[place], _poison(batch[place], exc)) for place, exc in failed.items()]
        if decided:
            try:
                await self._commit(decided, overlay)
            except CommitFailed as exc:
                for waiting in batch:
                    _fail(waiting, exc)
                return
        for waiting, outcome in others:
            _resolve(waiting, outcome)
        self._deciding = []
        self.cellar.trim()

    def _while_suspect(self, taken: list[_Waiting]) -> list[_Waiting]:
        """Let everything pass while the clock is believed; else only its confirmation."""
        suspicion = self.suspicion()
        if suspicion is None:
            return taken
        passing: list[_Waiting] = []
        for waiting in taken:
            payload = waiting.submitted.statement.payload
            if isinstance(payload, Node) and payload.event == "time-confirmed":
                passing.append(waiting)
                continue
            _fail(
                waiting,
                ClockSuspect(
                    suspicion,
                    safe="nothing was committed",
                    do="the operator sets the clock right, or confirms it: liaison node confirm-time",
                    retry_after_s=30,
                ),
            )
        return passing

    def _decide(
        self, batch: Sequence[_Waiting], overlay: Overlay
    ) -> tuple[list[_Decided], list[tuple[_Waiting, Outcome]]]:
        at, index = self.published.head.at, self.published.head.size
        decided: list[_Decided] = []
        others: list[tuple[_Waiting, Outcome]] = []
        for waiting in batch:
            at = max(at + 1, self.clock.clock.now())
            statement = waiting.submitted.statement
            changes: list[Cell] = []
            try:
                outcome = decide(overlay, statement, at)
                if isinstance(outcome, Record):
                    changes = evolve(overlay, outcome, index)
            except Exception as exc:  # noqa: BLE001 it refuses this input and stops no other
                outcome = _poison(waiting, exc)
            if not isinstance(outcome, Record):
                others.append((waiting, outcome))
                continue
            overlay.put(changes)
            decided.append(_entry(waiting, outcome, index))
            index += 1
        return decided, others

    async def _commit(self, decided: list[_Decided], overlay: Overlay) -> None:
        previous = self.published
        grown = previous.edge.head.append([leaf_hash(d.row.entry) for d in decided])
        edge, tiles = previous.edge.follow(grown)
        head = Head(grown.frontier.size, grown.root, decided[-1].record.at)
        rows = [row for d in decided for row in items_of(d.record.facts, d.row.index)]
        batch = Batch(
            previous=previous.head if previous.head.size else None,
            head=head,
            entries=[d.row for d in decided],
            tiles=tiles,
            cells=list(overlay.changes.values()),
            inbox=rows,
            contents=[
                ContentRow(d.row.index, d.waiting.submitted.content)
                for d in decided
                if d.waiting.submitted.content is not None
            ],
            wraps=[
                WrapRow(d.row.index, key, _device(overlay, key), wrap)
                for d in decided
                for key, wrap in d.waiting.submitted.wraps
            ],
        )
        loop = asyncio.get_running_loop()
        checkpoint = await loop.run_in_executor(self._thread, self._write, batch)
        self.crash_point("before-answer")
        self.published = Published(head, checkpoint, edge)
        self.cellar.merge(overlay.changes)
        for d in decided:
            if isinstance(d.record.facts, NodeFacts) and d.record.facts.event == "time-confirmed":
                self.clock.confirm(head.at)
        self._keep_recent(decided)
        self.delivery.publish(rows)
        for d in decided:
            _resolve(d.waiting, Accepted(_receipt(d, grown, checkpoint)))
        self.crash_point("after-answer")

    def _keep_recent(self, decided: Sequence[_Decided]) -> None:
        for d in decided:
            self.recent[d.row.index] = d.logged
        while len(self.recent) > RECENT_KEPT:
            del self.recent[next(iter(self.recent))]

    def _write(self, batch: Batch) -> str:
        """Steps 1 to 3, in the writer thread."""
        self.crash_point("before-commit")
        try:
            self.writer.commit(batch)
        except Exception as exc:  # noqa: BLE001 whatever it was, only the head tells what happened
            self._after_failure(batch, exc)
        self.crash_point("after-commit")
        self.guard.advance(batch.head)
        self.crash_point("after-guard")
        checkpoint = Checkpoint(self.signer.name, batch.head.size, batch.head.root)
        text = sign_checkpoint(checkpoint, self.signer)
        self.crash_point("after-sign")
        return text

    def _after_failure(self, batch: Batch, exc: Exception) -> None:
        """Return if the batch is in the store after all; else nothing of it is, or all ends."""
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
        raise CommitFailed(
            "the node could not store this",
            safe="nothing of it happened",
            do="send the same again; the operator finds the cause in the journal",
            retry_after_s=5,
        ) from exc


def _poison(waiting: _Waiting, exc: Exception) -> Refused:
    statement = waiting.submitted.statement
    log.error("poison", kind=statement.kind, payload=statement.payload_digest, exc_info=exc)
    return Refused("poison", "the node failed on this statement; it is journalled")


def _entry(waiting: _Waiting, record: Record, index: int) -> _Decided:
    fields = fields_of(record)
    leaf_key = secrets.token_bytes(LEAF_KEY_BYTES)
    digest = waiting.submitted.statement.digest
    entry, openings = commit_to(fields, leaf_key)
    row = EntryRow(index, entry, leaf_key, fields, digest)
    return _Decided(waiting, record, row, Logged(index, digest, entry, openings))


def _device(view: View, key: str) -> str:
    held = view.get(EncryptionKey, key)
    assert held is not None  # decide saw it
    return held.device


def _receipt(decided: _Decided, grown: Grown, checkpoint: str) -> str:
    row = decided.row
    hashes = grown.inclusion_proof(row.index)
    # Nothing leaves that the receiver would find false (log-notes: recompute before handing out).
    check_inclusion(leaf_hash(row.entry), row.index, grown.frontier.size, hashes, grown.root)
    return decided.logged.receipt(hashes, checkpoint)


def _resolve(waiting: _Waiting, outcome: Outcome) -> None:
    if not waiting.future.done():
        waiting.future.set_result(outcome)


def _fail(waiting: _Waiting, exc: Exception) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(exc)
