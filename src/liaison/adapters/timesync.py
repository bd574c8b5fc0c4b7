"""Whether something keeps this machine's clock right: the kernel's own word, adjtimex(2)."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_TIMEX_BYTES: Final = 1_024
"""More than any Linux has in struct timex; all zeros asks and sets nothing."""
_UNSYNCHRONISED: Final = 5


def is_synchronised() -> bool | None:
    """Return whether a time service disciplines the clock; None where that can't be known."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED
