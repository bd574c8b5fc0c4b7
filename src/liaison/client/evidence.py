"""Evidence: what the node said last, kept in a file when it, or a chain, doesn't hold (docs/errors.md)."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from liaison.client.home import Home, write_file
from liaison.words.encoding import to_base64
from liaison.words.errors import ChainBroken, LiaisonError, LogUntrusted, SignatureInvalid
from liaison.words.times import to_dtg

STOP: Final = (ChainBroken, LogUntrusted, SignatureInvalid)
"""Nobody goes on after one of these; others must be able to see why."""
DO: Final = "call the other side; the auditors want the file and the receipts"
"""Where the error itself doesn't say it."""
FORMAT: Final = "liaison/evidence/1"
ANSWERS: Final = 32
ANSWERS_BYTES: Final = 4 * 1024 * 1024
FILES: Final = 8
"""So many are written while a home is open: who sends what is broken by the thousand fills no disk."""


@dataclass
class Answers:
    """The newest answers of a node, by path, the oldest first; as many as fit."""

    kept: deque[tuple[str, bytes]] = field(default_factory=deque)
    files: int = 0
    """How many files have been made of them."""
    _bytes: int = 0

    def add(self, path: str, body: bytes) -> None:
        if len(body) > ANSWERS_BYTES:
            return
        self.kept.append((path, body))
        self._bytes += len(body)
        while len(self.kept) > ANSWERS or self._bytes > ANSWERS_BYTES:
            self._bytes -= len(self.kept.popleft()[1])


def keep(home: Home, exc: BaseException | None, answers: Answers, now: int) -> None:
    """Write what the node said to a file of the home, if one must stop at this error, and say both."""
    if not isinstance(exc, STOP) or not answers.kept:
        return
    kept = f"what the node said at the first {FILES} is kept in {home.path('evidence')}"
    if answers.files < FILES:
        answers.files += 1
        stem = f"evidence/{to_dtg(now, exact=True).replace(' ', '-')}-{exc.code}"
        path = home.path(home.unused(stem, ".json"))
        write_file(path, _spell(exc, answers, now))
        kept = f"what the node said is kept: {path}"
    if not exc.happened.startswith("STOP"):
        exc.happened = f"STOP: {exc.happened}"
    exc.do = f"{exc.do or DO} · {kept}"


def _spell(exc: LiaisonError, answers: Answers, now: int) -> bytes:
    said = [{"path": path, "body": to_base64(body)} for path, body in answers.kept]
    told = {
        "format": FORMAT,
        "at": now,
        "code": exc.code,
        "happened": exc.happened,
        "answers": said,
    }
    return json.dumps(told, indent=1).encode() + b"\n"
