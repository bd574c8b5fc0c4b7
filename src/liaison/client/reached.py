"""How far a home has read, what it took and showed nobody, and what it owes: ``inbox.json``.

The state is what the file holds: ``position``, up to which everything was taken; ``reached``, by
precedence, what was taken beyond it; ``unshown``, ``skipped``, ``unopened`` and ``owed``.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, cast

from liaison.client.answers import place_of, text_of
from liaison.statements.payloads import MAX_ANSWERED
from liaison.words.canonical import MAX_INTEGER
from liaison.words.errors import Malformed
from liaison.words.precedence import Precedence

INBOX: Final = "inbox.json"


def reached_at(state: dict[str, object], level: Precedence) -> tuple[int, int]:
    """Return up to where everything of a precedence was taken."""
    known = (state.get("position"), object_in(state, "reached").get(level.value))
    return max((place_of(str(at)) for at in known if at), default=(-1, -1))


def level_of(item: dict[str, object]) -> Precedence:
    """Return the precedence that an item of the node's answer says."""
    try:
        return Precedence(text_of(item, "precedence"))
    except ValueError as exc:
        raise Malformed("the node's answer: precedence is none") from exc


def move(state: dict[str, object], position: str) -> None:
    """Have everything up to ``position`` taken, whatever its precedence."""
    place = place_of(position)
    if not state.get("position") or place > place_of(str(state["position"])):
        state["position"] = position
    reached = object_in(state, "reached")
    state["reached"] = {level: at for level, at in reached.items() if place_of(str(at)) > place}


def fills_a_statement(state: dict[str, object]) -> bool:
    """Return whether as much is owed of one channel and post as one answer can say."""
    owed = cast("list[dict[str, str]]", list_in(state, "owed"))
    counts = Counter((one["channel"], one["post"], one["code"]) for one in owed)
    return max(counts.values(), default=0) >= MAX_ANSWERED


def query_at(position: str) -> str:
    """Return the part of a query that asks for what stands at a position and behind it."""
    pos, number = place_of(position)
    if number:
        return f"&after={pos}.{number - 1}"
    return f"&after={pos - 1}.{MAX_INTEGER}" if pos else ""


def object_in(state: dict[str, object], name: str) -> dict[str, object]:
    return cast("dict[str, object]", state.setdefault(name, {}))


def list_in(state: dict[str, object], name: str) -> list[object]:
    return cast("list[object]", state.setdefault(name, []))
