"""What a home has seen of each party: its newest statement and directory, and its lost keys.

Nothing older is taken afterwards, whatever a node shows; and who once said that a key was in other
hands takes it back by no silence. Only what was signed by who may sign no more, such as a registrar that
was ended, holds up nobody: it gives way to what was issued later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from liaison.client.home import Home
from liaison.client.links import DirectoryLink, LinkBroken
from liaison.rules import cells
from liaison.rules.chain import registrar_signs
from liaison.statements.payloads import Directory, Scope
from liaison.words.times import to_dtg

FILE: Final = "directories.json"


@dataclass(frozen=True)
class SeenMember:
    """The newest statement seen of a member, by digests and the id of the key that signed it."""

    statement: str
    key: str
    by_authority: str | None
    """The newest on the way to it that the authority itself signed."""


class Seen:
    """What a home has seen, by party, as its file has it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._seen = home.read_state(FILE)
        self.gave_way: list[str] = []
        """Directories that gave way to one of a lower number, in words."""

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

    def is_vouched(self, party: cells.Party, now: int) -> bool:
        """Return whether who signed the newest directory seen of a party may still sign one.

        Of what an earlier release kept that isn't known, and it stands.
        """
        key = self.of(party.party).get("key")
        return key is None or _may_sign(party, key, now)

    def has(self, link: DirectoryLink) -> bool:
        """Return whether this is the directory that was seen last."""
        return self.of(link.payload.by).get("statement") == link.digest

    def member(self, party: cells.Party, member: str, now: int) -> SeenMember | None:
        """Return what a later statement of a member must follow on; None where nothing was seen.

        What is by a registrar that was ended holds up nothing: the authority's own before it stands.
        """
        kept = self.of(party.party).get("members", {}).get(member)
        if kept is None:
            return None
        seen = SeenMember(kept["statement"], kept["key"], kept.get("by_authority"))
        if registrar_signs(party, seen.key, Scope.MEMBER, now, who=party.party) is None:
            return seen
        if seen.by_authority is None:
            return None
        return SeenMember(seen.by_authority, seen.key, seen.by_authority)

    def keep_members(self, party: str, found: Mapping[str, SeenMember]) -> None:
        """Keep in mind what was found of members; of those who aren't among them, what was before."""
        known = self.of(party).get("members", {})
        said = {
            member: {name: each for name, each in asdict(seen).items() if each is not None}
            for member, seen in found.items()
        }
        if {**known, **said} != known:
            self.keep(party, members={**known, **said})

    def check_directory(self, link: DirectoryLink, party: cells.Party, now: int) -> None:
        """Take no directory that is older than one seen: a node may not turn the clock back.

        Raises:
            LinkBroken: it is older, or another one of the same number.
        """
        said, number = link.payload, self.of(party.party).get("sequence", 0)
        if self.has(link) or said.sequence > number or self._gives_way(party, said, now):
            return
        if said.sequence == number:
            raise LinkBroken("directory", f"There are two directories {number} of {said.by}")
        raise LinkBroken(
            "directory",
            f"The node shows directory {said.sequence} of {said.by}, and has shown {number}",
        )

    def keep_directory(self, link: DirectoryLink, now: int) -> None:
        """Keep in mind a directory that was checked, with all that it names."""
        said, number = link.payload, self.of(link.payload.by).get("sequence", 0)
        if self.has(link):
            return
        if said.sequence <= number:
            self.gave_way.append(
                f"{said.by}: directory {number}, which this home was shown, is by a key that may sign "
                f"no more for it. Directory {said.sequence} of {to_dtg(said.issued)} takes its place: ask "
                "them by telephone whether they ended that key"
            )
        self.keep(
            said.by,
            sequence=said.sequence,
            statement=link.digest,
            until=said.valid_until,
            key=said.key,
            # Who signs far ahead of this machine's clock keeps nothing of a later day away.
            issued=min(said.issued, now),
        )

    def _gives_way(self, party: cells.Party, said: Directory, now: int) -> bool:
        """Return whether the directory seen is by a key that was ended, and this a later one by none."""
        return (
            not self.is_vouched(party, now)
            and _may_sign(party, said.key, now)
            and said.issued > self.of(party.party)["issued"]
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


def _may_sign(party: cells.Party, key: str, now: int) -> bool:
    return registrar_signs(party, key, Scope.DIRECTORY, now, who=party.party) is None


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
