"""Lives of a note's addressees, as tables: what a table doesn't list can't happen. design.md, law 8."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from liaison.statements.payloads import AddresseeRole


class Life(StrEnum):
    """The one state that an addressee of an accepted note is in."""

    DRAFTED = "drafted"
    WITHHELD = "withheld"
    QUEUED = "queued"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    DECLINED = "declined"
    UNANSWERED = "unanswered"
    NON_DELIVERED = "non-delivered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LAPSED = "lapsed"


class Step(StrEnum):
    """What moves an addressee from one state to the next."""

    RELEASED = "released"
    OPENED = "opened"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    DECLINED = "declined"
    CLOSED = "closed"
    REOPENED = "reopened"
    NOT_DELIVERED = "not-delivered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    NOT_NEEDED = "not-needed"


Table = dict[tuple[Life, Step], Life]

_UNSEEN: Final[Table] = {
    (Life.QUEUED, Step.DELIVERED): Life.DELIVERED,
    (Life.QUEUED, Step.NOT_DELIVERED): Life.NON_DELIVERED,
    (Life.QUEUED, Step.CANCELLED): Life.CANCELLED,
    (Life.QUEUED, Step.EXPIRED): Life.EXPIRED,
}

INFO: Final[Table] = _UNSEEN

ACTION: Final[Table] = {
    **_UNSEEN,
    (Life.QUEUED, Step.ACKNOWLEDGED): Life.ACKNOWLEDGED,
    (Life.QUEUED, Step.DECLINED): Life.DECLINED,
    (Life.QUEUED, Step.CLOSED): Life.UNANSWERED,
    (Life.DELIVERED, Step.ACKNOWLEDGED): Life.ACKNOWLEDGED,
    (Life.DELIVERED, Step.DECLINED): Life.DECLINED,
    (Life.DELIVERED, Step.CLOSED): Life.UNANSWERED,
    (Life.DELIVERED, Step.CANCELLED): Life.CANCELLED,
    (Life.DELIVERED, Step.EXPIRED): Life.EXPIRED,
    (Life.ACKNOWLEDGED, Step.REOPENED): Life.DELIVERED,
    (Life.DECLINED, Step.REOPENED): Life.DELIVERED,
    (Life.UNANSWERED, Step.REOPENED): Life.DELIVERED,
}

STANDBY: Final[Table] = {
    **ACTION,
    (Life.WITHHELD, Step.OPENED): Life.QUEUED,
    (Life.WITHHELD, Step.NOT_NEEDED): Life.LAPSED,
}

FIRST: Final[dict[AddresseeRole, Life]] = {
    AddresseeRole.ACTION: Life.QUEUED,
    AddresseeRole.INFO: Life.QUEUED,
    AddresseeRole.STANDBY: Life.WITHHELD,
}


def _drafted(role: AddresseeRole) -> Table:
    """Return a foreign addressee's life before the release, after which it is as its role."""
    return {
        (Life.DRAFTED, Step.RELEASED): FIRST[role],
        (Life.DRAFTED, Step.CANCELLED): Life.CANCELLED,
    }


TABLES: Final[dict[AddresseeRole, Table]] = {
    AddresseeRole.ACTION: {**ACTION, **_drafted(AddresseeRole.ACTION)},
    AddresseeRole.INFO: {**INFO, **_drafted(AddresseeRole.INFO)},
    AddresseeRole.STANDBY: {**STANDBY, **_drafted(AddresseeRole.STANDBY)},
}


def step(role: AddresseeRole, life: Life, taken: Step) -> Life | None:
    """Return the state after ``taken``, or None where the role's table doesn't list it."""
    return TABLES[role].get((life, taken))


class Stage(StrEnum):
    """Where a proposal stands in the silence procedure."""

    PROPOSED = "proposed"
    UNDER_SILENCE = "under-silence"
    ADOPTED = "adopted"
    BROKEN = "broken"
    WITHDRAWN = "withdrawn"


class Act(StrEnum):
    """What moves a proposal from one stage to the next."""

    BEGUN = "begun"
    CONCLUDED = "concluded"
    EXTENDED = "extended"
    OBJECTED = "objected"
    AMENDED = "amended"
    WITHDRAWN = "withdrawn"


PROCEDURE: Final[dict[tuple[Stage, Act], Stage]] = {
    (Stage.PROPOSED, Act.BEGUN): Stage.UNDER_SILENCE,
    (Stage.PROPOSED, Act.WITHDRAWN): Stage.WITHDRAWN,
    (Stage.UNDER_SILENCE, Act.CONCLUDED): Stage.ADOPTED,
    (Stage.UNDER_SILENCE, Act.EXTENDED): Stage.UNDER_SILENCE,
    (Stage.UNDER_SILENCE, Act.OBJECTED): Stage.BROKEN,
    (Stage.UNDER_SILENCE, Act.AMENDED): Stage.BROKEN,
    (Stage.UNDER_SILENCE, Act.WITHDRAWN): Stage.WITHDRAWN,
}
