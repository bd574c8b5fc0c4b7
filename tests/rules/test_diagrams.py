"""docs/lives.md shows the tables as they are."""

from __future__ import annotations

from typing import Any

from liaison.rules.lives import PROCEDURE, TABLES, Act, Step
from tests.rules import diagrams


def test_the_page_of_lives_is_current():
    assert diagrams.PATH.read_text("utf-8") == diagrams.to_text(), (
        "make it anew: python -m tests.rules.diagrams"
    )


def test_every_step_of_every_table_is_drawn_and_explained():
    text = diagrams.to_text()
    tables: list[dict[Any, Any]] = [*TABLES.values(), PROCEDURE]
    for (state, step), to in (item for table in tables for item in table.items()):
        if state == "drafted":
            continue  # drawn once, for action
        arrow = f"{state.replace('-', '_')} --> {to.replace('-', '_')}: {step}"
        assert f"    {arrow}\n" in text, arrow
    assert set(diagrams.STEPS) == set(Step)
    assert set(diagrams.ACTS) == set(Act)
