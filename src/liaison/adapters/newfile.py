"""Files that come into being whole, on disk, and only where none was."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


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
