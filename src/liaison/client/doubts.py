"""Doubts: what a key signed while it was in other hands, as its own party says that it was.

``parties.Parties`` decides, by what the parties said to this home; that is kept, so it stands also
where no node answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from liaison.words.ids import party_of
from liaison.words.times import to_dtg

DOUBTFUL: Final = "DOUBTFUL"
"""The one word for it, wherever such a thing is shown."""


@dataclass(frozen=True)
class Doubt:
    """The key of ``by`` was in other hands since then when it signed, in microseconds since 1970 UTC."""

    by: str
    since: int

    def in_words(self) -> str:
        return (
            f"{DOUBTFUL}: the key of {self.by} that signed this was in other hands since "
            f"{to_dtg(self.since)}, says {party_of(self.by)}. Ask them by another way"
        )


@dataclass(frozen=True)
class Doubted:
    """Something that was said of a note, at ``at``, by such a key."""

    what: str
    """Such as acknowledged, answered, release, watch; ``note`` for the note itself."""
    at: int
    doubt: Doubt

    def in_words(self) -> str:
        return f"{self.what} at {to_dtg(self.at)}: {self.doubt.in_words()}"
