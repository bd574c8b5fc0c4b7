"""What a key signed: by what a home keeps (``key signed``), by a whole log (``audit signed``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import typer

from liaison.cli.context import Shape, answer
from liaison.cli.outcomes import doubt_in_words
from liaison.cli.shapes import of_doubt
from liaison.cli.showing import say_table
from liaison.client.doubts import Doubt
from liaison.client.pins import groups_of
from liaison.ledger.facts import AnswerFacts, WatchFacts
from liaison.ledger.record import Record
from liaison.statements.statement import parse_statement
from liaison.words.times import to_dtg

Who = Annotated[str, typer.Argument(metavar="MEMBER", help="Such as anna@mod.example.")]
Which = Annotated[
    str,
    typer.Argument(
        metavar="[KEY]",
        help="Its id, or the last group of its fingerprint: see device list. None: all of the member's.",
    ),
]
Since = Annotated[
    str | None, typer.Option(help="From when on, by the log's time. As a DTG, RFC 3339, or -4h.")
]


@dataclass(frozen=True)
class Trace:
    """Something in the log that a key signed: ``about`` names its note or channel, if it has one."""

    index: int
    at: int
    what: str
    about: str
    key: str
    doubt: Doubt | None = None


@dataclass(frozen=True)
class Wanted:
    """Whose signatures are looked for, since when (microseconds); an empty ``key`` is any."""

    member: str
    key: str
    since: int

    def key_of(self, record: Record) -> str:
        """Return the key that signed a record's statement, if that is looked for, else nothing."""
        if record.actor != self.member or record.at < self.since or not record.statement:
            return ""
        key = parse_statement(record.statement).payload.key
        return key if self.key in ("", key) or self.key.upper() == groups_of(key)[-1] else ""


def what_in(record: Record) -> str:
    """Return what was signed: its kind; of an answer and a watch statement what it says."""
    facts = record.facts
    if isinstance(facts, AnswerFacts):
        return facts.verdict.value
    return facts.action.value if isinstance(facts, WatchFacts) else record.kind


def say_traces(traces: Iterable[Trace]) -> None:
    """Say each, oldest first, and answer with all."""
    found = sorted(traces, key=lambda trace: trace.index)
    say_table(
        (
            f"entry {one.index}",
            to_dtg(one.at, exact=True),
            one.what,
            one.about,
            f"key {groups_of(one.key)[-1]}{doubt_in_words(one.doubt)}",
        )
        for one in found
    )
    answer({"signed": [_as_shape(one) for one in found]})


def _as_shape(one: Trace) -> Shape:
    return {
        "index": one.index,
        "at": one.at,
        "what": one.what,
        "about": one.about or None,
        "key": one.key,
        "doubtful": of_doubt(one.doubt),
    }
