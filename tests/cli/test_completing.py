"""Completion: commands and options at once, references, channels and posts from the home's files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.screen import Screen, serving
from tests.cli.test_first_hotline import SEND, open_line


@pytest.fixture
def line(screen, monkeypatch):
    screen.ok("--home N node init --origin localhost/test")
    with serving(screen.folder / "N") as url:
        monkeypatch.setenv("LIAISON_URL", url)
        card = screen.folder / "N" / "node.liaison"
        card.write_text(card.read_text().replace("http://127.0.0.1:8470", url))
        open_line(screen)
        screen.ok(SEND, "The canary sings at dawn.")
        screen.ok("--home M inbox")
        yield screen


def offered(screen: Screen, typed: str) -> list[str]:
    """Return what bash is offered for the last word of a line that is being typed."""
    words = ["liaison", *typed.split(" ")]
    with screen.monkeypatch.context() as patch:
        patch.setenv("_LIAISON_COMPLETE", "complete_bash")
        patch.setenv("COMP_WORDS", "\n".join(words))
        patch.setenv("COMP_CWORD", str(len(words) - 1))
        code, shown = screen.type("")
    assert code == 0, shown
    return shown.split()


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("in", ["inbox"]),
        ("node up", ["upgrade-check"]),
        ("desk cl", ["claim", "close"]),
        ("inbox --", ["--follow", "--json", "--help"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("--ver", ["--version"]),
        ("member approve x --role rel", ["releaser"]),
    ],
)
def test_commands_options_and_choices(typed, wanted, screen):
    assert offered(screen, typed) == wanted


def test_what_the_home_knows(line, monkeypatch):
    assert offered(line, "--home F status lon") == ["london-hotline/1"]
    assert offered(line, "--home M ack ") == ["london-hotline/1"]
    assert offered(line, "--home M ack other") == []
    assert offered(line, "--home F send l") == ["london-hotline"]
    assert offered(line, "--home F send london-hotline --to du") == ["duty.desk@mod.example"]
    assert offered(line, "--home F send london-hotline --to ") == [
        "attache.london@fco.example",
        "duty.desk@mod.example",
    ]
    assert offered(line, "--home FA channel accede ") == ["london-hotline"]
    monkeypatch.setenv("LIAISON_HOME", "M")
    assert offered(line, "read ") == ["london-hotline/1"]


def test_no_home_a_damaged_one_or_one_at_work_offers_what_there_is(line):
    assert offered(line, "ack ") == []
    assert offered(line, "--home NOWHERE ack ") == []
    (line.folder / "F" / "known.json").write_text("{")
    cabinet = line.folder / "F" / "cabinet"
    cabinet.write_bytes(cabinet.read_bytes() + b"\0\0")
    assert offered(line, "--home F send ") == []
    assert offered(line, "--home F read ") == ["london-hotline/1"]
    cabinet.write_bytes(b"\0\0\0\1\0\0\0\1{")
    assert offered(line, "--home F read ") == []


def test_an_operator_is_offered_what_was_on_the_queue(screen):
    home = screen.folder / "O"
    home.mkdir()
    (home / "queue.json").write_text('{"london-hotline/1":"x","london-hotline/2":"x"}')
    (home / "known.json").write_text('{"london-hotline":[]}')
    wanted = ["london-hotline/2", "london-hotline/1", "london-hotline"]
    assert offered(screen, "--home O desk claim ") == wanted


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_of_its_own(shell, screen):
    shown = screen.ok(f"completion {shell}")
    assert f"_LIAISON_COMPLETE=complete_{shell}" in shown
    code, shown = screen.type("completion smoke")
    assert (code, "smoke" in shown) == (2, True)


def test_bash_completes_with_it(screen):
    """As a person has it: the script sourced, and its function called for a line."""
    bash = shutil.which("bash")
    assert bash is not None
    command = Path(sys.executable).with_name("liaison")
    asked = (
        f'eval "$({command} completion bash)"; COMP_WORDS=(liaison node back) COMP_CWORD=2; '
        f'_liaison_completion {command}; echo "${{COMPREPLY[@]}}"; complete -p liaison'
    )
    done = subprocess.run(
        (bash, "--norc", "-c", asked), capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[0] == "backup", done.stderr
    assert done.stdout.splitlines()[1].endswith("-F _liaison_completion liaison")


@pytest.mark.parametrize(
    ("words", "spared"),
    [
        (["--version"], "liaison.client"),
        (["party", "--help"], "liaison.main"),
        (["inbox", "--help"], "sqlalchemy"),
    ],
)
def test_only_what_is_typed_is_imported(words, spared):
    assert spared not in imported(words)


def test_the_first_word_is_completed_without_importing_any_command():
    asked = {"_LIAISON_COMPLETE": "complete_bash", "COMP_WORDS": "liaison\n", "COMP_CWORD": "1"}
    assert "liaison.client" not in imported([], **asked)
    assert "liaison.client" in imported(["inbox", "--help"])


def imported(words: list[str], **environment: str) -> set[str]:
    """Return the modules that a command line imports."""
    done = subprocess.run(
        (sys.executable, "-X", "importtime", "-m", "liaison.cli", *words),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
