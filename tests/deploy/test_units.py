"""The systemd units: read by systemd itself, and caged. They aren't run here: there is no systemd."""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path

import pytest

from tests.tools import run, tool

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
MOST_EXPOSED = 1.2
"""Of 10. The node talks to the network, so it can't be 0."""


def read(name: str) -> dict[str, dict[str, str]]:
    """Return a unit's settings; of one that stands there twice, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names as they are
    parser.read(UNITS / name)
    return {section: dict(parser[section]) for section in parser.sections()}


@pytest.fixture
def placed(tmp_path):
    """The units as if liaison were installed: verify looks for what they start."""
    liaison = Path(sys.executable).with_name("liaison")
    for path in UNITS.iterdir():
        text = path.read_text().replace("/opt/liaison/bin/liaison", str(liaison))
        (tmp_path / path.name).write_text(text)
    return tmp_path


def test_the_units_are_there():
    assert [name.removesuffix(".service") for name in SERVICES] == [
        "liaison-backup",
        "liaison-check",
        "liaison-node",
        "liaison-registrar",
    ]
    assert {path.stem for path in UNITS.glob("*.timer")} == {"liaison-backup", "liaison-check"}


def test_systemd_reads_every_unit_without_a_complaint(placed):
    analyze = tool("systemd-analyze", "systemd")
    units = sorted(str(path) for path in placed.iterdir())
    done = run(analyze, "verify", "--man=no", *units)
    assert (done.returncode, done.stdout) == (0, "")
    # It does look: a slip is found.
    node = placed / "liaison-node.service"
    node.write_text(node.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    done = run(analyze, "verify", "--man=no", str(node))
    assert "'WatchdogSecs' in section" in done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_to_little(name):
    analyze = tool("systemd-analyze", "systemd")
    done = run(analyze, "security", "--no-pager", "--offline=true", str(UNITS / name))
    assert done.returncode == 0, done.stdout
    level = re.search(r"Overall exposure level for [^:]+: ([0-9.]+)", done.stdout)
    assert level is not None, done.stdout
    assert float(level.group(1)) <= MOST_EXPOSED, done.stdout


def test_when_systemd_reads_its_calendar_the_timers_have_a_next_time():
    analyze = tool("systemd-analyze", "systemd")
    for timer in ("liaison-backup.timer", "liaison-check.timer"):
        done = run(analyze, "calendar", read(timer)["Timer"]["OnCalendar"])
        assert done.returncode == 0, done.stdout
        assert "Next elapse:" in done.stdout


def test_the_node_s_unit_says_what_the_node_does():
    service = read("liaison-node.service")["Service"]
    assert service["Type"] == "notify"
    assert "3" in service["RestartPreventExitStatus"].split()  # the guard's refusal is seen
    assert int(service["TimeoutStopSec"]) > 10  # main.DRAIN_S
    for name in SERVICES:
        service = read(name)["Service"]
        # A registrar is a party's, not the node's: it can have nothing of the node in hand.
        whose = "liaison-registrar" if name == "liaison-registrar.service" else "liaison"
        assert service["User"] == service["Group"] == service["StateDirectory"] == whose
        assert f"Environment=LIAISON_HOME=/var/lib/{whose}\n" in (UNITS / name).read_text()
        assert service["StateDirectoryMode"] == "0700"


def test_the_registrar_s_passphrase_is_handed_to_its_service_alone():
    text = (UNITS / "liaison-registrar.service").read_text()
    assert "LoadCredential=passphrase:/etc/liaison/registrar.passphrase\n" in text
    assert "Environment=LIAISON_PASSPHRASE_FILE=%d/passphrase\n" in text
