"""What a node does while its disk fills, on a disk of numbers. protocols/api.md, API-35.

tests/faults/test_disk.py fills a real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from liaison.adapters.disk import Disk, Reserve
from liaison.cli.failure import DISK, tell
from liaison.node import storage as module
from liaison.node.storage import MIB, TRIED_AGAIN, Room, Storage
from liaison.statements.payloads import NotePrecedence, Verdict
from liaison.words.errors import DiskFull
from liaison.words.precedence import Precedence
from tests.node.live import live_node, with_content
from tests.world import ANNA, DORA, MOD, MemoryWorld, signing

ROUTINE = NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)


@dataclass
class Numbers:
    """A disk whose free bytes a test sets; what the reserve holds isn't free."""

    whole: int = 10_000
    reserve: int = 0

    def free_bytes(self) -> int:
        return max(0, self.whole - self.reserve)

    def store_bytes(self) -> int:
        return 1

    def wal_bytes(self) -> int:
        return 1


@dataclass
class Aside:
    disk: Numbers
    size: int = 400
    given: list[int] = field(default_factory=list)

    @property
    def left(self) -> int:
        return self.disk.reserve

    def fill(self) -> bool:
        if self.disk.free_bytes() < self.size - self.left:
            return False
        self.disk.reserve = self.size
        return True

    def give_back(self, size: int) -> int:
        self.given.append(size)
        self.disk.reserve = max(0, self.disk.reserve - size)
        return self.disk.reserve


@pytest.fixture
def disk() -> Numbers:
    return Numbers()


@pytest.fixture
def storage(disk: Numbers) -> Storage:
    return Storage(disk, Aside(disk), low=3_200, short=1_600)


def test_a_disk_that_fills_goes_through_each_state_and_is_told_of_once(storage, disk):
    with capture_logs() as journal:
        rooms = []
        for whole in (10_000, 3_601, 3_599, 3_590, 2_000, 1_999, 500, 499, 300, 101, 99):
            disk.whole = whole
            rooms.append((whole, storage.look().name, storage.reserve.left))
    assert rooms == [
        (10_000, "PLENTY", 400),
        (3_601, "PLENTY", 400),
        (3_599, "LOW", 400),
        (3_590, "LOW", 400),
        (2_000, "LOW", 400),
        (1_999, "SHORT", 400),
        (500, "SHORT", 400),
        (499, "SHORT", 300),
        (300, "SHORT", 200),
        (101, "SHORT", 0),
        (99, "FULL", 0),
    ]
    told = [line["event"] for line in journal if line["event"] != "disk-reserve"]
    assert told == ["disk-low", "disk-short", "disk-full"]
    assert {line["log_level"] for line in journal} == {"warning", "critical"}


def test_a_disk_that_is_freed_is_plenty_again_and_its_reserve_whole(storage, disk):
    disk.whole = 200
    assert storage.look() is Room.SHORT
    assert storage.reserve.left < 400
    disk.whole = 1_900
    assert storage.look() is Room.LOW
    assert storage.reserve.left < 400, "to fill it would make the disk short again"
    disk.whole = 10_000
    with capture_logs() as journal:
        assert storage.look() is Room.PLENTY
    assert storage.reserve.left == 400
    assert [line["event"] for line in journal] == ["disk-plenty"]
    assert storage.detail is None


def test_before_a_large_batch_there_is_room_for_it(storage, disk):
    disk.whole = 600
    disk.reserve = 400
    storage.make_room(100)
    assert disk.free_bytes() >= 2 * 100 + storage.piece
    assert storage.reserve.left > 0


def test_without_a_reserve_it_alarms_and_refuses_nothing(disk):
    storage = Storage(disk, None, low=3_200, short=1_600)
    disk.whole = 1
    assert storage.look() is Room.LOW
    storage.make_room(10**9)
    assert storage.detail == "disk-low: 0 MiB are free on the store's disk"


def test_a_database_that_says_that_it_is_full_is_believed_for_a_minute(disk, monkeypatch):
    now = [0]
    storage = Storage(disk, None, low=3_200, short=1_600, since_boot=lambda: now[0])
    world = MemoryWorld.opened()
    routine, flash = world.note(precedence=ROUTINE), world.note()
    answer = world.answer(DORA, Verdict.DELIVERED, flash.digest)
    assert not storage.refuses(routine, 1)
    with capture_logs() as journal:
        storage.store_full()
        assert storage.refuses(routine, 1)
    assert [line["event"] for line in journal] == ["store-full", "disk-short"]
    assert not storage.refuses(flash, 10**9)
    assert not storage.refuses(answer, 0)
    assert storage.room is Room.SHORT
    assert storage.detail == (
        "disk-low: the database says that its disk is full; new notes below FLASH are refused"
    )
    assert storage.refusal().happened == (
        "the node's database says that its disk is full: only what is urgent is tried"
    )
    now[0] = TRIED_AGAIN - 1
    assert storage.refuses(routine, 1)
    now[0] = TRIED_AGAIN
    assert not storage.refuses(routine, 1)
    assert storage.look() is Room.PLENTY
    assert storage.detail is None


async def test_when_nothing_is_left_it_ends_with_words_and_a_code_of_its_own(
    storage, disk, monkeypatch, capsys
):
    monkeypatch.setattr(module, "LOOK_S", 0)
    disk.whole = 50
    with pytest.raises(DiskFull) as caught:
        await storage.run()
    assert tell(caught.value) == DISK == 4
    assert capsys.readouterr().err == (
        "The disk under the store is full: 0 KiB are left, and no reserve · what was receipted is in "
        "the log; nothing was half written · make room, then start the node again: it begins where "
        "it stopped (disk-full)\n"
    )


def test_a_reserve_is_of_real_blocks_and_shrinks_in_pieces(tmp_path):
    reserve = Reserve(tmp_path / "reserve", 4 * MIB)
    assert (reserve.left, reserve.fill(), reserve.left) == (0, True, 4 * MIB)
    assert reserve.path.stat().st_blocks * 512 >= 4 * MIB
    assert reserve.path.stat().st_mode & 0o777 == 0o600
    assert [reserve.give_back(3 * MIB), reserve.give_back(3 * MIB)] == [MIB, 0]
    assert reserve.fill()
    reserve.remove()
    assert reserve.give_back(1) == 0
    assert not reserve.path.exists()


def test_the_disk_is_the_store_s_and_of_a_database_elsewhere_the_home_s(tmp_path):
    (tmp_path / "s").mkdir()
    store = tmp_path / "s" / "n.db"
    disk = Disk.under(f"sqlite:///{store}", tmp_path)
    assert (disk.folder, disk.store) == (tmp_path / "s", store)
    assert (disk.store_bytes(), disk.wal_bytes()) == (0, 0)
    store.write_bytes(b"123")
    assert disk.store_bytes() == 3
    elsewhere = Disk.under("postgresql://db.example/n", tmp_path)
    assert (elsewhere.folder, elsewhere.store_bytes(), elsewhere.wal_bytes()) == (
        tmp_path,
        None,
        None,
    )
    assert elsewhere.free_bytes() > 0


@pytest.fixture
async def node(tmp_path: Path):
    async with live_node(tmp_path / "home") as live:
        await live.open_channel()
        yield live


def short_of_room(storage: Storage) -> Storage:
    disk = Numbers(whole=storage.short - 1)
    storage.disk, storage.reserve = disk, Aside(disk, size=0)
    return storage


async def test_short_of_room_a_note_below_flash_is_507_and_all_else_goes_on(node):
    early, _ = await node.send(kind="service", precedence=ROUTINE)
    storage = short_of_room(node.running.services.storage)
    later = node.world.next_serial(signing(f"{ANNA}/1"), MOD) + 1
    refused = node.note(serial=later, kind="service", precedence=ROUTINE)
    status, problem = await node.post(**refused.parts)
    assert (status, problem["code"]) == (507, "disk-reserve")
    assert problem["detail"].startswith("the node's disk has ")
    assert (
        problem["safe"] == "nothing of it happened; answers, operators' actions and FLASH are taken"
    )
    assert problem["do"] == "send the same again later; the node's operator makes room"
    assert "refusal" not in problem
    assert (await node.get("/readyz"))[1] == (
        f"ready\ndisk-low: {storage.free // MIB} MiB are free on the store's disk; "
        "new notes below FLASH are refused\n".encode()
    )
    await node.send()
    await node.accept(node.world.answer(DORA, Verdict.ACKNOWLEDGED, early.statement.digest))
    # Who lost the receipt of a note that is in the log gets it.
    assert (await node.post(**early.parts))[0] == 200
    storage.disk.whole = 10 * storage.low  # type: ignore[attr-defined]
    assert (await node.post(**refused.parts))[0] == 201
    assert (await node.get("/readyz"))[1] == b"ready\n"


async def test_a_flash_with_content_that_does_not_fit_is_refused_too(node):
    storage = short_of_room(node.running.services.storage)
    storage.disk.whole = storage.piece + 100_000  # type: ignore[attr-defined]
    sent, _ = await node.send()
    assert len(sent.ciphertext) < 50_000
    large = with_content(node.world.note(ANNA), signing(f"{ANNA}/1"), size=60_000)
    status, problem = await node.post(**large.parts)
    assert (status, problem["code"]) == (507, "disk-reserve")


async def test_the_reserve_is_there_while_a_node_serves(tmp_path):
    async with live_node(tmp_path / "home"):
        assert (tmp_path / "home" / "reserve").stat().st_size == 128 * MIB
    assert not (tmp_path / "home" / "reserve").exists()
