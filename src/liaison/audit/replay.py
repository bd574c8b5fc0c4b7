"""Replay: decide every record anew from nothing, and compare. design.md, law 3.

Told the fields of each entry; that a log committed to them, and who signed, is verify's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from liaison.audit.report import Difference, Differs, excerpts, printable
from liaison.audit.source import Anchors, CellRow
from liaison.audit.verify import (
    check_beginning,
    entry_differs,
    kind_of,
    read_record,
    statement_of,
)
from liaison.ledger.facts import DueFacts
from liaison.ledger.record import FIELDS, Record, fields_of
from liaison.rules.cells import (
    CELLS,
    Cell,
    CellKey,
    EncryptionKey,
    Overlay,
    World,
    spell_cell,
    spell_key,
)
from liaison.rules.decide import DueFirst, decide, decide_due, due_key, first_due
from liaison.rules.evolve import evolve
from liaison.rules.inbox import items_of, kept_at
from liaison.rules.refusal import Refused
from liaison.statements.payloads import Note, Payload
from liaison.statements.procedures import Grant, Release
from liaison.statements.statement import Statement
from liaison.words.times import MINUTE, SECOND, to_rfc3339

LATE: Final = MINUTE
"""What was due and came later than this is remarked on: a node that ran would have been in time."""
_NAMED: Final = 3

_DIGEST = b"liaison/replay/v1\0"
_BEFORE_THE_FIRST = -1


@dataclass
class Counts:
    """How much was replayed and compared."""

    records: int = 0
    due: int = 0
    cells: int = 0
    kept: int = 0


class Replay:
    """Folds records, in order, and raises ``Differs`` at the first that isn't what decide gives."""

    def __init__(self, anchors: Anchors) -> None:
        self.counts = Counts()
        self.first_at: int | None = None
        self.last_at = _BEFORE_THE_FIRST
        self._anchors = anchors
        self._world = World()
        self._changed_by: dict[CellKey, int] = {}
        self._kinds: list[str] = []
        self._kept: dict[str, bytes] = {}
        self._kept_by: dict[str, int] = {}
        self._late = 0
        self._latest: tuple[int, int] = (0, 0)
        """By how much, and which entry."""
        self._digest = hashlib.sha256(_DIGEST)

    @property
    def size(self) -> int:
        return self.counts.records

    def take(self, index: int, fields: Sequence[bytes]) -> None:
        """Replay the next record: decide must give each of its fields, byte for byte.

        One without a statement must be what was due, first of its cell, at its time.
        """
        if index != self.size:
            raise entry_differs(self.size, kind_of(fields), "index", str(self.size), str(index))
        record = read_record(index, fields)
        if record.at <= self.last_at:
            expected = f"after {self.last_at}, the time of entry {index - 1}"
            raise entry_differs(index, record.kind, "at", expected, str(record.at))
        statement = statement_of(index, record)
        if index == 0:
            check_beginning(record, statement, self._anchors)
        view = Overlay(self._world)
        if statement is None:
            decided = self._decide_due(view, index, record)
        else:
            decided = self._decide(view, index, record, statement)
        for name, due, came in zip(FIELDS, fields_of(decided), fields, strict=True):
            if due != came:
                raise entry_differs(index, record.kind, name, *excerpts(due, came))
        try:
            view.put(evolve(view, decided, index))
        except Exception as exc:
            raise _rules_fail(index, record, exc) from exc
        self._world.update(view.changes)
        self._changed_by.update(dict.fromkeys(view.changes, index))
        self._keep(view, index, decided, statement)
        self._add(*fields)
        self._kinds.append(record.kind)
        self._time(index, record)
        self.counts.records += 1
        if self.first_at is None:
            self.first_at = record.at
        self.last_at = record.at

    def _keep(
        self, view: Overlay, index: int, record: Record, statement: Statement[Payload] | None
    ) -> None:
        """Note down what a store must keep for the readers of this record."""
        kept: dict[str, str] = {}
        for item in items_of(record.facts, index):
            kept[f"inbox {item.member} {item.pos} {item.note_index}"] = (
                f"{item.kind} {item.precedence}"
            )
        said = statement.payload if statement else None
        if isinstance(said, Note):
            kept[f"content {index}"] = said.content.digest
        if isinstance(said, Note | Release | Grant):
            note_index = kept_at(record.facts, index)
            for wrap in said.wraps():
                key = view.get(EncryptionKey, wrap.key)
                assert key is not None  # decide saw it
                kept[f"wrap {note_index} {wrap.key}"] = f"{key.device} {wrap.wrap}"
        self._kept |= {name: text.encode("ascii") for name, text in kept.items()}
        self._kept_by |= dict.fromkeys(kept, index)

    def _time(self, index: int, record: Record) -> None:
        """Note down how late a record came that was due."""
        if not isinstance(record.facts, DueFacts):
            return
        self.counts.due += 1
        late = record.at - record.facts.due
        self._late += late > LATE
        self._latest = max(self._latest, (late, index))

    def _decide(
        self, view: Overlay, index: int, record: Record, statement: Statement[Payload]
    ) -> Record:
        try:
            decided = decide(view, statement, record.at)
        except Exception as exc:
            raise _rules_fail(index, record, exc) from exc
        if isinstance(decided, Record):
            return decided
        if isinstance(decided, DueFirst):
            expected = f"first {_moment(view, decided.key)}"
        elif isinstance(decided, Refused):
            expected = f"a refusal ({decided.code}: {printable(decided.text)})"
        else:
            expected = f"nothing, for it is a duplicate of entry {decided.index}"
        raise entry_differs(index, record.kind, "statement", expected, "a record")

    def _decide_due(self, view: Overlay, index: int, record: Record) -> Record:
        key = due_key(record)
        try:
            first = first_due(view, [key], record.at)
            decided = decide_due(view, key, record.at)
        except Exception as exc:
            raise _rules_fail(index, record, exc) from exc
        if decided is not None and first is not None:
            if first != key:
                expected = f"first {_moment(view, first)}"
                raise entry_differs(index, record.kind, "facts", expected, "a record")
            return decided
        cell = view.get(CELLS[key[0]], *key[1:])
        if cell is not None and cell.due is not None:
            expected = f"not before {cell.due}, when {printable(spell_key(key))} is due next"
            raise entry_differs(index, record.kind, "at", expected, str(record.at))
        expected = f"nothing, for nothing is due of {printable(spell_key(key))}"
        raise entry_differs(index, record.kind, "facts", expected, "a record")

    # At the end

    def remarks(self) -> tuple[str, ...]:
        """Say what of the due moments was late, or passed without a record."""
        said = []
        if self._late:
            late, index = self._latest
            said.append(
                f"{self._late:,} of {self.counts.due:,} due records came more than "
                f"{LATE // SECOND} s after their moment; the latest, entry {index} "
                f"({self._kinds[index]}), {late // SECOND:,} s: the node did not run, or was too busy"
            )
        passed = sorted(
            (cell.due, key)
            for key, cell in self._world.items()
            if cell is not None and cell.due is not None and cell.due + LATE < self.last_at
        )
        for due, key in passed[:_NAMED]:
            said.append(
                f"cell {printable(spell_key(key))}: what was due at {to_rfc3339(due)} has no record, "
                f"though the log went on until {to_rfc3339(self.last_at)}"
            )
        if len(passed) > _NAMED:
            said.append(f"and {len(passed) - _NAMED:,} more cells whose moment passed unrecorded")
        return tuple(said)

    def cell_rows(self) -> dict[str, bytes]:
        """Return the cells that the records lead to, as a store would have them."""
        found = {
            spell_key(key): spell_cell(cell)
            for key, cell in self._world.items()
            if cell is not None
        }
        return dict(sorted(found.items()))

    def check_cells(self, came: Sequence[CellRow]) -> None:
        """Return if a store's cells are exactly those of the fold, each row byte for byte."""
        expected = self.cell_rows()
        rows: dict[str, bytes] = {}
        for key, row in came:
            if key in rows:
                raise self._cell_differs(key, "one row", "two")
            rows[key] = row
        for key in sorted(expected.keys() | rows.keys()):
            if key not in rows:
                raise self._cell_differs(key, *excerpts(expected[key], b""))
            if key not in expected:
                raise self._cell_differs(key, "no such cell", excerpts(b"", rows[key])[1])
            if rows[key] != expected[key]:
                raise self._cell_differs(key, *excerpts(expected[key], rows[key]))
            self.counts.cells += 1

    def check_kept(self, came: Sequence[CellRow]) -> None:
        """Return if a store keeps for its readers exactly what the records lead to."""
        rows = dict(came)
        if len(rows) != len(came):
            raise Differs(Difference("what is kept for readers", "rows", "each once", "one twice"))
        dues = self._due_rows()
        kept = self._kept | {name: row for name, (row, _) in dues.items()}
        kept_by = self._kept_by | {name: self._changed_by[key] for name, (_, key) in dues.items()}
        for name in sorted(kept.keys() | rows.keys()):
            expected, found = kept.get(name), rows.get(name)
            if expected != found:
                index = kept_by.get(name)
                due = "no such row" if expected is None else printable(expected.decode("ascii"))
                seen = (
                    "no such row" if found is None else printable(found.decode("utf-8", "replace"))
                )
                kind = "" if index is None else self._kinds[index]
                raise Differs(Difference(printable(name), "row", due, seen, index=index, kind=kind))
            self.counts.kept += 1

    def _due_rows(self) -> dict[str, tuple[bytes, CellKey]]:
        """Return what a store keeps beside the cells that hold a due moment, to find them by."""
        found: dict[str, tuple[bytes, CellKey]] = {}
        for key, cell in self._world.items():
            if cell is not None and cell.due is not None:
                row = f"{getattr(cell, 'channel', None)} {cell.due}".encode("ascii")
                found[f"due {spell_key(key)}"] = row, key
        return found

    def digest(self) -> str:
        """Return the SHA-256, in hex, over all records and the cells that they lead to."""
        whole = self._digest.copy()
        for key, row in self.cell_rows().items():
            for part in (key.encode("utf-8"), row):
                whole.update(len(part).to_bytes(4, "big") + part)
        return whole.hexdigest()

    def _add(self, *parts: bytes) -> None:
        for part in parts:
            self._digest.update(len(part).to_bytes(4, "big") + part)

    def _cell_differs(self, spelled: str, expected: str, came: str) -> Differs:
        key = tuple(spelled.split(" "))
        index = self._changed_by.get(key)
        where = f"cell {printable(spelled)}"
        field = "row" if key[0] in CELLS else "key"
        kind = "" if index is None else self._kinds[index]
        return Differs(Difference(where, field, expected, came, index=index, kind=kind))


def _moment(view: Overlay, key: CellKey) -> str:
    """Return in words what goes first."""
    cell: Cell | None = view.get(CELLS[key[0]], *key[1:])
    due = 0 if cell is None or cell.due is None else cell.due
    where = printable(spell_key(key))
    return f"the record of the moment that was due at {to_rfc3339(due)} of {where}"


def _rules_fail(index: int, record: Record, exc: Exception) -> Differs:
    # A node refuses an input on which its rules fail; here it must not end the audit either.
    came = f"a record, though the rules fail on it: {type(exc).__name__}: {printable(str(exc))}"
    return entry_differs(index, record.kind, "statement", "a refusal", came)
