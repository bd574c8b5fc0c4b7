"""The outbox: what is signed is on disk before its first byte leaves.

A statement without a receipt is sent again as the same bytes, which the log takes once. Serials
are spent here (statements.md, SERIAL): a refused statement's serial is free again, and one that
nobody uses is filled by a void. One that the log may have all the same is doubtful: no note takes it,
and the void finds out.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, cast

from liaison.client.journal import Frame, Journal, frames_in
from liaison.statements.payloads import Payload
from liaison.statements.statement import Statement
from liaison.words.errors import LiaisonError

COMPACT_BYTES: Final = 2**20


class Waiting(LiaisonError):
    """It isn't known whether the node has it; it stands in the outbox and will be sent again."""

    code: ClassVar[str] = "waiting"


@dataclass(frozen=True)
class Signed:
    """A signed statement with what goes with it. ``digest`` is the statement's."""

    kind: str
    digest: str
    channel: str
    alias: str
    note_id: str
    serials: dict[str, int]
    """By addressed party; empty for what spends none."""
    statement: bytes
    ciphertext: bytes = b""
    wraps: bytes = b""
    about: str = ""
    """What a list of the outbox says of it."""
    parsed: Statement[Payload] | None = field(default=None, repr=False)
    """Its reading, where this process made it."""


def waiting_in(path: Path) -> int:
    """Return how many statements wait in the outbox at ``path``, also while a process has it open.

    Raises:
        Damaged: what stands there isn't what was written.
    """
    waiting: set[object] = set()
    with suppress(FileNotFoundError):
        # What another process is just writing ends early, and is none of it yet.
        for frame in frames_in(path)[0]:
            if frame.header["step"] == "signed":
                waiting.add(frame.header["digest"])
            else:
                waiting.discard(frame.header.get("digest"))
    return len(waiting)


class Outbox:
    """The journal of what leaves, and the serials spent."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._waiting: dict[str, Frame] = {}
        self._next: dict[str, int] = {}
        self._free: dict[str, list[int]] = {}
        self._doubtful: dict[str, list[int]] = {}
        for frame in self._journal.frames():
            self._replay(frame)

    @property
    def waiting(self) -> tuple[Signed, ...]:
        """What has no receipt yet, oldest first."""
        return tuple(self._signed(frame) for frame in self._waiting.values())

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    @property
    def has_doubtful(self) -> bool:
        return any(self._doubtful.values())

    def take_serials(self, channel: str, parties: Iterable[str]) -> dict[str, int]:
        """Return the serial to spend towards each party: the lowest that is free."""
        taken: dict[str, int] = {}
        for party in parties:
            key = f"{channel} {party}"
            free = self._free.get(key)
            if free:
                taken[party] = free.pop(0)
            else:
                taken[party] = self._next.get(key, 1)
                self._next[key] = taken[party] + 1
        return taken

    def give_back(self, channel: str, serials: dict[str, int]) -> None:
        """Make serials free again that no statement has shown: nothing was signed with them."""
        for party, serial in serials.items():
            free = self._free.setdefault(f"{channel} {party}", [])
            if serial not in free:
                free.append(serial)
                free.sort()

    def free_serials(self) -> list[tuple[str, str, int]]:
        """Return (channel, party, serial) of those spent in vain, and of those in doubt."""
        return [
            (*cast("tuple[str, str]", tuple(key.split(" "))), serial)
            for kept in (self._free, self._doubtful)
            for key, serials in kept.items()
            for serial in serials
        ]

    async def keep(self, signed: Signed) -> None:
        """Return once ``signed``, and with it its id and serials, is on disk."""
        header: dict[str, object] = {
            "about": signed.about,
            "alias": signed.alias,
            "channel": signed.channel,
            "digest": signed.digest,
            "id": signed.note_id,
            "kind": signed.kind,
            "serials": signed.serials,
            "sizes": [len(signed.statement), len(signed.ciphertext), len(signed.wraps)],
            "step": "signed",
        }
        body = signed.statement + signed.ciphertext + signed.wraps
        self._waiting[signed.digest] = self._journal.append(header, body)
        await self._journal.sync()

    def receipted(self, digest: str) -> None:
        """The log has it. Lost in a crash, this costs one more sending of the same bytes."""
        self._done(digest, "receipted")

    def refused(self, digest: str, *, is_free: bool) -> None:
        """The node refused it as a whole; ``is_free``: nobody seals anew with its serials now."""
        self._done(digest, "refused" if is_free else "replaced")

    async def drop(self, digest: str) -> None:
        """Send it no more, though the log may have it: its serials are in doubt."""
        self.doubt(digest)
        await self._journal.sync()

    def doubt(self, digest: str) -> None:
        """The log has one of its serials already, or may have it."""
        self._done(digest, "doubted")

    def highest(self, channel: str, party: str) -> int:
        """Return the highest serial that this home knows to be spent towards a party; 0 for none."""
        return self._next.get(f"{channel} {party}", 1) - 1

    async def know(self, spent: dict[tuple[str, str], int]) -> None:
        """Go on behind the highest serial spent towards a party of a channel, as the log has it."""
        for (channel, party), highest in spent.items():
            key = f"{channel} {party}"
            self._next[key] = max(self._next.get(key, 1), highest + 1)
        self._journal.append(self._base())
        await self._journal.sync()

    def claim(self, channel: str, party: str, serial: int) -> dict[str, int]:
        """Take one of ``free_serials`` to fill it with a void."""
        self._unlist(f"{channel} {party}", serial)
        return {party: serial}

    def close(self) -> None:
        if self._journal.size > COMPACT_BYTES:
            waiting = [(f.header, self._journal.body(f)) for f in self._waiting.values()]
            self._journal.rewrite([(self._base(), b""), *waiting])
        self._journal.close()

    def _base(self) -> dict[str, object]:
        return {
            "doubtful": self._doubtful,
            "free": self._free,
            "next": self._next,
            "step": "base",
        }

    def _unlist(self, key: str, serial: int) -> None:
        for kept in (self._free, self._doubtful):
            if serial in kept.get(key, ()):
                kept[key].remove(serial)

    def _done(self, digest: str, step: str) -> None:
        if digest in self._waiting:
            header: dict[str, object] = {"digest": digest, "step": step}
            self._journal.append(header)
            self._end(digest, step)

    def _end(self, digest: str, step: str) -> None:
        frame = self._waiting.pop(digest, None)
        if frame is None:
            return
        channel, serials = frame.header["channel"], frame.header["serials"]
        if step == "refused":
            self.give_back(str(channel), cast("dict[str, int]", serials))
        elif step == "doubted":
            for party, serial in cast("dict[str, int]", serials).items():
                self._doubtful.setdefault(f"{channel} {party}", []).append(serial)

    def _replay(self, frame: Frame) -> None:
        header = frame.header
        step = header["step"]
        if step == "base":
            self._next = dict(cast("dict[str, int]", header["next"]))
            # A journal of an earlier release has none in doubt.
            for name, kept in (("free", self._free), ("doubtful", self._doubtful)):
                kept.clear()
                listed = cast("dict[str, list[int]]", header.get(name, {}))
                kept.update({key: list(serials) for key, serials in listed.items()})
            return
        digest = str(header["digest"])
        if step != "signed":
            self._end(digest, str(step))
            return
        self._waiting[digest] = frame
        for party, serial in cast("dict[str, int]", header["serials"]).items():
            key = f"{header['channel']} {party}"
            # What was jumped over was taken by a process that ended before it signed.
            unsigned = range(self._next.get(key, 1), serial)
            self._free.setdefault(key, []).extend(unsigned)
            self._next[key] = max(self._next.get(key, 1), serial + 1)
            self._unlist(key, serial)

    def _signed(self, frame: Frame) -> Signed:
        header = frame.header
        body = self._journal.body(frame)
        statement, ciphertext, _ = cast("list[int]", header["sizes"])
        return Signed(
            kind=str(header["kind"]),
            digest=str(header["digest"]),
            channel=str(header["channel"]),
            alias=str(header["alias"]),
            note_id=str(header["id"]),
            serials=dict(cast("dict[str, int]", header["serials"])),
            statement=body[:statement],
            ciphertext=body[statement : statement + ciphertext],
            wraps=body[statement + ciphertext :],
            about=str(header["about"]),
        )
