"""The second reader agrees with every vector, and notices when one is altered."""

from __future__ import annotations

import ast
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.independent import reader

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "protocols" / "vectors"
TEXTS = {path.stem: path.read_text("utf-8") for path in sorted(VECTORS.glob("*.json"))}
COUNTS = {"ledger": (340, 19), "log": (65, 60), "sealing": (39, 30), "statements": (60, 90)}


def test_it_reads_every_file_of_vectors():
    assert set(reader.FILES) == set(TEXTS) == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_it_agrees_with_the_vectors(name):
    tally = reader.read_vectors(name, TEXTS[name])
    accepted, refused = COUNTS[name]
    assert tally.accepted >= accepted
    assert tally.refused >= refused


def test_it_is_short_and_imports_nothing_of_liaison():
    source = (HERE / "reader.py").read_text("utf-8")
    assert source.count("\n") <= 500
    roots = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    assert roots - sys.stdlib_module_names == {"cryptography"}


def flipped(text: str) -> str:
    """Return a text with one bit of what it encodes flipped: base64, hex, or the text itself."""
    middle = len(text) // 2
    if len(text) == 64:
        return bytes([bytes.fromhex(text)[0] ^ 1]).hex() + text[2:]
    try:
        data = bytearray(base64.b64decode(text, validate=True))
        data[len(data) // 2] ^= 1
        return base64.b64encode(data).decode()
    except (ValueError, IndexError):
        return text[:middle] + chr(ord(text[middle]) ^ 1) + text[middle + 1 :]


def altered(vectors: Any, name: str, *names: str) -> Iterator[tuple[str, Any]]:
    """Yield the file once for each named member of each element, one bit flipped in it."""
    for place, each in enumerate(vectors[name]):
        for member in names:
            other = json.loads(json.dumps(vectors))
            other[name][place][member] = flipped(each[member])
            yield f"{name}[{place}].{member}", other


def alterations() -> Iterator[tuple[str, str, Any]]:
    said: dict[str, Any] = {name: json.loads(text) for name, text in TEXTS.items()}
    members = ("envelope", "payload", "public", "key_id", "digest", "payload_digest")
    for what, other in altered(said["statements"], "statements", *members):
        yield "statements", what, other
    for name in ("commitment", "ciphertext", "plaintext"):
        for what, other in altered(said["sealing"], "notes", name):
            yield "sealing", what, other
    for place, note in enumerate(said["sealing"]["notes"]):
        for n, wrap in enumerate(note["wraps"]):
            other = json.loads(TEXTS["sealing"])
            other["notes"][place]["wraps"][n]["wrap"] = flipped(wrap["wrap"])
            yield "sealing", f"notes[{place}].wraps[{n}]", other
    for what, other in altered(said["ledger"], "records", "entry", "kind", "leaf_key"):
        yield "ledger", what, other
    for what, other in altered(said["ledger"], "receipts", "text"):
        yield "ledger", what, other
    # 70,000 leaves take their time: the larger trees are compared once, above.
    small = said["log"]
    small["roots"] = [root for root in small["roots"] if root["size"] < 600]
    # From the empty tree every tree has grown: nothing in such a proof can be altered.
    small["consistency"] = [each for each in small["consistency"] if each["old"]]
    for name, hashes in (
        ("inclusion", ("leaf", "root")),
        ("consistency", ("old_root", "new_root")),
        ("leaves", ("hash",)),
        ("roots", ("root",)),
    ):
        for what, other in altered(said["log"], name, *hashes):
            yield "log", what, other
    for name, member in (("checkpoint", "note"), ("checkpoint", "root"), ("key", "vkey")):
        other = json.loads(json.dumps(small))
        other[name][member] = flipped(other[name][member])
        yield "log", f"{name}.{member}", other


ALTERATIONS = list(alterations())


def test_there_is_something_to_alter():
    assert len(ALTERATIONS) > 250


@pytest.mark.parametrize("name", COUNTS)
def test_a_flipped_bit_makes_it_fail(name):
    for of, what, other in ALTERATIONS:
        if of != name:
            continue
        try:
            reader.read_vectors(name, json.dumps(other))
        except (reader.Refused, UnicodeError):
            continue
        pytest.fail(f"{name}: {what} was altered, and nothing noticed")


@pytest.mark.parametrize("name", COUNTS)
def test_a_refusal_that_would_be_accepted_makes_it_fail(name):
    vectors: dict[str, Any] = json.loads(TEXTS[name])
    good = {
        "ledger": lambda v: v["receipts_refused"].append(
            {"text": v["receipts"][0]["text"], "reason": "planted"}
        ),
        "log": lambda v: v["vkeys_refused"].append({**v["key"], "reason": "planted"}),
        "sealing": lambda v: v["refused_plaintexts"].append(
            {"plaintext": v["notes"][0]["plaintext"], "why": "planted"}
        ),
        "statements": lambda v: v["keys_refused"].append(
            {"public": v["statements"][0]["public"], "reason": "planted"}
        ),
    }
    good[name](vectors)
    with pytest.raises(reader.Refused, match="accepted, though the vector says: planted"):
        reader.read_vectors(name, json.dumps(vectors))
