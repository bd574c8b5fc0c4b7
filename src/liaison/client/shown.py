"""What the node showed last of parties and channels, once it held: for while the node is away.

docs/decisions/0024. It is public to a channel's members, and bounded: who shows very much fills no disk.
"""

from __future__ import annotations

import hashlib
from typing import Final

from liaison.client.answers import json_object, text_of
from liaison.client.home import Home
from liaison.words.canonical import spell

FOLDER: Final = "shown"
FILES: Final = 128
BYTES: Final = 64 * 1024 * 1024
"""So much is kept at most; what was written longest ago goes first."""
ANSWER_BYTES: Final = 16 * 1024 * 1024
"""What is longer is not kept: it would drive out what else there is."""


class Shown:
    """The answers kept in a home, by the path that they were asked at."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def get(self, path: str) -> dict[str, object] | None:
        """Return what the node answered at a path when that held last; None where it never did."""
        kept = self._home.read_state(_name(path))
        return json_object(text_of(kept, "answer").encode("utf-8")) if kept else None

    def keep(self, path: str, answer: dict[str, object]) -> None:
        """Keep an answer that held, in place of the one before."""
        name, text = _name(path), spell(answer)
        if len(text) > ANSWER_BYTES:
            self._home.path(name).unlink(missing_ok=True)
            return
        kept = {"answer": text.decode("utf-8"), "path": path}
        if kept != self._home.read_state(name):
            self._home.write_state(name, kept)
            self._bound()

    def _bound(self) -> None:
        files = [
            (path, path.stat()) for path in self._home.path(FOLDER).iterdir() if path.is_file()
        ]
        files.sort(key=lambda file: file[1].st_mtime_ns, reverse=True)
        size = 0
        for number, (path, found) in enumerate(files):
            size += found.st_size
            if number >= FILES or size > BYTES:
                path.unlink()


def _name(path: str) -> str:
    """Return a name that no node chose: it only answers what it is asked."""
    return f"{FOLDER}/{hashlib.sha256(path.encode('utf-8')).hexdigest()[:32]}.json"
