"""Taken: a receipt is that of what was sent, by the key that signed it, and its facts say the same.

A receipt by itself proves that the log holds a record, not that others can read and count what this
home sent. That is asked here, by the functions that a reader asks, before anything sent is let go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from liaison.client.entries import same_facts
from liaison.client.reading import answer_of, grant_of, note_of, release_of, said_of
from liaison.client.watching import Entry
from liaison.ledger.facts import FACTS, AccessionFacts, Facts
from liaison.rules import deriving
from liaison.statements.charters import Accession
from liaison.statements.payloads import Payload
from liaison.statements.statement import Statement
from liaison.words.errors import LogUntrusted, RecordUntrusted, SignatureInvalid

_READ: Final[dict[str, Callable[[Entry], object]]] = {
    "answer": answer_of,
    "extension": said_of,
    "grant": grant_of,
    "hold": said_of,
    "note": note_of,
    "objection": said_of,
    "release": release_of,
    "watch": said_of,
    "withdrawal": said_of,
}
"""What a reader asks of a record by itself; the facts of these need more than their statement."""
_DERIVED: Final[dict[str, Callable[[Statement[Any]], Facts]]] = {
    "charter": deriving.charter_facts,
    "directory": deriving.directory_facts,
    "key": deriving.key_facts,
    "member": deriving.member_facts,
    "participation": deriving.participation_facts,
    "party": deriving.party_facts,
    "posting": deriving.posting_facts,
    "roster": deriving.roster_facts,
    "void": deriving.void_facts,
}


def check_taken(entry: Entry, sent: Statement[Payload], public: bytes | None) -> None:
    """Return if an entry is that of what was ``sent``, which the key ``public`` signed.

    A duplicate has the first one's receipt, whatever its signature (STMT-7): one of other bytes must
    be by the same key. Where that isn't known, the bytes must be the same.

    Raises:
        LogUntrusted: it is another statement.
        RecordUntrusted: it is under another signature, or its facts say otherwise.
    """
    if entry.statement.payload_digest != sent.payload_digest:
        raise LogUntrusted(
            "The node answered with the receipt of another statement",
            safe="what was sent is kept as it was",
            do="keep this home as it is and tell the node's operator",
        )
    if entry.statement.raw == sent.raw:
        check_facts(entry)
    elif public is not None:
        check_own(entry, public)
    else:
        raise _another_signature(entry)


def check_own(entry: Entry, public: bytes) -> None:
    """Return if the key ``public`` signed an entry's statement, and its facts say the same.

    Raises:
        RecordUntrusted: it didn't, or they don't.
    """
    try:
        entry.statement.check_signature(public)
    except SignatureInvalid as exc:
        raise _another_signature(entry) from exc
    check_facts(entry)


def check_facts(entry: Entry) -> None:
    """Return if the facts of an entry are what its statement says, as far as it says it.

    Raises:
        RecordUntrusted: they aren't.
    """
    statement, facts = entry.statement, entry.record.facts
    if statement.kind in _READ:
        _READ[statement.kind](entry)
    elif isinstance(statement.payload, Accession):
        said = Statement(statement.envelope, statement.payload)
        # Whether it is the last yes that a channel waits for, no yes says by itself.
        opens = isinstance(facts, AccessionFacts) and facts.opens
        same_facts(entry, deriving.accession_facts(said, opens=opens), AccessionFacts)
    elif statement.kind in _DERIVED:
        same_facts(entry, _DERIVED[statement.kind](statement), FACTS[statement.kind])


def _another_signature(entry: Entry) -> RecordUntrusted:
    return RecordUntrusted(
        f"Entry {entry.index} has this {entry.statement.kind} under a signature by another key than "
        "it names, so that nobody believes it",
        safe="what was sent is kept as it was",
        do="keep the receipt and show it to the auditors",
    )
