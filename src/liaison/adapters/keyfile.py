"""Key files: the node's own seeds, one file each. design.md 7.

Two lines: what the key is for, and 32 bytes in base64. A node starts unattended, so no passphrase
protects them: what does is that no other user can read the file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from liaison.adapters.newfile import create_whole
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import Malformed, NotReady

SEED_BYTES: Final = 32

_HEADER: Final = "liaison-key/1"
_MAX_FILE_BYTES: Final = 4096


def create_seed(path: Path, purpose: str, seed: bytes) -> None:
    """Write a seed of 32 bytes to a new file that its owner alone can read, and sync it.

    ``purpose`` is a word such as ``log`` or ``node``; ``load_seed`` must be given the same.

    Raises:
        NotReady: there is a file of this name already.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError(f"seed of {len(seed)} bytes, not {SEED_BYTES}")
    if not purpose.isascii() or not purpose.isprintable() or not purpose or " " in purpose:
        raise ValueError(f"not a word: {purpose!r}")
    text = f"{_HEADER} {purpose}\n{to_base64(seed)}\n"
    try:
        create_whole(path, text.encode("ascii"))
    except FileExistsError as exc:
        raise NotReady(
            f"There is a key file at {path} already",
            safe="It was not touched",
            do="Name another path, or move the file away if its key is surely of no more use",
        ) from exc


def load_seed(path: Path, purpose: str) -> bytes:
    """Return the seed of a key file that was made for ``purpose``.

    Raises:
        NotReady: no such file, readable by others, for another purpose, or not a key file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise NotReady(
            f"The key file {path} can't be read: {exc.strerror}",
            safe="Nothing was signed",
            do="Put it back from your copy, and see that the node's user owns it",
        ) from exc
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise NotReady(
                f"The key file {path} is open to other users (mode {stat.S_IMODE(mode):04o})",
                safe="It was not used",
                do=f"If nobody can have read it, run `chmod 600 {path}`; else replace the key",
            )
        data = file.read(_MAX_FILE_BYTES)
    try:
        return _parse(data, purpose)
    except Malformed as exc:
        raise NotReady(
            f"The file {path} isn't the key for {purpose}: {exc.happened}",
            safe="It was not used",
            do="Check which file the settings name, or put it back from your copy",
        ) from exc


def _parse(data: bytes, purpose: str) -> bytes:
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError as exc:
        raise Malformed("it isn't text") from exc
    if len(lines) != 3 or lines[2] or not lines[0].startswith(f"{_HEADER} "):
        raise Malformed(f"it isn't a line `{_HEADER}` and a line of base64")
    found = lines[0].removeprefix(f"{_HEADER} ")
    if found != purpose:
        raise Malformed(f"it is for {found[:40]!r}")
    return from_base64(lines[1], SEED_BYTES)
