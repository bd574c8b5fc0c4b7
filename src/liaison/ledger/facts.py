"""Facts: what ``decide`` derived, a frozen model per kind of record. protocols/log.md, FACT.

``evolve`` reads facts and never the statement, so that a statement's content can be erased later
without losing the fold. ``Stated`` facts have the two digests of their statement; ``DueFacts``
follow from state and time alone and have the moment that was due. Members without a value belong
to rules version 2, and are left out of records of the first.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from liaison.statements.charters import (
    Effect,
    Ladder,
    NoteKind,
    RuleUse,
    Seated,
    Standing,
    Terms,
)
from liaison.statements.fields import (
    Address,
    Alias,
    Count,
    Digest,
    Frozen,
    Micros,
    NoteId,
    Origin,
    PartyId,
    Positive,
    SigningPublic,
    Text,
    Word,
)
from liaison.statements.payloads import (
    AddresseeRole,
    Alternate,
    Compromised,
    MemberRole,
    NodeEvent,
    Predecessor,
    Scope,
    State,
    Tier,
    Verdict,
)
from liaison.statements.procedures import GrantReason, WatchAction
from liaison.words.precedence import Precedence


class Facts(Frozen):
    """What a record says beside its other fields."""


class Stated(Facts):
    """Facts of a record that a statement made."""

    statement: Digest
    payload: Digest


class DueFacts(Facts):
    """Facts of a record that was due: ``due`` is the moment from which its effect counts."""

    channel: Digest
    due: Micros


class NodeFacts(Stated):
    event: NodeEvent
    origin: Origin
    log_key: SigningPublic | None = None
    node_key: SigningPublic | None = None
    administrator_key: SigningPublic | None = None
    rules_version: Positive | None = None
    predecessor: Predecessor | None = None
    clock: Micros | None = None
    exercise: Literal[True] | None = None
    advance_us: Positive | None = None


class AdmissionFacts(Stated):
    party: PartyId
    authority: Digest
    state: State


class RegistrarFacts(Frozen):
    key: SigningPublic
    scope: tuple[Scope, ...]
    until: Micros


class PartyFacts(Stated):
    party: PartyId
    name: Text
    authority: SigningPublic
    next: Digest
    registrars: tuple[RegistrarFacts, ...]
    state: State
    sequence: Positive


class MemberFacts(Stated):
    party: PartyId
    member: Address
    name: Text
    roles: tuple[MemberRole, ...]
    state: State
    devices: tuple[SigningPublic, ...]
    removed: tuple[Digest, ...]
    """Key ids of devices that an earlier statement named and this one doesn't."""
    sequence: Positive
    compromised: tuple[Compromised, ...] | None = None


class PostingFacts(Stated):
    party: PartyId
    post: Address
    holders: tuple[Address, ...]
    sequence: Positive


class RosterFacts(Stated):
    party: PartyId
    channel: Digest
    tiers: tuple[Tier, ...]
    sequence: Positive
    alternates: tuple[Alternate, ...] | None = None


class DirectoryFacts(Stated):
    party: PartyId
    valid_until: Micros
    sequence: Positive


class KeyFacts(Stated):
    member: Address
    device: Digest
    encryption: Digest
    """The key id of the encryption key."""
    use_from: Micros
    use_until: Micros
    kept_until: Micros


class CharterFacts(Stated):
    channel: Digest
    type: Word
    alias: Alias
    parties: tuple[PartyId, ...]
    terms: Terms
    kinds: tuple[NoteKind, ...]
    rules: tuple[RuleUse, ...]
    previous: Digest | None = None
    exercise: Literal[True] | None = None
    seats: tuple[Seated, ...] | None = None
    ladders: tuple[Ladder, ...] | None = None


class ParticipationFacts(Stated):
    party: PartyId
    channel: Digest
    state: Standing


class AccessionFacts(Stated):
    party: PartyId
    channel: Digest
    charter: Digest
    opens: bool


class AddresseeFacts(Frozen):
    post: Address
    role: AddresseeRole
    readers: tuple[Address, ...]
    """Members whose devices got a wrap, ascending; none before a release."""
    tier: Word | None = None
    """The tier of its party's roster that the post stands in."""
    held: Literal[True] | None = None
    """It waits: its post is on hold for such precedence."""
    alternate_for: Address | None = None
    no_redirect: Literal[True] | None = None
    reply_by: Micros | None = None


class RegisterFacts(Frozen):
    """A number of an issuer's register, gapless by series and year."""

    series: Word
    year: Positive
    number: Positive


class SerialFacts(Frozen):
    party: PartyId
    serial: Positive


class ReplacedFacts(Frozen):
    """A note that another one superseded or amended, and who is told: who had it, its sender too."""

    note: Digest
    index: Count
    precedence: Precedence
    told: tuple[Address, ...]


class NoteFacts(Stated):
    channel: Digest
    reference: Positive | None = None
    """None for a draft: its release gives one."""
    sender: Address
    device: Digest
    kind: Word
    precedence: Precedence
    info_precedence: Precedence
    addressees: tuple[AddresseeFacts, ...]
    serials: tuple[SerialFacts, ...]
    exercise: bool
    id: NoteId | None = None
    draft: Literal[True] | None = None
    in_reply_to: Digest | None = None
    supersedes: Digest | None = None
    corrects: Digest | None = None
    amends: Digest | None = None
    reply_by: Micros | None = None
    expiry: Micros | None = None
    latest_delivery: Micros | None = None
    deferred_until: Micros | None = None
    silence_until: Micros | None = None
    number: RegisterFacts | None = None
    informed: tuple[Address, ...] | None = None
    """Posts that a rung of the note's ladder tells, snapshot of the rosters at acceptance."""
    replaced: tuple[ReplacedFacts, ...] | None = None
    """The notes of ``supersedes`` and ``amends``, once this one is shown."""


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


class AnswerFacts(Stated):
    channel: Digest
    post: Address
    by: Address
    verdict: Verdict
    notes: Annotated[tuple[AnsweredFacts, ...], Field(min_length=1)]
    device: Digest | None = None
    """The key that acknowledged, where it is not the first of the member's devices."""


class VoidFacts(Stated):
    channel: Digest
    device: Digest
    party: PartyId
    serial: Positive


class ReleaseFacts(Stated):
    """``addressees`` are those that the release lets read; the note itself is the draft's."""

    channel: Digest
    note: Digest
    index: Count
    """Where the draft stands."""
    reference: Positive
    sender: Address
    device: Digest
    precedence: Precedence
    info_precedence: Precedence
    addressees: tuple[AddresseeFacts, ...]
    serials: tuple[SerialFacts, ...]
    number: RegisterFacts | None = None
    informed: tuple[Address, ...] | None = None
    replaced: tuple[ReplacedFacts, ...] | None = None


class AboutNote(Stated):
    """A statement about one note: where that stands, who wrote it, how urgent it is."""

    channel: Digest
    note: Digest
    index: Count
    sender: Address
    precedence: Precedence


class GrantFacts(AboutNote):
    """``precedence`` is the note's for action; ``info_precedence`` is for those it informs."""

    info_precedence: Precedence
    post: Address
    role: AddresseeRole
    reason: GrantReason
    keys: tuple[Digest, ...]
    """The key statements that it is for, ascending."""
    readers: tuple[Address, ...]
    """Members whose devices got a wrap, ascending."""
    told: tuple[Address, ...]
    """The sender, where a member can read the note now who could not before."""


class WithdrawalFacts(AboutNote):
    told: tuple[Address, ...]
    """Who had the note and is told that it was taken back, ascending."""
    number: RegisterFacts | None = None
    """The register number that is void from now on."""


class ObjectionFacts(AboutNote):
    late: bool
    """The silence had ended: it is recorded, and changes nothing."""
    told: tuple[Address, ...]


class ExtensionFacts(AboutNote):
    silence_until: Micros
    told: tuple[Address, ...]


class WatchFacts(Stated):
    channel: Digest
    action: WatchAction
    party: PartyId
    by: Address
    note: Digest | None = None
    index: Count | None = None
    sender: Address | None = None
    precedence: Precedence | None = None
    post: Address | None = None
    text: Text | None = None
    until: Micros | None = None
    below: Precedence | None = None
    told: tuple[Address, ...]


class ShownFacts(Frozen):
    """A note that waited for its post and is shown now."""

    note: Digest
    index: Count
    precedence: Precedence
    readers: tuple[Address, ...]


class HoldFacts(Stated):
    channel: Digest
    post: Address
    below: Precedence | None = None
    until: Micros | None = None
    shown: tuple[ShownFacts, ...]


class HoldEndedFacts(DueFacts):
    post: Address
    shown: tuple[ShownFacts, ...]


class ReachedFacts(Frozen):
    """A post that a moment reaches, and the members there who are told or may read now."""

    post: Address
    readers: tuple[Address, ...]


class MomentFacts(DueFacts):
    """What was due of one note. ``informed`` are members who are told, ascending."""

    note: Digest
    index: Count
    sender: Address
    precedence: Precedence
    reached: tuple[ReachedFacts, ...]
    informed: tuple[Address, ...]


class RungFacts(MomentFacts):
    """A party's rung took effect. Its moment proves that by then it had not taken the note on."""

    party: PartyId
    round: Positive
    rung: Count
    repeat: Count
    effect: Effect
    waits_for: Literal["acknowledgement", "answer"]
    open: tuple[Address, ...]
    """Posts that had not taken it on, or not answered."""
    tier: Word | None = None
    empty: bool
    """Nobody could be reached: the next rung follows at once."""


class DeadlineFacts(MomentFacts):
    """A deadline of a note passed: a certificate of what had not happened by then."""

    what: Literal["begun", "alternate", "reminder", "reply-overdue", "expired", "non-delivered"]
    posts: tuple[Address, ...]
    """The posts concerned."""


class ConclusionFacts(MomentFacts):
    """The silence on a proposal ended without objection: it is adopted, as decision ``decision``."""

    decision: Positive


class RearmedFacts(Frozen):
    """A note that counts as taken on, or as answered, no more: where it stands, who wrote it."""

    note: Digest
    index: Count
    sender: Address
    precedence: Precedence
    reached: tuple[ReachedFacts, ...]
    """The posts that are *delivered* again, and who is told there."""
    answers: tuple[Digest, ...] | None = None
    """The notes by the key that answered it: they count no more."""
    owing: tuple[ReachedFacts, ...] | None = None
    """The posts for which no answer is left that counts, and who is told there."""


class ContestedFacts(DueFacts):
    """What a compromised key had acknowledged or answered in a channel since then counts no more.

    ``page`` of it, the newest first: one record for each, and one at least.
    """

    party: PartyId
    member: Address
    device: Digest
    since: Micros
    page: Count
    armed: tuple[RearmedFacts, ...]


class MissedTestFacts(DueFacts):
    """No line test came in its slot."""

    party: PartyId
    slot: Count
    informed: tuple[Address, ...]


FACTS: Final[dict[str, type[Facts]]] = {
    "accession": AccessionFacts,
    "admission": AdmissionFacts,
    "answer": AnswerFacts,
    "charter": CharterFacts,
    "conclusion": ConclusionFacts,
    "contested": ContestedFacts,
    "deadline": DeadlineFacts,
    "directory": DirectoryFacts,
    "extension": ExtensionFacts,
    "grant": GrantFacts,
    "hold": HoldFacts,
    "hold-ended": HoldEndedFacts,
    "key": KeyFacts,
    "member": MemberFacts,
    "missed-test": MissedTestFacts,
    "node": NodeFacts,
    "note": NoteFacts,
    "objection": ObjectionFacts,
    "participation": ParticipationFacts,
    "party": PartyFacts,
    "posting": PostingFacts,
    "release": ReleaseFacts,
    "roster": RosterFacts,
    "rung": RungFacts,
    "void": VoidFacts,
    "watch": WatchFacts,
    "withdrawal": WithdrawalFacts,
}
