"""The guard: the last head that may have been signed, in a small file of its own. design.md 5.

The file has two slots and the newest valid one counts. An advance overwrites the older one, so the
newer stays whole until the next is on disk. What the head means is the sequencer's business: it
signs nothing unless the store holds the guarded head.

Why a torn newest slot may be passed over: a slot is synced before anything is signed under its head
(commit order: store, guard, sign), so a slot that a crash tore was never signed under, and the
other one is the last head that was. A slot that rotted later was signed under; passing over it
costs one step of memory, which matters only if the store went back by that very step, too.
``has_healed`` tells that it happened.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

from liaison.adapters.newfile import create_whole
from liaison.node.ports import Head
from liaison.words.errors import GuardRefused

SLOT_BYTES: Final = 512
SLOT_OFFSETS: Final = (0, 4096)
"""In different sectors of any disk: losing power while one is written can't damage the other."""
FILE_BYTES: Final = SLOT_OFFSETS[-1] + SLOT_BYTES

_MAGIC: Final = b"liaison-guard/1\n"
# magic, sequence number, size, at, root; then zeros, then the SHA-256 of all before.
_SLOT: Final = struct.Struct(">16sQQQ32s")
_DIGEST_BYTES: Final = 32
_UNSIGNED: Final = "Nothing is signed while the guard is not sure"


class FileGuard:
    """ports.Guard in a file, locked until ``close`` or the end of the process."""

    def __init__(
        self, path: Path, descriptor: int, sequence: int, head: Head, healed: bool
    ) -> None:
        self.path = path
        self.has_healed = healed
        """Of the two slots one was invalid when it was opened: a crash tore it, or it rotted."""
        self._descriptor: int | None = descriptor
        self._sequence = sequence
        self._head = head

    @classmethod
    def create(cls, path: Path, head: Head) -> FileGuard:
        """Create the guard of a new log and open it.

        Raises:
            GuardRefused: there is a file of this name already.
        """
        data = bytearray(FILE_BYTES)
        for sequence, offset in enumerate(SLOT_OFFSETS):
            data[offset : offset + SLOT_BYTES] = to_slot(sequence, head)
        try:
            create_whole(path, bytes(data))
        except FileExistsError as exc:
            raise GuardRefused(
                f"There is a guard at {path} already",
                safe="It was not touched: it may be all that knows what a log has signed",
                do="Name another path for the new log's guard",
            ) from exc
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> FileGuard:
        """Lock and read a guard.

        Raises:
            GuardRefused: it's missing, held by another process, or neither slot is valid.
        """
        descriptor = _opened(path, os.O_RDWR)
        try:
            return cls._open(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def _open(cls, path: Path, descriptor: int) -> FileGuard:
        _lock(path, descriptor)
        sequence, head, healed = _newest(path, descriptor)
        guard = cls(path, descriptor, sequence, head, healed)
        # What was read may be in the page cache only: its writer was killed before the sync, or the
        # sync failed. Written anew into the other slot and synced, it is on disk before it counts.
        guard._write(head)
        return guard

    def read(self) -> Head:
        return self._head

    def advance(self, head: Head) -> None:
        """Replace the guarded head and sync it.

        Raises:
            GuardRefused: it would go backwards, or to another root at the same size.
            OSError: it wasn't written, or isn't known to be; the guard is closed for good.
        """
        if self._descriptor is None:
            raise GuardRefused(
                f"The guard {self.path} is closed: it was let go, or a write to it failed",
                safe=_UNSIGNED,
                do="Check the disk that holds it, then start the node again",
            )
        if head.size < self._head.size:
            self._refuse(head, "would go backwards")
        if head.size == self._head.size and head.root != self._head.root:
            self._refuse(head, "would turn to another history")
        if head != self._head:
            self._write(head)

    def close(self) -> None:
        """Let the guard go, and with it the lock."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _write(self, head: Head) -> None:
        assert self._descriptor is not None
        sequence = self._sequence + 1
        try:
            slot = to_slot(sequence, head)
            written = os.pwrite(self._descriptor, slot, SLOT_OFFSETS[sequence % 2])
            if written != SLOT_BYTES:
                raise OSError(f"{written} bytes of {SLOT_BYTES} written to {self.path}")
            os.fdatasync(self._descriptor)
        except BaseException:
            # After a failed sync the kernel may take the page for clean: a second sync that
            # succeeds would prove nothing (design.md 5, "never retried").
            self.close()
            raise
        self._sequence, self._head = sequence, head

    def _refuse(self, head: Head, why: str) -> NoReturn:
        raise GuardRefused(
            f"The guard {self.path} {why}: it holds {describe(self._head)}, not before "
            f"{describe(head)}",
            safe=_UNSIGNED,
            do="Bring the newer data back, or give the log up with `liaison node retire`",
        )


def peek(path: Path) -> tuple[Head, bool]:
    """Return what a guard holds, and whether both slots are whole; it is neither locked nor written.

    Beside a node that serves it may be one step old.

    Raises:
        GuardRefused: it's missing, or neither slot is valid.
    """
    descriptor = _opened(path, os.O_RDONLY)
    try:
        _, head, healed = _newest(path, descriptor)
    finally:
        os.close(descriptor)
    return head, not healed


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every node off that would open this guard, which isn't written.

    Raises:
        GuardRefused: it's missing, or a node holds it.
    """
    descriptor = _opened(path, os.O_RDONLY)
    try:
        _lock(path, descriptor)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path, how: int) -> int:
    try:
        return os.open(path, how | os.O_CLOEXEC)
    except FileNotFoundError as exc:
        raise GuardRefused(
            f"There is no guard at {path}: which head was signed last isn't known",
            safe=_UNSIGNED,
            do="Put back the copy of the guard that you keep on the second disk, "
            "or give the log up with `liaison node retire`",
        ) from exc


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise GuardRefused(
            f"The guard {path} is locked: another instance serves this log",
            safe="This one has signed nothing, the other goes on",
            do="Stop the other instance first, or leave it in service",
        ) from exc


def _newest(path: Path, descriptor: int) -> tuple[int, Head, bool]:
    """Return the newest valid slot, and whether the other one isn't valid."""
    slots = [from_slot(os.pread(descriptor, SLOT_BYTES, offset)) for offset in SLOT_OFFSETS]
    valid = [slot for slot in slots if slot is not None]
    if not valid:
        raise GuardRefused(
            f"Both slots of the guard {path} are damaged: which head was signed last isn't known",
            safe=_UNSIGNED,
            do="Bring the newer data back: the copy of the guard that you keep on the second "
            "disk; or give the log up with `liaison node retire`",
        )
    sequence, head = max(valid, key=lambda slot: slot[0])
    return sequence, head, len(valid) < len(slots)


def describe(head: Head) -> str:
    """Return a head as messages show it."""
    return f"size {head.size}, root {head.root.hex()}"


def to_slot(sequence: int, head: Head) -> bytes:
    """Return the 512 bytes of a slot."""
    body = _SLOT.pack(_MAGIC, sequence, head.size, head.at, head.root)
    body = body.ljust(SLOT_BYTES - _DIGEST_BYTES, b"\0")
    return body + hashlib.sha256(body).digest()


def from_slot(data: bytes) -> tuple[int, Head] | None:
    """Return sequence number and head, None where the slot isn't whole."""
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if len(data) != SLOT_BYTES or hashlib.sha256(body).digest() != digest:
        return None
    magic, sequence, size, at, root = _SLOT.unpack_from(body)
    return (sequence, Head(size, root, at)) if magic == _MAGIC else None
