"""The courier's way: what was signed, carried as a file to a machine that reaches the node.

A parcel is canonical JSON (protocols/api.md, API-41). It is sealed and signed as it would be sent:
whoever carries it can neither read nor change it. What comes back is the receipt, or the node's
signed refusal. The log takes the same bytes once, whichever way they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from liaison.client.outbox import Signed
from liaison.client.pins import NodePin
from liaison.client.receipts import Proven, prove, prove_refusal
from liaison.client.taken import check_taken
from liaison.client.transport import Transport
from liaison.client.watching import Entry
from liaison.statements.payloads import Payload
from liaison.statements.statement import Statement, parse_statement
from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import Malformed, RefusedByNode

FORMAT: Final = "liaison/parcel/1"
_PARTS: Final = ("ciphertext", "statement", "wraps")


@dataclass(frozen=True)
class Parcel:
    """A statement with what goes with it, which is empty for most kinds."""

    statement: Statement[Payload]
    ciphertext: bytes
    wraps: bytes

    @classmethod
    def of(cls, signed: Signed) -> Parcel:
        return cls(parse_statement(signed.statement), signed.ciphertext, signed.wraps)

    def to_bytes(self) -> bytes:
        parts = (self.ciphertext, self.statement.raw, self.wraps)
        members = {name: to_base64(part) for name, part in zip(_PARTS, parts, strict=True)}
        return format_canonical({"format": FORMAT, **members}) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Parcel:
        """Return the parcel that a file spells; whose signature it bears, the node judges.

        Raises:
            Malformed: it spells none.
        """
        members = parse_canonical(data.rstrip(b"\n"))
        if members.pop("format", None) != FORMAT or tuple(sorted(members)) != _PARTS:
            raise Malformed(f"not a file of the format {FORMAT}")
        ciphertext, statement, wraps = (from_base64(_text(members[name])) for name in _PARTS)
        return cls(parse_statement(statement), ciphertext, wraps)


async def lodge(parcel: Parcel, node: NodePin, transport: Transport) -> tuple[str, Proven]:
    """Hand a parcel in at the node; return the receipt's text, and what it proves.

    Raises:
        RefusedByNode: with the node's signed word, if it could read the statement.
        NodeUnreachable, Busy: not now; lodging it again is safe.
        LogUntrusted, SignatureInvalid: what came back is not the node's, or is of another statement.
    """
    statement = parcel.statement
    ciphertext = parcel.ciphertext if statement.kind == "note" else None
    try:
        text = await transport.submit(statement.raw, ciphertext, parcel.wraps)
    except RefusedByNode as exc:
        prove_refusal(exc.refusal, node, statement)
        raise
    proven = prove(text, node)
    taken = Entry(proven.index, proven.record, parse_statement(proven.record.statement), text)
    # Whose key signed it isn't known here, so the log must have it as it was handed in.
    check_taken(taken, statement, None)
    return text, proven


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{FORMAT}: a member is not a string")
    return value
