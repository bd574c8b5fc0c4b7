"""Enrolment by two files and a telephone, as it is typed: who compares what, and what an exchange shows."""

from __future__ import annotations

import json

from liaison.words.canonical import format_canonical
from tests.cli.screen import Screen


def last_group(screen: Screen, line: str) -> str:
    """Return what is read out on the telephone, of what a command shows."""
    code, shown = screen.type(line)
    assert code == 0, shown
    return shown.rsplit(maxsplit=1)[-1]


def words(shown: str) -> list[str]:
    """Return the check phrase on a screen: the one line that is indented."""
    (line,) = (line for line in shown.split("\n") if line.startswith("  "))
    return line.split()


def test_both_screens_show_the_same_five_words_and_two_files_enrol_a_device(begun):
    heard = last_group(begun, "--home FA party new fco.example")
    begun.ok("--home N node admit FA/fco.party")
    asked = begun.ok("--home F enrol attache.london@fco.example")
    assert "Hand F/request.liaison to your authority, and read it these words" in asked
    assert len(words(asked)) == 5
    shown = begun.ok("--home FA member approve F/request.liaison --role attache --yes")
    assert words(shown) == words(asked)
    assert "Hand back FA/approval.liaison, and read them\nthe fingerprint of fco.example" in shown
    finish = "--home F enrol finish FA/approval.liaison --node N/node.liaison"
    shown = begun.ok(f"{finish} --heard {heard} --who anna")
    assert shown.endswith(
        "attache.london.1@fco.example holds attache.london@fco.example at localhost/test; "
        "fco.example is pinned.\n"
    )
    shown = begun.ok("--home F party show")
    assert "fco.example  pinned by  anna  last group of the fingerprint heard" in shown
    assert shown.endswith("FINGERPRINT\n")


def test_a_request_that_was_exchanged_on_its_way_has_other_words(begun):
    begun.ok("--home FA party new fco.example")
    asked = begun.ok("--home F enrol attache.london@fco.example")
    begun.ok("--home EVE enrol attache.london@fco.example")
    approve = "--home FA member approve {}/request.liaison --role attache --yes"
    assert words(begun.ok(approve.format("EVE"))) != words(asked)
    assert words(begun.ok(approve.format("F"))) == words(asked)
    file = begun.folder / "F" / "request.liaison"
    members = {**json.loads(file.read_text()), "name": "Anna"}
    file.write_bytes(format_canonical(members))
    assert words(begun.ok(approve.format("F"))) != words(asked)


def test_nothing_is_signed_before_somebody_says_that_the_words_are_the_same(begun, monkeypatch):
    begun.ok("--home FA party new fco.example")
    begun.ok("--home F enrol attache.london@fco.example")
    (begun.folder / "no").write_text("n\n")
    for terminal in ("nowhere", "no"):
        with monkeypatch.context() as patch:
            patch.setattr("liaison.cli.asking._TERMINAL", begun.folder / terminal / "tty")
            code, shown = begun.type("--home FA member approve F/request.liaison --role attache")
        assert code == 1
        assert "nothing was signed" in shown
    assert not (begun.folder / "FA" / "approval.liaison").exists()
    assert begun.ok("--home FA device list") == "There are no devices.\n"


def test_an_approval_of_another_authority_is_not_pinned(begun):
    heard = last_group(begun, "--home FA party new fco.example")
    begun.ok("--home EVE party new fco.example")
    begun.ok("--home F enrol attache.london@fco.example")
    for home in ("FA", "EVE"):
        begun.ok(f"--home {home} member approve F/request.liaison --role attache --yes")
    finish = "--home F enrol finish {}/approval.liaison --node N/node.liaison --heard " + heard
    code, shown = begun.type(finish.format("EVE"))
    assert code == 1
    assert "is not the last group" in shown
    assert shown.endswith("(chain-broken)\n")
    assert begun.ok("--home F party show") == "No party is pinned.\n"
    begun.ok("--home N node admit FA/fco.party")
    assert "is pinned" in begun.ok(finish.format("FA"))


def test_a_second_device_is_added_by_the_same_two_files(begun):
    heard = last_group(begun, "--home FA party new fco.example")
    begun.ok("--home N node admit FA/fco.party")
    finish = "enrol finish FA/approval.liaison --node N/node.liaison --heard " + heard
    begun.ok("--home F enrol attache.london@fco.example")
    code, shown = begun.type("--home FA device add F/request.liaison --yes")
    assert code == 1
    assert "is not a member that this authority approved" in shown
    begun.ok("--home FA member approve F/request.liaison --role attache --yes")
    begun.ok(f"--home F {finish}")
    begun.ok("--home F2 enrol attache.london@fco.example --as attache.london.1")
    begun.ok("--home FA device add F2/request.liaison --yes")
    code, shown = begun.type(f"--home EVE {finish}")
    assert code == 1
    begun.ok(f"--home F2 {finish}")
    line = "attache.london.1@fco.example  active  FINGERPRINT\n"
    assert begun.ok("--home FA device list") == 2 * line
    assert begun.ok("--home FA device list nobody@fco.example") == "There are no devices.\n"


def test_another_key_than_the_pinned_one_is_pinned_only_anew_and_loudly(begun):
    heard = last_group(begun, "--home MA party new mod.example")
    other = last_group(begun, "--home EVE party new mod.example")
    begun.ok("--home F enrol attache.london@fco.example")
    pin = "--home F party pin {}/mod.party --heard {}"
    begun.ok(pin.format("MA", heard) + " --who anna")
    assert "is pinned" in begun.ok(pin.format("MA", heard))
    code, shown = begun.type(pin.format("EVE", other))
    assert code == 1
    assert "mod.example is pinned under another authority key, by anna" in shown
    assert "liaison party pin FILE --anew (chain-broken)" in shown
    code, shown = begun.type(pin.format("EVE", heard) + " --anew")
    assert code == 1  # what was heard is not what the file says
    assert "before by" not in begun.ok("--home F party show")
    shown = begun.ok(pin.format("EVE", other) + " --anew --who bert")
    assert shown.startswith("STOP: mod.example is pinned under another key, by anna at DTG")
    assert shown.endswith("mod.example is pinned anew, by bert at DTG.\n")
    shown = begun.ok("--home F party show")
    assert "mod.example  pinned by  bert" in shown
    assert "mod.example  before by  anna" in shown
