"""A folder to type commands in, with a passphrase file and keystores that open quickly."""

from __future__ import annotations

import logging

import pytest
import structlog

from liaison.sealing.keystore import Cost, Keystore
from tests.cli.screen import PASSPHRASE, Screen


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
