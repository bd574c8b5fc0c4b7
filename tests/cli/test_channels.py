"""The three channels as they are typed, on a node for exercises whose time is moved: transcripts."""

from __future__ import annotations

import json
import re

from liaison.client.source import NodeSource
from tests.cli.screen import CANARY, Screen, steady

SEND = (
    "--home F send london-hotline --to duty.desk@mod.example --kind leader --subject Convoy --yes"
)
DRAFT = (
    "--home F draft london-notes --to duty.desk@mod.example --kind note-verbale "
    "--clear legal@fco.example --info head.mission@fco.example --subject Overflight --yes"
)


def test_a_flash_that_nobody_answers_climbs_and_is_closed_by_a_person(council):
    screen = council
    shown = screen.ok(SEND, CANARY)
    assert shown.startswith("EXERCISE. A note of kind leader on london-hotline:\n")
    assert (
        "  Then:        if nobody acknowledges by DTG, duty.desk@mod.example is alerted again, "
        "2 times, every 1 second;\n"
        "               at DTG it is raised on the operators' queue;\n"
        "               at DTG deputy@mod.example can read it;\n"
    ) in shown
    assert screen.ok("--home D inbox") == "Nothing new.\n"
    shown = screen.ok("--home O desk")
    assert shown.startswith("london-hotline/1  FLASH  unacknowledged  from fco.example, ")
    assert "not claimed" in shown
    assert "    duty.desk@mod.example: queued, tier desk\n" in shown
    assert CANARY not in shown
    assert "Convoy" not in shown
    screen.ok("--home O desk claim london-hotline/1")
    assert "claimed by watch.floor.1@mod.example" in screen.ok("--home O desk")
    code, shown = screen.type("--home O desk close london-hotline/1 --text Enough --yes")
    assert (code, "(not-exhausted)" in shown) == (1, True)
    screen.ok("--home N node advance 14s")
    screen.until("--home D inbox", "london-hotline/1  EXERCISE  FLASH")
    shown = screen.ok("--home F inbox")
    assert "! london-hotline/1 was not taken on by" in shown
    # The ministry is told of a note that it can't read: by its entry, which names it to who can.
    named = re.search(
        r"! (london-hotline/entry-[0-9]+) was not taken on by", screen.ok("--home R inbox")
    )
    assert named
    for home in ("F", "D"):
        assert screen.ok(f"--home {home} status {named[1]}").startswith(
            "london-hotline/1  accepted"
        )
    code, shown = screen.type("--home F status london-hotline/entry-999")
    assert (code, "There is no london-hotline/entry-999 for this member" in shown) == (1, True)
    screen.ok("--home N node advance 10s")
    screen.until("--home O desk", "EXHAUSTED")
    shown = screen.ok("--home O desk close london-hotline/1 --text Called~them --yes")
    assert "CLOSE london-hotline/1 at DTG" in shown
    assert screen.ok("--home O desk") == "Nothing waits for you.\n"
    assert "Called them" in screen.ok("--home F inbox")
    shown = screen.ok("--home F status london-hotline/1")
    assert (
        "  duty.desk@mod.example (action): unanswered by watch.floor.1@mod.example since " in shown
    )
    assert "  nothing is due\n" in shown
    certificate = re.search(r"certified: exhausted, .*\((.*)\)", shown)
    assert certificate
    shown = screen.ok(f"--home F receipt verify {certificate[1]}")
    assert "By then it was not taken on by: duty.desk@mod.example, deputy@mod.example." in shown


def test_an_operator_minimizes_a_channel_and_both_sides_see_it(council):
    screen = council
    asked = "--home O desk minimize london-hotline --below IMMEDIATE --until +2h"
    shown = screen.ok(f"{asked} --text The~cable~is~cut --yes")
    assert shown.startswith(
        "To minimize:\n"
        "  Channel:     london-hotline\n"
        "  Reason:      The cable is cut (visible)\n"
        "  Then:        until DTG, new notes below IMMEDIATE that ask or inform your party, and its "
        "own, are refused;\n"
        "               answers, proposals, service notes, line tests and FLASH pass all the same.\n"
        "MINIMIZE london-hotline at DTG (receipt: "
    )
    whose = "watch.floor.1@mod.example: The cable is cut\n"
    for operator in ("O", "W"):
        assert screen.ok(f"--home {operator} desk") == (
            f"london-hotline  MINIMIZE of mod.example below IMMEDIATE until DTG, by {whose}"
            "Nothing waits for you.\n"
        )
    for home in ("F", "M", "FA"):
        assert (
            f"mod.example has MINIMIZE below IMMEDIATE since DTG until DTG, by {whose}"
        ) in screen.ok(f"--home {home} channel show london-hotline")
    code, shown = screen.type(f"{SEND} --precedence ROUTINE", CANARY)
    shown = steady(shown)
    assert code == 1
    assert (
        "  Then:        the node REFUSES it now: mod.example has MINIMIZE on london-hotline below "
        "IMMEDIATE until DTG: The cable is cut;\n"
        "               what helps: raise its precedence if it warrants that; write it then, or "
        "defer it until then; leave out duty.desk@mod.example.\n"
    ) in shown
    assert "nothing of it is in the log" in shown
    assert "leave out duty.desk@mod.example · its text: liaison outbox show " in shown
    assert shown.endswith("(minimize)\n")
    screen.ok(SEND, CANARY)  # FLASH
    assert screen.type("--home O desk minimize london-hotline --end --below FLASH")[0] == 2
    ended = screen.ok("--home O desk minimize london-hotline --end")
    assert ended.startswith("MINIMIZE ENDED london-hotline at DTG (receipt: ")
    assert "MINIMIZE" not in screen.ok("--home W desk")
    screen.ok(f"{SEND} --precedence ROUTINE", CANARY)


def test_what_is_due_first_stands_on_top(council):
    screen = council
    asked = SEND.replace("--subject Convoy --yes", "--no-standby --yes --subject")
    for more in ("A --precedence IMMEDIATE", "B", "C --reply-by +2h", "D --reply-by +1h"):
        screen.ok(f"{asked} {more}", CANARY)
    shown = screen.ok("--home M inbox")
    assert re.findall(r": ([A-D])$", shown, re.MULTILINE) == ["D", "C", "B", "A"]
    propose = "--home C propose council --subject A~patrol --yes --until"
    for until in ("+9m", "+5m", "+7m"):
        screen.ok(f"{propose} {until}", CANARY)
    shown = screen.ok("--home C status")
    assert re.findall(r"^council/([0-9])  accepted", shown, re.MULTILINE) == ["2", "3", "1"]


def test_an_answer_is_due_from_each_post_at_its_own_time(council):
    screen = council
    both = SEND + " --to deputy@mod.example --no-standby"
    timed = both + " --reply-by duty.desk@mod.example=+1h --reply-by +2h"
    shown = screen.ok(timed, CANARY)
    assert "an answer is due by DTG" in shown
    assert "of duty.desk@mod.example an answer is due by DTG" in shown
    screen.ok("--home M inbox")
    shown = screen.ok("--home M read london-hotline/1")
    assert "Reply by: DTG (duty.desk@mod.example)\nReply by: DTG\n" in shown
    for wrong, said in (
        ("--reply-by deputy@mod.example=soon", "--reply-by: "),
        ("--reply-by +1h --reply-by +2h", "two times for all"),
        ("--reply-by nobody@mod.example=+1h", "is not asked to act"),
    ):
        code, shown = screen.type(f"{both} {wrong}", CANARY)
        assert (code, said in shown) == (1, True), shown


def entry_of(screen: Screen, reference: str) -> str:
    """Return how a note is named to who is told of it and can't read it."""
    shown = screen.ok(f"--json --home F receipt show {reference}.receipt")
    return f"london-hotline/entry-{json.loads(shown)['index']}"


def test_a_note_that_somebody_was_told_of_is_read_and_answered_by_its_entry(council):
    screen = council
    for _ in range(2):
        screen.ok(SEND, CANARY)
    screen.ok("--home M inbox")
    first, second = (entry_of(screen, f"london-hotline/{number}") for number in (1, 2))
    assert screen.ok(f"--home M read {first}").startswith("london-hotline/1  FLASH  leader")
    said = "was acknowledged by duty.desk.1@mod.example for duty.desk@mod.example at DTG"
    assert screen.ok(f"--home M ack {first}") == f"london-hotline/1 {said}\n"
    shown = screen.ok(f"--home M reply {first} --yes", "It is read.")
    assert shown.startswith("In answer to london-hotline/1:\n")
    assert screen.ok(f"--home M decline {second} --reason Twice").startswith(
        "london-hotline/2 was declined by duty.desk.1@mod.example"
    )
    for command in ("read", "ack", "reply", "decline --reason No"):
        name, _, rest = command.partition(" ")
        code, shown = screen.type(f"--home M {name} london-hotline/entry-999 {rest}".rstrip())
        assert (code, "There is no london-hotline/entry-999 for this member" in shown) == (1, True)


def test_a_note_verbale_is_drafted_released_numbered_and_answered(council):
    screen = council
    drafted = re.search(r"DRAFTED (\S+)", screen.ok(DRAFT, CANARY))
    assert drafted
    assert screen.ok("--home M inbox") == "Nothing new.\n"
    assert drafted[1] in screen.ok("--home L inbox")
    code, shown = screen.type(f"--home F release {drafted[1]} --yes")
    assert code == 1
    assert shown.startswith(f"You drafted {drafted[1]}: another person lets it go · nothing was")
    screen.ok("--home R inbox")
    code, shown = screen.type(f"--home R release {drafted[1]} --yes")
    assert (code, "  Clearance:   legal@fco.example HAS NOT CLEARED IT\n" in shown) == (1, True)
    screen.ok(f"--home L ack {drafted[1]}")
    shown = screen.ok(f"--home R release {drafted[1]} --yes")
    assert "  Clearance:   legal@fco.example cleared it, by legal.1@fco.example\n" in shown
    # Who cleared it is not asked any more.
    assert " duty.desk@mod.example is alerted again" in screen.ok("--home R status london-notes/1")
    assert f"\n{CANARY}\n" in shown
    assert "  Then:        these posts can read it from now on;\n" in shown
    assert "until a releaser lets it go" not in shown
    assert re.search(r"RELEASED london-notes/1, number \S+ 1/20[0-9]{2} at DTG", shown)
    assert "london-notes/1  EXERCISE  " in screen.ok("--home M inbox")
    shown = screen.ok(
        "--home M reply london-notes/1 --info deputy@mod.example --yes", "It is granted."
    )
    assert "london-notes/1 was acknowledged by duty.desk.1@mod.example" in shown
    answer = re.search(r"DRAFTED (\S+)", shown)
    assert answer
    screen.ok("--home D inbox")
    screen.ok(f"--home D release {answer[1]} --yes")
    assert "london-notes/2" in screen.ok("--home F inbox")
    shown = screen.ok("--home F read london-notes/2")
    assert re.search(
        r"With reference to note-verbale 1/20[0-9]{2} of DTG \(london-notes/1\):", shown
    )


def test_silence_is_broken_extended_withdrawn_and_kept(council):
    screen = council
    propose = "--home F propose council --until +5m --subject A~patrol --yes"
    for number in (1, 2, 3):
        assert f"ACCEPTED council/{number} at DTG" in screen.ok(propose, CANARY)
    assert screen.ok("--home P inbox").count("council/") == 3
    shown = screen.ok("--home P object council/1 --reason Not~this~week --yes")
    assert "OBJECTED TO council/1 at DTG" in shown
    assert "WITHDRAWN council/2 at DTG" in screen.ok("--home F withdraw council/2 --yes")
    screen.ok("--home C inbox")
    screen.ok("--home C extend council/3 --until +9m --yes")
    screen.ok("--home N node advance 6m")
    assert "under-silence" in screen.ok("--home F status council/3")
    screen.ok("--home N node advance 4m")
    screen.until("--home P inbox", "council/3 is adopted as decision 1")
    assert "too late" in screen.ok("--home P object council/3 --yes")
    assert "broken" in screen.ok("--home F status council/1")
    assert "withdrawn" in screen.ok("--home F status council/2")


def test_a_note_that_was_taken_back_unread_is_named_in_all_that_is_said_of_it(council):
    screen = council
    screen.ok(SEND, CANARY)
    screen.ok("--home F cancel london-hotline/1 --yes")
    shown = screen.ok("--home M inbox")
    assert "london-hotline/1 was not opened: " in shown
    assert "london-hotline/1 was withdrawn by attache.london.1@fco.example\n" in shown


def test_nobody_is_here_to_say_yes(council, monkeypatch, documented):
    screen = council
    monkeypatch.setattr("liaison.cli.asking._TERMINAL", screen.folder / "no" / "tty")
    code, shown = screen.type(SEND.removesuffix(" --yes"), CANARY)
    assert code == 1
    documented(shown.splitlines()[-1])
    assert screen.ok("--home F outbox list") == "The outbox is empty.\n"
    # What was typed isn't lost; only this keystore opens it.
    kept = re.search(r"its text: liaison outbox show (\S+) ", shown)
    assert kept
    path = screen.folder / kept[1]
    assert CANARY.encode() not in path.read_bytes()
    shown = screen.ok(f"--home F outbox show {path}")
    assert shown == f"Never sealed or sent.\nSubject:  Convoy\n\n{CANARY}\n"
    assert screen.type(f"--home M outbox show {path}")[0] == 1
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert screen.type(f"--home F outbox show {path}")[0] == 1


def test_what_cant_be_written_now_is_kept_with_its_text(council, documented):
    """A channel that isn't open, a post that is vacant: a text that was piped in is not lost."""
    screen = council
    screen.ok(
        "--home FA channel propose hotline --alias new-line --with mod.example --exercise --post"
    )
    code, shown = screen.type(SEND.replace("london-hotline", "new-line"), CANARY)
    assert code == 1
    documented(shown)
    kept = re.search(r"its text: liaison outbox show (\S+) ", shown)
    assert kept
    assert CANARY in screen.ok(f"--home F outbox show {kept[1]}")
    screen.ok("--home MA posting set duty.desk@mod.example --post")
    screen.ok("--home MA directory sign --post")
    code, shown = screen.type(SEND, "to a vacant post")
    assert code == 1
    assert "duty.desk@mod.example is vacant" in shown
    kept = re.search(r"its text: liaison outbox show (\S+) ", shown)
    assert kept
    assert "to a vacant post" in screen.ok(f"--home F outbox show {kept[1]}")
    # Nothing was piped in: nothing is kept, and the reason is said, not the emptiness.
    before = sorted((screen.folder / "F" / "unsent").iterdir())
    code, shown = screen.type(SEND, "")
    assert "duty.desk@mod.example is vacant" in shown
    assert sorted((screen.folder / "F" / "unsent").iterdir()) == before


def test_a_charter_is_amended_once_all_have_acceded(council):
    screen = council
    text = screen.ok("channel defaults hotline")
    assert text.startswith("# The hotline")
    faster = text.replace("after_s = 120", "after_s = 60")
    (screen.folder / "faster.toml").write_text(faster)
    amend = "--home FA channel amend london-hotline --terms faster.toml --post --yes"
    assert "The present charter holds until all have acceded" in screen.ok(amend)
    screen.ok("--home FA channel accede london-hotline --post")
    shown = screen.ok("--home F channel show london-hotline")
    assert "proposes a successor charter; it waits for mod.example." in shown
    assert "within 3 seconds" in shown
    shown = screen.ok("--home MA channel accede london-hotline --post")
    assert "The successor charter is in force" in shown
    for home in ("FA", "MA"):
        screen.ok(f"--home {home} directory sign --post")
    assert "within 1 minute" in screen.ok("--home F channel show london-hotline")
    assert "ACCEPTED london-hotline/1" in screen.ok(SEND, CANARY)
    assert "Convoy" in screen.ok("--home M inbox")
    leave = screen.ok("--home MA channel leave london-hotline --reason Closing --post --yes")
    assert "leaves london-hotline" in leave
    code, shown = screen.type(SEND, CANARY)
    assert (code, "(party-left)" in shown) == (1, True)
    assert not any("Traceback" in said for said in screen.said)


def test_who_left_a_channel_names_it_in_no_directory_and_nobody_is_sealed_for_unknowingly(
    council, monkeypatch
):
    screen = council
    shown = screen.ok("--home MA directory sign --post")
    assert "3 rosters, 3 charters" in shown
    shown = screen.ok("--home MA channel leave london-hotline --reason Closing --post --yes")
    assert shown.endswith(
        "Next, so that no directory names it any more: liaison directory sign --post\n"
    )
    shown_as_it_is = NodeSource.channel_entries
    monkeypatch.setattr(
        NodeSource,
        "channel_entries",
        lambda self, answer: {**shown_as_it_is(self, answer), "participations": []},
    )
    # The node keeps it back: by the directory of before the note was sealed, and only refused.
    code, shown = screen.type(SEND, CANARY)
    assert (code, "(party-left)" in shown) == (1, True)
    with monkeypatch.context() as patch:
        patch.setattr(NodeSource, "channel_entries", shown_as_it_is)
        assert "2 rosters, 2 charters" in screen.ok("--home MA directory sign --post")
    code, shown = screen.type(SEND, CANARY)
    assert code == 1
    assert shown.startswith(
        "The directory of mod.example doesn't name the charter of london-hotline · nothing was sealed"
    )
    # The party's other channels go on.
    assert "of kind note-verbale on london-notes" in screen.ok(DRAFT, CANARY)


def test_what_follows_a_tier_that_nobody_holds_is_told_with_its_true_times(council):
    screen = council

    def times() -> dict[str, str]:
        shown = screen.type(SEND, CANARY)[1]
        lines = re.findall(r"at ([0-9]+Z [A-Z]{3} [0-9]{2}) (.*)", shown)
        return {what: at for at, what in lines}

    before = times()
    assert (
        before["deputy@mod.example can read it;"]
        != before["the sender and the tier ministry are told;"]
    )
    screen.ok("--home MA posting set deputy@mod.example --post")
    screen.ok("--home MA directory sign --post")
    after = times()
    nobody = "nobody else in the tier deputy can read it, and the next follows at once;"
    assert after[nobody] == after["the sender and the tier ministry are told;"]
