"""The machine's two clocks, and exercise time. design.md 5 ("One time"): the second clock tells when
the first jumped.

Whether a step is suspect is the sequencer's business.
"""

from __future__ import annotations

import time
from typing import Final

from liaison.node.ports import Clock

# CLOCK_MONOTONIC stands still while the machine sleeps: waking would look like a clock step.
_SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """ports.Clock of this machine, in microseconds."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def since_boot(self) -> int:
        return time.clock_gettime_ns(_SINCE_BOOT) // 1000


class ExerciseClock:
    """ports.Clock that runs ``offset`` microseconds ahead of another, as an exercise's records say.

    Both clocks move, for nothing about it is suspect.
    """

    def __init__(self, base: Clock, offset: int) -> None:
        self._base = base
        self._offset = offset

    def advance_to(self, offset: int) -> None:
        """Run so far ahead from now on; time never goes back."""
        if offset < self._offset:
            raise ValueError(
                f"exercise time is {self._offset} us ahead, not to go back to {offset}"
            )
        self._offset = offset

    def now(self) -> int:
        return self._base.now() + self._offset

    def since_boot(self) -> int:
        return self._base.since_boot() + self._offset
