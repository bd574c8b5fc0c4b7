"""Ed25519 (RFC 8032) for signed notes: which public keys are taken, signing, verifying. LOG-13."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from liaison.words.errors import Malformed

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
# The second coordinates of the eight points whose order divides 8: a signature under such a
# key can verify for any text.
_ORDER_8: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
SMALL_ORDER: Final = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})


@lru_cache(maxsize=1024)
def check_public(public: bytes) -> bytes:
    """Return ``public`` if it's a point of the curve, canonically encoded, not of small order.

    Raises:
        Malformed: it isn't.
    """
    if len(public) != PUBLIC_BYTES:
        raise Malformed(f"Ed25519 public key of {len(public)} bytes, not {PUBLIC_BYTES}")
    y = int.from_bytes(public, "little") & (1 << 255) - 1
    if y >= _P:
        raise Malformed("Ed25519 public key isn't canonically encoded")
    if y in SMALL_ORDER:
        raise Malformed("Ed25519 public key is a point of small order")
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if pow(x_squared, (_P - 1) // 2, _P) != 1:
        raise Malformed("Ed25519 public key isn't a point of the curve")
    return public


def private_key(seed: bytes) -> Ed25519PrivateKey:
    """Return the key that grows from 32 random bytes."""
    if len(seed) != SEED_BYTES:
        raise Malformed(f"Ed25519 seed of {len(seed)} bytes, not {SEED_BYTES}")
    return Ed25519PrivateKey.from_private_bytes(seed)


def is_valid(public: bytes, signature: bytes, data: bytes) -> bool:
    """Return whether ``signature`` is one over ``data`` by the key ``public``."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except InvalidSignature:
        return False
    return True
