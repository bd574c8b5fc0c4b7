"""protocols/vectors/ledger.json: what it says is what the code does."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from liaison.ledger.entry import Opening, check_openings, commit_to, parse_entry
from liaison.ledger.facts import FACTS, DueFacts
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import FIELDS, fields_of, record_from
from liaison.tlog.merkle import Frontier, check_consistency, leaf_hash, root_at
from liaison.tlog.note import VerifierKey
from liaison.words.encoding import from_base64
from liaison.words.errors import LogUntrusted, Malformed
from tests.vectors import make_ledger

VECTORS: dict[str, Any] = json.loads(make_ledger.PATH.read_text("utf-8"))
KEY, ORIGIN = VerifierKey.from_text(VECTORS["vkey"]), VECTORS["origin"]
ERRORS = {"malformed": Malformed, "log-untrusted": LogUntrusted}


def opening_of(said: dict[str, str]) -> Opening:
    return Opening(said["name"], from_base64(said["value"]), from_base64(said["salt"]))


def test_the_file_is_what_its_generator_makes():
    assert make_ledger.PATH.read_text("utf-8") == make_ledger.to_text()
    assert VECTORS["fields"] == list(FIELDS)


SECOND: dict[str, Any] = VECTORS["second"]
THIRD: dict[str, Any] = VECTORS["third"]
FOURTH: dict[str, Any] = VECTORS["fourth"]
FIFTH: dict[str, Any] = VECTORS["fifth"]
PARTS = (VECTORS, SECOND, THIRD, FOURTH, FIFTH)
RECORDS: list[dict[str, Any]] = [record for part in PARTS for record in part["records"]]


def test_every_kind_of_record_has_a_vector():
    assert {each["kind"] for each in RECORDS} == set(FACTS)


def test_the_records_of_the_vectors():
    for each in RECORDS:
        openings = tuple(opening_of(said) for said in each["openings"])
        fields = [opening.value for opening in openings]
        assert commit_to(fields, from_base64(each["leaf_key"])) == (
            each["entry"].encode(),
            openings,
        )
        record = record_from(fields)
        assert record.kind == each["kind"]
        assert fields_of(record) == tuple(fields)
        assert isinstance(record.facts, DueFacts) == (record.statement == b"")


def test_the_log_goes_on_under_the_second_version():
    hashes = [leaf_hash(each["entry"].encode()) for each in RECORDS]
    get = Frontier().append(hashes).nodes.__getitem__
    first = size = 0
    for before, part in itertools.pairwise(PARTS):
        first += len(before["records"])
        size, roots = first + len(part["records"]), [from_base64(p["root"]) for p in (before, part)]
        assert part["from"] == first
        assert [root_at(first, get), root_at(size, get)] == roots
        check_consistency(first, size, [from_base64(p) for p in part["consistency"]], *roots)
    assert size == len(RECORDS)


def test_the_records_say_every_member_of_facts():
    said = {kind: set[str]() for kind in FACTS}
    for each in RECORDS:
        facts = next(o for o in each["openings"] if o["name"] == "facts")
        said[each["kind"]] |= set(json.loads(from_base64(facts["value"])))
    missing = {(k, name) for k, model in FACTS.items() for name in model.model_fields} - {
        (k, name) for k, names in said.items() for name in names
    }
    assert missing == {("charter", "exercise"), ("release", "replaced")} | {
        ("node", name) for name in ("predecessor", "exercise", "advance_us")
    }


@pytest.mark.parametrize("case", VECTORS["openings_refused"], ids=lambda case: case["reason"])
def test_openings_that_the_vectors_refuse(case):
    with pytest.raises(ERRORS[case["error"]]):
        check_openings(case["entry"].encode(), [opening_of(case["opening"])])


@pytest.mark.parametrize("case", VECTORS["entries_refused"], ids=lambda case: case["reason"])
def test_entries_that_the_vectors_refuse(case):
    with pytest.raises(ERRORS[case["error"]]):
        parse_entry(case["entry"].encode())


@pytest.mark.parametrize(
    "each",
    [receipt for part in PARTS for receipt in part["receipts"]],
    ids=lambda each: str(each["index"]),
)
def test_a_receipt_of_the_vectors(each):
    receipt = Receipt.from_text(each["text"])
    verified = receipt.verify(KEY, ORIGIN)
    assert (verified.index, list(verified.fields)) == (each["index"], each["opens"])
    assert receipt.to_text() == each["text"]


@pytest.mark.parametrize("case", VECTORS["receipts_refused"], ids=lambda case: case["reason"])
def test_receipts_that_the_vectors_refuse(case):
    with pytest.raises(ERRORS[case["error"]]):
        Receipt.from_text(case["text"]).verify(KEY, ORIGIN)
