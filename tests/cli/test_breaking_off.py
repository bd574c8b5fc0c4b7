"""Ctrl-C, at a real terminal: one ends the command, nothing was signed by it, and no text is lost."""

from __future__ import annotations

import pytest

from tests.cli.keyboard import CTRL_C, CTRL_D, keyboard
from tests.cli.screen import CANARY
from tests.cli.test_bad_days import DUTY
from tests.cli.test_bad_days import SEND as SEND_UNASKED

SEND = SEND_UNASKED.replace(" --yes", "")


def test_one_ctrl_c_at_the_question_ends_it_and_keeps_the_text(council):
    with keyboard(SEND) as screen:
        screen.until("end with Ctrl-D")
        screen.press(f"{CANARY}\n{CTRL_D}")
        screen.until("Send it? [y/N]")
        screen.press(CTRL_C)
        code, shown = screen.end()
    assert code == 130
    assert "Ended with Ctrl-C · nothing was sealed or sent · its text: liaison outbox show" in shown
    assert council.ok("--home F outbox list") == "The outbox is empty.\n"
    (kept,) = (council.folder / "F" / "unsent").iterdir()
    assert CANARY in council.ok(f"--home F outbox show {kept}")
    with keyboard(SEND) as screen:
        screen.until("end with Ctrl-D")
        screen.press(f"{CANARY}\n{CTRL_D}")
        screen.until("Send it? [y/N]")
        screen.press("y\n")
        code, shown = screen.end()
    assert (code, "ACCEPTED london-hotline/1" in shown) == (0, True)


def test_one_ctrl_c_at_the_passphrase_ends_it(council, monkeypatch):
    monkeypatch.delenv("LIAISON_PASSPHRASE_FILE")
    for line, wanted in (("--home M inbox", "Passphrase:"), ("party new x.example", "Passphrase:")):
        with keyboard(line if "--home" in line else f"--home X {line}") as screen:
            screen.until(wanted)
            screen.press(CTRL_C)
            assert screen.end() == (130, "Ended with Ctrl-C · nothing was done (interrupted)")


@pytest.mark.parametrize("keys", [CTRL_C, f"{CTRL_C}y\n"])
def test_what_nobody_could_take_back_is_not_signed_after_ctrl_c(council, keys):
    group = council.type("--home MA device list")[1].split(DUTY)[1].splitlines()[0].split()[-1]
    revoke = f"--home MA key revoke {DUTY} {group} --lost --since 2026-01-01T00:00:00Z --post"
    with keyboard(revoke) as screen:
        screen.until("[y/N]")
        screen.press(keys)
        code, shown = screen.end()
    assert (code, "Ended with Ctrl-C · nothing was signed (interrupted)" in shown) == (130, True)
    assert "Nothing that this home signed waits." in council.ok("--home MA outbox list")
    assert group in council.type("--home MA device list")[1]


def test_one_ctrl_c_where_groups_are_asked_for_pins_nothing(council):
    council.ok("--home X enrol nobody@x.example")
    with keyboard("--home X party pin MA/mod.party") as screen:
        screen.until("The last group as you heard it:")
        screen.press(CTRL_C)
        code, shown = screen.end()
    assert (code, shown) == (130, "^C Ended with Ctrl-C · nothing was pinned (interrupted)")
    assert "mod.example" not in council.ok("--home X party show")
