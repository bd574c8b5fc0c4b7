"""The README's tours and the bad days of docs/trust.md: each `$` line is typed, and shows what stands there.

The node and the homes are those of `liaison demo --stage`, whose node is a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from liaison.client.seat import wall_clock
from liaison.words.times import HOUR, to_dtg
from tests.cli.screen import Screen, steady

ROOT = Path(__file__).parents[2]
README, TRUST = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/trust.md")
)
ANY = "…"
"""A line of the README for any number of lines that are left out there."""

_READ_OUT = re.compile(r"^  ([a-z]+(?: [a-z]+){4})$", re.MULTILINE)
_PASSING = (  # what differs from run to run, beside what ``steady`` knows
    (re.compile(r"\b[0-9]+ (?:second|minute)s? old"), "AGE"),
    (re.compile(r"\bin [0-9]+ (?:second|minute)s?"), "LEFT"),
    (re.compile(r"\.(watch|grant)\.[0-9]+\."), r".\1.N."),
    (_READ_OUT, "  FIVE WORDS"),
    (re.compile(r"\bdevice [A-Z2-7]{4} of"), "device GROUP of"),
    (re.compile(r"(?<=  Device:      )[A-Z2-7]{4}$", re.MULTILINE), "GROUP"),
)
_FINGERPRINT = re.compile(r"(?:[A-Z2-7]{4} ){4}((?:[A-Z2-7]{4} ){3}[A-Z2-7]{4})")
_DTG = re.compile(r"[0-9]{6}Z [A-Z]{3} [0-9]{2}")


@dataclass(frozen=True)
class Typed:
    """A line of a tour, and what it shows."""

    line: str
    shown: tuple[str, ...]


def tours(text: str) -> dict[str, list[Typed]]:
    """Return what is typed in each section of a document."""
    found: dict[str, list[Typed]] = {}
    for section in text.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)
        for block in blocks:
            lines = [line.removeprefix("    ") for line in block.strip("\n").split("\n")]
            for start in (i for i, line in enumerate(lines) if line.startswith("$ ")):
                end = next((i for i in range(start + 1, len(lines)) if lines[i][:2] == "$ "), None)
                shown = tuple(lines[start + 1 : end])
                found.setdefault(title, []).append(Typed(lines[start][2:], shown))
    return found


@pytest.fixture
def stage(screen: Screen) -> Iterator[Screen]:
    """Stand in the folder that `liaison demo --stage` made."""
    made = subprocess.run(
        (sys.executable, "-m", "liaison.cli", "demo", "--stage", "--json"),
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(made.stdout)
    folder = Path(told["folder"])
    try:
        screen.monkeypatch.chdir(folder)
        screen.monkeypatch.setenv("LIAISON_PASSPHRASE_FILE", str(folder / "passphrase"))
        yield screen
    finally:
        node = os.pidfd_open(told["process"])
        signal.pidfd_send_signal(node, signal.SIGTERM)
        has_ended, _, _ = select.select([node], [], [], 30)
        os.close(node)
        shutil.rmtree(folder)
    assert has_ended


def plain(shown: str) -> str:
    for pattern, name in _PASSING:
        shown = pattern.sub(name, shown)
    return steady(shown)


def fits(shown: str, wanted: tuple[str, ...]) -> bool:
    parts = [
        r"(?:.*\n)*?" if line.strip() == ANY else re.escape(plain(line)) + r"\n" for line in wanted
    ]
    return re.fullmatch("".join(parts), plain(shown)) is not None


def test_the_readme_has_a_tour_of_the_attache_and_of_the_operator():
    titles = [title.partition(",")[0] for title in tours(README)]
    assert titles == ["As an attaché", "As an operator"]
    assert all(len(typed) >= 6 for typed in tours(README).values())


def test_trust_has_the_bad_days():
    assert list(tours(TRUST))[1:] == [
        "A lost laptop, which nobody has",
        "A stolen laptop",
        "A lost authority's key, which nobody has",
        "An authority's key in other hands",
        "A colleague who left",
    ]


@pytest.mark.parametrize("text", [README, TRUST], ids=["README.md", "trust.md"])
def test_each_line_of_a_tour_shows_what_stands_there(stage, text):
    earlier = to_dtg(wall_clock() - HOUR)
    heard: dict[str, str] = {}
    for typed in (each for tour in tours(text).values() for each in tour):
        # Last groups and words are others each time: what is typed names those that were shown.
        words = [_DTG.sub(earlier, heard.get(word, word)) for word in shlex.split(typed.line)]
        assert words[0] == "liaison"
        text = ""
        if "<<<" in words:
            text = words.pop() + "\n"
            assert words.pop() == "<<<"
        code, shown = stage.run(words[1:], text)
        assert code == 0, f"{typed.line}\n{shown}"
        assert fits(shown, typed.shown), f"{typed.line}\n{shown}\n--- not:\n" + "\n".join(
            typed.shown
        )
        for pattern in (_FINGERPRINT, _READ_OUT):
            said = pattern.findall("\n".join(typed.shown))
            heard |= dict(zip(said, pattern.findall(shown), strict=False))
        heard |= {said[-4:]: now[-4:] for said, now in heard.items() if len(said) == 19}


def test_what_a_tour_leaves_out_and_what_differs_each_time_fits_and_no_more():
    wanted = ("a at 241232Z NOV 26", ANY, "b, in 5 seconds")
    assert fits("a at 24133207Z NOV 26\nb, in 7 seconds\n", wanted)
    assert fits("a at 241332Z NOV 26\nx\ny\nb, in 2 minutes\n", wanted)
    assert not fits("a at 241332Z NOV 26\nx\n", wanted)
    assert not fits("c at 241332Z NOV 26\nb, in 1 second\n", wanted)
    assert not fits("a at 241332Z NOV 26\nb, in 1 second\nc\n", wanted)
