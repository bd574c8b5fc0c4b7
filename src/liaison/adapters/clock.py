"""The machine's two clocks. design.md 5 ("One time"): the second one tells when the first jumped.

Whether a step is suspect is the sequencer's business.
"""

from __future__ import annotations

import time
from typing import Final

# CLOCK_MONOTONIC stands still while the machine sleeps: waking would look like a clock step.
_SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """ports.Clock of this machine, in microseconds."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def since_boot(self) -> int:
        return time.clock_gettime_ns(_SINCE_BOOT) // 1000
