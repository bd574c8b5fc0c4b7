"""The bar: for a person at a terminal, once it takes longer than a second."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import ClassVar

import pytest

from liaison.cli import context, progress
from tests.cli.screen import serving
from tests.cli.test_first_hotline import SEND, open_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Hand:
    """A timer that is moved by hand."""

    made: ClassVar[list[Hand]] = []

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds, self.call = seconds, call
        self.is_over = False
        self.made.append(self)

    def start(self) -> None:
        """Wait for ``move``."""

    def move(self) -> None:
        assert not self.is_over
        self.call()

    def cancel(self) -> None:
        self.is_over = True

    def join(self) -> None:
        assert self.is_over


@pytest.fixture
def timers(monkeypatch):
    monkeypatch.setattr(progress, "Timer", Hand)
    monkeypatch.setattr(Hand, "made", [])
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Hand.made


def test_at_a_terminal_a_bar_appears_after_a_second_and_goes_away(timers, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.bar("entries") as tell:
        tell(1, 4)
        assert screen.getvalue() == ""
        assert timers[0].seconds == 1
        timers[0].move()
        tell(3, 4)
    assert "entries" in screen.getvalue()
    assert "75%" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")  # the line is cleared
    assert timers[0].is_over


def test_what_takes_less_than_a_second_shows_nothing(timers, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.bar("entries") as tell:
        tell(4, 4)
    assert screen.getvalue() == ""
    assert timers[0].is_over


def test_a_bar_that_was_told_nothing_yet_is_there_all_the_same(timers, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.bar("pages"):
        timers[0].move()
    assert "pages" in screen.getvalue()
    assert "100%" not in screen.getvalue()


def test_in_a_pipe_or_a_journal_nothing_appears(timers, monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with progress.bar("entries") as tell:
        tell(1, 4)
    assert (pipe.getvalue(), timers) == ("", [])


def test_with_json_nothing_appears(timers, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "is_json", lambda: True)
    assert not context.is_json()
    with progress.bar("entries") as tell:
        tell(1, 4)
    assert (screen.getvalue(), timers) == ("", [])


def test_what_can_take_longer_than_a_second_has_one(screen, monkeypatch):
    """The commands that wait for a node or read a store; each bar is asked for in their course."""
    asked: list[str] = []

    def bar(what: str):
        asked.append(what)
        return real(what)

    real = progress.bar
    screen.ok("--home N node init --origin localhost/test")
    with serving(screen.folder / "N") as url:
        monkeypatch.setenv("LIAISON_URL", url)
        card = screen.folder / "N" / "node.liaison"
        card.write_text(card.read_text().replace("http://127.0.0.1:8470", url))
        open_line(screen)
        screen.ok("--home N node doctor")
        for module in ("notes", "audit", "upkeep"):
            monkeypatch.setattr(f"liaison.cli.{module}.bar", bar)
        for line, bars in (
            (SEND, ["sending; without an answer it waits in the outbox"]),
            ("--home M inbox", ["inbox"]),
            ("audit verify N", ["entries"]),
            ("audit replay N", ["entries"]),
            ("--home N node check", ["entries"]),
            ("--home N node backup B", ["pages", "entries"]),
            ("--home N node upgrade-check B", ["pages", "entries"]),
        ):
            asked.clear()
            screen.ok(line, "The canary sings at dawn.")
            assert asked == bars, line
    asked.clear()
    screen.ok("--home N node restore B --yes")
    assert asked == ["pages", "entries"]
