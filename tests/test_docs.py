"""docs/errors.md lists every code that people and peers can meet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import errors_page

ROOT = Path(__file__).parents[1]
GIVEN = re.compile(
    r'Refused\(\s*"([a-z-]+)"'  # a refusal by the rules
    r'|^\s+code(?:: ClassVar\[str\])? = "([a-z-]+)"'  # an error of the tree
    r'|^\s+name: ClassVar\[str\] = "([a-z-]+)"',  # a rule of a charter, whose name is its code
    re.MULTILINE,
)


def codes() -> dict[str, str]:
    """Return each code with a file that gives it."""
    found = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        if path.name == "cells.py":
            continue  # the names of cells
        for match in GIVEN.finditer(path.read_text(encoding="utf-8")):
            found[next(filter(None, match.groups()))] = path.name
    return found


def test_every_code_is_in_the_list_of_errors():
    given = codes()
    assert {"malformed", "serial-used", "members-exactly", "waiting", "demo-failed"} <= set(given)
    told = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert {code: file for code, file in given.items() if f"`{code}`" not in told} == {}


def test_each_text_of_errors_is_compared_with_what_the_program_says():
    texts = errors_page.rows()
    assert sum(map(len, texts.values())) >= 19
    page = errors_page.PAGE.read_text(encoding="utf-8").partition("## What it says")[2]
    assert page.partition("## ")[0].count("\n| `") == sum(map(len, texts.values()))
    for test, said in texts.items():
        file, name = test.split("::")
        tests = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"def {name}\([^)]*\bdocumented\b", tests), test
        for text in said:
            parts, code = text.split(" · "), re.search(r" \([a-z-]+(: [a-z]+)?\)$", text)
            assert len(parts) >= 3, text  # what happened, what is safe, what to do
            assert code, text


@pytest.mark.parametrize(("page", "least"), [("threat-model.md", 40), ("errors.md", 14)])
def test_the_tests_that_a_page_names_are_there(page, least):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`", text)
    assert len(named) > least
    missing = [
        f"{file}::{test}"
        for file, test in named
        if f"def {test}(" not in (ROOT / "tests" / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_each_mitigation_of_the_threat_model_has_its_test():
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    mitigations = [row for row in rows if not row.startswith("| attack |")]
    assert [row for row in mitigations if "::test_" not in row] == []
