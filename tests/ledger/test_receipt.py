"""Receipts: entry, openings, proof and checkpoint in one file that verifies offline (RCPT)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from liaison.ledger.entry import commit_to
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import FIELDS, fields_of
from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.tlog.merkle import Frontier, inclusion_proof, leaf_hash, root_at
from liaison.tlog.note import SignerKey
from liaison.tlog.proof import TlogProof
from liaison.words.errors import LogUntrusted, Malformed
from tests.ledger.test_record import RECORDS
from tests.world import ORIGIN, fixed

SIGNER = SignerKey(ORIGIN, fixed("signing log"))
COMMITTED = [commit_to(fields_of(r), fixed(f"leaf {kind}")) for kind, r in RECORDS.items()]
INDEX = list(RECORDS).index("note")


def receipt() -> Receipt:
    grown = Frontier().append([leaf_hash(entry) for entry, _ in COMMITTED])
    get = grown.nodes.__getitem__
    size = len(COMMITTED)
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root_at(size, get)), SIGNER)
    entry, openings = COMMITTED[INDEX]
    return Receipt(INDEX, entry, openings, inclusion_proof(INDEX, size, get), note)


GOOD = receipt()


def test_a_receipt_proves_its_record_offline():
    read = Receipt.from_text(GOOD.to_text())
    assert read == GOOD
    verified = read.verify(SIGNER.verifier, ORIGIN)
    assert verified.record() == RECORDS["note"]
    assert (verified.index, verified.checkpoint.size) == (INDEX, len(COMMITTED))


def test_a_receipt_may_open_fewer_fields():
    some = Receipt.from_text(replace(GOOD, openings=GOOD.openings[:2]).to_text())
    verified = some.verify(SIGNER.verifier, ORIGIN)
    assert set(verified.fields) == {"kind", "at"}
    with pytest.raises(Malformed, match="doesn't open channel, note"):
        verified.record()


def test_what_was_altered_is_untrusted():
    neighbour, openings = COMMITTED[INDEX - 1]
    for worse in (
        replace(GOOD, index=INDEX - 1),
        replace(GOOD, hashes=GOOD.hashes[:-1]),
        replace(GOOD, entry=neighbour),
        replace(GOOD, entry=neighbour, openings=openings),
        replace(GOOD, openings=openings),
        replace(GOOD, checkpoint=GOOD.checkpoint.replace(ORIGIN, "other.example/log", 1)),
    ):
        with pytest.raises(LogUntrusted):
            Receipt.from_text(worse.to_text()).verify(SIGNER.verifier, ORIGIN)
    with pytest.raises(LogUntrusted):
        GOOD.verify(SignerKey(ORIGIN, fixed("other")).verifier, ORIGIN)
    with pytest.raises(LogUntrusted):
        GOOD.verify(SIGNER.verifier, "other.example/log")


def test_a_flipped_bit_anywhere_in_the_file_is_noticed():
    text = GOOD.to_text().encode()
    Receipt.from_text(text.decode()).verify(SIGNER.verifier, ORIGIN)
    for place in range(0, len(text), 3):
        flipped = bytearray(text)
        flipped[place] ^= 1 << place % 7
        try:
            spelled = flipped.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises((LogUntrusted, Malformed)):
            Receipt.from_text(spelled).verify(SIGNER.verifier, ORIGIN)


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        (None, "receipt: no extra line"),
        (b"{}", "must have entry and openings"),
        (b'{"entry":"","openings":[],"zeal":1}', "must have entry and openings"),
        (b'{"entry":1,"openings":[]}', "must have entry and openings"),
        (b'{"entry":"","openings":{}}', "must have entry and openings"),
        ('{"entry":"é","openings":[]}'.encode(), "must have entry and openings"),
        (b'{"entry":"", "openings":[]}', "not canonical"),
        (b'{"entry":"","openings":[1]}', "opening: its members must be"),
        (b'{"entry":"","openings":[{"name":"memo","salt":"","value":""}]}', "no field 'memo'"),
        (b'{"entry":"","openings":[{"name":[],"salt":"","value":""}]}', "no field"),
        (b'{"entry":"","openings":[{"name":"at","salt":"AA==","value":""}]}', "opening at: 1 byte"),
        (
            b'{"entry":"","openings":[{"name":"at","salt":"","value":"A"}]}',
            "opening at: not padded",
        ),
    ],
)
def test_an_extra_line_without_a_reading(extra, complaint):
    text = TlogProof(GOOD.index, GOOD.hashes, GOOD.checkpoint, extra).to_text()
    with pytest.raises(Malformed, match=complaint):
        Receipt.from_text(text)


def test_openings_stand_in_the_order_of_the_fields():
    assert [opening.name for opening in GOOD.openings] == list(FIELDS)
    for openings in (GOOD.openings[::-1], GOOD.openings[:1] * 2):
        with pytest.raises(Malformed, match="in the order of the fields, each once"):
            Receipt.from_text(replace(GOOD, openings=openings).to_text())
