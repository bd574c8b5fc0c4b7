"""What a channel's parties agree on: charter, accession, participation. protocols/statements.md, CHARTER.

The charter carries every parameter of its channel; decide never reads ``protocols/*.toml``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from liaison.statements.fields import (
    Alias,
    Ascending,
    Digest,
    Frozen,
    Integer,
    Origin,
    PartyId,
    SigningPublic,
    Text,
    Word,
)
from liaison.statements.payloads import ByParty, MemberRole
from liaison.words.precedence import Precedence

MAX_RUNGS: Final = 16
DAY_S: Final = 86_400

Delay = Annotated[int, Field(ge=0, le=400 * DAY_S)]
Span = Annotated[int, Field(ge=1, le=400 * DAY_S)]
"""Seconds, at least one."""


class LogTerms(Frozen):
    """The log that a channel's parties agree on."""

    origin: Origin
    log_key: SigningPublic
    node_key: SigningPublic


class Effect(StrEnum):
    """What a rung of a ladder does."""

    ALERT = "alert"
    """Alert again who has not taken the note on."""
    RAISE = "raise"
    """Raise the note on the operators' queue."""
    OPEN = "open"
    """Open a standby tier: its copies can be read from now on."""
    TELL = "tell"
    """Tell the sender and, by their roster, the ministries."""
    EXHAUSTED = "exhausted"
    """Say loudly that nobody answered, again and again until a person closes it."""


EXHAUSTED_LEAST_S: Final = 60
"""It goes on without end: each time is a record."""


class Rung(Frozen):
    """One rung: ``after_s`` seconds after the one before (the first: after arming) it takes effect.

    ``times`` effects, ``every_s`` seconds apart; *exhausted* goes on until a person closes it.
    """

    after_s: Delay
    effect: Effect
    tier: Word | None = None
    every_s: Span | None = None
    times: Annotated[int, Field(ge=2, le=100)] | None = None

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.effect is Effect.OPEN and self.tier is None:
            raise ValueError("tier: a rung that opens names the tier")
        if self.effect not in (Effect.OPEN, Effect.TELL) and self.tier is not None:
            raise ValueError("tier: stands where the effect is open or tell, and only there")
        repeats = self.times is not None or self.effect is Effect.EXHAUSTED
        if repeats != (self.every_s is not None):
            raise ValueError("every_s: stands beside times, and where the effect is exhausted")
        if self.effect is Effect.EXHAUSTED and (self.every_s or 0) < EXHAUSTED_LEAST_S:
            raise ValueError(f"every_s: exhausted is said at most every {EXHAUSTED_LEAST_S} s")
        if self.times is not None and self.effect is not Effect.ALERT:
            raise ValueError("times: stands where the effect is alert, and only there")
        return self


class Ladder(Frozen):
    """What happens, and when, while nobody takes a note on. It ends with *exhausted*."""

    name: Word
    rungs: Annotated[tuple[Rung, ...], Field(min_length=1, max_length=MAX_RUNGS)]

    @property
    def sort_key(self) -> str:
        return self.name

    @model_validator(mode="after")
    def _ends_loudly(self) -> Self:
        effects = [rung.effect for rung in self.rungs]
        if effects.count(Effect.EXHAUSTED) != 1 or effects[-1] is not Effect.EXHAUSTED:
            raise ValueError("rungs: the last rung, and only the last, is exhausted")
        opened = [rung.tier for rung in self.rungs if rung.effect is Effect.OPEN]
        if len(set(opened)) != len(opened):
            raise ValueError("rungs: a tier is opened twice")
        return self


class LadderUse(Frozen):
    """Notes of a kind whose precedence for action is at least ``at_least`` climb this ladder."""

    at_least: Precedence
    ladder: Word

    @property
    def sort_key(self) -> str:
        return str(self.at_least.rank)


class Silence(Frozen):
    """A kind whose notes are proposals: how long their silence lasts, in seconds."""

    min_s: Span
    max_s: Span

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_s > self.max_s:
            raise ValueError("max_s: must not be below min_s")
        return self


class NoteKind(Frozen):
    """A kind of note that a charter allows, and its limits."""

    kind: Word
    action_max: Precedence
    info_max: Precedence
    default: Precedence
    justification: Literal["none", "standing", "required"]
    standing: Text | None = None
    writers: Annotated[tuple[MemberRole, ...], Field(min_length=1), Ascending]
    # Rules version 2
    ladders: (
        Annotated[tuple[LadderUse, ...], Field(min_length=1, max_length=6), Ascending] | None
    ) = None
    answer_within_s: Span | None = None
    reminders_s: Annotated[tuple[Span, ...], Field(min_length=1, max_length=8)] | None = None
    service: Literal[True] | None = None
    series: Word | None = None
    release: MemberRole | None = None
    silence: Silence | None = None

    @property
    def sort_key(self) -> str:
        return self.kind

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if self.default.rank > self.action_max.rank:
            raise ValueError("default: must not be above action_max")
        return self

    @model_validator(mode="after")
    def _standing_is_said(self) -> Self:
        if (self.justification == "standing") != (self.standing is not None):
            raise ValueError("standing: said where justification is 'standing', and only there")
        return self

    @model_validator(mode="after")
    def _silence_is_an_answer(self) -> Self:
        if self.silence is not None and (self.ladders or self.answer_within_s):
            raise ValueError("ladders: a kind under silence climbs none, for silence is an answer")
        return self

    @model_validator(mode="after")
    def _reminders_descend(self) -> Self:
        spans = self.reminders_s or ()
        if sorted(set(spans), reverse=True) != list(spans):
            raise ValueError("reminders_s: descends, and none stands twice")
        return self


class Terms(Frozen):
    """A charter's parameters; what each means stands in protocols/*.toml."""

    lapse_max_s: Annotated[int, Field(ge=60, le=400 * 86400)]
    open_within_s: Annotated[int, Field(ge=3600, le=365 * 86400)]
    content_max_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)]
    addressees_max: Annotated[int, Field(ge=1, le=256)]
    acknowledge: Literal["any-of-tier", "all"]
    classifications: Annotated[tuple[Text, ...], Field(min_length=1, max_length=16)]
    # Rules version 2
    snooze_max_s: Annotated[int, Field(ge=60, le=7 * DAY_S)] | None = None
    hold_max_s: Annotated[int, Field(ge=60, le=30 * DAY_S)] | None = None
    minimize_max_s: Annotated[int, Field(ge=60, le=7 * DAY_S)] | None = None
    cabinet: Literal["none"] | None = None
    """Clients keep nothing of what they opened or sent."""
    cabinet_s: Annotated[int, Field(ge=3600, le=3650 * DAY_S)] | None = None
    """Clients keep what they opened or sent so long after it was accepted, then no more."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.cabinet is not None and self.cabinet_s is not None:
            raise ValueError("cabinet_s: nothing is kept, so it isn't kept for any time")
        return self


class RuleUse(Frozen):
    """A rule by name with its parameters."""

    use: Word
    parameters: Annotated[dict[Word, Integer | Text], Field(max_length=8)]

    @property
    def sort_key(self) -> str:
        return self.use


class Seat(StrEnum):
    """How a party takes part in a channel of many: its chair, a member, an observer."""

    CHAIR = "chair"
    MEMBER = "member"
    OBSERVER = "observer"


class Seated(Frozen):
    party: PartyId
    seat: Seat

    @property
    def sort_key(self) -> str:
        return self.party


class Charter(ByParty):
    """What the parties of a channel agree on; the first one's digest names the channel.

    A successor names the ``channel`` and, as ``previous``, the charter that it replaces.
    """

    kind_name: ClassVar[str] = "charter"

    type: Word
    alias: Alias
    parties: Annotated[tuple[PartyId, ...], Field(min_length=2, max_length=64)]
    log: LogTerms
    terms: Terms
    kinds: Annotated[tuple[NoteKind, ...], Field(min_length=1, max_length=16), Ascending]
    rules: Annotated[tuple[RuleUse, ...], Field(max_length=32), Ascending]
    previous: Digest | None = None
    # Rules version 2
    channel: Digest | None = None
    exercise: Literal[True] | None = None
    seats: Annotated[tuple[Seated, ...], Field(min_length=2, max_length=64), Ascending] | None = (
        None
    )
    ladders: Annotated[tuple[Ladder, ...], Field(min_length=1, max_length=16), Ascending] | None = (
        None
    )

    @model_validator(mode="after")
    def _proposer_takes_part(self) -> Self:
        if len(set(self.parties)) != len(self.parties):
            raise ValueError("parties: one stands twice")
        if self.by not in self.parties:
            raise ValueError("parties: the proposer must be one of them")
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if self.channel is not None and self.previous is None:
            raise ValueError("channel: stands beside previous")
        known = {ladder.name for ladder in self.ladders or ()}
        used = {use.ladder for kind in self.kinds for use in kind.ladders or ()}
        if used - known:
            raise ValueError(f"ladders: there is no ladder {min(used - known)}")
        if self.seats is not None and {s.party for s in self.seats} != set(self.parties):
            raise ValueError("seats: each party has one, and nobody else")
        return self


class Accession(ByParty):
    """One party's yes to a charter."""

    kind_name: ClassVar[str] = "accession"

    channel: Digest
    charter: Digest


class Standing(StrEnum):
    """Whether a party takes part in a channel to which it acceded."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    LEFT = "left"


class Participation(ByParty):
    """A party suspends its part in a channel, takes it up again, or leaves for good."""

    kind_name: ClassVar[str] = "participation"

    channel: Digest
    state: Standing
    reason: Text | None = None
