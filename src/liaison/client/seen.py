"""What a home has seen of each party: its newest statement and directory, and its lost keys.

Nothing older is taken afterwards, whatever a node shows; and who once said that a key was in other
hands takes it back by no silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from liaison.client.home import Home
from liaison.client.links import DirectoryLink, LinkBroken
from liaison.rules import cells

FILE: Final = "directories.json"


class Seen:
    """What a home has seen, by party, as its file has it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._seen = home.read_state(FILE)

    def parties(self) -> tuple[str, ...]:
        """Return the parties that something was seen of."""
        return tuple(self._seen)

    def of(self, party: str) -> dict[str, Any]:
        """Return what this home has seen of a party: the newest directory and statement, lost keys."""
        seen = self._seen.get(party)
        return seen if isinstance(seen, dict) else {}

    def lost_keys(self, party: str) -> dict[str, int]:
        """Return since when keys of a party are in other hands, by key id."""
        known = self.of(party).get("compromised")
        return known if isinstance(known, dict) else {}

    def take_directory(self, link: DirectoryLink) -> None:
        """Take no directory that is older than one seen: a node may not turn the clock back."""
        party, sequence = link.payload.by, link.payload.sequence
        seen = self.of(party)
        if "sequence" in seen:
            if seen["sequence"] > sequence:
                raise LinkBroken(
                    "directory",
                    f"The node shows directory {sequence} of {party}, and has shown {seen['sequence']}",
                )
            if seen["sequence"] == sequence and seen["statement"] != link.digest:
                raise LinkBroken("directory", f"There are two directories {sequence} of {party}")
            if seen["sequence"] == sequence:
                return
        self.keep(
            party,
            sequence=sequence,
            statement=link.digest,
            until=link.payload.valid_until,
        )

    def keep_lost(self, party: str, members: Iterable[cells.Member]) -> None:
        """Keep in mind what a party says of its keys: who leaves it out later takes back nothing."""
        known = self.lost_keys(party)
        said = {one.key: one.since for member in members for one in member.compromised or ()}
        if {**known, **said} != known:
            self.keep(party, compromised={**known, **said})

    def keep(self, whose: str, **newest: object) -> None:
        """Write down what is the newest that was seen of the party ``whose``."""
        self._seen[whose] = {**self.of(whose), **newest}
        self._home.write_state(FILE, self._seen)


def forget_seen(home: Home, party: str) -> None:
    """Forget what was seen of a party: it begins anew, under a key that a person compared.

    What its lost keys signed stays doubtful.
    """
    seen = home.read_state(FILE)
    known = seen.pop(party, None)
    if isinstance(known, dict):
        if "compromised" in known:
            seen[party] = {"compromised": known["compromised"]}
        home.write_state(FILE, seen)
