"""The outbox and the courier's way as they are typed: three ends, and no second note."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from liaison.words.errors import NodeUnreachable
from tests.cli.screen import Screen, steady
from tests.cli.test_first_hotline import CANARY, SEND, open_line

WAITING = (
    "WAITING in the outbox: The node gave no receipt: cut · it stands in the outbox, signed and on "
    "disk. Do not write it again · the next command sends the same bytes again; or run: liaison "
    "outbox flush (waiting)\n"
)
ABOUT = "a note on london-hotline, FLASH to duty.desk@mod.example"


@pytest.fixture
def line(begun: Screen) -> Screen:
    open_line(begun)
    return begun


@contextmanager
def away(times: int = 1000) -> Iterator[None]:
    """Have the node take no statement so many times; it can still be asked."""
    from liaison.client.transport import Transport

    submit, left = Transport.submit, [times]

    async def cut(self: Transport, *parts: bytes) -> str:
        if left[0]:
            left[0] -= 1
            raise NodeUnreachable("cut")
        return await submit(self, *parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "submit", cut)
        yield


def test_a_note_goes_by_courier_where_the_node_cant_be_reached_from_here(line):
    with away():
        code, shown = line.type(SEND, CANARY)
        assert (code, shown.endswith(WAITING)) == (75, True), shown
    shown = line.ok("--home F outbox list")
    assert shown == (
        "note  london-hotline  FLASH to duty.desk@mod.example  DTG  DIGEST\n"
        "What a note says: liaison outbox show DIGEST\n"
    )
    assert line.ok("--home F outbox export --out note.parcel") == (
        f"note.parcel holds {ABOUT}, sealed and signed: who carries it can't read or change it.\n"
        "note.parcel.node names the node: carry both. Where that can be reached: liaison lodge FILE\n"
        "What that writes beside it, bring back: liaison receipt import FILE\n"
    )
    url = os.environ["LIAISON_URL"]
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.delenv("LIAISON_URL")
        elsewhere.delenv("LIAISON_PASSPHRASE_FILE")
        lodged = line.ok("lodge note.parcel")
        assert lodged == line.ok("lodge note.parcel --node N/node.liaison")
        (line.folder / "note.parcel.node").unlink()
        code, shown = line.type("lodge note.parcel")
        assert code == 1
        assert shown == (
            "Which node? Neither its card nor a home that has it pinned is named · nothing was sent · "
            "name the card that the node's operator hands out: --node node.liaison; or a home: --home "
            "(not-ready)\n"
        )
    assert lodged == (
        "LODGED: entry 18, a note by attache.london.1@fco.example, accepted at DTG.\n"
        "Bring note.parcel.receipt back: liaison receipt import FILE\n"
    )
    accepted = "ACCEPTED london-hotline/1 at DTG (receipt: F/receipts/london-hotline/1.receipt)\n"
    with pytest.MonkeyPatch.context() as offline:
        offline.setenv("LIAISON_URL", "http://127.0.0.1:9")
        shown = line.ok("--home F receipt import note.parcel.receipt")
        assert shown.endswith(accepted)
        assert "checkpoints could not be compared now" in shown
    assert os.environ["LIAISON_URL"] == url
    assert line.ok("--home F receipt import note.parcel.receipt") == accepted
    assert line.ok("--home F outbox list") == "The outbox is empty.\n"
    assert line.ok("--home M inbox").count("london-hotline/") == 1


def test_a_note_that_gets_no_receipt_is_sent_again_at_once_and_that_is_said(line, monkeypatch):
    monkeypatch.setattr("liaison.cli.desk.PAUSES_S", (0.0,))
    with away(times=1):
        shown = line.ok(SEND, CANARY)
    assert (
        "cut. It is signed and in the outbox. The same bytes are sent again in 0 s; Ctrl-C leaves it in "
        "the outbox (node-unreachable)\n"
    ) in shown
    assert shown.endswith(
        "ACCEPTED london-hotline/1 at DTG (receipt: F/receipts/london-hotline/1.receipt)\n"
    )


def test_what_waited_before_is_named_as_that_and_not_as_what_is_written(line, monkeypatch):
    with away():
        assert line.type(SEND, CANARY)[0] == 75
        monkeypatch.setattr("liaison.cli.desk.PAUSES_S", (0.0,))
        shown = ""
        for command in ("--home F inbox", SEND):
            shown = line.type(command, "next")[1]
            first, *_ = (row for row in shown.splitlines() if "The same bytes" in row)
            assert first == (
                f"cut. What waited before: {ABOUT}. The same bytes are sent again in 0 s; Ctrl-C leaves "
                "it in the outbox (node-unreachable)"
            )
    assert "cut. It is signed and in the outbox. The same bytes" in shown  # and then the new one


def test_what_waited_is_said_when_another_command_sends_it_along(line):
    with away():
        assert line.type(SEND, CANARY)[0] == 75
    shown = line.ok(SEND, "next")
    assert "What was in the outbox: ACCEPTED london-hotline/1 at DTG" in shown
    assert "\nACCEPTED london-hotline/2 at DTG" in shown


def test_what_waits_still_is_told_from_what_was_typed_now(line):
    with away():
        assert line.type(SEND, CANARY)[0] == 75
        code, shown = line.type(SEND, "next")
    assert code == 75
    assert (
        "What was in the outbox before still waits there: The node gave no receipt: cut\n" in shown
    )
    assert shown.endswith(WAITING)
    assert shown.count("Do not write it again") == 1
    assert line.ok("--home F outbox flush").count("ACCEPTED") == 2


def test_dropping_says_what_it_means_and_asks(line):
    with away():
        assert line.type(SEND, CANARY)[0] == 75
    code, shown = line.type("--home F outbox drop")
    assert code == 1
    assert steady(shown) == (
        "To drop:\n"
        f"  Statement:   {ABOUT}\n"
        "  Digest:      DIGEST\n"
        "  Then:        it is sent no more, and its text is gone from here;\n"
        "               a void fills its serial, so that nobody takes the gap for a note kept back;\n"
        "               if the node has it already, it counts all the same: `inbox` shows that, "
        "`cancel` takes it back.\n"
        "Nobody is here to say yes · it still waits in the outbox · read what is shown above; if it is "
        "right, repeat the command with --yes (not-ready)\n"
    )
    assert "FLASH" in line.ok("--home F outbox list")
    assert line.ok("--home F outbox drop --yes").endswith(f"DROPPED {ABOUT}.\n")
    assert line.ok("--home F outbox list") == "The outbox is empty.\n"
    assert line.ok(SEND, "next").endswith("receipt: F/receipts/london-hotline/1.receipt)\n")
    assert line.ok("--home M inbox").count("london-hotline/") == 1


def test_of_several_that_wait_one_is_named(line):
    with away():
        assert line.type(SEND, CANARY)[0] == 75
        assert line.type(SEND, CANARY)[0] == 75
    code, shown = line.type("--home F outbox export")
    assert code == 1
    assert steady(shown).startswith(
        "The outbox has several of these · nothing was changed · name one: "
        f"DIGEST, {ABOUT}; DIGEST, {ABOUT} (not-here)"
    )
    digest = line.type("--home F outbox list")[1].splitlines()[0].split()[-1]
    assert "holds a note" in line.ok(f"--home F outbox export {digest[:9]}")
    code, shown = line.type("--home F outbox drop nonsense --yes")
    assert (code, "The outbox has no nonsense" in shown) == (1, True)
    assert line.ok("--home F outbox flush").count("ACCEPTED") == 2


def test_a_refusal_is_kept_and_verified_like_a_receipt(line):
    code, shown = line.type(f"{SEND} --label COSMIC", CANARY)
    assert code == 1
    (kept,) = (line.folder / "F/receipts/refused").glob("*.refusal")
    assert "REFUSED: " in shown
    assert f"the node's signed word is in F/receipts/refused/{kept.name} · " in shown
    for typed in (f"refused/{kept.name}", f"F/receipts/refused/{kept.name} --node N/node.liaison"):
        shown = line.ok(f"--home F receipt verify {typed}")
        assert "The node of localhost/test signed at DTG that it refused a statement: " in shown
        assert "Checked: the signature against the pinned node key.\n" in shown
    assert "(classification)" in shown
    data = kept.read_bytes()
    for broken in (data[:-3], data.replace(b'"sig":"', b'"sig":"AAAA', 1)):
        kept.write_bytes(broken)
        code, shown = line.type(f"--home F receipt verify refused/{kept.name}")
        assert (code, "VERIFIED" in shown) == (1, False), shown


def test_what_waits_and_what_was_refused_can_be_read_where_it_was_written(line):
    shown = (
        "leader, FLASH, to duty.desk@mod.example\n"
        "DTG:      DTG, in no log as far as this home knows\n"
        "Subject:  Line check\n"
        "\n"
        f"{CANARY}\n"
    )
    code, said = line.type(f"{SEND} --label COSMIC", CANARY)
    assert code == 1
    (path,) = (line.folder / "F/receipts/refused").glob("*.parcel")
    file = f"F/receipts/refused/{path.name}"
    assert said.endswith(f"its text: liaison outbox show {file} (classification)\n")
    assert line.ok(f"--home F outbox show {file}") == shown
    code, said = line.type(f"--home M outbox show {file}")
    assert (code, CANARY in said) == (1, False)  # sealed for them, and in no log
    assert said.startswith("This note is about nothing that this device signed")
    code, said = line.type(f"--home F outbox show {path.stem}")
    assert (code, "The outbox has no " in said) == (1, True)
    code, said = line.type("--home F outbox show")
    assert (code, "The outbox is empty · nothing was changed · nothing waits" in said) == (1, True)
    with away():
        assert line.type(SEND, CANARY)[0] == 75
    assert line.ok("--home F outbox show").endswith(shown)


def test_a_file_that_is_no_parcel_is_said_in_words(line):
    code, shown = line.type("lodge passphrase --node N/node.liaison")
    assert (code, shown.startswith("passphrase is not a parcel: ")) == (1, True)
    with away():
        assert line.type(SEND, CANARY)[0] == 75
    line.ok("--home F outbox export --out note.parcel")
    (line.folder / "note.parcel.node").write_text("{}\n")
    code, shown = line.type("lodge note.parcel")
    assert (code, shown.startswith("note.parcel.node is not a node's card: ")) == (1, True), shown
    assert "Traceback" not in shown
    code, shown = line.type("--home FA outbox export")
    assert (code, "is not a member's home" in shown) == (1, True)


def flipped(path: Path, at: int) -> bytes:
    """Flip a bit of a file; return what it is then."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    return bytes(data)


@pytest.mark.parametrize("name", ["outbox", "cabinet"])
def test_a_damaged_file_is_said_by_every_command_and_no_waiting_note_is_dropped(line, name):
    line.ok(SEND, "before")
    with away():
        assert line.type(SEND, CANARY)[0] == 75
    path = line.folder / "F" / name
    whole = path.read_bytes()
    damaged = flipped(path, 300)
    said = f"F/{name} is damaged at byte 0: what stands there isn't what was written · the file was left"
    commands = ["outbox flush", "inbox", "read london-hotline/1", "cabinet list", "doctor"]
    if name == "outbox":
        commands += ["outbox list", "outbox export", "outbox drop --yes", "whoami"]
    for command in commands:
        code, shown = line.type(f"--home F {command}")
        assert code == 1
        assert f"F/{name} is damaged at byte 0" in shown
        assert said in shown or command in ("doctor", "whoami"), shown
        assert "liaison key backup FILE, then liaison --home NEW key restore FILE" in shown
        assert path.read_bytes() == damaged
    # What the text says helps: of the keys another home is made, which knows what was sent.
    line.ok("--home F key backup G.backup --backup-passphrase-file passphrase")
    line.ok("--home G key restore G.backup --backup-passphrase-file passphrase")
    assert "from attache.london.1@fco.example: Line check" in line.ok("--home G inbox")
    assert "ACCEPTED london-hotline/2 " in line.ok(SEND.replace("F", "G", 1), CANARY)
    # The bit put right, all is there.
    path.write_bytes(whole)
    assert "FLASH to duty.desk" in line.ok("--home F outbox list")


def test_what_is_no_file_is_written_to_and_stays_what_it_is(line):
    with away():
        assert line.type(SEND, CANARY)[0] == 75
    pipe = line.folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        line.ok("--home F outbox export --out pipe")
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        (line.folder / "note.parcel").write_bytes(os.read(reader, 65_536))
    finally:
        os.close(reader)
    line.ok("lodge note.parcel --node N/node.liaison")
