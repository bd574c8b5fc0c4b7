"""The bar: for a person at a terminal, once it takes longer than a second."""

from __future__ import annotations

import io
import sys
import time

import pytest

from liaison.cli import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return now


def test_at_a_terminal_a_bar_appears_beyond_a_second_and_goes_away(clock, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.bar("entries") as tell:
        tell(1, 4)
        clock[0] += 0.9
        tell(2, 4)
        assert screen.getvalue() == ""
        clock[0] += 0.2
        tell(3, 4)
        assert "entries" in screen.getvalue()
    assert "75%" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")  # the line is cleared


def test_in_a_pipe_or_a_journal_nothing_appears(clock, monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with progress.bar("entries") as tell:
        clock[0] += 60
        tell(1, 4)
    assert pipe.getvalue() == ""
