"""What answers look like, one model a shape. protocols/api.md, API-2 and API-9 to API-26.

They say what the services answer with, and the document of the interface is made from them; nothing is
parsed into them on the way out. A member that isn't said is absent, never null; tests hold each answer
that they get to these models, with nothing beside what is listed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from liaison.node.reading import PAGE_MAX
from liaison.node.status import COMING_MAX
from liaison.rules.inbox import ItemKind
from liaison.rules.lives import Life, Stage
from liaison.statements.fields import Digest
from liaison.statements.payloads import AddresseeRole
from liaison.words.canonical import MAX_INTEGER
from liaison.words.ids import ADDRESS_PATTERN, ALIAS_PATTERN, ORIGIN_PATTERN, PARTY_PATTERN
from liaison.words.precedence import Precedence

Natural = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Micros = Annotated[Natural, Field(description="microseconds since 1970-01-01T00:00:00Z")]
PartyId = Annotated[str, StringConstraints(pattern=PARTY_PATTERN)]
Address = Annotated[
    str, Field(description="of a member or a post"), StringConstraints(pattern=ADDRESS_PATTERN)
]
Alias = Annotated[str, StringConstraints(pattern=ALIAS_PATTERN)]
Origin = Annotated[
    str, Field(description="the log's name"), StringConstraints(pattern=ORIGIN_PATTERN)
]
Position = Annotated[
    str,
    Field(description="POS.NOTE: the entry that made the item, and the note that it is about"),
    StringConstraints(pattern=r"^(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,14})$"),
]
Bytes = Annotated[
    str, Field(description="padded base64"), StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$")
]
Receipt = Annotated[str, Field(description="a receipt: log.md, part 2", min_length=1)]
Yes = Literal[True]
WaitsFor = Literal["acknowledgement", "answer"]


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Shape):
    """What went wrong, for whom it may concern (API-2; RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(description="what happened")]
    code: Annotated[
        str,
        Field(
            description="one of docs/errors.md; a client takes one that it doesn't know by its status"
        ),
        StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$"),
    ]
    safe: Annotated[str | None, Field(description="what is safe")] = None
    do: Annotated[str | None, Field(description="what to do")] = None
    refusal: Annotated[
        Bytes | None, Field(description="the node's signed refusal statement, base64 (API-7)")
    ] = None


class Limits(Shape):
    statement_bytes: Natural
    wraps: Natural
    submission_extra_bytes: Natural
    answered_notes: Natural
    inbox_page: Natural


class About(Shape):
    """What this node is (API-13). Not a source of keys."""

    software: Literal["liaison"]
    version: str
    api: Literal[1]
    origin: Origin
    rules_version: Natural
    exercise: Yes | None = None
    time: Micros
    ready: Annotated[bool, Field(description="whether statements are taken")]
    limits: Limits


class Challenge(Shape):
    """32 random bytes to be signed, once (API-9)."""

    challenge: Digest
    lapse: Micros


class Session(Shape):
    """A token that reads (API-12)."""

    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
    by: Annotated[str, Field(description="the member, the party, or the log's origin")]
    until: Micros


class OpenSession(Shape):
    """A session of the asker; its id opens nothing."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
    key: Digest
    begun: Micros
    used: Micros
    until: Micros
    this: Annotated[Yes | None, Field(description="the one that asks")] = None


class Sessions(Shape):
    """The asker's open sessions, the oldest first (API-39)."""

    sessions: tuple[OpenSession, ...]


class Wrap(Shape):
    key: Digest
    wrap: Bytes
    grant: Digest | None = None


class Content(Shape):
    """A note's ciphertext and the asking device's wraps (API-15)."""

    ciphertext: Bytes
    wraps: tuple[Wrap, ...]


class Item(Shape):
    """One thing for one member (API-14)."""

    position: Position
    kind: ItemKind
    precedence: Precedence
    receipt: Receipt
    content: Content | None = None


class Inbox(Shape):
    """A page of a member's items, in order (API-14)."""

    items: Annotated[tuple[Item, ...], Field(max_length=PAGE_MAX)]
    more: Annotated[bool, Field(description="whether there is more behind the last of these")]


class Addressee(Shape):
    """Where one addressee of a note stands (API-23)."""

    post: Address
    role: AddresseeRole
    life: Life
    at: Micros
    by: Address | None = None
    tier: str | None = None
    reply_by: Micros | None = None
    overdue: Micros | None = None
    replied: Micros | None = None
    held: Yes | None = None
    alternate_for: Address | None = None


class Coming(Shape):
    """What is due if nobody does anything (API-24)."""

    due: Micros
    what: Literal[
        "alert",
        "raise",
        "open",
        "tell",
        "exhausted",
        "begun",
        "reminder",
        "reply-overdue",
        "expired",
        "non-delivered",
        "concluded",
        "alternate",
        "hold-ended",
        "missed-test",
    ]
    party: PartyId | None = None
    waits_for: WaitsFor | None = None
    tier: str | None = None
    posts: tuple[Address, ...] | None = None
    times: Natural | None = None
    every_s: Natural | None = None


class RegisterNumber(Shape):
    """The number that a note has in its sender's register."""

    series: str
    year: int
    number: Natural


class Procedure(Shape):
    """A proposal under silence."""

    stage: Stage
    until: Micros
    decision: Natural | None = None


class State(Shape):
    """Where a note stands: the node's word, which records prove (API-23)."""

    reference: Annotated[Natural, Field(description="0 of a draft")]
    at: Micros
    kind: str
    precedence: Precedence
    from_: Annotated[Address | None, Field(alias="from")] = None
    draft: Yes | None = None
    exercise: Yes | None = None
    release: Digest | None = None
    withdrawn: Yes | None = None
    number: RegisterNumber | None = None
    deferred_until: Micros | None = None
    expiry: Micros | None = None
    latest_delivery: Micros | None = None
    superseded_by: Digest | None = None
    procedure: Procedure | None = None
    waits_for: WaitsFor | None = None
    addressees: tuple[Addressee, ...]
    next: Annotated[tuple[Coming, ...], Field(max_length=COMING_MAX)]


class Note(Shape):
    """A note's own receipt, and where it stands (API-16)."""

    receipt: Receipt
    state: State


class Certificates(Shape):
    """Receipts of the records that were due about a note, in their order (API-25)."""

    certificates: Annotated[tuple[Receipt, ...], Field(max_length=PAGE_MAX)]
    more: bool


class Proposed(Shape):
    """A charter that waits for accessions."""

    charter: Receipt
    accessions: tuple[Receipt, ...]


class Channel(Shape):
    """A channel by the receipts that make it (API-17)."""

    channel: Digest
    alias: Alias
    type: str
    is_open: bool
    charter: Receipt
    accessions: tuple[Receipt, ...]
    rosters: tuple[Receipt, ...]
    participations: tuple[Receipt, ...]
    minimized: tuple[Receipt, ...]
    proposed: tuple[Proposed, ...]


class Channels(Shape):
    """The channels whose charter names the asker's party (API-17)."""

    channels: tuple[Channel, ...]


class Party(Shape):
    """What is current of a party (API-18)."""

    party: Receipt
    directory: Receipt | None = None
    members: tuple[Receipt, ...]
    postings: tuple[Receipt, ...]
    keys: tuple[Receipt, ...]


class PartyStatements(Shape):
    """All that was said of a party, in its order (API-47)."""

    statements: tuple[Receipt, ...]
    more: bool


class Opening(Shape):
    index: Natural
    entry: str
    leaf_key: Bytes
    fields: Annotated[tuple[Bytes, ...], Field(min_length=8, max_length=8)]


class Openings(Shape):
    """Whole entries of the log (API-20)."""

    entries: Annotated[tuple[Opening, ...], Field(max_length=PAGE_MAX)]


class Missed(Shape):
    """A line test that didn't come, and whose turn it was."""

    slot: Natural
    at: Micros
    party: PartyId


class _Watched(Shape):
    channel: Alias
    precedence: Precedence
    at: Micros
    raised: Yes | None = None
    vacant: Yes | None = None
    claimed_by: Address | None = None
    claimed_at: Micros | None = None
    snoozed_until: Micros | None = None
    annotation: str | None = None
    exercise: Yes | None = None


class WatchedNote(_Watched):
    """A note that climbs for the operator's party (API-26)."""

    kind: Literal["unacknowledged", "unanswered", "exhausted"]
    reference: Annotated[str, Field(description="ALIAS/N")]
    note: Digest
    index: Natural
    note_kind: str
    from_: Annotated[PartyId, Field(alias="from")]
    to: tuple[Addressee, ...]
    next: Coming


class WatchedLine(_Watched):
    """A line whose tests were missed (API-26)."""

    kind: Literal["missed-test"]
    reference: Alias
    missed: Annotated[tuple[Missed, ...], Field(min_length=1)]
    next: Coming | None = None


class Minimized(Shape):
    """A party asks for essential traffic only (API-26)."""

    channel: Alias
    party: PartyId
    below: Precedence
    until: Micros
    by: Address
    at: Micros
    text: str


class Watch(Shape):
    """What needs a human of the operator's party, the most urgent first (API-26)."""

    items: Annotated[
        tuple[Annotated[WatchedNote | WatchedLine, Field(discriminator="kind")], ...],
        Field(max_length=PAGE_MAX),
    ]
    more: bool
    minimized: Annotated[
        tuple[Minimized, ...],
        Field(description="for whom the channels of the operator's party are minimized now"),
    ]
