"""An entry that a node shows: of the kind that was asked for, and with facts that its statement has.

What is here judges one entry by itself; ``parties`` and ``book`` follow its chain.
"""

from __future__ import annotations

from typing import TypeVar

from liaison.client.links import LinkBroken
from liaison.client.watching import Entry
from liaison.ledger.facts import Facts, MemberFacts
from liaison.rules.refusal import Refused
from liaison.statements import payloads
from liaison.statements.statement import Statement
from liaison.words.errors import Malformed, RecordUntrusted

P = TypeVar("P", bound=payloads.Payload)
F = TypeVar("F", bound=Facts)


def same_facts(entry: Entry, derived: F, kind: type[F]) -> F:
    """Return the record's facts if they are what follows from its statement."""
    facts = entry.record.facts
    if not isinstance(facts, kind):
        raise contradiction(entry)
    comparable: Facts = facts
    if isinstance(facts, MemberFacts):
        # What an earlier statement named can't be told from this one alone.
        comparable = facts.model_copy(update={"removed": ()})
    if comparable != derived:
        raise contradiction(entry)
    return facts


def contradiction(entry: Entry) -> RecordUntrusted:
    return RecordUntrusted(
        f"The facts of entry {entry.index} are not what its {entry.statement.kind} says",
        safe="nothing of it is believed",
        do="keep the receipt and show it to the auditors",
    )


def payload_of(entry: Entry, kind: type[P]) -> P:
    payload = entry.statement.payload
    if not isinstance(payload, kind):
        raise LinkBroken(
            kind.kind_name,
            f"The node shows a {entry.statement.kind} statement where a {kind.kind_name} was asked",
        )
    return payload


def statement_of(entry: Entry, payload: P) -> Statement[P]:
    """Return the entry's statement as one of the kind that its payload was found to be."""
    return Statement(entry.statement.envelope, payload)


def only(shown: dict[str, list[Entry]], what: str) -> Entry:
    if len(shown[what]) != 1:
        raise Malformed(f"the node shows {len(shown[what])} of {what}, not one")
    return shown[what][0]


def must_hold(link: str, refused: Refused | None) -> None:
    if refused is not None:
        raise LinkBroken(link, refused.text)


def must_be_taken(entry: Entry, refused: Refused | None) -> None:
    if refused is not None:
        raise RecordUntrusted(
            f"The log took entry {entry.index}, which it had to refuse: {refused.text}",
            safe="nothing of it is believed",
            do="keep this home as it is and tell the auditors",
        )
