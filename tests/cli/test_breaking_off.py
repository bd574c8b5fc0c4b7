"""Ctrl-C, at a real terminal: one ends the command, nothing was signed by it, and no text is lost."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from liaison.client import Home
from liaison.client.transport import Transport
from tests.cli.keyboard import CTRL_C, CTRL_D, keyboard
from tests.cli.screen import CANARY
from tests.cli.test_bad_days import DUTY
from tests.cli.test_bad_days import SEND as SEND_UNASKED
from tests.cli.test_outbox import away

SEND = SEND_UNASKED.replace(" --yes", "")


@pytest.fixture(autouse=True)
def heard():
    """Have Ctrl-C heard, also where these tests run in the background: a shell has that ignored there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


def only_unsent(screen, home="F"):
    """Show the one text that was kept in ``home``."""
    (kept,) = (screen.folder / home / "unsent").iterdir()
    return screen.ok(f"--home {home} outbox show {kept}")


def test_what_was_typed_before_ctrl_c_is_kept(council):
    with keyboard(SEND) as screen:
        screen.until("end with Ctrl-D")
        screen.press(f"{CANARY}\n")
        screen.until("dawn.")
        screen.until_taken()
        screen.press(CTRL_C)
        code, shown = screen.end()
    assert (code, "nothing was sealed or sent · its text: liaison" in shown) == (130, True)
    assert CANARY in only_unsent(council)


def interrupting(monkeypatch, *, after):
    """Have Ctrl-C come while the node is asked to take something: before, or after it has it."""
    submit = Transport.submit

    async def interrupted(self, *parts):
        if after:
            await submit(self, *parts)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(20)

    monkeypatch.setattr(Transport, "submit", interrupted)


@pytest.mark.parametrize("after", [False, True])
def test_a_note_that_was_signed_before_ctrl_c_is_said_to_wait(council, monkeypatch, after):
    with monkeypatch.context() as patch:
        interrupting(patch, after=after)
        code, shown = council.type(SEND_UNASKED, CANARY)
    assert code == 130
    assert shown.endswith(
        "WAITING in the outbox: a note on london-hotline, FLASH to duty.desk@mod.example. It is "
        "signed. Do not write it again: the next command sends it; or: liaison outbox drop\n"
        "Ended with Ctrl-C (interrupted)\n"
    )
    assert not (council.folder / "F" / "unsent").exists()
    assert council.ok("--home F outbox flush").startswith("ACCEPTED london-hotline/1 at DTG")


def test_what_an_authority_signed_before_ctrl_c_is_said(council, monkeypatch):
    with monkeypatch.context() as patch:
        interrupting(patch, after=False)
        code, shown = council.type("--home MA directory sign --post")
    assert code == 130
    assert "Signed here, and not in the log as far as this home knows: directory mod.ex" in shown
    assert "Ended with Ctrl-C" in shown
    assert "directory" in council.ok("--home MA outbox list")


def test_a_text_is_kept_where_ctrl_c_comes_while_what_waited_before_is_sent(council, monkeypatch):
    with away():
        assert council.type(SEND_UNASKED, "First")[0] == 75
    with monkeypatch.context() as patch:
        interrupting(patch, after=False)
        code, shown = council.type(SEND_UNASKED, CANARY)
    assert (code, "Neither sealed nor sent; its text: liaison outbox show" in shown) == (130, True)
    assert "What waited before: a note on london-hotline" in shown
    assert "WAITING" not in shown
    assert CANARY in only_unsent(council)
    assert "ACCEPTED london-hotline/1 " in council.ok("--home F outbox flush")


def test_a_text_is_kept_where_another_command_has_the_home(council, monkeypatch):
    monkeypatch.setattr("liaison.cli.desk.WAIT_S", 0.1)
    proposal = "--home F propose council --subject Convoy --until +2d --yes"
    with Home(council.folder / "F").locked():
        for line in (SEND_UNASKED, proposal):
            code, shown = council.type(line, CANARY)
            assert (code, "Another liaison process works in" in shown) == (1, True)
            (kept,) = (council.folder / "F" / "unsent").iterdir()
            assert f" · its text: liaison outbox show F/unsent/{kept.name} (not-ready)" in shown
            kept.rename(council.folder / "kept.text")
    assert CANARY in council.ok("--home F outbox show kept.text")


def test_that_a_text_is_not_kept_is_said(council, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Home(council.folder / "F").locked(), monkeypatch.context() as patch:
        patch.setattr("liaison.cli.desk.WAIT_S", 0.1)
        patch.setattr("liaison.cli.texts.keep_unsent", full)
        code, shown = council.type(SEND_UNASKED, CANARY)
    assert (code, " · its text is NOT kept: No space left on device (not-ready)" in shown) == (
        1,
        True,
    )


def test_a_text_is_kept_where_an_option_was_wrong(council):
    code, shown = council.type(f"{SEND_UNASKED} --reply-by yesterday", CANARY)
    assert (code, "its text: liaison outbox show" in shown) == (1, True)
    assert CANARY in only_unsent(council)
