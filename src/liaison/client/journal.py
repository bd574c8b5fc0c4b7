"""A journal: an append-only file of frames, made durable in groups.

A frame is u32 length of its header ‖ u32 length of its body ‖ canonical JSON header ‖ body ‖ u32
CRC-32 of all before it. What a crash left half written at the end is cut off when it is opened; what
was written whole and is damaged stays, and is said: nobody works on with a part of a file.
"""

from __future__ import annotations

import asyncio
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from liaison.client.home import write_file
from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.errors import Damaged, Malformed

_OPEN: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
"""A link that somebody planted would have the file that it names cut."""
_SIZES: Final = 8
_CRC: Final = 4
_BEGIN: Final = b'{"'
"""How each header begins."""
_HEADER: Final = re.compile(re.escape(_BEGIN))


@dataclass(frozen=True)
class Frame:
    """A frame's header, and where its body lies."""

    header: dict[str, object]
    start: int
    size: int


def headers(path: Path) -> Iterator[dict[str, object]]:
    """Give the headers of a journal, also of one that another process has open; nothing is checked."""
    with path.open("rb") as file:
        while len(sizes := file.read(8)) == 8:
            header = file.read(int.from_bytes(sizes[:4], "big"))
            yield parse_canonical(header)
            file.seek(int.from_bytes(sizes[4:], "big") + 4, os.SEEK_CUR)


def frames_in(path: Path) -> tuple[list[Frame], int]:
    """Return the whole frames of a journal, and where they end: behind it a crash may have left a part.

    Raises:
        Damaged: what stands there isn't what was written.
    """
    data = path.read_bytes()
    found: list[Frame] = []
    at = 0
    while frame := _frame(data, at):
        found.append(frame)
        at = frame.start + frame.size + _CRC
    if at < len(data) and not _is_torn(data, at):
        raise Damaged(
            f"{path} is damaged at byte {at}: what stands there isn't what was written",
            safe="the file was left as it is, and nothing was sent",
            do="make another home of this one's keys: liaison key backup FILE, then liaison --home NEW "
            "key restore FILE; it asks the log what was sent from here, and the disk wants looking at",
        )
    return found, at


def _frame(data: bytes, at: int) -> Frame | None:
    """Return the frame at a byte, None where no whole one stands."""
    body, end = _ends(data, at)
    if end + _CRC > len(data):
        return None
    if data[end : end + _CRC] != zlib.crc32(memoryview(data)[at:end]).to_bytes(_CRC, "big"):
        return None
    return Frame(parse_canonical(data[at + _SIZES : body]), body, end - body)


def _ends(data: bytes, at: int) -> tuple[int, int]:
    """Return where header and body of the frame at a byte end, as its lengths have it."""
    half = at + _SIZES // 2
    body = at + _SIZES + int.from_bytes(data[at:half], "big")
    return body, body + int.from_bytes(data[half : at + _SIZES], "big")


def _is_torn(data: bytes, at: int) -> bool:
    """Return whether a frame whose end was never written is all that stands from ``at`` on.

    A frame of which a length was damaged seems to end early, too, but whole ones come behind.
    """
    _, end = _ends(data, at)
    # Some file systems show zeros where a crash kept the bytes from being written.
    if end + _CRC <= len(data) and any(data[end:]):
        return False
    # What begins like no frame is another's file: a header is never of 16 MiB.
    head = data[at + _SIZES : at + _SIZES + len(_BEGIN)]
    if data[at] or not _BEGIN.startswith(head.rstrip(b"\0")):
        return False
    behind = _HEADER.finditer(data, at + _SIZES + 1)
    return not any(_frame(data, begin.start() - _SIZES) for begin in behind)


def _spelled(header: dict[str, object], body: bytes) -> tuple[bytes, int]:
    """Return a frame's bytes, and where in them its body begins."""
    text = format_canonical(header)
    data = len(text).to_bytes(4, "big") + len(body).to_bytes(4, "big") + text + body
    return data + zlib.crc32(data).to_bytes(4, "big"), 8 + len(text)


class Journal:
    """The file at ``path``; one process has it open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, _OPEN | os.O_CREAT, 0o600)
        self.size = 0
        """Bytes written, of which ``sync`` makes durable what precedes its call."""
        self._durable = 0
        self._syncing: asyncio.Future[None] | None = None
        self._failed: OSError | None = None

    def frames(self) -> list[Frame]:
        """Return the whole frames, and cut off what a crash left behind them. Called once, first.

        Raises:
            Damaged: what stands there isn't what was written; it stays as it is.
        """
        try:
            found, end = frames_in(self._path)
        except Damaged:
            self.close()
            raise
        os.ftruncate(self._file, end)
        self.size = self._durable = end
        return found

    def append(self, header: dict[str, object], body: bytes = b"") -> Frame:
        """Write a frame; it is durable only after ``sync``."""
        if self._failed is not None:
            raise self._failed
        data, start = _spelled(header, body)
        start += self.size
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._file, data[written:], self.size + written)
        except OSError:
            # A shorter frame would be followed by the rest of this one.
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(data)
        return Frame(header, start, len(body))

    def body(self, frame: Frame) -> bytes:
        data = os.pread(self._file, frame.size, frame.start)
        if len(data) != frame.size:
            raise Malformed(f"{self._path}: a frame ends early")
        return data

    async def sync(self) -> None:
        """Return once all that was appended before is durable; callers share one fsync."""
        wanted = self.size
        while self._durable < wanted:
            if self._failed is not None:
                raise self._failed
            if self._syncing is None:
                self._syncing = asyncio.ensure_future(self._fsync())
            await asyncio.shield(self._syncing)

    async def _fsync(self) -> None:
        size = self.size
        try:
            await asyncio.to_thread(os.fdatasync, self._file)
            self._durable = size
        except OSError as exc:
            # After a failed fsync nobody knows what the disk holds: it is never retried.
            self._failed = exc
            raise
        finally:
            self._syncing = None

    def rewrite(self, frames: list[tuple[dict[str, object], bytes]]) -> list[Frame]:
        """Replace the file by these frames, at once and durably: a crash leaves the old or the new."""
        made: list[Frame] = []
        written = bytearray()
        for header, body in frames:
            data, start = _spelled(header, body)
            made.append(Frame(header, len(written) + start, len(body)))
            written += data
        write_file(self._path, bytes(written))
        os.close(self._file)
        self._file = os.open(self._path, _OPEN)
        self.size = self._durable = len(written)
        return made

    def close(self) -> None:
        os.close(self._file)
