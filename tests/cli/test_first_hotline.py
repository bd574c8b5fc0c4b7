"""The first hotline, command by command: what stands on the screen."""

from __future__ import annotations

import os
import socket

from tests.cli.screen import Screen, last_groups, steady

CANARY = "The canary sings at dawn."


def open_line(screen: Screen) -> None:
    """Type everything up to the two directories."""
    fco = last_groups(screen.type("--home FA party new fco.example")[1])
    mod = last_groups(screen.type("--home MA party new mod.example")[1])
    for line in (
        "--home N node admit FA/fco.party",
        "--home N node admit MA/mod.party",
        "--home F enrol attache.london@fco.example",
        "--home M enrol duty.desk@mod.example",
        "--home FA member approve F/request.liaison --role attache",
        "--home MA member approve M/request.liaison --role attache",
        f"--home F enrol finish FA/approval.liaison --node N/node.liaison --heard {fco}",
        f"--home M enrol finish MA/approval.liaison --node N/node.liaison --heard {mod}",
        f"--home F party pin MA/mod.party --heard {mod} --who anna",
        f"--home M party pin FA/fco.party --heard {fco}",
        f"--home FA party pin MA/mod.party --heard {mod}",
        f"--home MA party pin FA/fco.party --heard {fco}",
        (
            "--home FA channel propose hotline --alias london-hotline --with mod.example "
            "--node N/node.liaison --post"
        ),
        "--home FA channel accede london-hotline --post",
        "--home MA channel accede london-hotline --node N/node.liaison --post",
        "--home FA roster set london-hotline attache.london --post",
        "--home MA roster set london-hotline duty.desk --post",
        "--home FA directory sign --post",
        "--home MA directory sign --post",
    ):
        screen.ok(screen.compared(line) if "approve" in line else line)


SEND = (
    "--home F send london-hotline --to duty.desk@mod.example --precedence FLASH "
    "--subject Line~check --yes"
)
ON_SCREEN = (
    "A note of kind leader on london-hotline:\n"
    "  Action:      duty.desk@mod.example\n"
    "  Precedence:  FLASH\n"
    "  Label:       HOTLINE SENSITIVE\n"
    "  Releasable:  fco.example, mod.example\n"
    "  Subject:     Line check\n"
)


def test_the_first_hotline_as_it_is_typed(begun):
    screen = begun
    open_line(screen)
    shown = screen.ok("--home F channel show london-hotline")
    assert shown.startswith(
        "london-hotline: open since DTG, between fco.example, mod.example.\n"
        "fco.example acceded at DTG.\n"
        "mod.example acceded at DTG.\n"
        "london-hotline: a hotline between fco.example and mod.example,\n"
        "  proposed by fco.example, on the log localhost/test.\n"
        "  leader: FLASH unless said otherwise, at most OVERRIDE for action and FLASH for "
        "information, written by attache, releaser; standing reason: Traffic between leaders, "
        "for which the line was opened.\n"
    )
    assert shown.endswith(
        "fco.example, tier-1: attache.london@fco.example\n"
        "mod.example, tier-1: duty.desk@mod.example\n"
    )
    shown = screen.ok(SEND, CANARY)
    assert shown.startswith(ON_SCREEN)
    assert "duty.desk@mod.example is alerted again, 3 times, every 1 minute;\n" in shown
    assert shown.endswith(
        "ACCEPTED london-hotline/1 at DTG (receipt: F/receipts/london-hotline/1.receipt)\n"
    )
    assert screen.ok("--home M inbox") == (
        "london-hotline/1  FLASH  DTG  from attache.london.1@fco.example: Line check\n"
    )
    assert screen.ok("--home M inbox") == "Nothing new.\n"
    assert screen.ok("--home M read london-hotline/1") == (
        "london-hotline/1  FLASH  leader\n"
        "From:     attache.london.1@fco.example, attache.london@fco.example\n"
        "Action:   duty.desk@mod.example\n"
        "DTG:      DTG, accepted DTG\n"
        "Label:    HOTLINE SENSITIVE, releasable to fco.example, mod.example\n"
        "Subject:  Line check\n"
        "\n"
        f"{CANARY}\n"
    )
    acknowledged = (
        "london-hotline/1 was acknowledged by duty.desk.1@mod.example for duty.desk@mod.example "
        "at DTG\n"
    )
    assert screen.ok("--home M ack london-hotline/1") == acknowledged
    assert screen.ok("--home F inbox") == acknowledged
    code, shown = screen.type("--home M ack london-hotline/1")
    assert code == 1
    assert steady(shown).startswith(
        "REFUSED: london-hotline/1 was acknowledged for duty.desk@mod.example by "
        "duty.desk.1@mod.example at DTG"
    )
    assert "(already-acknowledged)" in shown
    by_card = "receipt verify F/receipts/london-hotline/1.receipt --node N/node.liaison"
    assert screen.ok(by_card).startswith("VERIFIED F/receipts/london-hotline/1.receipt")
    assert screen.ok("--home F receipt verify london-hotline/1.receipt").startswith(
        "VERIFIED london-hotline/1.receipt\n"
        "The log localhost/test is bound to this: entry 18, a note by "
        "attache.london.1@fco.example, accepted at DTG, in a tree of 19 entries.\n"
    )
    assert screen.ok("--home F outbox list") == "The outbox is empty.\n"
    assert "mod.example  pinned by  anna " in screen.ok("--home F party show")


def test_a_note_waits_in_words_while_the_node_is_away_and_is_sent_once(begun, monkeypatch):
    screen = begun
    open_line(screen)
    url = os.environ["LIAISON_URL"]
    monkeypatch.setenv("LIAISON_URL", "http://127.0.0.1:9")
    code, shown = screen.type(SEND, CANARY)
    # As long as nothing is known of who holds the post, nothing is sealed blindly.
    assert code == 1
    assert shown.startswith("No answer from the node at http://127.0.0.1:9: ")
    assert shown.endswith("(node-unreachable)\n")
    assert CANARY in screen.ok(f"--home F outbox show {kept_in(shown)}")
    monkeypatch.setenv("LIAISON_URL", url)
    screen.ok(SEND, "first")
    monkeypatch.setenv("LIAISON_URL", "http://127.0.0.1:9")
    code, shown = screen.type(SEND, "written without the node")
    assert code == 75
    assert "The node can't be reached: what you write waits in the outbox, by what" in shown
    # Nobody knows when the log has it, so no moment is named.
    assert (
        "Then:        it waits in the outbox; what follows counts from when the log has it;"
        in shown
    )
    assert (
        "if nobody acknowledges within 2 minutes, duty.desk@mod.example is alerted again" in shown
    )
    assert "WAITING in the outbox: The node gave no receipt: No answer from the node" in shown
    screen.ok("--home F outbox export --out note.parcel")
    monkeypatch.setenv("LIAISON_URL", url)
    # The courier's way, and its own: it is one note.
    screen.ok("lodge note.parcel --node N/node.liaison")
    assert screen.ok("--home F outbox flush").startswith("ACCEPTED london-hotline/2 at DTG")
    assert "written without the node" in screen.ok("--home M read london-hotline/2")
    with monkeypatch.context() as patch:
        patch.setattr("liaison.client.transport.Transport.submit", _cut)
        code, shown = screen.type(SEND, CANARY)
    assert code == 75
    assert "WAITING in the outbox: " in shown
    assert "Do not write it again" in shown
    shown = screen.ok("--home F outbox list")
    assert shown.startswith("note  london-hotline  FLASH to duty.desk@mod.example")
    assert screen.ok("--home F outbox flush").startswith("ACCEPTED london-hotline/3 at DTG")
    assert screen.ok("--home F outbox flush") == "The outbox is empty.\n"
    assert screen.ok("--home M inbox").count("london-hotline/") == 3
    assert not any(
        CANARY.encode() in path.read_bytes() for path in screen.folder.rglob("*") if path.is_file()
    )


def kept_in(shown: str) -> str:
    """Return the file that an error says a text is kept in."""
    return shown.partition("its text: liaison outbox show ")[2].partition(" (")[0]


async def _cut(*_):
    from liaison.words.errors import NodeUnreachable

    raise NodeUnreachable("cut")


def test_refusals_and_bad_files_are_said_in_words_without_a_traceback(begun):
    screen = begun
    screen.ok("--home MA party new mod.example")
    code, shown = screen.type("--home FA party new FCO")
    assert (code, shown) == (
        1,
        (
            "not a valid party id: 'FCO'; it must be a lower-case DNS-style name such as mod.example "
            "· whoever typed or made it corrects it (malformed)\n"
        ),
    )
    screen.ok("--home FA party new fco.example")
    code, shown = screen.type("--home FA party new fco.example")
    assert code == 1
    assert "There is already a file at FA/keystore" in shown
    wrong = "-".join(["AAAA"] * 4)
    code, shown = screen.type(f"--home FA party pin MA/mod.party --heard {wrong}")
    assert code == 1
    assert "nothing was pinned" in shown
    assert shown.endswith("(chain-broken)\n")
    code, shown = screen.type("--home FA party pin passphrase --heard AAAA")
    assert code == 1
    assert shown.startswith("passphrase is not a party statement: envelope: not JSON")
    code, shown = screen.type("--home FA channel propose smoke-signal --alias x --with mod.example")
    assert code == 1
    assert "choose one of diplomatic-note, forum, hotline" in shown
    code, shown = screen.type("--home FA channel propose hotline --alias x --with mod.example")
    assert code == 1
    assert "--node node.liaison" in shown
    code, shown = screen.type("--home F inbox")
    assert code == 1
    assert "is not a member's home" in shown
    assert screen.type("--home F send")[0] == 2
    assert screen.type("inbox")[0] == 2
    assert not any("Traceback" in said for said in screen.said)


def test_a_receipt_that_was_altered_is_not_verified(begun):
    screen = begun
    open_line(screen)
    screen.ok(SEND, CANARY)
    path = screen.folder / "F/receipts/london-hotline/1.receipt"
    lines = path.read_text().split("\n")
    index = next(i for i, line in enumerate(lines) if line.startswith("index "))
    lines[index] = "index 17"
    (screen.folder / "altered.receipt").write_text("\n".join(lines))
    code, shown = screen.type("--home F receipt verify altered.receipt")
    assert code == 1
    assert "(log-untrusted)" in shown
    assert "VERIFIED" not in shown
    (screen.folder / "saved.receipt").write_text(path.read_text() + "\n")
    code, shown = screen.type("--home F receipt verify saved.receipt")
    assert code == 1
    assert shown.startswith("saved.receipt is not a receipt as the node gave it: ")


def test_an_authority_that_types_a_command_twice_goes_on(begun):
    screen = begun
    fco = last_groups(screen.type("--home FA party new fco.example")[1])
    mod = last_groups(screen.type("--home MA party new mod.example")[1])
    screen.ok("--home N node admit FA/fco.party")
    screen.ok("--home N node admit MA/mod.party")
    screen.ok("--home F enrol attache.london@fco.example")
    approve = screen.compared("--home FA member approve F/request.liaison --role attache")
    assert screen.ok(approve) == screen.ok(approve)
    screen.ok(f"--home F enrol finish FA/approval.liaison --node N/node.liaison --heard {fco}")
    propose = "--home FA channel propose hotline --alias x --with mod.example --node N/node.liaison"
    code, shown = screen.type(propose)
    assert code == 1  # a charter with a party misspelt could never be posted, nor what follows it
    assert "Nobody compared the fingerprint of mod.example yet" in shown
    screen.ok(f"--home FA party pin MA/mod.party --heard {mod}")
    screen.ok(propose)
    code, shown = screen.type(propose)
    assert code == 1
    assert "knows a channel x already" in shown
    for _ in range(2):
        screen.ok("--home FA channel accede x --post")
    screen.ok("--home FA roster set x attache.london --post")
    code, shown = screen.type("--home F channel show y")
    assert code == 1
    assert shown.startswith("There is no channel y for you · ")


def test_the_one_who_runs_a_node_slips_and_reads_what_to_do(screen):
    code, shown = screen.type("--home N node init --origin http://localhost/test")
    assert code == 1
    assert "name it localhost/test (malformed)" in shown
    screen.ok("--home N node init --origin localhost/test")
    code, shown = screen.type("--home N node admit N/node.liaison")
    assert code == 1
    assert shown.startswith("N/node.liaison is not a party statement: ")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, shown = screen.type(f"--home N node serve --listen 127.0.0.1:{port}")
    assert code == 1
    assert f"Nothing can listen on 127.0.0.1:{port}: " in shown
    code, shown = screen.type("--home N audit verify N --node passphrase")
    assert code == 1
    assert shown.startswith("passphrase is not a node's card: ")
    retire = "--home N node retire --origin localhost/next --successor"
    screen.ok(f"{retire} NEXT")
    code, shown = screen.type(f"{retire} OTHER")
    assert code == 1
    assert "was retired already" in shown
    assert not any("Traceback" in said for said in screen.said)


def test_controls_in_names_and_subjects_are_made_visible(begun):
    screen = begun
    open_line(screen)
    line = SEND.replace("Line~check", "pay\u202ekcehc")
    screen.ok(line, "body \x1b[31mred\u202e")
    assert "pay⟨U+202E⟩kcehc" in screen.ok("--home M inbox")
    shown = screen.ok("--home M read london-hotline/1")
    assert "body ⟨U+001B⟩[31mred⟨U+202E⟩" in shown
    assert "\x1b" not in shown
