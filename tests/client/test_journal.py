"""Journal and outbox survive what a crash leaves behind; what was damaged is said, and stays."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from liaison.client.journal import Journal, frames_in
from liaison.client.outbox import Outbox, Signed, waiting_in
from liaison.words.errors import Damaged


async def test_frames_come_back_and_a_torn_end_is_cut(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.append({"n": 1}, b"one")
    journal.append({"n": 2}, b"two")
    await asyncio.gather(journal.sync(), journal.sync())
    journal.close()
    whole = (tmp_path / "j").read_bytes()
    for size in range(len(whole) // 2, len(whole)):
        (tmp_path / "j").write_bytes(whole[:size])
        again = Journal(tmp_path / "j")
        (frame,) = again.frames()
        assert (frame.header, again.body(frame)) == ({"n": 1}, b"one")
        again.append({"n": 3}, b"three")
        assert [f.header["n"] for f in again.frames()] == [1, 3]
        again.close()


@pytest.fixture
async def three(tmp_path):
    """A file of three frames, each as long as the others."""
    journal = Journal(tmp_path / "outbox")
    for n in range(1, 4):
        journal.append({"n": n}, b"body")
    await journal.sync()
    journal.close()
    return tmp_path / "outbox"


def test_zeros_that_a_crash_left_at_the_end_are_cut(three):
    whole = three.read_bytes()
    size = len(whole) // 3
    for left in (whole, whole[: -size + 9], whole[:-4]):
        three.write_bytes(left + bytes(50))
        journal = Journal(three)
        assert len(journal.frames()) == (3 if left == whole else 2)
        journal.close()
        assert three.stat().st_size == (3 if left == whole else 2) * size


def test_a_flipped_bit_is_an_error_that_names_the_file_which_stays_as_it_is(three, documented):
    whole = three.read_bytes()
    assert len(frames_in(three)[0]) == 3
    size = len(whole) // 3
    for bit in range(len(whole) * 8):
        at = bit // 8
        if 2 * size <= at < 2 * size + 8:
            continue  # a length of the last frame: it may seem to end early, and is cut
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit % 8
        three.write_bytes(damaged)
        with pytest.raises(Damaged) as told:
            Journal(three).frames()
        assert told.value.happened == (
            f"{three} is damaged at byte {at - at % size}: what stands there isn't what was written"
        )
        assert three.read_bytes() == damaged
        if at == bit == 0:
            documented(told.value)


@pytest.mark.parametrize("data", [b"secret\n", b"x", b"\0\0\0\5\0\0\0\0hello, world", b"{}"])
def test_a_file_that_is_no_journal_stays_as_it_is(tmp_path, data):
    (tmp_path / "other").write_bytes(data)
    with pytest.raises(Damaged, match="is damaged at byte 0"):
        Journal(tmp_path / "other").frames()
    assert (tmp_path / "other").read_bytes() == data


def test_no_link_is_followed(three):
    link = three.with_name("link")
    link.symlink_to(three)
    with pytest.raises(OSError, match="symbolic links"):
        Journal(link)
    assert len(frames_in(three)[0]) == 3


def test_the_first_frame_is_torn_at_any_byte_and_cut(three):
    whole = three.read_bytes()
    size = len(whole) // 3
    for torn in range(size):
        three.write_bytes(whole[:torn])
        journal = Journal(three)
        assert journal.frames() == []
        journal.close()
        assert three.read_bytes() == b""


async def test_what_the_disk_has_no_room_for_leaves_nothing_behind(three, monkeypatch):
    journal = Journal(three)
    journal.frames()
    before = three.read_bytes()
    pwrite = os.pwrite

    def full(file: int, data: bytes, at: int) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(file, data[:50], at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space"):
            journal.append({"n": 4}, bytes(range(100)))
    assert three.read_bytes() == before
    journal.append({"n": 4}, b"b")
    await journal.sync()
    journal.close()
    assert [frame.header["n"] for frame in frames_in(three)[0]] == [1, 2, 3, 4]


def test_what_is_missing_in_the_middle_is_an_error_too(three):
    whole = three.read_bytes()
    size = len(whole) // 3
    for missing in range(1, size):
        three.write_bytes(whole[: size + 3] + whole[size + 3 + missing :])
        with pytest.raises(Damaged, match=f"at byte {size}:"):
            Journal(three).frames()


def signed(digest: str, serial: int, kind: str = "note") -> Signed:
    return Signed(kind, digest, "C", "alias", "id", {"mod.example": serial}, b"s", b"c", b"w")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox"


async def test_serials_go_on_after_a_restart(path):
    box = Outbox(path)
    assert [box.take_serials("C", ["mod.example"])["mod.example"] for _ in range(3)] == [1, 2, 3]
    await box.keep(signed("three", 3))
    await box.keep(signed("one", 1))
    box.close()
    box = Outbox(path)
    # 2 was taken by a process that ended before it signed: nobody was shown it.
    assert box.free_serials() == [("C", "mod.example", 2)]
    assert [item.digest for item in box.waiting] == ["three", "one"]
    assert (box.waiting[0].statement, box.waiting[0].wraps) == (b"s", b"w")
    assert box.take_serials("C", ["mod.example", "fco.example"]) == {
        "mod.example": 2,
        "fco.example": 1,
    }
    assert box.take_serials("C", ["mod.example"]) == {"mod.example": 4}
    box.close()


async def test_a_refused_serial_is_free_and_a_replaced_one_is_not(path):
    box = Outbox(path)
    box.take_serials("C", ["mod.example"])
    await box.keep(signed("first", 1))
    box.refused("first", is_free=False)
    assert box.free_serials() == []
    await box.keep(signed("again", 1))
    box.refused("again", is_free=True)
    for again in (box, Outbox(path)):
        assert again.free_serials() == [("C", "mod.example", 1)]
        assert again.waiting == ()
    box.close()


async def test_the_journal_is_made_smaller_and_says_the_same(path, monkeypatch):
    monkeypatch.setattr("liaison.client.outbox.COMPACT_BYTES", 10)
    box = Outbox(path)
    for n in range(1, 4):
        box.take_serials("C", ["mod.example"])
        await box.keep(signed(f"note {n}", n))
    box.receipted("note 1")
    box.refused("note 2", is_free=True)
    size = path.stat().st_size
    box.close()
    assert path.stat().st_size < size
    box = Outbox(path)
    assert [item.digest for item in box.waiting] == ["note 3"]
    assert box.free_serials() == [("C", "mod.example", 2)]
    assert box.take_serials("C", ["mod.example"]) == {"mod.example": 2}
    assert box.take_serials("C", ["mod.example"]) == {"mod.example": 4}
    box.close()


async def test_what_waits_is_counted_while_another_process_writes(path):
    assert waiting_in(path) == 0
    box = Outbox(path)
    await box.keep(signed("first", 1))
    size = path.stat().st_size
    await box.keep(signed("second", 2))
    box.receipted("first")
    assert waiting_in(path) == len(box.waiting) == 1
    box.close()
    whole = path.read_bytes()
    for torn in range(size, len(whole)):
        path.write_bytes(whole[:torn])
        assert waiting_in(path) in (1, 2)
    damaged = bytearray(whole)
    damaged[20] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(Damaged):
        waiting_in(path)
    with pytest.raises(Damaged):
        Outbox(path)
    assert path.read_bytes() == damaged
