"""Batches of a log that grows: what the contract of a store is tried with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import ClassVar

from liaison.node.ports import Batch, ContentRow, EntryRow, Head, WrapRow
from liaison.rules.cells import Cell, Counter, References
from liaison.rules.inbox import InboxRow

START_AT = 1_790_000_000_000_000
SCOPE = "scope-1"
MEMBER = "desk@party"
SALT = b"canary-leaf-key-canary-leaf-key!"  # 32 bytes


class Timed(Cell):
    """A cell of no kind of the rules', which may hold a due moment."""

    name: ClassVar[str] = "timed"
    ids: ClassVar[tuple[str, ...]] = ("channel", "id")
    channel: str
    id: str
    moment: int | None = None

    @property
    def due(self) -> int | None:
        return self.moment


def digest_of(index: int) -> str:
    return f"digest-{index}"


def entry_row(
    index: int,
    *,
    statement: bytes = b"statement",
    facts: bytes = b"{}",
    urgency: bytes = b"{}",
    actor: bytes = b"desk@party",
    scope: str = SCOPE,
    n: int | None = None,
    note: str | None = None,
) -> EntryRow:
    """Return an entry; one with no ``statement`` is a due record, and has no digest."""
    digest = digest_of(index) if statement else ""
    place = json.dumps({"id": scope, "n": index + 1 if n is None else n}, separators=(",", ":"))
    fields = (
        b"note",
        str(START_AT + index).encode("ascii"),
        place.encode("utf-8"),
        (digest if note is None else note).encode("ascii"),
        actor,
        urgency,
        statement,
        facts,
    )
    return EntryRow(index, b"entry %d" % index, SALT, fields, digest)


def head_of(size: int) -> Head:
    return Head(size, hashlib.sha256(b"%d" % size).digest(), START_AT + size)


@dataclass
class GrowingLog:
    """Makes batches each of which continues the one before."""

    head: Head | None = None
    padding: int = 0
    """Bytes by which every ciphertext is longer."""
    batches: list[Batch] = field(default_factory=list)

    def grow(self, count: int = 1) -> Batch:
        start = self.head.size if self.head else 0
        end = start + count
        batch = Batch(
            previous=self.head,
            head=head_of(end),
            entries=[entry_row(index) for index in range(start, end)],
            tiles={(0, end // 256): b"tile of %d" % end},
            cells=[Counter(scope=SCOPE, n=end), References(channel=SCOPE, last=end)],
            inbox=[InboxRow(MEMBER, index, index, "note", "FLASH") for index in range(start, end)],
            contents=[
                ContentRow(index, b"ciphertext %d" % index + bytes(self.padding))
                for index in range(start, end)
            ],
            wraps=[
                WrapRow(index, key, f"device of {key}", f"wrap {index} {key}".encode())
                for index in range(start, end)
                for key in ("key-1", "key-2")
            ],
        )
        self.head = batch.head
        self.batches.append(batch)
        return batch
