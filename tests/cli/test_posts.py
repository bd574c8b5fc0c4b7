"""Posts that change hands, as it is typed: vacant, handed over, granted; what a second device gets."""

from __future__ import annotations

import re

import pytest

from liaison.client.device import SIGNING
from liaison.sealing.keystore import Keystore
from tests.cli.screen import PASSPHRASE, Screen, last_groups
from tests.cli.test_first_hotline import CANARY, SEND, open_line

NIGHT = "night@mod.example"


@pytest.fixture
def line(begun):
    open_line(begun)
    yield begun
    for path in (begun.folder / "N").rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def enrol(screen: Screen, home: str, command: str, local: str) -> None:
    """Enrol another device at the duty desk: of a member named so, known or not."""
    screen.ok(f"--home {home} enrol duty.desk@mod.example --as {local}")
    line = screen.compared(f"--home MA {command} {home}/request.liaison")
    approved = screen.type(line)[1]
    heard = last_groups(approved)
    for typed in (
        f"--home {home} enrol finish MA/approval.liaison --node N/node.liaison --heard {heard}",
        f"--home {home} party pin FA/fco.party --heard {heard_of(screen, 'fco.example')}",
        "--home MA directory sign --post",
    ):
        screen.ok(typed)


def heard_of(screen: Screen, party: str) -> str:
    """Return the last groups of a fingerprint, as the other side reads it out."""
    shown = screen.type("--home M party show")[1]
    found = re.search(rf"{party}  .*?((?:[A-Z2-7]{{4}} ){{7}}[A-Z2-7]{{4}})", shown, re.DOTALL)
    assert found, shown
    return last_groups(found[1])


def test_a_post_is_handed_over_with_what_is_open_there(line):
    screen = line
    screen.ok(SEND, CANARY)
    screen.ok("--home M inbox")
    own = "--home M send london-hotline --to attache.london@fco.example --subject Ours --yes"
    screen.ok(own, CANARY)
    # One more, which who leaves has not fetched.
    screen.ok(SEND.replace("Line~check", "Late"), CANARY)
    enrol(screen, "E", "member approve --role attache", "night")
    approved = " ".join("".join(screen.said).split())
    assert "Held also by: duty.desk.1@mod.example" in approved
    assert f"theirs alone: liaison posting set duty.desk@mod.example {NIGHT}" in approved
    # The party says who holds the post; until then it is nobody's to hand over.
    code, shown = screen.type("--home M posting handover duty.desk@mod.example --to x@mod.example")
    assert (code, "posting set duty.desk@mod.example x@mod.example" in shown) == (1, True)
    screen.ok(f"--home MA posting set duty.desk@mod.example {NIGHT} --post")
    screen.ok("--home MA directory sign --post")
    assert screen.ok("--home E inbox") == "Nothing new.\n"
    shown = screen.ok(f"--home M posting handover duty.desk@mod.example --to {NIGHT} --yes")
    assert re.sub("grant.[0-9]+", "grant.N", shown) == (
        "london-hotline/3  FLASH  DTG  from attache.london.1@fco.example: Late\n"
        "london-hotline/1  delivered: Line check\n"
        "london-hotline/3  queued: Late\n"
        f"london-hotline/2 was written for duty.desk@mod.example by you, and waits for others: {NIGHT} "
        "hears of its answers and can't open it, for a copy is its writer's alone. Tell them what it "
        "says\n"
        "To hand over:\n"
        "  Post:        duty.desk@mod.example\n"
        f"  To:          {NIGHT} (1 device)\n"
        f"  Then:        {NIGHT} can open them and answers for duty.desk@mod.example from now on.\n"
        "GRANT london-hotline/1 at DTG (receipt: M/receipts/london-hotline/1.grant.N.receipt)\n"
        "GRANT london-hotline/3 at DTG (receipt: M/receipts/london-hotline/3.grant.N.receipt)\n"
        f"Handed over to {NIGHT}: 2 of 2 notes.\n"
    )
    shown = screen.ok("--home E inbox")
    assert "from attache.london.1@fco.example: Line check" in shown
    assert "from attache.london.1@fco.example: Late" in shown
    assert "was acknowledged by" in screen.ok("--home E ack london-hotline/3")
    shown = screen.ok("--home E ack london-hotline/1")
    assert shown.startswith(
        f"london-hotline/1 was acknowledged by {NIGHT} for duty.desk@mod.example"
    )
    shown = screen.ok("--home F inbox")
    assert f"granted london-hotline/1 to {NIGHT} for duty.desk@mod.example (handover)" in shown
    assert f"acknowledged by {NIGHT}" in shown
    # What was written at the post is its writer's: nobody is told that they were let in.
    code, shown = screen.type("--home M grant london-hotline/2 duty.desk@mod.example --yes")
    assert code == 1
    assert "duty.desk@mod.example is where london-hotline/2 is from" in shown
    assert "send a note of their own" in shown
    for look in ("verify", "replay"):  # wraps that came by a grant are looked for, too
        assert "differs" not in screen.ok(f"audit {look} N")


def test_a_vacant_post_is_said_before_a_word_is_typed(line):
    screen = line
    screen.ok("--home MA posting set duty.desk@mod.example --post")
    screen.ok("--home MA directory sign --post")
    assert screen.ok("--home F posting show duty.desk@mod.example") == (
        "duty.desk@mod.example  VACANT: nobody holds it, and nothing can be sealed for it\n"
    )
    assert screen.ok("--home MA posting show").startswith("duty.desk@mod.example  VACANT")
    # There is no text on standard input, and that is not what it complains of.
    code, shown = screen.type(SEND)
    assert (code, shown.startswith("duty.desk@mod.example is vacant: nobody holds it")) == (1, True)
    assert "nobody else of mod.example can be" in shown
    screen.ok("--home MA posting set duty.desk@mod.example duty.desk.1@mod.example --post")
    screen.ok("--home MA directory sign --post")
    assert screen.ok("--home MA posting show") == "duty.desk@mod.example  duty.desk.1@mod.example\n"
    assert screen.ok("--home F posting show duty.desk@mod.example") == (
        "duty.desk@mod.example  duty.desk.1@mod.example  can be written to until DTG\n"
        "    FINGERPRINT  reads what is sent now: its key is sealed for until DTG\n"
    )
    code, shown = screen.type(SEND)
    assert (code, "The text or the subject is empty" in shown) == (1, True)
    screen.ok(SEND, CANARY)


def test_a_second_device_gets_what_the_first_one_grants(line):
    screen = line
    screen.ok(SEND, CANARY)
    screen.ok("--home M inbox")
    enrol(screen, "M2", "device add", "duty.desk.1")
    shown = screen.ok("--home F posting show duty.desk@mod.example")
    assert (
        shown.count("    FINGERPRINT  reads what is sent now: its key is sealed for until DTG\n")
        == 2
    )
    code, shown = screen.type("--home M2 inbox")
    assert code == 0
    wanted = re.search(r"run: (liaison grant --device \S+)", shown)
    assert wanted
    code, shown = screen.type("--home M2 read london-hotline/1")
    assert (code, wanted[1] in shown) == (1, True)
    typed = wanted[1].removeprefix("liaison ").rstrip(")")
    shown = screen.ok(f"--home M {typed} --yes")
    assert "GRANT london-hotline/1 at DTG" in shown
    assert shown.endswith("Granted: 1 of 1 note.\n")
    assert "nothing that this device could open" in screen.ok(f"--home M {typed} --yes")
    # It is what that device's own screen shows.
    about = screen.type("--home M2 whoami")[1]
    (fingerprint,) = (line for line in about.splitlines() if line.startswith("fingerprint"))
    assert fingerprint.split()[-1] == typed.split()[-1]
    code, shown = screen.type("--home M grant --device AAAA --yes")
    assert (code, "the fingerprint that `liaison whoami` shows on that device" in shown) == (
        1,
        True,
    )
    assert "Line check" in screen.ok("--home M2 inbox")
    assert CANARY in screen.ok("--home M2 read london-hotline/1")


def test_who_lost_their_keys_says_so_and_the_sender_is_offered_the_grant(line, documented):
    screen = line
    screen.ok(SEND, CANARY)
    keystore = Keystore.open(screen.folder / "M" / "keystore", PASSPHRASE)
    for name in [name for name in keystore.secrets if name != SIGNING]:
        del keystore.secrets[name]
    keystore.save()
    code, shown = screen.type("--home M inbox")
    assert code == 0
    documented(shown)
    offered = "liaison grant london-hotline/1 duty.desk@mod.example"
    assert screen.ok("--home F inbox") == (
        "london-hotline/1 was found unreadable by duty.desk.1@mod.example for "
        f"duty.desk@mod.example at DTG (key); to let them read it: {offered}\n"
    )
    shown = screen.ok(f"--home F {offered.removeprefix('liaison ')} --yes")
    assert shown.startswith(
        "To grant:\n"
        "  Note:        london-hotline/1\n"
        "  Subject:     Line check\n"
        "  At:          duty.desk@mod.example\n"
        "  For:         duty.desk.1@mod.example (1 device)\n"
        "  Then:        they can open it, and it stands in the log that you let them.\n"
        "GRANT london-hotline/1 at DTG"
    )
    assert "Line check" in screen.ok("--home M inbox")
    assert CANARY in screen.ok("--home M read london-hotline/1")


def test_a_post_that_is_vacant_is_on_the_operators_queue_and_the_sender_is_told(council):
    screen = council
    screen.ok(
        "--home F send london-hotline --to duty.desk@mod.example --subject Convoy --yes", CANARY
    )
    screen.ok("--home MA posting set duty.desk@mod.example --post")
    screen.ok("--home N node advance 4s")
    assert "vacant" in screen.until("--home O desk", "vacant")
    shown = screen.until("--home F inbox", "NOBODY AT")
    assert (
        "! NOBODY AT duty.desk@mod.example can be reached: vacant, or not able to open it" in shown
    )
