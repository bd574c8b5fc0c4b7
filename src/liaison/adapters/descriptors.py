"""File descriptors: that a node has one for each connection that its settings allow."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

OTHERS: Final = 128
"""Beside connections: the store's files, in which nothing may be wanting; guard, reserve, journal."""


def room_for(connections: int, burst: int) -> int:
    """Return how many of so many connections there are descriptors for.

    ``burst`` more may be accepted before the first of them is looked at. What the process may have
    is raised to that where the system lets it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + burst + OTHERS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return max(1, min(connections, soft - OTHERS))
