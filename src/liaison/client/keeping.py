"""Keeping: how long a home keeps what it opened or sent, as the charters of its channels say.

A charter may have nothing kept (``cabinet = "none"``), or everything for a time (``cabinet_s``).
Time is what both the log and this machine's clock have passed, as for keys (docs/decisions/0025).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from liaison.client.cabinet import Cabinet, Kept
from liaison.client.home import Home
from liaison.sealing.content import Content
from liaison.statements.charters import Terms
from liaison.words.times import SECOND

FILE: Final = "keeping.json"
NOT_KEPT: Final = Content.text("(not kept on this device)", "")
"""What stands for the content of a note that is bare, where the note itself matters."""


@dataclass(frozen=True)
class Found:
    """A note that this home keeps, by its reference."""

    reference: str
    at: int
    content: Content


class Keeping:
    """What a cabinet holds, and for how long."""

    def __init__(self, home: Home, cabinet: Cabinet) -> None:
        self._home = home
        self._cabinet = cabinet
        self._terms = {
            alias: seconds
            for alias, seconds in home.read_state(FILE).items()
            if isinstance(seconds, int)
        }

    def keep(self, alias: str, terms: Terms | None, kept: Kept) -> None:
        """Keep a note as its channel's charter has it; without ``terms``, as it was known to have it."""
        if terms is not None:
            self._learn(alias, 0 if terms.cabinet == "none" else terms.cabinet_s)
        self._cabinet.put(replace(kept, content=None) if self.term(alias) == 0 else kept)

    def _learn(self, alias: str, seconds: int | None) -> None:
        if self._terms.get(alias) == seconds:
            return
        self._terms.pop(alias, None)
        if seconds is not None:
            self._terms[alias] = seconds
        self._home.write_state(FILE, dict(self._terms))

    def term(self, alias: str) -> int | None:
        """Return for how many seconds a channel's notes are kept; 0: not at all, None: for good."""
        return self._terms.get(alias)

    @property
    def unkept(self) -> list[str]:
        """Channels of which nothing is kept, by their charters."""
        return sorted(alias for alias, seconds in self._terms.items() if seconds == 0)

    def retain(self, passed: int) -> list[str]:
        """Forget what is older than its charter lets it be kept; return the references."""
        if not self._terms:
            return []
        over = [
            (digest, reference)
            for digest, reference in self._held()
            if self._is_over(reference, self._cabinet.accepted_at(digest), passed)
        ]
        if over:
            self._cabinet.forget(digest for digest, _ in over)
        return [reference for _, reference in over]

    def _is_over(self, reference: str, at: int, passed: int) -> bool:
        seconds = self.term(reference.rpartition("/")[0])
        if seconds is None:
            return False
        return seconds == 0 or (at > 0 and at + seconds * SECOND <= passed)

    def forget(self, references: list[str]) -> list[str]:
        """Forget what was opened or sent under these references; return those that were held."""
        wanted = set(references)
        held = [(digest, reference) for digest, reference in self._held() if reference in wanted]
        if held:
            self._cabinet.forget(digest for digest, _ in held)
        return [reference for _, reference in held]

    def find(self, words: list[str], channel: str = "") -> Iterator[Found]:
        """Give what is kept and has all these words, in subject, text or names, the newest first."""
        wanted = [word.casefold() for word in words]
        for digest, reference in reversed(list(self._held())):
            if channel and reference.rpartition("/")[0] != channel:
                continue
            kept = self._cabinet.get(reference)
            content = kept.content or NOT_KEPT
            names = " ".join(part.name or "" for part in content.parts)
            text = f"{reference} {content.subject} {content.body} {names}".casefold()
            if all(word in text for word in wanted):
                yield Found(reference, self._cabinet.accepted_at(digest), content)

    def _held(self) -> Iterator[tuple[str, str]]:
        for reference in self._cabinet.references():
            digest = self._cabinet.digest(reference)
            if self._cabinet.holds(digest):
                yield digest, reference
