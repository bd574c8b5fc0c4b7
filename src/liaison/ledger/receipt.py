"""Receipts: an entry, its openings, its proof and a checkpoint in one file. protocols/log.md, RCPT.

The file is a C2SP tlog-proof; its ``extra`` line carries the entry and the openings, which prove
themselves, since the entry is hashed to the leaf and each opening to a commitment in the entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from liaison.ledger.entry import SALT_BYTES, Opening, check_openings
from liaison.ledger.record import FIELDS, Record, record_from
from liaison.tlog.checkpoint import Checkpoint
from liaison.tlog.merkle import leaf_hash
from liaison.tlog.note import VerifierKey
from liaison.tlog.proof import TlogProof
from liaison.words.canonical import parse_canonical
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import Malformed


@dataclass(frozen=True)
class Verified:
    """What a receipt proved: the opened fields of entry ``index`` under ``checkpoint``."""

    index: int
    fields: dict[str, bytes]
    checkpoint: Checkpoint

    @property
    def missing(self) -> list[str]:
        """The fields that aren't opened."""
        return [name for name in FIELDS if name not in self.fields]

    def record(self) -> Record:
        """Return the record, where all eight fields are opened.

        Raises:
            Malformed: a field isn't opened, or isn't the one spelling of a value.
        """
        if self.missing:
            raise Malformed(f"the receipt doesn't open {', '.join(self.missing)}")
        return record_from([self.fields[name] for name in FIELDS])


@dataclass(frozen=True)
class Receipt:
    """``entry`` is the leaf; ``hashes`` its inclusion proof; ``checkpoint`` the signed note."""

    index: int
    entry: bytes
    openings: tuple[Opening, ...]
    hashes: tuple[bytes, ...]
    checkpoint: str

    def to_text(self) -> str:
        extra = spell_extra(self.entry, self.openings)
        return TlogProof(self.index, self.hashes, self.checkpoint, extra).to_text()

    @classmethod
    def from_text(cls, text: str) -> Receipt:
        """Return the receipt that ``text`` spells; nothing is verified.

        Raises:
            Malformed: it spells none.
        """
        proof = TlogProof.from_text(text)
        if proof.extra is None:
            raise Malformed("receipt: no extra line, so no entry and no openings")
        entry, openings = _read_extra(proof.extra)
        return cls(proof.index, entry, openings, proof.hashes, proof.checkpoint)

    def verify(self, key: VerifierKey, origin: str) -> Verified:
        """Return what the receipt proves under the log ``origin``, whose key is ``key``.

        Raises:
            Malformed: a part has no reading.
            LogUntrusted: a part contradicts another, or the log's signature.
        """
        fields = check_openings(self.entry, self.openings)
        proof = TlogProof(self.index, self.hashes, self.checkpoint)
        checkpoint = proof.check(leaf_hash(self.entry), key, origin)
        return Verified(self.index, fields, checkpoint)


def spell_extra(entry: bytes, openings: Iterable[Opening]) -> bytes:
    """Return what a receipt's ``extra`` line carries: canonical JSON, written as it must come out.

    Nothing in it needs escaping but the quotes of the entry.
    """
    opened = ",".join(
        f'{{"name":"{o.name}","salt":"{to_base64(o.salt)}","value":"{to_base64(o.value)}"}}'
        for o in openings
    )
    leaf = entry.decode("ascii").replace('"', '\\"')
    return f'{{"entry":"{leaf}","openings":[{opened}]}}'.encode("ascii")


def _read_extra(data: bytes) -> tuple[bytes, tuple[Opening, ...]]:
    """Return what ``spell_extra`` spelled as ``data``, or raise ``Malformed``."""
    try:
        extra = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise Malformed(f"receipt: extra line: not JSON: {exc}") from exc
    if not isinstance(extra, dict) or set(extra) != {"entry", "openings"}:
        raise Malformed("receipt: its extra line must have entry and openings")
    entry, openings = extra["entry"], extra["openings"]
    if not isinstance(entry, str) or not entry.isascii() or not isinstance(openings, list):
        raise Malformed("receipt: its extra line must have entry and openings")
    opened = tuple(_opening(item) for item in openings)
    order = [FIELDS.index(opening.name) for opening in opened]
    if sorted(set(order)) != order:
        raise Malformed("receipt: openings stand in the order of the fields, each once")
    if spell_extra(entry.encode("ascii"), opened) != data:
        parse_canonical(data)  # says it better where the JSON itself is at fault
        raise Malformed("receipt: its extra line is not in its one spelling")
    return entry.encode("ascii"), opened


def _opening(item: object) -> Opening:
    if not isinstance(item, dict) or set(item) != {"name", "salt", "value"}:
        raise Malformed("opening: its members must be name, salt and value")
    name, salt, value = item["name"], item["salt"], item["value"]
    if name not in FIELDS or not isinstance(salt, str) or not isinstance(value, str):
        raise Malformed(f"opening: no field {str(name)[:32]!r}")
    try:
        return Opening(name, from_base64(value), from_base64(salt, SALT_BYTES))
    except Malformed as exc:
        raise exc.within(f"opening {name}") from exc
