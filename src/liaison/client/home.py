"""A home: the directory of one user, locked by one process at a time.

What is kept is canonical JSON or bytes, for its owner only (0700, 0600), and replaced atomically:
after a crash the old or the new file is there. JSON has a sum in it, so that a disk that errs is found
out; who writes here on purpose makes that, too (docs/threat-model.md).
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from liaison.words.canonical import format_canonical, parse_canonical, spell
from liaison.words.errors import Damaged, Malformed, NotReady

KEYSTORE: Final = "keystore"
RESTORED: Final = "restored.json"
"""Stands in a home from its restoring (``backup``) until it has asked the node for what came since."""
_SUM: Final = "#sum"
"""The member of each JSON file that has the CRC-32 of the others; no other begins with #."""
_HALF_WRITTEN: Final = re.compile(r"\.(?:keystore|outbox|cabinet|[a-z]+\.json)\.[a-z0-9_]{8}")
"""What is written beside the files that only who holds the home writes."""
_LOCK: Final = "lock"
_TURN: Final = "turn"
"""Held by the one process that waits for the home, so that one who holds it for long can see it."""
_FOLLOWING: Final = "following"
_LOOK_AGAIN_S: Final = 0.02
_OVERWRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


class HomeTaken(NotReady):
    """Another process works in the home."""


class Home:
    """Paths below ``root``, and the ways to read and replace what they name.

    ``wait_s``: how long to wait, in seconds, until another process gives the home back.
    """

    def __init__(self, root: Path | str, *, wait_s: float = 0.0) -> None:
        self.root = Path(root)
        self._wait_s = wait_s

    def path(self, name: str) -> Path:
        """Return where ``name`` stands in the home; no name leads out of it.

        Raises:
            Malformed: it would.
        """
        if name.startswith("/") or ".." in name.split("/"):
            raise Malformed(f"a file of a home is not named {name[:80]!r}")
        return self.root / name

    def has(self, name: str) -> bool:
        return self.path(name).exists()

    def unused(self, stem: str, suffix: str) -> str:
        """Return a name that no file of the home has: what was kept before stays."""
        name, number = f"{stem}{suffix}", 1
        while self.has(name):
            number += 1
            name = f"{stem}-{number}{suffix}"
        return name

    def make(self) -> None:
        """Create the directory where it isn't there yet."""
        _make_folder(self.root)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home: two processes would spend one serial twice.

        Raises:
            NotReady: there is no such home, or others can change it.
            HomeTaken: another process holds it.
        """
        if not self.root.is_dir():
            raise NotReady(
                f"There is no home at {self.root}",
                safe="nothing was done",
                do="name it with --home, or begin with `enrol` or `party new`",
            )
        with self._file(_LOCK) as lock:
            if not _take(lock) and not self._wait(lock):
                raise HomeTaken(
                    f"Another liaison process works in {self.root}",
                    safe="nothing was done",
                    do="wait until it ends, or end it, then repeat the command",
                )
            self._check_own()
            self._sweep()
            yield

    def _wait(self, lock: int) -> bool:
        """Wait for the lock, holding the turn; return whether it came."""
        until = time.monotonic() + self._wait_s
        with self._file(_TURN) as turn:
            while not (_take(turn) and _take(lock)):
                if time.monotonic() >= until:
                    return False
                time.sleep(_LOOK_AGAIN_S)
        return True

    def is_wanted(self) -> bool:
        """Return whether another process waits until this one gives the home back."""
        with self._file(_TURN) as turn:
            return not _take(turn)

    def is_taken(self) -> bool:
        """Return whether a process holds the home."""
        with self._file(_LOCK) as lock:
            return not _take(lock)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Be the one process that shows what comes to this home; it may give the home back meanwhile.

        Raises:
            NotReady: another does.
        """
        with self._file(_FOLLOWING) as following:
            if not _take(following):
                raise NotReady(
                    f"Another process follows in {self.root}",
                    safe="nothing was done",
                    do="what comes is shown there; end it with Ctrl-C to have it here",
                )
            yield

    @contextmanager
    def _file(self, name: str) -> Iterator[int]:
        descriptor = os.open(self.path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _check_own(self) -> None:
        """Return if nobody else can put files into the home.

        Raises:
            NotReady: everybody can.
        """
        found = self.root.stat()
        mode = stat.S_IMODE(found.st_mode)
        if mode & stat.S_IWOTH or found.st_uid not in (os.geteuid(), 0):
            raise NotReady(
                f"OTHERS CAN CHANGE {self.root} (mode {mode:04o}, owner {found.st_uid})",
                safe="nothing was done; who was here may have exchanged a pin: liaison party show",
                do=f"chmod 700 {self.root}",
            )

    def _sweep(self) -> None:
        """Remove what a crash left of a file that was being replaced: keys that are gone stand there."""
        for path in self.root.iterdir():
            if _HALF_WRITTEN.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            NotReady: it isn't there.
        """
        return read_file(self.path(name))

    def read_state(self, name: str) -> dict[str, object]:
        """Return what a JSON file holds, or nothing where there is none.

        Raises:
            Damaged: what stands there isn't what was written.
        """
        try:
            data = self.path(name).read_bytes()
        except FileNotFoundError:
            return {}
        try:
            state = parse_canonical(data.rstrip(b"\n"))
        except Malformed as exc:
            raise self._damaged(name, exc.happened) from exc
        # A file of an earlier version has no sum yet.
        if state.pop(_SUM, None) not in (None, zlib.crc32(spell(state))):
            raise self._damaged(name, "its sum is another")
        return state

    def write_state(self, name: str, state: Mapping[str, object]) -> None:
        self.write(name, spell({_SUM: zlib.crc32(format_canonical(state)), **state}) + b"\n")

    def _damaged(self, name: str, why: str) -> Damaged:
        return Damaged(
            f"{self.path(name)} is damaged: {why}",
            safe="the file was left as it is, and nothing was sent",
            do="make the home anew of its backup: liaison --home NEW key restore FILE; where there is "
            "none: another home, enrolled anew",
        )

    def write(self, name: str, data: bytes) -> Path:
        """Replace the file ``name`` by ``data``, and return its path."""
        return write_file(self.path(name), data)


def write_private(path: Path, data: bytes) -> None:
    """Write what is kept elsewhere too: quickly, readable by its owner only."""
    try:
        descriptor = os.open(path, _OVERWRITE, 0o600)
    except FileNotFoundError:
        _make_folder(path.parent)
        descriptor = os.open(path, _OVERWRITE, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError:
        path.unlink(missing_ok=True)  # half of it would look like a whole one
        raise


def write_file(path: Path, data: bytes) -> Path:
    """Replace ``path`` by ``data`` at once, readable by its owner only."""
    _make_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


def _take(descriptor: int) -> bool:
    """Lock a file until it is closed; return whether nobody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_file(path: Path, *, at_most_bytes: int = 64 * 2**20) -> bytes:
    """Return a file's bytes.

    Raises:
        NotReady: it isn't there, or can't be read.
        Malformed: it is larger than anything that liaison writes there.
    """
    try:
        with path.open("rb") as file:
            data = file.read(at_most_bytes + 1)
    except OSError as exc:
        raise NotReady(
            f"The file {path} can't be read: {exc.strerror}",
            safe="nothing was done",
            do="check the path",
        ) from exc
    if len(data) > at_most_bytes:
        raise Malformed(f"{path}: over {at_most_bytes} bytes")
    return data


def _make_folder(folder: Path) -> None:
    """Make a folder, and those above it that aren't there, for their owner only."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
