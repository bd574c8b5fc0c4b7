"""Statements: every kind round-trips, and each has one spelling (ENC, JSON, ENV, STMT)."""

from __future__ import annotations

import base64
import json
import time
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liaison.statements import payloads
from liaison.statements.envelope import (
    MAX_STATEMENT_BYTES,
    pre_authentication_encoding,
    seal_envelope,
)
from liaison.statements.kinds import KINDS as MODELS
from liaison.statements.statement import (
    Statement,
    make_statement,
    parse_statement,
    parse_statement_of,
)
from liaison.words.canonical import parse_canonical
from liaison.words.encoding import to_base64
from liaison.words.errors import Malformed, SignatureInvalid, TooLarge
from liaison.words.precedence import Precedence
from tests.world import ANNA, MemoryWorld, digest, every_kind, signing

KINDS = every_kind()
NOTE = KINDS["note"]
ANNAS = signing(f"{ANNA}/1")


def enveloped(payload: bytes, kind: str = "note", key=ANNAS) -> bytes:
    """Return a signed envelope around any bytes."""
    return seal_envelope(kind, payload, key).raw


def test_every_kind_has_a_sample():
    assert set(KINDS) == set(MODELS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_statement_reads_back_as_it_was_made(kind):
    made = KINDS[kind]
    read = parse_statement(made.raw)
    assert read == made
    assert read.payload.spelled() == read.envelope.payload
    assert parse_canonical(read.envelope.payload) == json.loads(read.envelope.payload)
    assert parse_statement_of(MODELS[kind], made.raw) == made


@pytest.mark.parametrize("kind", KINDS)
def test_each_member_that_is_needed_is_missed_by_name(kind):
    members = json.loads(KINDS[kind].envelope.payload)
    for name in members:
        rest = {other: value for other, value in members.items() if other != name}
        data = json.dumps(rest, separators=(",", ":"), ensure_ascii=False).encode()
        optional = not MODELS[kind].model_fields[name].is_required()
        with suppress(Malformed) if optional else pytest.raises(Malformed, match=name):
            parse_statement(enveloped(data, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_that_this_version_does_not_know_is_refused_by_name(kind):
    members = json.loads(KINDS[kind].envelope.payload) | {"zeal": 1}
    data = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(Malformed, match=r"^zeal: "):
        parse_statement(enveloped(data, kind))


PAYLOAD = NOTE.envelope.payload

OTHER_SPELLINGS = [
    ("a member twice", PAYLOAD[:-1] + b',"kind":"leader"}', "'kind' stands twice"),
    (
        "the same member twice inside",
        PAYLOAD.replace(b'"size":1040', b'"size":1,"size":1040'),
        "tw",
    ),
    ("null", PAYLOAD[:-1] + b',"reply_by":null}', "NoneType is not in the subset"),
    ("NaN", PAYLOAD.replace(b'"size":1040', b'"size":NaN'), "NaN is not a JSON value"),
    ("Infinity", PAYLOAD.replace(b'"size":1040', b'"size":Infinity'), "not a JSON value"),
    ("a fraction", PAYLOAD.replace(b'"size":1040', b'"size":1040.0'), "has a fraction"),
    ("an exponent", PAYLOAD.replace(b'"size":1040', b'"size":1e3'), "has a fraction or an exp"),
    ("a leading zero", PAYLOAD.replace(b'"size":1040', b'"size":01040'), "not JSON"),
    ("minus zero", PAYLOAD.replace(b'"size":1040', b'"size":-0'), "content.size|canonical"),
    ("2^53", PAYLOAD.replace(b'"size":1040', b'"size":9007199254740992'), "not below 2.53"),
    ("5000 digits", PAYLOAD.replace(b'"size":1040', b'"size":' + b"9" * 5000), "not below 2.53"),
    ("a string for a number", PAYLOAD.replace(b'"size":1040', b'"size":"1040"'), "content.size"),
    ("true for a number", PAYLOAD.replace(b'"size":1040', b'"size":true'), "content.size"),
    ("white space", PAYLOAD.replace(b'"size":1040', b'"size": 1040'), "white space"),
    ("white space at the end", PAYLOAD + b"\n", "white space"),
    ("an escape", PAYLOAD.replace(b'"leader"', b'"le\\u0061der"'), "spelling of a string"),
    ("other order", b'{"kind":"leader",' + PAYLOAD[1:].replace(b'"kind":"leader",', b""), "order"),
    ("not UTF-8", PAYLOAD.replace(b'"leader"', b'"le\xffder"'), "not UTF-8 at byte"),
    ("a byte order mark", b"\xef\xbb\xbf" + PAYLOAD, "not JSON"),
    ("a lone surrogate", PAYLOAD.replace(b'"SECRET"', b'"\\ud800"'), "lone|not JSON"),
    ("an array", b"[" + PAYLOAD + b"]", "not a JSON object"),
    ("two values", PAYLOAD + PAYLOAD, "not JSON"),
    ("200 levels", b"[" * 200 + b"]" * 200, "not a JSON object|nested"),
    ("90,000 levels", b"[" * 90_000 + b"]" * 90_000, "nested"),
]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [case[1:] for case in OTHER_SPELLINGS],
    ids=[case[0] for case in OTHER_SPELLINGS],
)
def test_another_spelling_of_a_payload_is_malformed(data, complaint):
    assert data != PAYLOAD
    with pytest.raises(Malformed, match=complaint):
        parse_statement(enveloped(data))
    parse_statement(enveloped(PAYLOAD))


def respelled(change) -> bytes:
    return json.dumps(change(json.loads(NOTE.raw)), separators=(",", ":")).encode()


def second_signature(envelope):
    envelope["signatures"] *= 2
    return envelope


def trailing_bits(text: str) -> str:
    """Return base64 that decodes to the same bytes with a trailing bit set."""
    end = text.rstrip("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(end[-1]) | 1]
    changed = end[:-1] + last + "=" * (len(text) - len(end))
    assert base64.b64decode(changed) == base64.b64decode(text)
    assert changed != text
    return changed


RAW = NOTE.raw
ENVELOPE = json.loads(RAW)
SIG = ENVELOPE["signatures"][0]["sig"].encode()
KEYID = ENVELOPE["signatures"][0]["keyid"].encode()
PADDED = enveloped(b"{}" + b" " * 2)
PADDED64 = json.loads(PADDED)["payload"].encode()

OTHER_ENVELOPES = [
    ("two signatures", respelled(second_signature), "signatures: there must be exactly one"),
    ("no signature", respelled(lambda e: e | {"signatures": []}), "signatures: there must be ex"),
    ("a member more", respelled(lambda e: e | {"zeal": 1}), "envelope: its members must be"),
    ("white space", RAW.replace(b'":"', b'": "', 1), "envelope: white space or the order"),
    ("a newline at the end", RAW + b"\n", "envelope: white space or the order"),
    (
        "other order",
        json.dumps(dict(reversed(ENVELOPE.items())), separators=(",", ":")).encode(),
        "envelope: white space or the order",
    ),
    ("payload twice", b'{"payload":"e30=",' + RAW[1:], "envelope: member 'payload' stands twice"),
    (
        "keyid twice",
        RAW.replace(b'{"keyid"', b'{"keyid":"","keyid"'),
        "envelope: member 'keyid' stands twice",
    ),
    ("trailing bits in sig", RAW.replace(SIG, trailing_bits(SIG.decode()).encode()), "0].sig: "),
    (
        "trailing bits in keyid",
        RAW.replace(KEYID, trailing_bits(KEYID.decode()).encode()),
        "0].keyid: ",
    ),
    (
        "trailing bits in payload",
        PADDED.replace(PADDED64, trailing_bits(PADDED64.decode()).encode()),
        "^payload: not padded base64",
    ),
    ("no padding", RAW.replace(b'==","signa', b'","signa').replace(SIG, SIG[:-2]), "sig: "),
    ("a short keyid", RAW.replace(KEYID, b"AAAA"), "keyid: 3 bytes, not 32"),
    ("a short sig", RAW.replace(SIG, b"AAAA"), "sig: 3 bytes, not 64"),
    ("a payload of nothing", enveloped(b""), "payload: not a string, or empty"),
    ("a payload that's a number", respelled(lambda e: e | {"payload": 1}), "payload: not a str"),
    ("v2", RAW.replace(b".v1+json", b".v2+json"), "payloadType: not application/vnd.liaison"),
    ("another type", RAW.replace(b"liaison.note", b"other.note.x"), "payloadType: not application"),
    ("an unknown kind", RAW.replace(b"liaison.note", b"liaison.memo"), "no statement kind 'memo'"),
    ("the type of another kind", RAW.replace(b"liaison.note", b"liaison.void"), "Malformed|: "),
    ("not JSON", RAW[:-1], "envelope: not JSON"),
    ("nothing", b"", "envelope: not JSON"),
    ("null", b"null", "envelope: its members must be"),
    ("deep", b"[" * 100_000, "envelope: not JSON"),
]


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [case[1:] for case in OTHER_ENVELOPES],
    ids=[case[0] for case in OTHER_ENVELOPES],
)
def test_another_spelling_of_an_envelope_is_malformed(raw, complaint):
    assert raw != RAW
    with pytest.raises(Malformed, match=complaint):
        parse_statement(raw)
    parse_statement(RAW)


def test_the_key_that_the_payload_names_is_the_one_that_signs():
    other = signing("somebody else")
    with pytest.raises(Malformed, match=r"^key: differs from the keyid of the signature"):
        parse_statement(enveloped(PAYLOAD, key=other))
    with pytest.raises(ValueError, match="names another key"):
        make_statement(NOTE.payload, other)


def test_a_kind_that_was_not_expected_is_named():
    with pytest.raises(Malformed, match="a note statement stands where a void is expected"):
        parse_statement_of(payloads.Void, RAW)


def test_a_statement_has_at_most_256_kib():
    at_most = RAW + b" " * (MAX_STATEMENT_BYTES - len(RAW))
    with pytest.raises(Malformed):
        parse_statement(at_most)
    with pytest.raises(TooLarge, match="262145 bytes; the limit is 262144"):
        parse_statement(at_most + b" ")
    with pytest.raises(TooLarge):
        enveloped(bytes(200_000))


def test_what_a_hostile_envelope_costs_stays_small():
    """A refusal that takes seconds is a way to stop a node."""
    members = b",".join(b'"%x":0' % n for n in range(24_000))
    began = time.monotonic()
    for raw in (
        b"{" + members + b"}",
        b"{" + b'"a":0,' * 40_000 + b'"a":0}',
        enveloped(PAYLOAD.replace(b'"size":1040', b'"size":' + b"9" * 150_000)),
        enveloped(b"[" * 190_000),
        b'{"payload":' + b"9" * 260_000,
    ):
        with pytest.raises(Malformed):
            parse_statement(raw)
    assert time.monotonic() - began < 5


def test_a_flipped_bit_anywhere_is_refused():
    small = MemoryWorld.opened().note()
    public = ANNAS.public
    parse_statement(small.raw).check_signature(public)
    for place in range(len(small.raw)):
        for bit in (0, 5) if place % 8 else range(8):
            flipped = bytearray(small.raw)
            flipped[place] ^= 1 << bit
            with pytest.raises((Malformed, SignatureInvalid)):
                parse_statement(bytes(flipped)).check_signature(public)


def test_the_signature_covers_kind_and_length():
    assert pre_authentication_encoding("void", b"{}") == (
        b"DSSEv1 36 application/vnd.liaison.void.v1+json 2 {}"
    )


def test_the_digest_covers_the_signature_and_the_payload_digest_does_not():
    first, again = KINDS["void"], KINDS["void"]
    forged = first.raw.replace(
        json.loads(first.raw)["signatures"][0]["sig"].encode(), to_base64(bytes(64)).encode()
    )
    other = parse_statement(forged)
    assert other.payload_digest == again.payload_digest
    assert other.digest != again.digest


@given(st.binary(max_size=200))
@example(b"{}")
@example(b'{"payload":"e30=","payloadType":[],"signatures":[{"keyid":0,"sig":0}]}')
@example(b'{"payload":"e30=","payloadType":0,"signatures":[[]]}')
@example(b"\xff\xfe[\x00]\x00")
def test_any_bytes_are_a_statement_or_malformed(raw):
    with suppress(Malformed):
        assert parse_statement(raw).raw == raw


text = st.text(min_size=1, max_size=200)


def is_free_text(said: str) -> bool:
    return not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in said)


@given(text)
@example("\u202e")
@example("x" * 201)
@example("a\x7fb")
@example("a\x9fb")
@example("\U0001f1eb" * 200)
def test_free_text_has_no_control_characters_and_counts_code_points(said):
    members = KINDS["refusal"].payload.model_dump() | {"text": said}
    try:
        made = make_statement(payloads.Refusal(**members), signing("node"))
    except ValueError:
        assert not is_free_text(said) or len(said) > 200
    else:
        assert is_free_text(said)
        assert parse_statement(made.raw) == made


@given(
    precedence=st.tuples(*[st.sampled_from(Precedence)] * 2),
    justification=st.none() | text.filter(is_free_text),
    times=st.lists(st.none() | st.integers(0, 2**53 - 1), min_size=6, max_size=6),
    in_reply_to=st.none() | st.just(digest("earlier")),
    exercise=st.booleans(),
)
def test_any_note_reads_back_as_it_was_made(
    precedence, justification, times, in_reply_to, exercise
):
    action, info = sorted(precedence, key=lambda p: p.rank, reverse=True)
    issued, lapse, *later = times
    members = NOTE.payload.model_dump() | {
        "precedence": {"action": action, "info": info},
        "justification": justification,
        "issued": issued or 0,
        "lapse": lapse or 0,
        "in_reply_to": in_reply_to,
        "exercise": exercise,
        **dict(
            zip(("reply_by", "expiry", "latest_delivery", "deferred_until"), later, strict=True)
        ),
    }
    made: Statement = make_statement(payloads.Note(**members), ANNAS)
    assert parse_statement(made.raw) == made
    assert b"null" not in made.envelope.payload.replace((justification or "").encode(), b"")
