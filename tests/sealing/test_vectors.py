"""protocols/vectors/sealing.json: liaison's vectors, and another implementation's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from liaison.sealing.content import Content, Part, Role, format_content, padded_bytes, parse_content
from liaison.sealing.keys import EncryptionKey, load_public
from liaison.sealing.seal import Recipient, SealContext, _seal_under, open_sealed, unwrap
from liaison.words.encoding import from_base64
from liaison.words.errors import Malformed, Unreadable

FILE = Path(__file__).parents[2] / "protocols" / "vectors" / "sealing.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
KEYS = {key["statement"]: key for key in VECTORS["keys"]}


def content_of(described: dict[str, Any]) -> Content:
    parts = tuple(
        Part(from_base64(p["data"]), p["type"], Role(p["role"]), p["name"], p["lang"])
        for p in described["parts"]
    )
    return Content(described["subject"], parts)


@pytest.mark.parametrize("key", VECTORS["keys"])
def test_a_seed_has_one_public_key(key):
    public = EncryptionKey(from_base64(key["seed"])).public
    assert public == from_base64(key["public"])
    load_public(public)


@pytest.mark.parametrize("note", VECTORS["notes"], ids=lambda note: note["name"])
def test_a_note_seals_to_the_same_bytes(note):
    context, content = SealContext(**note["context"]), content_of(note["content"])
    sealed = _seal_under(from_base64(note["secret"]), content, context, [], wrapper="")
    assert context.info() == from_base64(note["info"])
    assert format_content(content) == from_base64(note["plaintext"])
    assert sealed.commitment == from_base64(note["commitment"])
    assert sealed.commitment == from_base64(note["okm"])[44:]
    assert sealed.ciphertext == from_base64(note["ciphertext"])


@pytest.mark.parametrize("note", VECTORS["notes"], ids=lambda note: note["name"])
def test_every_wrap_opens_the_note_whoever_made_it(note):
    context, commitment = SealContext(**note["context"]), from_base64(note["commitment"])
    for wrap in note["wraps"]:
        secret = unwrap(
            from_base64(wrap["wrap"]),
            EncryptionKey(from_base64(KEYS[wrap["statement"]]["seed"])),
            context,
            wrapper=wrap["wrapper"],
            statement=wrap["statement"],
            commitment=commitment,
        )
        opened = open_sealed(secret, from_base64(note["ciphertext"]), context, commitment)
        assert opened == content_of(note["content"])


def test_the_vectors_have_wraps_of_both_makers():
    makers = Counter(w["made_by"] for note in VECTORS["notes"] for w in note["wraps"])
    assert makers == {"liaison": 6, "@hpke/core 1.9.0, @hpke/hybridkem-x-wing 0.7.0": 8}


def test_padded_sizes():
    for size, whole in VECTORS["padded_bytes"]:
        assert padded_bytes(size) == whole


@pytest.mark.parametrize("case", VECTORS["refused_plaintexts"], ids=lambda case: case["why"])
def test_a_plaintext_outside_the_rules_is_refused(case):
    expected = Malformed if case["reason"] == "content" else Unreadable
    with pytest.raises(expected):
        parse_content(from_base64(case["plaintext"]))


@pytest.mark.parametrize("case", VECTORS["refused_keys"], ids=lambda case: case["why"])
def test_a_public_key_outside_the_rules_is_refused(case):
    public = from_base64(case["public"])
    with pytest.raises(Malformed, match="encryption key"):
        load_public(public)
    with pytest.raises(Malformed, match="recipient st: encryption key"):
        _seal_under(
            bytes(32),
            Content.text("s", "b"),
            SealContext("n", "c", "k", "note"),
            [Recipient("st", public)],
            wrapper="w",
        )
