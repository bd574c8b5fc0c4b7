"""Seal and open notes, wrap and unwrap their secrets. protocols/sealing.md, SEAL-1 to SEAL-9.

Whether a signer, a wrapper or a recipient may be believed is decided before anything is opened,
by the trust chain (design, section 4), not here.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from liaison.sealing.content import Content, format_content, parse_content
from liaison.sealing.keys import EncryptionKey, load_public
from liaison.words.encoding import to_base64
from liaison.words.errors import Malformed, Unreadable

SECRET_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
WRAP_BYTES: Final = 1120 + SECRET_BYTES + 16
TAG_BYTES: Final = 16
REASONS: Final = ("wrap", "secret", "commitment", "ciphertext", "content", "newer")
"""Every ``reason`` of an Unreadable from this room: SEAL-30, in the order of the steps."""

_SEAL: Final = "liaison/seal/1"
_WRAP: Final = "liaison/wrap/1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_SAFE: Final = "nothing of it is shown, and nothing was lost"


@dataclass(frozen=True)
class SealContext:
    """What a note's key schedule is bound to; each field as it is spelled in the statement.

    ``charter`` is the charter's digest, ``signer`` the key id of the note's signer, both padded
    base64; ``kind`` is the note's kind.
    """

    note_id: str
    charter: str
    signer: str
    kind: str

    def info(self) -> bytes:
        """Return HKDF's info (SEAL-2)."""
        return _with_lengths(_SEAL, self.note_id, self.charter, self.signer, self.kind)


@dataclass(frozen=True)
class Recipient:
    """Who can open: the digest of a key statement (padded base64) and the public key it names."""

    statement: str
    public: bytes


@dataclass(frozen=True)
class Sealed:
    """A sealed note. ``wraps`` is by key statement digest; ``secret`` stays with the sender."""

    ciphertext: bytes
    commitment: bytes
    wraps: Mapping[str, bytes]
    secret: bytes = field(repr=False)


def seal(
    content: Content, context: SealContext, recipients: Sequence[Recipient], *, wrapper: str
) -> Sealed:
    """Return ``content`` sealed under a fresh secret, wrapped for each recipient.

    ``wrapper`` is the key id of the device that makes the wraps, here the signer's.

    Raises:
        Malformed: a recipient's key, named by its statement; nothing was sealed for anyone.
    """
    return _seal_under(
        secrets.token_bytes(SECRET_BYTES), content, context, recipients, wrapper=wrapper
    )


def rewrap(
    secret: bytes,
    context: SealContext,
    recipients: Sequence[Recipient],
    wrapper: str,
    commitment: bytes,
) -> dict[str, bytes]:
    """Return wraps of an opened note's secret for more recipients: a release or a grant.

    Raises:
        Malformed: a recipient's key, named by its statement.
        Unreadable: reason ``secret`` or ``commitment``: not the secret of this note.
    """
    _checked_schedule(secret, context, commitment)
    return _wraps(secret, context, recipients, wrapper, commitment)


def unwrap(
    wrap: bytes,
    key: EncryptionKey,
    context: SealContext,
    *,
    wrapper: str,
    statement: str,
    commitment: bytes,
) -> bytes:
    """Return the note secret in ``wrap``, made by ``wrapper`` for the key of ``statement``.

    Raises:
        Unreadable: reason ``wrap`` or ``secret``.
    """
    info = _wrap_info(context, wrapper, statement, commitment)
    try:
        secret = _SUITE.decrypt(wrap, key.private, info=info)
    except (InvalidTag, ValueError) as exc:
        raise Unreadable(
            "The wrap doesn't open with this device's key for this note",
            reason="wrap",
            safe=_SAFE,
            do="answer unreadable; the sender, or another reader, can wrap it again",
        ) from exc
    _check_secret(secret)
    return secret


def check_secret(secret: bytes, context: SealContext, commitment: bytes) -> None:
    """Return if ``secret`` is the one that the signed note commits to (SEAL-4).

    Raises:
        Unreadable: reason ``secret`` or ``commitment``.
    """
    _checked_schedule(secret, context, commitment)


def open_sealed(
    secret: bytes, ciphertext: bytes, context: SealContext, commitment: bytes
) -> Content:
    """Return the content, after the commitment (SEAL-4): all who can open see the same bytes.

    Raises:
        Unreadable: any reason but ``wrap``. Its text and its cause hold nothing of the content.
    """
    key, nonce = _checked_schedule(secret, context, commitment)
    try:
        padded = AESGCM(key).decrypt(nonce, ciphertext, None)
    except (InvalidTag, ValueError) as exc:
        raise Unreadable(
            "The ciphertext isn't the one that was sealed for this note",
            reason="ciphertext",
            safe=_SAFE,
            do="fetch it again; if it stays so, answer unreadable",
        ) from exc
    try:
        return parse_content(padded)
    except Malformed:
        pass
    # Raised out here so that the complaint about the plaintext isn't even the error's context.
    raise Unreadable(
        "The content isn't in the form that liaison writes",
        reason="content",
        safe=_SAFE,
        do="answer unreadable; the sender has to write it again",
    )


def _seal_under(
    secret: bytes,
    content: Content,
    context: SealContext,
    recipients: Sequence[Recipient],
    *,
    wrapper: str,
) -> Sealed:
    """Seal under a given secret. Only test vectors may: a secret seals one content, once."""
    key, nonce, commitment = _schedule(secret, context)
    wraps = _wraps(secret, context, recipients, wrapper, commitment)
    ciphertext = AESGCM(key).encrypt(nonce, format_content(content), None)
    return Sealed(ciphertext, commitment, wraps, secret)


def _wraps(
    secret: bytes,
    context: SealContext,
    recipients: Sequence[Recipient],
    wrapper: str,
    commitment: bytes,
) -> dict[str, bytes]:
    wraps: dict[str, bytes] = {}
    for recipient in recipients:
        if recipient.statement in wraps:
            raise Malformed(f"recipient {recipient.statement} stands twice")
        try:
            public = load_public(recipient.public)
        except Malformed as exc:
            raise exc.within(f"recipient {recipient.statement}") from exc
        info = _wrap_info(context, wrapper, recipient.statement, commitment)
        wraps[recipient.statement] = _SUITE.encrypt(secret, public, info=info)
    return wraps


def _wrap_info(context: SealContext, wrapper: str, statement: str, commitment: bytes) -> bytes:
    return _with_lengths(
        _WRAP,
        context.note_id,
        context.charter,
        context.signer,
        wrapper,
        statement,
        to_base64(commitment),
    )


def _schedule(secret: bytes, context: SealContext) -> tuple[bytes, bytes, bytes]:
    """Return AES key, nonce and key commitment (SEAL-3)."""
    _check_secret(secret)
    size = _KEY_BYTES + _NONCE_BYTES + COMMITMENT_BYTES
    okm = HKDF(SHA256(), size, salt=None, info=context.info()).derive(secret)
    return okm[:_KEY_BYTES], okm[_KEY_BYTES:-COMMITMENT_BYTES], okm[-COMMITMENT_BYTES:]


def _checked_schedule(
    secret: bytes, context: SealContext, commitment: bytes
) -> tuple[bytes, bytes]:
    """Return AES key and nonce of a secret that the signed commitment vouches for (SEAL-4)."""
    key, nonce, expected = _schedule(secret, context)
    if not hmac.compare_digest(expected, commitment):
        raise Unreadable(
            "The secret isn't the one that the signed note commits to",
            reason="commitment",
            safe=_SAFE,
            do="answer unreadable and tell the sender: others may have been shown another text",
        )
    return key, nonce


def _check_secret(secret: bytes) -> None:
    if len(secret) != SECRET_BYTES:
        raise Unreadable(
            f"The note secret has {len(secret)} bytes, not {SECRET_BYTES}",
            reason="secret",
            safe=_SAFE,
            do="answer unreadable; the sender, or another reader, can wrap it again",
        )


def _with_lengths(*fields: str) -> bytes:
    """Return the UTF-8 of each field behind its length in bytes, u32 big-endian (SEAL-1)."""
    spelled = [text.encode("utf-8") for text in fields]
    return b"".join(len(data).to_bytes(4, "big") + data for data in spelled)
