"""A statement: an envelope whose payload was read. protocols/statements.md, STMT.

``parse_statement`` checks everything about the form and nothing about the signature; whose key it
is and whether the statement is allowed is decided by ``rules``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from liaison.statements.envelope import Envelope, parse_envelope, seal_envelope
from liaison.statements.keys import SigningKey
from liaison.statements.kinds import KINDS
from liaison.statements.payloads import Payload
from liaison.words.canonical import parse_canonical
from liaison.words.errors import Malformed

P = TypeVar("P", bound=Payload, covariant=True)
Q = TypeVar("Q", bound=Payload)


@dataclass(frozen=True)
class Statement(Generic[P]):
    """``payload`` is the reading of ``envelope.payload``; both are kept."""

    envelope: Envelope
    payload: P

    @property
    def raw(self) -> bytes:
        return self.envelope.raw

    @property
    def kind(self) -> str:
        return self.envelope.kind

    @property
    def digest(self) -> str:
        return self.envelope.digest

    @property
    def payload_digest(self) -> str:
        return self.envelope.payload_digest

    def check_signature(self, public: bytes) -> None:
        """Return if ``public`` signed this statement, else raise ``SignatureInvalid``."""
        self.envelope.check_signature(public)


def parse_statement(raw: bytes) -> Statement[Payload]:
    """Return the statement that ``raw`` spells.

    Raises:
        Malformed: the envelope or payload has no reading or more than one; the member is named.
        TooLarge: over 256 KiB.
    """
    envelope = parse_envelope(raw)
    model = KINDS.get(envelope.kind)
    if model is None:
        raise Malformed(f"payloadType: no statement kind {envelope.kind!r}")
    payload = _read(model, envelope.payload)
    if payload.key != envelope.key:
        raise Malformed("key: differs from the keyid of the signature")
    return Statement(envelope, payload)


def parse_statement_of(model: type[Q], raw: bytes) -> Statement[Q]:
    """As ``parse_statement``, for a caller that expects one kind."""
    statement = parse_statement(raw)
    if not isinstance(statement.payload, model):
        raise Malformed(
            f"a {statement.kind} statement stands where a {model.kind_name} is expected"
        )
    return Statement(statement.envelope, statement.payload)


def make_statement(payload: Q, key: SigningKey) -> Statement[Q]:
    """Return ``payload`` signed by ``key``, which must be the one it names."""
    if payload.key != key.id:
        raise ValueError("the payload names another key")
    return Statement(seal_envelope(payload.kind_name, payload.spelled(), key), payload)


def _read(model: type[Q], data: bytes) -> Q:
    try:
        payload = model.model_validate_json(data)
    except ValidationError as exc:
        parse_canonical(data)  # says it better where the JSON itself is at fault
        raise Malformed(_first_complaint(exc)) from exc
    # Every model spells its values in exactly one way, so the same bytes coming out prove that
    # the payload was canonical: no member twice, none null, sorted, nothing between.
    if payload.spelled() != data:
        parse_canonical(data)
        raise Malformed("not canonical JSON: a member is null or spelled in another way")
    return payload


def _first_complaint(exc: ValidationError) -> str:
    error = exc.errors(include_url=False)[0]
    where = ".".join(str(part) for part in error["loc"]) or "payload"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" and not error["loc"]:
        return message
    return f"{where}: {message[:200]}"
