"""``doctor`` and ``whoami``: each line good or bad with what to do; and what ends soon is said before."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from liaison.cli import doctor
from liaison.cli.findings import Finding, Mark
from liaison.cli.founding import found
from liaison.client import Home, NodePin
from liaison.client.seat import wall_clock
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests.cli.screen import PASSPHRASE, Screen, last_groups, serving, steady
from tests.cli.test_first_hotline import CANARY, SEND, open_line
from tests.cli.test_outbox import away


@pytest.fixture
def line(begun: Screen) -> Screen:
    open_line(begun)
    return begun


def test_whose_home_it_is_and_how_it_stands_is_said_without_a_passphrase_or_a_node(
    line, monkeypatch
):
    line.ok(SEND, CANARY)
    monkeypatch.delenv("LIAISON_PASSPHRASE_FILE")
    monkeypatch.setenv("LIAISON_URL", "http://127.0.0.1:9")
    shown = line.ok("--home F whoami")
    url = NodePin.from_bytes((line.folder / "N/node.liaison").read_bytes()).address
    assert shown == (
        "who          attache.london.1@fco.example\n"
        "home         F\n"
        "post         attache.london@fco.example (as enrolled; liaison doctor says what you hold now)\n"
        "fingerprint  FINGERPRINT\n"
        "origin       localhost/test\n"
        f"url          {steady(url)}\n"
        "good  files      F is yours alone\n"
        "good  keystore   locked: commands ask for the passphrase\n"
        "good  pins       localhost/test, and fco.example, mod.example\n"
        "good  key        others seal for it until DTG, 34 days\n"
        "good  outbox     empty\n"
        "good  contact    the newest record that this home saw is of DTG\n"
        "Nothing is bad.\n"
    )
    answered = json.loads(line.type("--home F whoami --json")[1])
    assert (answered["who"], answered["result"]) == ("attache.london.1@fco.example", "good")
    assert {one["what"] for one in answered["findings"]} >= {"key", "outbox", "pins"}


def test_a_doctor_asks_the_node_too(line):
    shown = line.ok("--home F doctor")
    assert "good  post       you hold attache.london@fco.example\n" in shown
    assert "good  node       localhost/test answers at http://NODE\n" in shown
    assert "good  clock      as the node's\n" in shown
    for party in ("fco.example", "mod.example"):
        assert f"good  directory  that of {party} holds until DTG, 6 days\n" in shown
    assert shown.endswith("Nothing is bad.\n")
    shown = line.ok("--home FA doctor")
    assert (
        "good  directory  others seal to fco.example until DTG, 6 days (as this home last knew it)\n"
        in shown
    )
    assert shown.endswith("Nothing is bad.\n")
    # So says the offline home by itself.
    assert "others seal to fco.example until DTG, 6 days" in line.ok("--home FA whoami")


def test_what_is_bad_is_said_with_what_to_do_and_ends_with_1(line, monkeypatch):
    with away():
        assert line.type(SEND, CANARY)[0] == 75
    (line.folder / "F").chmod(0o755)
    monkeypatch.setenv("LIAISON_URL", "http://127.0.0.1:9")
    code, shown = line.type("--home F doctor")
    assert code == 1
    assert "BAD   files      F is open to others (mode 0755, owner " in shown
    assert "→ chmod 700 " in shown
    assert "BAD   outbox     1 waiting for a receipt; do not write them again\n" in shown
    assert "BAD   node       No answer from the node at http://127.0.0.1:9" in shown
    assert shown.endswith("BAD: files, outbox, node.\n")


def test_who_is_not_pinned_is_named(line):
    home = Home(line.folder / "F")
    state = home.read_state("pins.json")
    kept = [a for a in cast(Any, state["authorities"]) if a["party"] != "mod.example"]
    line.ok(SEND, CANARY)
    home.write_state("pins.json", {**state, "authorities": kept})
    code, shown = line.type("--home F whoami")
    assert code == 1
    assert "BAD   pins       nobody compared the fingerprint of mod.example\n" in shown
    assert "liaison party pin FILE" in shown


@pytest.mark.parametrize("name", ["pins", "log", "member", "known", "directories", "inbox"])
def test_a_damaged_file_is_named_with_what_to_do(line, name):
    line.ok(SEND, CANARY)
    line.ok("--home M inbox")
    path = line.folder / "M" / f"{name}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:30] + bytes([whole[30] ^ 1]) + whole[31:])
    command = "inbox" if name == "inbox" else "doctor"  # which asks for no list
    code, shown = line.type(f"--home M {command}")
    assert (code, f"M/{name}.json is damaged: " in shown) == (1, True), shown
    assert "make the home anew of its backup: liaison --home NEW key restore FILE" in shown
    path.write_bytes(whole)
    line.ok("--home M doctor")


def test_another_node_at_the_address_is_bad(line):
    card = NodePin.from_bytes((line.folder / "N/node.liaison").read_bytes())
    other = NodePin("localhost/other", card.log_key, card.node_key, card.administrator_key)
    (finding,) = asyncio.run(doctor.at_node(other, card.address))
    assert finding.mark is Mark.BAD
    assert "answers localhost/test, and localhost/other is pinned" in finding.said


@pytest.mark.parametrize(
    ("ahead", "mark", "said"),
    [
        (0, Mark.GOOD, "as the node's"),
        (19 * SECOND, Mark.GOOD, "19 s behind the node"),
        (-21 * SECOND, Mark.NOTE, "21 s ahead of the node"),
        (2 * MINUTE - SECOND, Mark.NOTE, "119 s behind"),
        (-2 * MINUTE, Mark.BAD, "120 s ahead of the node: what is signed so is refused"),
        (2 * MINUTE, Mark.BAD, "120 s behind the node"),
    ],
)
def test_a_clock_that_is_off_is_noted_and_then_bad(ahead, mark, said):
    node = NodePin("o", "l", "n", "a")
    finding = doctor._clock(node, ahead)
    assert (finding.what, finding.mark) == ("clock", mark)
    assert said in finding.said
    assert bool(finding.do) is (mark is not Mark.GOOD)
    exercise = NodePin("o", "l", "n", "a", exercise="yes")
    assert doctor._clock(exercise, ahead).mark is Mark.GOOD


def looked(screen: Screen, home: str, now: int) -> dict[str, Finding]:
    return {one.what: one for one in doctor.at_home(Home(screen.folder / home), now, None)}


def test_days_pass_and_what_ends_is_said_before(line):
    line.ok(SEND, CANARY)
    now = wall_clock()
    assert looked(line, "F", now)["key"].mark is Mark.GOOD
    later = looked(line, "F", now + 22 * DAY)
    assert later["key"].mark is Mark.NOTE
    assert "lapses at" in later["key"].said
    assert "in 12 days" in later["key"].said
    assert later["contact"].mark is Mark.NOTE
    assert looked(line, "F", now + 35 * DAY)["key"].mark is Mark.BAD
    assert "directory" not in looked(line, "F", now + 2 * DAY)
    assert "in 3 days" in looked(line, "F", now + 3 * DAY + HOUR)["directory"].said
    assert "lapsed at" in looked(line, "F", now + 8 * DAY)["directory"].said


def test_an_inbox_a_note_and_a_doctor_say_that_a_directory_is_not_renewed(screen, monkeypatch):
    screen.ok("--home N node init --origin localhost/test --exercise")
    with serving(screen.folder / "N") as url:
        monkeypatch.setenv("LIAISON_URL", url)
        card = screen.folder / "N" / "node.liaison"
        card.write_text(card.read_text().replace("http://127.0.0.1:8470", url))
        asyncio.run(found(screen.folder, url, PASSPHRASE, is_exercise=True))
        warned = (
            "The directory of fco.example lapses at DTG, in 2 days; then nothing is sealed to it or by "
            "it · ask fco.example to sign a new one, which is due daily: liaison directory sign --post\n"
        )
        assert warned not in screen.ok("--home F inbox")
        screen.ok("--home N node advance 98h")
        assert warned in screen.ok("--home F inbox")
        shown = screen.ok(SEND, CANARY)
        assert warned in shown
        assert warned.replace("fco.example", "mod.example") in shown
        shown = screen.ok("--home F doctor")
        assert "note  directory  The directory of fco.example lapses at DTG, in 2 days" in shown
        screen.ok("--home FA directory sign --post")
        assert warned not in screen.ok("--home F inbox")
        screen.ok("--home N node advance 96h")
        code, shown = screen.type("--home F doctor")
        assert code == 1
        assert "BAD   directory  The directory of mod.example lapsed at" in shown


def test_who_holds_no_post_any_more_is_told_so_and_what_to_do(line):
    line.ok("--home FA posting set attache.london@fco.example --post")
    line.ok("--home FA directory sign --post")
    code, shown = line.type("--home F doctor")
    assert code == 1
    assert "BAD   post       you hold no post now: nothing new comes to you" in shown
    assert "liaison posting handover POST --to MEMBER" in shown


def test_a_home_that_is_not_enrolled_yet_is_told_how_it_goes_on(line):
    line.ok("--home X enrol legal@fco.example")
    for look in ("whoami", "doctor"):
        code, shown = line.type(f"--home X {look}")
        assert code == 1
        assert "BAD   pins       no node is pinned: this home isn't in use yet" in shown
        assert (
            "hand request.liaison to your authority, then run: liaison enrol finish FILE" in shown
        )
        assert "liaison inbox" not in shown


def test_a_node_that_is_away_seals_nothing_new_and_the_doctor_says_so(line, monkeypatch):
    monkeypatch.setenv("LIAISON_URL", "http://127.0.0.1:9")
    code, shown = line.type("--home F doctor")
    assert code == 1
    assert "what was sealed waits in the outbox, and nothing new can be sealed meanwhile\n" in shown


def test_a_registrar_whose_delegation_ended_is_told_so(line):
    line.ok("--home RG registrar new fco.example")
    line.ok(line.compared("--home FA registrar delegate RG/request.liaison --post"))
    heard = last_groups(line.said[-1])
    line.ok(f"--home RG registrar begin FA/fco.party --node N/node.liaison --heard {heard}")
    assert "good  delegation this registrar of fco.example signs until DTG\n" in line.ok(
        "--home RG doctor"
    )
    (listed,) = line.type("--home FA registrar list")[1].splitlines()
    line.ok(f"--home FA registrar end {listed.split('  ')[0].split()[-1]} --post")
    assert line.type("--home RG registrar run --once")[0] == 1
    code, shown = line.type("--home RG doctor")
    assert code == 1
    assert "BAD   delegation the node lets this registrar in no more: " in shown
    assert "ask the authority to run: liaison registrar delegate FILE --post" in shown
