"""Checkpoints: what the log signs. c2sp.org/tlog-checkpoint v1.0.0; protocols/log.md, LOG-15 f.

Signed notes are tlog.note's business; whether to believe a size is the auditor's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from liaison.tlog.merkle import EMPTY_ROOT, HASH_BYTES
from liaison.tlog.note import SignerKey, VerifierKey, check_text, open_note
from liaison.words.encoding import from_base64, from_decimal, to_base64, to_decimal
from liaison.words.errors import LogUntrusted, Malformed


@dataclass(frozen=True)
class Checkpoint:
    """The head of the log named ``origin``: ``size`` leaves under ``root`` (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, line in (("origin", self.origin), *(("extension", x) for x in self.extensions)):
            if not line or "\n" in line:
                raise Malformed(f"{what} {line[:80]!r} isn't one line that isn't empty")
            check_text(line)
        if not 0 <= self.size < 10**19:
            raise Malformed(f"size {self.size} isn't in 0 to 10^19 - 1")
        if len(self.root) != HASH_BYTES:
            raise Malformed(f"root hash of {len(self.root)} bytes, not {HASH_BYTES}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise Malformed(f"root of the empty tree is {EMPTY_ROOT.hex()}, not {self.root.hex()}")

    def to_text(self) -> str:
        """Return the text of the note, before it's signed."""
        lines = (self.origin, to_decimal(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def from_text(cls, text: str) -> Checkpoint:
        """Return the checkpoint that the text of a note spells.

        Raises:
            Malformed: it spells none.
        """
        lines = text.split("\n")
        if lines.pop() != "":
            raise Malformed("a checkpoint's last line doesn't end in a newline")
        if len(lines) < 3:
            raise Malformed(f"checkpoint of {len(lines)} lines, not at least 3")
        origin, size, root, *extensions = lines
        try:
            size_leaves = from_decimal(size)
        except Malformed as exc:
            raise exc.within("size") from exc
        try:
            root_hash = from_base64(root, HASH_BYTES)
        except Malformed as exc:
            raise exc.within("root hash") from exc
        return cls(origin, size_leaves, root_hash, tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, signer: SignerKey) -> str:
    """Return the signed note of ``checkpoint``.

    The signer must never have signed one that this one contradicts: that is the caller's to know.
    """
    return signer.sign_note(checkpoint.to_text())


@lru_cache(256)  # a batch of receipts, or a page of an inbox, stands under one checkpoint
def open_checkpoint(text: str, key: VerifierKey, origin: str) -> Checkpoint:
    """Return the checkpoint of the log ``origin`` that ``key`` signed.

    Raises:
        Malformed: ``text`` is no signed checkpoint.
        LogUntrusted: it's of another log, or not signed by ``key``.
    """
    checkpoint = Checkpoint.from_text(open_note(text, (key,)).text)
    if checkpoint.origin != origin:
        raise LogUntrusted(f"checkpoint of {checkpoint.origin!r}, not {origin!r}")
    return checkpoint
