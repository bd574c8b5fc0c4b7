"""Signed notes and their keys: the format's own example, one spelling, and who is believed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nacl.signing import SigningKey
from tlog_scales.signing import Vkey

from liaison.tlog import ed25519
from liaison.tlog.note import (
    Signature,
    SignedNote,
    SignerKey,
    VerifierKey,
    key_id_of,
    open_note,
)
from liaison.words.encoding import to_base64
from liaison.words.errors import LogUntrusted, Malformed

# The example of c2sp.org/signed-note.
SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
SIGNER = SignerKey("node.example/log", bytes(range(32)))
OTHER = SignerKey("other.example", bytes(range(1, 33)))
TEXT = "first line\n\nafter an empty line\n"


def vkey_unchecked(public: bytes, key_type: bytes = b"\x01") -> str:
    return f"n+{key_id_of('n', public).hex()}+{to_base64(key_type + public)}"


def test_log_12_the_specifications_key_opens_its_note():
    key = VerifierKey.from_text(SPEC_VKEY)
    assert key.to_text() == SPEC_VKEY
    assert key.key_id.hex() == "530d903a"
    assert open_note(SPEC_NOTE, [key]) == ("This is an example message.\n", (key,))
    assert SignedNote.from_text(SPEC_NOTE).to_text() == SPEC_NOTE
    with pytest.raises(LogUntrusted):
        open_note(SPEC_NOTE.replace("example message", "Example message"), [key])


def test_keys_are_those_of_other_implementations():
    assert SIGNER.verifier.public == bytes(SigningKey(SIGNER.seed).verify_key)
    assert Vkey.from_string(SIGNER.verifier.to_text()).serialize() == SIGNER.verifier.to_text()
    assert VerifierKey.make(SIGNER.name, SIGNER.verifier.public) == SIGNER.verifier
    assert VerifierKey.from_text(SIGNER.verifier.to_text()) == SIGNER.verifier
    # a key whose base64 holds a + of its own
    plus = next(
        key
        for seed in range(99)
        if "+" in to_base64((key := SignerKey("n", bytes([seed] * 32)).verifier).public)
    )
    assert VerifierKey.from_text(plus.to_text()) == plus


def test_a_seed_is_not_shown():
    assert SIGNER.seed.hex() not in repr(SIGNER)
    assert repr(SIGNER.seed) not in repr(SIGNER)
    with pytest.raises(Malformed, match=r"^Ed25519 seed of 31 bytes, not 32$"):
        SignerKey("n", bytes(31))


@given(st.text() | st.from_regex(r"\A[a-z]+\+[0-9a-f]{8}\+AQ[A-Za-z0-9+/]{42}\Z"))
@example(SPEC_VKEY)
@example(SPEC_VKEY + "\n")
@example("\ud800+00000000+AQ==")
def test_any_text_is_a_vkey_or_malformed(text):
    with suppress(Malformed):
        assert VerifierKey.from_text(text).to_text() == text


@pytest.mark.parametrize(
    ("vkey", "text"),
    [
        (SPEC_VKEY.replace("530d903a", "530d903b"), "key id 530d903b of example.com/foo, not 530d"),
        (SPEC_VKEY.replace("530d903a", "530D903A"), "isn't 8 digits of lower-case hex"),
        (SPEC_VKEY.replace("example.com/foo", "example com"), "key name 'example com' is empty or"),
        (SPEC_VKEY.replace("example.com/foo", ""), "key name '' is empty or"),
        (SPEC_VKEY.replace("example.com/foo", "a\u2003b"), "is empty or has a space"),
        (SPEC_VKEY[:-1], "verifier key: not padded base64"),
        ("example.com/foo+530d903a", "not a verifier key name"),
        (vkey_unchecked(SIGNER.verifier.public, b"\x04"), "of type 0x04, not 0x01"),
        (vkey_unchecked(SIGNER.verifier.public[:31]), "public key of 31 bytes, not 32"),
    ],
)
def test_a_vkey_that_is_refused_says_why(vkey, text):
    assert VerifierKey.from_text(SPEC_VKEY).to_text() == SPEC_VKEY
    with pytest.raises(Malformed, match=text):
        VerifierKey.from_text(vkey)


P = 2**255 - 19


def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Add two points of edwards25519 (RFC 8032 Section 5.1.4, affine)."""
    d = -121665 * pow(121666, -1, P)
    t = d * a[0] * b[0] * a[1] * b[1]
    return (
        (a[0] * b[1] + b[0] * a[1]) * pow(1 + t, -1, P) % P,
        (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P) % P,
    )


def point_of(y: int) -> tuple[int, int]:
    square = (y * y - 1) * pow(-121665 * pow(121666, -1, P) * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square
    return x, y


def test_log_13_exactly_the_points_of_small_order_are_listed():
    for y in ed25519.SMALL_ORDER:
        doubled = point_of(y)
        for _ in range(3):
            doubled = add(doubled, doubled)
        assert doubled == (0, 1)
    # the group of these points has 8 members: two for each second coordinate, but for 1 and -1
    assert len(ed25519.SMALL_ORDER) == 5


@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_log_13_keys_that_prove_nothing_are_refused(sign):
    assert ed25519.check_public(SIGNER.verifier.public)
    for y in ed25519.SMALL_ORDER:
        with pytest.raises(Malformed, match=r"^Ed25519 public key is a point of small order$"):
            VerifierKey.make("n", (y | sign).to_bytes(32, "little"))
    for y in range(P, 1 << 255):
        with pytest.raises(Malformed, match=r"^Ed25519 public key isn't canonically encoded$"):
            VerifierKey.make("n", (y | sign).to_bytes(32, "little"))
    with pytest.raises(Malformed, match=r"^Ed25519 public key isn't a point of the curve$"):
        VerifierKey.make("n", (2 | sign).to_bytes(32, "little"))


@given(st.binary(min_size=32, max_size=32))
def test_a_made_key_is_always_taken(seed):
    assert SignerKey("n", seed).verifier.has_signed("a\n", SigningKey(seed).sign(b"a\n").signature)


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])), st.integers(0, 3))
def test_what_is_signed_opens(line, empty_lines):
    text = line + "\n" + "\n" * empty_lines
    note = SIGNER.sign_note(text)
    assert open_note(note, [OTHER.verifier, SIGNER.verifier]) == (text, (SIGNER.verifier,))
    assert SignedNote.from_text(note).to_text() == note


@given(st.text() | st.builds(lambda a, b: f"{a}\n\n\u2014 {b}\n", st.text(), st.text()))
@example("\n\n\u2014 n AAAAAAA=\n")
@example("\n\n\n\u2014 n AAAAAAA=\n")
@example("a\n\n\u2014 n AAAAAA==\n")
@example("a\n\n\u2014 n\u2003 AAAAAAA=\n")
@example("\ud800\n\n\u2014 n AAAAAAA=\n")
def test_any_text_is_a_note_or_malformed(text):
    with suppress(Malformed):
        assert SignedNote.from_text(text).to_text() == text


GOOD = SIGNER.sign_note(TEXT)


@pytest.mark.parametrize(
    ("note", "text"),
    [
        (GOOD[:-1], "last line doesn't end in a newline"),
        (GOOD.replace("\n", "\r\n"), r"control character U\+000D"),
        (GOOD.replace("line", "li\tne"), r"control character U\+0009"),
        (GOOD.replace("\u2014", "-"), "not a signature line: '- node.example"),
        (GOOD.replace("\u2014 ", "\u2014"), "not a signature line"),
        (GOOD.replace("example/log ", "example/log  "), "not padded base64"),
        (GOOD + "\n", "not a signature line|0 signatures"),
        (TEXT + "\n", "0 signatures|not a signature line"),
        (TEXT, "not a signature line"),
        ("one line\n", "no empty line"),
        (f"{TEXT}\n\u2014 n AAAAAA==\n", "empty signature of n"),
        (f"{TEXT}\n\u2014 n AAAA\n", "key id of 3 bytes, not 4"),
        (TEXT + "\n" + SIGNER.sign(TEXT) * 101, "101 signatures, not 1 to 100"),
    ],
)
def test_log_11_a_note_that_is_refused_says_why(note, text):
    assert open_note(GOOD, [SIGNER.verifier])
    with pytest.raises(Malformed, match=text):
        open_note(note, [SIGNER.verifier])


def test_log_14_lines_of_unknown_keys_are_ignored():
    unknown = Signature("witness.example", b"\x01\x02\x03\x04", b"anything").to_line()
    # same name and another id, or same id and another name: neither is the key's line
    namesake = Signature(SIGNER.name, b"\x01\x02\x03\x04", bytes(64)).to_line()
    same_id = Signature("someone.else", SIGNER.verifier.key_id, bytes(64)).to_line()
    note = f"{TEXT}\n{unknown}{namesake}{SIGNER.sign(TEXT)}{same_id}"
    assert open_note(note, [SIGNER.verifier]) == (TEXT, (SIGNER.verifier,))
    assert open_note(TEXT + "\n" + SIGNER.sign(TEXT) * 100, [SIGNER.verifier]).text == TEXT
    with pytest.raises(LogUntrusted, match=r"^no signature by node\.example/log \([0-9a-f]{8}\); "):
        open_note(f"{TEXT}\n{unknown}{namesake}{same_id}", [SIGNER.verifier])
    with pytest.raises(LogUntrusted, match=r"^no signature by nobody; signed by witness"):
        open_note(f"{TEXT}\n{unknown}", [])


def test_log_14_one_failing_signature_of_a_known_key_refuses_the_note():
    note = TEXT + "\n" + SIGNER.sign(TEXT) + OTHER.sign(TEXT)
    both = (SIGNER.verifier, OTHER.verifier)
    assert open_note(note, both).keys == both
    failing = TEXT + "\n" + SIGNER.sign(TEXT) + OTHER.sign("another text\n")
    assert open_note(failing, [SIGNER.verifier]).keys == (SIGNER.verifier,)
    with pytest.raises(LogUntrusted, match=r"^signature of other\.example \([0-9a-f]{8}\) isn't"):
        open_note(failing, both)
    again = TEXT + "\n" + SIGNER.sign(TEXT) + SIGNER.sign("another text\n")
    with pytest.raises(LogUntrusted):
        open_note(again, both)


def test_two_known_keys_must_not_answer_to_one_name_and_id():
    class Twin(VerifierKey):
        """Stands for a key found by searching 2^32 for the same id."""

        def __post_init__(self):
            pass

    twin = Twin(SIGNER.name, SIGNER.verifier.key_id, OTHER.verifier.public)
    assert open_note(GOOD, [SIGNER.verifier, SIGNER.verifier]).keys == (SIGNER.verifier,)
    with pytest.raises(Malformed, match=r"^two known keys share the name node\.example/log and id"):
        open_note(GOOD, [SIGNER.verifier, twin])


def test_what_couldnt_be_read_again_isnt_signed():
    for text in ("no newline", "", "a\rb\n", "\ud800\n"):
        with pytest.raises(Malformed):
            SIGNER.sign(text)
