"""Logs for the auditor: made from the world of tests/world.py, kept in memory, open to forgery."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from liaison.audit.report import Report
from liaison.audit.source import Anchors, OpenedEntry, Source
from liaison.audit.walk import replay, verify
from liaison.ledger.entry import commit_to
from liaison.ledger.facts import Stated
from liaison.ledger.record import FIELDS, Record, fields_of
from liaison.node.ports import Head
from liaison.statements.payloads import Verdict
from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.tlog.merkle import leaf_hash
from liaison.tlog.note import SignerKey
from liaison.tlog.tiles import Edge, Tile
from liaison.words.times import MINUTE
from tests.timed import every_due_kind
from tests.world import ANNA, DORA, MOD, ORIGIN, MemoryWorld, rows_of, signing

ANCHORS = Anchors(
    ORIGIN, signing("log").public, signing("node").public, signing("administrator").public
)
LOG_KEY = SignerKey(ORIGIN, signing("log").seed)


@dataclass
class MemorySource:
    """A log as a store and a signed checkpoint have it. Tests change what they like."""

    entries: list[OpenedEntry]
    tile_rows: dict[tuple[int, int], bytes]
    cell_rows: dict[str, bytes] | None
    signed: str | None
    head: Head | None
    leaf_rows: list[bytes] | None = None
    kept_rows: dict[str, bytes] | None = None
    asked: list[str] = field(default_factory=list)

    async def checkpoint(self) -> str | None:
        return self.signed

    async def end(self) -> Head | None:
        return self.head

    async def leaves(self, start: int, end: int) -> list[bytes]:
        rows = [e.entry for e in self.entries] if self.leaf_rows is None else self.leaf_rows
        return rows[start:end]

    async def opened(self, start: int, end: int) -> list[OpenedEntry]:
        return self.entries[start:end]

    async def tiles(self, tiles: Collection[Tile]) -> dict[Tile, bytes]:
        rows = self.tile_rows
        return {t: rows[t.level, t.n] for t in tiles if (t.level, t.n) in rows}

    def cells(self) -> AsyncIterator[tuple[str, bytes]] | None:
        return None if self.cell_rows is None else self._cells(self.cell_rows)

    async def _cells(self, rows: dict[str, bytes]) -> AsyncIterator[tuple[str, bytes]]:
        for key, row in rows.items():
            yield key, row

    def kept(self) -> AsyncIterator[tuple[str, bytes]] | None:
        return None if self.kept_rows is None else self._cells(self.kept_rows)

    async def close(self) -> None: ...

    def copy(self) -> MemorySource:
        cells = None if self.cell_rows is None else dict(self.cell_rows)
        return replace(
            self, entries=list(self.entries), tile_rows=dict(self.tile_rows), cell_rows=cells
        )


def leaf_key(index: int) -> bytes:
    return hashlib.sha256(b"leaf key %d" % index).digest()


def open_entry(index: int, record: Record) -> OpenedEntry:
    fields = fields_of(record)
    key = leaf_key(index)
    columns = {
        "digest": record.facts.statement if isinstance(record.facts, Stated) else "",
        "scope": record.channel.id,
        "n": str(record.channel.n),
    }
    return OpenedEntry(index, commit_to(fields, key)[0], key, fields, columns)


def source_of(
    records: Sequence[Record], cells: dict[str, bytes], *, signer: SignerKey = LOG_KEY
) -> MemorySource:
    """Return a log of these records whose tree, head and checkpoint fit them."""
    return over([open_entry(i, record) for i, record in enumerate(records)], cells, signer=signer)


def over(
    entries: Sequence[OpenedEntry], cells: dict[str, bytes] | None, *, signer: SignerKey = LOG_KEY
) -> MemorySource:
    """Return a log over entries of any kind, as a node that lies would sign it."""
    edge, tiles = Edge().append([leaf_hash(entry.entry) for entry in entries])
    checkpoint = Checkpoint(signer.name, len(entries), edge.root)
    at = int(entries[-1].fields[FIELDS.index("at")]) if entries else 0
    return MemorySource(
        list(entries),
        tiles,
        None if cells is None else dict(cells),
        sign_checkpoint(checkpoint, signer),
        Head(len(entries), edge.root, at),
    )


@cache
def small_world() -> MemoryWorld:
    """A world of every kind of record: notes, answers, a void."""
    world = MemoryWorld.opened()
    world.advance(MINUTE)
    note = world.accept(world.note())
    world.accept(world.answer(DORA, Verdict.DELIVERED, note.digest))
    world.advance(MINUTE)
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note.digest))
    world.accept(world.note(by=DORA))
    world.accept(world.void(ANNA, MOD, 2))
    return world


@cache
def large_world(size: int = 600) -> MemoryWorld:
    """A world of more records than two tiles have hashes."""
    world = small_world().copy()
    while len(world.records) < size:
        world.accept(world.time_confirmed())
        world.advance(1)
    return world


def small() -> MemorySource:
    world = small_world()
    return source_of(world.records, rows_of(world.cells))


@cache
def _large() -> MemorySource:
    world = large_world()
    return source_of(world.records, rows_of(world.cells))


def large() -> MemorySource:
    return _large().copy()


def now() -> int:
    return small_world().clock


async def verified(source: Source, anchors: Anchors = ANCHORS) -> Report:
    return await verify(source, anchors, now=now())


async def replayed(source: Source, anchors: Anchors = ANCHORS) -> Report:
    return await replay(source, anchors, now=now())


async def both(source: Source) -> tuple[Report, Report]:
    return await verified(source), await replayed(source)


def timed() -> MemorySource:
    """A log of every kind of record that time alone makes."""
    world = every_due_kind()
    return source_of(world.records, rows_of(world.cells))


def flipped(data: bytes, at: int, bits: int = 1) -> bytes:
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]
