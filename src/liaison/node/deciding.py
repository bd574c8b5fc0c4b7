"""Deciding: what a batch's inputs make of the state, before any of it is true. design.md, laws 3 and 5.

A statement is decided after all that was due before it of the cells that it reads. What the rules
raise refuses one input and stops no other.
"""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final, TypeVar

import structlog

from liaison.ledger.entry import LEAF_KEY_BYTES, Opening, commit_to
from liaison.ledger.facts import Stated
from liaison.ledger.receipt import spell_extra
from liaison.ledger.record import Record, fields_of
from liaison.node.cellar import Cellar
from liaison.node.ports import Clock, EntryRow, Head
from liaison.rules.cells import CELLS, TIMED, C, Cell, CellKey, Overlay, Undeclared, spell_key
from liaison.rules.decide import DueFirst, Duplicate, decide, decide_due, due_needs, needs
from liaison.rules.evolve import evolve
from liaison.rules.moments import DUES
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Peek
from liaison.statements.statement import Statement
from liaison.tlog.proof import TlogProof

MOMENTS_MAX: Final = 256
"""Due records in one batch at most; a statement that needs more waits for the next one."""

T = TypeVar("T")
Turn = tuple[int, CellKey]
"""A due moment and its cell, in the order in which moments are decided."""

log = structlog.get_logger(__name__)


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
class Entered:
    """A record of a batch on its way into the log."""

    record: Record
    row: EntryRow
    logged: Logged


class NotDue(Exception):
    """A moment is due and can't be decided: the rules make nothing of it, or of one before it."""


class Deciding:
    """One batch: its overlay over what is committed, and the entries that it leads to.

    ``set_aside`` are cells on whose moments the rules failed; it outlives the batch.
    """

    def __init__(self, cellar: Cellar, head: Head, clock: Clock, set_aside: set[CellKey]) -> None:
        self.overlay = Overlay(cellar.cells)
        self.entered: list[Entered] = []
        self.moments = 0
        self._changed: list[CellKey] = []
        self._cellar = cellar
        self._clock = clock
        self._at = head.at
        self._index = head.size
        self._set_aside = set_aside

    @property
    def at(self) -> int:
        """The time of the last record."""
        return self.entered[-1].record.at

    async def statement(
        self, statement: Statement[Any]
    ) -> Entered | Duplicate | Refused | DueFirst:
        """Decide a statement, and before it what is due of the cells that it reads.

        ``DueFirst`` is returned where there is more of that than this batch takes.
        """
        asks = partial(needs, statement)
        while True:
            at = self._next_at()
            try:
                outcome, changes = await self._decided(
                    asks, partial(decide, self.overlay, statement, at)
                )
            except Exception as exc:  # noqa: BLE001 it refuses this input and stops no other
                return poison(statement, exc)
            if isinstance(outcome, DueFirst):
                if outcome.key in self._set_aside:
                    return _held_up(statement, outcome.key)
                if self.moments >= MOMENTS_MAX:
                    return outcome
                if not await self._moment(outcome.key, at):
                    return _held_up(statement, outcome.key)
                continue
            if isinstance(outcome, Record):
                return self._enter(outcome, changes)
            return outcome

    async def due(self, keys: Sequence[CellKey], *, until: Turn | None, most: int) -> int:
        """Decide the moments of these cells that are due, in their order, those before ``until``.

        At most ``most``; return how many took effect. A moment's effect may be the next moment,
        of the same cell or another: it takes its place in the order.
        """
        fired = 0
        waiting: list[Turn] = []
        for key in keys:
            self._push(waiting, key)
        while waiting and fired < most and self.moments < MOMENTS_MAX:
            turn = due, key = heapq.heappop(waiting)
            at = self._next_at()
            if due > at or (until is not None and turn >= until):
                break
            if self._due_of(key) != due or key in self._set_aside:
                continue
            if await self._moment(key, at):
                fired += 1
                for changed in self._changed:
                    self._push(waiting, changed)
        return fired

    def _push(self, waiting: list[Turn], key: CellKey) -> None:
        due = self._due_of(key)
        if due is not None:
            heapq.heappush(waiting, (due, key))

    def _due_of(self, key: CellKey) -> int | None:
        cell = self._peek(CELLS[key[0]], *key[1:])
        return None if cell is None else cell.due

    async def _moment(self, key: CellKey, at: int) -> bool:
        """Enter the record of a cell's first moment, which is due; False if the rules fail on it."""
        before = self._peek(CELLS[key[0]], *key[1:])
        assert before is not None
        try:
            if not self._set_aside.isdisjoint(DUES[key[0]].before(before, self._peek)):
                raise NotDue(f"{spell_key(key)} reads a cell that was set aside")
            record, changes = await self._decided(
                partial(due_needs, key), partial(decide_due, self.overlay, key, at)
            )
            after = next((cell for cell in changes if cell.key == key), before)
            if record is None or after == before:
                # Deciding it again and again would fill the log with nothing.
                raise NotDue(f"{spell_key(key)} at {at}")
        except Exception as exc:
            self._set_aside.add(key)
            log.critical("poison-moment", cell=spell_key(key), at=at, exc_info=exc)
            return False
        self.moments += 1
        self._enter(record, changes)
        return True

    async def _decided(
        self, asks: Callable[[Peek], set[CellKey]], decides: Callable[[], T]
    ) -> tuple[T, list[Cell]]:
        """Return an outcome, and for a record the cells that it changes.

        What an input needs was asked before the batch began; an earlier input may have changed that.
        """
        try:
            return self._evolved(decides())
        except Undeclared:
            failed = await self._cellar.load_all([asks], peek=self._peek)
            if failed:
                raise failed[0] from None
            return self._evolved(decides())

    def _evolved(self, outcome: T) -> tuple[T, list[Cell]]:
        if isinstance(outcome, Record):
            return outcome, evolve(self.overlay, outcome, self._index)
        return outcome, []

    def _enter(self, record: Record, changes: Sequence[Cell]) -> Entered:
        fields = fields_of(record)
        leaf_key = secrets.token_bytes(LEAF_KEY_BYTES)
        digest = record.facts.statement if isinstance(record.facts, Stated) else ""
        entry, openings = commit_to(fields, leaf_key)
        row = EntryRow(self._index, entry, leaf_key, fields, digest)
        entered = Entered(record, row, Logged(self._index, digest, entry, openings))
        self.overlay.put(changes)
        self._changed = [cell.key for cell in changes if cell.name in TIMED]
        self.entered.append(entered)
        self._index += 1
        return entered

    def _next_at(self) -> int:
        self._at = max(self._at + 1, self._clock.now())
        return self._at

    def _peek(self, cell: type[C], *ids: str) -> C | None:
        changed = self.overlay.changes.get(cell.key_of(*ids))
        if changed is None:
            return self._cellar.peek(cell, *ids)
        assert isinstance(changed, cell)
        return changed


def poison(statement: Statement[Any], exc: Exception) -> Refused:
    """Journal what the rules raised on a statement; return its refusal."""
    log.error("poison", kind=statement.kind, payload=statement.payload_digest, exc_info=exc)
    return Refused("poison", "the node failed on this statement; it is journalled")


def _held_up(statement: Statement[Any], key: CellKey) -> Refused:
    log.error("poison", kind=statement.kind, payload=statement.payload_digest, cell=spell_key(key))
    return Refused("poison", "the node failed on what was due before this; it is journalled")
