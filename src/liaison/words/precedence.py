"""Precedence of a note: six levels, RFC 6710 Appendix A (military string assignments)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Precedence(StrEnum):
    """Spelled as in statements; ``rank`` orders them, 0 (DEFERRED) to 5 (OVERRIDE)."""

    DEFERRED = "deferred"
    ROUTINE = "routine"
    PRIORITY = "priority"
    IMMEDIATE = "immediate"
    FLASH = "flash"
    OVERRIDE = "override"

    @property
    def rank(self) -> int:
        return _RANK[self]


_RANK: Final = {level: rank for rank, level in enumerate(Precedence)}

STOP_BAND: Final = len(_RANK)
"""The band above OVERRIDE, for what stops something (design.md, law 7)."""
