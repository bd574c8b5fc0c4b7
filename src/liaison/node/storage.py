"""Storage: what a node does while its disk fills. protocols/api.md, API-35.

Plenty, then low (alarms), then short (new notes below FLASH are refused, while what answers,
stops, escalates and is urgent goes on), then out of a reserve that was laid aside; then it stops,
loudly, before the store itself fails. It watches the disk and writes nothing but the reserve.

The disk of a database elsewhere can't be seen from here: when the database says that it is full,
it is short for a while, and then tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import structlog

from liaison.node.figures import Figures
from liaison.node.ports import Disk, Reserve
from liaison.statements.payloads import Note
from liaison.statements.statement import Statement
from liaison.words.errors import DiskFull, DiskReserve
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND

LOOK_S: Final = 1.0
RESERVE_SHARE: Final = 4
"""The reserve's file is a fourth of ``disk_reserve``; it is given back in fourths of itself."""
MIB: Final = 1024 * 1024
TRIED_AGAIN: Final = 60 * SECOND
"""So long after a database said that its disk is full the next note below FLASH may show otherwise."""

log = structlog.get_logger(__name__)


class Room(IntEnum):
    """How much there is, from the worst."""

    FULL = 0
    SHORT = 1
    LOW = 2
    PLENTY = 3


@dataclass
class Storage:
    """``low`` and ``short`` are free bytes under which it is so. Without a reserve it only alarms,

    until the store itself says that it is full.
    """

    disk: Disk
    reserve: Reserve | None
    low: int
    short: int
    since_boot: Callable[[], int] = lambda: 0
    room: Room = Room.PLENTY
    free: int = 0
    _full_until: int = 0

    @property
    def is_told_full(self) -> bool:
        """Whether the store said lately that its disk is full."""
        return self.since_boot() < self._full_until

    def store_full(self) -> None:
        """Take the store's word for it. In the writer's thread."""
        self._full_until = self.since_boot() + TRIED_AGAIN
        log.critical("store-full", tried_again_s=TRIED_AGAIN // SECOND)

    @property
    def piece(self) -> int:
        """What must stay free for a few batches, and is given back at once of the reserve, in bytes."""
        return max(1, self.short // RESERVE_SHARE // RESERVE_SHARE)

    @property
    def detail(self) -> str | None:
        """Return in words what is wrong, or None."""
        if self.room is Room.PLENTY:
            return None
        said = f"disk-low: {self.free // MIB} MiB are free on the store's disk"
        if self.is_told_full:
            said = "disk-low: the database says that its disk is full"
        if self.room is Room.LOW:
            return said
        return f"{said}; new notes below FLASH are refused"

    def look(self) -> Room:
        """See how much there is; lay the reserve aside, or give of it back."""
        self.free = self.disk.free_bytes()
        if self.reserve is not None:
            self._keep(self.reserve)
        room = self._room()
        if room is not self.room:
            self._changed(room)
        self.room = room
        return room

    def _keep(self, reserve: Reserve) -> None:
        if self.free >= self.short + reserve.size - reserve.left:
            if reserve.left < reserve.size and reserve.fill():
                self.free = self.disk.free_bytes()
            return
        while self.free < self.piece and reserve.left:
            left = reserve.give_back(self.piece)
            self.free = self.disk.free_bytes()
            log.critical("disk-reserve", left=left, free=self.free)

    def _room(self) -> Room:
        if self.is_told_full:
            return Room.SHORT
        if self.reserve is not None and self.free < self.short:
            return Room.FULL if self.free < self.piece and not self.reserve.left else Room.SHORT
        return Room.LOW if self.free < self.low else Room.PLENTY

    def _changed(self, room: Room) -> None:
        said = {"free": self.free, "low": self.low, "short": self.short}
        if room is Room.PLENTY:
            log.info("disk-plenty", **said)
        elif room is Room.LOW:
            log.warning("disk-low", **said)
        else:
            log.critical("disk-full" if room is Room.FULL else "disk-short", **said)

    def refuses(self, statement: Statement[Any], content: int) -> bool:
        """Return whether there is no room for this, with ``content`` bytes beside it."""
        if not isinstance(statement.payload, Note):
            return False
        if (self.reserve is None and not self.is_told_full) or self.look() > Room.SHORT:
            return False
        level: Precedence = statement.payload.precedence.action
        if self.reserve is None:
            return level.rank < Precedence.FLASH.rank
        # In the store it stands twice for a while: in SQLite's write-ahead log, too.
        fits = 2 * content + self.piece <= self.free + self.reserve.left
        return level.rank < Precedence.FLASH.rank or not fits

    def refusal(self) -> DiskReserve:
        happened = (
            f"the node's disk has {self.free // MIB} MiB left, which are kept for what is urgent"
        )
        if self.is_told_full:
            happened = (
                "the node's database says that its disk is full: only what is urgent is tried"
            )
        return DiskReserve(
            happened,
            safe="nothing of it happened; answers, operators' actions and FLASH are taken",
            do="send the same again later; the node's operator makes room",
            retry_after_s=60,
        )

    def make_room(self, size: int) -> None:
        """Give back of the reserve until ``size`` bytes can be written. In the writer's thread."""
        if self.reserve is None:
            return
        while self.disk.free_bytes() < 2 * size + self.piece and self.reserve.left:
            left = self.reserve.give_back(self.piece)
            log.critical("disk-reserve", left=left, free=self.disk.free_bytes())

    async def run(self) -> None:
        """Look every second, until there is nothing left.

        Raises:
            DiskFull: the process must end, before the store can't be written.
        """
        while self.look() is not Room.FULL:  # noqa: ASYNC110 nobody tells of a disk that fills
            await asyncio.sleep(LOOK_S)
        raise DiskFull(
            f"The disk under the store is full: {self.free // 1024} KiB are left, and no reserve",
            safe="what was receipted is in the log; nothing was half written",
            do="make room, then start the node again: it begins where it stopped",
        )

    def show(self, figures: Figures) -> None:
        """Have the figures say how the disk fares."""
        disk, reserve = self.disk, self.reserve
        for name, says, read in (
            ("liaison_store_bytes", "The store's files together.", disk.store_bytes),
            ("liaison_wal_bytes", "SQLite's write-ahead log.", disk.wal_bytes),
            ("liaison_disk_free_bytes", "Left on the store's disk.", disk.free_bytes),
            (
                "liaison_disk_reserve_bytes",
                "Laid aside for the day on which nothing else is left.",
                lambda: reserve.left if reserve else 0,
            ),
            (
                "liaison_disk_room",
                "3: plenty, 2: low, 1: notes below FLASH are refused, 0: full.",
                lambda: int(self.room),
            ),
        ):
            figures.gauge(name, says, read)
