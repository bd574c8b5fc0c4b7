"""Rules that any channel type may use."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from liaison.rules.cells import Channel, LineTest, Member
from liaison.rules.refusal import Refused
from liaison.statements.charters import Charter
from liaison.statements.fields import Frozen
from liaison.statements.payloads import AddresseeRole, MemberRole, Note
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence


class ChannelRule(Frozen):
    """A rule with its parameters. Each question has an answer that lets pass."""

    name: ClassVar[str]
    since: ClassVar[int] = 1
    """The rules version that knows it."""

    def of_charter(self, charter: Charter) -> Refused | None:
        """May a channel of this charter have this rule?"""
        return None

    def line(self, channel: Channel, at: int) -> LineTest | None:
        """Return the line tests that the channel has from ``at`` on, if the rule asks for some."""
        return None

    def of_note(self, channel: Channel, note: Note, sender: Member) -> Refused | None:
        """May this note cross the channel?"""
        return None


class MembersExactly(ChannelRule):
    """The channel joins exactly ``count`` parties."""

    name: ClassVar[str] = "members-exactly"
    count: Annotated[int, Field(ge=2, le=64)]

    def of_charter(self, charter: Charter) -> Refused | None:
        joined = len(charter.parties)
        if joined != self.count:
            return Refused(self.name, f"the channel joins {joined} parties, not {self.count}")
        return None


class ActionAcross(ChannelRule):
    """Each note asks another party than the sender's to act."""

    name: ClassVar[str] = "action-across"

    def of_note(self, channel: Channel, note: Note, sender: Member) -> Refused | None:
        for addressee in (*note.addressees, *(note.drafted or ())):
            if addressee.role is AddresseeRole.ACTION and party_of(addressee.post) != sender.party:
                return None
        return Refused(self.name, "no post of another party is addressed for action")


class ClearedAbove(ChannelRule):
    """Precedence above ``precedence`` is for members with the role ``role``."""

    name: ClassVar[str] = "cleared-above"
    precedence: Annotated[Precedence, Field(strict=False)]
    role: Annotated[MemberRole, Field(strict=False)]

    def of_note(self, channel: Channel, note: Note, sender: Member) -> Refused | None:
        if note.precedence.action.rank > self.precedence.rank and self.role not in sender.roles:
            return Refused(
                self.name,
                f"{note.precedence.action} is for members with the role {self.role}; "
                f"you may use up to {self.precedence}",
            )
        return None
