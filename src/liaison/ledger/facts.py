"""Facts: what ``decide`` derived from a statement, a frozen model per kind. protocols/log.md, FACT.

``evolve`` reads facts and never the statement, so that a statement's content can be erased later
without losing the fold. ``statement`` and ``payload`` are the two digests of the statement.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from liaison.statements.fields import (
    Address,
    Alias,
    Count,
    Digest,
    Frozen,
    Micros,
    Origin,
    PartyId,
    Positive,
    SigningPublic,
    Text,
    Word,
)
from liaison.statements.payloads import (
    AddresseeRole,
    MemberRole,
    NoteKind,
    Predecessor,
    RuleUse,
    Scope,
    State,
    Terms,
    Tier,
    Verdict,
)
from liaison.words.precedence import Precedence


class Facts(Frozen):
    statement: Digest
    payload: Digest


class NodeFacts(Facts):
    event: Literal["init", "time-confirmed", "rules-version"]
    origin: Origin
    log_key: SigningPublic | None = None
    node_key: SigningPublic | None = None
    administrator_key: SigningPublic | None = None
    rules_version: Positive | None = None
    predecessor: Predecessor | None = None
    clock: Micros | None = None


class AdmissionFacts(Facts):
    party: PartyId
    authority: Digest
    state: State


class RegistrarFacts(Frozen):
    key: SigningPublic
    scope: tuple[Scope, ...]
    until: Micros


class PartyFacts(Facts):
    party: PartyId
    name: Text
    authority: SigningPublic
    next: Digest
    registrars: tuple[RegistrarFacts, ...]
    state: State
    sequence: Positive


class MemberFacts(Facts):
    party: PartyId
    member: Address
    name: Text
    roles: tuple[MemberRole, ...]
    state: State
    devices: tuple[SigningPublic, ...]
    removed: tuple[Digest, ...]
    """Key ids of devices that an earlier statement named and this one doesn't."""
    sequence: Positive


class PostingFacts(Facts):
    party: PartyId
    post: Address
    holders: tuple[Address, ...]
    sequence: Positive


class RosterFacts(Facts):
    party: PartyId
    channel: Digest
    tiers: tuple[Tier, ...]
    sequence: Positive


class DirectoryFacts(Facts):
    party: PartyId
    valid_until: Micros
    sequence: Positive


class KeyFacts(Facts):
    member: Address
    device: Digest
    encryption: Digest
    """The key id of the encryption key."""
    use_from: Micros
    use_until: Micros
    kept_until: Micros


class CharterFacts(Facts):
    channel: Digest
    type: Word
    alias: Alias
    parties: tuple[PartyId, ...]
    terms: Terms
    kinds: tuple[NoteKind, ...]
    rules: tuple[RuleUse, ...]


class AccessionFacts(Facts):
    party: PartyId
    channel: Digest
    charter: Digest
    opens: bool


class AddresseeFacts(Frozen):
    post: Address
    role: AddresseeRole
    readers: tuple[Address, ...]
    """Members whose devices got a wrap, ascending."""


class SerialFacts(Frozen):
    party: PartyId
    serial: Positive


class NoteFacts(Facts):
    channel: Digest
    reference: Positive
    sender: Address
    device: Digest
    kind: Word
    precedence: Precedence
    info_precedence: Precedence
    addressees: tuple[AddresseeFacts, ...]
    serials: tuple[SerialFacts, ...]
    exercise: bool


class FirstFacts(Frozen):
    """Who acknowledged a note first, as the one who acknowledges later is told."""

    by: Address
    post: Address
    at: Micros


class AnsweredFacts(Frozen):
    """One note of an answer: where it stands, who wrote it, and who was first."""

    note: Digest
    index: Count
    sender: Address
    precedence: Precedence
    moves: bool
    """Whether the addressee's state changes."""
    first: FirstFacts | None = None


class AnswerFacts(Facts):
    channel: Digest
    post: Address
    by: Address
    verdict: Verdict
    notes: Annotated[tuple[AnsweredFacts, ...], Field(min_length=1)]


class VoidFacts(Facts):
    channel: Digest
    device: Digest
    party: PartyId
    serial: Positive


FACTS: Final[dict[str, type[Facts]]] = {
    "accession": AccessionFacts,
    "admission": AdmissionFacts,
    "answer": AnswerFacts,
    "charter": CharterFacts,
    "directory": DirectoryFacts,
    "key": KeyFacts,
    "member": MemberFacts,
    "node": NodeFacts,
    "note": NoteFacts,
    "party": PartyFacts,
    "posting": PostingFacts,
    "roster": RosterFacts,
    "void": VoidFacts,
}
