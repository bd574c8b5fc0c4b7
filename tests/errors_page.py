"""docs/errors.md, "What it says": each text stands there once, and the test beside it compares the two.

``documented`` (tests/conftest.py) is how a test does so; one that never does has failed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"
_ROW = re.compile(r"\| `(.+)` \| `([a-z_/]+\.py::test_[a-z0-9_]+)` \|")
_VARIES = (  # from run to run
    (re.compile(r"[0-9]{6}(?:[0-9]{2})?Z[ -][A-Z]{3}[ -][0-9]{2}"), "DTG"),
    (re.compile(r"127\.0\.0\.1:[0-9]+"), "NODE"),
    (re.compile(r"(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}"), "FINGERPRINT"),
    (re.compile(r"[A-Za-z0-9_-]{43}=?\.refusal"), "DIGEST.refusal"),
    (re.compile(r"[0-9]+ entries( of \S+)? \(root [A-Za-z0-9+/]+"), "N entries (root HASH"),
    (re.compile(r"[0-9]+ MiB"), "N MiB"),
)


def rows() -> dict[str, list[str]]:
    """Return the texts of the page by the test that compares them."""
    found = defaultdict(list)
    for text, test in _ROW.findall(PAGE.read_text(encoding="utf-8")):
        found[test].append(text)
    return dict(found)


def spelled(text: str) -> str:
    """Return a text without what differs each time."""
    for pattern, name in _VARIES:
        text = pattern.sub(name, text)
    return text.strip()
