"""What came of a statement: the log accepted it, the node refused it, or it waits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from liaison.client.doubts import Doubt
from liaison.client.outbox import Waiting
from liaison.ledger.facts import FirstFacts, RegisterFacts
from liaison.statements.payloads import Verdict
from liaison.words.errors import RecordUntrusted, RefusedByNode


@dataclass(frozen=True)
class Sent:
    """A note that the log accepted: its reference, when, and where its receipt is kept."""

    reference: str
    at: int
    receipt: Path
    digest: str
    number: str = ""
    """The number in its issuer's register, such as ``notes 12/2026``."""


@dataclass(frozen=True)
class Told:
    """An answer on a note: of one's own, or the one just given."""

    reference: str
    verdict: Verdict
    by: str
    post: str
    at: int
    first: FirstFacts | None
    receipt: Path | None = None
    reason: str = ""
    doubt: Doubt | None = None


@dataclass(frozen=True)
class Done:
    """Something else that this member did and the log accepted; ``reference`` says about what."""

    what: str
    reference: str
    at: int
    receipt: Path
    number: str = ""
    is_late: bool = False
    """An objection that came after the silence had ended: recorded, without effect."""


Accepted = Sent | Told | Done
Outcome = Accepted | Waiting | RefusedByNode | RecordUntrusted


def number_in_words(number: RegisterFacts | None) -> str:
    """Return a register's number as people cite it, or nothing."""
    return f"{number.series} {number.number}/{number.year}" if number else ""
