"""The Merkle tree: roots, proofs, and appending a batch. RFC 9162 Section 2.1 with SHA-256.

protocols/log.md, LOG-1 to LOG-6. Where nodes are stored is tlog.tiles' and the caller's
business: what needs a stored hash is told how to get it.

A node is named by (level, index): the root of the leaves ``index << level`` up to but without
``(index + 1) << level``. Only *complete* nodes, those with all of their leaves, have a name;
their hash never changes. The root of the leaves right of the last complete node is folded
from complete ones when it's needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import count, repeat
from typing import Final

from liaison.words.errors import LogUntrusted

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()

Node = tuple[int, int]
"""(level, index)"""

Fold = tuple[Node, ...]
"""Adjacent complete nodes, left to right, that hash to one value: mostly a single node."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of the leaf that holds ``entry`` (LOG-1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above ``left`` and ``right`` (LOG-2)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree of these leaves (LOG-3)."""
    if not leaf_hashes:
        return EMPTY_ROOT
    row = list(leaf_hashes)
    while len(row) > 1:
        above = row_above(row)
        # The last of an odd row stands for itself one level up: this splits every subtree at
        # the largest power of two below its size, as RFC 9162 defines it top down.
        if len(row) & 1:
            above.append(row[-1])
        row = above
    return row[0]


def row_above(row: Sequence[bytes]) -> list[bytes]:
    """Return the hashes above the pairs of ``row``; an odd last one has none."""
    return [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(row[::2], row[1::2], strict=False)
    ]


def is_complete(node: Node, size: int) -> bool:
    """Return whether a tree of ``size`` leaves has every leaf below ``node``."""
    level, index = node
    return level >= 0 <= index and (index + 1) << level <= size


# What a proof is made of


def frontier_nodes(size: int) -> Fold:
    """Return the complete nodes that tile a tree of ``size`` leaves, largest first."""
    return _cover(0, size)


def inclusion_nodes(index: int, size: int) -> tuple[Fold, ...]:
    """Return what each hash of the inclusion proof of leaf ``index`` folds, in proof order.

    Raises:
        ValueError: a tree of ``size`` leaves has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    return _siblings(0, index, size)


def consistency_nodes(old: int, new: int) -> tuple[Fold, ...]:
    """Return what each hash of the consistency proof folds, in proof order.

    Raises:
        ValueError: ``old`` is larger than ``new``, or negative.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves doesn't extend one of {old}")
    if old in (0, new):
        return ()
    level, index = _last_complete(old)
    above = _siblings(level, index, new)
    # An old tree of a power of two leaves is itself that node, and the checker has its root.
    return above if index == 0 else (((level, index),), *above)


def _last_complete(size: int) -> Node:
    """Return the highest complete node that ends a tree of ``size`` > 0 leaves."""
    level = (size & -size).bit_length() - 1
    return level, (size >> level) - 1


def _siblings(level: int, index: int, size: int) -> tuple[Fold, ...]:
    """Return the siblings on the way from a node to the root of a tree of ``size`` leaves."""
    folds: list[Fold] = []
    last = (size - 1) >> level
    while last:
        if index & 1:
            folds.append(((level, index - 1),))
        elif index + 1 < last:
            folds.append(((level, index + 1),))
        elif index + 1 == last:
            folds.append(_cover(last << level, size))
        level, index, last = level + 1, index >> 1, last >> 1
    return tuple(folds)


def _cover(start: int, end: int) -> Fold:
    """Return the complete nodes, largest first, of the leaves from ``start`` to before ``end``.

    ``start`` is a multiple of a power of two that is not less than the number of leaves.
    """
    nodes: list[Node] = []
    for level in range((end - start).bit_length() - 1, -1, -1):
        if (end - start) >> level & 1:
            nodes.append((level, start >> level))
            start += 1 << level
    return tuple(nodes)


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over adjacent subtrees, largest first."""
    root = hashes[-1]
    for left in hashes[-2::-1]:
        root = node_hash(left, root)
    return root


# Proving, from stored nodes


def inclusion_proof(index: int, size: int, get: Callable[[Node], bytes]) -> tuple[bytes, ...]:
    """Return the proof, leaf's sibling first, that leaf ``index`` is in the tree of ``size``."""
    return tuple(_fold([get(node) for node in fold]) for fold in inclusion_nodes(index, size))


def consistency_proof(old: int, new: int, get: Callable[[Node], bytes]) -> tuple[bytes, ...]:
    """Return the proof that the tree of ``new`` leaves extends that of ``old`` (LOG-5)."""
    return tuple(_fold([get(node) for node in fold]) for fold in consistency_nodes(old, new))


def root_at(size: int, get: Callable[[Node], bytes]) -> bytes:
    """Return the root of the first ``size`` leaves."""
    return Frontier.at(size, get).root


# Checking


def check_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return if ``proof`` shows ``leaf`` at ``index`` of the tree of ``size`` leaves and ``root``.

    ``leaf``, ``root`` and each element of ``proof`` are 32-byte SHA-256 hashes, ``proof``
    from leaf to root (LOG-4; RFC 9162 Section 2.1.3.2).

    Raises:
        LogUntrusted: it does not.
    """
    if not 0 <= index < size:
        raise LogUntrusted(f"no leaf {index} in a tree of {size}")
    _check_widths(leaf, root, *proof)
    turns = _turns(index, size - 1)
    if len(proof) != len(turns):
        raise LogUntrusted(f"proof of {len(proof)} hashes, not {len(turns)}")
    reached = leaf
    for sibling, is_left in zip(proof, turns, strict=True):
        reached = node_hash(sibling, reached) if is_left else node_hash(reached, sibling)
    if reached != root:
        raise LogUntrusted(f"proof leads to root {reached.hex()}, not {root.hex()}")


def check_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Return if ``proof`` shows that the tree of ``new`` leaves begins with that of ``old``.

    Sizes are in leaves, roots and hashes of ``proof`` 32 bytes each (LOG-5; RFC 9162
    Section 2.1.4.2). Trees of one size need the same root and an empty proof; every tree
    extends the empty one, again with an empty proof.

    Raises:
        LogUntrusted: it does not.
    """
    if not 0 <= old <= new:
        raise LogUntrusted(f"a tree of {new} leaves doesn't extend one of {old}")
    _check_widths(old_root, new_root, *proof)
    for size, root in ((old, old_root), (new, new_root)):
        if size == 0 and root != EMPTY_ROOT:
            raise LogUntrusted(f"an empty tree has root {EMPTY_ROOT.hex()}, not {root.hex()}")
    if old in (0, new):
        if proof:
            raise LogUntrusted(f"proof of {len(proof)} hashes, not 0")
        if old == new and old_root != new_root:
            raise LogUntrusted(
                f"two roots for one size of {new}: {old_root.hex()} and {new_root.hex()}"
            )
        return
    level, index = _last_complete(old)
    turns = _turns(index, (new - 1) >> level)
    is_given = index > 0  # else the old root is the first hash, and the proof leaves it out
    if len(proof) != len(turns) + is_given:
        raise LogUntrusted(f"proof of {len(proof)} hashes, not {len(turns) + is_given}")
    reached_old = reached_new = proof[0] if is_given else old_root
    for sibling, is_left in zip(proof[is_given:], turns, strict=True):
        if is_left:
            # Only what lies left of the old tree's end belongs to both trees.
            reached_old = node_hash(sibling, reached_old)
            reached_new = node_hash(sibling, reached_new)
        else:
            reached_new = node_hash(reached_new, sibling)
    if reached_old != old_root:
        raise LogUntrusted(f"proof leads to old root {reached_old.hex()}, not {old_root.hex()}")
    if reached_new != new_root:
        raise LogUntrusted(f"proof leads to new root {reached_new.hex()}, not {new_root.hex()}")


def _turns(index: int, last: int) -> list[bool]:
    """Return, for each sibling from ``index`` of a row up to ``last``, whether it's on the left."""
    turns: list[bool] = []
    while last:
        if index & 1 or index < last:
            turns.append(bool(index & 1))
        index, last = index >> 1, last >> 1
    return turns


def _check_widths(*hashes: bytes) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise LogUntrusted(f"hash of {len(value)} bytes, not {HASH_BYTES}")


# Appending


@dataclass(frozen=True)
class Frontier:
    """All that appending needs of a tree: its size and the hashes of ``frontier_nodes(size)``."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError(f"{len(self.hashes)} hashes for a tree of {self.size} leaves")

    @classmethod
    def at(cls, size: int, get: Callable[[Node], bytes]) -> Frontier:
        """Return the frontier of the first ``size`` leaves, from complete nodes."""
        return cls(size, tuple(get(node) for node in frontier_nodes(size)))

    @cached_property
    def root(self) -> bytes:
        return _fold(self.hashes) if self.hashes else EMPTY_ROOT

    def nodes(self) -> dict[Node, bytes]:
        """Return the complete nodes that tile the tree."""
        return dict(zip(frontier_nodes(self.size), self.hashes, strict=True))

    def append(self, leaf_hashes: Sequence[bytes]) -> Grown:
        """Return the tree with these leaves after the present ones."""
        for leaf in leaf_hashes:
            if len(leaf) != HASH_BYTES:
                raise ValueError(f"leaf hash of {len(leaf)} bytes, not {HASH_BYTES}")
        nodes = self.nodes()
        new_size = self.size + len(leaf_hashes)
        tops: list[bytes] = []
        row, first, level = list(leaf_hashes), self.size, 0
        while row:
            # ``row`` holds the nodes of this level that came into being, from index ``first``.
            nodes.update(zip(zip(repeat(level), count(first)), row))  # noqa: B905 (count is endless)
            if first & 1:
                row.insert(0, nodes[level, first - 1])
            if len(row) & 1:
                tops.append(row[-1])
            row, first, level = row_above(row), first >> 1, level + 1
        # Nothing came into being from here up, so the old frontier still stands there.
        kept = self.hashes[: first.bit_count()]
        return Grown(self.size, Frontier(new_size, (*kept, *reversed(tops))), nodes)


@dataclass(frozen=True)
class Grown:
    """A tree after a batch: ``nodes`` holds the old frontier and every node the batch completed.

    That suffices to prove each leaf of the batch, without a store.
    """

    old_size: int
    frontier: Frontier
    nodes: Mapping[Node, bytes]
    _paths: dict[Node, tuple[bytes, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def root(self) -> bytes:
        return self.frontier.root

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        """Return the proof of a leaf of this batch; leaves of one batch share the work.

        Raises:
            ValueError: the batch has no such leaf.
        """
        if not self.old_size <= index < self.frontier.size:
            raise ValueError(
                f"leaf {index} isn't of the batch {self.old_size} to {self.frontier.size - 1}"
            )
        return self._path(0, index)

    def _path(self, level: int, index: int) -> tuple[bytes, ...]:
        last = (self.frontier.size - 1) >> level
        if last == 0:
            return ()
        path = self._paths.get((level, index))
        if path is None:
            path = self._path(level + 1, index >> 1)
            if index & 1:
                path = (self.nodes[level, index - 1], *path)
            elif index + 1 < last:
                path = (self.nodes[level, index + 1], *path)
            elif index + 1 == last:
                path = (self._edge[level], *path)
            self._paths[level, index] = path
        return path

    @cached_property
    def _edge(self) -> list[bytes]:
        """The hash of the last node of each level, complete or not, up to the root."""
        last, level = self.frontier.size - 1, 0
        edge = [self.nodes[0, last]]
        while last:
            whole = self.nodes.get((level + 1, last >> 1))
            if whole is not None:
                edge.append(whole)
            elif last & 1:
                edge.append(node_hash(self.nodes[level, last - 1], edge[level]))
            else:
                edge.append(edge[level])
            last, level = last >> 1, level + 1
        return edge
