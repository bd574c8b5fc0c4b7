"""Encryption keys: MLKEM768-X25519 (HPKE KEM 0x647a). protocols/sealing.md, SEAL-10 to SEAL-13.

Whose key it is, and until when, is the business of key statements.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
)

from liaison.words.errors import Malformed

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 1216
_MLKEM_SEED_BYTES: Final = 64
_MLKEM_PUBLIC_BYTES: Final = 1184
_X25519_BYTES: Final = 32

_P: Final = 2**255 - 19
_SMALL_ORDER: Final = {
    0: 2,
    1: 4,
    _P - 1: 4,
    325606250916557431795983626356110631294008115727848805560023387167927233504: 8,
    39382357235489614581723060781553021112529911719440698176882885853963445705823: 8,
}
"""u-coordinate: order of its point on Curve25519 or on its twist (u = p - 1 lies on the twist)."""


@dataclass(frozen=True)
class EncryptionKey:
    """A device's encryption key. ``seed`` is 32 secret bytes; everything else follows from it."""

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise Malformed(f"seed of {len(self.seed)} bytes, not {SEED_BYTES}")

    @classmethod
    def generate(cls) -> EncryptionKey:
        """Return a new key from the system's randomness."""
        return cls(secrets.token_bytes(SEED_BYTES))

    @cached_property
    def public(self) -> bytes:
        """The 1216 bytes that a key statement carries."""
        mlkem, x25519 = self._halves
        return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    @cached_property
    def private(self) -> MLKEM768X25519PrivateKey:
        """What HPKE decrypts with. Expanding the seed is dearer than using the key: kept."""
        return MLKEM768X25519PrivateKey(*self._halves)

    @cached_property
    def _halves(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        expanded = hashlib.shake_256(self.seed).digest(_MLKEM_SEED_BYTES + _X25519_BYTES)
        return (
            MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES]),
            X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:]),
        )


@lru_cache(1024)  # a post is written to again and again
def load_public(data: bytes) -> MLKEM768X25519PublicKey:
    """Return the key that HPKE encrypts to: ML-KEM-768 (1184 bytes), then X25519 (32 bytes).

    Raises:
        Malformed: another size, an ML-KEM coefficient not below 3329, an X25519 coordinate that is
            of small order or not in its one spelling.
    """
    if len(data) != PUBLIC_BYTES:
        raise Malformed(f"encryption key of {len(data)} bytes, not {PUBLIC_BYTES}")
    try:
        mlkem = MLKEM768PublicKey.from_public_bytes(data[:_MLKEM_PUBLIC_BYTES])
    except ValueError as exc:
        raise Malformed("encryption key: an ML-KEM-768 coefficient is not below 3329") from exc
    point = data[_MLKEM_PUBLIC_BYTES:]
    _check_x25519(point)
    return MLKEM768X25519PublicKey(mlkem, X25519PublicKey.from_public_bytes(point))


def _check_x25519(point: bytes) -> None:
    spelled = int.from_bytes(point, "little")
    # X25519 ignores the top bit and reduces: other spellings of one key, and of a small-order one.
    u = (spelled & (2**255 - 1)) % _P
    if u in _SMALL_ORDER:
        raise Malformed(f"encryption key: its X25519 point has order {_SMALL_ORDER[u]}")
    if spelled != u:
        raise Malformed("encryption key: its X25519 coordinate is not below 2^255 - 19")
