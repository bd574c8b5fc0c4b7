"""Encryption keys: SEAL-10 to SEAL-13."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from liaison.sealing.keys import _SMALL_ORDER, EncryptionKey, load_public
from liaison.words.errors import Malformed


def test_each_generated_key_is_its_own_and_loads():
    first, second = EncryptionKey.generate(), EncryptionKey.generate()
    assert first.public != second.public
    assert len(first.public) == 1216
    load_public(first.public)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_size_is_refused(size):
    with pytest.raises(Malformed, match=f"seed of {size} bytes, not 32"):
        EncryptionKey(bytes(size))


def test_a_key_shows_no_seed():
    key = EncryptionKey(b"canary-canary-canary-canary-32by")
    assert "canary" not in repr(key)


@pytest.mark.parametrize("u", _SMALL_ORDER)
def test_the_small_order_coordinates_are_those_that_x25519_maps_to_zero(u):
    with pytest.raises(ValueError, match="shared key"):
        X25519PrivateKey.generate().exchange(
            X25519PublicKey.from_public_bytes(u.to_bytes(32, "little"))
        )


def test_every_coefficient_is_checked():
    good = EncryptionKey.generate().public
    for pair in range(1152 // 3):
        for bits in (0xFFF, 0xFFF << 12):
            triple = int.from_bytes(good[3 * pair : 3 * pair + 3], "little") | bits
            bad = good[: 3 * pair] + triple.to_bytes(3, "little") + good[3 * pair + 3 :]
            with pytest.raises(Malformed, match="coefficient is not below 3329"):
                load_public(bad)
