"""Enrolment by two files and a telephone, as it is typed: who compares what, and what an exchange shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from liaison.client import Request, fingerprint
from liaison.statements.keys import SigningKey
from liaison.words.canonical import format_canonical
from liaison.words.encoding import to_base64
from tests.cli.screen import Screen, Terminal, last_groups, steady


def heard_of(screen: Screen, line: str) -> str:
    """Return what is read out on the telephone, of what a command shows."""
    code, shown = screen.type(line)
    assert code == 0, shown
    return last_groups(shown)


def words(shown: str) -> list[str]:
    """Return the check phrase on a screen: the one line that is indented."""
    (line,) = (line for line in shown.split("\n") if line.startswith("  "))
    return line.split()


APPROVE = "--home FA member approve F/request.liaison --role attache"
NOBODY = Path("/nowhere/tty")


def test_the_words_of_the_device_and_two_files_enrol_it(begun):
    heard = heard_of(begun, "--home FA party new fco.example")
    begun.ok("--home N node admit FA/fco.party")
    asked = begun.ok("--home F enrol attache.london@fco.example")
    assert "Hand F/request.liaison to your authority, and read it these words" in asked
    assert len(words(asked)) == 5
    person = Terminal(" ".join(words(asked)).upper())
    code, shown = begun.at(person, APPROVE)
    assert person.asked == "The five words as you heard them: "
    assert code == 0
    assert steady(shown) == (
        "attache.london.1@fco.example asks to hold attache.london@fco.example.\n"
        "To approve:\n"
        "  Member:      attache.london.1@fco.example\n"
        "  Roles:       attache\n"
        "  Device:      FINGERPRINT\n"
        "  Post:        attache.london@fco.example\n"
        "  Then:        this device can read all that is sent to attache.london@fco.example, and acts "
        "for it;\n"
        "               others seal to it once a directory says so: liaison directory sign --post.\n"
        "Call them by a number you had before, and have the five words read to you.\n"
        "attache.london.1@fco.example is to hold attache.london@fco.example, as attache. Hand back "
        "FA/approval.liaison, and read them\n"
        "the fingerprint of fco.example: FINGERPRINT\n"
    )
    finish = "--home F enrol finish FA/approval.liaison --node N/node.liaison"
    shown = begun.ok(f"{finish} --heard {heard} --who anna")
    assert shown.endswith(
        "attache.london.1@fco.example holds attache.london@fco.example at localhost/test; "
        "fco.example is pinned.\n"
        "Next: your authority signs a directory, with this device in it (directory sign --post);\n"
        "and you pin each other party, from its file: liaison party pin NAME.party\n"
    )
    shown = begun.ok("--home F party show")
    assert "fco.example  pinned by  anna  groups of the fingerprint heard" in shown
    assert shown.endswith("FINGERPRINT\n")


def device_group(screen: Screen, home: str) -> str:
    request = Request.from_bytes((screen.folder / home / "request.liaison").read_bytes())
    return fingerprint(request.device)[-1]


def test_a_second_reader_of_a_post_and_a_second_device_are_named_before_they_are_approved(begun):
    begun.ok("--home FA party new fco.example")
    begun.ok("--home F enrol attache.london@fco.example")
    first = device_group(begun, "F")
    assert "so can" not in begun.ok(begun.compared(APPROVE))
    begun.ok("--home X enrol attache.london@fco.example --as bob")
    line = "--home FA member approve X/request.liaison --role attache --role releaser"
    shown = begun.ok(begun.compared(line))
    assert "  Roles:       attache, releaser\n" in shown
    assert "  Held also by: attache.london.1@fco.example\n" in shown
    assert (
        "so can attache.london.1@fco.example, as before: what is sent to the post goes to each of "
        "them;\n"
        "               if it is to be theirs alone: liaison posting set attache.london@fco.example "
        "bob@fco.example;\n"
    ) in shown
    begun.ok("--home F2 enrol attache.london@fco.example --as attache.london.1")
    code, shown = begun.at(NOBODY, "--home FA device add F2/request.liaison")
    assert code == 1
    assert f"  Beside:      {first}, theirs\n" in shown
    (row,) = [row for row in shown.splitlines() if row.startswith("  Device:")]
    assert row.endswith(f" {device_group(begun, 'F2')}")
    assert "  Held also by: bob@fco.example\n" in shown


def test_a_request_that_was_exchanged_on_its_way_has_other_words(begun):
    begun.ok("--home FA party new fco.example")
    asked = words(begun.ok("--home F enrol attache.london@fco.example"))
    begun.ok("--home EVE enrol attache.london@fco.example")
    evil = APPROVE.replace(" F/", " EVE/")
    for code, shown in (
        begun.at(Terminal(" ".join(asked)), evil),
        begun.type(f"{evil} --heard {'~'.join(asked)}"),
    ):
        assert code == 1
        assert shown.endswith(
            f"'{' '.join(asked)}' are not the words of this request: misheard, or it is not theirs · "
            "nothing was signed · have all five read again; if they are still not these, the request "
            "was exchanged on its way: get it by another (chain-broken)\n"
        )
    assert not (begun.folder / "FA" / "approval.liaison").exists()
    file = begun.folder / "F" / "request.liaison"
    members = {**json.loads(file.read_text()), "name": "Anna"}
    good = file.read_bytes()
    file.write_bytes(format_canonical(members))
    assert begun.at(Terminal(" ".join(asked)), APPROVE)[0] == 1
    file.write_bytes(good)
    assert begun.at(Terminal(" ".join(asked)), APPROVE)[0] == 0


def test_nothing_is_signed_before_somebody_types_the_words_that_they_heard(begun):
    begun.ok("--home FA party new fco.example")
    asked = words(begun.ok("--home F enrol attache.london@fco.example"))
    code, shown = begun.at(NOBODY, APPROVE)
    assert (code, "Nobody is here to say what was heard by telephone" in shown) == (1, True)
    for heard in ("", "y", asked[-1], " ".join(asked[:-1]), " ".join([*asked, asked[0]])):
        code, shown = begun.at(Terminal(heard), APPROVE)
        assert (code, "nothing was signed" in shown) == (1, True)
        # Nor can they be read off this screen.
        assert " ".join(asked) not in shown or heard.startswith(" ".join(asked))
    assert not (begun.folder / "FA" / "approval.liaison").exists()
    assert begun.ok("--home FA device list") == "There are no devices.\n"


def forged(screen: Screen, name: str) -> None:
    """Put a courier's own key into the request of F, under a name that draws on the screen."""
    file = screen.folder / "F" / "request.liaison"
    key = SigningKey(bytes(32))
    members = json.loads(file.read_text())
    mine = {"name": name, "device": to_base64(key.public)}
    proof = key.prove_possession(members["member"])
    (screen.folder / "EVE").mkdir(exist_ok=True)
    (screen.folder / "EVE" / "request.liaison").write_bytes(
        format_canonical({**members, **mine, "proof": proof}) + b"\n"
    )


def test_no_name_draws_the_words_of_another_request_on_the_screen(begun):
    begun.ok("--home FA party new fco.example")
    asked = " ".join(words(begun.ok("--home F enrol attache.london@fco.example")))
    evil = APPROVE.replace(" F/", " EVE/")
    for name in ("Anna\n", f"Anna) asks, in these words:\n  {asked}\nFile (", "a" * 201, "\x1b[2J"):
        forged(begun, name)
        code, shown = begun.at(Terminal(asked), evil)
        assert (code, shown.startswith("EVE/request.liaison is not a device's request")) == (
            1,
            True,
        )
        assert "a name has 1 to 200 characters, on one line" in shown
    name = f"Anna), in these words:{'  ' * 20}{asked}{'  ' * 20}File number"
    forged(begun, name)
    code, shown = begun.at(Terminal(asked), evil)
    assert code == 1
    assert asked not in shown.partition("are not the words")[0].rpartition("\n")[0]
    # An honest name is signed, and said once the words were compared.
    forged(begun, "Anna")
    shown = begun.ok(begun.compared(evil))
    assert "attache.london.1@fco.example (Anna) is to hold attache.london@fco.example" in shown


def test_a_name_that_no_statement_can_have_makes_no_request(begun):
    code, shown = begun.type(f"--home F enrol attache.london@fco.example --name {'a' * 201}")
    assert (code, "a name has 1 to 200 characters" in shown) == (1, True)
    assert not (begun.folder / "F").exists()
    begun.ok(f"--home F enrol attache.london@fco.example --name {'a' * 200}")


PIN = "--home F party pin MA/mod.party"


@pytest.fixture
def ministry(begun: Screen) -> list[str]:
    """The eight groups of a ministry's fingerprint, as it reads them out."""
    shown = begun.type("--home MA party new mod.example --name Ministry")[1]
    begun.ok("--home F enrol attache.london@fco.example")
    return shown.split()[-8:]


def hears(groups: list[str]) -> Terminal:
    """Somebody who types the group that is asked for, as it was read to them."""

    def heard(question: str) -> str:
        number = re.search(r"group ([1-7]) ", question)
        return groups[int(number[1]) - 1 if number else 7].lower()

    return Terminal(heard)


def test_the_last_group_of_a_fingerprint_and_two_that_are_drawn_are_typed_as_heard(begun, ministry):
    code, shown = begun.at(NOBODY, PIN)
    assert (code, "run it at a terminal, or add --heard GROUPS" in shown) == (1, True)
    for wrong in ("", "y", "AAAA", " ".join(ministry)):
        code, shown = begun.at(Terminal(wrong), PIN)
        assert (code, "is not the last group" in shown) == (1, True)
    assert begun.ok("--home F party show") == "No party is pinned.\n"
    person = hears(ministry)
    code, shown = begun.at(person, PIN)
    assert steady(shown).startswith(
        "mod.example shows this fingerprint:\n  FINGERPRINT\n"
        "Call them by a number you had before, and have all eight groups read to you.\n"
        "mod.example is pinned, by "
    )
    assert re.fullmatch(
        "The last group as you heard it: And group [1-6] of the eight: And group [2-7] of the eight: ",
        person.asked,
    )


def test_a_key_with_the_same_last_group_is_not_pinned(begun, ministry):
    """Such a key is made in a minute; which other groups are asked for nobody knows before."""
    heard = ["AAAA"] * 7 + [ministry[7]]
    for _ in range(3):
        code, shown = begun.at(hears(heard), PIN)
        assert code == 1
        assert re.search(r"'aaaa' is not group [1-7]: misheard, or the file is not theirs", shown)
        assert "nothing was pinned" in shown
    drawn = set()
    for place in range(7):
        # One group of the seven differs: it is found out as often as it is drawn.
        while place not in drawn:
            heard = [*ministry[:place], "AAAA", *ministry[place + 1 :]]
            person = hears(heard)
            code, _ = begun.at(person, PIN)
            is_asked = f"group {place + 1} " in person.asked
            assert code == int(is_asked)
            drawn |= {place} if is_asked else set()


def test_for_a_script_the_last_four_groups_are_typed_at_least(begun, ministry):
    for fewer in (ministry[7], "~".join(ministry[5:]), "".join(ministry)[17:], "-~-"):
        code, shown = begun.type(f"{PIN} --heard {fewer}")
        assert (code, "--heard has the last four groups of" in " ".join(shown.split())) == (2, True)
    for other in (
        "-".join(["AAAA", *ministry[5:]]),
        "~".join(ministry[:4]),
        "AAAA" + "".join(ministry),
    ):
        code, shown = begun.type(f"{PIN} --heard {other}")
        assert (code, "are not the last groups" in shown) == (1, True)
    assert begun.ok("--home F party show") == "No party is pinned.\n"
    for same in ("-".join(ministry[4:]), "~".join(ministry).lower(), "".join(ministry)[15:]):
        assert "is pinned" in begun.ok(f"{PIN} --heard {same}")


def test_an_approval_of_another_authority_is_not_pinned(begun):
    heard = heard_of(begun, "--home FA party new fco.example")
    begun.ok("--home EVE party new fco.example")
    begun.ok("--home F enrol attache.london@fco.example")
    for home in ("FA", "EVE"):
        begun.ok(begun.compared(APPROVE.replace("FA", home)))
    finish = "--home F enrol finish {}/approval.liaison --node N/node.liaison --heard " + heard
    code, shown = begun.type(finish.format("EVE"))
    assert code == 1
    assert "are not the last groups" in shown
    assert shown.endswith("(chain-broken)\n")
    assert begun.ok("--home F party show") == "No party is pinned.\n"
    begun.ok("--home N node admit FA/fco.party")
    assert "is pinned" in begun.ok(finish.format("FA"))


def test_a_second_device_is_added_by_the_same_two_files(begun):
    heard = heard_of(begun, "--home FA party new fco.example")
    begun.ok("--home N node admit FA/fco.party")
    finish = "enrol finish FA/approval.liaison --node N/node.liaison --heard " + heard
    begun.ok("--home F enrol attache.london@fco.example")
    code, shown = begun.type(begun.compared("--home FA device add F/request.liaison"))
    assert code == 1
    assert "is not a member that this authority approved" in shown
    begun.ok(begun.compared(APPROVE))
    begun.ok(f"--home F {finish}")
    begun.ok("--home F2 enrol attache.london@fco.example --as attache.london.1")
    begun.ok(begun.compared("--home FA device add F2/request.liaison"))
    code, shown = begun.type(f"--home EVE {finish}")
    assert code == 1
    begun.ok(f"--home F2 {finish}")
    line = "attache.london.1@fco.example  active  FINGERPRINT\n"
    assert begun.ok("--home FA device list") == 2 * line
    assert begun.ok("--home FA device list nobody@fco.example") == "There are no devices.\n"


def test_an_approval_of_another_device_of_the_same_member_pins_nothing(begun):
    heard = heard_of(begun, "--home FA party new fco.example")
    begun.ok("--home N node admit FA/fco.party")
    begun.ok("--home F enrol attache.london@fco.example")
    begun.ok(begun.compared(APPROVE))
    begun.ok("--home F2 enrol attache.london@fco.example --as attache.london.1")
    finish = f"enrol finish FA/approval.liaison --node N/node.liaison --heard {heard}"
    code, shown = begun.type(f"--home F2 {finish}")
    assert (code, "The approval doesn't name this device's key" in shown) == (1, True)
    assert "fingerprint" not in shown  # nobody calls for it
    assert begun.ok("--home F2 party show") == "No party is pinned.\n"
    assert "is pinned" in begun.ok(f"--home F {finish}")


def test_an_old_approval_puts_no_revoked_device_back_in_force(begun):
    heard = heard_of(begun, "--home FA party new fco.example")
    begun.ok("--home N node admit FA/fco.party")
    begun.ok("--home F enrol attache.london@fco.example")
    begun.ok(begun.compared(APPROVE))
    finish = f"--home F enrol finish FA/approval.liaison --node N/node.liaison --heard {heard}"
    for _ in range(2):
        assert "holds attache.london@fco.example at localhost/test" in begun.ok(finish)
    group = begun.type("--home FA device list")[1].split()[-1]
    revoke = f"--home FA key revoke attache.london.1@fco.example {group} --lost --yes --post"
    begun.ok(f"{revoke} --node N/node.liaison")
    code, shown = begun.type(finish)
    assert code == 1
    assert "holds" not in shown
    assert "This approval was overtaken: the key is not of a device of attache.london.1@" in shown
    assert "ask your authority; where it revoked this key, enrol anew in another home" in shown


@pytest.mark.parametrize("url", ["http://x/\x1b[2J", "http://x/\nALL IS WELL", "http://x y", "x"])
def test_a_nodes_card_draws_nothing_on_a_screen(begun, url):
    card = begun.folder / "N" / "node.liaison"
    members = json.loads(card.read_text())
    (begun.folder / "evil.card").write_bytes(format_canonical({**members, "url": url}) + b"\n")
    begun.ok("--home FA party new fco.example")
    code, shown = begun.type("--home FA directory sign --node evil.card")
    assert (code, "evil.card is not a node's card" in shown) == (1, True), shown
    assert "node " not in begun.ok("--home FA party show")
    begun.ok("--home FA directory sign --node N/node.liaison")
    assert "node  localhost/test at http://NODE" in begun.ok("--home FA party show")


@pytest.mark.parametrize("name", ["origin", "log_key", "node_key", "administrator_key"])
def test_a_card_with_another_log_or_other_keys_takes_no_node_s_place(begun, name):
    card = begun.folder / "N" / "node.liaison"
    other = {"origin": "other.example/log"}.get(name, to_base64(SigningKey(b"\x66" * 32).public))
    members = {**json.loads(card.read_text()), name: other, "url": "http://127.0.0.1:9"}
    (begun.folder / "evil.card").write_bytes(format_canonical(members) + b"\n")
    begun.ok("--home FA party new fco.example")
    begun.ok("--home FA directory sign --node N/node.liaison")
    before = begun.ok("--home FA party show")
    code, shown = begun.type("--home FA directory sign --node evil.card")
    assert code == 1
    assert shown.endswith(
        "The file names other keys, or another log, than the pinned localhost/test · nothing was "
        "sent; the pin stays as it was · ask the node's operator by another way which keys are right "
        "(log-untrusted)\n"
    )
    assert begun.ok("--home FA party show") == before
    # The same node at another address is the same node.
    moved = {**json.loads(card.read_text()), "url": "https://moved.example"}
    (begun.folder / "moved.card").write_bytes(format_canonical(moved) + b"\n")
    begun.ok("--home FA directory sign --node moved.card")
    assert "node  localhost/test at https://moved.example" in begun.ok("--home FA party show")


def test_another_key_than_the_pinned_one_is_pinned_only_anew_and_loudly(begun):
    heard = heard_of(begun, "--home MA party new mod.example")
    other = heard_of(begun, "--home EVE party new mod.example")
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
    how = "groups of the fingerprint heard by telephone"
    assert begun.ok("--home F party show") == (  # who, how and when
        f"mod.example  pinned by  bert  {how}  DTG  FINGERPRINT\n"
        f"mod.example  before by  anna  {how}  DTG  FINGERPRINT\n"
    )


def test_a_name_is_taken_with_its_party_or_without(begun):
    for home, name in (("A", "consul.1"), ("B", "consul.1@fco.example")):
        shown = begun.ok(f"--home {home} enrol consul@fco.example --as {name}")
        assert shown.startswith("consul.1@fco.example asks to hold consul@fco.example.")
    code, shown = begun.type("--home C enrol consul@fco.example --as consul.1@mod.example")
    assert (code, "(malformed)" in shown) == (1, True)
