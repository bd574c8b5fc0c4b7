"""The registrar: delegated within bounds, and the daily directory that it renews by itself."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from liaison.cli.registrar import keep_looking
from liaison.client import Authority, Home
from liaison.client.registrar import Renewed, renew
from liaison.statements.payloads import Directory
from liaison.statements.statement import Statement
from liaison.words.canonical import format_canonical
from liaison.words.errors import ChainBroken, LiaisonError, NodeUnreachable
from tests.cli.screen import PASSPHRASE, Screen, last_groups, serving, steady
from tests.deploy.test_units import UNITS
from tests.faults.process import environment
from tests.world import hotline


@pytest.fixture
def begun(screen, monkeypatch):
    """A party with one member, at a node whose time is moved."""
    screen.ok("--home N node init --origin localhost/test --exercise")
    with serving(screen.folder / "N") as url:
        monkeypatch.setenv("LIAISON_URL", url)
        card = screen.folder / "N" / "node.liaison"
        card.write_text(card.read_text().replace("http://127.0.0.1:8470", url))
        screen.url = last_groups(screen.type("--home FA party new fco.example")[1])
        for line in (
            "--home N node admit FA/fco.party",
            "--home F enrol attache.london@fco.example",
            "--home FA member approve F/request.liaison --role attache",
            f"--home F enrol finish FA/approval.liaison --node N/node.liaison --heard {screen.url}",
            "--home FA directory sign --node N/node.liaison --post",
        ):
            screen.ok(screen.compared(line) if "approve" in line else line)
        yield screen


def delegate(screen: Screen, bounds: str = "") -> str:
    """Type what makes RG a registrar; return what its first command shows."""
    screen.ok("--home RG registrar new fco.example")
    line = f"--home FA registrar delegate RG/request.liaison {bounds}--post"
    shown = screen.ok(screen.compared(line))
    assert shown.endswith("read them the fingerprint of fco.example: FINGERPRINT\n")
    return screen.ok(
        f"--home RG registrar begin FA/fco.party --node N/node.liaison --heard {screen.url}"
    )


def test_a_registrar_signs_members_postings_and_the_directory_where_the_authority_left_off(begun):
    assert delegate(begun) == (
        "fco.example shows this fingerprint:\n  FINGERPRINT\n"
        "This home signs directory, member, posting, roster for fco.example until DTG.\n"
    )
    begun.ok("--home L enrol legal@fco.example")
    begun.ok(begun.compared("--home RG member approve L/request.liaison --role attache"))
    begun.ok(f"--home L enrol finish RG/approval.liaison --node N/node.liaison --heard {begun.url}")
    begun.ok("--home RG posting set legal@fco.example legal.1@fco.example --post")
    shown = begun.ok("--home RG directory sign --post")
    assert shown.startswith("Directory 2 of fco.example, valid until DTG: 2 members, 2 postings")
    # The authority goes on from there, though it signed none of that.
    shown = begun.ok("--home FA directory sign --post")
    assert shown.startswith("Directory 3 of fco.example, valid until DTG: 2 members, 2 postings")
    assert begun.ok("--home FA device list").count("FINGERPRINT") == 2


def test_what_is_not_in_its_scope_or_is_the_authoritys_alone_it_does_not_sign(begun):
    delegate(begun, "--scope directory --scope roster ")
    begun.ok("--home RG directory sign --post")
    begun.ok("--home L enrol legal@fco.example")
    approve = begun.compared("--home RG member approve L/request.liaison --role attache")
    code, shown = begun.type(approve)
    assert code == 1
    assert "this registrar of fco.example may not sign a member · nothing was signed" in shown
    heard = last_groups(begun.type("--home MA party new mod.example")[1])
    begun.ok(f"--home RG party pin MA/mod.party --heard {heard}")
    code, shown = begun.type("--home RG channel propose hotline --alias x --with mod.example")
    assert code == 1
    assert "Only the authority of fco.example signs a charter" in shown


def test_its_time_ends_and_it_warns_before(begun):
    delegate(begun, "--until +15d ")
    assert begun.ok("--home RG registrar run --once") == (
        "Directory 1 of fco.example stands, valid until DTG: nothing was to be renewed.\n"
    )
    begun.ok("--home N node advance 20h")
    assert begun.ok("--home RG registrar run --once") == (
        "Directory 2 of fco.example, valid until DTG, is in the log.\n"
    )
    begun.ok("--home N node advance 1d")
    shown = begun.ok("--home RG registrar run --once")
    assert "this registrar of fco.example ends at DTG: the authority goes on" in shown
    begun.ok("--home N node advance 14d")
    code, shown = begun.type("--home RG registrar run --once")
    assert code == 1
    assert "this registrar of fco.example ended at" in shown
    assert "liaison registrar delegate FILE" in shown
    begun.ok(begun.compared("--home FA registrar delegate RG/request.liaison --post"))
    assert "is in the log" in begun.ok("--home RG registrar run --once")


def test_one_that_was_ended_signs_no_more_and_its_key_is_not_read_with(begun):
    delegate(begun)
    (shown,) = begun.ok("--home FA registrar list").splitlines()
    assert shown == "FINGERPRINT  until DTG  directory, member, posting, roster"
    group = begun.type("--home FA registrar list")[1].split("  ")[0].split()[-1]
    code, shown = begun.type("--home FA registrar end AAAA")
    assert code == 1
    assert "AAAA names 0 registrars of fco.example, not one" in shown
    begun.ok(f"--home FA registrar end {group} --post")
    assert begun.ok("--home FA registrar list") == "There are no registrars.\n"
    code, shown = begun.type("--home RG directory sign --post")
    assert code == 1
    assert "is neither the authority's nor a registrar's of fco.example" in shown


def test_the_directory_is_renewed_each_day_and_when_something_changed(begun):
    delegate(begun)
    run = "--home RG registrar run --once --json"
    begun.ok("--home N node advance 1d")

    def looked() -> tuple[int, bool]:
        told = json.loads(begun.type(run)[1])
        return told["sequence"], told["is_new"]

    assert looked() == (2, True)
    assert looked() == (2, False)
    begun.ok("--home N node advance 19h")
    assert looked() == (2, False)
    shown = begun.ok("--home RG registrar run --once")
    assert shown.startswith("Directory 2 of fco.example stands, valid until ")
    begun.ok("--home N node advance 1h")
    assert looked() == (3, True)
    begun.ok("--home FA member roles attache.london.1@fco.example --role operator --post")
    assert looked() == (4, True)
    begun.ok("--home N node advance 30d")
    code, shown = begun.type("--home RG registrar run --once")
    assert code == 0
    assert "attache.london.1@fco.example can be sealed to until" in shown


def test_what_was_never_posted_and_overtaken_is_said_and_not_posted_later(begun):
    delegate(begun)
    begun.ok("--home FA member roles attache.london.1@fco.example --role operator")
    roles = "member roles attache.london.1@fco.example --role auditor --post"
    begun.ok(f"--home RG {roles}")
    shown = begun.ok("--home FA directory sign --post")
    assert shown.startswith(
        "What this home signed of member attache.london.1@fco.example was never posted, and "
        "another signed since\n"
    )
    assert "1 members" in shown
    assert "never posted" not in begun.ok("--home FA directory sign --post")


def test_an_authority_that_is_offline_goes_on_from_a_file(begun, monkeypatch):
    delegate(begun)
    begun.ok("--home RG member suspend attache.london.1@fco.example --post")
    assert begun.ok("--home RG party export") == (
        "8 records of fco.example: carry RG/fco.records to the authority.\n"
    )
    said = json.loads((begun.folder / "RG" / "fco.records").read_text())
    del said["receipts"][-2]  # the suspension
    (begun.folder / "cut.records").write_bytes(format_canonical(said))
    with monkeypatch.context() as patch:
        patch.setenv("LIAISON_URL", "http://127.0.0.1:9")
        code, shown = begun.type("--home FA party take cut.records")
        assert code == 1
        assert "Record 7 of fco.example is left out" in shown
        assert shown.endswith("(log-untrusted)\n")
        code, shown = begun.type("--home FA member reinstate attache.london.1@fco.example")
        assert code == 1
        assert "attache.london.1@fco.example is active" in shown
        assert begun.ok("--home FA party take RG/fco.records") == (
            "This home goes on from 8 records of fco.example.\n"
        )
        begun.ok("--home FA party take RG/fco.records")
        shown = begun.ok("--home FA member reinstate attache.london.1@fco.example")
        assert "signed in FA/attache.london.1.member; not sent" in shown
    # What was signed offline is taken as it is.
    shown = begun.ok("--home FA directory sign --post")
    assert "never posted" not in shown
    assert "1 members" in shown


def test_its_unit_starts_what_renews_the_directory_until_it_is_stopped(begun):
    delegate(begun)
    begun.ok("--home N node advance 20h")
    text = (UNITS / "liaison-registrar.service").read_text()
    started = re.search("^ExecStart=/opt/liaison/bin/liaison (.+)$", text, re.MULTILINE)
    assert started is not None
    command = (sys.executable, "-m", "liaison.cli", *started[1].split())
    home = {**environment(), "LIAISON_HOME": str(begun.folder / "RG")}
    with subprocess.Popen(command, env=home, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            line = steady(service.stdout.readline())
            assert line == "Directory 2 of fco.example, valid until DTG, is in the log.\n"
            assert service.poll() is None
            # The home is free between two looks.
            begun.ok("--home RG posting set legal@fco.example attache.london.1@fco.example --post")
            service.terminate()
            assert service.wait(30) == 0
        finally:
            service.kill()


async def test_a_look_that_fails_is_said_once_and_tried_again(capsys):
    stands = Renewed(hotline().directory("fco.example").payload, False, ("a key ends",))
    looks: Iterator[Renewed | LiaisonError] = iter(
        [
            NodeUnreachable("No answer"),
            NodeUnreachable("No answer"),
            stands,
            stands,
            NodeUnreachable("No answer"),
            ChainBroken("another key"),
        ]
    )

    async def look() -> Renewed:
        came = next(looks)
        if isinstance(came, LiaisonError):
            raise came
        return came

    with pytest.raises(ChainBroken):
        await keep_looking(look, lambda: asyncio.sleep(0))
    assert capsys.readouterr().err.splitlines() == [
        "The directory was not renewed now: No answer (node-unreachable)",
        "a key ends",
        "The directory was not renewed now: No answer (node-unreachable)",
    ]


async def test_a_look_that_the_authority_overtook_is_said_and_the_next_one_goes_on(
    begun, monkeypatch, capsys
):
    await asyncio.to_thread(delegate, begun)
    await asyncio.to_thread(begun.ok, "--home N node advance 20h")
    sign = Authority.sign_directory
    made: list[Statement[Directory]] = []
    looks: list[Renewed] = []

    def overtaken(signer: Authority) -> Statement[Directory]:
        """Have the registrar sign while the authority signs and posts one of its own."""
        if not signer.is_registrar:
            return sign(signer)
        made.append(sign(signer))
        if len(made) == 1:
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(begun.ok, "--home FA directory sign --post").result()
        return made[-1]

    async def look() -> Renewed:
        async with Authority.open(Home(begun.folder / "RG"), PASSPHRASE) as registrar:
            looks.append(await renew(registrar))
            return looks[-1]

    async def pause() -> None:
        if looks:
            raise KeyboardInterrupt
        await asyncio.to_thread(begun.ok, "--home N node advance 20h")

    with monkeypatch.context() as patch:
        patch.setattr(Authority, "sign_directory", overtaken)
        with pytest.raises(KeyboardInterrupt):
            await keep_looking(look, pause)
    assert capsys.readouterr().err.startswith(
        "The directory was not renewed now: sequence is 2; the next here is 3 · nothing of it is in the "
        "log"
    )
    assert [(one.directory, one.is_new) for one in looks] == [(made[1].payload, True)]
    assert made[1].payload.sequence == 3


def test_who_is_out_of_force_is_not_asked_to_renew_a_key(begun):
    delegate(begun)
    begun.ok("--home N node advance 30d")
    begun.ok("--home RG directory sign --post")
    warned = "attache.london.1@fco.example can be sealed to until"
    assert warned in begun.ok("--home RG registrar run --once")
    begun.ok("--home RG member suspend attache.london.1@fco.example --post")
    assert warned not in begun.ok("--home RG registrar run --once")
    # Nor who holds no post: nobody seals to them.
    begun.ok("--home FA member reinstate attache.london.1@fco.example --post")
    assert warned in begun.ok("--home RG registrar run --once")
    begun.ok("--home RG posting set attache.london@fco.example --post")
    assert warned not in begun.ok("--home RG registrar run --once")
