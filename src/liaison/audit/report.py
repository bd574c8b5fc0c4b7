"""What an audit says: a report for machines and people, and the first difference.

Two exit codes: 0, everything that was checked is as it must be; 1, something differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

EXCERPT_BYTES: Final = 64
_BEFORE_BYTES: Final = 16


@dataclass(frozen=True)
class Difference:
    """The first thing that isn't as it must be.

    ``where`` is an entry, a tile, a cell, the checkpoint or the head; ``index`` the entry that it
    leads to, if one; ``kind`` that entry's record kind, empty where it has none or can't be read.
    """

    where: str
    field: str
    expected: str
    came: str
    index: int | None = None
    kind: str = ""

    def to_text(self) -> str:
        about = ""
        if self.index is not None and self.where != f"entry {self.index}":
            about = f", entry {self.index}"
        kind = f" ({self.kind})" if self.kind else ""
        return (
            f"{self.where}{about}{kind}, {self.field}:\n"
            f"  expected  {self.expected}\n"
            f"  came      {self.came}"
        )


class Differs(Exception):
    """Ends a check at its first difference."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.to_text())
        self.difference = difference


@dataclass(frozen=True)
class Report:
    """What was checked, what that proves, and what it doesn't.

    ``root`` is that of the ``size`` leaves, in hex; ``checkpoint_size`` the size of the signed
    checkpoint that was part of the audit, None if none was; ``digest`` is replay's.
    """

    audit: Literal["verify", "replay"]
    origin: str
    size: int
    counts: Mapping[str, int]
    proven: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    root: str | None = None
    checkpoint_size: int | None = None
    first_at: int | None = None
    last_at: int | None = None
    digest: str | None = None
    difference: Difference | None = None
    version: Literal[1] = field(default=1)

    @property
    def exit_code(self) -> int:
        return 0 if self.difference is None else 1

    def to_shape(self) -> dict[str, object]:
        """Return the report for machines: its fields, and in ``result`` whole or differs."""
        result = "whole" if self.difference is None else "differs"
        return {"result": result, **asdict(self)}

    def to_text(self) -> str:
        """Return the report for people: some lines, the last ending in a newline."""
        counted = ", ".join(f"{number:,} {what}" for what, number in self.counts.items())
        lines = [f"{self.audit} of the log {self.origin}", f"checked: {counted or 'nothing'}"]
        if self.root is not None:
            lines.append(f"size {self.size:,}, root {self.root}")
        if self.digest is not None:
            lines.append(f"digest {self.digest}")
        if self.difference is not None:
            lines += ["", f"FIRST DIFFERENCE: {self.difference.to_text()}"]
            lines += ["", "Nothing is proven beyond what stands before it. Keep a copy of both."]
        else:
            lines += ["", "As it must be."]
        for title, items in (
            ("proven:", self.proven),
            ("not proven:", self.not_proven),
            ("note:", self.remarks),
        ):
            if items:
                lines += ["", title, *(f"  - {item}" for item in items)]
        return "\n".join(lines) + "\n"


def excerpts(expected: bytes, came: bytes) -> tuple[str, str]:
    """Return both around their first differing byte, as ASCII that is safe to print."""
    shorter = min(len(expected), len(came))
    at = next((i for i in range(shorter) if expected[i] != came[i]), shorter)
    start = max(0, at - _BEFORE_BYTES)
    return _excerpt(expected, start, at), _excerpt(came, start, at)


def printable(text: str) -> str:
    """Return what a source said, cut, and safe to print."""
    return repr(text[:200])[1:-1] if not (text.isascii() and text.isprintable()) else text[:200]


def _excerpt(data: bytes, start: int, at: int) -> str:
    cut = data[start : start + EXCERPT_BYTES]
    shown = repr(cut)[2:-1]
    before = "…" if start else ""
    after = "…" if start + EXCERPT_BYTES < len(data) else ""
    return f"{before}{shown}{after} (byte {at} of {len(data)})"
