"""Decide: a statement at a moment gives a record, a refusal, or names its duplicate; a due moment a record.

design.md, law 3 and section 3: the order is parse, signature, duplicate, lapse, decide; the first
two are done before (``signer_of`` says whose key). One function per kind stands in the modules
that ``RULINGS`` joins. Before a statement is decided at ``at``, what is due by then of the cells
that it reads is decided: ``decide`` names the first (``DueFirst``), ``decide_due`` decides it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, Final

from liaison.ledger.record import Place, Record
from liaison.rules import (
    answers,
    authority,
    channels,
    grants,
    holds,
    notes,
    origin,
    procedures,
    releases,
    watches,
)
from liaison.rules.cells import (
    CELLS,
    TIMED,
    Acknowledgements,
    Cell,
    CellKey,
    Channel,
    Contest,
    Counter,
    EncryptionKey,
    KeyClaim,
    LineTest,
    Log,
    Note,
    PostHold,
    Rosters,
    Taken,
    View,
)
from liaison.rules.moments import DUE_KINDS, DUES
from liaison.rules.refusal import Refused
from liaison.rules.ruling import RULES_VERSIONS, TRAVELLING_LAPSE_MAX, Peek, Ruling
from liaison.statements.keys import key_id
from liaison.statements.payloads import Logged, Node, Party, Payload
from liaison.statements.statement import Statement
from liaison.words.encoding import from_base64
from liaison.words.times import MINUTE, to_rfc3339

AHEAD_MAX: Final = 2 * MINUTE

EXPANDING: Final = frozenset(
    {
        Acknowledgements.name,
        Channel.name,
        Contest.name,
        EncryptionKey.name,
        LineTest.name,
        Note.name,
        PostHold.name,
        Rosters.name,
    }
)
"""Cells whose content tells of further needs: a wrap's key statement, of its holder."""

RULINGS: Final[dict[str, Ruling]] = {
    **origin.RULINGS,
    **authority.RULINGS,
    **channels.RULINGS,
    **notes.RULINGS,
    **answers.RULINGS,
    **releases.RULINGS,
    **grants.RULINGS,
    **procedures.RULINGS,
    **holds.RULINGS,
    **watches.RULINGS,
}


@dataclass(frozen=True)
class Duplicate:
    """The same payload is in the log already, at ``index``."""

    index: int


@dataclass(frozen=True)
class DueFirst:
    """A cell that the statement reads holds a moment that was due by then: it goes first."""

    key: CellKey


def scope_of(statement: Statement[Payload]) -> str:
    """Return what counts the statement's record: a channel id, a party id or the origin."""
    return RULINGS[statement.kind].scope(statement)


def needs(statement: Statement[Payload], peek: Peek) -> set[CellKey]:
    """Return the cells that deciding and evolving ``statement`` may read.

    Asked again after cells of a kind in ``EXPANDING`` are loaded, until it names nothing new.
    """
    ruling = RULINGS.get(statement.kind)
    if ruling is None:
        return {KeyClaim.key_of(statement.payload.key)}
    scope = ruling.scope(statement)
    found = {
        Log.key_of(),
        KeyClaim.key_of(statement.payload.key),
        Counter.key_of(scope),
        Taken.key_of(scope, statement.payload_digest),
        *ruling.needs(statement, peek),
    }
    return found | _due_needs(ruling.timed(statement, peek), peek)


def due_needs(key: CellKey, peek: Peek) -> set[CellKey]:
    """Return the cells that deciding and evolving the due moments of a cell may read.

    What is due of those first is among it. Asked again as ``needs`` is.
    """
    return _due_needs((key,), peek)


def _due_needs(keys: Iterable[CellKey], peek: Peek) -> set[CellKey]:
    """Timed cells hang together: one search over all of them asks each once."""
    waiting = list(keys)
    found = {*waiting, Log.key_of()}
    asked: set[CellKey] = set()
    while waiting:
        each = waiting.pop()
        if each in asked:
            continue
        asked.add(each)
        cell = peek(CELLS[each[0]], *each[1:])
        if cell is None:
            continue
        ruling = DUES[each[0]]
        others = [*ruling.stands_on(cell)]
        if cell.due is not None:
            others += ruling.before(cell, peek)
            found.update({Counter.key_of(_channel_of(cell)), *ruling.needs(cell, peek)})
        found.update(others)
        waiting += [other for other in others if other not in asked]
    return found


def _channel_of(cell: Cell) -> str:
    assert isinstance(cell, Contest | LineTest | Note | PostHold)
    return cell.channel


def signer_of(statement: Statement[Payload], claim: KeyClaim | None) -> bytes | Refused:
    """Return the public key that must have signed, by the key id's claim or by itself.

    A party statement and the node's first record carry the key that signs them; whether that key
    may speak is decided later.
    """
    payload = statement.payload
    if claim is not None and claim.public:
        return from_base64(claim.public)
    carried = None
    if isinstance(payload, Party):
        carried = payload.authority
    elif isinstance(payload, Node):
        carried = payload.node_key
    if carried is not None and key_id(from_base64(carried)) == payload.key:
        return from_base64(carried)
    return Refused("unknown-key", "the key that signed is not known here")


def decide(
    view: View, statement: Statement[Any], at: int
) -> Record | Refused | Duplicate | DueFirst:
    """Decide a statement whose signature was checked, at ``at`` (microseconds)."""
    payload = statement.payload
    ruling = RULINGS.get(statement.kind)
    if ruling is None:
        return Refused("not-for-the-log", f"a {statement.kind} statement is never logged")
    scope = ruling.scope(statement)
    taken = view.get(Taken, scope, statement.payload_digest)
    if taken is not None:
        return Duplicate(taken.index)
    refused = in_time(payload, at) or _audience(view.get(Log), payload)
    if refused is not None:
        return refused
    overdue = first_due(view, ruling.timed(statement, view.get), at)
    if overdue is not None:
        return DueFirst(overdue)
    drafted = ruling.decide(view, statement, at)
    if isinstance(drafted, Refused):
        return drafted
    counter = view.get(Counter, scope)
    return Record(
        kind=statement.kind,
        at=at,
        channel=Place(id=scope, n=counter.n + 1 if counter else 1),
        note=drafted.note,
        actor=payload.by,
        urgency=drafted.urgency,
        statement=statement.raw,
        facts=drafted.facts,
    )


def first_due(view: View, keys: Iterable[CellKey], at: int) -> CellKey | None:
    """Return which of these cells holds the first moment that is due at ``at``.

    Or one that such a moment reads, and that was due before it. Whoever is asked until the latest
    time goes first, so that each cell is asked once: what it holds until then it holds before.
    """
    due: dict[CellKey, int] = {}
    asked: set[CellKey] = set()
    waiting = [(-at, key) for key in keys]
    heapify(waiting)
    while waiting:
        until, key = heappop(waiting)
        if key in asked:
            continue
        asked.add(key)
        cell = view.get(CELLS[key[0]], *key[1:])
        if cell is None:
            continue
        others = [(until, other) for other in DUES[key[0]].stands_on(cell)]
        moment = cell.due
        if moment is not None and moment <= -until:
            due[key] = moment
            others += [(-moment, other) for other in DUES[key[0]].before(cell, view.get)]
        for one in others:
            if one[1] not in asked:
                heappush(waiting, one)
    return min(due, key=lambda key: (due[key], key), default=None)


def decide_due(view: View, key: CellKey, at: int) -> Record | None:
    """Return the record of the first moment of a cell, if it is due at ``at``, else None."""
    assert key[0] in TIMED
    cell = view.get(CELLS[key[0]], *key[1:])
    log = view.get(Log)
    if cell is None or log is None or cell.due is None or cell.due > at:
        return None
    fallen = DUES[key[0]].decide(view, cell)
    channel = _channel_of(cell)
    counter = view.get(Counter, channel)
    return Record(
        kind=fallen.kind,
        at=at,
        channel=Place(id=channel, n=counter.n + 1 if counter else 1),
        note=fallen.note,
        actor=log.origin,
        urgency=fallen.urgency,
        statement=b"",
        facts=fallen.facts,
    )


def due_key(record: Record) -> CellKey:
    """Return the cell whose moment a due record is."""
    return DUE_KINDS[record.kind].key(record.facts)


def in_time(payload: Payload, at: int) -> Refused | None:
    """Return why a statement may not enter a log at ``at`` (microseconds), by its own times."""
    if at >= payload.lapse:
        return Refused("lapsed", f"it could enter until {to_rfc3339(payload.lapse)} only")
    if payload.issued > at + AHEAD_MAX:
        ahead = (payload.issued - at) // 1_000_000
        return Refused("issued-ahead", f"it was issued {ahead} s ahead of the log; check the clock")
    if payload.lapse - payload.issued > TRAVELLING_LAPSE_MAX:
        return Refused("lapse-too-long", "its lapse is over 400 days after issued")
    return None


def _audience(log: Log | None, payload: Payload) -> Refused | None:
    if log is None:
        if isinstance(payload, Node) and payload.event == "init":
            return None
        return Refused("not-begun", "this log has no first record yet")
    if isinstance(payload, Logged) and payload.log != log.origin:
        return Refused("other-log", f"it is for the log {payload.log}, this is {log.origin}")
    if log.rules_version not in RULES_VERSIONS:
        return Refused(
            "rules-version", f"rules version {log.rules_version} is newer than this program"
        )
    return None
