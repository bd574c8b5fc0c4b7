"""The newest entries and contents, in memory, for readers who are online.

Nothing is here that the store hasn't; who reads on gets what came a moment ago without asking it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from liaison.node.deciding import Entered, Logged
from liaison.node.ports import Batch

ENTRIES_KEPT: Final = 1024
CONTENT_MAX_BYTES: Final = 64 * 1024
"""What is larger isn't kept: it doesn't come along with its item either."""
CONTENTS_KEPT_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Kept:
    """A note's ciphertext, and its wraps by device and key statement."""

    ciphertext: bytes = field(repr=False)
    wraps: dict[str, dict[str, bytes]] = field(default_factory=dict, repr=False)


@dataclass
class Newest:
    """By index; the oldest go first."""

    entries: dict[int, Logged] = field(default_factory=dict)
    contents: dict[int, Kept] = field(default_factory=dict)
    _bytes: int = 0

    def take(self, entered: Iterable[Entered], batch: Batch) -> None:
        """Take what a batch committed."""
        for e in entered:
            self.entries[e.row.index] = e.logged
        for content in batch.contents:
            if len(content.ciphertext) <= CONTENT_MAX_BYTES:
                self.contents[content.index] = Kept(content.ciphertext)
                self._bytes += len(content.ciphertext)
        for row in batch.wraps:
            # Of a note that is here all wraps are: those that a release adds come by here,
            # too. A grant keeps its own.
            kept = self.contents.get(row.index)
            if kept is not None:
                kept.wraps.setdefault(row.device, {})[row.key] = row.wrap
        while len(self.entries) > ENTRIES_KEPT:
            del self.entries[next(iter(self.entries))]
        while len(self.contents) > ENTRIES_KEPT or self._bytes > CONTENTS_KEPT_BYTES:
            self._bytes -= len(self.contents.pop(next(iter(self.contents))).ciphertext)
