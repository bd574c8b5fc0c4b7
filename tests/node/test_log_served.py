"""The log under /log/ as C2SP tlog-tiles has it; openings for the administrator. API-20."""

from __future__ import annotations

from pathlib import Path

from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader

from liaison.ledger.entry import commit_to
from liaison.ledger.record import record_from
from liaison.tlog.checkpoint import open_checkpoint
from liaison.tlog.merkle import leaf_hash, root_of
from liaison.tlog.tiles import entries_path, parse_bundle, tile_path, tiles_of_size
from liaison.words.encoding import from_base64
from tests.node.live import LiveNode
from tests.world import ANNA, FCO, ORIGIN, signing


async def test_checkpoint_tiles_and_bundles_lead_to_one_root(
    node: LiveNode, tmp_path: Path
) -> None:
    for _ in range(3):
        await node.send()
    _, text = await node.get("/log/checkpoint")
    checkpoint = open_checkpoint(text.decode(), node.key, ORIGIN)
    size = checkpoint.size
    _, data = await node.get(f"/log/{entries_path(0, size)}")
    leaves = parse_bundle(data, size)
    assert root_of([leaf_hash(leaf) for leaf in leaves]) == checkpoint.root
    (tile,) = tiles_of_size(size)
    _, hashes = await node.get(f"/log/{tile_path(tile)}")
    assert hashes == b"".join(leaf_hash(leaf) for leaf in leaves)
    # Another implementation reads the same root from what was served.
    served = tmp_path / "served" / tile_path(tile)
    served.parent.mkdir(parents=True)
    served.write_bytes(hashes)
    theirs = TilesReader(LocalBackend(tmp_path / "served"))
    theirs.set_size(size)
    assert theirs.calculate_root_hash() == checkpoint.root
    # Every earlier width is there, too, and nothing beyond what was signed.
    for width in (1, size - 1):
        assert (await node.get(f"/log/tile/0/000.p/{width}"))[1] == hashes[: 32 * width]
        assert (await node.get(f"/log/tile/entries/000.p/{width}"))[0] == 200
    for path in (f"0/000.p/{size + 1}", "0/000", "1/000", "0/001.p/1", f"entries/000.p/{size + 1}"):
        assert (await node.get(f"/log/tile/{path}"))[0] == 404, path
    for path in ("0/0", "0/000.p/0", "0/000.p/01", "00/000", "entries/000.p/256", "0/x000/000"):
        assert (await node.get(f"/log/tile/{path}"))[0] in (400, 404), path


async def test_openings_are_for_the_administrator_and_open_every_leaf(node: LiveNode) -> None:
    sent, proved = await node.send()
    token = await node.token(ORIGIN, signing("administrator"))
    size = proved.index + 1
    status, page = await node.get(f"/v1/openings?start=0&end={size + 50}", token)
    assert (status, len(page["entries"])) == (200, size)
    _, data = await node.get(f"/log/{entries_path(0, size)}")
    for entry, leaf in zip(page["entries"], parse_bundle(data, size), strict=True):
        fields = [from_base64(value) for value in entry["fields"]]
        assert commit_to(fields, from_base64(entry["leaf_key"]))[0] == leaf
        assert entry["entry"].encode() == leaf
    fields = [from_base64(value) for value in page["entries"][-1]["fields"]]
    assert record_from(fields).statement == sent.statement.raw
    for by, key in ((ANNA, None), (FCO, signing(f"{FCO}/1"))):
        told = await node.get("/v1/openings?start=0&end=1", await node.token(by, key))
        assert told[0] == 404
    assert (await node.get("/v1/openings?start=0&end=1"))[0] == 401
    assert (await node.get("/v1/openings?start=0", token))[0] == 400
