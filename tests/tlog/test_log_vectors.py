"""protocols/vectors/log.json is what its maker makes, and all of it holds."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from liaison.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from liaison.tlog.merkle import (
    Frontier,
    check_consistency,
    check_inclusion,
    leaf_hash,
    root_at,
)
from liaison.tlog.note import SignerKey, VerifierKey
from liaison.tlog.proof import TlogProof
from liaison.tlog.tiles import (
    Edge,
    Tile,
    format_bundle,
    parse_bundle,
    parse_tile_path,
    tile_path,
    tiles_of_size,
)
from liaison.words.errors import LiaisonError, LogUntrusted, Malformed
from tests.vectors import make_log

TEXT = make_log.PATH.read_text(encoding="utf-8")
VECTORS = json.loads(TEXT)
KEY = VerifierKey.from_text(VECTORS["key"]["vkey"])
ORIGIN = VECTORS["checkpoint"]["origin"]
ERRORS: dict[str, type[LiaisonError]] = {each.code: each for each in (Malformed, LogUntrusted)}
unhex = bytes.fromhex


def check_inclusion_vector(each):
    proof = [unhex(value) for value in each["proof"]]
    root = unhex(each["root"])
    check_inclusion(unhex(each["leaf"]), each["index"], each["size"], proof, root)


def check_consistency_vector(each):
    proof = [unhex(value) for value in each["proof"]]
    roots = unhex(each["old_root"]), unhex(each["new_root"])
    check_consistency(each["old"], each["new"], proof, *roots)


CHECKS = {
    "inclusion_refused": check_inclusion_vector,
    "consistency_refused": check_consistency_vector,
    "tile_paths_refused": lambda each: parse_tile_path(each["path"]),
    "bundles_refused": lambda each: parse_bundle(unhex(each["bytes"]), each["width"]),
    "vkeys_refused": lambda each: VerifierKey.from_text(each["vkey"]),
    "checkpoints_refused": lambda each: open_checkpoint(each["note"], KEY, ORIGIN),
    "tlog_proofs_refused": lambda each: TlogProof.from_text(each["text"]).check(
        unhex(each["leaf"]), KEY, ORIGIN
    ),
}


def test_the_file_is_what_its_maker_makes():
    assert make_log.to_text() == TEXT


def test_the_proofs_hold():
    for each in VECTORS["inclusion"]:
        check_inclusion_vector(each)
    for each in VECTORS["consistency"]:
        check_consistency_vector(each)
    for each in VECTORS["tlog_proof"]:
        proof = TlogProof.from_text(each["text"])
        assert proof.extra == (None if each["extra"] is None else unhex(each["extra"]))
        assert proof.check(unhex(each["leaf"]), KEY, ORIGIN).size == VECTORS["checkpoint"]["size"]


def test_the_tree_and_its_tiles_hold():
    for each in VECTORS["leaves"]:
        assert leaf_hash(unhex(each["entry"])).hex() == each["hash"]
    size = max(each["size"] for each in VECTORS["roots"])
    grown = Frontier().append([leaf_hash(b"%d" % index) for index in range(size)])
    for each in VECTORS["roots"]:
        assert root_at(each["size"], grown.nodes.__getitem__).hex() == each["root"]
    _, tiles = Edge().follow(grown)
    for each in VECTORS["tiles"]:
        tile = parse_tile_path(each["path"])
        assert sha256(tiles[tile.level, tile.n][: tile.width * 32]).hexdigest() == each["sha256"]
    for each in VECTORS["tile_paths"]:
        tile = Tile(each["level"], each["n"], each["width"])
        assert parse_tile_path(each["path"]) == tile
        assert tile_path(tile) == each["path"]
    for each in VECTORS["tiles_of_size"]:
        assert [tile_path(tile) for tile in tiles_of_size(each["size"])] == each["paths"]
    bundle = VECTORS["bundle"]
    entries = [unhex(entry) for entry in bundle["entries"]]
    assert format_bundle(entries) == unhex(bundle["bytes"])


def test_the_key_signs_the_checkpoint():
    signer = SignerKey(VECTORS["key"]["name"], unhex(VECTORS["key"]["seed"]))
    assert signer.verifier == KEY
    given = VECTORS["checkpoint"]
    checkpoint = Checkpoint(given["origin"], given["size"], unhex(given["root"]))
    assert checkpoint.to_text() == given["text"]
    assert sign_checkpoint(checkpoint, signer) == given["note"]
    assert open_checkpoint(given["note"], KEY, ORIGIN) == checkpoint


@pytest.mark.parametrize(
    ("kind", "each"),
    [
        pytest.param(kind, each, id=f"{kind}: {each['reason']}")
        for kind in CHECKS
        for each in VECTORS[kind]
    ],
)
def test_what_must_be_refused_is(kind, each):
    with pytest.raises(ERRORS[each["error"]]):
        CHECKS[kind](each)


def test_every_list_of_refusals_is_looked_at():
    assert {name for name in VECTORS if name.endswith("_refused")} == set(CHECKS)
