"""Alternating line tests, so that a dead line is noticed before it is needed. protocols/statements.md, TEST.

Slots of ``every_s`` are counted from 1970 UTC. The charter's parties take turns, the first in even
slots; of an hourly test that is the even hours. A slot that is waited for keeps its turn and its
grace; what the charter says by then counts from the next one on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import Field

from liaison.rules.cells import Channel, Item, LineTest
from liaison.rules.kinds.common import ChannelRule
from liaison.rules.refusal import Refused
from liaison.statements.charters import Charter, RuleUse, Standing
from liaison.statements.fields import Word
from liaison.words.times import SECOND


class LineTests(ChannelRule):
    """In each slot the party whose turn it is sends a note of ``kind`` within ``grace_s``."""

    name: ClassVar[str] = "line-tests"
    since: ClassVar[int] = 2
    kind: Word
    every_s: Annotated[int, Field(ge=60, le=7 * 86400)]
    grace_s: Annotated[int, Field(ge=1, le=7 * 86400)]

    def of_charter(self, charter: Charter) -> Refused | None:
        if self.grace_s > self.every_s:
            return Refused(self.name, "grace_s: a slot ends before its test is missed")
        if all(kind.kind != self.kind for kind in charter.kinds):
            return Refused(self.name, f"the charter has no notes of kind {self.kind}")
        return None

    def line(self, channel: Channel, at: int) -> LineTest | None:
        """The first slot that is waited for is the first that begins after ``at``."""
        every = self.every_s * SECOND
        slot = at // every + 1
        turn = turn_of(channel, slot)
        if turn is None:
            return None
        return LineTest(
            channel=channel.channel,
            kind=self.kind,
            every_us=every,
            grace_us=self.grace_s * SECOND,
            slot=slot,
            turn=turn,
            items=tuple(Item(party=party) for party in sorted(channel.parties)),
        )


def line_test_kind(rules: Iterable[RuleUse]) -> str | None:
    """Return the kind of note that tests the line, by a charter's rules."""
    used = (use.parameters.get("kind") for use in rules if use.use == LineTests.name)
    return next((str(kind) for kind in used if kind is not None), None)


def turn_of(channel: Channel, slot: int) -> str | None:
    """Return whose turn a slot has: parties that take part take turns, where there are two."""
    active = [p for p in channel.parties if channel.standing(p) is Standing.ACTIVE]
    return active[slot % len(active)] if len(active) > 1 else None
