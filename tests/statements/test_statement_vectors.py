"""protocols/vectors/statements.json: what it says is what the code does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from liaison.statements.keys import SigningKey, check_signing_key
from liaison.statements.kinds import KINDS
from liaison.statements.payloads import Predecessor
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


def names_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from names_in(item)


def fields_of(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[str, str]]:
    """Yield each member that a model's JSON may have, and its parts' members."""
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        yield model.__name__, name
        for part in parts_of(field.annotation):
            yield from fields_of(part, seen)


def parts_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from parts_of(argument)


def test_every_member_has_a_vector():
    said = {n for each in VECTORS["statements"] for n in names_in(json.loads(each["payload"]))}
    members = {member for model in KINDS.values() for member in fields_of(model, set())}
    missing = {member for member in members if member[1] not in said}
    assert missing == {("Node", "predecessor")} | {
        ("Predecessor", name) for name in Predecessor.model_fields if name != "origin"
    }
