"""The agent: keeps the key of one home's keystore in memory, so that it isn't typed for each command.

A process of its own, since a command ends. What it keeps never reaches a disk: it stands in one page that
is neither swapped (where the system allows that) nor dumped nor inherited, and is overwritten at
``lock``, or 15 minutes after it was last used, a sleeping machine's time included. It is given to
processes of the same user alone: the socket is 0600 in a folder that is theirs, and each side asks the
kernel who the other is. Linux; our own, for docs/decisions/0021.

One exchange a connection: a line, ``key``, ``left`` or ``lock``; then the bytes, the seconds, or nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import mmap
import os
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from liaison.words.errors import NotReady

IDLE_S: Final = 15 * 60
_KEY, _LEFT, _LOCK = b"key\n", b"left\n", b"lock\n"
_NAME_CHARS: Final = 12  # the address of a socket has 108 at most
_ANSWER_S: Final = 2.0
_LOCK_S: Final = 10.0
"""So long is waited for its being locked: who asks others of it is answered first."""
_START_S: Final = 20.0
_SET_DUMPABLE: Final = 4
_libc: Final = ctypes.CDLL(None, use_errno=True)


def awake_or_asleep() -> float:
    """Return seconds since boot, those in which the machine slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Held:
    """Bytes in a page of their own, until they were idle for ``IDLE_S`` by ``clock``."""

    def __init__(self, clock: Callable[[], float] = awake_or_asleep) -> None:
        self._clock = clock
        self._used = clock()
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._page.madvise(mmap.MADV_DONTDUMP)
        self._page.madvise(mmap.MADV_DONTFORK)
        place = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self.is_unswapped = _libc.mlock(ctypes.c_void_p(place), mmap.PAGESIZE) == 0
        """Whether the system promised to write this page to no disk."""
        self._size = 0

    def read_from(self, descriptor: int) -> None:
        """Take the bytes that a pipe has, up to its end, without a copy of them elsewhere."""
        with memoryview(self._page) as page:
            while count := os.readv(descriptor, [page[self._size :]]):
                self._size += count

    def left_s(self) -> float:
        """Return the seconds until it is wiped; 0 once it was."""
        left = self._used + IDLE_S - self._clock()
        if left <= 0:
            self.wipe()
        return left if self._size else 0.0

    def give(self, peer: socket.socket) -> None:
        """Send the bytes, if they are still there; the idle time begins anew."""
        if self.left_s():
            self._used = self._clock()
            with memoryview(self._page) as page, page[: self._size] as kept:
                peer.sendall(kept)

    def wipe(self) -> None:
        self._page[:] = bytes(mmap.PAGESIZE)
        self._size = 0


def serve(listening: socket.socket, held: Held, gone: Callable[[], None]) -> None:
    """Answer until it is locked or idle; then nothing is held any more, and ``gone`` is called.

    Who locks hears that it is done when the connection ends: so ``gone`` comes before that.
    """
    while left_s := held.left_s():
        listening.settimeout(left_s)
        with contextlib.suppress(OSError):  # nobody asked in time, or who asked went away
            peer, _ = listening.accept()
            with peer:
                if _who_is(peer)[1] == os.getuid() and _answer(peer, held):
                    held.wipe()
                    gone()
                    return
    gone()


def _answer(peer: socket.socket, held: Held) -> bool:
    """Answer one line; return whether it is to lock."""
    peer.settimeout(_ANSWER_S)
    asked = peer.recv(16)
    if asked == _KEY:
        held.give(peer)
    elif asked == _LEFT:
        peer.sendall(str(int(held.left_s())).encode())
    return asked == _LOCK


def _who_is(peer: socket.socket) -> tuple[int, int]:
    """Return process and user at the other end, as the kernel knows them."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid), int(uid)


def place_for(home: Path, environment: Mapping[str, str]) -> Path | None:
    """Return where the agent of a home listens; None where nobody's memory is a folder.

    Raises:
        NotReady: XDG_RUNTIME_DIR isn't this user's alone.
    """
    folder = environment.get("XDG_RUNTIME_DIR", "")
    if not folder.startswith("/"):
        return None
    try:
        found = Path(folder).stat()
    except OSError:
        return None
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise NotReady(
            f"XDG_RUNTIME_DIR, {folder}, is not this user's alone",
            safe="nothing was unlocked, and nothing was asked of an agent",
            do="log in anew, or unset it and type the passphrase",
        )
    name = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:_NAME_CHARS]
    return Path(folder) / "liaison" / name


def take(place: Path) -> bytes:
    """Return what the agent holds, nothing where there is none, or none that answers."""
    with contextlib.suppress(TimeoutError):
        return _ask(place, _KEY)
    return b""


def left_s(place: Path) -> int:
    """Return in how many idle seconds the agent locks; 0 where there is none, or none that answers."""
    with contextlib.suppress(TimeoutError):
        return int(_ask(place, _LEFT) or b"0")
    return 0


def lock(place: Path, *, wait_s: float = _LOCK_S) -> bool:
    """Have the agent forget and end; return whether there was one.

    Raises:
        NotReady: there is one, and it doesn't answer within ``wait_s``: it may hold its key still.
    """
    try:
        was_there = bool(int(_ask(place, _LEFT, wait_s) or b"0"))
        _ask(place, _LOCK, wait_s)
    except TimeoutError as exc:
        raise NotReady(
            f"The agent at {place} doesn't answer: it may still hold the key",
            safe="it forgets it once it answers again, or was idle for 15 minutes",
            do=f"end it, if that is too long: kill -9 {exc}",
        ) from exc
    return was_there


def _ask(place: Path, line: bytes, wait_s: float = _ANSWER_S) -> bytes:
    """Return what the agent answers, nothing where there is none.

    Raises:
        TimeoutError: it doesn't answer; its text is the agent's process id.
    """
    found = b""
    pid = 0
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(wait_s)
            channel.connect(str(place))
            pid, uid = _who_is(channel)
            if uid == os.getuid():
                channel.sendall(line)
                while part := channel.recv(mmap.PAGESIZE):
                    found += part
    except (TimeoutError, BlockingIOError) as exc:  # the latter where too many wait already
        raise TimeoutError(str(pid or "PID")) from exc
    except OSError:
        return b""
    return found


def start(place: Path, kept: bytes) -> bool:
    """Start an agent that holds ``kept``; return whether its memory is never swapped.

    Raises:
        NotReady: it didn't start.
    """
    lock(place)
    agent = subprocess.Popen(  # noqa: S603 this program itself
        [sys.executable, "-m", "liaison.adapters.agent", str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        said, _ = agent.communicate(kept, timeout=_START_S)
    except subprocess.TimeoutExpired:
        agent.kill()
        said = b""
    if said not in (b"unswapped", b"swapped"):
        raise NotReady(
            f"No agent could be started at {place}",
            safe="nothing is unlocked",
            do="see who owns the folder; or go on typing the passphrase",
        )
    return said == b"unswapped"


def main(place: Path) -> None:
    """Hold what standard input has, and say on standard output once it can be asked for."""
    if os.fork():
        os._exit(0)  # nobody waits for an agent to end; the page is made after this
    _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    held = Held()
    held.read_from(sys.stdin.fileno())
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.unlink(missing_ok=True)
    os.umask(0o177)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(place))
        own = place.stat().st_ino
        listening.listen()
        os.write(sys.stdout.fileno(), b"unswapped" if held.is_unswapped else b"swapped")
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(nowhere, descriptor)

        def gone() -> None:
            with contextlib.suppress(OSError):
                if place.stat().st_ino == own:  # not that of an agent that came after
                    place.unlink()

        try:
            serve(listening, held, gone)
        finally:
            held.wipe()
            gone()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
