"""Homes by name, and a keystore that is opened once for a while, as they are typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from liaison.adapters import agent
from liaison.cli.context import homes_by_name
from tests.cli.screen import PASSPHRASE, Screen

NOBODY = "Nobody is here to type the passphrase"
OPENED = "This home knows no node yet"
"""What `inbox` of a home that was only enrolled says, once its keystore is open."""


@pytest.fixture
def named(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A home by the name london; a folder for its agent; no passphrase file in the environment."""
    run = screen.folder / "run"
    run.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    monkeypatch.setenv("XDG_DATA_HOME", str(screen.folder / "data"))
    monkeypatch.delenv("LIAISON_PROFILE", raising=False)
    screen.ok("--profile london enrol attache.london@fco.example")
    monkeypatch.delenv("LIAISON_PASSPHRASE_FILE")
    yield screen
    for home in (screen.folder / "data" / "liaison").iterdir():
        place = agent.place_for(home, {"XDG_RUNTIME_DIR": str(run)})
        assert place is not None
        agent.lock(place)


UNLOCK = "--profile london --passphrase-file passphrase unlock"


def test_unlocked_no_command_asks_and_locked_each_does(named):
    code, shown = named.type("--profile london inbox")
    assert (code, NOBODY in shown) == (1, True)
    shown = named.ok(UNLOCK)
    assert shown.startswith(
        "attache.london.1@fco.example is unlocked: commands ask for no passphrase until none came for "
        "15 minutes.\nliaison lock ends it at once.\n"
    )
    for _ in range(2):
        code, shown = named.type("--profile london inbox")
        assert (code, OPENED in shown) == (1, True), shown
    assert "unlocked, for 15 minutes more without use" in named.type("--profile london whoami")[1]
    assert named.ok("--profile london lock") == "Locked.\n"
    code, shown = named.type("--profile london inbox")
    assert (code, NOBODY in shown) == (1, True)
    assert "locked: commands ask for the passphrase" in named.type("--profile london whoami")[1]
    assert named.ok("--profile london lock") == "It was locked already.\n"


def test_one_homes_agent_opens_no_other_and_a_new_passphrase_ends_it(named):
    named.ok(UNLOCK)
    named.ok("--passphrase-file passphrase --profile paris enrol attache.paris@fco.example")
    code, shown = named.type("--profile paris inbox")
    assert (code, NOBODY in shown) == (1, True)
    # Who finds a terminal unlocked can't make it theirs: the old passphrase is asked for.
    (named.folder / "new").write_text("battery staple\n")
    (named.folder / "new").chmod(0o600)
    change = "key passphrase --new-passphrase-file new"
    code, shown = named.type(f"--profile london {change}")
    assert (code, NOBODY in shown) == (1, True)
    named.ok(f"--profile london --passphrase-file passphrase {change}")
    code, shown = named.type("--profile london inbox")
    assert (code, NOBODY in shown) == (1, True)


def test_a_key_of_a_passphrase_that_was_changed_elsewhere_opens_nothing(named, monkeypatch):
    named.ok(UNLOCK)
    (named.folder / "new").write_text("battery staple\n")
    (named.folder / "new").chmod(0o600)
    with monkeypatch.context() as elsewhere:
        elsewhere.delenv("XDG_RUNTIME_DIR")
        change = "key passphrase --new-passphrase-file new"
        named.ok(f"--profile london --passphrase-file passphrase {change}")
    code, shown = named.type("--profile london inbox")
    assert (code, NOBODY in shown) == (1, True)


def test_a_wrong_passphrase_unlocks_nothing(named):
    (named.folder / "passphrase").write_text(PASSPHRASE + "!\n")
    code, shown = named.type(UNLOCK)
    assert (code, "wrong passphrase" in shown) == (1, True)
    code, shown = named.type("--profile london inbox")
    assert (code, NOBODY in shown) == (1, True)


def test_where_no_folder_in_memory_is_ones_own_unlock_says_so(named, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    code, shown = named.type(UNLOCK)
    assert (code, "There is no XDG_RUNTIME_DIR" in shown) == (1, True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(named.folder / "run"))
    (named.folder / "run").chmod(0o755)
    code, shown = named.type(UNLOCK)
    assert (code, "is not this user's alone" in shown) == (1, True)
    (named.folder / "run").chmod(0o700)


def test_profiles_are_listed_with_whose_they_are(named):
    assert named.ok("profile list") == (
        "london  attache.london.1@fco.example  data/liaison/london\n"
    )
    named.ok("--passphrase-file passphrase --profile fco party new fco.example")
    (named.folder / "data/liaison/empty").mkdir()
    assert named.ok("profile list") == (
        "fco     fco.example                   data/liaison/fco\n"
        "london  attache.london.1@fco.example  data/liaison/london\n"
    )


def test_no_profile_yet(screen, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(screen.folder / "none"))
    assert screen.ok("profile list").startswith("No home has a name yet.")


def test_what_is_typed_goes_before_a_variable_and_both_at_once_are_a_wrong_use(named, monkeypatch):
    named.ok("--home F --passphrase-file passphrase enrol desk@fco.example")
    where = "outbox list"
    assert named.type(f"--home F --profile london {where}")[0] == 2
    monkeypatch.setenv("LIAISON_PROFILE", "london")
    assert "attache.london.1" in named.type("whoami")[1]
    assert "desk.1@" in named.type("--home F whoami")[1]
    monkeypatch.setenv("LIAISON_HOME", str(named.folder / "F"))
    code, shown = named.type("whoami")
    assert (code, "not both" in shown) == (2, True)
    assert "attache.london.1" in named.type("--profile london whoami")[1]
    monkeypatch.delenv("LIAISON_PROFILE")
    assert "attache.london.1" in named.type("--profile london whoami")[1]


@pytest.mark.parametrize("name", ["../x", "A", "a/b", ".", "a" * 41])
def test_a_name_leads_nowhere_else(screen, name):
    code, shown = screen.type(f"--profile {name} whoami")
    assert (code, "a name has 1 to 40 of a-z, 0-9 and -" in " ".join(shown.split())) == (2, True)


@pytest.mark.parametrize("said", [{}, {"XDG_DATA_HOME": ""}, {"XDG_DATA_HOME": "relative"}])
def test_without_a_data_folder_the_usual_one_is_taken(said):
    assert homes_by_name(said) == Path.home() / ".local/share/liaison"
