"""protocols/vectors/statements.json: what it says is what the code does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from liaison.statements.keys import SigningKey, check_signing_key
from liaison.statements.kinds import KINDS
from liaison.statements.statement import make_statement, parse_statement
from liaison.words.encoding import from_base64
from liaison.words.errors import Malformed, SignatureInvalid
from tests.vectors import make_statements

VECTORS: dict[str, Any] = json.loads(make_statements.PATH.read_text("utf-8"))
ERRORS = {"malformed": Malformed, "signature-invalid": SignatureInvalid}


def test_the_file_is_what_its_generator_makes():
    assert make_statements.PATH.read_text("utf-8") == make_statements.to_text()


def test_every_kind_has_a_vector():
    assert {each["kind"] for each in VECTORS["statements"]} == set(KINDS)


@pytest.mark.parametrize("each", VECTORS["statements"], ids=lambda each: each["kind"])
def test_a_statement_of_the_vectors(each):
    read, key = parse_statement(each["envelope"].encode()), SigningKey(from_base64(each["seed"]))
    read.check_signature(from_base64(each["public"]))
    assert (read.kind, read.digest, read.payload_digest, read.payload.key) == (
        each["kind"],
        each["digest"],
        each["payload_digest"],
        each["key_id"],
    )
    assert read.envelope.payload.decode() == each["payload"]
    assert make_statement(read.payload, key).raw.decode() == each["envelope"]


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["reason"])
def test_what_the_vectors_refuse(case):
    with pytest.raises(ERRORS[case["error"]]) as caught:
        parse_statement(from_base64(case["raw"])).check_signature(from_base64(case["public"]))
    assert caught.value.code == case["error"]


@pytest.mark.parametrize("case", VECTORS["keys_refused"], ids=lambda case: case["reason"])
def test_keys_that_the_vectors_refuse(case):
    with pytest.raises(Malformed):
        check_signing_key(from_base64(case["public"]))
