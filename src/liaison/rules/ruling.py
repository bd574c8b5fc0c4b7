"""The shape of a ruling: what one statement kind needs, how it is decided, what it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from liaison.ledger.facts import Facts
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
