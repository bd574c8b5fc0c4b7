"""A folder to type commands in, with a passphrase file and keystores that open quickly."""

from __future__ import annotations

import asyncio
import logging

import pytest
import structlog

from liaison.cli.founding import found
from liaison.sealing.keystore import Cost, Keystore
from tests.cli.screen import CANARY, PASSPHRASE, Screen, serving


@pytest.fixture
def screen(tmp_path, monkeypatch):
    create = Keystore.create
    cheap = Cost(memory_kib=8, passes=1, lanes=1)
    # New files only: what it costs to open one stands in its header.
    monkeypatch.setattr(
        Keystore,
        "create",
        lambda path, passphrase, *, cost=None: create(path, passphrase, cost=cheap),
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    (tmp_path / "passphrase").chmod(0o600)
    monkeypatch.setenv("LIAISON_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.delenv("LIAISON_HOME", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("liaison.cli.desk.PAUSES_S", ())
    # The node's journal has a screen of its own.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield Screen(tmp_path, monkeypatch)
    structlog.reset_defaults()


@pytest.fixture
def begun(screen, monkeypatch):
    """A node that serves, and nobody admitted yet."""
    screen.ok("--home N node init --origin localhost/test")
    with serving(screen.folder / "N") as url:
        monkeypatch.setenv("LIAISON_URL", url)
        card = screen.folder / "N" / "node.liaison"
        card.write_text(card.read_text().replace("http://127.0.0.1:8470", url))
        yield screen


@pytest.fixture
def council(screen, monkeypatch):
    """Every home of the demonstration, and its three channels, for exercises."""
    screen.ok("--home N node init --origin localhost/test --exercise")
    with serving(screen.folder / "N") as url:
        monkeypatch.setenv("LIAISON_URL", url)
        card = screen.folder / "N" / "node.liaison"
        card.write_text(card.read_text().replace("http://127.0.0.1:8470", url))
        asyncio.run(found(screen.folder, url, PASSPHRASE, is_exercise=True))
        yield screen
    for path in (screen.folder / "N").rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path
