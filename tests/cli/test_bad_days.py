"""The bad days, as they are typed: a colleague suspended, a laptop lost, an authority's key succeeded."""

from __future__ import annotations

import asyncio
import json
import re
import shutil

import pytest

from liaison.client import Authority, Home, Pins
from liaison.client.transport import Transport
from liaison.statements.keys import SigningKey
from liaison.words.errors import NodeUnreachable, RefusedByNode
from tests.cli.screen import CANARY, PASSPHRASE, Screen, last_groups, steady
from tests.cli.test_enrolment import NOBODY

DUTY = "duty.desk.1@mod.example"
SEND = "--home F send london-hotline --to duty.desk@mod.example --subject Convoy --yes"


def registrar(screen: Screen, authority: str, party: str) -> str:
    """Type what gives the authority a registrar, in the home RG; return its fingerprint's last groups."""
    file = f"{authority}/{party.partition('.')[0]}.party"
    screen.ok(f"--home RG registrar new {party}")
    line = f"--home {authority} registrar delegate RG/request.liaison --post"
    code, shown = screen.type(screen.compared(line))
    assert code == 0, shown
    heard = last_groups(shown)
    screen.ok(f"--home RG registrar begin {file} --node N/node.liaison --heard {heard}")
    return heard


def second_device(screen: Screen) -> str:
    """Enrol a laptop for the duty officer; return the last group of its key's fingerprint."""
    screen.ok("--home M2 enrol duty.desk@mod.example --as duty.desk.1")
    before = set(screen.type("--home MA device list")[1].splitlines())
    code, shown = screen.type(screen.compared("--home MA device add M2/request.liaison"))
    assert code == 0, shown
    heard = last_groups(shown)
    screen.ok(f"--home M2 enrol finish MA/approval.liaison --node N/node.liaison --heard {heard}")
    screen.ok("--home MA directory sign --post")
    (added,) = set(screen.type("--home MA device list")[1].splitlines()) - before
    assert added.startswith(DUTY)
    return added.split()[-1]


def test_a_registrar_suspends_at_once_and_only_the_authority_reinstates(council):
    registrar(council, "MA", "mod.example")
    # Meanwhile it does the daily business, rosters too.
    council.ok("--home RG roster set london-hotline desk=duty.desk late=deputy --post")
    shown = council.ok("--home RG directory sign --post")
    assert "3 members, 3 postings, 3 rosters, 3 charters" in shown
    council.ok(SEND, CANARY)
    shown = council.ok(f"--home RG member suspend {DUTY} --post")
    assert f"{DUTY} is suspended: in the log at DTG" in shown
    code, shown = council.type("--home M ack london-hotline/1")
    assert code == 1
    assert f"member {DUTY} is suspended" in shown
    code, shown = council.type(SEND, CANARY)
    assert code == 1
    assert "nothing was sealed or sent" in shown
    code, shown = council.type(f"--home RG member reinstate {DUTY} --post")
    assert code == 1
    assert f"Only the authority takes up {DUTY} again" in shown
    # Nor what nobody could take back.
    for act, what in (
        (f"member revoke {DUTY}", f"revokes {DUTY} for good"),
        (f"key revoke {DUTY} AAAA --lost", "says since when a key was in other hands"),
    ):
        code, shown = council.type(f"--home RG {act} --yes --post")
        assert code == 1
        assert f"Only the authority {what}, and this home is a registrar's · nothing was" in shown
        assert (
            "here, at once: liaison member suspend MEMBER; then run it in the authority's home"
            in shown
        )
    assert f"{DUTY} is active again" in council.ok(f"--home MA member reinstate {DUTY} --post")
    council.ok("--home M inbox")
    assert "was acknowledged by duty.desk.1@mod.example" in council.ok(
        "--home M ack london-hotline/1"
    )
    council.ok(SEND, CANARY)


def test_who_left_is_revoked_for_good(council):
    council.ok(f"--home MA member revoke {DUTY} --yes --post")
    code, shown = council.type(f"--home MA member reinstate {DUTY}")
    assert code == 1
    assert f"{DUTY} is revoked · nothing was signed" in shown
    code, shown = council.type(f"--home MA member roles {DUTY} --role attache")
    assert code == 1
    assert f"{DUTY} is revoked, for good" in shown
    code, shown = council.type(SEND, CANARY)
    assert code == 1
    assert "nothing was sealed or sent" in shown
    council.ok("audit replay N")


def test_a_lost_laptop_is_revoked_and_what_it_alone_took_on_is_asked_again(council):
    group = second_device(council)
    council.ok(SEND, CANARY)
    theirs = Pins(Home(council.folder / "M")).authority("fco.example")
    Pins(Home(council.folder / "M2")).pin_authority(theirs)
    council.ok("--home M2 inbox")
    council.ok("--home M2 ack london-hotline/1")  # whoever found it
    council.ok("--home F inbox")
    council.ok("--home M inbox")
    code, shown = council.type(f"--home MA key revoke {DUTY} AAAA --yes")
    assert code == 1
    assert f"{DUTY} has no device AAAA" in shown
    lost = f"--home MA key revoke {DUTY} {group} --lost --since 2026-01-01T00:00:00Z --yes --post"
    (other,) = {
        row.split()[-1]
        for row in council.type("--home MA device list")[1].splitlines()
        if DUTY in row
    } - {group}
    # Before it asks, and with --yes too: which key, since when, and what falls.
    code, shown = council.at(NOBODY, lost.replace(" --yes", ""))
    assert (code, "Nobody is here to say yes · nothing was signed" in shown) == (1, True)
    assert steady(shown).startswith(
        "To revoke:\n"
        f"  Member:      {DUTY}\n"
        "  Device:      FINGERPRINT\n"
        f"  Left:        {other}\n"
        "  Lost:        since DTG\n"
        "  Then:        it reads and signs nothing more, for good;\n"
        "               what it alone took on or answered since DTG is asked again, its senders are "
        "told;\n"
        "               whatever it signed since is shown as DOUBTFUL, to everybody; no later word "
        "takes it back.\n"
    )
    (row,) = [row for row in shown.splitlines() if row.startswith("  Device:")]
    assert row.endswith(f" {group}")
    code, shown = council.at(NOBODY, f"--home MA key revoke {DUTY} {group}")
    assert "  Lost:        no: nobody else had it\n" in shown
    assert "what it signed stands; if others may have used it, say --lost.\n" in shown
    shown = council.ok(lost)
    assert "  Lost:        since DTG\n" in shown
    assert "is revoked: in the log at DTG" in shown
    again = (
        "! london-hotline/1 is taken on no more for duty.desk@mod.example, and climbs again: the key "
        "of duty.desk.1@mod.example that acknowledged it was in other hands since DTG, says "
        "mod.example\n"
    )
    assert council.until("--home F inbox", "taken on no more") == again
    assert again in council.ok("--home M inbox")
    shown = council.ok("--home F status london-hotline/1")
    assert "duty.desk@mod.example (action): delivered since DTG" in shown
    code, shown = council.type("--home M2 inbox")
    assert code == 1
    assert "the key is not of a device of duty.desk.1@mod.example that is in force" in shown
    assert "was acknowledged by" in council.ok("--home M ack london-hotline/1")
    council.ok("audit replay N")
    receipt = next((council.folder / "F/receipts/london-hotline").glob("1.contested.*"))
    shown = council.ok(f"receipt verify {receipt} --node N/node.liaison")
    assert "it acknowledged, the notes of 1 entries count as taken on no more; of what it" in shown
    assert "answered, those of 0 count as answered no more" in shown


def test_what_a_stolen_key_signed_is_shown_as_doubtful(council):
    group = second_device(council)
    theirs = Pins(Home(council.folder / "M")).authority("fco.example")
    Pins(Home(council.folder / "M2")).pin_authority(theirs)
    council.ok(SEND, CANARY)
    council.ok("--home M2 inbox")
    council.ok("--home M2 reply london-hotline/1 --yes", "We surrender.")
    council.ok("--home M inbox")
    council.ok("--home F inbox")
    assert "DOUBTFUL" not in council.ok("--home F read london-hotline/2")
    lost = f"--home MA key revoke {DUTY} {group} --lost --since 2026-01-01T00:00:00Z --yes --post"
    council.ok(lost)
    # It took the note on and answered it: neither counts, and both are asked again.
    told = council.until("--home F inbox", "answered no more")
    assert told == (
        "! london-hotline/1 is taken on no more for duty.desk@mod.example, and climbs again; it is "
        f"answered no more for duty.desk@mod.example: the key of {DUTY} that acknowledged and "
        "answered it was in other hands since DTG, says mod.example\n"
    )
    shown = council.ok("--home F status london-hotline/1")
    assert ", answered" not in shown
    council.ok("--home M ack london-hotline/1")
    assert ", answer due DTG" in council.ok("--home F status london-hotline/1")
    shown = council.ok("--home F read london-hotline/2")
    assert shown.startswith(
        f"DOUBTFUL: the key of {DUTY} that signed this was in other hands since DTG, says "
        "mod.example. Ask them by another way\n"
    )
    assert "DOUBTFUL" not in council.ok("--home F read london-hotline/1")


def test_a_new_device_says_once_whom_it_must_pin_and_shows_all_of_it_then(council):
    second_device(council)
    for _ in range(2):
        council.ok(SEND, CANARY)
    shown = council.ok("--home M2 inbox")
    assert shown.count("Nobody compared the fingerprint of fco.example yet") == 1
    assert re.match(r"\S[^:]*, \S[^:]* was not opened yet: Nobody compared", shown), shown
    assert shown.endswith("(not-ready). `inbox` tries again each time\n")
    assert council.ok("--home M2 inbox") == (
        "Nothing new. Not opened yet: 2 of before; see why: liaison doctor\n"
    )
    theirs = Pins(Home(council.folder / "M")).authority("fco.example")
    Pins(Home(council.folder / "M2")).pin_authority(theirs)
    assert council.ok("--home M2 inbox").count("from attache.london.1@fco.example: Convoy\n") == 2
    assert council.ok("--home M2 inbox") == "Nothing new.\n"


def test_what_a_stolen_key_signed_is_marked_wherever_it_is_shown(council, monkeypatch):
    group = second_device(council)
    theirs = Pins(Home(council.folder / "M")).authority("fco.example")
    Pins(Home(council.folder / "M2")).pin_authority(theirs)
    council.ok(SEND, CANARY)
    council.ok("--home M2 inbox")
    council.ok("--home M2 reply london-hotline/1 --yes", "We surrender.")
    lost = f"--home MA key revoke {DUTY} {group} --lost --since 2026-01-01T00:00:00Z --yes --post"
    council.ok(lost)
    doubt = (
        f"DOUBTFUL: the key of {DUTY} that signed this was in other hands since DTG, says "
        "mod.example. Ask them by another way"
    )
    # It is opened only now: the inbox says it of the note, and of who took on the other one.
    shown = council.ok("--home F inbox").splitlines()
    (note,) = [line for line in shown if line.startswith("london-hotline/2")]
    assert note == f"london-hotline/2  EXERCISE  FLASH  DTG  from {DUTY}: Re: Convoy  {doubt}"
    (told,) = [line for line in shown if "was acknowledged by" in line]
    assert told.endswith(f"for duty.desk@mod.example at DTG  {doubt}")
    shown = council.ok("--home F status london-hotline/1").splitlines()
    assert f"  acknowledged at DTG: {doubt}" in shown
    assert f"  answered with london-hotline/2 at DTG: {doubt}" in shown
    answer = json.loads(council.ok("--json --home F read london-hotline/2"))
    assert answer["doubtful"]["by"] == DUTY
    assert "doubtful" not in json.loads(council.ok("--json --home F read london-hotline/1"))
    assert council.ok("--home F ack london-hotline/2").startswith(f"{doubt}\n")
    # All that the key signed, and what of it this home knows; by the whole log what was opened, too.
    signed = council.ok(f"--home F key signed {DUTY} {group} --since -1h").splitlines()
    assert [re.sub("entry [0-9]+", "entry N", line) for line in signed[:2]] == [
        f"entry N  DTG  note          london-hotline/2  key {group}  {doubt}",
        f"entry N  DTG  acknowledged  london-hotline/1  key {group}  {doubt}",
    ]
    assert signed[2].startswith("2 in this home: ")
    assert council.ok(f"--home F key signed {DUTY} AAAA").startswith("0 in this home: ")
    signed = council.ok(f"audit signed N {DUTY} {group} --since -1h").splitlines()
    assert [line.split()[3] for line in signed[:4]] == ["key", "delivered", "note", "acknowledged"]
    assert signed[4].startswith("4 in the log. ")
    later = council.ok(f"audit signed N {DUTY} {group} --since 2099-01-01T00:00:00Z")
    assert later.startswith("0 in the log. ")
    # What this home was told once it knows where nobody can be asked.
    monkeypatch.setattr(Transport, "read", unreached)
    assert council.ok("--home F cabinet show london-hotline/2").startswith(f"{doubt}\n")
    assert "DOUBTFUL" not in council.ok("--home F cabinet show london-hotline/1")
    assert f"london-hotline/2  DTG  Re: Convoy  {doubt}" in council.ok("--home F cabinet list")
    assert f"{doubt}\n" in council.ok("--home F read london-hotline/2")


async def unreached(*_):
    raise NodeUnreachable("not now")


def test_an_announced_key_succeeds_and_who_pinned_the_former_one_follows(council):
    council.ok(SEND, CANARY)
    shown = council.ok("--home MA party succeed --yes --post")
    assert "The announced key is the authority of mod.example from now on: in the log" in shown
    shown = council.ok(SEND, CANARY)
    assert (
        "mod.example took up the authority key that it had announced, at DTG; it is pinned now: "
        "FINGERPRINT\n"
    ) in shown
    shown = council.ok("--home F party show")
    assert "announced by the key pinned before" in shown
    assert "before by" in shown
    assert "took up" not in council.ok(SEND, CANARY)
    # What the former key signed stands; what is signed now is signed by the new one.
    council.ok("--home M inbox")
    council.ok("--home M ack london-hotline/1")
    council.ok("--home MA directory sign --post")
    # Typed twice by a slip it takes over once; in its turn it is succeeded later.
    code, shown = council.type("--home MA party succeed --yes --post")
    assert code == 1
    assert steady(shown).startswith(
        "The key of mod.example was succeeded at DTG already · nothing was signed · if what took over"
    )
    council.ok("--home N node advance 11m")
    council.ok("--home MA party succeed --yes --post")
    council.ok("--home MA directory sign --post")
    assert "took up" in council.ok(SEND, CANARY)
    council.ok("audit replay N")


def test_a_succession_ends_the_registrar_that_a_thief_delegated(council):
    group = registrar_group(council)
    shutil.copytree(council.folder / "MA", council.folder / "THIEF")
    council.ok("--home EVE registrar new mod.example")
    council.ok(council.compared("--home THIEF registrar delegate EVE/request.liaison --post"))
    heard = last_groups(council.said[-1])
    council.ok(f"--home EVE registrar begin THIEF/mod.party --node N/node.liaison --heard {heard}")
    council.ok("--home EVE posting set duty.desk@mod.example deputy.1@mod.example --post")
    # The authority hears of it with its next word, and signs nothing before it saw who signed what.
    code, shown = council.type("--home MA directory sign --post")
    assert code == 1
    assert shown.startswith(
        "STOP: signed with this home's key, and not in this home: party mod.example. If no copy of "
        "this home signed it, the key is in other hands · see who signed what: liaison directory show"
    )
    assert "nothing was signed · see what it is: liaison directory show" in shown
    for act in ("directory sign", "directory sign --post", "party succeed --yes --post"):
        code, shown = council.type(f"--home MA {act}")
        assert (code, "what nobody looked at in this home yet" in shown) == (1, True)
    shown = council.ok("--home MA directory show")
    (of_party,) = [line for line in shown.splitlines() if line.startswith("party")]
    assert of_party.endswith("by the authority, NOT IN THIS HOME")
    (of_post,) = [line for line in shown.splitlines() if "duty.desk@mod.example" in line]
    evil = of_post.split()[-1]
    assert "by the registrar" in of_post
    assert evil != group
    assert len(council.ok("--home MA registrar list").splitlines()) == 2
    assert "STOP" not in council.ok("--home MA directory sign --post")
    # A succession takes along none, unless it is said.
    code, shown = council.type("--home MA party succeed --keep AAAA --post --yes")
    assert (code, "AAAA names 0 registrars of mod.example, not one" in shown) == (1, True)
    code, shown = council.type(f"--home MA party succeed --keep {group} --post --yes")
    assert code == 0
    lines = [line for line in shown.splitlines() if "Registrar:" in line]
    assert sorted((line.split()[8], line.rsplit(maxsplit=1)[-1]) for line in lines) == sorted(
        [(group, "ON"), (evil, "ends")]
    )
    for act in ("directory sign", "posting set duty.desk@mod.example deputy.1@mod.example"):
        code, shown = council.type(f"--home EVE {act} --post")
        assert code == 1
        assert "is neither the authority's nor a registrar's of mod.example" in shown
    assert "Directory 3 of mod.example" in council.ok("--home RG directory sign --post")
    assert f"by {evil}, which signs no more" in council.ok("--home MA directory show")
    assert "took up" in council.ok("--home F posting show duty.desk@mod.example")
    council.ok("audit replay N")


def test_a_next_key_that_lay_apart_takes_over_from_who_has_the_whole_home(council):
    own = "--next-passphrase-file passphrase"
    shown = council.ok(f"--home MA party next next.key {own}")
    assert shown.startswith(
        "next.key holds the next authority key of mod.example; this home has it"
    )
    assert council.type(f"--home MA party next other.key {own}")[0] == 1
    assert not (council.folder / "other.key").exists()
    shutil.copytree(council.folder / "MA", council.folder / "THIEF")
    code, shown = council.type("--home THIEF party succeed --post --yes")
    assert code == 1
    assert (
        "The next authority key doesn't lie in this home · nothing was signed · name the" in shown
    )

    async def announce() -> None:
        async with Authority.open(council.folder / "THIEF", PASSPHRASE) as thief:
            thief._sign_party(next=SigningKey(b"\x55" * 32).id)
            with pytest.raises(
                RefusedByNode, match="another next key is announced by a succession"
            ):
                await thief.post()

    asyncio.run(announce())
    # A registrar of the thief's own is the most that it can do, and that ends with the succession.
    shutil.rmtree(council.folder / "THIEF")
    shutil.copytree(council.folder / "MA", council.folder / "THIEF")
    registrar(council, "THIEF", "mod.example")
    assert council.type(f"--home MA party succeed --next passphrase {own} --yes")[0] == 1
    code, shown = council.type(f"--home MA party succeed --next next.key {own} --post --yes")
    assert (code, "STOP: signed with this home's key" in shown) == (1, True)
    assert "NOT IN THIS HOME" in council.ok("--home MA directory show")
    code, shown = council.type(f"--home MA party succeed --next next.key {own} --post --yes")
    assert code == 0
    assert "The announced key is the authority of mod.example from now on" in shown
    council.ok("--home MA directory sign --post")
    for home in ("THIEF", "RG"):
        code, shown = council.type(f"--home {home} directory sign --post")
        assert code == 1
        assert "is neither the authority's nor a registrar's of mod.example" in shown
    council.ok("--home MA party next later.key " + own)
    council.ok("audit replay N")


def test_a_backup_of_before_a_succession_says_that_it_is_nobodys_any_more(council):
    for name in ("before", "after"):
        council.ok(
            f"--home MA key backup {name}.backup --backup-passphrase-file "
            f"{council.folder}/passphrase"
        )
        council.ok(
            f"--home MA {'party succeed --yes' if name == 'before' else 'directory sign'} --post"
        )
    for name in ("before", "after"):
        shown = council.ok(
            f"--home {name} key restore {name}.backup --backup-passphrase-file "
            f"{council.folder}/passphrase"
        )
        assert "Was the party succeeded since, then this is not its key" in shown
    code, shown = council.type("--home before directory sign --post")
    assert code == 1
    assert "nothing was signed · if the party was succeeded since this home was backed up" in shown
    shown = council.ok("--home after directory sign --post")
    assert shown.startswith(
        "Signed with this home's key since its backup was made: directory mod.example. See whether"
    )
    assert "in the log at DTG" in shown


def registrar_group(screen: Screen) -> str:
    """Give mod.example a registrar, RG; return the last group of its key's fingerprint."""
    registrar(screen, "MA", "mod.example")
    (line,) = screen.type("--home MA registrar list")[1].splitlines()
    return line.split("  ")[0].split()[-1]


def test_what_the_node_refused_is_taken_back_and_blocks_nothing_any_more(council):
    registrar(council, "MA", "mod.example")
    council.ok("--home RG member suspend deputy.1@mod.example --post")
    # Signed offline, by what was so before.
    council.ok("--home MA posting set watch.floor@mod.example deputy.1@mod.example")
    council.ok(f"--home MA member roles {DUTY} --role attache --role operator")
    assert "note  outbox" in council.ok("--home MA doctor")
    code, shown = council.type("--home MA directory sign --post")
    assert code == 1
    assert (
        "the first that waits, posting watch.floor@mod.example, was refused, and the rest waits "
        "behind it:\nREFUSED: member deputy.1@mod.example is suspended"
    ) in shown
    assert (
        "take it back, if it is never to be taken: liaison outbox drop (member-not-active)" in shown
    )
    code, shown = council.type("--home MA doctor")
    assert code == 1
    assert "posting watch.floor@mod.example was refused" in shown
    assert "(3 in all)" in shown
    first, second, third = council.ok("--home MA outbox list").splitlines()
    assert first.startswith("posting")
    assert "REFUSED: member deputy.1@mod.example is suspended (member-not-active)" in first
    assert second.split()[:2] == ["member", DUTY]
    assert third.split()[:3] == ["directory", "mod.example", "3"]
    assert council.ok("--home MA outbox drop --yes") == (
        "To drop:\n"
        "  Statement:   posting watch.floor@mod.example\n"
        "  Digest:      DIGEST\n"
        "  Refused:     member deputy.1@mod.example is suspended (member-not-active)\n"
        "  Then:        it is never sent, nor what was signed of the same since, nor a directory "
        "naming it;\n"
        "               this home goes on from what was before; a file of it that was handed over is "
        "void;\n"
        "               if the log has it already, it counts all the same.\n"
        "DROPPED posting watch.floor@mod.example.\n"
        "DROPPED directory mod.example 3.\n"
        "Next: liaison directory sign --post\n"
    )
    assert "watch.floor@mod.example  watch.floor.1@mod.example" in council.ok(
        "--home MA posting show"
    )
    # What waited behind it goes out, and so does whatever is signed from now on.
    shown = council.ok("--home MA directory sign --post")
    assert "Directory 3 of mod.example" in shown
    assert council.ok("--home MA outbox list") == "Nothing that this home signed waits.\n"
    shown = council.ok(
        "--home MA posting set watch.floor@mod.example watch.floor.1@mod.example --post"
    )
    assert "in the log at DTG" in shown
    assert "all that was signed here is in the log" in council.type("--home MA doctor")[1]


def test_what_could_only_be_refused_is_not_signed(council):
    for line, why in (
        (
            f"key revoke {DUTY} AAAA --lost --since +1h --yes --post",
            f"{DUTY} has no device AAAA",
        ),
        (
            f"key revoke {DUTY} {group_of(council, DUTY)} --lost --since +1h --yes --post",
            "A key is in other hands since a time that has passed, not since",
        ),
        (f"posting set legal@fco.example {DUTY} --post", "legal@fco.example is not of mod.example"),
        (f"posting set {DUTY} {DUTY} --post", f"{DUTY} is the name of a member"),
    ):
        code, shown = council.type(f"--home MA {line}")
        assert code == 1
        assert why in shown
        assert "nothing was signed" in shown
    council.ok("--home MA member suspend deputy.1@mod.example --post")
    code, shown = council.type("--home MA posting set duty.desk@mod.example deputy.1@mod.example")
    assert (code, "deputy.1@mod.example is suspended, and holds no post" in shown) == (1, True)
    assert council.ok("--home MA outbox list") == "Nothing that this home signed waits.\n"
    # Who is named twice holds it once.
    shown = council.ok(f"--home MA posting set duty.desk@mod.example {DUTY} {DUTY} --post")
    assert shown.startswith(f"duty.desk@mod.example is held by {DUTY}: in the log")
    # Since now: by whichever clock. And since a time from now backwards.
    lost = f"--home MA key revoke {DUTY} {group_of(council, DUTY)} --lost --yes --post"
    assert "is revoked: in the log at DTG" in council.ok(lost)
    other = "watch.floor.1@mod.example"
    lost = (
        f"--home MA key revoke {other} {group_of(council, other)} --lost --since -1h --yes --post"
    )
    shown = council.ok(lost)
    assert shown.startswith(f"To revoke:\n  Member:      {other}\n  Device:      ")
    assert "  Lost:        since DTG\n" in shown
    assert "what it alone took on or answered since DTG is asked again" in shown
    assert "is revoked: in the log at DTG" in shown


def group_of(screen: Screen, member: str) -> str:
    """Return the last group of the fingerprint of a member's only device."""
    lines = screen.type(f"--home MA device list {member}")[1].splitlines()
    (line,) = lines
    return line.split()[-1]
