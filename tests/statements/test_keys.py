"""Keys: ids, which are taken, and which signatures verify (KEY-1 to KEY-5)."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from liaison.statements.keys import (
    ENCRYPTION,
    SigningKey,
    check_encryption_key,
    check_possession,
    check_signature,
    check_signing_key,
    key_id,
)
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import Malformed, SignatureInvalid
from tests.world import encryption, signing

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL = (0, 1, P - 1, ORDER_8, P - ORDER_8)
U_ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
GOOD = signing("good")
ENCRYPTING = from_base64(encryption("good"))


def spelled(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def test_a_key_id_covers_algorithm_and_key():
    expected = hashlib.sha256(b"liaison/key/v1\0ed25519\0" + GOOD.public).digest()
    assert GOOD.id == key_id(GOOD.public) == to_base64(expected)
    assert key_id(GOOD.public, ENCRYPTION) != GOOD.id


@pytest.mark.parametrize("y", SMALL)
@pytest.mark.parametrize("sign", [0, 1])
def test_a_key_of_small_order_is_refused(y, sign):
    with pytest.raises(Malformed, match="signing key is of small order"):
        check_signing_key(spelled(y, sign))
    assert check_signing_key(GOOD.public) == GOOD.public


@pytest.mark.parametrize("y", range(P, 2**255))
@pytest.mark.parametrize("sign", [0, 1])
def test_a_key_that_is_not_canonical_is_refused(y, sign):
    with pytest.raises(Malformed, match=r"not canonical: its coordinate is not below 2.255 - 19"):
        check_signing_key(spelled(y, sign))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(size):
    with pytest.raises(Malformed, match=f"signing key of {size} bytes, not 32"):
        check_signing_key(bytes(size))
    with pytest.raises(SignatureInvalid, match=f"the signing key has {size} bytes, not 32"):
        check_signature(bytes(size), b"m", GOOD.sign(b"m"))


@pytest.mark.parametrize("y", SMALL)
@pytest.mark.parametrize("sign", [0, 1])
def test_a_signature_with_an_r_of_small_order_is_invalid(y, sign):
    """With R of small order and S made for it, a cofactored verifier may say yes, others no."""
    secret = int.from_bytes(hashlib.sha512(GOOD.seed).digest()[:32], "little")
    secret = secret & ((1 << 254) - 8) | 1 << 254
    r = spelled(y, sign)
    k = int.from_bytes(hashlib.sha512(r + GOOD.public + b"m").digest(), "little") % L
    s = k * secret % L
    with pytest.raises(SignatureInvalid):
        check_signature(GOOD.public, b"m", r + s.to_bytes(32, "little"))
    check_signature(GOOD.public, b"m", GOOD.sign(b"m"))


def test_s_is_below_the_group_order():
    signature = GOOD.sign(b"m")
    s = int.from_bytes(signature[32:], "little")
    for other in (s + L, s + 2 * L, s | 1 << 255):
        with pytest.raises(SignatureInvalid):
            check_signature(GOOD.public, b"m", signature[:32] + other.to_bytes(32, "little"))
    check_signature(GOOD.public, b"m", signature)


@pytest.mark.parametrize("y", SMALL)
def test_no_signature_is_by_a_key_of_small_order(y):
    """Under such a key S = 0 and R = the key can verify for any message."""
    for sign in (0, 1):
        for r in (spelled(y, sign), spelled(1)):
            with pytest.raises(SignatureInvalid):
                check_signature(spelled(y, sign), b"m", r + bytes(32))


def test_a_signature_has_64_bytes():
    for size in (0, 63, 65):
        with pytest.raises(SignatureInvalid, match="not an Ed25519 signature"):
            check_signature(GOOD.public, b"m", GOOD.sign(b"m").ljust(65, b"\0")[:size])


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_we_agree_with_another_library_on_honest_signatures(seed, message):
    ours, theirs = SigningKey(seed), Ed25519PrivateKey.from_private_bytes(seed)
    assert ours.public == theirs.public_key().public_bytes_raw()
    assert ours.sign(message) == theirs.sign(message)
    check_signature(ours.public, message, theirs.sign(message))
    Ed25519PublicKey.from_public_bytes(ours.public).verify(ours.sign(message), message)


@given(st.integers(0, 511), st.binary(max_size=40))
def test_a_flipped_bit_of_a_signature_is_invalid_for_both(place, message):
    flipped = bytearray(GOOD.sign(message))
    flipped[place // 8] ^= 1 << place % 8
    with pytest.raises(SignatureInvalid):
        check_signature(GOOD.public, message, bytes(flipped))
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(GOOD.public).verify(bytes(flipped), message)


def test_possession_is_proved_to_one_holder_by_one_key():
    proof = GOOD.prove_possession("anna@fco.example")
    check_possession("anna@fco.example", GOOD.public, proof)
    for holder, key in (("ann@fco.example", GOOD), ("anna@fco.example", signing("other"))):
        with pytest.raises(Malformed, match=r"proof of possession for .* doesn't verify"):
            check_possession(holder, key.public, proof)


def test_a_proof_of_possession_is_no_statement():
    """What a device signs to be enrolled never begins like a statement."""
    from liaison.statements.keys import _possession

    assert not _possession("h", GOOD.public).startswith(b"DSSEv1")


def with_u(u: int) -> bytes:
    return ENCRYPTING[:1184] + u.to_bytes(32, "little")


@pytest.mark.parametrize(
    ("public", "complaint"),
    [
        (ENCRYPTING[:-1], "1215 bytes, not 1216"),
        (ENCRYPTING + b"\0", "1217 bytes, not 1216"),
        (b"\x01\x0d" + ENCRYPTING[2:], "modulus check"),
        (b"\xff\xff" + ENCRYPTING[2:], "modulus check"),
        *((with_u(u), "small order") for u in (0, 1, P - 1, *U_ORDER_8)),
        *((with_u(u), "not canonical") for u in (P, P + 1, 2**255 - 1, 2**255, 2**256 - 1)),
    ],
)
def test_the_form_of_an_encryption_key(public, complaint):
    with pytest.raises(Malformed, match=complaint):
        check_encryption_key(public)
    assert check_encryption_key(ENCRYPTING) == ENCRYPTING
