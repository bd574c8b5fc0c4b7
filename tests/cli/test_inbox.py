"""``inbox`` says once what came: not before it stood on a screen is anything counted as shown."""

from __future__ import annotations

import pytest

from liaison.client.watching import Watch
from tests.cli.screen import CANARY
from tests.cli.test_bad_days import DUTY, SEND

HAND_OVER = f"--home M posting handover duty.desk@mod.example --to {DUTY} --yes"


def test_what_came_to_no_screen_is_shown_the_next_time(council, monkeypatch):
    council.ok(SEND, CANARY)

    def cut(_: object) -> None:
        raise KeyboardInterrupt

    for line in ("--home M inbox", HAND_OVER):
        with monkeypatch.context() as patch:
            patch.setattr("liaison.cli.notes.say_items", cut)
            patch.setattr("liaison.cli.posts.say_items", cut)
            code, shown = council.type(line)
        assert (code, "london-hotline/1" in shown) == (130, False)
    assert "london-hotline/1  EXERCISE  FLASH" in council.ok("--home M inbox")
    assert council.ok("--home M inbox") == "Nothing new.\n"


@pytest.mark.parametrize("is_json", [False, True])
def test_what_stood_on_the_screen_is_not_shown_again_whatever_comes_after(
    council, monkeypatch, is_json
):
    council.ok(SEND, CANARY)

    async def forked(self: Watch) -> None:
        raise self._forked(63)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "settle", forked)
        code, shown = council.type(f"--home M inbox{' --json' if is_json else ''}")
    assert (code, "london-hotline/1" in shown, "STOP: The log" in shown) == (1, True, True)
    assert council.ok("--home M inbox") == "Nothing new.\n"
