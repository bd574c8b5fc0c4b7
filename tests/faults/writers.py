"""Writers that fail on demand, before the real commit or after it."""

from __future__ import annotations

import threading

from liaison.adapters.sql.writer import SqlWriter
from liaison.node.ports import Batch, Head


class DiskFull(Exception):
    """What a store says when it can't go on."""


class BrokenWriter(SqlWriter):
    """The real writer, but for what a test switches on. A switch for one commit falls back."""

    fails_before = False
    fails_after = False
    is_unreadable = False
    gate: threading.Event | None = None
    """Commits wait for it, so that a test can fill the next batch."""

    is_held = False

    def commit(self, batch: Batch) -> None:
        if self.gate is not None:
            self.is_held = True
            assert self.gate.wait(20)
        if self.fails_before:
            self.fails_before = False
            raise DiskFull("it failed")
        super().commit(batch)
        if self.fails_after:
            self.fails_after = False
            raise DiskFull("it failed but was persisted")

    def head(self) -> Head | None:
        if self.is_unreadable:
            raise DiskFull("the store can't be read")
        return super().head()
