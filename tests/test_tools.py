"""What a test can't have fails it in CI, with the reason; a skip there is a failure."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped

from tests.tools import fetched, lacking, run, tool

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("ci", "outcome"), [("true", Failed), ("", Skipped)])
def test_what_is_lacking_fails_a_test_in_ci_and_skips_it_elsewhere(ci, outcome, monkeypatch):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no such thing here"):
        lacking("no such thing here")


def test_a_program_that_is_here_is_taken_from_here():
    assert tool("sh", "dash") == shutil.which("sh")


@pytest.mark.parametrize("lacks", ["apt-get", "dpkg-deb"])
def test_where_there_are_no_packages_of_debian_it_is_said(lacks, monkeypatch, tmp_path):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(shutil, "which", lambda name: None if name == lacks else f"/usr/bin/{name}")
    with pytest.raises(Failed, match="promtool is not here, nor are Debian's packages"):
        fetched("promtool", "prometheus", tmp_path)


def test_a_package_that_cannot_be_had_is_named_with_what_was_said(monkeypatch, tmp_path):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(Failed, match="no-such-package-here can't be fetched: apt-get"):
        fetched("nothing", "no-such-package-here", tmp_path)


def test_a_skip_is_a_failure_in_ci_and_none_elsewhere(tmp_path):
    file = tmp_path / "test_one.py"
    file.write_text("import pytest\n\n\ndef test_one():\n    pytest.skip('not today')\n")
    command = (sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider")
    options = ("-c", str(ROOT / "pyproject.toml"), f"--rootdir={tmp_path}", str(file))
    here = {"PYTHONPATH": str(ROOT)}
    done = run(*command, *options, environment={**here, "CI": "true"})
    assert done.returncode == 1
    assert "skipped in CI: " in done.stdout
    assert "not today" in done.stdout
    assert run(*command, *options, environment={**here, "CI": ""}).returncode == 0
