"""Records: what happened, in eight fields. protocols/log.md, REC.

``fields_of`` and ``record_from`` are exact inverses: what an entry commits to is the bytes of the
fields, and a record that is read back is the record that was decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import ValidationError

from liaison.ledger.facts import FACTS, Facts
from liaison.statements.fields import Count, Frozen, Micros, Positive, Word
from liaison.words.canonical import MAX_INTEGER
from liaison.words.encoding import from_decimal, to_decimal
from liaison.words.errors import Malformed
from liaison.words.precedence import Precedence

F = TypeVar("F", bound=Frozen)

FIELDS: Final = ("kind", "at", "channel", "note", "actor", "urgency", "statement", "facts")


class Place(Frozen):
    """This is the ``n``-th record of the scope ``id``: a channel, a party or the origin."""

    id: str
    n: Positive


class Urgency(Frozen):
    """What a reviewer may see to judge timeliness without learning who wrote to whom."""

    precedence: Precedence | None = None
    about: tuple[Count, ...] = ()
    """Indexes of the entries it is about."""
    outcome: Word | None = None
    due: Micros | None = None
    exercise: bool = False


@dataclass(frozen=True)
class Record:
    """``at`` in microseconds; ``note`` a digest or empty; ``statement`` bytes as they came."""

    kind: str
    at: int
    channel: Place
    note: str
    actor: str
    urgency: Urgency
    statement: bytes
    facts: Facts


def fields_of(record: Record) -> tuple[bytes, ...]:
    """Return the bytes of the eight fields in the order of ``FIELDS``."""
    return (
        record.kind.encode("ascii"),
        to_decimal(record.at).encode("ascii"),
        record.channel.spelled(),
        record.note.encode("ascii"),
        record.actor.encode("ascii"),
        record.urgency.spelled(),
        record.statement,
        record.facts.spelled(),
    )


def record_from(fields: Sequence[bytes]) -> Record:
    """Return the record that the eight fields spell.

    Raises:
        Malformed: a field is not the one spelling of a value; the field is named.
    """
    if len(fields) != len(FIELDS):
        raise Malformed(f"{len(fields)} fields, not {len(FIELDS)}")
    kind, at, channel, note, actor, urgency, statement, facts = fields
    try:
        kind_name = kind.decode("ascii")
        record = Record(
            kind=kind_name,
            at=_moment(at.decode("ascii")),
            channel=_read(Place, channel, "channel"),
            note=note.decode("ascii"),
            actor=actor.decode("ascii"),
            urgency=_read(Urgency, urgency, "urgency"),
            statement=statement,
            facts=_read(FACTS[kind_name], facts, "facts"),
        )
    except UnicodeDecodeError as exc:
        raise Malformed(f"record: a text field is not ASCII: {exc.reason}") from exc
    except KeyError as exc:
        raise Malformed(f"kind: no record kind {kind[:32]!r} in this version") from exc
    return record


def _moment(text: str) -> int:
    at = from_decimal(text)
    if at > MAX_INTEGER:
        raise Malformed(f"at: {text} is not below 2^53")
    return at


def _read(model: type[F], data: bytes, field: str) -> F:
    try:
        value = model.model_validate_json(data)
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        where = ".".join([field, *(str(part) for part in error["loc"])])
        raise Malformed(f"{where}: {error['msg'][:200]}") from exc
    if value.spelled() != data:
        raise Malformed(f"{field}: not its one spelling")
    return value
