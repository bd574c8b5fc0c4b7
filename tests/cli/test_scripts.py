"""docs/scripts.md: the exit codes, and what JSON looks like, are those of the program."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from liaison.cli import desk, failure, shapes
from liaison.cli.context import one_line
from liaison.client import News, Told, Unopened, Waiting
from liaison.ledger.facts import FirstFacts
from liaison.statements.payloads import Verdict
from liaison.words.errors import DiskFull, GuardRefused, LiaisonError, NotReady, RefusedByNode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8")
CODES = {
    failure.DONE,
    failure.REFUSED,
    failure.USAGE,
    failure.GUARD,
    failure.DISK,
    failure.WAITING,
    failure.INTERRUPTED,
}


def errors(cls: type[LiaisonError] = LiaisonError) -> Iterator[type[LiaisonError]]:
    for each in cls.__subclasses__():
        yield each
        yield from errors(each)


def test_the_page_and_the_readme_list_the_exit_codes_of_the_program():
    assert {int(code) for code in re.findall(r"^\| ([0-9]+) \|", PAGE, re.MULTILINE)} == CODES
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.search(r"Exit codes:\s([^.]*)\.", readme)
    assert told
    assert {int(code) for code in re.findall(r"\b[0-9]+\b", told[1])} == CODES


def test_each_error_has_the_exit_code_that_is_listed():
    special = {GuardRefused: 3, DiskFull: 4, Waiting: 75, failure.Interrupted: 130}
    assert set(special) < set(errors())
    for each in errors():
        error = each.__new__(each)
        assert failure.exit_code_of(error) == special.get(each, 1), each


def test_commands_end_with_no_other():
    given = {
        text
        for path in (ROOT / "src/liaison/cli").glob("*.py")
        for text in re.findall(r"typer\.Exit\(([^)]*)\)", path.read_text(encoding="utf-8"))
    }
    assert given == {"REFUSED", "code", "report.exit_code"}  # a failure's, and 0 or 1 of an audit


def test_ctrl_c_ends_with_130(screen, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(desk, "as_member", interrupted)
    code, shown = screen.type("--home F inbox")
    assert (code, shown) == (failure.INTERRUPTED, "Ended with Ctrl-C (interrupted)\n")


def test_a_question_that_is_left_unanswered_is_a_refusal(screen, monkeypatch):
    def aborted(*_: object) -> None:
        raise typer.Abort

    monkeypatch.setattr(desk, "as_member", aborted)
    code, shown = screen.type("--home F inbox")
    assert (code, shown) == (1, "Not done: the question was not answered (not-ready)\n")


def examples() -> list[dict[str, Any]]:
    return [json.loads(line) for line in re.findall(r"^    (\{.*\})$", PAGE, re.MULTILINE)]


def test_the_examples_have_the_members_that_the_program_gives():
    told = Told("c/1", Verdict.ACKNOWLEDGED, "a@x.example", "b@x.example", 1, None, Path("r"))
    news = News("alert", "c/1", 1, "text", True, Path("r"))
    unopened = Unopened("c/2", NotReady("why"))
    refused = RefusedByNode("why", problem="p", refusal=b"r", safe="s", do="d")
    given = {
        frozenset(json.loads(one_line(shape)))
        for shape in (
            shapes.of_item(told),
            shapes.of_item(news),
            shapes.of_item(unopened),
            failure.problem_of(refused),
        )
    }
    shown = {frozenset(example) for example in examples()}
    assert given <= shown
    (note,) = (example for example in examples() if example.get("kind") == "note")
    assert set(note) == NOTE


NOTE = {
    *("kind", "reference", "note", "at", "note_kind", "precedence", "from", "post"),
    *("addressees", "dtg", "label", "subject"),
}
"""``test_json`` holds a note that was sent to these."""


def test_who_was_first_is_said_where_it_was_another():
    first = FirstFacts(by="a@x.example", post="b@x.example", at=1)
    told = Told("c/1", Verdict.ACKNOWLEDGED, "d@x.example", "b@x.example", 2, first)
    assert shapes.of_told(told)["first"] == {"by": "a@x.example", "post": "b@x.example", "at": 1}


@pytest.mark.parametrize("text", ["\x1b[31mred", "pay\u202ekcehc", "zürich"])
def test_what_others_wrote_is_escaped(text):
    line = one_line({"subject": text})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"subject": text}
