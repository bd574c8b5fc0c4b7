"""Seats in a channel of many: who may do what. protocols/statements.md, SEAT.

The table is the rule; a channel whose charter gives no seats lets each party do everything.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import ClassVar, Final

from liaison.rules.cells import Channel, Member
from liaison.rules.kinds.common import ChannelRule
from liaison.rules.refusal import Refused
from liaison.statements.charters import Charter, Seat, Standing
from liaison.statements.payloads import Note


class Right(StrEnum):
    """What a party does in a forum."""

    READ = "read"
    STATE = "state"
    PROPOSE = "propose"
    AMEND = "amend"
    OBJECT = "object"
    EXTEND = "extend"


RIGHTS: Final[dict[Seat, frozenset[Right]]] = {
    Seat.CHAIR: frozenset(Right),
    Seat.MEMBER: frozenset({Right.READ, Right.STATE, Right.PROPOSE, Right.AMEND, Right.OBJECT}),
    Seat.OBSERVER: frozenset({Right.READ}),
}


def check_right(channel: Channel, party: str, right: Right) -> Refused | None:
    """Return a refusal unless the party's seat lets it do that."""
    seat = channel.seat(party)
    if seat is None or right in RIGHTS[seat]:
        return None
    may = ", ".join(s.value for s in Seat if right in RIGHTS[s])
    return Refused("seat", f"{party} is {seat} in {channel.alias}; to {right} is for: {may}")


def put_to_all(channel: Channel, own: str, parties: Collection[str]) -> Refused | None:
    """Return a refusal unless each other party that takes part and may object is among ``parties``.

    Silence binds only those who could have spoken.
    """
    for party in channel.parties:
        is_asked = party == own or channel.standing(party) is not Standing.ACTIVE
        if is_asked or party in parties or check_right(channel, party, Right.OBJECT) is not None:
            continue
        return Refused(
            "not-addressed", f"a proposal is put to each party that may object, also to {party}"
        )
    return None


class Seats(ChannelRule):
    """Each party has a seat, one of them is the chair, and seats say who may do what."""

    name: ClassVar[str] = "seats"
    since: ClassVar[int] = 2

    def of_charter(self, charter: Charter) -> Refused | None:
        chairs = [s.party for s in charter.seats or () if s.seat is Seat.CHAIR]
        if len(chairs) != 1:
            return Refused(self.name, f"the charter seats {len(chairs)} chairs, not one")
        return None

    def of_note(self, channel: Channel, note: Note, sender: Member) -> Refused | None:
        right = Right.STATE
        if note.amends is not None:
            right = Right.AMEND
        elif note.silence_until is not None:
            right = Right.PROPOSE
        return check_right(channel, sender.party, right)
