"""docs/errors.md lists every code that people and peers can meet."""

from __future__ import annotations

import re
from pathlib import Path

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
