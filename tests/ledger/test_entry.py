"""Entries commit to eight fields, and an opening reveals one (ENT)."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liaison.ledger.entry import (
    Opening,
    check_openings,
    commit_to,
    format_entry,
    parse_entry,
)
from liaison.ledger.record import FIELDS, fields_of
from liaison.words.encoding import to_base64url
from liaison.words.errors import LogUntrusted, Malformed
from tests.ledger.test_record import RECORDS
from tests.world import fixed

KEY, OTHER_KEY = fixed("leaf key"), fixed("another leaf key")
SHORT = (b"void", b"17", b'{"id":"x","n":1}', b"", b"a@b.c", b"{}", b"stated", b"{}")


def make_entry(fields, leaf_key: bytes) -> bytes:
    return commit_to(fields, leaf_key)[0]


def open_fields(fields, leaf_key: bytes) -> tuple[Opening, ...]:
    return commit_to(fields, leaf_key)[1]


def test_all_entries_have_one_length():
    entries = [make_entry(fields_of(record), KEY) for record in RECORDS.values()]
    assert {len(entry) for entry in entries} == {len(make_entry([b""] * 8, KEY))} == {397}
    assert len(set(entries)) == len(entries)


def test_an_entry_is_what_the_rules_say():
    """ENT-2 and ENT-3, written out once more."""
    texts = []
    for name, value in zip(FIELDS, SHORT, strict=True):
        salt = hmac.digest(KEY, b"liaison/salt/v1\0" + name.encode(), "sha256")
        said = b"liaison/field/v1\0" + bytes([len(name)]) + name.encode() + salt
        said += len(value).to_bytes(4, "big") + value
        texts.append(to_base64url(hashlib.sha256(said).digest()))
    spelled = json.dumps({"c": texts, "s": "liaison-entry/1"}, separators=(",", ":")).encode()
    assert make_entry(SHORT, KEY) == spelled


@pytest.mark.parametrize("kind", RECORDS)
def test_openings_lead_to_the_fields(kind):
    fields = fields_of(RECORDS[kind])
    entry, openings = make_entry(fields, KEY), open_fields(fields, KEY)
    assert check_openings(entry, openings) == dict(zip(FIELDS, fields, strict=True))
    assert check_openings(entry, openings[5:6]) == {"urgency": fields[5]}
    assert check_openings(entry, ()) == {}
    assert format_entry(parse_entry(entry)) == entry


def test_a_flipped_bit_of_value_or_salt_is_untrusted():
    entry, openings = make_entry(SHORT, KEY), open_fields(SHORT, KEY)
    check_openings(entry, openings)
    for opening in openings:
        for name in ("value", "salt"):
            data = getattr(opening, name)
            for place in range(len(data) * 8):
                flipped = bytearray(data)
                flipped[place // 8] ^= 1 << place % 8
                with pytest.raises(LogUntrusted, match=f"field '{opening.name}' is not the one"):
                    check_openings(entry, [replace(opening, **{name: bytes(flipped)})])  # type: ignore[arg-type]


def test_a_flipped_bit_of_the_entry_is_noticed():
    entry, openings = make_entry(SHORT, KEY), open_fields(SHORT, KEY)
    for place in range(len(entry) * 8):
        flipped = bytearray(entry)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises((LogUntrusted, Malformed)):
            check_openings(bytes(flipped), openings)


def test_an_opening_opens_its_own_field_of_its_own_entry():
    entry, openings = make_entry(SHORT, KEY), open_fields(SHORT, KEY)
    for opening in openings:
        for name in set(FIELDS) - {opening.name}:
            with pytest.raises(LogUntrusted):
                check_openings(entry, [replace(opening, name=name)])
        with pytest.raises(LogUntrusted):
            check_openings(make_entry(SHORT, OTHER_KEY), [opening])
    same_value = ["same"] * 8
    assert len(set(parse_entry(make_entry([v.encode() for v in same_value], KEY)))) == 8


@pytest.mark.parametrize(
    ("openings", "complaint"),
    [
        ([Opening("memo", b"", bytes(32))], "opening: no field 'memo'"),
        ([open_fields(SHORT, KEY)[0]] * 2, "opening: field 'kind' is opened twice"),
        ([Opening("kind", b"void", bytes(31))], "opening: salt of 31 bytes, not 32"),
    ],
)
def test_openings_that_have_no_reading(openings, complaint):
    with pytest.raises(Malformed, match=complaint):
        check_openings(make_entry(SHORT, KEY), openings)


ENTRY = make_entry(SHORT, KEY)


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        ENTRY + b"\n",
        ENTRY[1:],
        ENTRY.replace(b'":', b'": ', 1),
        ENTRY.replace(b"liaison-entry/1", b"liaison-entry/2"),
        ENTRY.replace(b'{"c"', b'{"C"'),
        b'{"s":"liaison-entry/1",' + ENTRY[1:].replace(b',"s":"liaison-entry/1"', b""),
        ENTRY.replace(ENTRY[6:52], b"", 1),
        ENTRY[:49] + b"_" + ENTRY[50:],  # the 43rd character carries two bits that must be zero
        "é".encode() + ENTRY,
        b"\xff",
    ],
)
def test_an_entry_has_one_spelling(entry):
    assert entry != ENTRY
    with pytest.raises(Malformed):
        parse_entry(entry)
    assert len(parse_entry(ENTRY)) == 8


@given(
    st.lists(st.binary(max_size=60), min_size=8, max_size=8), st.binary(min_size=32, max_size=32)
)
def test_any_fields_open(fields, key):
    entry = make_entry(fields, key)
    assert len(entry) == len(ENTRY)
    opened = check_openings(entry, open_fields(fields, key))
    assert list(opened.values()) == fields


@pytest.mark.parametrize("count", [7, 9])
def test_an_entry_has_eight_fields(count):
    with pytest.raises(ValueError, match="zip"):
        commit_to([b""] * count, KEY)
