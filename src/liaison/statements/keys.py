"""Ed25519 signing keys, key ids, and the form of encryption keys. protocols/statements.md, KEY.

Verification is pinned down so that every library gives the same answer: A canonical and not of
small order, R not of small order, S below the group order, no cofactor (KEY-3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import nacl.bindings
import nacl.exceptions
from cryptography.exceptions import InvalidKey, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import Malformed, SignatureInvalid

SIGNING: Final = "ed25519"
ENCRYPTION: Final = "mlkem768-x25519"
SIGNING_KEY_BYTES: Final = 32
ENCRYPTION_KEY_BYTES: Final = 1184 + 32
SIGNATURE_BYTES: Final = 64

_P: Final = 2**255 - 19
# y-coordinates of the eight points of order 1, 2, 4 and 8 on edwards25519.
_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        int.from_bytes(
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
            "little",
        ),
        int.from_bytes(
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
            "little",
        ),
    }
)
# u-coordinates of the points of small order on curve25519 and its twist (RFC 7748 Section 6.1).
_SMALL_ORDER_U: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)
_POSSESSION: Final = b"liaison/possession/v1\0"


def key_id(public: bytes, algorithm: str = SIGNING) -> str:
    """Return the key id of a public key: a digest in padded base64 (KEY-1)."""
    data = b"liaison/key/v1\0" + algorithm.encode("ascii") + b"\0" + public
    return to_base64(hashlib.sha256(data).digest())


def _has_small_order(point: bytes) -> bool:
    y = int.from_bytes(point, "little") & (2**255 - 1)
    return y in _SMALL_ORDER_Y or y >= _P


def check_signing_key(public: bytes) -> bytes:
    """Return ``public`` if it is a canonical Ed25519 key that isn't of small order (KEY-2).

    Raises:
        Malformed: it isn't.
    """
    if len(public) != SIGNING_KEY_BYTES:
        raise Malformed(f"signing key of {len(public)} bytes, not {SIGNING_KEY_BYTES}")
    y = int.from_bytes(public, "little") & (2**255 - 1)
    if y >= _P:
        raise Malformed("signing key is not canonical: its coordinate is not below 2^255 - 19")
    if y in _SMALL_ORDER_Y:
        raise Malformed("signing key is of small order")
    return public


def check_encryption_key(public: bytes) -> bytes:
    """Return ``public`` if its form is that of an MLKEM768-X25519 key: 1,216 bytes (KEY-5).

    Raises:
        Malformed: another size, an ML-KEM coefficient not below its modulus, or an X25519
            part that is not canonical or of small order.
    """
    if len(public) != ENCRYPTION_KEY_BYTES:
        raise Malformed(f"encryption key of {len(public)} bytes, not {ENCRYPTION_KEY_BYTES}")
    try:
        MLKEM768PublicKey.from_public_bytes(public[:1184])
    except (ValueError, InvalidKey, UnsupportedAlgorithm) as exc:
        raise Malformed("encryption key: its ML-KEM-768 part fails the modulus check") from exc
    u = int.from_bytes(public[1184:], "little")
    if u >= _P:
        raise Malformed("encryption key: its X25519 part is not canonical")
    if u in _SMALL_ORDER_U:
        raise Malformed("encryption key: its X25519 part is of small order")
    return public


def check_signature(public: bytes, message: bytes, signature: bytes) -> None:
    """Return if ``signature`` (64 bytes) over ``message`` is by ``public`` (RFC 8032, KEY-3).

    Raises:
        SignatureInvalid: it isn't.
    """
    if len(public) != SIGNING_KEY_BYTES:  # libsodium reads 32 bytes, however few there are
        raise SignatureInvalid(f"the signing key has {len(public)} bytes, not {SIGNING_KEY_BYTES}")
    if len(signature) != SIGNATURE_BYTES or _has_small_order(signature[:32]):
        raise SignatureInvalid("the signature is not an Ed25519 signature")
    try:
        nacl.bindings.crypto_sign_open(signature + message, public)
    except nacl.exceptions.BadSignatureError as exc:
        raise SignatureInvalid("the signature is not by the key it names over these bytes") from exc


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 private key, kept as its 32-byte seed."""

    seed: bytes = field(repr=False)
    public: bytes = field(init=False)
    id: str = field(init=False)

    def __post_init__(self) -> None:
        public, secret = nacl.bindings.crypto_sign_seed_keypair(self.seed)
        object.__setattr__(self, "public", public)
        object.__setattr__(self, "id", key_id(public))
        object.__setattr__(self, "_secret", secret)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over ``message``."""
        secret: bytes = self._secret  # type: ignore[attr-defined]
        return bytes(nacl.bindings.crypto_sign(message, secret)[:SIGNATURE_BYTES])

    def prove_possession(self, holder: str) -> str:
        """Return the proof that the holder of this key wants it bound to ``holder`` (KEY-4)."""
        return to_base64(self.sign(_possession(holder, self.public)))


def check_possession(holder: str, public: bytes, proof: str) -> None:
    """Return if ``proof`` shows that ``public``'s holder wants it bound to ``holder`` (KEY-4).

    Raises:
        Malformed: the proof isn't one.
    """
    try:
        check_signature(public, _possession(holder, public), from_base64(proof, SIGNATURE_BYTES))
    except SignatureInvalid as exc:
        raise Malformed(f"proof of possession for {holder} doesn't verify") from exc


def _possession(holder: str, public: bytes) -> bytes:
    return _POSSESSION + holder.encode("ascii") + b"\0" + public
