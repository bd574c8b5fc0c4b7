"""A command at a terminal of its own: keys are pressed there, Ctrl-C too, and its screen is read."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CTRL_C = "\x03"
CTRL_D = "\x04"
PATIENCE_S = 20.0

# Who begins a session and opens a terminal has it as their own from then on: /dev/tty is it.
_AT = 'screen=$1; shift; exec "$@" <"$screen" >"$screen" 2>&1'
_AT_WITH_A_PIPE = 'screen=$1; shift; exec "$@" >"$screen" 2>&1'


@dataclass
class Keyboard:
    _child: subprocess.Popen[bytes]
    _screen: int
    _theirs: io.FileIO
    """The terminal as the child has it, kept open until the child has opened it."""
    seen: str = ""

    def press(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def until(self, wanted: str) -> None:
        """Return once ``wanted`` stands on the screen, behind what was waited for before."""
        while wanted not in self.seen:
            assert self._read(), f"{wanted!r} never stood on the screen: {self.seen}"
        self.seen = self.seen.partition(wanted)[2]

    def until_taken(self) -> None:
        """Return once the command has read what was pressed, and waits for more.

        Ctrl-C drops what it hasn't read; and CPython forgets one that comes just before it waits.
        """
        until = time.monotonic() + PATIENCE_S
        while self._waiting() or not self._is_asleep():
            assert time.monotonic() < until, "nothing is read any more"

    def _waiting(self) -> int:
        """Return how many bytes were pressed and not read."""
        data = fcntl.ioctl(self._theirs, termios.FIONREAD, bytes(4))
        return int(struct.unpack("i", data)[0])

    def _is_asleep(self) -> bool:
        stat = Path(f"/proc/{self._child.pid}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[0] == "S"

    def end(self) -> tuple[int, str]:
        """Return the exit code, and what stood on the screen since; the child must end by itself."""
        self._theirs.close()
        while self._read():
            pass
        return self._child.wait(PATIENCE_S), " ".join(self.seen.split())

    def _read(self) -> bool:
        ready, _, _ = select.select([self._screen], [], [], PATIENCE_S)
        assert ready, f"nothing comes any more: {self.seen}"
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # nobody has the terminal any more
            return False
        self.seen += data.decode()
        return bool(data)


@contextlib.contextmanager
def keyboard(line: str, text: str | None = None) -> Iterator[Keyboard]:
    """Type a command line at a terminal; with ``text`` that comes through a pipe."""
    words = [word.replace("~", " ") for word in line.split(" ")]
    screen, theirs = pty.openpty()
    held = io.FileIO(theirs, "r+")
    with subprocess.Popen(
        [
            *("/bin/sh", "-c", _AT if text is None else _AT_WITH_A_PIPE, "sh", os.ttyname(theirs)),
            *(sys.executable, "-m", "liaison.cli", *words),
        ],
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        start_new_session=True,
    ) as child:
        try:
            if child.stdin is not None:
                child.stdin.write((text or "").encode())
                child.stdin.close()
            yield Keyboard(child, screen, held)
        finally:
            held.close()
            os.close(screen)
            child.kill()
