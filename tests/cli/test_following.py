"""``inbox --follow``: what comes stands on the screen as it comes, until a signal ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from liaison.cli import context, desk, notes
from liaison.cli import following as screen_of
from liaison.client import Home
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


@contextlib.contextmanager
def following(home="M"):
    """Run ``inbox --follow`` at a terminal of its own; its lines are read one by one."""
    child = subprocess.Popen(
        (sys.executable, "-m", "liaison.cli", "--home", home, "inbox", "--follow"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGINT)
    assert child.returncode == 0


def test_who_follows_types_other_commands_beside_it_and_sees_what_comes_after_them(line):
    with following() as screen:
        assert "Nothing waits" in screen.stdout.readline()
        line.ok(SEND, "The canary sings at dawn.")
        assert "london-hotline/1" in screen.stdout.readline()
        assert "acknowledged by" in line.ok("--home M ack london-hotline/1")
        assert "The canary sings" in line.ok("--home M read london-hotline/1")
        line.ok(SEND, "It sang.")
        assert "london-hotline/2" in screen.stdout.readline()
        assert "acknowledged by" in line.ok("--home M ack london-hotline/2")


def test_a_home_is_followed_once_at_a_time(line):
    with following() as screen:
        assert "Nothing waits" in screen.stdout.readline()
        code, shown = line.type("--home M inbox --follow")
        assert (code, "Another process follows" in shown) == (1, True)
        line.ok(SEND, "The canary sings at dawn.")
        assert "london-hotline/1" in screen.stdout.readline()


def test_who_follows_is_told_that_another_command_has_the_home_for_long(line, monkeypatch):
    with following() as screen:
        assert "Nothing waits" in screen.stdout.readline()
        with Home(line.folder / "M", wait_s=20).locked():
            line.ok(SEND, "The canary sings at dawn.")
            assert "Another command works in this home" in screen.stderr.readline()
            monkeypatch.setattr(desk, "WAIT_S", 0.1)
            code, shown = line.type("--home M ack london-hotline/1")
            assert (code, "Another liaison process works in" in shown) == (1, True)
        assert "london-hotline/1" in screen.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_what_waits_says_when_nothing_does_and_ends_well(number, line, monkeypatch):
    say = context.say

    def say_and_stop(text: str) -> None:
        say(text)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(screen_of, "say", say_and_stop)
    assert line.ok("--home M inbox --follow") == "Nothing waits for you. Ctrl-C ends this.\n"
    monkeypatch.setattr(screen_of, "say", say)
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
