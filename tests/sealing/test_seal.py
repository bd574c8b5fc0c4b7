"""Sealing and wraps: SEAL-1 to SEAL-9, SEAL-30."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from liaison.sealing.content import Content, Part, Role, format_content
from liaison.sealing.keys import EncryptionKey
from liaison.sealing.seal import (
    _SUITE,
    REASONS,
    WRAP_BYTES,
    Recipient,
    SealContext,
    _schedule,
    _seal_under,
    _wrap_info,
    open_sealed,
    rewrap,
    seal,
    unwrap,
)
from liaison.words.encoding import to_base64
from liaison.words.errors import Malformed, Unreadable

CONTEXT = SealContext(
    note_id="0198c0de-0000-7000-8000-000000000001",
    charter=to_base64(b"c" * 32),
    signer=to_base64(b"s" * 32),
    kind="note",
)
WRAPPER = to_base64(b"w" * 32)
ALICE, BOB = EncryptionKey(b"a" * 32), EncryptionKey(b"b" * 32)
TO_ALICE = Recipient(to_base64(b"1" * 32), ALICE.public)
TO_BOB = Recipient(to_base64(b"2" * 32), BOB.public)
CONTENT = Content.text("canary subject", "canary body", "en")


@pytest.fixture(scope="module")
def sealed():
    return seal(CONTENT, CONTEXT, [TO_ALICE, TO_BOB], wrapper=WRAPPER)


def unwrap_for_alice(sealed, **changed):
    given = {
        "wrap": sealed.wraps[TO_ALICE.statement],
        "key": ALICE,
        "context": CONTEXT,
        "wrapper": WRAPPER,
        "statement": TO_ALICE.statement,
        "commitment": sealed.commitment,
    } | changed
    wrap, key, context = given.pop("wrap"), given.pop("key"), given.pop("context")
    return unwrap(wrap, key, context, **given)


def reason_of(call, *args, **kwargs):
    with pytest.raises(Unreadable) as caught:
        call(*args, **kwargs)
    assert caught.value.reason in REASONS
    assert "canary" not in str(caught.value)
    return caught.value.reason


def test_each_recipient_reads_the_note(sealed):
    for recipient, key in ((TO_ALICE, ALICE), (TO_BOB, BOB)):
        secret = unwrap(
            sealed.wraps[recipient.statement],
            key,
            CONTEXT,
            wrapper=WRAPPER,
            statement=recipient.statement,
            commitment=sealed.commitment,
        )
        assert secret == sealed.secret
        assert open_sealed(secret, sealed.ciphertext, CONTEXT, sealed.commitment) == CONTENT
        assert len(sealed.wraps[recipient.statement]) == WRAP_BYTES


def test_nobody_else_reads_it(sealed):
    assert reason_of(unwrap_for_alice, sealed, key=BOB) == "wrap"
    assert reason_of(unwrap_for_alice, sealed, wrap=sealed.wraps[TO_BOB.statement]) == "wrap"


def test_two_sealings_share_nothing():
    first, second = (seal(CONTENT, CONTEXT, [TO_ALICE], wrapper=WRAPPER) for _ in range(2))
    assert first.secret != second.secret
    assert first.commitment != second.commitment
    assert first.ciphertext != second.ciphertext
    assert first.wraps != second.wraps


def test_a_sealed_note_shows_no_secret(sealed):
    assert repr(sealed.secret) not in repr(sealed)


@pytest.mark.parametrize("member", ["note_id", "charter", "signer", "kind"])
def test_another_context_is_refused(sealed, member):
    other = replace(CONTEXT, **{member: getattr(CONTEXT, member)[:-1]})
    args = (sealed.secret, sealed.ciphertext, other, sealed.commitment)
    assert reason_of(open_sealed, *args) == "commitment"
    if member == "kind":  # the wrap is for the note; its kind is in the key schedule alone
        assert unwrap_for_alice(sealed, context=other) == sealed.secret
    else:
        assert reason_of(unwrap_for_alice, sealed, context=other) == "wrap"


def test_fields_cannot_slide_into_one_another(sealed):
    slid = replace(CONTEXT, signer=CONTEXT.signer + CONTEXT.kind[0], kind=CONTEXT.kind[1:])
    assert slid.info() != CONTEXT.info()
    args = (sealed.secret, sealed.ciphertext, slid, sealed.commitment)
    assert reason_of(open_sealed, *args) == "commitment"


@pytest.mark.parametrize(
    "changed",
    [
        {"wrapper": to_base64(b"x" * 32)},
        {"statement": TO_BOB.statement},
        {"commitment": bytes(32)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_another_wrapper_statement_or_commitment_is_refused(sealed, changed):
    assert reason_of(unwrap_for_alice, sealed, **changed) == "wrap"


def test_every_flipped_byte_of_a_wrap_is_refused(sealed):
    wrap = sealed.wraps[TO_ALICE.statement]
    for position in range(len(wrap)):
        altered = bytearray(wrap)
        altered[position] ^= 1 << position % 8
        assert reason_of(unwrap_for_alice, sealed, wrap=bytes(altered)) == "wrap"


def test_every_flipped_byte_of_a_ciphertext_is_refused(sealed):
    assert len(sealed.ciphertext) == 1024 + 16
    for position in range(len(sealed.ciphertext)):
        altered = bytearray(sealed.ciphertext)
        altered[position] ^= 1 << position % 8
        args = (sealed.secret, bytes(altered), CONTEXT, sealed.commitment)
        assert reason_of(open_sealed, *args) == "ciphertext"


def test_every_flipped_byte_of_a_commitment_is_refused(sealed):
    for position in range(32):
        altered = bytearray(sealed.commitment)
        altered[position] ^= 1 << position % 8
        args = (sealed.secret, sealed.ciphertext, CONTEXT, bytes(altered))
        assert reason_of(open_sealed, *args) == "commitment"
        assert reason_of(unwrap_for_alice, sealed, commitment=bytes(altered)) == "wrap"


@pytest.mark.parametrize("size", [0, 1, 1119, 1120, 1167, 1169])
def test_a_wrap_of_another_size_is_refused(sealed, size):
    wrap = sealed.wraps[TO_ALICE.statement].ljust(size, b"\0")[:size]
    assert reason_of(unwrap_for_alice, sealed, wrap=wrap) == "wrap"


@pytest.mark.parametrize("size", [0, 15, 16, 1039, 1041])
def test_a_ciphertext_of_another_size_is_refused(sealed, size):
    cut = sealed.ciphertext.ljust(size, b"\0")[:size]
    assert reason_of(open_sealed, sealed.secret, cut, CONTEXT, sealed.commitment) == "ciphertext"


def test_a_commitment_of_another_size_is_refused(sealed):
    for commitment in (b"", sealed.commitment[:31], sealed.commitment + b"\0"):
        args = (sealed.secret, sealed.ciphertext, CONTEXT, commitment)
        assert reason_of(open_sealed, *args) == "commitment"


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_that_is_not_32_bytes_is_refused(sealed, size):
    secret = bytes(size)
    info = _wrap_info(CONTEXT, WRAPPER, TO_ALICE.statement, sealed.commitment)
    wrap = _SUITE.encrypt(secret, ALICE.private.public_key(), info=info)
    assert reason_of(unwrap_for_alice, sealed, wrap=wrap) == "secret"
    args = (secret, sealed.ciphertext, CONTEXT, sealed.commitment)
    assert reason_of(open_sealed, *args) == "secret"
    passed_on = (secret, CONTEXT, [TO_BOB], WRAPPER, sealed.commitment)
    assert reason_of(rewrap, *passed_on) == "secret"


def test_a_reader_can_wrap_for_another(sealed):
    releaser = to_base64(b"r" * 32)
    wraps = rewrap(sealed.secret, CONTEXT, [TO_BOB], releaser, sealed.commitment)
    secret = unwrap(
        wraps[TO_BOB.statement],
        BOB,
        CONTEXT,
        wrapper=releaser,
        statement=TO_BOB.statement,
        commitment=sealed.commitment,
    )
    assert secret == sealed.secret


def test_nobody_passes_on_a_secret_that_is_not_the_notes(sealed):
    args = (bytes(32), CONTEXT, [TO_BOB], WRAPPER, sealed.commitment)
    assert reason_of(rewrap, *args) == "commitment"


def test_a_statement_is_not_wrapped_for_twice():
    with pytest.raises(Malformed, match="stands twice"):
        seal(CONTENT, CONTEXT, [TO_ALICE, TO_ALICE], wrapper=WRAPPER)


@pytest.mark.parametrize(
    ("plaintext", "reason"),
    [
        (b"canary", "content"),
        (b"\0\0\0\x0f" + b'{"canary":1.5}\n' + bytes(1005), "content"),
        (b"\0\0\0\x0f" + b'{"canary":null}' + bytes(1005), "content"),
        (b"\0\0\0\x0f" + b'{"can":1,"v":2}' + bytes(1005), "content"),
        (b"\0\0\0\x10" + b'{"can":1,"v":2}\n' + bytes(1004), "newer"),
    ],
)
def test_a_content_outside_the_rules_is_refused_and_nothing_of_it_said(plaintext, reason):
    secret = bytes(32)
    key, nonce, commitment = _schedule(secret, CONTEXT)
    ciphertext = AESGCM(key).encrypt(nonce, plaintext, None)
    with pytest.raises(Unreadable) as caught:
        open_sealed(secret, ciphertext, CONTEXT, commitment)
    assert caught.value.reason == reason
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)


def test_the_texts_tell_what_to_do(sealed):
    with pytest.raises(Unreadable) as caught:
        open_sealed(bytes(32), sealed.ciphertext, CONTEXT, sealed.commitment)
    assert str(caught.value) == (
        "The secret isn't the one that the signed note commits to · nothing of it is shown, and "
        "nothing was lost · answer unreadable and tell the sender: others may have been shown "
        "another text"
    )


# One ciphertext, two texts ("invisible salamanders", Dodis et al., CRYPTO 2018).


def times(x: int, y: int) -> int:
    """Multiply in GCM's GF(2^128): the most significant bit is x^0 (SP 800-38D, 6.3)."""
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return product


def inverse(x: int) -> int:
    result, power = 1 << 127, x
    for _ in range(127):  # x^(2^128 - 2)
        power = times(power, power)
        result = times(result, power)
    return result


class Gcm:
    """AES-GCM opened up: hash key, key stream, tag."""

    def __init__(self, secret: bytes) -> None:
        self.key, self.nonce, self.commitment = _schedule(secret, CONTEXT)
        # GHASH of nothing is zero, so the tag of nothing is what masks every tag.
        self.mask = int.from_bytes(AESGCM(self.key).encrypt(self.nonce, b"", None), "big")
        encryptor = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()
        self.hash_key = int.from_bytes(encryptor.update(bytes(16)), "big")

    def stream(self, size: int) -> bytes:
        return AESGCM(self.key).encrypt(self.nonce, bytes(size), None)[:-16]

    def tag(self, ciphertext: bytes) -> int:
        blocks = [ciphertext[i : i + 16] for i in range(0, len(ciphertext), 16)]
        blocks.append((8 * len(ciphertext)).to_bytes(16, "big"))
        digest = 0
        for block in blocks:
            digest = times(digest ^ int.from_bytes(block, "big"), self.hash_key)
        return digest ^ self.mask

    def weight(self, block: int, blocks: int) -> int:
        """What one block is multiplied with in the tag: the hash key's power."""
        power = 1 << 127
        for _ in range(blocks - block + 1):
            power = times(power, self.hash_key)
        return power


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def test_one_ciphertext_never_opens_as_two_texts():
    first, second = Gcm(b"1" * 32), Gcm(b"2" * 32)
    # The attachment of the first text is free: there the second key reads what the sender likes.
    file = Part(bytes(900), "application/octet-stream", Role.AUTHENTIC, "map.bin")
    plain = format_content(Content("s", (Part(b"Hold the bridge."), file)))
    size, blocks = len(plain), len(plain) // 16
    ciphertext = bytearray(xor(plain, first.stream(size)))
    order = b"Blow up the bridge."
    place, free = 512, 50  # the first byte of the second text; the block that reconciles the tags
    stream = second.stream(size)
    ciphertext[place : place + len(order)] = xor(order, stream[place : place + len(order)])
    ciphertext[16 * free : 16 * free + 16] = bytes(16)
    gap = first.tag(bytes(ciphertext)) ^ second.tag(bytes(ciphertext))
    weights = first.weight(free, blocks) ^ second.weight(free, blocks)
    ciphertext[16 * free : 16 * free + 16] = times(gap, inverse(weights)).to_bytes(16, "big")
    assert first.tag(bytes(ciphertext)) == second.tag(bytes(ciphertext))
    both = bytes(ciphertext) + first.tag(bytes(ciphertext)).to_bytes(16, "big")

    # To AES-GCM both keys are right.
    read = AESGCM(second.key).decrypt(second.nonce, both, None)
    assert read[place : place + len(order)] == order
    assert AESGCM(first.key).decrypt(first.nonce, both, None) != read

    # The signed note holds one commitment; the sender wraps a different secret for each reader.
    infos = [
        _wrap_info(CONTEXT, WRAPPER, r.statement, first.commitment) for r in (TO_ALICE, TO_BOB)
    ]
    to_alice = _SUITE.encrypt(b"1" * 32, ALICE.private.public_key(), info=infos[0])
    to_bob = _SUITE.encrypt(b"2" * 32, BOB.private.public_key(), info=infos[1])
    signed = first.commitment
    alices = unwrap(
        to_alice, ALICE, CONTEXT, wrapper=WRAPPER, statement=TO_ALICE.statement, commitment=signed
    )
    bobs = unwrap(
        to_bob, BOB, CONTEXT, wrapper=WRAPPER, statement=TO_BOB.statement, commitment=signed
    )
    assert open_sealed(alices, both, CONTEXT, first.commitment).body == "Hold the bridge."
    assert reason_of(open_sealed, bobs, both, CONTEXT, first.commitment) == "commitment"


def test_the_test_knows_gcm():
    sealed = _seal_under(b"1" * 32, CONTENT, CONTEXT, [], wrapper=WRAPPER)
    tag = int.from_bytes(sealed.ciphertext[-16:], "big")
    assert Gcm(b"1" * 32).tag(sealed.ciphertext[:-16]) == tag
    with pytest.raises(InvalidTag):
        AESGCM(Gcm(b"2" * 32).key).decrypt(bytes(12), sealed.ciphertext, None)
