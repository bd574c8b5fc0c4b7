"""Offline proofs that an entry is logged. c2sp.org/tlog-proof@v1; protocols/log.md, LOG-17 f.

What ``extra`` means, and how an entry is hashed to its leaf, is the application's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from liaison.tlog.checkpoint import Checkpoint, open_checkpoint
from liaison.tlog.merkle import HASH_BYTES, check_inclusion
from liaison.tlog.note import SignedNote, VerifierKey
from liaison.words.encoding import from_base64, from_decimal, to_base64, to_decimal
from liaison.words.errors import Malformed

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_HASHES: Final = 64

_T = TypeVar("_T")


@dataclass(frozen=True)
class TlogProof:
    """Index, inclusion proof (leaf's sibling first) and signed checkpoint of one entry.

    ``checkpoint`` is the signed note as the log gave it. ``extra`` isn't authenticated: only
    what it leads to is, if that is hashed to the leaf.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < 10**19:
            raise Malformed(f"index {self.index} isn't in 0 to 10^19 - 1")
        if len(self.hashes) > MAX_HASHES:
            raise Malformed(
                f"proof of {len(self.hashes)} hashes; at most {MAX_HASHES} are possible"
            )
        for value in self.hashes:
            if len(value) != HASH_BYTES:
                raise Malformed(f"hash of {len(value)} bytes, not {HASH_BYTES}")
        if self.extra == b"":
            raise Malformed("extra data is empty: then its line is left out")

    def to_text(self) -> str:
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {to_base64(self.extra)}")
        lines.append(f"index {to_decimal(self.index)}")
        lines.extend(map(to_base64, self.hashes))
        return "\n".join((*lines, "", self.checkpoint))

    @classmethod
    def from_text(cls, text: str) -> TlogProof:
        """Return the proof that ``text`` spells; nothing is verified.

        Raises:
            Malformed: it spells none, or what follows it is no signed checkpoint.
        """
        above, divider, checkpoint = text.partition("\n\n")
        if not divider:
            raise Malformed("no empty line between proof and checkpoint")
        lines = above.split("\n")
        if lines.pop(0) != HEADER:
            raise Malformed(f"first line isn't {HEADER}")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = _within("extra", from_base64, lines.pop(0).removeprefix("extra "))
        if not lines or not lines[0].startswith("index "):
            raise Malformed("no index line where it belongs")
        index = _within("index", from_decimal, lines.pop(0).removeprefix("index "))
        hashes = tuple(_within("hash", from_base64, line) for line in lines[: MAX_HASHES + 1])
        Checkpoint.from_text(SignedNote.from_text(checkpoint).text)
        return cls(index, hashes, checkpoint, extra)

    def check(self, leaf_hash: bytes, key: VerifierKey, origin: str) -> Checkpoint:
        """Return the checkpoint if it's the log's and has the leaf at ``index``.

        Raises:
            Malformed: the checkpoint has no reading.
            LogUntrusted: it's of another log or key, or the leaf isn't there.
        """
        checkpoint = open_checkpoint(self.checkpoint, key, origin)
        check_inclusion(leaf_hash, self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint


def _within(field: str, parse: Callable[[str], _T], text: str) -> _T:
    try:
        return parse(text)
    except Malformed as exc:
        raise exc.within(field) from exc
