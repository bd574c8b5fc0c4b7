"""The shape of a ruling: what a statement kind or a moment needs, how it is decided, what it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from liaison.ledger.facts import DueFacts, Facts
from liaison.ledger.record import Record, Urgency
from liaison.rules.cells import C, Cell, CellKey, View
from liaison.rules.refusal import Refused
from liaison.statements.statement import Statement
from liaison.words.times import DAY

TRAVELLING_LAPSE_MAX: Final = 400 * DAY
RULES_VERSIONS: Final = frozenset({1, 2})
NEWEST_RULES: Final = max(RULES_VERSIONS)


class Peek(Protocol):
    """What is loaded so far: a cell, or None where it is absent or not loaded yet."""

    def __call__(self, cell: type[C], *ids: str) -> C | None: ...


@dataclass(frozen=True)
class Drafted:
    """What a kind's decide adds to the record; the dispatcher fills in the rest."""

    facts: Facts
    note: str = ""
    urgency: Urgency = field(default_factory=Urgency)


def _nothing(_: Statement[Any], __: Peek) -> Iterable[CellKey]:
    return ()


@dataclass(frozen=True)
class Ruling:
    """One statement kind.

    ``scope`` names what counts the record: a channel, a party or the origin. ``needs`` is asked
    again while it names cells that aren't loaded: a key statement is read before its holder.
    ``timed`` names those cells among its needs whose due moments are decided before it: all that it
    reads, or changes, and that time may change.
    """

    scope: Callable[[Statement[Any]], str]
    needs: Callable[[Statement[Any], Peek], Iterable[CellKey]]
    decide: Callable[[View, Statement[Any], int], Drafted | Refused]
    evolve: Callable[[View, Record, int], Iterable[Cell]]
    timed: Callable[[Statement[Any], Peek], Iterable[CellKey]] = _nothing


@dataclass(frozen=True)
class Fallen:
    """What a moment's decide adds to the record; the dispatcher fills in the rest."""

    kind: str
    facts: DueFacts
    urgency: Urgency
    note: str = ""


@dataclass(frozen=True)
class DueRuling:
    """One kind of cell that holds moments, and the kinds of record that they make.

    ``before`` names the cells that its first moment reads and that time may change: what was due
    of them goes first. ``stands_on`` names those of whose moments it is a part, due itself or not:
    who reads it reads them.
    """

    kinds: frozenset[str]
    key: Callable[[Any], CellKey]
    needs: Callable[[Any, Peek], Iterable[CellKey]]
    decide: Callable[[View, Any], Fallen]
    evolve: Callable[[View, Record, int], Iterable[Cell]]
    before: Callable[[Any, Peek], Iterable[CellKey]]
    stands_on: Callable[[Any], Iterable[CellKey]]
