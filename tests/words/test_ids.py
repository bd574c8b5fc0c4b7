"""Names and identifiers: one spelling each, and a refusal says what one looks like."""

from __future__ import annotations

import re
import uuid
from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import Malformed
from liaison.words.ids import DIGEST_PATTERN, NOTE_ID_PATTERN, check_id, new_note_id, party_of

DIGEST = b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("party id", "fco.example"),
        ("party id", "a.b"),
        ("party id", "xn--mnchen-3ya.example"),
        ("party id", ".".join(["a" * 63, "b" * 55])),
        ("address", "attache.london@mod.example"),
        ("address", "a@b.c"),
        ("local name", "duty.desk"),
        ("local name", "a" * 64),
        ("alias", "london-hotline"),
        ("alias", "a" * 40),
        ("origin", "node.example/log"),
        ("origin", "localhost:8443"),
        ("digest", DIGEST),
    ],
)
def test_a_name_is_returned_as_it_is(what, text):
    assert check_id(what, text) == text


SHAPES = {
    "party id": "a lower-case DNS-style name such as mod.example",
    "address": "a lower-case name such as duty.desk@mod.example",
    "local name": "a lower-case name such as duty.desk",
    "alias": "1 to 40 of a-z, 0-9 and -",
    "origin": "a schema-less URL such as node.example/log",
    "digest": "32 bytes in padded base64",
}


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("party id", "example"),
        ("party id", "Fco.example"),
        ("party id", "fco..example"),
        ("party id", "-fco.example"),
        ("party id", "fco.example."),
        ("party id", "fco.example\n"),
        ("party id", "fçо.example"),
        ("party id", ".".join(["a" * 63, "b" * 57])),
        ("party id", ".".join(["a"] * 11)),
        ("address", "mod.example"),
        ("address", "@mod.example"),
        ("address", "a@b@mod.example"),
        ("address", "a@" + ".".join(["a" * 63, "b" * 57])),
        ("address", "Duty@mod.example"),
        ("local name", ".desk"),
        ("local name", "a" * 65),
        ("alias", ""),
        ("alias", "a" * 41),
        ("alias", "a_b"),
        ("alias", "hotline\n"),
        ("origin", "https://Node.example"),
        ("origin", "node.example/"),
        ("origin", ""),
        ("digest", DIGEST[:-1]),
        ("digest", DIGEST.replace("A=", "B=")),
        ("digest", b64encode(bytes(31)).decode()),
        ("digest", DIGEST + "\n"),
    ],
)
def test_another_spelling_is_refused_and_says_what_it_must_be(what, text):
    with pytest.raises(Malformed) as caught:
        check_id(what, text)
    assert str(caught.value) == (f"not a valid {what}: {text[:80]!r}; it must be {SHAPES[what]}")


@given(st.binary(min_size=32, max_size=32))
def test_every_digest_is_spelled_as_one(data):
    assert check_id("digest", to_base64(data))


@given(st.from_regex(DIGEST_PATTERN) | st.text(max_size=46))
def test_what_is_spelled_as_a_digest_is_one(text):
    with suppress(Malformed):
        assert to_base64(from_base64(check_id("digest", text), 32)) == text


def test_an_address_names_its_party():
    assert party_of("attache.london@mod.example") == "mod.example"
    assert party_of("mod.example") == "mod.example"


@given(st.integers(0, (2**48 - 1) * 1000 + 999), st.binary(min_size=10, max_size=10))
def test_a_note_id_is_a_uuidv7_of_its_millisecond(at, random):
    text = new_note_id(at, random)
    made = uuid.UUID(text)
    assert re.fullmatch(NOTE_ID_PATTERN, text)
    assert str(made) == text
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == at // 1000
    assert made.int & (2**62 - 1) == int.from_bytes(random[2:], "big") & (2**62 - 1)


def test_a_note_id_needs_ten_random_bytes():
    with pytest.raises(ValueError, match="9 random bytes, not 10"):
        new_note_id(0, bytes(9))
