"""The tree against published vectors, an independent implementation, and itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales import tlog as scales

from liaison.tlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    check_consistency,
    check_inclusion,
    consistency_nodes,
    consistency_proof,
    frontier_nodes,
    inclusion_nodes,
    inclusion_proof,
    is_complete,
    leaf_hash,
    node_hash,
    root_at,
    root_of,
)
from liaison.words.errors import LogUntrusted

# The leaves, roots and proofs of Certificate Transparency's reference tests.
CT_LEAVES = [
    leaf_hash(bytes.fromhex(entry))
    for entry in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
LEAVES = [leaf_hash(b"%d" % index) for index in range(600)]
NODES = Frontier().append(LEAVES).nodes
get = NODES.__getitem__
ROOTS = [root_at(size, get) for size in range(601)]


def flipped(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


@pytest.mark.parametrize("size", range(9))
def test_log_3_roots_are_those_of_certificate_transparency(size):
    assert root_of(CT_LEAVES[:size]).hex() == CT_ROOTS[size]
    assert Frontier().append(CT_LEAVES[:size]).root.hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("where", "proof"), CT_INCLUSION.items())
def test_log_4_proofs_are_those_of_certificate_transparency(where, proof):
    index, size = where
    made = inclusion_proof(index, size, Frontier().append(CT_LEAVES).nodes.__getitem__)
    assert [each.hex() for each in made] == proof


def test_root_of_and_root_at_agree_with_the_definition():
    def defined(leaves):
        if len(leaves) < 2:
            return leaves[0] if leaves else EMPTY_ROOT
        split = 1 << (len(leaves) - 1).bit_length() - 1
        return node_hash(defined(leaves[:split]), defined(leaves[split:]))

    for size in (*range(70), 127, 128, 129, 255, 256, 257, 600):
        assert root_of(LEAVES[:size]) == ROOTS[size] == defined(LEAVES[:size])


def test_every_inclusion_proof_up_to_33_leaves_verifies_here_and_elsewhere():
    for size in range(1, 34):
        for index in range(size):
            proof = inclusion_proof(index, size, get)
            check_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
            scales.InclusionProof(index, size, list(proof)).check(LEAVES[index], ROOTS[size])


def test_every_consistency_proof_up_to_33_leaves_verifies_here_and_elsewhere():
    for new in range(34):
        for old in range(new + 1):
            proof = consistency_proof(old, new, get)
            check_consistency(old, new, proof, ROOTS[old], ROOTS[new])
            if 0 < old < new:
                scales.ConsistencyProof(old, new, list(proof)).check(ROOTS[old], ROOTS[new])


@given(st.integers(0, 300), st.lists(st.integers(0, 40), max_size=8))
def test_batches_grow_the_same_tree_as_one_append(start, batches):
    frontier = Frontier().append(LEAVES[:start]).frontier
    for batch in batches:
        end = min(frontier.size + batch, len(LEAVES))
        grown = frontier.append(LEAVES[frontier.size : end])
        assert grown.root == ROOTS[end]
        for index in range(frontier.size, end):
            proof = grown.inclusion_proof(index)
            assert proof == inclusion_proof(index, end, get)
            # without any store: what the batch itself knows suffices
            assert proof == inclusion_proof(index, end, grown.nodes.__getitem__)
        assert grown.nodes.items() <= NODES.items()
        # every node that came into being is there
        assert {
            node
            for node in NODES
            if is_complete(node, end) and not is_complete(node, frontier.size)
        } <= grown.nodes.keys()
        frontier = grown.frontier
    assert frontier == Frontier.at(frontier.size, get)
    assert frontier.nodes() == {node: NODES[node] for node in frontier_nodes(frontier.size)}


@given(st.data())
def test_an_altered_inclusion_proof_is_refused(data):
    size = data.draw(st.integers(2, 600))
    index = data.draw(st.integers(0, size - 1))
    proof = list(inclusion_proof(index, size, get))
    check_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
    at = data.draw(st.integers(0, len(proof) - 1))
    for leaf, altered, root in (
        (flipped(LEAVES[index]), proof, ROOTS[size]),
        (LEAVES[index], [*proof[:at], flipped(proof[at]), *proof[at + 1 :]], ROOTS[size]),
        (LEAVES[index], proof[:at] + proof[at + 1 :], ROOTS[size]),
        (LEAVES[index], [*proof, proof[at]], ROOTS[size]),
        (LEAVES[index], proof, ROOTS[size - 1]),
        (LEAVES[index][:31], proof, ROOTS[size]),
    ):
        with pytest.raises(LogUntrusted):
            check_inclusion(leaf, index, size, altered, root)
    other = data.draw(st.integers(-1, size).filter(lambda i: i != index))
    with pytest.raises(LogUntrusted):
        check_inclusion(LEAVES[index], other, size, proof, ROOTS[size])


@given(st.data())
def test_an_altered_consistency_proof_is_refused(data):
    new = data.draw(st.integers(2, 600))
    old = data.draw(st.integers(1, new - 1))
    proof = list(consistency_proof(old, new, get))
    check_consistency(old, new, proof, ROOTS[old], ROOTS[new])
    at = data.draw(st.integers(0, len(proof) - 1))
    for altered, old_root, new_root in (
        (proof, flipped(ROOTS[old]), ROOTS[new]),
        (proof, ROOTS[old], flipped(ROOTS[new])),
        ([*proof[:at], flipped(proof[at]), *proof[at + 1 :]], ROOTS[old], ROOTS[new]),
        (proof[:at] + proof[at + 1 :], ROOTS[old], ROOTS[new]),
        ([*proof, proof[at]], ROOTS[old], ROOTS[new]),
        ([*proof[:at], proof[at][:31], *proof[at + 1 :]], ROOTS[old], ROOTS[new]),
    ):
        with pytest.raises(LogUntrusted):
            check_consistency(old, new, altered, old_root, new_root)


def test_refusals_say_what_was_expected_and_what_came():
    proof = inclusion_proof(5, 8, get)
    with pytest.raises(LogUntrusted, match=r"^proof of 2 hashes, not 3$"):
        check_inclusion(LEAVES[5], 5, 8, proof[:2], ROOTS[8])
    with pytest.raises(LogUntrusted, match=r"^no leaf 8 in a tree of 8$"):
        check_inclusion(LEAVES[5], 8, 8, proof, ROOTS[8])
    with pytest.raises(LogUntrusted, match=rf"^proof leads to root {ROOTS[8].hex()}, not 00"):
        check_inclusion(LEAVES[5], 5, 8, proof, bytes(32))
    with pytest.raises(LogUntrusted, match=r"^a tree of 7 leaves doesn't extend one of 8$"):
        check_consistency(8, 7, (), ROOTS[8], ROOTS[7])
    with pytest.raises(LogUntrusted, match=r"^two roots for one size of 7: "):
        check_consistency(7, 7, (), ROOTS[7], ROOTS[8])
    with pytest.raises(LogUntrusted, match=r"^an empty tree has root e3b0c442"):
        check_consistency(0, 7, (), ROOTS[7], ROOTS[7])


def test_log_5_trivial_consistency_is_an_empty_proof():
    check_consistency(0, 0, (), EMPTY_ROOT, EMPTY_ROOT)
    check_consistency(0, 7, (), EMPTY_ROOT, ROOTS[7])
    check_consistency(7, 7, (), ROOTS[7], ROOTS[7])
    for old in (0, 7):
        with pytest.raises(LogUntrusted, match=r"^proof of 1 hashes, not 0$"):
            check_consistency(old, 7, (LEAVES[0],), ROOTS[old], ROOTS[7])


def test_asking_for_what_a_tree_hasnt_is_the_callers_error():
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_nodes(index, size)
    for old, new in ((4, 3), (-1, 3)):
        with pytest.raises(ValueError, match="doesn't extend"):
            consistency_nodes(old, new)
    grown = Frontier().append(LEAVES[:3]).frontier.append(LEAVES[3:5])
    for index in (2, 5):
        with pytest.raises(ValueError, match="isn't of the batch 3 to 4"):
            grown.inclusion_proof(index)
    with pytest.raises(ValueError, match="leaf hash of 31 bytes"):
        Frontier().append([bytes(31)])
    with pytest.raises(ValueError, match="1 hashes for a tree of 3"):
        Frontier(3, (bytes(32),))


def test_a_proof_of_a_tree_near_the_largest_size_is_short():
    size = 10**19 - 1
    assert len(inclusion_nodes(0, size)) == 64
    assert all(is_complete(node, size) for fold in inclusion_nodes(12345, size) for node in fold)
    for fold in consistency_nodes(2**63 + 5, size):
        assert all(is_complete(node, size) for node in fold)
