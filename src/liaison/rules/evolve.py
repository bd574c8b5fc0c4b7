"""Evolve: a record at its index gives the cells that change. design.md, law 3.

It reads facts and cells, never the statement.
"""

from __future__ import annotations

from liaison.ledger.facts import Stated
from liaison.ledger.record import Record
from liaison.rules.cells import Cell, Counter, Taken, View
from liaison.rules.decide import RULINGS
from liaison.rules.moments import DUE_KINDS


def evolve(view: View, record: Record, index: int) -> list[Cell]:
    """Return the cells as they are after ``record``, which is entry ``index`` of the log."""
    scope = record.channel.id
    changed: list[Cell] = [Counter(scope=scope, n=record.channel.n)]
    if isinstance(record.facts, Stated):
        changed.append(Taken(scope=scope, payload=record.facts.payload, index=index))
        return [*changed, *RULINGS[record.kind].evolve(view, record, index)]
    return [*changed, *DUE_KINDS[record.kind].evolve(view, record, index)]
