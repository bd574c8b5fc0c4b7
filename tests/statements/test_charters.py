"""protocols/*.toml: each makes a charter that the rules accept, and explains all that a charter says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from liaison.rules.kinds import RULES
from liaison.statements import charters
from liaison.statements.charters import Charter
from tests.world import FCO, MOD, MemoryWorld, terms

PROTOCOLS = Path(__file__).parents[2] / "protocols"
TYPES = ("hotline", "diplomatic-note", "forum")
SEATS = [{"party": FCO, "seat": "chair"}, {"party": MOD, "seat": "observer"}]


def text_of(name: str) -> str:
    return (PROTOCOLS / f"{name.replace('-', '_')}.toml").read_text("utf-8")


def members_of(name: str) -> dict[str, Any]:
    """Return what a charter says by a file, as JSON has it; seats are given when it is proposed."""
    said = tomllib.loads(text_of(name))
    rules = [
        {"use": rule.pop("use"), "parameters": rule} for rule in (dict(r) for r in said["rule"])
    ]
    found: dict[str, Any] = {
        "terms": said["terms"],
        "kinds": sorted(said["kind"], key=lambda kind: kind["kind"]),
        "rules": sorted(rules, key=lambda rule: rule["use"]),
    }
    if "ladder" in said:
        ladders = [{"name": each["name"], "rungs": each["rung"]} for each in said["ladder"]]
        found["ladders"] = sorted(ladders, key=lambda ladder: ladder["name"])
    if name == "forum":
        found["seats"] = SEATS
    return found


def charter_of(world: MemoryWorld, name: str, **changes: Any) -> Any:
    """Return the charter that FCO proposes by a file."""
    said = json.loads(world.charter().payload.model_dump_json(exclude_none=True))
    said |= {"type": name, "alias": f"a-{name}", **members_of(name), **changes}
    proposed = Charter.model_validate_json(json.dumps(said))
    kept = {field: getattr(proposed, field) for field in type(proposed).model_fields}
    dated = {"by", "key", "issued", "lapse"}
    return world.charter(**{field: value for field, value in kept.items() if field not in dated})


def test_what_is_not_kept_at_all_is_kept_for_no_time():
    assert terms(cabinet="none").cabinet_s is None
    assert terms(cabinet_s=3600).cabinet is None
    with pytest.raises(ValidationError, match="isn't kept for any time"):
        terms(cabinet="none", cabinet_s=3600)


@pytest.mark.parametrize("name", TYPES)
def test_a_file_makes_a_charter_that_the_rules_accept(name):
    world = MemoryWorld.peopled()
    charter = world.accept(charter_of(world, name))
    assert charter.payload.type == name


@pytest.mark.parametrize("name", TYPES)
def test_the_first_version_refuses_it(name):
    world = MemoryWorld.peopled(version=1)
    refused = world.submit(charter_of(world, name))
    assert getattr(refused, "code", None) == "not-in-this-version"


def test_a_forum_has_one_chair():
    world = MemoryWorld.peopled()
    for seats in (
        [{"party": FCO, "seat": "chair"}, {"party": MOD, "seat": "chair"}],
        [{"party": FCO, "seat": "member"}, {"party": MOD, "seat": "observer"}],
    ):
        refused = world.submit(charter_of(world, "forum", seats=seats))
        assert getattr(refused, "code", None) == "seats"


def test_every_type_has_a_file():
    files = {path.stem.replace("_", "-") for path in PROTOCOLS.glob("*.toml")}
    assert files == set(TYPES)


def parameters() -> dict[str, set[str]]:
    """Return all that a file may say, by the model it belongs to."""
    found = {
        model.__name__: set(model.model_fields)
        for model in (
            charters.Terms,
            charters.NoteKind,
            charters.LadderUse,
            charters.Ladder,
            charters.Rung,
            charters.Silence,
        )
    }
    found["Ladder"] -= {"rungs"}  # [[ladder.rung]]
    for name, rule in RULES.items():
        found[f"rule {name}"] = {field.replace("_", "-") for field in rule.model_fields}
    return found


def explained() -> set[str]:
    """Return the words of comments, and what stands below one: up to an empty line or a section."""
    found: set[str] = set()
    for name in TYPES:
        is_below = False
        for line in text_of(name).splitlines():
            if line.lstrip().startswith("#"):
                found |= set(re.findall(r"[a-z_-]+", line))
                is_below = True
            elif line.startswith("[["):
                found |= set(re.findall(r"[a-z_-]+", line))
            elif not line:
                is_below = False
            elif is_below:
                found |= set(re.findall(r"([a-z_-]+) =", line))
    return found


@pytest.mark.parametrize("model", parameters())
def test_every_parameter_is_explained_in_a_file(model):
    assert parameters()[model] - explained() == set()


def test_each_rule_stands_in_a_file():
    used = {rule["use"] for name in TYPES for rule in tomllib.loads(text_of(name))["rule"]}
    assert used == set(RULES)


def test_who_writes_and_who_releases_is_said_where_it_is_needed():
    kinds = {kind["kind"]: kind for kind in members_of("diplomatic-note")["kinds"]}
    assert {kind["release"] for kind in kinds.values()} == {"releaser"}
    assert {name: kind["series"] for name, kind in kinds.items()} == {
        "aide-memoire": "am",
        "demarche": "dm",
        "first-person-note": "fp",
        "memorandum": "am",
        "note-verbale": "nv",
    }
    leader = next(kind for kind in members_of("hotline")["kinds"] if kind["kind"] == "leader")
    assert "release" not in leader
    assert '\n# release = "releaser"\n' in text_of("hotline")
