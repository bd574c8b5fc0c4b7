"""Receipts and refusals: what one proves under the pinned keys, without any node, and their files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liaison.client.home import Home, write_private
from liaison.client.pins import NodePin
from liaison.client.watching import check_digest, check_happening, check_record
from liaison.ledger.facts import DueFacts
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import Record
from liaison.statements.payloads import Payload, Refusal
from liaison.statements.statement import Statement, parse_statement, parse_statement_of
from liaison.words.encoding import from_base64
from liaison.words.errors import LiaisonError, LogUntrusted, NodeUnreachable, RefusedByNode


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
    if isinstance(record.facts, DueFacts):
        check_happening(record, record.facts, node.origin)
    else:
        check_record(record, parse_statement(record.statement), node.origin)
    return Proven(node.origin, verified.index, verified.checkpoint.size, record)


def prove_refusal(
    raw: bytes, node: NodePin, of: Statement[Payload] | None = None
) -> Statement[Refusal]:
    """Return the node's signed word that it refused a statement: ``of``, where one is given.

    Raises:
        Malformed: it isn't a refusal.
        SignatureInvalid: the pinned node key didn't sign it.
        LogUntrusted: it is another node's, or about another statement.
    """
    refusal = parse_statement_of(Refusal, raw)
    refusal.check_signature(from_base64(node.node_key))
    if {refusal.payload.by, refusal.payload.log} != {node.origin}:
        raise LogUntrusted(f"The refusal is that of {refusal.payload.by}, not of {node.origin}")
    if of is not None and refusal.payload.payload_digest != of.payload_digest:
        raise LogUntrusted("The node's refusal is about another statement than the one it was sent")
    return refusal


def check_refusal(node: NodePin, of: Statement[Payload], exc: RefusedByNode) -> None:
    """Return if the node signed that it refused the statement, and for what the error says.

    Raises:
        NodeUnreachable: there is no such word, so that it isn't known whether the node refused.
    """
    try:
        said = prove_refusal(exc.refusal, node, of).payload
        if said.code != exc.problem:
            raise LogUntrusted(f"that word says {said.code}")
    except LiaisonError as found:
        raise NodeUnreachable(
            f"It was refused ({exc.problem}), but not by the node's signed word: {found.happened}",
            safe="whether the node has it isn't known; sending the same bytes again is safe",
            do="try again later, by another network if there is one",
        ) from exc
    # What is told is what was signed.
    exc.happened, exc.safe = said.text, "nothing of it is in the log"


def keep_refusal(home: Home, node: NodePin, of: Statement[Payload], exc: RefusedByNode) -> None:
    """Keep a refusal beside the receipts, and say where: it can be shown. Raises as ``check_refusal``."""
    check_refusal(node, of, exc)
    path = home.write(f"receipts/refused/{check_digest(of.digest)}.refusal", exc.refusal)
    exc.safe = " · ".join(
        text for text in (exc.safe, f"the node's signed word is in {path}") if text
    )


class ReceiptFiles:
    """Receipts on their way to their files, many in one go.

    Making a file takes longer than sealing a note; in a thread it holds up nobody, and who waits
    meanwhile goes with the next lot. They aren't synced: the cabinet and the node have them too.
    """

    def __init__(self) -> None:
        self._due: list[tuple[Path, bytes]] = []
        self._writing = asyncio.Lock()

    def put(self, path: Path, receipt: str) -> None:
        self._due.append((path, receipt.encode("utf-8")))

    async def flush(self) -> None:
        """Return once everything that was put before is in its file."""
        async with self._writing:
            due, self._due = self._due, []
            if due:
                await asyncio.to_thread(_write, due)


def _write(files: Sequence[tuple[Path, bytes]]) -> None:
    for path, data in files:
        write_private(path, data)
