"""The registries name every kind, and the tests reach every refusal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from liaison.ledger.facts import FACTS, DueFacts, Stated
from liaison.rules import cells
from liaison.rules.cells import CELLS, TIMED, Overlay, Undeclared, read_cell, spell_cell, spell_key
from liaison.rules.decide import RULINGS
from liaison.rules.kinds import RULES
from liaison.rules.moments import DUE_KINDS, DUES
from liaison.statements.kinds import KINDS
from tests.rules.story import tell_all

RULES_ROOM = Path(__file__).parents[2] / "src" / "liaison" / "rules"
NEVER_LOGGED = {"refusal", "session"}
BY_EXPRESSION = {
    "already-{addressee.life}": {"already-acknowledged", "already-declined"},
    "self.name": set(RULES),
}


def test_every_kind_has_a_ruling_and_facts():
    logged = set(KINDS) - NEVER_LOGGED
    for what, registry, kinds in (
        ("ruling", set(RULINGS), logged),
        ("due ruling", {kind for due in DUES.values() for kind in due.kinds}, set(DUE_KINDS)),
        ("facts model", set(FACTS), logged | set(DUE_KINDS)),
    ):
        assert not kinds - registry, f"no {what} for {kinds - registry}"
        assert not registry - kinds, f"a {what} for what is no kind"
    assert set(DUES) == TIMED
    assert not logged & set(DUE_KINDS)
    for kind, model in FACTS.items():
        assert issubclass(model, DueFacts if kind in DUE_KINDS else Stated)


def codes_in_the_rules() -> Iterator[str]:
    for path in sorted(RULES_ROOM.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Refused":
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    yield str(code.value)
                else:
                    yield from BY_EXPRESSION[ast.unparse(code).removeprefix("f").strip("'\"")]


def codes_in_the_tests() -> Iterator[str]:
    """Yield every text of the refusal tests: codes stand in calls of ``refuses`` and in tables."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path != Path(__file__):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_refusal_is_reached_by_a_test():
    codes = set(codes_in_the_rules())
    assert len(codes) > 50
    missing = codes - set(codes_in_the_tests())
    assert not missing, f"no test reaches {sorted(missing)}"


def test_a_cell_that_was_not_declared_cannot_be_read():
    view = Overlay({cells.Log.key_of(): None})
    assert view.get(cells.Log) is None
    with pytest.raises(Undeclared, match=r"read of party fco\.example"):
        view.get(cells.Party, "fco.example")
    with pytest.raises(TypeError, match="named by"):
        cells.Party.key_of()


def test_cells_read_back_from_their_rows():
    world = tell_all()
    found = {key[0] for key, cell in world.cells.items() if cell is not None}
    assert found == set(CELLS), "a cell that no statement makes, or that is not in the registry"
    for key, cell in world.cells.items():
        assert cell is not None
        assert cell.key == key
        assert read_cell(key, spell_cell(cell)) == cell
        assert spell_key(key).count(" ") == len(key) - 1


def test_a_cell_that_holds_moments_names_its_channel():
    for name, cell in CELLS.items():
        has_moments = cell.due is not cells.Cell.due
        assert has_moments == (name in TIMED)
        assert not has_moments or "channel" in cell.model_fields


def test_the_normative_text_names_every_refusal_and_every_member():
    text = (RULES_ROOM.parents[2] / "protocols" / "statements.md").read_text("utf-8")
    groups = re.findall(r"\[([a-z,\s-]+)\]", text)
    codes = {code for group in groups for code in re.split(r",\s+", group)}
    assert set(codes_in_the_rules()) - codes == set()
    words = set(re.findall(r"[a-z_]+", text))
    for kind, model in KINDS.items():
        assert f"`{kind}`" in text
        assert not set(model.model_fields) - words, kind


def test_every_rule_that_a_vector_names_stands_in_a_text():
    protocols = RULES_ROOM.parents[2] / "protocols"
    texts = "".join(path.read_text("utf-8") for path in protocols.glob("*.md"))
    for path in protocols.glob("vectors/*.json"):
        for named in set(re.findall(r'"rules": "([A-Z0-9-]+)"', path.read_text("utf-8"))):
            assert f"**{named}**" in texts, f"{path.name}: {named}"
