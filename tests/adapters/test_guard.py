"""The guard: what it survives, and when it refuses."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys

import pytest

from liaison.adapters.guard import (
    FILE_BYTES,
    SLOT_BYTES,
    SLOT_OFFSETS,
    FileGuard,
    from_slot,
    locked,
    peek,
    to_slot,
)
from liaison.node.ports import Head
from liaison.words.errors import GuardRefused

FIRST, SECOND, THIRD = (Head(size, bytes([size]) * 32, 1_000 + size) for size in (1, 2, 3))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "guard"


@pytest.fixture
def guard(path):
    guard = FileGuard.create(path, FIRST)
    yield guard
    guard.close()


def newest(data: bytes) -> int:
    """Return the offset of the newest slot in a guard's file."""

    def sequence(offset: int) -> int:
        slot = from_slot(data[offset : offset + SLOT_BYTES])
        return -1 if slot is None else slot[0]

    return max(SLOT_OFFSETS, key=sequence)


def opened(path) -> tuple[Head, bool]:
    guard = FileGuard.open(path)
    guard.close()
    return guard.read(), guard.has_healed


# What it remembers


def test_it_remembers_the_last_head(guard, path):
    assert guard.read() == FIRST
    for head in (SECOND, THIRD):
        guard.advance(head)
        assert guard.read() == head
    guard.close()
    assert opened(path) == (THIRD, False)
    assert opened(path) == (THIRD, False)
    assert path.stat().st_size == FILE_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["guard"]


def test_an_advance_leaves_the_other_slot_alone(guard, path):
    guard.advance(SECOND)
    before = path.read_bytes()
    kept = newest(before)
    guard.advance(THIRD)
    after = path.read_bytes()
    assert newest(after) != kept
    assert after[kept : kept + SLOT_BYTES] == before[kept : kept + SLOT_BYTES]


def test_a_slot_torn_at_any_byte_falls_back_to_the_head_before(guard, path):
    guard.advance(SECOND)
    before = path.read_bytes()
    guard.advance(THIRD)
    guard.close()
    after = path.read_bytes()
    at = newest(after)
    for written in range(SLOT_BYTES):
        torn = bytearray(before)
        torn[at : at + written] = after[at : at + written]
        if torn[at : at + SLOT_BYTES] == after[at : at + SLOT_BYTES]:
            continue  # what wasn't written was the same before
        path.write_bytes(torn)
        # Half a slot over a whole one isn't valid; nothing of a slot written leaves the old one.
        assert opened(path) == (SECOND, written >= first_difference(before, after)), written
    path.write_bytes(after)
    assert opened(path) == (THIRD, False)


def first_difference(one: bytes, other: bytes) -> int:
    at = newest(other)
    return next(i for i in range(SLOT_BYTES) if one[at + i] != other[at + i]) + 1


def test_every_bit_of_a_slot_counts(guard, path):
    guard.advance(SECOND)
    guard.close()
    good = path.read_bytes()
    at = newest(good)
    for bit in range(0, SLOT_BYTES * 8, 7):
        bad = bytearray(good)
        bad[at + bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        assert opened(path) == (FIRST, True)


def test_a_healed_guard_is_whole_again_and_goes_on(guard, path):
    guard.advance(SECOND)
    guard.close()
    data = bytearray(path.read_bytes())
    data[newest(bytes(data))] ^= 1
    path.write_bytes(data)
    assert opened(path) == (FIRST, True)
    assert opened(path) == (FIRST, False)
    again = FileGuard.open(path)
    again.advance(THIRD)
    again.close()
    assert opened(path) == (THIRD, False)


def test_what_opening_read_is_synced_before_it_counts(guard, path, monkeypatch):
    guard.advance(SECOND)
    guard.close()
    synced = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(path.read_bytes()))
    assert opened(path) == (SECOND, False)
    (data,) = synced
    heads = [from_slot(data[at : at + SLOT_BYTES]) for at in SLOT_OFFSETS]
    assert [slot[1] for slot in heads if slot is not None] == [SECOND, SECOND]


def test_an_older_copy_is_a_guard_that_remembers_less(guard, path, tmp_path):
    guard.advance(SECOND)
    shutil.copy(path, tmp_path / "copy")
    guard.advance(THIRD)
    guard.close()
    os.replace(tmp_path / "copy", path)
    assert opened(path) == (SECOND, False)


def test_a_slot_is_read_as_it_was_written():
    assert from_slot(to_slot(7, THIRD)) == (7, THIRD)
    largest = Head(2**64 - 1, b"\xff" * 32, 2**64 - 1)
    assert from_slot(to_slot(2**64 - 1, largest)) == (2**64 - 1, largest)
    assert from_slot(to_slot(7, THIRD)[:-1]) is None
    assert from_slot(b"") is None


# When it refuses


def test_a_missing_guard_says_what_to_do(path):
    with pytest.raises(GuardRefused) as caught:
        FileGuard.open(path)
    assert str(caught.value) == (
        f"There is no guard at {path}: which head was signed last isn't known · "
        "Nothing is signed while the guard is not sure · "
        "Put back the copy of the guard that you keep on the second disk, "
        "or give the log up with `liaison node retire`"
    )
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"x" * 100, bytes(FILE_BYTES), b"\xff" * FILE_BYTES])
def test_a_guard_without_a_valid_slot_says_what_to_do(path, content):
    path.write_bytes(content)
    with pytest.raises(GuardRefused) as caught:
        FileGuard.open(path)
    assert str(caught.value) == (
        f"Both slots of the guard {path} are damaged: which head was signed last isn't known · "
        "Nothing is signed while the guard is not sure · "
        "Bring the newer data back: the copy of the guard that you keep on the second disk; "
        "or give the log up with `liaison node retire`"
    )
    assert path.read_bytes() == content


HOLD = """
import sys, time
from pathlib import Path
from liaison.adapters.guard import FileGuard
guard = FileGuard.open(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_guard_that_another_process_holds_is_refused_until_that_process_ends(guard, path):
    guard.close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, env=environment
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        before = path.read_bytes()
        with pytest.raises(GuardRefused) as caught:
            FileGuard.open(path)
        assert str(caught.value) == (
            f"The guard {path} is locked: another instance serves this log · "
            "This one has signed nothing, the other goes on · "
            "Stop the other instance first, or leave it in service"
        )
        assert path.read_bytes() == before
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert opened(path) == (FIRST, False)


def test_it_is_locked_within_a_process_too(guard, path):
    with pytest.raises(GuardRefused, match="is locked"):
        FileGuard.open(path)
    guard.close()
    assert opened(path) == (FIRST, False)


def test_creating_refuses_a_file_that_is_there(guard, path):
    guard.advance(SECOND)
    before = path.read_bytes()
    with pytest.raises(GuardRefused) as caught:
        FileGuard.create(path, FIRST)
    assert str(caught.value) == (
        f"There is a guard at {path} already · "
        "It was not touched: it may be all that knows what a log has signed · "
        "Name another path for the new log's guard"
    )
    assert path.read_bytes() == before


def test_it_does_not_go_backwards(guard, path):
    guard.advance(THIRD)
    with pytest.raises(GuardRefused, match="would go backwards: it holds size 3, root 0303"):
        guard.advance(SECOND)
    with pytest.raises(GuardRefused, match="would turn to another history"):
        guard.advance(Head(3, bytes(32), THIRD.at))
    assert guard.read() == THIRD
    guard.advance(THIRD)
    guard.advance(Head(4, bytes(32), THIRD.at))
    assert guard.read().size == 4


# It failed


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_failed_write_closes_it_for_good(guard, path, monkeypatch, call):
    def fail(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="Input/output error"):
            guard.advance(SECOND)
    assert guard.read() == FIRST
    with pytest.raises(GuardRefused, match="is closed: it was let go, or a write to it failed"):
        guard.advance(SECOND)
    guard.close()


def test_a_short_write_closes_it_for_good(guard, path, monkeypatch):
    pwrite = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:200], at))
        with pytest.raises(OSError, match="200 bytes of 512 written"):
            guard.advance(SECOND)
    with pytest.raises(GuardRefused, match="is closed"):
        guard.advance(SECOND)
    assert opened(path) == (FIRST, True)


def test_it_failed_but_was_persisted_and_opening_says_so(guard, path, monkeypatch):
    fdatasync = os.fdatasync

    def fail(descriptor):
        fdatasync(descriptor)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            guard.advance(SECOND)
    assert opened(path) == (SECOND, False)


# Looking at it


def test_a_look_changes_nothing_and_needs_no_lock(guard, path):
    guard.advance(SECOND)
    before = path.read_bytes()
    assert peek(path) == (SECOND, True)
    assert path.read_bytes() == before
    data = bytearray(before)
    data[newest(before) + 20] ^= 1
    path.write_bytes(data)
    assert peek(path) == (FIRST, False)
    path.unlink()
    with pytest.raises(GuardRefused, match="There is no guard at"):
        peek(path)


def test_while_it_is_locked_no_node_opens_it_and_while_a_node_has_it_nobody_locks_it(guard, path):
    with pytest.raises(GuardRefused, match="another instance serves this log"), locked(path):
        pass
    guard.close()
    before = path.read_bytes()
    with locked(path), pytest.raises(GuardRefused, match="is locked"):
        FileGuard.open(path)
    assert path.read_bytes() == before
    assert opened(path) == (FIRST, False)
