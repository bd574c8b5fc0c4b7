"""The keystore: SEAL-40 to SEAL-46."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from liaison.sealing.keystore import Cost, Keystore
from liaison.words.errors import KeystoreLocked, Malformed, NotReady, Unreadable

CHEAP = Cost(memory_kib=8, passes=1, lanes=1)
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "device.keystore"


@pytest.fixture
def store(path):
    store = Keystore.create(path, PASSPHRASE, cost=CHEAP)
    store.secrets["signing"] = b"canary-signing-seed"
    store.save()
    return store


def test_what_was_saved_is_read(store, path):
    store.secrets["encryption/2"] = bytes(32)
    store.save()
    again = Keystore.open(path, PASSPHRASE)
    assert again.secrets == {"signing": b"canary-signing-seed", "encryption/2": bytes(32)}
    del again.secrets["encryption/2"]
    again.save()
    assert Keystore.open(path, PASSPHRASE).secrets == {"signing": b"canary-signing-seed"}


def test_the_default_cost_stands_in_the_file(path):
    Keystore.create(path, PASSPHRASE)
    header = json.loads(path.read_bytes().split(b"\n")[0])
    assert (header["memory_kib"], header["passes"], header["lanes"]) == (65536, 3, 4)
    assert Keystore.open(path, PASSPHRASE).secrets == {}


def test_a_wrong_passphrase_opens_nothing(store, path, documented):
    with pytest.raises(KeystoreLocked) as caught:
        Keystore.open(path, PASSPHRASE + " ")
    documented(caught.value)


def test_a_passphrase_is_the_same_however_its_accents_are_typed(path):
    Keystore.create(path, "caf\u00e9", cost=CHEAP)
    Keystore.open(path, "cafe\u0301")


def test_the_file_shows_no_secret(store, path):
    data = path.read_bytes()
    assert b"canary" not in data
    assert b"signing" not in data


def test_every_flipped_byte_is_refused(store, path):
    good = path.read_bytes()
    for position in range(len(good)):
        altered = bytearray(good)
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(KeystoreLocked):
            Keystore.open(path, PASSPHRASE)
    path.write_bytes(good)
    Keystore.open(path, PASSPHRASE)


@pytest.mark.parametrize("size", [0, 1, 100, 200])
def test_a_torn_file_is_refused(store, path, size):
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(KeystoreLocked):
        Keystore.open(path, PASSPHRASE)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("memory_kib", 100 * 2**20),
        ("memory_kib", 0),
        ("memory_kib", -1),
        ("memory_kib", True),
        ("passes", 0),
        ("passes", 17),
        ("lanes", 0),
        ("lanes", 17),
        ("format", "liaison/keystore/2"),
        ("salt", ""),
        ("nonce", "AAAA"),
        ("more", 1),
    ],
)
def test_a_hostile_header_is_refused_before_it_costs_anything(
    store, path, monkeypatch, member, value
):
    line, _, rest = path.read_bytes().partition(b"\n")
    header = json.loads(line) | {member: value}
    spelled = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    path.write_bytes(spelled + b"\n" + rest)
    monkeypatch.setattr(Cost, "stretch", lambda *_: pytest.fail("it computed"))
    with pytest.raises(KeystoreLocked, match="isn't a keystore that this version knows"):
        Keystore.open(path, PASSPHRASE)


@pytest.mark.parametrize("cost", [(7, 1, 1), (2**20 + 1, 1, 1), (8, 0, 1), (8, 17, 1), (8, 1, 17)])
def test_a_cost_outside_its_bounds_is_refused(cost):
    with pytest.raises(Malformed):
        Cost(*cost)


def test_the_file_is_for_its_owner_only_whatever_the_umask(path):
    before = os.umask(0)
    try:
        store = Keystore.create(path, PASSPHRASE, cost=CHEAP)
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        store.save()
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_a_new_keystore_never_replaces_what_is_there(store, path):
    before = path.read_bytes()
    with pytest.raises(NotReady, match="There is already a file"):
        Keystore.create(path, "another", cost=CHEAP)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_keystore_is_named(path):
    with pytest.raises(NotReady, match="There is no keystore at"):
        Keystore.open(path, PASSPHRASE)


@pytest.mark.parametrize("empty", ["", " ", "\t\u00a0"])
def test_an_empty_passphrase_is_refused(store, path, empty):
    with pytest.raises(Malformed, match="the passphrase is empty"):
        store.change_passphrase(empty)
    with pytest.raises(Malformed, match="the passphrase is empty"):
        Keystore.create(path.with_name("other"), empty)


def test_a_crash_before_the_rename_leaves_the_old_file(store, path, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt  # as a kill: nothing of ours cleans up after it

    store.secrets["new"] = b"x"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            store.save()
    assert len(list(path.parent.iterdir())) == 2  # what the crash left beside
    assert Keystore.open(path, PASSPHRASE).secrets == {"signing": b"canary-signing-seed"}
    store.save()
    assert Keystore.open(path, PASSPHRASE).secrets["new"] == b"x"


def test_a_failed_rename_leaves_the_old_file_and_nothing_beside(store, path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    store.secrets["new"] = b"x"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="No space left"):
            store.save()
    assert list(path.parent.iterdir()) == [path]
    assert "new" not in Keystore.open(path, PASSPHRASE).secrets


def test_a_save_that_failed_but_was_persisted_can_be_repeated(store, path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    store.secrets["new"] = b"x"
    with monkeypatch.context() as patched:
        patched.setattr("liaison.sealing.keystore._sync_folder", fail)
        with pytest.raises(OSError, match="Input/output"):
            store.save()
    store.save()
    assert Keystore.open(path, PASSPHRASE).secrets["new"] == b"x"


def test_a_failed_write_leaves_nothing_beside(store, path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            store.save()
    assert list(path.parent.iterdir()) == [path]
    Keystore.open(path, PASSPHRASE)


def test_of_two_processes_the_second_to_save_is_told(store, path):
    other = Keystore.open(path, PASSPHRASE)
    other.secrets["theirs"] = b"1"
    other.save()
    store.secrets["ours"] = b"2"
    with pytest.raises(NotReady, match="Another process saved the keystore"):
        store.save()
    assert "theirs" in Keystore.open(path, PASSPHRASE).secrets


def test_a_changed_passphrase_opens_and_the_old_one_does_not(store, path):
    boxed = store.box(b"note", "n")
    salt = json.loads(path.read_bytes().split(b"\n")[0])["salt"]
    store.change_passphrase("new one", cost=Cost(memory_kib=16, passes=2, lanes=1))
    assert json.loads(path.read_bytes().split(b"\n")[0])["salt"] != salt
    with pytest.raises(KeystoreLocked):
        Keystore.open(path, PASSPHRASE)
    again = Keystore.open(path, "new one")
    assert again.secrets == store.secrets
    assert again.unbox(boxed, "n") == b"note"
    again.save()
    Keystore.open(path, "new one")


@pytest.mark.parametrize("name", ["", "cabinet", "a b", "é", "x" * 201, "a\n"])
def test_a_name_outside_the_rules_is_refused(store, name):
    store.secrets[name] = b"x"
    with pytest.raises(Malformed, match="name of a secret"):
        store.save()


def test_a_box_opens_with_its_keystore_and_its_label_only(store, path):
    boxed = store.box(b"canary note", "note/1")
    assert b"canary" not in boxed
    assert boxed != store.box(b"canary note", "note/1")
    assert Keystore.open(path, PASSPHRASE).unbox(boxed, "note/1") == b"canary note"
    stranger = Keystore.create(path.with_name("other"), PASSPHRASE, cost=CHEAP)
    for keystore, data, label in (
        (store, boxed, "note/2"),
        (stranger, boxed, "note/1"),
        (store, boxed[:27], "note/1"),
        (store, boxed[:11], "note/1"),
        (store, b"", "note/1"),
    ):
        with pytest.raises(Unreadable) as caught:
            keystore.unbox(data, label)
        assert caught.value.reason == "cabinet"


def test_every_flipped_byte_of_a_box_is_refused(store):
    boxed = store.box(b"note", "n")
    for position in range(len(boxed)):
        altered = bytearray(boxed)
        altered[position] ^= 1
        with pytest.raises(Unreadable):
            store.unbox(bytes(altered), "n")
    assert store.unbox(store.box(b"", ""), "") == b""
