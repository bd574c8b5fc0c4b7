"""A home's own files: what a disk did to one is said, with what is safe and what to do."""

from __future__ import annotations

import os
import resource
import signal
import stat

import pytest

from liaison.client.home import Home, write_private
from liaison.words.errors import Damaged, NotReady

STATE: dict[str, object] = {"at": 5, "texts": ["a", "b"], "who": {"anna@fco.example": True}}


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "F")
    home.make()
    return home


def test_each_flipped_bit_of_a_state_is_found(home):
    home.write_state("x.json", STATE)
    whole = home.read("x.json")
    assert home.read_state("x.json") == STATE
    end = len(whole) - 1  # what ends the line is no part of it
    for bit in range(end * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        home.write("x.json", damaged)
        if b'"#sum"' not in damaged:
            continue  # of an earlier version, by its looks
        with pytest.raises(Damaged) as told:
            home.read_state("x.json")
        assert told.value.happened.startswith(f"{home.path('x.json')} is damaged: ")
        assert told.value.safe == "the file was left as it is, and nothing was sent"
        assert told.value.do == (
            "make the home anew of its backup: liaison --home NEW key restore FILE; where there is "
            "none: another home, enrolled anew"
        )
        assert home.read("x.json") == damaged


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\0\0\0", b"\xff", b'{"a":1,"a":2}'])
def test_what_is_no_state_at_all_is_damaged_too(home, data):
    home.write("x.json", data)
    with pytest.raises(Damaged, match=r"x\.json is damaged: "):
        home.read_state("x.json")


def test_a_state_of_an_earlier_version_has_no_sum_and_is_read(home):
    home.write("x.json", b'{"at":5}\n')
    assert home.read_state("x.json") == {"at": 5}
    assert home.read_state("none.json") == {}
    home.write_state("x.json", {})
    assert home.read_state("x.json") == {}


def test_each_folder_of_a_home_is_its_owners_alone(tmp_path):
    before = os.umask(0)
    try:
        home = Home(tmp_path / "a" / "b" / "F")
        home.make()
        home.write("receipts/london-hotline/1.receipt", b"x")
    finally:
        os.umask(before)
    for path in (home.root, *home.root.rglob("*"), tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("mode", [0o777, 0o702, 0o703])
def test_a_home_that_others_can_change_is_not_worked_in(home, mode):
    home.root.chmod(mode)
    with pytest.raises(NotReady) as told, home.locked():
        pass
    assert str(told.value) == (
        f"OTHERS CAN CHANGE {home.root} (mode {mode:04o}, owner {os.geteuid()}) · nothing was done; who "
        f"was here may have exchanged a pin: liaison party show · chmod 700 {home.root}"
    )
    home.root.chmod(0o755)
    with home.locked():
        pass


def test_a_home_of_another_user_is_not_worked_in(home, monkeypatch):
    with home.locked():
        pass
    if os.geteuid():
        monkeypatch.setattr(os, "geteuid", lambda: 1234)
    else:
        os.chown(home.root, 1234, -1)
    with pytest.raises(NotReady, match="OTHERS CAN CHANGE"), home.locked():
        pass


def test_what_a_crash_left_half_written_is_removed_and_nothing_else(home, monkeypatch):
    home.write("keystore", b"old")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        patch.setattr("pathlib.Path.unlink", killed)
        for name in ("keystore", "member.json", "cabinet"):
            with pytest.raises(KeyboardInterrupt):
                home.write(name, b"half")
    left = {path for path in home.root.iterdir() if path.name.startswith(".")}
    assert len(left) == 3
    kept = {".keystore", ".keystore.backup", "a.keystore.abcdefgh", ".notes.abcdefgh"}
    for name in kept:
        (home.root / name).write_bytes(b"mine")
    with home.locked():
        assert {path.name for path in home.root.iterdir()} == {"keystore", "lock", *kept}
    assert home.read("keystore") == b"old"


def test_no_half_of_a_receipt_is_left_where_the_disk_is_full(home):
    path = home.path("receipts/1.receipt")
    write_private(path, b"whole")
    assert path.read_bytes() == b"whole"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
        with pytest.raises(OSError, match="File too large"):
            write_private(path, bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert not path.exists()
