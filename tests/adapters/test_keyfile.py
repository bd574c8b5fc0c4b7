"""Key files: who may read them, and what is refused."""

from __future__ import annotations

import os
import stat

import pytest

from liaison.adapters.keyfile import create_seed, load_seed
from liaison.words.errors import NotReady

SEED = bytes(range(32))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.key"


def test_a_seed_is_read_back(path):
    create_seed(path, "log", SEED)
    assert load_seed(path, "log") == SEED
    assert path.read_text() == ("liaison-key/1 log\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["log.key"]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_mode_does_not_depend_on_the_mask(path, mask):
    before = os.umask(mask)
    try:
        create_seed(path, "log", SEED)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(path):
    create_seed(path, "log", SEED)
    with pytest.raises(NotReady) as caught:
        create_seed(path, "log", bytes(32))
    assert str(caught.value) == (
        f"There is a key file at {path} already · It was not touched · "
        "Name another path, or move the file away if its key is surely of no more use"
    )
    assert load_seed(path, "log") == SEED
    assert [file.name for file in path.parent.iterdir()] == ["log.key"]


def test_a_failed_creation_leaves_no_file(path, monkeypatch):
    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        create_seed(path, "log", SEED)
    assert [file.name for file in path.parent.iterdir()] == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o660, 0o666, 0o755])
def test_a_file_open_to_others_is_refused(path, mode):
    create_seed(path, "log", SEED)
    path.chmod(mode)
    with pytest.raises(NotReady) as caught:
        load_seed(path, "log")
    assert str(caught.value) == (
        f"The key file {path} is open to other users (mode {mode:04o}) · It was not used · "
        f"If nobody can have read it, run `chmod 600 {path}`; else replace the key"
    )
    path.chmod(0o400)
    assert load_seed(path, "log") == SEED


def test_a_missing_file_is_named(path):
    with pytest.raises(NotReady, match=r"log\.key can't be read: No such file"):
        load_seed(path, "log")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"liaison-key/1 node\n" + b"A" * 43 + b"=\n", "it is for 'node'"),
        (b"liaison-key/2 log\n" + b"A" * 43 + b"=\n", "it isn't a line"),
        (b"liaison-key/1 log\n" + b"A" * 43 + b"=", "it isn't a line"),
        (b"liaison-key/1 log\nAAAA\n", "3 bytes, not 32"),
        (b"liaison-key/1 log\n" + b"A" * 42 + b"B=\n", "trailing bits"),
        (b"", "it isn't a line"),
        (b"\xff\n\n", "it isn't text"),
    ],
)
def test_another_file_is_refused_and_its_content_not_shown(path, content, why):
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(NotReady, match=f"isn't the key for log: .*{why}"):
        load_seed(path, "log")


@pytest.mark.parametrize(("purpose", "seed"), [("log", b"short"), ("two words", SEED), ("", SEED)])
def test_no_file_is_made_that_could_not_be_read(path, purpose, seed):
    with pytest.raises(ValueError, match=r"seed of 5|not a word"):
        create_seed(path, purpose, seed)
    assert not path.exists()
