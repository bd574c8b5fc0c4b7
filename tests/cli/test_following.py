"""``inbox --follow``: what comes stands on the screen as it comes, until a signal ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from liaison.cli import context, notes
from tests.cli.screen import serving
from tests.cli.test_first_hotline import SEND, open_line


@pytest.fixture
def line(screen, monkeypatch):
    screen.ok("--home N node init --origin localhost/test")
    with serving(screen.folder / "N") as url:
        monkeypatch.setenv("LIAISON_URL", url)
        card = screen.folder / "N" / "node.liaison"
        card.write_text(card.read_text().replace("http://127.0.0.1:8470", url))
        open_line(screen)
        yield screen


def test_whoever_follows_has_the_home_to_themselves_and_others_are_told_how_to_get_it(line):
    line.ok(SEND, "The canary sings at dawn.")
    following = subprocess.Popen(
        (sys.executable, "-m", "liaison.cli", "--home", "M", "inbox", "--follow"),
        stdout=subprocess.PIPE,
        text=True,
    )
    with following:
        assert following.stdout is not None
        assert "london-hotline/1" in following.stdout.readline()
        code, shown = line.type("--home M ack london-hotline/1")
        assert (code, "inbox --follow: Ctrl-C" in shown) == (1, True)
        following.send_signal(signal.SIGINT)
    assert following.returncode == 0
    assert "acknowledged by" in line.ok("--home M ack london-hotline/1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_what_waits_says_when_nothing_does_and_ends_well(number, line, monkeypatch):
    say = context.say

    def say_and_stop(text: str) -> None:
        say(text)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(notes, "say", say_and_stop)
    assert line.ok("--home M inbox --follow") == "Nothing waits for you. Ctrl-C ends this.\n"
    monkeypatch.setattr(notes, "say", say)
    line.ok(SEND, "The canary sings at dawn.")
    monkeypatch.setattr(notes, "say", say_and_stop)
    shown = line.ok("--home M inbox --follow")
    assert "london-hotline/1" in shown
    assert "Line check" in shown
    assert "Nothing waits" not in shown
    monkeypatch.setattr(notes, "say", say)
    assert line.ok("--home M inbox") == "Nothing new.\n"
    shown = line.ok("--home F status london-hotline/1")
    assert "delivered" in shown
