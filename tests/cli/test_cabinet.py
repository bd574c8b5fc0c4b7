"""The cabinet as it is typed: what is kept and found, what is forgotten, and what is never kept."""

from __future__ import annotations

from tests.cli.screen import Screen
from tests.cli.test_first_hotline import CANARY, SEND, open_line

KEPT_BY_CHARTER = 'cabinet = "none"'


def amend(screen: Screen, term: str) -> None:
    """Have both parties agree on a charter with one more term."""
    text = screen.ok("channel defaults hotline")
    (screen.folder / "terms.toml").write_text(text.replace("[terms]\n", f"[terms]\n{term}\n", 1))
    for line in (
        "--home FA channel amend london-hotline --terms terms.toml --post --yes",
        "--home FA channel accede london-hotline --post",
        "--home MA channel accede london-hotline --post",
        "--home FA directory sign --post",
        "--home MA directory sign --post",
    ):
        screen.ok(line)


def test_what_is_kept_is_listed_found_shown_and_forgotten(begun):
    screen = begun
    open_line(screen)
    assert screen.ok("--home M cabinet list") == "Nothing is kept here.\n"
    screen.ok(SEND, CANARY)
    screen.ok("--home M inbox")
    listed = "london-hotline/1  DTG  Line check\n"
    for home in ("F", "M"):
        assert screen.ok(f"--home {home} cabinet list") == listed
        assert screen.ok(f"--home {home} cabinet search DAWN canary") == listed
    assert screen.ok("--home M cabinet search dusk") == (
        "Nothing that is kept has all these words.\n"
    )
    shown = screen.ok("--home M cabinet show london-hotline/1")
    assert shown == screen.ok("--home M read london-hotline/1")
    code, shown = screen.type("--home M cabinet forget london-hotline/1")
    assert (code, "nothing was forgotten" in shown) == (1, True)
    shown = screen.ok("--home M cabinet forget london-hotline --yes")
    assert "old blocks of the disk, and its backups, are not overwritten" in shown
    assert shown.endswith("Forgotten: london-hotline/1.\n")
    assert screen.ok("--home M cabinet list") == "Nothing is kept here.\n"
    code, shown = screen.type("--home M cabinet show london-hotline/1")
    assert (code, "is not kept on this device" in shown) == (1, True)
    assert CANARY in screen.ok("--home M read london-hotline/1")


def test_where_the_charter_says_so_nothing_is_kept_and_each_screen_says_it(begun):
    screen = begun
    open_line(screen)
    amend(screen, KEPT_BY_CHARTER)
    said = "Nobody's device keeps the text of what it opened or sent."
    assert said in screen.ok("--home F channel show london-hotline")
    assert "no device keeps its text, yours neither: so the charter has it" in screen.ok(
        SEND, CANARY
    )
    screen.ok("--home M inbox")
    for home in ("F", "M"):
        assert screen.ok(f"--home {home} cabinet list") == (
            "Nothing is kept here.\nlondon-hotline: nothing is kept, as its charter says.\n"
        )
        shown = screen.ok(f"--home {home} read london-hotline/1")
        assert "Kept:     not on this device: so its charter has it\n" in shown
        assert CANARY in shown
    screen.ok("--home M ack london-hotline/1")


def test_a_time_that_the_charter_gives_is_said_with_each_note(begun):
    screen = begun
    open_line(screen)
    amend(screen, "cabinet_s = 2592000")
    said = "Devices keep the text of what they opened or sent for 30 days."
    assert said in screen.ok("--home F channel show london-hotline")
    screen.ok(SEND, CANARY)
    screen.ok("--home M inbox")
    assert "Kept:     until DTG: so its charter has it\n" in screen.ok(
        "--home M read london-hotline/1"
    )
