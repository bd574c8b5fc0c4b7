"""Files that come into being whole, on disk, and only where none was."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
"""What file systems answer that know no links, such as those of memory sticks."""


@contextlib.contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Give an empty file, its owner's alone, that becomes ``path`` once all that was written is synced.

    Where the block raises, or ``path`` came into being meanwhile, the draft is removed. A crash
    leaves it behind, without its lock; the next draft of this name sweeps it away.

    Raises:
        FileExistsError: there is a file; it was not touched.
    """
    if path.exists():
        raise FileExistsError(f"there is a file at {path} already")
    _sweep(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield draft
        os.fsync(descriptor)
        _name(draft, path)
    finally:
        draft.unlink(missing_ok=True)
        os.close(descriptor)
    sync_directory(path.parent)


def _name(draft: Path, path: Path) -> None:
    try:
        # Not os.replace: a link never takes the place of a file that is there.
        os.link(draft, path)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(f"there is a file at {path} already") from exc
        draft.rename(path)


def abandoned(path: Path) -> Iterator[Path]:
    """Give the drafts of ``path`` that a crash left behind, with what SQLite kept beside them."""
    for draft in path.parent.glob(f".{path.name}.*.new"):
        with contextlib.suppress(OSError), draft.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield from path.parent.glob(f"{draft.name}*")


def _sweep(path: Path) -> None:
    for file in abandoned(path):
        file.unlink(missing_ok=True)


def create_whole(path: Path, data: bytes) -> None:
    """Create ``path`` with ``data``, readable by its owner alone, synced with its directory.

    A crash leaves the whole file or none (and perhaps a ``.new`` file beside it).

    Raises:
        FileExistsError: there is a file; it was not touched.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # Not os.replace: a link never takes the place of a file that is there.
        os.link(draft, path)
    finally:
        draft.unlink()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
