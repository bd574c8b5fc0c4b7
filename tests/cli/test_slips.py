"""What is typed wrong is said in words: no traceback, and nothing that disturbs a terminal."""

from __future__ import annotations

import errno
import json

import pytest

from liaison.cli.consequence import roughly, typed
from liaison.cli.failure import tell
from liaison.words.canonical import format_canonical
from liaison.words.errors import LogUntrusted, Malformed, NotAllowed, NotHere
from liaison.words.times import from_typed
from tests.cli.screen import CANARY, Screen
from tests.cli.test_first_hotline import SEND, open_line
from tests.cli.test_outbox import away

LONG = "a" * 300


@pytest.fixture
def line(begun: Screen) -> Screen:
    open_line(begun)
    return begun


@pytest.mark.parametrize(
    "line",
    [
        f"--home {LONG} whoami",
        f"--home {LONG} inbox",
        f"--home {LONG} enrol a@b.example",
        f"receipt verify {LONG}",
        f"--home F party pin {LONG}/x",
    ],
)
def test_a_name_that_no_file_can_have_is_said(screen, line):
    code, shown = screen.type(line)
    assert code == 1
    assert "can't be written or read: File name too long" in shown or "can't be read" in shown
    assert shown.endswith("(not-ready)\n")


def test_a_full_disk_is_said_with_how_to_see_whether_something_was_sent(screen, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "F/log.json")

    with monkeypatch.context() as patch:
        patch.setattr("liaison.client.home.os.fsync", full)
        code, shown = screen.type("--home F enrol legal@fco.example")
    assert code == 1
    assert shown.endswith(
        "F/log.json can't be written or read: No space left on device · what was sent and kept before "
        "stands · see to the place, then repeat the command; if it was to send something, first see "
        "whether that was sent: liaison inbox (not-ready)\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        "--home N node init --origin x/1 --listen \udcff",
        "--home \udcff whoami",
        "--home N node admit \udcff --json",
    ],
)
def test_what_is_no_text_is_a_wrong_use(screen, line):
    code, shown = screen.type(line)
    assert (code, "'\\udcff' is not UTF-8" in shown.replace("\\\\", "\\")) == (2, True), shown
    assert not (screen.folder / "N").exists()


@pytest.mark.parametrize("home", [["--home", ""], ["--home="]])
def test_an_empty_home_is_not_the_current_directory(screen, home):
    code, shown = screen.run([*home, "enrol", "desk@fco.example"])
    assert (code, "--home names no directory" in shown) == (2, True)
    assert not (screen.folder / "keystore").exists()
    assert "asks to hold" in screen.ok("--home . enrol desk@fco.example")


def test_a_variable_that_is_no_text_is_a_wrong_use(screen, monkeypatch):
    monkeypatch.setenv("LIAISON_HOME", "\udcff")
    code, shown = screen.type("whoami")
    assert (code, "is not UTF-8" in shown) == (2, True)
    assert screen.type("--home Ä whoami")[0] == 2  # the variable stays what it is
    monkeypatch.delenv("LIAISON_HOME")
    assert "Ä is nobody's home" in screen.type("--home Ä whoami")[1]


@pytest.mark.parametrize("option", ["reply-by", "expires", "deliver-by", "not-before"])
def test_a_time_that_has_passed_is_said_before_anything_is_shown_or_signed(line, option):
    code, shown = line.type(f"{SEND} --{option} 010600Z~NOV~24", CANARY)
    assert code == 1
    assert shown.startswith(
        f"--{option}: 01060000Z NOV 24 has passed · nothing was signed or sent · name a time that "
        "lies ahead · its text: liaison outbox show F/unsent/"
    )
    shown = line.ok(f"{SEND} --{option} +1d", CANARY)
    assert shown.endswith("receipt: F/receipts/london-hotline/1.receipt)\n")


def test_a_time_is_shown_as_it_was_typed_and_spans_as_people_say_them():
    assert typed(from_typed("24160030Z NOV 26", 0)) == "24160030Z NOV 26"
    assert typed(from_typed("241600Z NOV 26", 0)) == "241600Z NOV 26"
    spans = {119: "119 seconds", 538: "8 minutes", 85232: "23 hours", 172800: "2 days"}
    assert {seconds: roughly(seconds) for seconds in spans} == spans


@pytest.mark.parametrize("label", ["\x1b[31mred", "a" * 201, "two\nlines"])
def test_a_label_that_no_note_can_have_is_said_and_the_text_is_kept(line, label):
    words = [*(word.replace("~", " ") for word in SEND.split(" ")), "--label", label]
    code, shown = line.run(words, CANARY)
    assert code == 1
    assert "classification: it has 1 to 200 characters, on one line" in shown
    assert "\x1b" not in shown
    (path,) = (line.folder / "F" / "unsent").glob("*.text")
    assert CANARY in line.ok(f"--home F outbox show {path}")
    assert line.ok(SEND, CANARY).endswith("receipt: F/receipts/london-hotline/1.receipt)\n")


def test_what_was_typed_is_shown_without_what_disturbs_a_terminal(line):
    evil = "\x1b[31mred\x07"
    for command in ("cancel", "withdraw", "object"):
        _, shown = line.run(["--home", "F", command, evil, "--yes"])
        assert "\x1b" not in shown
        assert "\x07" not in shown
    _, shown = line.run(["--home", "N", "node", "check", "--guard", evil])
    assert "⟨U+001B⟩[31mred⟨U+0007⟩" in shown
    assert "\x1b" not in shown


def test_a_post_that_is_none_is_said_without_a_pattern(line):
    line.ok(SEND, CANARY)
    code, shown = line.type("--home F desk reopen london-hotline/1 --post /dev/null --text x --yes")
    assert code == 1
    assert "String should match" not in shown
    assert "post: '/dev/null' is not spelled as one · nothing was signed or sent" in shown


def test_a_parcel_that_was_changed_on_its_way_says_what_helps(line):
    with away():
        assert line.type(SEND, CANARY)[0] == 75
    line.ok("--home F outbox export --out note.parcel")
    path = line.folder / "note.parcel"
    whole = path.read_bytes()
    members = json.loads(whole)
    changed = members["ciphertext"].replace(members["ciphertext"][:4], "AAAA", 1)
    path.write_bytes(format_canonical({**members, "ciphertext": changed}) + b"\n")
    code, shown = line.type("lodge note.parcel --node N/node.liaison")
    assert code == 1
    assert shown.endswith(
        "who exported it has it still, and nothing was written for them · have them export it anew: it "
        "may have been changed on its way (malformed)\n"
    )
    assert not list(line.folder.glob("note.parcel.re*"))
    path.write_bytes(whole)
    assert "LODGED" in line.ok("lodge note.parcel --node N/node.liaison")


@pytest.mark.parametrize(
    ("error", "do"),
    [
        (Malformed("x"), "whoever typed or made it corrects it (malformed)"),
        (
            LogUntrusted("x"),
            "STOP: call the other side, and keep file and receipts for the auditors",
        ),
        (NotAllowed("x"), "ask your authority whether this device, and who has it, is in force"),
        (NotHere("x", do="look there"), "look there (not-here)"),
    ],
)
def test_an_error_that_does_not_say_what_to_do_gets_it_by_its_code(capsys, error, do):
    assert tell(error) == 1
    assert f"x · {do}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("--home X party new MOD.example", "party id: 'MOD.example'; it must be a lower-case"),
        (
            "--home X enrol Deputy@mod.example",
            "address: 'Deputy@mod.example'; it must be a lower-case",
        ),
    ],
)
def test_a_name_that_is_none_is_said_before_a_passphrase_is_asked_for(
    screen, monkeypatch, line, what
):
    with monkeypatch.context() as patch:
        patch.delenv("LIAISON_PASSPHRASE_FILE")
        code, shown = screen.type(line)
        assert (code, f"not a valid {what}" in shown) == (1, True), shown
        code, shown = screen.type(line.lower().replace("--home x", "--home X"))
        assert (code, "Nobody is here to type the passphrase" in shown) == (1, True)
    assert screen.type(line.lower().replace("--home x", "--home X"))[0] == 0


def test_a_reference_in_capitals_is_told_how_one_is_written(line):
    line.ok(SEND, CANARY)
    code, shown = line.type("--home F read LONDON-HOTLINE/1")
    assert (code, "in lower case, such as london-hotline/1" in shown) == (1, True)
    assert CANARY in line.ok("--home F read london-hotline/1")


def test_a_member_is_named_without_the_party_and_a_key_in_small_letters(line):
    assert "duty.desk.1@mod.example is suspended" in line.ok("--home MA member suspend duty.desk.1")
    assert "duty.desk.1@mod.example is active" in line.ok("--home MA member reinstate duty.desk.1")
    held = "duty.desk@mod.example is held by duty.desk.1@mod.example"
    assert held in line.ok("--home MA posting set duty.desk duty.desk.1")
    group = line.type("--home MA device list")[1].split()[-1]
    code, shown = line.type(f"--home MA key revoke duty.desk.1 {group.lower()} --yes")
    assert (code, "duty.desk.1@mod.example is revoked" in shown) == (0, True)
    code, shown = line.type("--home MA member suspend nobody")
    assert (code, "see which there are: liaison member list" in shown) == (1, True)
