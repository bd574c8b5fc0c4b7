"""``--json``: each command answers one line of JSON, asks nothing, and fails with a problem."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from liaison.cli import app, commands_in, context, main, notes
from liaison.cli.context import Shape
from liaison.words.errors import NodeUnreachable
from tests.cli.screen import CANARY, Screen, last_groups
from tests.cli.test_scripts import NOTE

HOTLINE = "--home F send london-hotline --to duty.desk@mod.example --subject Convoy"
DRAFT = (
    "--home F draft london-notes --to duty.desk@mod.example --kind note-verbale "
    "--clear legal@fco.example --info head.mission@fco.example --subject Overflight --yes"
)
ELSEWHERE = {
    "demo": "it is typed by tests/test_wheel.py",
    "node serve": "tests/cli/test_readme.py serves with it",
}
"""Commands that this module doesn't type, and why not."""


def named(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Give each command that can be typed; a group that does something by itself, too."""
    below = getattr(command, "commands", {})
    if not below or command.invoke_without_command:
        yield " ".join(path), command
    for name, each in below.items():
        yield from named(each, (*path, name))


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    """All commands below the root, by name."""
    root: Any = get_command(app)
    return {name: root.get_command(None, name) for name in root.list_commands(None)}


def test_every_command_takes_it(commands):
    for command in commands.values():
        for each in commands_in(command):
            options = {name for parameter in each.params for name in parameter.opts}
            assert "--json" in options, each.name


def test_every_command_answers_one_line_of_json(commands, council):
    screen = Typed(council)
    screen.play()
    known = {leaf for name, each in commands.items() for leaf, _ in named(each, (name,))}
    assert {leaf for leaf in known if not screen.has_typed(leaf)} == set(ELSEWHERE)


def test_where_a_question_would_be_asked_it_is_a_wrong_use(commands, screen):
    asks = {
        leaf: each
        for name, command in commands.items()
        for leaf, each in named(command, (name,))
        if any("--yes" in parameter.opts for parameter in each.params)
    }
    assert {"send", "release", "propose", "desk close", "node restore", "channel leave"} <= set(
        asks
    )
    for leaf, command in asks.items():
        needed = [
            word
            for parameter in command.params
            if parameter.required
            for word in (
                *parameter.opts[: parameter.param_type_name == "option"],
                "attache" if "--role" in parameter.opts else "x",
            )
        ]
        code, shown = screen.run(["--home", "F", *leaf.split(" "), *needed, "--json"])
        problem = json.loads(shown)
        assert (code, problem["code"], problem["exit_code"]) == (2, "usage", 2), shown
        assert "with --json nothing is asked: add --yes" in problem["detail"], shown
    code, shown = screen.type("--home FA --json party new fco.example")
    assert code == 0, shown
    code, shown = screen.type("--home MA --json party pin FA/fco.party")
    assert (code, "add --heard GROUPS" in json.loads(shown)["detail"]) == (2, True)
    screen.ok("--home F enrol desk@fco.example")
    code, shown = screen.type("--home FA --json member approve F/request.liaison --role attache")
    assert (code, "add --heard WORDS" in json.loads(shown)["detail"]) == (2, True)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("--json", "usage", ""),
        ("--json smoke", "usage", "No such command 'smoke'."),
        ("inbox --json", "usage", "which home?"),
        ("--home F send --json", "usage", "Missing"),
        ("--home F inbox --loud --json", "usage", "No such option"),
        ("--home F inbox --json", "not-ready", "F is not a member's home"),
        ("--home F party new F --json", "malformed", "not a valid party id: 'F'"),
    ],
)
def test_what_went_wrong_is_a_problem_with_the_same_exit_code(line, code, said, screen, capsys):
    words = line.split()
    exit_code, shown = screen.run(words)
    problem = json.loads(shown)
    assert (problem["code"], problem["exit_code"]) == (code, exit_code)
    assert said in problem["detail"]
    without, shown = screen.run([word for word in words if word != "--json"])
    assert without == exit_code
    assert said in shown


def test_the_answer_is_on_one_stream_and_the_problem_on_the_other(screen, monkeypatch, capsys):
    out, err = capture(screen, monkeypatch, capsys, ["--version", "--json"])
    assert json.loads(out)["software"] == "liaison"
    assert err == ""
    out, err = capture(screen, monkeypatch, capsys, ["--home", "F", "inbox", "--json"])
    assert out == ""
    assert json.loads(err)["code"] == "not-ready"


async def cut(*_: object) -> str:
    raise NodeUnreachable("cut")


def capture(screen, monkeypatch, capsys, words: list[str]) -> tuple[str, str]:
    monkeypatch.setattr(sys, "argv", ["liaison", *words])
    with contextlib.suppress(SystemExit):
        main()
    said = capsys.readouterr()
    return said.out, said.err


def test_a_backup_that_is_put_back_is_said_with_what_was_kept(screen):
    screen.ok("--home N node init --origin localhost/test")
    screen.ok("--home N node backup B")
    done = json.loads(screen.ok("--home N node restore B --yes --json"))
    assert (done["file"], done["size"], done["serves"]) == ("B", 1, True)
    assert (screen.folder / done["kept"]).exists()


def test_followed_it_is_one_line_for_each_item(council, monkeypatch):
    council.ok(f"{HOTLINE} --yes", CANARY)
    council.ok(f"{HOTLINE} --yes", CANARY)

    def answer_and_stop(shape: Shape) -> None:
        context.answer(shape)
        if str(shape["reference"]).endswith("/2"):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(notes, "answer", answer_and_stop)
    shown = council.ok("--home M inbox --follow --json")
    items = [json.loads(line) for line in shown.splitlines()]
    assert [item["reference"] for item in items] == ["london-hotline/1", "london-hotline/2"]


class Typed:
    """Types with ``--json``, now before the command and now behind it, and keeps what was typed."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.lines: list[str] = []

    def has_typed(self, command: str) -> bool:
        said = (re.sub(r"^--home \S+ ", "", line) for line in self.lines)
        return any(f"{line} ".startswith(f"{command} ") for line in said)

    def type(self, line: str, text: str = "", *, exit_code: int = 0) -> dict[str, Any]:
        self.lines.append(line)
        typed = f"--json {line}" if len(self.lines) % 2 else f"{line} --json"
        code, shown = self.screen.type(typed, text)
        assert code == exit_code, f"{typed}: {shown}"
        answers = [json.loads(each) for each in shown.splitlines()]
        assert len(answers) == 1, f"{typed}: {shown}"
        assert shown.isascii()
        assert "null" not in shown
        return dict(answers[0])

    def play(self) -> None:
        self.begin()
        self.send()
        self.watch()
        self.draft()
        self.agree()
        self.keep_keys()
        self.administer()

    def begin(self) -> None:
        """Two more parties, and all that an authority types."""
        made = self.type("--home XA party new x.example")
        assert re.fullmatch(r"(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}", made["fingerprint"])
        assert self.type("--home N node admit XA/x.party")["party"] == "x.example"
        other = self.type("--home YA party new y.example")
        heard = last_groups(str(other["fingerprint"]))
        pinned = self.type(f"--home XA party pin YA/y.party --heard {heard}")
        assert pinned["party"] == "y.example"
        assert isinstance(pinned["at"], int)
        assert pinned in self.type("--home XA party show")["parties"]
        asked = self.type("--home X enrol desk@x.example")
        assert asked["post"] == "desk@x.example"
        self.lines.append("enrol request")  # which `enrol POST` is short for
        approve = "--home XA member approve X/request.liaison --role attache"
        approved = self.type(self.screen.compared(approve))
        assert approved["phrase"] == asked["phrase"]
        assert approved["fingerprint"] == made["fingerprint"]
        heard = last_groups(str(made["fingerprint"]))
        finish = f"enrol finish XA/approval.liaison --node N/node.liaison --heard {heard}"
        done = self.type(f"--home X {finish}")
        assert done["member"] == "desk.1@x.example"
        self.type("--home X2 enrol desk@x.example --as desk.1")
        self.lines.append("enrol request")
        added = self.type(self.screen.compared("--home XA device add X2/request.liaison"))
        assert added["member"] == "desk.1@x.example"
        assert self.type(f"--home X2 {finish}")["post"] == "desk@x.example"
        assert len(self.type("--home XA device list")["devices"]) == 2
        roles = "--home XA member roles desk.1@x.example --role attache --node N/node.liaison"
        signed = self.type(f"{roles} --post")
        assert (signed["signed"], signed["sent"]) == ("member", True)
        assert self.type("--home XA posting set desk@x.example")["sent"] is False
        assert self.type("--home XA directory sign --post")["sequence"] == 1
        assert {one["kind"] for one in self.type("--home XA directory show")["current"]} == {
            "party",
            "member",
            "posting",
            "directory",
        }
        self.type("--home XR registrar new x.example")
        delegate = "registrar delegate XR/request.liaison --scope directory --post"
        assert self.type(self.screen.compared(f"--home XA {delegate}"))["signed"] == "party"
        begin = f"registrar begin XA/x.party --node N/node.liaison --heard {heard}"
        assert self.type(f"--home XR {begin}")["scope"] == ["directory"]
        assert self.type("--home XR registrar run --once")["warnings"] == []
        (one,) = self.type("--home XA registrar list")["registrars"]
        assert self.type(f"--home XA registrar end {one['key']} --post")["sent"] is True
        exported = self.type("--home XA party export")
        assert self.type("--home XA party take XA/x.records")["records"] == exported["records"]
        who = "desk.1@x.example"
        devices = self.type("--home XA device list")["devices"]
        (listed,) = self.type("--home XA member list")["members"]
        assert (listed["member"], listed["roles"]) == (who, ["attache"])
        for line in (
            f"member suspend {who}",
            f"member reinstate {who}",
            f"key revoke {who} {devices[0]['key']} --lost --yes",
            f"member revoke {who} --yes",
        ):
            assert self.type(f"--home XA {line} --post")["signed"] == "member"
        apart = "XA.next --next-passphrase-file passphrase"
        assert self.type(f"--home XA party next {apart}")["party"] == "x.example"
        succeed = f"--home XA party succeed --next {apart} --yes --post"
        assert self.type(succeed)["signed"] == "party"
        assert self.type("channel defaults hotline")["terms"]["kind"]
        assert "_LIAISON_COMPLETE" in self.type("completion bash")["script"]
        proposed = "--home FA channel propose hotline --alias second --with mod.example"
        assert self.type(f"{proposed} --exercise --post")["signed"] == "charter"
        assert self.type("--home FA channel accede second --post")["is_open"] is False
        assert self.type("--home MA channel accede second --post")["is_open"] is True
        assert self.type("--home FA roster set second attache.london --post")["signed"] == "roster"
        shown = self.type("--home F channel show second")
        assert shown["parties"] == ["fco.example", "mod.example"]
        assert shown["rosters"][0]["tiers"][0]["posts"] == ["attache.london@fco.example"]
        assert len(self.type("--home F channel list")["channels"]) == 4
        (self.screen.folder / "terms.toml").write_text(self.screen.ok("channel defaults hotline"))
        amend = "--home FA channel amend second --terms terms.toml --post --yes"
        assert self.type(amend)["sent"] is True
        for verb in ("suspend", "resume", "leave"):
            yes = " --yes" if verb == "leave" else ""
            done = self.type(f"--home MA channel {verb} second --post{yes}")
            assert done["signed"] == "participation"

    def send(self) -> None:
        """A note from sending to its receipt."""
        sent = self.type(f"{HOTLINE} --yes", CANARY)
        assert (sent["done"], sent["reference"]) == ("note", "london-hotline/1")
        assert sent["receipt"] == "F/receipts/london-hotline/1.receipt"
        (item,) = self.type("--home M inbox")["items"]
        assert (item["kind"], item["subject"]) == ("note", "Convoy")
        assert item["precedence"] == "flash"
        assert set(item) == {*NOTE, "exercise"}
        assert item["at"] == sent["at"]
        assert self.type("--home M read london-hotline/1")["parts"][0]["text"] == CANARY
        told = self.type("--home M ack london-hotline/1")
        assert (told["verdict"], told["post"]) == ("acknowledged", "duty.desk@mod.example")
        answered = self.type("--home M reply london-hotline/1 --yes", "Understood.")
        assert answered["reference"] == "london-hotline/2"
        heard = self.type("--home F inbox")["items"]
        assert [one["kind"] for one in heard] == ["note", "answer"]
        refused = self.type("--home M ack london-hotline/1", exit_code=1)
        assert (refused["code"], refused["exit_code"]) == ("already-acknowledged", 1)
        assert "refusal" in refused
        (state,) = self.type("--home F status london-hotline/1")["notes"]
        assert state["reference"] == "london-hotline/1"
        assert state["addressees"][0]["life"] == "acknowledged"
        receipt = "F/receipts/london-hotline/1.receipt --node N/node.liaison"
        assert self.type(f"receipt show {receipt}")["by"] == "attache.london.1@fco.example"
        assert self.type(f"receipt verify {receipt}")["at"] == sent["at"]
        self.type("--home F decline london-hotline/2 --reason No")
        self.type(f"{HOTLINE} --yes", CANARY)
        done = self.type("--home F cancel london-hotline/3 --yes")
        assert (done["done"], done["reference"]) == ("withdrawal", "london-hotline/3")
        self.keep()
        self.wait()
        assert self.type("--home F outbox list") == {"waiting": []}
        assert self.type("--home F outbox flush") == {"sent": []}
        below = "--below IMMEDIATE --until +1h"
        assert self.type(f"--home M hold london-hotline duty.desk@mod.example {below}")
        roles = "--home FA member roles attache.london.1@fco.example --role attache"
        self.type(f"{roles} --role line-test --post")
        self.type("--home FA directory sign --post")
        test = self.type("--home F line-test london-hotline")
        assert isinstance(test.get("next", test.get("at")), int)

    def keep(self) -> None:
        """Who holds a post, what they get, and what this device keeps."""
        shown = self.type("--home F posting show duty.desk@mod.example")["posts"]
        assert [holder["member"] for holder in shown[0]["holders"]] == ["duty.desk.1@mod.example"]
        (device,) = shown[0]["holders"][0]["devices"]
        signed = self.type("--home F key signed duty.desk.1@mod.example")["signed"]
        assert {one["key"] for one in signed} == {device["key"]}
        whole = self.type("audit signed N duty.desk.1@mod.example")["signed"]
        assert {one["index"] for one in signed} < {one["index"] for one in whole}
        granted = self.type("--home F grant london-hotline/1 duty.desk@mod.example --yes")
        assert (granted["done"], granted["reference"]) == ("grant", "london-hotline/1")
        handover = "posting handover duty.desk@mod.example --to duty.desk.1@mod.example --yes"
        done = self.type(f"--home M {handover}")
        assert [one["reference"] for one in done["unsettled"]] == [
            one["reference"] for one in done["granted"]
        ]
        found = self.type("--home M cabinet search convoy")["notes"]
        assert {one["subject"] for one in found} >= {"Convoy", "Re: Convoy"}
        assert found == self.type("--home M cabinet list")["notes"]
        assert self.type("--home M cabinet show london-hotline/1")["parts"][0]["text"] == CANARY
        forgotten = self.type("--home M cabinet forget london-hotline/1 --yes")
        assert forgotten == {"forgotten": ["london-hotline/1"]}

    def wait(self) -> None:
        """What waits goes by courier, and its end comes back; or it is dropped."""
        waiting = self.left()
        parcel = self.type("--home F outbox export --out a.parcel")
        assert parcel == {**waiting, "file": "a.parcel", "node": "a.parcel.node"}
        refused = self.type("lodge a.parcel --node N/node.liaison", exit_code=1)
        assert refused["code"] == "already-declined"
        refused = self.type("--home F receipt import a.parcel.refusal", exit_code=1)
        assert refused["code"] == "already-declined"
        kind = self.type("--home F receipt verify a.parcel.refusal")["kind"]
        assert kind == self.type("--home F receipt show a.parcel.refusal")["kind"] == "refusal"
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("liaison.client.transport.Transport.submit", cut)
            self.type(f"{HOTLINE} --yes", CANARY, exit_code=75)
        assert self.type("--home F outbox show")["parts"][0]["text"] == CANARY
        self.screen.ok("--home F outbox drop --yes")
        self.screen.ok("--home F outbox flush")  # a void in its place
        waiting = self.left()
        dropped = self.type(f"--home F outbox drop {waiting['statement']} --yes")
        assert dropped == {"dropped": waiting["statement"]}

    def left(self) -> dict[str, Any]:
        """Have an answer wait, as the outbox lists it."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("liaison.client.transport.Transport.submit", cut)
            waits = self.type("--home F ack london-hotline/2", exit_code=75)
        assert (waits["code"], waits["exit_code"]) == ("waiting", 75)
        (waiting,) = self.type("--home F outbox list")["waiting"]
        return dict(waiting)

    def watch(self) -> None:
        """A note that nobody takes on, as the operators see it."""
        # Which number it has the hour decides: whose turn it was to test the line.
        note = self.type(f"{HOTLINE} --yes", CANARY)["reference"]
        (item,) = self.type("--home O desk")["items"]
        assert item["reference"] == note
        for act in ("claim", "annotate --text Asked", "snooze --until +1s", "put-back"):
            name, _, rest = act.partition(" ")
            done = self.type(f"--home O desk {name} {note} {rest}".rstrip())
            assert done["reference"] == note
        self.type(f"--home O desk escalate {note} --yes")
        assert self.type("--home N node advance 40s")["advance_us"] == 40_000_000
        self.screen.until("--home O desk", "EXHAUSTED")
        self.type(f"--home O desk close {note} --text Called --yes")
        again = "--post duty.desk@mod.example --text Again"
        self.type(f"--home O desk reopen {note} {again} --yes")
        below = "--below FLASH --until +1h --text Storm --yes"
        self.type(f"--home O desk minimize london-hotline {below}")

    def draft(self) -> None:
        drafted = self.type(DRAFT, CANARY)
        assert drafted["done"] == "draft"
        assert self.type(f"--home L ack {drafted['reference']}")["verdict"] == "acknowledged"
        self.screen.ok("--home R inbox")
        released = self.type(f"--home R release {drafted['reference']} --yes")
        assert released["reference"] == "london-notes/1"
        assert " 1/20" in released["number"]

    def agree(self) -> None:
        propose = "--home F propose council --until +5m --subject Patrol --yes"
        for _ in range(3):
            self.type(propose, CANARY)
        self.screen.ok("--home P inbox")
        self.screen.ok("--home C inbox")
        self.type("--home P object council/1 --yes")
        self.type("--home F withdraw council/2 --yes")
        self.type("--home C extend council/3 --until +9m --yes")

    def keep_keys(self) -> None:
        own = "--backup-passphrase-file passphrase"
        made = self.type(f"--home P key backup P.backup {own}")
        assert (made["who"], made["file"]) == ("mission.1@partner.example", "P.backup")
        assert "pins.json" in made["files"]
        restored = self.type(f"--home P2 key restore P.backup {own}")
        assert (restored["at"], restored["keys"]) == (made["at"], made["keys"])
        self.screen.monkeypatch.setenv("XDG_DATA_HOME", str(self.screen.folder))
        self.screen.monkeypatch.setenv("XDG_RUNTIME_DIR", str(self.screen.folder / "run"))
        (self.screen.folder / "run").mkdir(mode=0o700)
        assert self.type("profile list") == {"profiles": []}
        unlocked = self.type("--home P2 unlock")
        assert (unlocked["who"], unlocked["idle_s"]) == (made["who"], 900)
        about = self.type("--home P2 whoami")
        assert (about["who"], about["result"]) == (made["who"], "good")
        assert self.type("--home P2 lock") == {"was_unlocked": True}
        assert self.type("--home P doctor")["findings"]
        changed = self.type("--home P2 key passphrase --new-passphrase-file passphrase")
        assert changed["who"] == made["who"]

    def administer(self) -> None:
        """What the one who runs the node types, at last with the node in place."""
        assert self.type("--home N node doctor", exit_code=0)["result"] == "good"
        assert self.type("--home N node check")["findings"]
        assert self.type("--home N node settings")["listen"]["source"]
        report = self.type("audit verify N")
        assert (report["audit"], report["result"]) == ("verify", "whole")
        assert self.type("audit replay N")["audit"] == "replay"
        backup = self.type("--home N node backup all.backup")
        assert backup["file"] == "all.backup"
        assert self.type("--home N node upgrade-check all.backup")["size"] == backup["size"]
        assert "at" in self.type("--home N node confirm-time")
        self.type("--home N node rules-version 2", exit_code=1)
        self.type("--home N2 node init --origin localhost/second")
        self.type("--home N node restore all.backup --yes", exit_code=3)
        self.type("--home N2 node retire --origin localhost/third --successor N3")
