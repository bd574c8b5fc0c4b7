"""What statements say: one frozen model per kind. protocols/statements.md, one section a kind.

Charters are in ``charters``, what happens to notes later in ``procedures``, the registry in
``kinds``; the module that decides a kind is in ``rules``. Members that a later rules version
switches on are optional here and refused by decide until then.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from liaison.statements.fields import (
    Address,
    Ascending,
    Asker,
    Challenge,
    Count,
    Digest,
    Dtg,
    EncryptionPublic,
    Frozen,
    Micros,
    NoteId,
    Origin,
    PartyId,
    Positive,
    Signature,
    SigningPublic,
    Text,
    Word,
)
from liaison.statements.keys import check_possession
from liaison.words.encoding import from_base64
from liaison.words.errors import Malformed
from liaison.words.precedence import Precedence

MAX_DEVICES: Final = 8
MAX_WRAPS: Final = 1024
MAX_ANSWERED: Final = 256


class State(StrEnum):
    """Whether a party, a member or an admission is in force."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class MemberRole(StrEnum):
    """What a member may do; charters and scopes name these."""

    ATTACHE = "attache"
    AUDITOR = "auditor"
    CHAIR = "chair"
    DUTY_OFFICER = "duty-officer"
    LINE_TEST = "line-test"
    OPERATOR = "operator"
    REGISTRAR = "registrar"
    RELEASER = "releaser"


class Scope(StrEnum):
    """What a registrar may sign."""

    DIRECTORY = "directory"
    MEMBER = "member"
    POSTING = "posting"
    ROSTER = "roster"


class AddresseeRole(StrEnum):
    """How a post is addressed (ACP 121: action, info); ``copy`` is the sender's own devices."""

    ACTION = "action"
    INFO = "info"
    STANDBY = "standby"
    COPY = "copy"


class Verdict(StrEnum):
    """What an answer says of the notes it names."""

    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    DECLINED = "declined"
    UNREADABLE = "unreadable"


class Payload(Frozen):
    """What every statement says: who, by which key, when, and until when it may enter a log."""

    kind_name: ClassVar[str]

    by: str
    key: Digest
    issued: Micros
    lapse: Micros


class ByParty(Payload):
    """A statement of a party's authority or registrar; it travels, so it names no log."""

    by: PartyId


class Successive(ByParty):
    """One of a sequence on the same subject: ``previous`` is the digest of the one before."""

    sequence: Positive
    previous: Digest | None = None

    @model_validator(mode="after")
    def _first_has_no_previous(self) -> Self:
        if (self.sequence == 1) != (self.previous is None):
            raise ValueError("previous: left out in sequence 1, and only there")
        return self


class Registrar(Frozen):
    """A delegate of the authority, bounded in scope and time."""

    key: SigningPublic
    proof: Signature
    scope: Annotated[tuple[Scope, ...], Field(min_length=1), Ascending]
    until: Micros

    @property
    def sort_key(self) -> str:
        return self.key


class Party(Successive):
    """A sovereign organisation presents its authority key and announces the next one."""

    kind_name: ClassVar[str] = "party"

    party: PartyId
    name: Text
    authority: SigningPublic
    next: Digest
    registrars: Annotated[tuple[Registrar, ...], Field(max_length=16), Ascending]
    state: State

    @model_validator(mode="after")
    def _of_itself(self) -> Self:
        if self.by != self.party:
            raise ValueError("by: a party statement is made by the party itself")
        for registrar in self.registrars:
            _check_possession(self.party, registrar.key, registrar.proof)
        return self


class Device(Frozen):
    """A device's signing key with the proof that its holder wants it bound to the member."""

    key: SigningPublic
    proof: Signature

    @property
    def sort_key(self) -> str:
        return self.key


class Compromised(Frozen):
    """A device's key id, and since when it may have been in other hands."""

    key: Digest
    since: Micros

    @property
    def sort_key(self) -> str:
        return self.key


class Member(Successive):
    """A person of a party: roles, state and up to eight devices."""

    kind_name: ClassVar[str] = "member"

    member: Address
    name: Text
    roles: Annotated[tuple[MemberRole, ...], Ascending]
    state: State
    devices: Annotated[tuple[Device, ...], Field(max_length=MAX_DEVICES), Ascending]
    # Rules version 2
    compromised: (
        Annotated[tuple[Compromised, ...], Field(min_length=1, max_length=64), Ascending] | None
    ) = None

    @model_validator(mode="after")
    def _keys_are_held(self) -> Self:
        for device in self.devices:
            _check_possession(self.member, device.key, device.proof)
        return self


class Posting(Successive):
    """Which members hold a post; none means that it is vacant."""

    kind_name: ClassVar[str] = "posting"

    post: Address
    holders: Annotated[tuple[Address, ...], Field(max_length=32), Ascending]


class Tier(Frozen):
    """One tier of a roster: posts that are alerted together."""

    name: Word
    posts: Annotated[tuple[Address, ...], Field(max_length=32), Ascending]


class Alternate(Frozen):
    """The post that gets a note in place of ``post`` when that one declines or isn't reached."""

    post: Address
    alternate: Address

    @property
    def sort_key(self) -> str:
        return self.post


class Roster(Successive):
    """One party's side of a channel: its tiers in the order in which they are opened."""

    kind_name: ClassVar[str] = "roster"

    channel: Digest
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1, max_length=8)]
    alternates: (
        Annotated[tuple[Alternate, ...], Field(min_length=1, max_length=64), Ascending] | None
    ) = None


class MemberEntry(Frozen):
    member: Address
    statement: Digest

    @property
    def sort_key(self) -> str:
        return self.member


class PostEntry(Frozen):
    post: Address
    statement: Digest

    @property
    def sort_key(self) -> str:
        return self.post


class ChannelEntry(Frozen):
    channel: Digest
    statement: Digest

    @property
    def sort_key(self) -> str:
        return self.channel


class Directory(Successive):
    """What is current in a party: by digest, complete, and for at most seven days."""

    kind_name: ClassVar[str] = "directory"

    members: Annotated[tuple[MemberEntry, ...], Field(max_length=512), Ascending]
    postings: Annotated[tuple[PostEntry, ...], Field(max_length=512), Ascending]
    rosters: Annotated[tuple[ChannelEntry, ...], Field(max_length=256), Ascending]
    charters: Annotated[tuple[ChannelEntry, ...], Field(max_length=256), Ascending]
    revoked: Annotated[tuple[Digest, ...], Field(max_length=512), Ascending]
    valid_until: Micros


class Key(Payload):
    """A device certifies an encryption key of its own: MLKEM768-X25519, 1,216 bytes."""

    kind_name: ClassVar[str] = "key"

    by: Address
    encryption: EncryptionPublic
    use_from: Micros
    use_until: Micros
    kept_until: Micros

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.use_from < self.use_until <= self.kept_until:
            raise ValueError("use_until: must lie after use_from and not after kept_until")
        return self


class Logged(Payload):
    """A statement for one log, named by its origin, so that no other log can take it."""

    log: Origin


class Admission(Logged):
    """The node's administrator admits a party under one authority key, or suspends it."""

    kind_name: ClassVar[str] = "admission"

    by: Origin
    party: PartyId
    authority: Digest
    state: Literal[State.ACTIVE, State.SUSPENDED]


class Session(Logged):
    """Buys a short-lived token that reads; never logged (law 1's only exception)."""

    kind_name: ClassVar[str] = "session"

    by: Asker
    challenge: Challenge


class Seen(Frozen):
    """The last checkpoint that the sender verified: each note is gossip against a split view."""

    size: Count
    root: Digest


class NotePrecedence(Frozen):
    action: Precedence
    info: Precedence

    @model_validator(mode="after")
    def _info_not_above_action(self) -> Self:
        if self.info.rank > self.action.rank:
            raise ValueError("info: must not be above the precedence for action")
        return self


class Wrap(Frozen):
    """One wrap of the note secret: for which key statement, and its digest."""

    key: Digest
    wrap: Digest

    @property
    def sort_key(self) -> str:
        return self.key


class Addressed(Frozen):
    """A post, its role, and what the sender asks for it alone (rules version 2)."""

    post: Address
    role: AddresseeRole
    alternate_for: Address | None = None
    no_redirect: Literal[True] | None = None
    reply_by: Micros | None = None


class Addressee(Addressed):
    """An addressee with the wraps for the devices of its holders."""

    wraps: Annotated[tuple[Wrap, ...], Field(min_length=1, max_length=256), Ascending]


class DraftedAddressee(Addressed):
    """An addressee of another party before the release: it has no wrap, so nobody there can read."""

    role: Literal[AddresseeRole.ACTION, AddresseeRole.INFO, AddresseeRole.STANDBY]


class Reliance(Frozen):
    """What the sender relied on for one party; roster and serial where it is addressed."""

    party: PartyId
    directory: Digest
    roster: Digest | None = None
    serial: Positive | None = None

    @property
    def sort_key(self) -> str:
        return self.party

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.roster is None) != (self.serial is None):
            raise ValueError("serial: stands beside roster, for a party that is addressed")
        return self


class Content(Frozen):
    """The ciphertext: its SHA-256 and its size."""

    digest: Digest
    size: Positive


class Label(Frozen):
    """Classification and the parties the note may be released to."""

    classification: Text
    releasable_to: Annotated[tuple[PartyId, ...], Field(min_length=1, max_length=64), Ascending]


class Note(Logged):
    """A sealed message. Everything here is visible to the node; subject and text are not here."""

    kind_name: ClassVar[str] = "note"

    by: Address
    id: NoteId
    channel: Digest
    charter: Digest
    parties: Annotated[tuple[Reliance, ...], Field(min_length=1, max_length=64), Ascending]
    checkpoint: Seen
    kind: Word
    precedence: NotePrecedence
    justification: Text | None = None
    addressees: Annotated[tuple[Addressee, ...], Field(min_length=2, max_length=257)]
    content: Content
    commitment: Digest
    dtg: Dtg
    label: Label
    exercise: bool
    in_reply_to: Digest | None = None
    supersedes: Digest | None = None
    reply_by: Micros | None = None
    expiry: Micros | None = None
    latest_delivery: Micros | None = None
    deferred_until: Micros | None = None
    # Rules version 2
    amends: Digest | None = None
    corrects: Digest | None = None
    drafted: Annotated[tuple[DraftedAddressee, ...], Field(min_length=1, max_length=256)] | None = (
        None
    )
    silence_until: Micros | None = None

    @model_validator(mode="after")
    def _addressed_once(self) -> Self:
        posts = [addressee.post for addressee in self.addressees]
        posts += [addressee.post for addressee in self.drafted or ()]
        if len(set(posts)) != len(posts):
            raise ValueError("addressees: a post stands twice")
        if sum(a.role is AddresseeRole.COPY for a in self.addressees) != 1:
            raise ValueError("addressees: exactly one has the role copy, the sender's own post")
        wraps = {wrap.key: wrap for wrap in self.wraps()}
        if len(wraps) > MAX_WRAPS:
            raise ValueError(f"addressees: more than {MAX_WRAPS} wraps")
        if any(wraps[wrap.key] != wrap for a in self.addressees for wrap in a.wraps):
            raise ValueError("addressees: a key stands beside two wraps")
        return self

    def wraps(self) -> tuple[Wrap, ...]:
        """Return each key's wrap once, in the order in which they travel (NOTE-2).

        Who holds two of the posts stands under both with the one wrap.
        """
        first: dict[str, Wrap] = {}
        for addressee in self.addressees:
            for wrap in addressee.wraps:
                first.setdefault(wrap.key, wrap)
        return tuple(first.values())


class Answer(Logged):
    """What a holder says of 1 to 256 notes of one channel, for a post."""

    kind_name: ClassVar[str] = "answer"

    by: Address
    channel: Digest
    post: Address
    verdict: Verdict
    notes: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=MAX_ANSWERED), Ascending]
    reason: Text | None = None
    code: Word | None = None

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if (self.verdict is Verdict.DECLINED) != (self.reason is not None):
            raise ValueError("reason: said where the verdict is 'declined', and only there")
        if (self.verdict is Verdict.UNREADABLE) != (self.code is not None):
            raise ValueError("code: said where the verdict is 'unreadable', and only there")
        return self


class Void(Logged):
    """Fills a serial that was spent in vain, so that a gap means a withheld note only."""

    kind_name: ClassVar[str] = "void"

    by: Address
    channel: Digest
    party: PartyId
    serial: Positive


class Predecessor(Frozen):
    """The log that a retired node leaves behind, which names the loss.

    What its guard had signed (left out where the guard is lost), and what the store still held.
    """

    origin: Origin
    guard_size: Count | None = None
    guard_root: Digest | None = None
    store_size: Count
    store_root: Digest

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.guard_size is None) != (self.guard_root is None):
            raise ValueError("guard_root: stands beside guard_size, or neither does")
        return self


_NODE_MEMBERS: Final = (
    "log_key",
    "node_key",
    "administrator_key",
    "rules_version",
    "clock",
    "advance_us",
)
NodeEvent = Literal["init", "time-confirmed", "rules-version", "time-advanced"]


class Node(Logged):
    """The node's own word: its first record, a confirmed clock, a rules version, exercise time."""

    kind_name: ClassVar[str] = "node"

    by: Origin
    event: NodeEvent
    log_key: SigningPublic | None = None
    node_key: SigningPublic | None = None
    administrator_key: SigningPublic | None = None
    rules_version: Positive | None = None
    predecessor: Predecessor | None = None
    clock: Micros | None = None
    # Rules version 2
    exercise: Literal[True] | None = None
    advance_us: Positive | None = None

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        said = {name for name in _NODE_MEMBERS if getattr(self, name) is not None}
        wanted = {
            "init": {"log_key", "node_key", "administrator_key", "rules_version"},
            "time-confirmed": {"clock"},
            "rules-version": {"rules_version"},
            "time-advanced": {"advance_us"},
        }[self.event]
        if said != wanted or (self.event != "init" and (self.predecessor or self.exercise)):
            raise ValueError(f"event: {self.event!r} says exactly {', '.join(sorted(wanted))}")
        return self


class Refusal(Logged):
    """The node's signed word that it refused a statement; given to the sender, never logged."""

    kind_name: ClassVar[str] = "refusal"

    by: Origin
    payload_digest: Digest
    code: Word
    text: Text


def _check_possession(holder: str, public: str, proof: str) -> None:
    try:
        check_possession(holder, from_base64(public), proof)
    except Malformed as exc:
        raise ValueError(exc.happened) from exc
