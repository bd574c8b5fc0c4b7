"""What is about to end for a member, so that it is said before: key, directories, the authority's approval.

A key is replaced after 7 of its 35 days and a directory each day of its 7, so what has less left than
stands here is not renewed as it should be. Whoever is asked to act is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from liaison.client.links import Standing
from liaison.statements.payloads import Key, Scope
from liaison.words.times import DAY, HOUR, to_dtg

KEY_LEFT_LEAST: Final = 14 * DAY
DIRECTORY_LEFT_LEAST: Final = 4 * DAY
APPROVAL_LEFT_LEAST: Final = 14 * DAY
"""The authority signs offline: it takes its time."""


@dataclass(frozen=True)
class Lapse:
    """Something that ends, or has ended, at ``until`` (microseconds)."""

    what: str
    until: int
    said: str
    do: str


def of_key(keys: Iterable[Key], now: int) -> Iterator[Lapse]:
    """Say that the device's newest encryption key ends, and no newer one was made."""
    until = max((key.use_until for key in keys), default=0)
    if until - now < KEY_LEFT_LEAST:
        whose = f"This device's encryption key {_ends(until, now)}"
        said = whose if until else "This device has no encryption key that others could seal for"
        do = "any command that reaches the node renews it: liaison inbox"
        yield Lapse("key", until, said, do)


def of_standing(standing: Standing, now: int) -> Iterator[Lapse]:
    """Say that a party's directory ends unrenewed, or that its registrar may sign it not much longer."""
    party, directory = standing.party.party, standing.directory
    if directory is not None:
        yield from of_directory(party, directory.payload.valid_until, now)
    signing = [r.until for r in standing.party.registrars if Scope.DIRECTORY in r.scope]
    if signing and (until := max(signing)) - now < APPROVAL_LEFT_LEAST:
        yield Lapse(
            "approval",
            until,
            f"What the authority of {party} allowed its registrar {_ends(until, now)}",
            "ask the authority to go on: liaison registrar delegate FILE --post",
        )


def of_directory(party: str, until: int, now: int) -> Iterator[Lapse]:
    if until - now < DIRECTORY_LEFT_LEAST:
        yield Lapse(
            "directory",
            until,
            f"The directory of {party} {_ends(until, now)}; then nothing is sealed to it or by it",
            f"ask {party} to sign a new one, which is due daily: liaison directory sign --post",
        )


def left(until: int, now: int) -> str:
    """Return how long it is until then, in days or hours."""
    hours = (until - now) // HOUR
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"


def _ends(until: int, now: int) -> str:
    if until <= now:
        return f"lapsed at {to_dtg(until)}"
    return f"lapses at {to_dtg(until)}, in {left(until, now)}"
