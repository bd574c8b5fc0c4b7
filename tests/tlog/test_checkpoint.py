"""Checkpoints and offline proofs: one spelling, and every altered bit is refused."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tlog_scales.signing import PlainEd25519Signer
from tlog_scales.tlog import Checkpoint as TheirCheckpoint

from liaison.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from liaison.tlog.merkle import EMPTY_ROOT, Frontier, leaf_hash
from liaison.tlog.note import Signature, SignerKey
from liaison.tlog.proof import TlogProof
from liaison.words.errors import LiaisonError, LogUntrusted, Malformed

ORIGIN = "node.example/log"
SIGNER = SignerKey(ORIGIN, bytes(range(32)))
LEAVES = [leaf_hash(b"%d" % index) for index in range(11)]
GROWN = Frontier().append(LEAVES)
CHECKPOINT = Checkpoint(ORIGIN, 11, GROWN.root)
NOTE = sign_checkpoint(CHECKPOINT, SIGNER)
PROOF = TlogProof(6, GROWN.inclusion_proof(6), NOTE)

lines = st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
checkpoints = st.builds(
    Checkpoint,
    lines,
    st.integers(1, 10**19 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(lines, max_size=3).map(tuple),
)


def one_bit_flips(text: str):
    data = bytearray(text.encode())
    for at in range(len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            # What isn't UTF-8 never reaches a parser of texts.
            with suppress(UnicodeDecodeError):
                yield data.decode()
            data[at] ^= 1 << bit


@given(checkpoints)
def test_a_checkpoint_comes_back_from_its_text_and_its_note(checkpoint):
    assert Checkpoint.from_text(checkpoint.to_text()) == checkpoint
    note = sign_checkpoint(checkpoint, SIGNER)
    assert open_checkpoint(note, SIGNER.verifier, checkpoint.origin) == checkpoint


@given(st.text() | checkpoints.map(Checkpoint.to_text))
@example("o\n" + "9" * 5000 + "\nAA==\n")  # int() gives up past 4300 digits
@example("o\n٣\n" + "A" * 43 + "=\n")
@example("o\n1\n" + "A" * 42 + "B=\n")
@example("o\n1\n" + "A" * 43 + "=\n\n")
def test_any_text_is_a_checkpoint_or_malformed(text):
    with suppress(Malformed):
        assert Checkpoint.from_text(text).to_text() == text


def test_log_15_the_empty_tree_has_a_checkpoint():
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert empty.to_text() == f"{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    assert Checkpoint.from_text(empty.to_text()) == empty
    with pytest.raises(Malformed, match=r"^root of the empty tree is e3b0c442"):
        Checkpoint(ORIGIN, 0, bytes(32))


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("\n11\n", "\n011\n", "^size: not a plain decimal number: '011'$"),
        ("\n11\n", "\n-1\n", "^size: not a plain decimal number"),
        ("\n11\n", "\n10000000000000000000\n", "^size: not a plain decimal number"),
        (ORIGIN, "", "^origin '' isn't one line"),
        (ORIGIN, "a\x00b", r"^control character U\+0000"),
        ("=\n", "\n", "^root hash: not padded base64"),
        ("=\n", "=", "doesn't end in a newline"),
        ("=\n", "=\n\n", "^extension '' isn't one line"),
    ],
)
def test_log_15_a_checkpoint_that_is_refused_says_why(old, new, text):
    good = CHECKPOINT.to_text()
    assert Checkpoint.from_text(good) == CHECKPOINT
    assert old in good
    with pytest.raises(Malformed, match=text):
        Checkpoint.from_text(good.replace(old, new))


def test_a_checkpoint_needs_three_lines_and_a_whole_root():
    with pytest.raises(Malformed, match=r"^checkpoint of 2 lines, not at least 3$"):
        Checkpoint.from_text(f"{ORIGIN}\n11\n")
    with pytest.raises(Malformed, match=r"^root hash: 31 bytes, not 32$"):
        Checkpoint.from_text(f"{ORIGIN}\n11\n{'A' * 40}AA==\n")
    with pytest.raises(Malformed, match=r"^root hash of 31 bytes, not 32$"):
        Checkpoint(ORIGIN, 11, bytes(31))


def test_log_16_a_checkpoint_is_its_logs_and_its_keys():
    assert open_checkpoint(NOTE, SIGNER.verifier, ORIGIN) == CHECKPOINT
    with pytest.raises(LogUntrusted, match=r"^checkpoint of 'node\.example/log', not 'other"):
        open_checkpoint(NOTE, SIGNER.verifier, "other.example/log")
    another = SignerKey(ORIGIN, bytes(32))
    with pytest.raises(LogUntrusted, match=r"^no signature by node\.example/log"):
        open_checkpoint(NOTE, another.verifier, ORIGIN)
    # the right name and id above another key's signature
    forged = another.sign(CHECKPOINT.to_text()).split(" ")[2]
    line = Signature.from_line(f"\u2014 {ORIGIN} {forged}")
    note = CHECKPOINT.to_text() + "\n" + replace(line, key_id=SIGNER.verifier.key_id).to_line()
    with pytest.raises(LogUntrusted, match=r"isn't one over this text$"):
        open_checkpoint(note, SIGNER.verifier, ORIGIN)


def test_our_checkpoint_is_that_of_an_independent_implementation():
    theirs = PlainEd25519Signer(ORIGIN, SIGNER.seed)
    made = TheirCheckpoint.make_signed(ORIGIN, 11, CHECKPOINT.root, [theirs])
    assert made.serialize() == NOTE


def test_each_flipped_bit_of_a_checkpoint_is_refused():
    assert open_checkpoint(NOTE, SIGNER.verifier, ORIGIN) == CHECKPOINT
    for text in one_bit_flips(NOTE):
        with pytest.raises((Malformed, LogUntrusted)):
            open_checkpoint(text, SIGNER.verifier, ORIGIN)


def test_each_flipped_bit_of_a_proof_is_refused():
    good = PROOF.to_text()
    assert TlogProof.from_text(good).check(LEAVES[6], SIGNER.verifier, ORIGIN) == CHECKPOINT
    for text in one_bit_flips(good):
        with pytest.raises((Malformed, LogUntrusted)):
            TlogProof.from_text(text).check(LEAVES[6], SIGNER.verifier, ORIGIN)


@pytest.mark.parametrize("extra", [None, b"x", bytes(1000)])
def test_a_proof_comes_back_from_its_text_with_all_its_cosignatures(extra):
    cosigned = NOTE + Signature("witness.example", b"\x00\x01\x02\x03", bytes(72)).to_line()
    proof = TlogProof(6, PROOF.hashes, cosigned, extra)
    assert TlogProof.from_text(proof.to_text()) == proof
    assert proof.to_text().endswith("\n\n" + cosigned)
    assert proof.check(LEAVES[6], SIGNER.verifier, ORIGIN) == CHECKPOINT


@given(
    st.text()
    | st.builds(
        lambda head, body: f"c2sp.org/tlog-proof@v1\n{head}\n{body}\n\n{NOTE}",
        st.sampled_from(("index 0", "index 00", "extra \nindex 0", "extra AA==\nindex 7", "")),
        st.text(),
    )
)
@example(PROOF.to_text())
@example(PROOF.to_text().replace("index 6", "index 06"))
def test_any_text_is_a_proof_or_malformed(text):
    with suppress(Malformed):
        assert TlogProof.from_text(text).to_text() == text


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("@v1", "@v2", "^first line isn't c2sp.org/tlog-proof@v1$"),
        ("index 6", "index 06", "^index: not a plain decimal number: '06'$"),
        ("index 6\n", "", "^no index line where it belongs$"),
        ("index", "extra \nindex", "^extra data is empty: then its line is left out$"),
        ("index 6", "index 6\nextra AA==", "^hash: not padded base64"),
        ("index 6", "index 6\nAA==", "^hash of 1 bytes, not 32$"),
        ("index 6", "index 6" + ("\n" + "A" * 43 + "=") * 61, "^proof of 65 hashes; at most 64"),
        ("\n\n", "\n", "no empty line|first line|not padded|not a signature"),
        ("\n11\n", "\n011\n", "^size: not a plain decimal number"),
    ],
)
def test_log_17_a_proof_that_is_refused_says_why(old, new, text):
    good = PROOF.to_text()
    assert TlogProof.from_text(good) == PROOF
    assert old in good
    with pytest.raises(Malformed, match=text):
        TlogProof.from_text(good.replace(old, new))


@pytest.mark.parametrize(
    ("leaf", "index", "key", "origin", "text"),
    [
        (LEAVES[7], 6, SIGNER, ORIGIN, "^proof leads to root"),
        (LEAVES[6], 7, SIGNER, ORIGIN, "^proof leads to root"),
        (LEAVES[6], 10, SIGNER, ORIGIN, "^proof of 4 hashes, not 2$"),
        (LEAVES[6], 11, SIGNER, ORIGIN, "^no leaf 11 in a tree of 11$"),
        (LEAVES[6], 6, SignerKey(ORIGIN, bytes(32)), ORIGIN, "^no signature by"),
        (LEAVES[6], 6, SIGNER, "other.example", "^checkpoint of"),
    ],
)
def test_log_18_a_proof_of_something_else_is_refused(leaf, index, key, origin, text):
    assert PROOF.check(LEAVES[6], SIGNER.verifier, ORIGIN) == CHECKPOINT
    with pytest.raises(LogUntrusted, match=text):
        replace(PROOF, index=index).check(leaf, key.verifier, origin)


def test_every_refusal_here_is_typed():
    assert issubclass(LogUntrusted, LiaisonError)
    assert not issubclass(LogUntrusted, Malformed)
