"""How large a batch may be: some ms of work, so that FLASH waits for a short one. design.md 7.

What a statement costs is measured as it goes, on the clock that nobody sets: the time for which its
batch held up everything else. The store writes beside that, in a thread of its own, and waits for
its disk however small the batch is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TARGET_US: Final = 4_000
"""What the loop does for a batch; some 0.3 ms a note of it. Measured on two cores, 128 senders of
routine notes and FLASH every 100 ms, until its frame is with an online device: with 8 ms 38 ms
(median) and 93 (p99), 570 routine notes a second beside it; with 4 ms 22 and 58 ms, 440 to 500 a
second. With 2.5 ms some routine notes waited longer than they may.
"""
BATCH_MAX: Final = 256
FIRST_GUESS_US: Final = 300
_MEMORY: Final = 8
"""Batches that an average goes over."""
_STALL_US: Final = 4 * TARGET_US
"""More than this in one batch is a stall, not what its statements cost."""


@dataclass
class Pace:
    """Moving averages over batches: the work of one, in microseconds, and of how many units it was."""

    work_us: float = FIRST_GUESS_US
    units: float = 1.0

    @property
    def room(self) -> int:
        """How many units of work the next batch may hold."""
        cost = max(self.work_us / self.units, TARGET_US / BATCH_MAX)
        return max(1, int(TARGET_US / cost))

    def took(self, units: int, work_us: int) -> None:
        """Learn from a batch that was decided and committed."""
        self.work_us += (min(work_us, _STALL_US) - self.work_us) / _MEMORY
        self.units += (units - self.units) / _MEMORY
