"""Tiles: the stored and published form of a tree. c2sp.org/tlog-tiles; protocols/log.md, LOG-7 f.

Where tiles are kept is the caller's business: it's told which to write and asked for others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from liaison.tlog.merkle import (
    HASH_BYTES,
    Fold,
    Frontier,
    Grown,
    Node,
    consistency_nodes,
    frontier_nodes,
    inclusion_nodes,
    is_complete,
    row_above,
)
from liaison.words.encoding import to_decimal
from liaison.words.errors import LogUntrusted, Malformed

TILE_WIDTH: Final = 256
TILE_HEIGHT: Final = 8
"""Levels of the tree that one level of tiles spans: ``TILE_WIDTH`` is 2 to this power."""
MAX_ENTRY_BYTES: Final = 65_535
MAX_TILE_LEVEL: Final = 63

_FULL_BYTES: Final = TILE_WIDTH * HASH_BYTES
# 18 digits suffice: a tree of 2^64 leaves has 2^56 tiles in its lowest row.
_NUMBER: Final = r"(?P<number>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
_TILE_PATH: Final = re.compile(rf"tile/(?P<level>0|[1-9][0-9]?)/{_NUMBER}", re.ASCII)
_ENTRIES_PATH: Final = re.compile(rf"tile/entries/{_NUMBER}", re.ASCII)


class Tile(NamedTuple):
    """``width`` hashes of tree level ``8 * level``, from index ``256 * n``; full has width 256."""

    level: int
    n: int
    width: int


# Paths


def tile_path(tile: Tile) -> str:
    """Return the path of a hash tile, such as ``tile/0/x001/234.p/17``."""
    if not 0 <= tile.level <= MAX_TILE_LEVEL:
        raise ValueError(f"tile level {tile.level} isn't in 0 to {MAX_TILE_LEVEL}")
    return f"tile/{to_decimal(tile.level)}/{_to_number(tile.n, tile.width)}"


def parse_tile_path(text: str) -> Tile:
    """Return the hash tile that ``text`` names.

    Raises:
        Malformed: not the one spelling of a tile's path.
    """
    found = _TILE_PATH.fullmatch(text)
    if not found or int(found["level"]) > MAX_TILE_LEVEL:
        raise Malformed(f"not a tile's path such as tile/0/x001/234.p/17: {text[:80]!r}")
    n, width = _from_number(found["number"], found["width"])
    return Tile(int(found["level"]), n, width)


def entries_path(n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle, such as ``tile/entries/x001/234.p/17``."""
    return f"tile/entries/{_to_number(n, width)}"


def parse_entries_path(text: str) -> tuple[int, int]:
    """Return number and width of the entry bundle that ``text`` names.

    Raises:
        Malformed: not the one spelling of a bundle's path.
    """
    found = _ENTRIES_PATH.fullmatch(text)
    if not found:
        raise Malformed(f"not a bundle's path such as tile/entries/x001/234.p/17: {text[:80]!r}")
    return _from_number(found["number"], found["width"])


def _to_number(n: int, width: int) -> str:
    if not 0 <= n < 10**18:
        raise ValueError(f"no tile {n}")
    if not 1 <= width <= TILE_WIDTH:
        raise ValueError(f"tile width {width} isn't in 1 to {TILE_WIDTH}")
    groups = f"{n:,}".split(",")
    number = "/".join([*(f"x{int(group):03}" for group in groups[:-1]), f"{int(groups[-1]):03}"])
    return number if width == TILE_WIDTH else f"{number}.p/{width}"


def _from_number(number: str, width: str | None) -> tuple[int, int]:
    if number.startswith("x000"):
        raise Malformed(f"tile number {number} has a leading group of zeros")
    if width is not None and int(width) >= TILE_WIDTH:
        raise Malformed(f"partial width {width} isn't in 1 to {TILE_WIDTH - 1}")
    n = int(number.replace("x", "").replace("/", ""))
    return n, TILE_WIDTH if width is None else int(width)


# Entry bundles


def format_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the bundle of 1 to 256 entries of at most 65,535 bytes each."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise ValueError(f"bundle of {len(entries)} entries, not 1 to {TILE_WIDTH}")
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise ValueError(f"entry of {len(entry)} bytes; at most {MAX_ENTRY_BYTES} fit")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def parse_bundle(data: bytes, width: int) -> tuple[bytes, ...]:
    """Return the ``width`` entries of a bundle.

    Raises:
        Malformed: it holds fewer, or more.
    """
    if not 1 <= width <= TILE_WIDTH:
        raise ValueError(f"bundle width {width} isn't in 1 to {TILE_WIDTH}")
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) < width:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise Malformed(f"bundle ends within entry {len(entries)} of {width}")
        entries.append(data[start:at])
    if len(entries) < width:
        raise Malformed(f"bundle of {len(entries)} entries, not {width}")
    if at < len(data):
        raise Malformed(f"bundle has {len(data) - at} bytes after its {width} entries")
    return tuple(entries)


# Which tiles


def tiles_of_size(size: int) -> Iterator[Tile]:
    """Give every hash tile of a tree of ``size`` leaves, lowest row first, each at its width."""
    yield from _tiles_between(0, size)


def changed_tiles(old_size: int, new_size: int) -> tuple[Tile, ...]:
    """Return the hash tiles that growing creates or widens, at their new width."""
    return tuple(_tiles_between(old_size, new_size))


def _tiles_between(old_size: int, new_size: int) -> Iterator[Tile]:
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {new_size} leaves doesn't extend one of {old_size}")
    level = 0
    while new_size > old_size:
        for n in range(old_size // TILE_WIDTH, -(-new_size // TILE_WIDTH)):
            yield Tile(level, n, min(TILE_WIDTH, new_size - n * TILE_WIDTH))
        # Only full tiles have a hash in the row above.
        level += 1
        old_size, new_size = old_size // TILE_WIDTH, new_size // TILE_WIDTH


def tile_of(node: Node, size: int) -> Tile:
    """Return the tile, as wide as in a tree of ``size`` leaves, from which ``node`` folds."""
    if not is_complete(node, size):
        raise ValueError(f"node {node} isn't complete in a tree of {size}")
    level, index = node
    row, height = divmod(level, TILE_HEIGHT)
    n = (index << height) // TILE_WIDTH
    return Tile(row, n, min(TILE_WIDTH, (size >> row * TILE_HEIGHT) - n * TILE_WIDTH))


def tiles_for_inclusion(index: int, size: int) -> frozenset[Tile]:
    """Return the tiles from which the inclusion proof of leaf ``index`` folds."""
    return _tiles_for(inclusion_nodes(index, size), size)


def tiles_for_consistency(old: int, new: int) -> frozenset[Tile]:
    """Return the tiles, at their width in the tree of ``new``, of the consistency proof."""
    return _tiles_for(consistency_nodes(old, new), new)


def tiles_for_root(size: int) -> frozenset[Tile]:
    """Return the tiles from which the root folds: the last ones, where they aren't full."""
    return _tiles_for((frontier_nodes(size),), size)


def _tiles_for(folds: Sequence[Fold], size: int) -> frozenset[Tile]:
    return frozenset(tile_of(node, size) for fold in folds for node in fold)


def node_from_tiles(get_tile: Callable[[Tile], bytes], size: int) -> Callable[[Node], bytes]:
    """Return what reads complete nodes of a tree of ``size`` leaves from its tiles.

    ``get_tile`` is given each tile at its width in that tree, and each at most once: what was
    read and folded is kept as long as the returned function is.

    Raises (the returned function):
        LogUntrusted: a tile has another number of bytes than its width asks for.
    """
    folded: dict[Tile, list[list[bytes]]] = {}

    def get(node: Node) -> bytes:
        tile = tile_of(node, size)
        rows = folded.get(tile)
        if rows is None:
            rows = [split_tile(tile, get_tile(tile))]
            while len(rows[-1]) > 1:
                rows.append(row_above(rows[-1]))
            folded[tile] = rows
        level, index = node
        height = level % TILE_HEIGHT
        return rows[height][index - (tile.n * TILE_WIDTH >> height)]

    return get


def split_tile(tile: Tile, data: bytes) -> list[bytes]:
    """Return the hashes of a tile.

    Raises:
        LogUntrusted: another number of bytes than its width asks for.
    """
    if len(data) != tile.width * HASH_BYTES:
        raise LogUntrusted(
            f"{tile_path(tile)} has {len(data)} bytes, not {tile.width * HASH_BYTES}"
        )
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


# The right edge


@dataclass(frozen=True)
class Edge:
    """The tiles that the next append continues: what a writer of tiles keeps in memory.

    ``partials`` holds for every row of tiles, lowest first, the bytes of its last tile if that
    isn't full, else nothing.
    """

    head: Frontier = field(default_factory=Frontier)
    partials: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        widths = tuple(len(partial) for partial in self.partials)
        expected = tuple(_partial_bytes(self.head.size))
        if widths != expected:
            raise ValueError(f"partial tiles of {widths} bytes, not {expected}")

    @classmethod
    def from_tiles(cls, size: int, get_tile: Callable[[Tile], bytes]) -> Edge:
        """Return the edge of a stored tree of ``size`` leaves; only partial tiles are read.

        The caller compares ``root`` with what was signed.

        Raises:
            LogUntrusted: a tile has another number of bytes than its width asks for.
        """
        partials: dict[Tile, bytes] = {}
        for level, length in enumerate(_partial_bytes(size)):
            if length:
                n = size >> (level + 1) * TILE_HEIGHT
                tile = Tile(level, n, length // HASH_BYTES)
                data = get_tile(tile)
                split_tile(tile, data)  # for its check
                partials[tile] = data
        by_level = {tile.level: data for tile, data in partials.items()}
        return cls(
            Frontier.at(size, node_from_tiles(partials.__getitem__, size)),
            tuple(by_level.get(level, b"") for level, _ in enumerate(_partial_bytes(size))),
        )

    @property
    def root(self) -> bytes:
        return self.head.root

    def frontier(self) -> Frontier:
        return self.head

    def append(self, leaf_hashes: Sequence[bytes]) -> tuple[Edge, dict[tuple[int, int], bytes]]:
        """Return the edge after these leaves, and the whole content of each (level, n) to write."""
        return self.follow(self.head.append(leaf_hashes))

    def follow(self, grown: Grown) -> tuple[Edge, dict[tuple[int, int], bytes]]:
        """Do as ``append`` for what ``frontier()`` has grown into, without hashing again."""
        if grown.old_size != self.head.size:
            raise ValueError(f"grown from {grown.old_size} leaves, not {self.head.size}")
        changed: dict[tuple[int, int], bytes] = {}
        partials: list[bytes] = []
        first, end, level = self.head.size, grown.frontier.size, 0
        while end:
            data = self.partials[level] if level < len(self.partials) else b""
            if first < end:
                new = [grown.nodes[level * TILE_HEIGHT, index] for index in range(first, end)]
                data = b"".join((data, *new))
                cuts = [*range(0, len(data), _FULL_BYTES), len(data)]
                for n, (start, stop) in enumerate(pairwise(cuts), first // TILE_WIDTH):
                    changed[level, n] = data[start:stop]
                data = data[len(data) - len(data) % _FULL_BYTES :]
            partials.append(data)
            first, end, level = first // TILE_WIDTH, end // TILE_WIDTH, level + 1
        return Edge(grown.frontier, tuple(partials)), changed


def _partial_bytes(size: int) -> Iterator[int]:
    """Give the bytes of each row's partial tile, lowest row first."""
    while size:
        yield size % TILE_WIDTH * HASH_BYTES
        size //= TILE_WIDTH
