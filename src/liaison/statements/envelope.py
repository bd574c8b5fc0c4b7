"""The envelope: DSSE v1 with exactly one Ed25519 signature and one spelling.

protocols/statements.md, ENV. The signed bytes are kept as they came; nothing is re-serialised to
be verified. What a payload says is ``payloads``' business.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from liaison.statements.keys import SIGNATURE_BYTES, SigningKey, check_signature
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import Malformed, TooLarge

MAX_STATEMENT_BYTES: Final = 256 * 1024
_TYPE: Final = "application/vnd.liaison.{}.v1+json"
_SPELLING: Final = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/]+={0,2})",'
    rb'"payloadType":"application/vnd\.liaison\.([a-z]{1,32})\.v1\+json",'
    rb'"signatures":\[\{"keyid":"([A-Za-z0-9+/]{43}=)","sig":"([A-Za-z0-9+/]{86}==)"\}\]\}'
)


def pre_authentication_encoding(kind: str, payload: bytes) -> bytes:
    """Return the bytes that are signed (DSSE v1, "Signature Definition")."""
    payload_type = _TYPE.format(kind).encode("ascii")
    return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type, len(payload), payload)


@dataclass(frozen=True)
class Envelope:
    """A parsed envelope. ``raw`` is what was sent, and what the log keeps."""

    raw: bytes
    kind: str
    payload: bytes
    key: str
    signature: bytes

    @cached_property
    def signed(self) -> bytes:
        """The pre-authentication encoding."""
        return pre_authentication_encoding(self.kind, self.payload)

    @cached_property
    def digest(self) -> str:
        """What other statements refer to: SHA-256 over the signed bytes and the signature."""
        return to_base64(hashlib.sha256(self.signed + self.signature).digest())

    @cached_property
    def payload_digest(self) -> str:
        """What makes a duplicate: SHA-256 over the signed bytes alone."""
        return to_base64(hashlib.sha256(self.signed).digest())

    def check_signature(self, public: bytes) -> None:
        """Return if ``public`` signed this envelope, else raise ``SignatureInvalid``."""
        check_signature(public, self.signed, self.signature)


def parse_envelope(raw: bytes) -> Envelope:
    """Return the envelope that ``raw`` spells.

    Raises:
        TooLarge: over 256 KiB.
        Malformed: not the one spelling; the member at fault is named.
    """
    if len(raw) > MAX_STATEMENT_BYTES:
        raise TooLarge(f"statement of {len(raw)} bytes; the limit is {MAX_STATEMENT_BYTES}")
    found = _SPELLING.fullmatch(raw)
    if found is None:
        raise _diagnose(raw)
    payload64, kind, key, signature64 = (part.decode("ascii") for part in found.groups())
    try:
        from_base64(key, 32)
    except Malformed as exc:
        raise exc.within("signatures[0].keyid") from exc
    try:
        signature = from_base64(signature64, SIGNATURE_BYTES)
    except Malformed as exc:
        raise exc.within("signatures[0].sig") from exc
    try:
        payload = from_base64(payload64)
    except Malformed as exc:
        raise exc.within("payload") from exc
    return Envelope(raw=raw, kind=kind, payload=payload, key=key, signature=signature)


def seal_envelope(kind: str, payload: bytes, key: SigningKey) -> Envelope:
    """Return the envelope of ``payload`` signed by ``key``."""
    signature = key.sign(pre_authentication_encoding(kind, payload))
    raw = (
        f'{{"payload":"{to_base64(payload)}","payloadType":"{_TYPE.format(kind)}",'
        f'"signatures":[{{"keyid":"{key.id}","sig":"{to_base64(signature)}"}}]}}'
    ).encode("ascii")
    if len(raw) > MAX_STATEMENT_BYTES:
        raise TooLarge(f"statement of {len(raw)} bytes; the limit is {MAX_STATEMENT_BYTES}")
    return Envelope(raw=raw, kind=kind, payload=payload, key=key.id, signature=signature)


def _diagnose(raw: bytes) -> Malformed:
    """Name what keeps ``raw`` from being an envelope; only reached when it isn't one."""
    duplicates: list[str] = []

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        seen: set[str] = set()
        for name, _ in items:
            if name in seen:
                duplicates.append(name)
            seen.add(name)
        return dict(items)

    try:
        value = json.loads(raw, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as exc:
        return Malformed(f"envelope: not JSON: {exc}")
    if duplicates:
        return Malformed(f"envelope: member {duplicates[0]!r} stands twice")
    if not isinstance(value, dict) or set(value) != {"payload", "payloadType", "signatures"}:
        return Malformed("envelope: its members must be payload, payloadType and signatures")
    if not isinstance(value["payload"], str) or not value["payload"]:
        return Malformed("payload: not a string, or empty")
    wrong = _wrong_base64("payload", value["payload"], None) or _wrong_signatures(
        value["signatures"]
    )
    if wrong is not None:
        return wrong
    if not re.fullmatch(
        r"application/vnd\.liaison\.[a-z]{1,32}\.v1\+json", str(value["payloadType"])
    ):
        return Malformed("payloadType: not application/vnd.liaison.<kind>.v1+json")
    return Malformed(
        "envelope: white space or the order of its members differs from its one spelling"
    )


def _wrong_signatures(signatures: object) -> Malformed | None:
    if not isinstance(signatures, list) or len(signatures) != 1:
        return Malformed("signatures: there must be exactly one")
    signature = signatures[0]
    if not isinstance(signature, dict) or set(signature) != {"keyid", "sig"}:
        return Malformed("signatures[0]: its members must be keyid and sig")
    return _wrong_base64("signatures[0].keyid", str(signature["keyid"]), 32) or _wrong_base64(
        "signatures[0].sig", str(signature["sig"]), SIGNATURE_BYTES
    )


def _wrong_base64(field: str, text: str, size: int | None) -> Malformed | None:
    try:
        from_base64(text, size)
    except Malformed as exc:
        return exc.within(field)
    return None
