"""Make protocols/vectors/log.json: trees, notes and proofs, and what must be refused and why.

Run from the top of the work tree: ``python -m tests.vectors.make_log``. A released vector is
never changed: what is new is added.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Final

from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.tlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
)
from liaison.tlog.note import SignerKey, VerifierKey
from liaison.tlog.proof import TlogProof
from liaison.tlog.tiles import Edge, Tile, entries_path, format_bundle, tile_path, tiles_of_size
from liaison.words.encoding import to_base64

PATH: Final = Path(__file__).parents[2] / "protocols" / "vectors" / "log.json"
ORIGIN: Final = "node.example/log"
SEED: Final = sha256(b"liaison test vectors: log key").digest()
OTHER_SEED: Final = sha256(b"liaison test vectors: another key").digest()
LARGEST: Final = 70_000
SIZES: Final = (*range(18), 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, LARGEST)
INCLUSIONS: Final = (
    *((0, 1), (0, 2), (1, 2), (2, 3), (0, 7), (4, 7), (6, 7), (5, 8), (16, 17)),
    *((254, 255), (255, 256), (0, 257), (256, 257), (65_535, 65_537), (12_345, LARGEST)),
)
CONSISTENCIES: Final = (
    *((0, 0), (0, 7), (1, 1), (1, 2), (1, 8), (2, 5), (3, 7), (4, 7), (6, 8), (7, 7)),
    *((255, 256), (256, 257), (255, 65_537), (65_536, LARGEST), (1_000, LARGEST)),
)


def entry_at(index: int) -> bytes:
    """Return the entry that every tree of these vectors has at ``index``."""
    return str(index).encode()


def make() -> dict[str, object]:
    """Return all vectors; binary values are lower-case hex."""
    grown = Frontier().append([leaf_hash(entry_at(index)) for index in range(LARGEST)])
    get = grown.nodes.__getitem__
    _, tiles = Edge().follow(grown)
    signer = SignerKey(ORIGIN, SEED)
    size, index = 257, 200
    checkpoint = Checkpoint(ORIGIN, size, root_at(size, get))
    note = sign_checkpoint(checkpoint, signer)
    proof = TlogProof(index, inclusion_proof(index, size, get), note)
    with_extra = TlogProof(index, proof.hashes, note, b"not authenticated")

    def inclusion(index: int, size: int) -> dict[str, object]:
        return {
            "index": index,
            "size": size,
            "leaf": leaf_hash(entry_at(index)).hex(),
            "proof": [value.hex() for value in inclusion_proof(index, size, get)],
            "root": root_at(size, get).hex(),
        }

    def consistency(old: int, new: int) -> dict[str, object]:
        return {
            "old": old,
            "new": new,
            "proof": [value.hex() for value in consistency_proof(old, new, get)],
            "old_root": root_at(old, get).hex(),
            "new_root": root_at(new, get).hex(),
        }

    def tile(each: Tile) -> dict[str, object]:
        content = tiles[each.level, each.n]
        return {"path": tile_path(each), "sha256": sha256(content).hexdigest()}

    return {
        "about": (
            "Rules LOG-1 to LOG-19 of protocols/log.md. Entry i of every tree is the decimal of i "
            "in ASCII. Bytes are lower-case hex. A refusal differs from what is accepted in the "
            "one thing that its reason tells; 'error' is malformed (no reading) or log-untrusted "
            "(a contradiction)."
        ),
        "leaves": [
            {"entry": entry.hex(), "hash": leaf_hash(entry).hex()}
            for entry in (b"", b"0", bytes(range(256)))
        ],
        "roots": [{"size": size, "root": root_at(size, get).hex()} for size in SIZES],
        "inclusion": [inclusion(*each) for each in INCLUSIONS],
        "inclusion_refused": _inclusions_refused(inclusion(5, 8)),
        "consistency": [consistency(*each) for each in CONSISTENCIES],
        "consistency_refused": _consistencies_refused(consistency(3, 7), consistency(7, 7)),
        "tile_paths": [
            {"level": level, "n": n, "width": width, "path": tile_path(Tile(level, n, width))}
            for level, n, width in ((0, 0, 256), (0, 0, 1), (1, 234, 17), (0, 1_234_067, 256))
        ],
        "tile_paths_refused": [
            {"path": path, "error": "malformed", "reason": reason}
            for path, reason in _PATHS_REFUSED
        ],
        "tiles": [tile(each) for each in tiles_of_size(LARGEST) if each.n in (0, 272, 273)],
        "tiles_of_size": [
            {"size": size, "paths": [tile_path(each) for each in tiles_of_size(size)]}
            for size in (0, 1, 255, 256, 257, 512)
        ],
        "bundle": {
            "path": entries_path(0, 3),
            "entries": [entry_at(index).hex() for index in range(3)],
            "bytes": format_bundle([entry_at(index) for index in range(3)]).hex(),
        },
        "bundles_refused": [
            {"width": width, "bytes": data.hex(), "error": "malformed", "reason": reason}
            for width, data, reason in (
                (2, format_bundle([b"0"]), "an entry fewer than its width"),
                (1, format_bundle([b"0", b"1"]), "an entry more than its width"),
                (1, b"\x00\x02a", "ends within an entry"),
                (1, b"\x00", "ends within a length"),
            )
        ],
        "key": {
            "name": ORIGIN,
            "seed": SEED.hex(),
            "public": signer.verifier.public.hex(),
            "key_id": signer.verifier.key_id.hex(),
            "vkey": signer.verifier.to_text(),
        },
        "vkeys_refused": _vkeys_refused(signer.verifier),
        "checkpoint": {
            "origin": ORIGIN,
            "size": size,
            "root": checkpoint.root.hex(),
            "text": checkpoint.to_text(),
            "note": note,
        },
        "checkpoints_refused": _checkpoints_refused(checkpoint, signer),
        "tlog_proof": [
            {"leaf": leaf_hash(entry_at(index)).hex(), "extra": extra, "text": each.to_text()}
            for each, extra in ((proof, None), (with_extra, b"not authenticated".hex()))
        ],
        "tlog_proofs_refused": _proofs_refused(proof, with_extra),
    }


_PATHS_REFUSED: Final = (
    ("tile/00/000", "level with a leading zero"),
    ("tile/64/000", "level above 63"),
    ("tile/0/1", "group of fewer than three digits"),
    ("tile/0/001/234", "no x before a group that isn't the last"),
    ("tile/0/x001/x234", "x before the last group"),
    ("tile/0/x000/001", "leading group of zeros"),
    ("tile/0/000.p/0", "width 0"),
    ("tile/0/000.p/256", "width of a full tile"),
    ("tile/0/000.p/07", "width with a leading zero"),
    ("/tile/0/000", "leading slash"),
    ("tile/0/000\n", "newline at the end"),
)


def _flip(text: object, bit: int = 0) -> str:
    """Return hex with one bit of its first byte flipped."""
    data = bytearray.fromhex(str(text))
    data[0] ^= 1 << bit
    return data.hex()


def _refused(
    base: dict[str, object], *changes: tuple[str, dict[str, object]]
) -> list[dict[str, object]]:
    return [
        {**base, **changed, "error": "log-untrusted", "reason": reason}
        for reason, changed in changes
    ]


def _inclusions_refused(good: dict[str, object]) -> list[dict[str, object]]:
    proof = list(good["proof"])  # type: ignore[call-overload]
    return _refused(
        good,
        ("another leaf", {"leaf": _flip(good["leaf"])}),
        ("another root", {"root": _flip(good["root"])}),
        ("a sibling altered", {"proof": [_flip(proof[0]), *proof[1:]]}),
        ("siblings in another order", {"proof": proof[::-1]}),
        ("a sibling missing", {"proof": proof[:-1]}),
        ("a sibling too many", {"proof": [*proof, proof[0]]}),
        ("a sibling of 31 bytes", {"proof": [proof[0][2:], *proof[1:]]}),
        ("the neighbour's index", {"index": 4}),
        ("index of no leaf", {"index": 8}),
        ("size that needs a longer proof", {"size": 9}),
    )


def _consistencies_refused(
    good: dict[str, object], same: dict[str, object]
) -> list[dict[str, object]]:
    proof = list(good["proof"])  # type: ignore[call-overload]
    return [
        *_refused(
            good,
            ("another old root", {"old_root": _flip(good["old_root"])}),
            ("another new root", {"new_root": _flip(good["new_root"])}),
            ("a hash altered", {"proof": [*proof[:-1], _flip(proof[-1])]}),
            ("a hash missing", {"proof": proof[1:]}),
            ("a hash too many", {"proof": [*proof, proof[0]]}),
            ("the old tree larger than the new", {"old": 8}),
            ("an empty old tree with a proof", {"old": 0, "old_root": EMPTY_ROOT.hex()}),
            ("an empty old tree with a root that isn't its own", {"old": 0, "proof": []}),
        ),
        *_refused(
            same,
            ("two roots for one size", {"old_root": _flip(same["old_root"])}),
            ("a proof where none is needed", {"proof": proof[:1]}),
        ),
    ]


def _vkeys_refused(key: VerifierKey) -> list[dict[str, object]]:
    text = key.to_text()
    name, key_id, encoded = text.split("+", 2)
    order_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
    cases = [
        ("key id of another key", f"{name}+{_flip(key_id)}+{encoded}"),
        ("key id in upper case", f"{name}+{key_id.upper()}+{encoded}"),
        ("name with a space", f"node example+{key_id}+{encoded}"),
        ("a character of the key missing", text[:-1]),
        ("newline at the end", f"{text}\n"),
        ("another type of key", _vkey_unchecked(name, key.public, b"\x04")),
    ]
    for reason, public in (
        ("point of order 1", "01" + "00" * 31),
        ("point of order 2", "ec" + "ff" * 30 + "7f"),
        ("point of order 4", "00" * 32),
        ("point of order 8", order_8),
        ("not canonical: 2^255 - 19 + 3", "f0" + "ff" * 30 + "7f"),
        ("no point of the curve", "02" + "00" * 31),
    ):
        cases.append((reason, _vkey_unchecked("node.example/log", bytes.fromhex(public))))
    return [{"vkey": vkey, "error": "malformed", "reason": reason} for reason, vkey in cases]


def _vkey_unchecked(name: str, public: bytes, key_type: bytes = b"\x01") -> str:
    key_id = sha256(name.encode() + b"\n" + key_type + public).hexdigest()[:8]
    return f"{name}+{key_id}+{to_base64(key_type + public)}"


def _checkpoints_refused(checkpoint: Checkpoint, signer: SignerKey) -> list[dict[str, object]]:
    text = checkpoint.to_text()
    note = signer.sign_note(text)
    origin, size, root, _ = text.split("\n")
    elsewhere = Checkpoint("other.example/log", checkpoint.size, checkpoint.root)
    other = SignerKey(ORIGIN, OTHER_SEED)
    sibling = SignerKey("node.example/other", SEED)
    unreadable = [
        ("size with a leading zero", f"{origin}\n0{size}\n{root}\n"),
        ("size with a sign", f"{origin}\n+{size}\n{root}\n"),
        ("size of 5000 digits", f"{origin}\n{'9' * 5000}\n{root}\n"),
        ("root without padding", f"{origin}\n{size}\n{root.rstrip('=')}\n"),
        ("root of 31 bytes", f"{origin}\n{size}\n{'A' * 40}AA==\n"),
        ("the empty tree with another root", f"{origin}\n0\n{root}\n"),
        ("no origin", f"\n{size}\n{root}\n"),
        ("no root", f"{origin}\n{size}\n"),
        ("empty extension line", f"{text}\n"),
    ]
    untrusted = [
        ("another origin", sign_checkpoint(elsewhere, signer)),
        ("signed by another key of that name", sign_checkpoint(checkpoint, other)),
        ("signed by that key under another name", sign_checkpoint(checkpoint, sibling)),
        ("size altered after signing", note.replace(f"\n{size}\n", f"\n{size}0\n", 1)),
        ("signature of another text", text + "\n" + signer.sign(elsewhere.to_text())),
    ]
    broken = [
        ("no signature", f"{text}\n"),
        ("no newline at the end", note[:-1]),
        ("carriage returns", note.replace("\n", "\r\n")),
        ("hyphen for the dash", note.replace("\u2014", "-")),
        ("101 signatures", text + "\n" + signer.sign(text) * 101),
    ]
    return [
        {"note": data, "error": error, "reason": reason}
        for error, cases in (
            ("malformed", [(why, signer.sign_note(each)) for why, each in unreadable]),
            ("log-untrusted", untrusted),
            ("malformed", broken),
        )
        for reason, data in cases
    ]


def _proofs_refused(proof: TlogProof, with_extra: TlogProof) -> list[dict[str, object]]:
    leaf = leaf_hash(entry_at(proof.index)).hex()
    text = proof.to_text()
    extra_line = with_extra.to_text().split("\n")[1]
    first, second = text.split("\n")[2:4]
    cases = [
        ("log-untrusted", "another leaf", _flip(leaf), text),
        ("log-untrusted", "the neighbour's index", leaf, text.replace("index 200", "index 201")),
        ("log-untrusted", "index of no leaf", leaf, text.replace("index 200", "index 257")),
        ("log-untrusted", "a hash missing", leaf, text.replace(f"{first}\n", "")),
        (
            "log-untrusted",
            "hashes in another order",
            leaf,
            text.replace(f"{first}\n{second}", f"{second}\n{first}"),
        ),
        ("malformed", "another version", leaf, text.replace("@v1", "@v2")),
        ("malformed", "no header", leaf, text.partition("\n")[2]),
        ("malformed", "index with a leading zero", leaf, text.replace("index 200", "index 0200")),
        ("malformed", "no index", leaf, text.replace("index 200\n", "")),
        ("malformed", "empty extra", leaf, text.replace("index", "extra \nindex", 1)),
        ("malformed", "extra after the index", leaf, text.replace(first, f"{extra_line}\n{first}")),
        ("malformed", "hash of 31 bytes", leaf, text.replace(first, "A" * 40 + "AA==")),
        ("malformed", "no checkpoint", leaf, text.partition("\n\n")[0] + "\n\n"),
        ("malformed", "no empty line", leaf, text.replace("\n\n", "\n", 1)),
    ]
    return [
        {"leaf": leaf, "text": data, "error": error, "reason": reason}
        for error, reason, leaf, data in cases
    ]


def to_text() -> str:
    """Return the file's content."""
    return json.dumps(make(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(to_text(), encoding="utf-8")
