"""The cabinet: what this device opened or sent, boxed under the keystore (SEAL-46).

One append-only file. Its headers (reference, digest, time) are no more than the receipts beside it
show, and are the label of the box that has receipt and content: under another reference it doesn't
open. A note that isn't kept, by the charter or because somebody had it forgotten, is *bare*: its box
has the receipt alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from liaison.client.journal import Frame, Journal
from liaison.sealing.content import Content, format_content, parse_content
from liaison.sealing.keystore import Keystore
from liaison.words.canonical import format_canonical
from liaison.words.errors import Malformed, NotHere, RecordUntrusted

BOUND: Final = 2
"""The version of frames whose box has all of the header as its label, not the digest alone."""


@dataclass(frozen=True)
class Kept:
    """What the cabinet holds of one note."""

    digest: str
    reference: str
    receipt: str
    content: Content | None
    at: int = 0
    """When it was accepted; 0 where an earlier version kept it."""


class Cabinet:
    """Notes by digest and by reference; kept once."""

    def __init__(self, path: Path, keystore: Keystore) -> None:
        self._journal = Journal(path)
        self._keystore = keystore
        self._by_digest: dict[str, Frame] = {}
        self._by_reference: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._naming: dict[str, Frame] = {}
        """The frame that has the present reference of a note, by digest."""
        self._checked: set[str] = set()
        self._frames: list[Frame] = []
        for frame in self._journal.frames():
            self._index(frame)

    def __contains__(self, digest: str) -> bool:
        return digest in self._by_digest

    def has(self, reference: str) -> bool:
        return reference in self._by_reference

    def reference(self, digest: str) -> str:
        """Return a note's reference, or that it isn't known here.

        Raises:
            Unreadable: another stands there than the one that it was kept under.
        """
        if digest not in self._naming:
            return "a note not kept here"
        self._check_name(digest)
        return self._names[digest]

    def references(self) -> list[str]:
        """Return the references of all that is kept, in the order in which it came."""
        return list(self._names.values())

    def digest(self, reference: str) -> str:
        """Return the digest of a note that is kept here.

        Raises:
            Unreadable: it was kept under another reference.
        """
        digest = self._by_reference[reference]
        self._check_name(digest)
        return digest

    def rename(self, digest: str, reference: str) -> None:
        """Know a note by its reference from now on: a draft gets one when it is released.

        Raises:
            RecordUntrusted: it isn't a draft of that channel, or another note has the reference.
        """
        known = self._names.get(digest, reference)
        if self._by_reference.get(reference, digest) != digest or (
            known != reference and not known.startswith(f"{reference.rpartition('/')[0]}/draft-")
        ):
            raise RecordUntrusted(
                f"The log gives {known} the reference {reference}, which is not its own",
                safe="both stay known as they were",
                do="keep the receipts and show them to the auditors",
            )
        if digest in self._by_digest and known != reference:
            header: dict[str, object] = {
                "digest": digest,
                "reference": reference,
                "renamed": True,
                "v": BOUND,
            }
            self._index(self._journal.append(header, self._keystore.box(b"", _label(header))))

    def channel(self, digest: str) -> str:
        """Return the alias of the channel of a note that is kept here."""
        return self.reference(digest).rpartition("/")[0]

    def put(self, kept: Kept) -> None:
        """Keep a note; durable after ``sync``. One that is bare gets its content, if there is one."""
        if kept.digest in self._by_digest and (kept.content is None or self.holds(kept.digest)):
            return
        self._index(self._journal.append(*self._boxed(kept)))

    def holds(self, digest: str) -> bool:
        """Return whether a note is kept with its content."""
        frame = self._by_digest.get(digest)
        return frame is not None and not frame.header.get("bare")

    def accepted_at(self, digest: str) -> int:
        """Return when a note was accepted, 0 where that is not known without its receipt."""
        at = self._by_digest[digest].header.get("at", 0)
        return at if isinstance(at, int) else 0

    def forget(self, digests: Iterable[str]) -> None:
        """Keep of these notes the receipt alone, durably.

        The file is replaced. What disk, file system and backups keep of the old one is out of reach.
        """
        bare = {digest: self.get(self._names[digest]) for digest in digests}
        frames: list[tuple[dict[str, object], bytes]] = []
        for frame in self._frames:
            digest = str(frame.header["digest"])
            if frame.header.get("renamed") or digest not in bare:
                frames.append((frame.header, self._journal.body(frame)))
            elif frame is self._by_digest[digest]:
                reference = str(frame.header["reference"])
                kept = replace(bare[digest], content=None, reference=reference)
                frames.append(self._boxed(replace(kept, at=self.accepted_at(digest))))
        self._frames = []
        for frame in self._journal.rewrite(frames):
            self._index(frame)

    def _boxed(self, kept: Kept) -> tuple[dict[str, object], bytes]:
        receipt = kept.receipt.encode("utf-8")
        data = len(receipt).to_bytes(4, "big") + receipt
        header: dict[str, object] = {
            "digest": kept.digest,
            "reference": kept.reference,
            "v": BOUND,
        }
        if kept.at:
            header["at"] = kept.at
        if kept.content is None:
            header["bare"] = True
        else:
            data += format_content(kept.content)
        return header, self._keystore.box(data, _label(header))

    def get(self, reference: str) -> Kept:
        """Return a note by its reference, such as ``london-hotline/412``.

        Raises:
            NotHere: it isn't in the cabinet.
            Unreadable: it doesn't open with this keystore, or was kept under another reference.
        """
        digest = self._by_reference.get(reference)
        if digest is None:
            raise NotHere(
                f"There is no {reference[:80]} for this member",
                safe="nothing was changed",
                do="check the reference, as the inbox shows it: in lower case, such as london-hotline/1",
            )
        self._check_name(digest)
        data = self._unboxed(self._by_digest[digest])
        end = 4 + int.from_bytes(data[:4], "big")
        if end > len(data):
            raise Malformed("cabinet: a receipt ends early")
        content = parse_content(data[end:]) if self.holds(digest) else None
        receipt = data[4:end].decode("utf-8")
        return Kept(digest, reference, receipt, content, self.accepted_at(digest))

    async def sync(self) -> None:
        await self._journal.sync()

    def close(self) -> None:
        self._journal.close()

    def _check_name(self, digest: str) -> None:
        """Return if a note has the reference that it was kept under, or renamed to."""
        if digest in self._checked:
            return
        frames = (self._naming[digest], self._by_digest[digest])
        # An earlier version bound no reference; such a rename counts for what it kept itself only.
        if any(frame.header.get("v") == BOUND for frame in frames) or frames[0] is frames[1]:
            self._unboxed(frames[0])
        self._checked.add(digest)

    def _unboxed(self, frame: Frame) -> bytes:
        return self._keystore.unbox(self._journal.body(frame), _label(frame.header))

    def _index(self, frame: Frame) -> None:
        self._frames.append(frame)
        digest, reference = str(frame.header["digest"]), str(frame.header["reference"])
        if not frame.header.get("renamed"):
            self._by_digest[digest] = frame
        self._by_reference[reference] = digest
        self._names[digest] = reference
        self._naming[digest] = frame
        self._checked.discard(digest)


def _label(header: Mapping[str, object]) -> str:
    """Return what a frame's box is bound to."""
    if header.get("v") == BOUND:
        return format_canonical(header).decode()
    return f"note {header['digest']}"
