"""The image and the compose file: read by real parsers. They aren't built here: there is no registry."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from liaison.settings import load_settings
from tests.tools import run

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "container"
CONTAINERFILE = (FOLDER / "Containerfile").read_text()
HADOLINT = str(Path(sys.executable).with_name("hadolint"))


def test_the_containerfile_is_read_without_a_complaint(tmp_path):
    done = run(HADOLINT, str(FOLDER / "Containerfile"))
    assert (done.returncode, done.stdout) == (0, "")
    slip = tmp_path / "Containerfile"
    slip.write_text(CONTAINERFILE.replace("USER 10001:10001", "USERR 10001:10001"))
    assert run(HADOLINT, str(slip)).returncode == 1
    slip.write_text(CONTAINERFILE.replace("USER 10001:10001", "USER root"))
    assert "DL3002" in run(HADOLINT, str(slip)).stdout  # last user should not be root


def test_what_is_copied_into_the_image_is_there():
    for line in re.findall(r"^COPY (?!--from)(.+)$", CONTAINERFILE, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line
    for file in re.findall(r"-r (\S+\.txt)", CONTAINERFILE):
        assert (ROOT / file).exists()


def test_the_image_s_settings_are_settings():
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", CONTAINERFILE, re.MULTILINE)
    pairs = [word.partition("=") for word in block.replace("\\\n", " ").split()]
    environment = {name: value for name, _, value in pairs}
    found = load_settings(Path(environment["LIAISON_HOME"]), environment=environment)
    assert found.sources["listen"] == "LIAISON_NODE_LISTEN"
    assert not found.settings.guard.is_relative_to(found.settings.home)


@pytest.fixture
def compose():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_the_node_has_no_way_out_and_can_write_to_its_volumes_alone(compose):
    node, proxy = compose["services"]["node"], compose["services"]["proxy"]
    for service in (node, proxy):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in node
    assert "user" not in node  # the image's
    assert node["networks"] == ["inside"]
    assert compose["networks"]["inside"] == {"internal": True}
    assert proxy["ports"] == ["80:80", "443:443"]
    assert proxy["depends_on"]["node"]["condition"] == "service_healthy"
    assert "HEALTHCHECK" in CONTAINERFILE


def test_what_the_compose_file_names_is_there(compose):
    node, proxy = compose["services"]["node"], compose["services"]["proxy"]
    context = FOLDER / node["build"]["context"]
    assert (context / node["build"]["dockerfile"]).samefile(FOLDER / "Containerfile")
    named = [volume.split(":") for volume in (*node["volumes"], *proxy["volumes"])]
    for source, *_ in named:
        assert source in compose["volumes"] or (FOLDER / source).is_file(), source
    inside = re.findall(r"VOLUME (.+)", CONTAINERFILE)[0]
    assert set(yaml.safe_load(inside)) == {
        target for _, target, *_ in named[: len(node["volumes"])]
    }
