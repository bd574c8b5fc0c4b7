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
DECIDED = {"rules-1"}
"""What the rules make of records: the second reader reads and verifies, it doesn't decide."""
TEXTS = {
    path.stem: path.read_text("utf-8")
    for path in sorted(VECTORS.glob("*.json"))
    if path.stem not in DECIDED
}
COUNTS = {"ledger": (1150, 19), "log": (65, 60), "sealing": (39, 30), "statements": (70, 90)}


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


def of_statements() -> Iterator[tuple[str, Any]]:
    members = ("envelope", "payload", "public", "key_id", "digest", "payload_digest")
    yield from altered(json.loads(TEXTS["statements"]), "statements", *members)


def of_sealing() -> Iterator[tuple[str, Any]]:
    said = json.loads(TEXTS["sealing"])
    for name in ("commitment", "ciphertext", "plaintext"):
        yield from altered(said, "notes", name)
    for place, note in enumerate(said["notes"]):
        for n, wrap in enumerate(note["wraps"]):
            other = json.loads(TEXTS["sealing"])
            other["notes"][place]["wraps"][n]["wrap"] = flipped(wrap["wrap"])
            yield f"notes[{place}].wraps[{n}]", other


def of_ledger() -> Iterator[tuple[str, Any]]:
    said = json.loads(TEXTS["ledger"])
    yield from altered(said, "records", "entry", "kind", "leaf_key")
    yield from altered(said, "receipts", "text")
    for place, each in enumerate(said["second"]["records"]):
        if place % 6 == 0:
            other = json.loads(TEXTS["ledger"])
            other["second"]["records"][place]["entry"] = flipped(each["entry"])
            yield f"second.records[{place}]", other
    for name in ("root", "from"):
        other = json.loads(TEXTS["ledger"])
        of = other["second"]
        of[name] = flipped(of[name]) if name == "root" else of[name] + 1
        yield f"second.{name}", other


def of_log() -> Iterator[tuple[str, Any]]:
    said = json.loads(TEXTS["log"])
    # 70,000 leaves take their time: the larger trees are compared once, above.
    said["roots"] = [root for root in said["roots"] if root["size"] < 600]
    # From the empty tree every tree has grown: nothing in such a proof can be altered.
    said["consistency"] = [each for each in said["consistency"] if each["old"]]
    for name, hashes in (
        ("inclusion", ("leaf", "root")),
        ("consistency", ("old_root", "new_root")),
        ("leaves", ("hash",)),
        ("roots", ("root",)),
    ):
        yield from altered(said, name, *hashes)
    for name, member in (("checkpoint", "note"), ("checkpoint", "root"), ("key", "vkey")):
        other = json.loads(json.dumps(said))
        other[name][member] = flipped(other[name][member])
        yield f"{name}.{member}", other


ALTERATIONS = {
    "ledger": of_ledger,
    "log": of_log,
    "sealing": of_sealing,
    "statements": of_statements,
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_flipped_bit_makes_it_fail(name):
    tried = 0
    for what, other in ALTERATIONS[name]():
        tried += 1
        try:
            reader.read_vectors(name, json.dumps(other))
        except (reader.Refused, UnicodeError):
            continue
        pytest.fail(f"{name}: {what} was altered, and nothing noticed")
    assert tried > 10


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


def record_of(kind: str) -> tuple[dict[str, bytes], dict[str, int]]:
    """Return the fields of the first record of a kind, and the head of the log before it."""
    said = json.loads(TEXTS["ledger"])
    head = {"at": 0}
    parts = (said, *(said[name] for name in ("second", "third", "fourth", "fifth")))
    for each in (record for part in parts for record in part["records"]):
        fields = reader.check_openings(each["entry"], each["openings"])
        if each["kind"] == kind:
            return fields, head
        reader.check_record(fields, said["origin"], head)
    raise AssertionError(kind)


def changed(data: bytes, **members: Any) -> bytes:
    said = json.loads(data) | members
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize("kind", reader.DUE_KINDS.split())
def test_a_due_record_has_no_statement_and_says_when_it_was_due(kind):
    fields, head = record_of(kind)
    origin = json.loads(TEXTS["ledger"])["origin"]
    reader.check_record(fields, origin, dict(head))
    facts = json.loads(fields["facts"])
    urgency = json.loads(fields["urgency"])
    place = json.loads(fields["channel"])
    statement, _ = record_of("note")
    for name, value in (
        ("statement", statement["statement"]),
        ("actor", b"another.example/log"),
        ("at", b"1"),
        ("at", str(facts["due"] - 1).encode()),
        ("urgency", changed(fields["urgency"], due=urgency["due"] + 1)),
        ("facts", changed(fields["facts"], due=facts["due"] + 1)),
        ("facts", changed(fields["facts"], channel=place["id"].swapcase())),
        ("channel", changed(fields["channel"], n=place["n"] + 1)),
        ("note", statement["note"]),
    ):
        with pytest.raises(reader.Refused, match="REC-"):
            reader.check_record({**fields, name: value}, origin, dict(head))


def test_a_stated_record_is_that_of_its_statement():
    fields, head = record_of("release")
    reader.check_record(fields, "", dict(head))
    note, _ = record_of("note")
    for name, value in (
        ("statement", note["statement"]),
        ("actor", note["actor"]),
        ("facts", note["facts"]),
    ):
        with pytest.raises(reader.Refused):
            reader.check_record({**fields, name: value}, "", dict(head))
