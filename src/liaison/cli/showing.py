"""What any command may show or say, without a home: rows in columns, a file that is another one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from liaison.cli.context import say
from liaison.sealing.content import visible
from liaison.words.errors import Malformed


def say_table(rows: Iterable[tuple[Any, ...]]) -> None:
    """Print rows in columns as wide as they need."""
    texts = [[visible(str(cell)) for cell in row] for row in rows]
    if not texts:
        return
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    for row in texts:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())


def wrong_file(file: Path, wanted: str, exc: Malformed) -> Malformed:
    """Say which file it is, and what was wanted in its place."""
    return Malformed(
        f"{file} is not {wanted}: {exc.happened}",
        safe="nothing was done",
        do="name the file as it was handed over, whole",
    )
