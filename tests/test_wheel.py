"""What is shipped: the wheel holds the normative texts, and the demonstration runs from it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXTS = {
    path.relative_to(ROOT / "protocols").as_posix(): path.read_bytes()
    for path in (ROOT / "protocols").rglob("*")
    if path.is_file()
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    code = f"import hatchling.build as b; print(b.build_wheel({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("liaison-*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_the_wheel_holds_every_file_of_protocols_unchanged(wheel):
    inside = "liaison/protocols/"
    shipped = {
        name.removeprefix(inside): wheel.read(name)
        for name in wheel.namelist()
        if name.startswith(inside)
    }
    assert shipped == TEXTS
    assert "README.md" in shipped


def test_an_install_in_place_reads_the_same_files():
    assert TEXTS
    for name, data in TEXTS.items():
        assert files("liaison").joinpath("protocols", *name.split("/")).read_bytes() == data


def test_the_wheel_holds_the_code_its_types_and_the_licence_and_nothing_else(wheel):
    names = wheel.namelist()
    assert "liaison/words/canonical.py" in names
    assert "liaison/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"liaison"}


def test_the_demonstration_runs_from_the_wheel_and_holds(wheel, tmp_path):
    """A FLASH climbs to the deputy, receipts, the audit, one altered byte named (README)."""
    installed = tmp_path / "installed"
    wheel.extractall(installed)
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    which = [sys.executable, "-c", "import liaison; print(liaison.__file__)"]
    found = subprocess.run(
        which, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(installed / "liaison" / "__init__.py")
    done = subprocess.run(
        [sys.executable, "-m", "liaison.cli", "demo"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for said in (
        "ACCEPTED london-hotline/1 at",
        "london-hotline/1 was acknowledged by deputy.1@mod.example for deputy@mod.example",
        "VERIFIED F/receipts/london-hotline/1.alert.",
        "As it must be.",
        "FIRST DIFFERENCE: entry",
        "All of it held",
    ):
        assert said in done.stdout
    assert done.stderr == ""
