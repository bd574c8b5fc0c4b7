"""Whether the wall clock may be believed. design.md 5, "One time".

A step of more than 2 s against the boot clock, or a log whose head lies in the future, stops
commits until the clocks agree again or an operator confirms, on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from liaison.node.ports import Clock
from liaison.words.times import SECOND, to_rfc3339

STEP_MAX: Final = 2 * SECOND


@dataclass
class ClockWatch:
    """``offset`` is wall minus boot clock when they were last believed, in microseconds."""

    clock: Clock
    offset: int
    tolerated_lead: int = 0
    """How far a confirmed head may lie ahead of the clock."""

    @classmethod
    def start(cls, clock: Clock) -> ClockWatch:
        return cls(clock, clock.now() - clock.since_boot())

    def suspicion(self, head_at: int) -> str | None:
        """Return in words why the clock isn't believed, or None. ``head_at`` in microseconds."""
        now = self.clock.now()
        step = now - self.clock.since_boot() - self.offset
        if abs(step) > STEP_MAX:
            return f"the clock stepped by {step / SECOND:+.1f} s against the boot clock"
        if head_at - now > STEP_MAX + self.tolerated_lead:
            return f"the log's last record is of {to_rfc3339(head_at)}, the clock says {to_rfc3339(now)}"
        return None

    def confirm(self, head_at: int) -> None:
        """An operator confirmed that the clock is right as it is."""
        now = self.clock.now()
        self.offset = now - self.clock.since_boot()
        self.tolerated_lead = max(0, head_at - now)
