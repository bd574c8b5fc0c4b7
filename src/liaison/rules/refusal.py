"""Refusals: why a statement was turned away, as a value. Its codes are public (docs/errors.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """``code`` for machines, ``text`` for people: what is wrong with the statement; ``do`` what helps."""

    code: str
    text: str
    do: str = ""
