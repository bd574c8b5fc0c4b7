"""Tiles against the format's own examples, an independent reader and writer, and the tree."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import PlainEd25519Signer
from tlog_scales.writer import TilesWriter

from liaison.tlog.checkpoint import open_checkpoint
from liaison.tlog.merkle import (
    Frontier,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
)
from liaison.tlog.note import SignerKey
from liaison.tlog.tiles import (
    Edge,
    Tile,
    changed_tiles,
    entries_path,
    format_bundle,
    node_from_tiles,
    parse_bundle,
    parse_entries_path,
    parse_tile_path,
    tile_path,
    tiles_for_consistency,
    tiles_for_inclusion,
    tiles_for_root,
    tiles_of_size,
)
from liaison.words.errors import LogUntrusted, Malformed

LARGEST = 70_000
ENTRIES = [b"%d" % index for index in range(LARGEST)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
GROWN = Frontier().append(LEAVES)
_, FULL = Edge().follow(GROWN)
SIZES = (1, 2, 255, 256, 257, 511, 513, 65_535, 65_536, 65_537, LARGEST)


def get_tile(tile: Tile) -> bytes:
    """Every earlier partial tile is a beginning of the newest."""
    return FULL[tile.level, tile.n][: tile.width * 32]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (Tile(0, 1_234, 17), "tile/0/x001/234.p/17"),
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(63, 999, 255), "tile/63/999.p/255"),
        (Tile(1, 1_000_000, 1), "tile/1/x001/x000/000.p/1"),
    ],
)
def test_log_8_tile_paths(tile, path):
    assert tile_path(tile) == path
    assert parse_tile_path(path) == tile
    entries = "tile/entries/" + path.split("/", 2)[2]
    assert entries_path(tile.n, tile.width) == entries
    assert parse_entries_path(entries) == (tile.n, tile.width)


@given(st.text("tile/0123456789x.p", max_size=24) | st.from_regex(r"tile/\d+/[x0-9/]+(\.p/\d+)?"))
@example("tile/0/000\n")
@example("tile/0/٠٠٠")
@example("tile/0/" + "x999/" * 40 + "000")
def test_any_text_is_a_tile_path_or_malformed(text):
    with suppress(Malformed):
        assert tile_path(parse_tile_path(text)) == text
    with suppress(Malformed):
        assert entries_path(*parse_entries_path(text)) == text


@given(st.integers(0, 63), st.integers(0, 10**18 - 1), st.integers(1, 256))
def test_any_tile_has_one_path(level, n, width):
    assert parse_tile_path(tile_path(Tile(level, n, width))) == Tile(level, n, width)
    assert parse_entries_path(entries_path(n, width)) == (n, width)


def test_a_tile_that_cant_be_has_no_path():
    for tile in (Tile(64, 0, 1), Tile(0, -1, 1), Tile(0, 0, 0), Tile(0, 0, 257)):
        with pytest.raises(ValueError, match="tile"):
            tile_path(tile)


def test_log_10_the_tiles_of_a_size():
    assert [tile_path(tile) for tile in tiles_of_size(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert list(tiles_of_size(0)) == []
    tiles = list(tiles_of_size(70_000))
    assert sum(tile.width == 256 for tile in tiles if tile.level == 0) == 273
    assert [tile for tile in tiles if tile.width < 256] == [
        Tile(0, 273, 112),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert sum(tile.width == 256 for tile in tiles if tile.level == 1) == 1
    assert {(tile.level, tile.n): tile.width * 32 for tile in tiles} == {
        key: len(data) for key, data in FULL.items()
    }


@given(st.lists(st.sampled_from((0, 1, 2, 16, 255, 256, 257, 700)), max_size=12))
def test_batches_write_the_tiles_that_one_append_would(batches):
    edge = Edge()
    store: dict[tuple[int, int], bytes] = {}
    for batch in batches:
        size = edge.head.size
        edge, changed = edge.append(LEAVES[size : size + batch])
        assert set(changed_tiles(size, edge.head.size)) == {
            Tile(level, n, len(data) // 32) for (level, n), data in changed.items()
        }
        store |= changed
        assert edge.root == root_at(edge.head.size, GROWN.nodes.__getitem__)
    assert edge == Edge.from_tiles(edge.head.size, get_tile)
    for tile in tiles_of_size(edge.head.size):
        assert store[tile.level, tile.n] == get_tile(tile)


@pytest.mark.parametrize("size", SIZES)
def test_an_edge_comes_back_from_its_tiles(size):
    edge = Edge.from_tiles(size, get_tile)
    assert edge.frontier() == Frontier.at(size, GROWN.nodes.__getitem__)
    rest = LEAVES[size : size + 300]
    grown, changed = edge.append(rest)
    assert grown == Edge.from_tiles(size + len(rest), get_tile)
    for tile in changed_tiles(size, size + len(rest)):
        assert changed[tile.level, tile.n] == get_tile(tile)


def test_a_tile_of_another_length_is_not_trusted():
    assert Edge.from_tiles(300, get_tile).root == root_at(300, GROWN.nodes.__getitem__)
    with pytest.raises(LogUntrusted, match=r"^tile/0/001\.p/44 has 1376 bytes, not 1408$"):
        Edge.from_tiles(300, lambda tile: get_tile(tile)[:-32])
    with pytest.raises(LogUntrusted, match=r"^tile/0/000 has 8191 bytes, not 8192$"):
        node_from_tiles(lambda tile: get_tile(tile)[:-1], 300)((0, 0))
    with pytest.raises(ValueError, match="isn't complete"):
        node_from_tiles(get_tile, 300)((2, 75))
    with pytest.raises(ValueError, match="partial tiles"):
        Edge(Frontier.at(3, GROWN.nodes.__getitem__), (bytes(64),))
    with pytest.raises(ValueError, match="grown from 0 leaves, not 300"):
        Edge.from_tiles(300, get_tile).follow(GROWN)


@given(st.integers(1, LARGEST), st.data())
def test_proofs_need_just_the_tiles_that_are_named(size, data):
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))
    get = GROWN.nodes.__getitem__
    for tiles, prove in (
        (tiles_for_inclusion(index, size), lambda g: inclusion_proof(index, size, g)),
        (tiles_for_consistency(old, size), lambda g: consistency_proof(old, size, g)),
        (tiles_for_root(size), lambda g: root_at(size, g)),
    ):
        asked: list[Tile] = []

        def asking(tile, asked=asked):
            asked.append(tile)
            return get_tile(tile)

        assert prove(node_from_tiles(asking, size)) == prove(get)
        assert len(asked) == len(set(asked))
        assert set(asked) == tiles


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_gives_back_its_entries(entries):
    assert parse_bundle(format_bundle(entries), len(entries)) == tuple(entries)


@given(st.binary(max_size=60), st.integers(1, 256))
@example(b"\x00\x00\x00", 1)
@example(b"\x00\x01", 1)
def test_any_bytes_are_a_bundle_or_malformed(data, width):
    with suppress(Malformed):
        assert format_bundle(parse_bundle(data, width)) == data


def test_log_9_a_bundle_holds_what_its_width_says():
    assert format_bundle([b"ab", b""]) == b"\x00\x02ab\x00\x00"
    for data, text in (
        (b"\x00\x02ab", "bundle of 1 entries, not 2"),
        (b"\x00\x02ab\x00\x00\x00", "bundle has 1 bytes after its 2 entries"),
        (b"\x00\x02ab\x00", "bundle ends within entry 1 of 2"),
        (b"\x00\x02ab\x00\x01", "bundle ends within entry 1 of 2"),
    ):
        with pytest.raises(Malformed, match=f"^{text}$"):
            parse_bundle(data, 2)
    assert parse_bundle(format_bundle([bytes(65_535)]), 1) == (bytes(65_535),)
    with pytest.raises(ValueError, match="entry of 65536 bytes"):
        format_bundle([bytes(65_536)])
    for entries in ([], [b""] * 257):
        with pytest.raises(ValueError, match="not 1 to 256"):
            format_bundle(entries)


def write_log(folder: Path, size: int) -> None:
    for tile in tiles_of_size(size):
        path = folder / tile_path(tile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(get_tile(tile))


@pytest.mark.parametrize("size", SIZES)
def test_an_independent_reader_agrees_on_our_tiles(tmp_path, size):
    write_log(tmp_path, size)
    reader = TilesReader(LocalBackend(tmp_path))
    reader.set_size(size)
    root = reader.calculate_root_hash()
    get = node_from_tiles(get_tile, size)
    assert root == root_at(size, get)
    for index in {0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size)):
        theirs = reader.get_inclusion_proof(index, size)
        assert tuple(theirs.node_hashes) == inclusion_proof(index, size, get)
        check_inclusion(LEAVES[index], index, size, theirs.node_hashes, root)
    for old in {1, 2, 255, 256, 257, size // 3, size - 1} & set(range(1, size)):
        proof = reader.get_consistency_proof(old, size).node_hashes
        assert tuple(proof) == consistency_proof(old, size, get)
        check_consistency(old, size, proof, root_at(old, get), root)


def test_our_tiles_are_those_of_an_independent_writer(tmp_path):
    signer = SignerKey("node.example/log", bytes(range(32)))
    theirs = PlainEd25519Signer(signer.name, signer.seed)
    writer = TilesWriter.create(tmp_path / "log", signer.name)
    edge, at = Edge(), 0
    for batch in (1, 254, 1, 1, 600):
        for entry in ENTRIES[at : at + batch]:
            writer.add_leaf(entry)
        writer.commit([theirs], gc=False)
        edge, _ = edge.append(LEAVES[at : at + batch])
        at += batch
        note = (tmp_path / "log" / "checkpoint").read_text(encoding="utf-8")
        checkpoint = open_checkpoint(note, signer.verifier, signer.name)
        assert (checkpoint.size, checkpoint.root) == (at, edge.root)
        for tile in tiles_of_size(at):
            assert (tmp_path / "log" / tile_path(tile)).read_bytes() == get_tile(tile)
            if tile.level == 0:
                bundle = (tmp_path / "log" / entries_path(tile.n, tile.width)).read_bytes()
                first = tile.n * 256
                assert bundle == format_bundle(ENTRIES[first : first + tile.width])
