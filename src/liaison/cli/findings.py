"""Findings: what somebody looked at, whether it is good, and what to do. For both doctors."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import typer

from liaison.cli.context import Shape, answer, say
from liaison.cli.failure import REFUSED


class Mark(enum.Enum):
    GOOD = "good"
    NOTE = "note"
    """Worth knowing; nothing has to be done now."""
    BAD = "BAD"


@dataclass(frozen=True)
class Finding:
    what: str
    mark: Mark
    said: str
    do: str = ""


def to_shape(findings: Sequence[Finding]) -> Shape:
    rows = [
        {**asdict(finding), "mark": finding.mark.value.lower(), "do": finding.do or None}
        for finding in findings
    ]
    is_bad = any(finding.mark is Mark.BAD for finding in findings)
    return {"result": "bad" if is_bad else "good", "findings": rows}


def say_findings(findings: Sequence[Finding], about: Shape | None = None) -> None:
    """Say each, and end with exit code 1 if anything is bad; ``about`` stands before them for scripts."""
    bad = [finding for finding in findings if finding.mark is Mark.BAD]
    for finding in findings:
        say(f"{finding.mark.value:<5} {finding.what:<10} {finding.said}")
        if finding.do:
            say(f"{'':<5} {'':<10} → {finding.do}")
    say("Nothing is bad." if not bad else f"BAD: {', '.join(finding.what for finding in bad)}.")
    answer({**(about or {}), **to_shape(findings)})
    if bad:
        raise typer.Exit(REFUSED)
