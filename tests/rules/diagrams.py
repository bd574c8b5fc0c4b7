"""docs/lives.md, drawn from the tables that the rules obey: ``python -m tests.rules.diagrams``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from liaison.rules import lives
from liaison.rules.kinds.forum import RIGHTS, Right
from liaison.rules.lives import FIRST, PROCEDURE, Act, Life, Stage, Step
from liaison.statements.charters import Seat
from liaison.statements.payloads import AddresseeRole

S = TypeVar("S", bound=StrEnum)
T = TypeVar("T", bound=StrEnum)

PATH: Final = Path(__file__).parents[2] / "docs" / "lives.md"

INTRODUCTION: Final = """\
# Lives

Drawn from the tables in `src/liaison/rules/lives.py` and `src/liaison/rules/kinds/forum.py` by
`python -m tests.rules.diagrams`; a test keeps it current. What a table does not list does not happen.
"""
STEPS: Final[dict[Step, str]] = {
    Step.RELEASED: "a releaser let the draft go",
    Step.OPENED: "its tier, or the place of its first, was opened",
    Step.DELIVERED: "a machine opened the note",
    Step.ACKNOWLEDGED: "a person took it on",
    Step.DECLINED: "a person did not",
    Step.CLOSED: "an operator closed it after *exhausted*",
    Step.REOPENED: "an operator reopened it",
    Step.NOT_DELIVERED: "its latest delivery passed",
    Step.CANCELLED: "its sender took it back or superseded it",
    Step.EXPIRED: "its expiry passed",
    Step.NOT_NEEDED: "nothing can open it any more",
}
ACTS: Final[dict[Act, str]] = {
    Act.BEGUN: "others can read it: accepted, released, or its deferral ended",
    Act.CONCLUDED: "its silence ended, and nobody had objected strictly before",
    Act.EXTENDED: "the chair made its silence longer",
    Act.OBJECTED: "a party objected",
    Act.AMENDED: "a party amended it",
    Act.WITHDRAWN: "its proposer took it back or superseded it",
}


def diagram(table: Mapping[tuple[S, T], S], begins: Iterable[S]) -> str:
    """Return a table (from, step) → to as a state diagram; what nothing leaves is an end."""
    found: list[str] = ["```mermaid", "stateDiagram-v2"]
    named = {state: None for (state, _), to in table.items() for state in (state, to)}
    found += [f'    state "{state}" as {_name(state)}' for state in named if "-" in state]
    found += [f"    [*] --> {_name(first)}" for first in begins]
    found += [f"    {_name(a)} --> {_name(b)}: {step}" for (a, step), b in table.items()]
    left = {state for state, _ in table}
    found += [f"    {_name(state)} --> [*]" for state in named if state not in left]
    return "\n".join([*found, "```"])


def _name(state: StrEnum) -> str:
    return state.value.replace("-", "_")


def _explained(steps: Mapping[T, str]) -> str:
    rows = [f"| {step} | {text} |" for step, text in steps.items()]
    return "\n".join(["| step | it says |", "| --- | --- |", *rows])


def seats() -> str:
    rows = [
        f"| {right} | " + " | ".join("yes" if right in RIGHTS[s] else "no" for s in Seat) + " |"
        for right in Right
    ]
    head = "| to | " + " | ".join(Seat) + " |"
    return "\n".join([head, "| --- " * (len(Seat) + 1) + "|", *rows])


def to_text() -> str:
    """Return the file's content."""
    drafted: dict[tuple[Life, Step], Life] = {
        (life, step): to
        for (life, step), to in lives.TABLES[AddresseeRole.ACTION].items()
        if life is Life.DRAFTED
    }
    standby = lives.TABLES[AddresseeRole.STANDBY][Life.DRAFTED, Step.RELEASED]
    parts = [
        INTRODUCTION,
        "## An addressee for information\n",
        diagram(lives.INFO, [FIRST[AddresseeRole.INFO]]),
        "\n## An addressee for action\n",
        diagram(lives.ACTION, [FIRST[AddresseeRole.ACTION]]),
        "\n## A standby addressee\n",
        "Withheld by rule, not by cryptography; once it was opened it is asked to act as anybody.\n",
        diagram(lives.STANDBY, [FIRST[AddresseeRole.STANDBY]]),
        "\n## An addressee of another party in a draft\n",
        f"From its release on it lives as its role does; a standby one is then {standby}.\n",
        diagram(drafted, [Life.DRAFTED]),
        "\n## What the steps say\n",
        _explained(STEPS),
        "\n## A proposal under the silence procedure\n",
        diagram(PROCEDURE, [Stage.PROPOSED]),
        "",
        _explained(ACTS),
        "\n## Seats of a forum\n",
        seats(),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PATH.write_text(to_text(), encoding="utf-8")
