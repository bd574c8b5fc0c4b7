"""Receipts offline: what one proves under the pinned log key, without any node."""

from __future__ import annotations

from dataclasses import dataclass

from liaison.client.pins import NodePin
from liaison.client.watching import check_record
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import Record
from liaison.statements.statement import parse_statement


@dataclass(frozen=True)
class Proven:
    """The record that the log ``origin`` is bound to, at ``index`` of a tree of ``size``."""

    origin: str
    index: int
    size: int
    record: Record


def prove(text: str, node: NodePin) -> Proven:
    """Return what a receipt proves.

    Raises:
        Malformed: a part of it has no reading.
        LogUntrusted: a part contradicts another, the log's signature, or its own statement.
    """
    verified = Receipt.from_text(text).verify(node.verifier, node.origin)
    record = verified.record()
    check_record(record, parse_statement(record.statement))
    return Proven(node.origin, verified.index, verified.checkpoint.size, record)
