"""Make protocols/vectors/ledger.json: records, entries, openings, receipts.

Run from the top of the work tree: ``python -m tests.vectors.make_ledger``. A released vector is
never changed: what is new is added.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from liaison.ledger.entry import Opening, commit_to
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import FIELDS, Record, fields_of
from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.tlog.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash, root_at
from liaison.tlog.note import SignerKey
from liaison.words.encoding import to_base64
from tests.rules.story import tell
from tests.vectors import second
from tests.world import ORIGIN, fixed

PATH: Final = Path(__file__).parents[2] / "protocols" / "vectors" / "ledger.json"


def _opened(opening: Opening) -> dict[str, str]:
    return {
        "name": opening.name,
        "salt": to_base64(opening.salt),
        "value": to_base64(opening.value),
    }


def _flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def make() -> dict[str, object]:
    """Return all vectors."""
    records = tell().records
    leaf_keys = [fixed(f"leaf {index}") for index in range(len(records))]
    committed = [
        commit_to(fields_of(record), key) for record, key in zip(records, leaf_keys, strict=True)
    ]
    grown = Frontier().append([leaf_hash(entry) for entry, _ in committed])
    get, size = grown.nodes.__getitem__, len(records)
    signer = SignerKey(ORIGIN, fixed("signing log"))
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root_at(size, get)), signer)

    def receipt(index: int) -> Receipt:
        entry, openings = committed[index]
        return Receipt(index, entry, openings, inclusion_proof(index, size, get), note)

    last = receipt(size - 1)
    some = replace(last, openings=(last.openings[0], last.openings[1], last.openings[5]))
    (entry, openings), (other_entry, other_openings) = committed[-1], committed[-2]
    kind, at = openings[:2]
    return {
        "about": (
            "protocols/log.md, part 2. Binary values are padded base64. The records are one log "
            "from its first; fields stand in the order of 'fields'. A receipt is checked against "
            "'vkey' and 'origin'. 'error' is malformed (no reading) or log-untrusted (a "
            "contradiction)."
        ),
        "origin": ORIGIN,
        "vkey": signer.verifier.to_text(),
        "fields": list(FIELDS),
        "root": to_base64(root_at(size, get)),
        "records": [
            {
                "kind": record.kind,
                "leaf_key": to_base64(key),
                "entry": entry.decode(),
                "openings": [_opened(opening) for opening in openings],
            }
            for record, key, (entry, openings) in zip(records, leaf_keys, committed, strict=True)
        ],
        "openings_refused": [
            {
                "entry": entry.decode(),
                "opening": _opened(opening),
                "error": "log-untrusted",
                "rules": "ENT-4",
                "reason": reason,
            }
            for reason, opening in (
                ("one bit of the value", replace(kind, value=_flip(kind.value))),
                ("one bit of the salt", replace(kind, salt=_flip(kind.salt))),
                ("another field's name", replace(kind, name="at")),
                ("another field's salt", replace(kind, salt=at.salt)),
                ("the neighbour's opening", other_openings[1]),
                ("an empty value", replace(kind, value=b"")),
            )
        ],
        "entries_refused": [
            {"entry": text, "error": "malformed", "rules": "ENT-1", "reason": reason}
            for reason, text in (
                ("another schema", entry.decode().replace("entry/1", "entry/2")),
                ("white space", entry.decode().replace(":", ": ", 1)),
                ("seven commitments", entry.decode().replace(entry[6:52].decode(), "", 1)),
                (
                    "a commitment with a trailing bit",
                    entry[:49].decode() + "_" + entry[50:].decode(),
                ),
                ("newline at the end", entry.decode() + "\n"),
            )
        ],
        "receipts": [
            {"index": each.index, "opens": [o.name for o in each.openings], "text": each.to_text()}
            for each in (receipt(0), receipt(size // 2), last, some)
        ],
        "receipts_refused": [
            {"text": text, "error": error, "rules": rules, "reason": reason}
            for error, rules, reason, text in (
                (
                    "log-untrusted",
                    "RCPT-4",
                    "the neighbour's index",
                    replace(last, index=0).to_text(),
                ),
                (
                    "log-untrusted",
                    "RCPT-4",
                    "the neighbour's entry",
                    replace(last, entry=other_entry, openings=other_openings).to_text(),
                ),
                (
                    "log-untrusted",
                    "ENT-4",
                    "the neighbour's openings",
                    replace(last, openings=other_openings).to_text(),
                ),
                (
                    "log-untrusted",
                    "RCPT-4",
                    "a hash missing",
                    replace(last, hashes=last.hashes[1:]).to_text(),
                ),
                (
                    "log-untrusted",
                    "RCPT-4",
                    "signed by another key",
                    replace(
                        last,
                        checkpoint=sign_checkpoint(
                            Checkpoint(ORIGIN, size, root_at(size, get)),
                            SignerKey(ORIGIN, fixed("signing another")),
                        ),
                    ).to_text(),
                ),
                (
                    "malformed",
                    "RCPT-3",
                    "openings in another order",
                    replace(last, openings=openings[::-1]).to_text(),
                ),
                (
                    "malformed",
                    "RCPT-3",
                    "a field opened twice",
                    replace(last, openings=(kind, kind)).to_text(),
                ),
                ("malformed", "RCPT-2", "no extra line", _without_extra(last.to_text())),
            )
        ],
        "second": _later(
            "The log of 'records' goes on under rules version 2: 'root' is that of all entries. "
            "Due records have no statement. 'consistency' leads from the first root to this one.",
            second.told().records,
            size,
            ("conclusion", "deadline", "release", "rung"),
            signer,
        ),
        "third": _later(
            "The log goes on once more: a channel is minimized. As in 'second'.",
            second.minimized().records,
            len(second.told().records),
            ("watch",),
            signer,
        ),
        "fourth": _later(
            "The log goes on once more: a note is granted. As in 'second'.",
            second.granted().records,
            len(second.minimized().records),
            ("grant",),
            signer,
        ),
        "fifth": _later(
            "The log goes on once more: a compromised key is contested. As in 'second'.",
            second.contested().records,
            len(second.granted().records),
            ("contested",),
            signer,
        ),
    }


def _later(
    about: str, records: Sequence[Record], first: int, receipted: Iterable[str], signer: SignerKey
) -> dict[str, object]:
    """Return the records behind the ``first`` ones, with which the same log goes on.

    Of the kinds ``receipted`` the newest has a receipt.
    """
    leaf_keys = [fixed(f"leaf {index}") for index in range(len(records))]
    committed = [
        commit_to(fields_of(record), key) for record, key in zip(records, leaf_keys, strict=True)
    ]
    grown = Frontier().append([leaf_hash(entry) for entry, _ in committed])
    get, size = grown.nodes.__getitem__, len(records)
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root_at(size, get)), signer)
    newest = {record.kind: index for index, record in enumerate(records) if index >= first}
    receipts = [
        Receipt(index, *committed[index], inclusion_proof(index, size, get), note)
        for index in sorted(newest[kind] for kind in receipted)
    ]
    return {
        "about": about,
        "from": first,
        "root": to_base64(root_at(size, get)),
        "consistency": [to_base64(each) for each in consistency_proof(first, size, get)],
        "records": [
            {
                "kind": record.kind,
                "leaf_key": to_base64(key),
                "entry": entry.decode(),
                "openings": [_opened(opening) for opening in openings],
            }
            for record, key, (entry, openings) in list(
                zip(records, leaf_keys, committed, strict=True)
            )[first:]
        ],
        "receipts": [
            {"index": each.index, "opens": [o.name for o in each.openings], "text": each.to_text()}
            for each in receipts
        ],
    }


def _without_extra(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("extra "))


def to_text() -> str:
    """Return the file's content."""
    return json.dumps(make(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(to_text(), encoding="utf-8")
