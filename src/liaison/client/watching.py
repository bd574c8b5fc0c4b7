"""Watching the log: every receipt verifies, and all checkpoints seen are of one growing tree.

protocols/log.md, RCPT and LOG-16. Public tiles alone suffice to check consistency: the roots of
the old, of every pending and of the newest size are recomputed from the same hashes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from liaison.client.home import Home
from liaison.client.pins import NodePin
from liaison.ledger.entry import check_openings
from liaison.ledger.facts import DueFacts, MomentFacts, Stated
from liaison.ledger.receipt import Receipt, Verified
from liaison.ledger.record import Record
from liaison.rules.decide import in_time
from liaison.statements.payloads import Logged, Payload, Seen
from liaison.statements.statement import Statement, parse_statement
from liaison.tlog.checkpoint import Checkpoint, open_checkpoint
from liaison.tlog.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    check_inclusion,
    frontier_nodes,
    leaf_hash,
    root_at,
)
from liaison.tlog.tiles import Tile, node_from_tiles, tile_of, tile_path
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import LogUntrusted, Malformed, NodeUnreachable, NotHere, RecordUntrusted
from liaison.words.times import to_dtg

FILE: Final = "log.json"
PENDING_MAX: Final = 64
"""So many unchecked checkpoints at most stand in a long session before they are checked."""


@dataclass(frozen=True)
class Entry:
    """A receipt that verified: what the log holds at ``index``. The signature isn't checked yet."""

    index: int
    record: Record
    statement: Statement[Payload]
    receipt: str

    @property
    def at(self) -> int:
        return self.record.at


@dataclass(frozen=True)
class Happening:
    """A receipt of what was due: a record without a statement, the log's own word."""

    index: int
    record: Record
    facts: DueFacts
    receipt: str

    @property
    def at(self) -> int:
        return self.record.at


class _Gossip(NamedTuple):
    """In an entry somebody says to have seen a checkpoint."""

    entry: int
    who: str
    size: int
    root: str


_Disputed = dict[str, dict[str, Any]]
"""By member: ``text``, what doesn't fit, and the ``index`` of the entry in which it was said."""


class Watch:
    """The newest checkpoint, and those that were not yet checked against it."""

    def __init__(
        self, home: Home, pin: NodePin, fetch: Callable[[str, int], Awaitable[bytes]]
    ) -> None:
        self._home = home
        self._pin = pin
        self._verifier = pin.verifier
        self._fetch = fetch
        state = home.read_state(FILE)
        kept = state.get("checkpoint", {"root": to_base64(EMPTY_ROOT), "size": 0})
        self._kept = Seen.model_validate(kept)
        self._pending: dict[int, str] = {}
        pending = state.get("pending", [])
        assert isinstance(pending, list)
        for item in pending:
            seen = Seen.model_validate(item)
            self._pending[seen.size] = seen.root
        at = state.get("at", 0)
        newest_at = state.get("newest_at", at)
        assert isinstance(at, int)
        assert isinstance(newest_at, int)
        self.log_time = at
        """The time of the newest record in a tree that was compared, in microseconds."""
        self._newest_at = newest_at
        """The same of what was seen, also where its tree is yet to be compared."""
        self._gossip: set[_Gossip] = set()
        self._disputed = dict(cast("_Disputed", state.get("disputed", {})))
        self._is_changed = False
        self._read_once = lru_cache(maxsize=512)(parse_statement)
        # The receipts of one batch share their checkpoint, so its signature is checked once.
        self._open_once = lru_cache(maxsize=64)(self._open)

    @property
    def seen(self) -> Seen:
        """The newest checkpoint that was verified: what a note names."""
        size = max(self._pending, default=0)
        if size <= self._kept.size:
            return self._kept
        return Seen(size=size, root=self._pending[size])

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def disputed(self) -> list[str]:
        """What others say they saw, and this log doesn't show; one of them tells no truth.

        One of each member at most: it is gone once the same member has seen what is here.
        """
        return disputed_in({"disputed": self._disputed})

    def verify(self, text: str, known: Statement[Payload] | None = None) -> Entry:
        """Return what a receipt proves under the pinned log key.

        ``known`` is the statement that was sent: the same bytes aren't read a second time.

        Raises:
            Malformed: it has no reading, or doesn't open what is needed.
            LogUntrusted: a part contradicts another, the log's signature, or what was seen.
        """
        entry = self.verify_any(text, known)
        if isinstance(entry, Happening):
            raise LogUntrusted(
                f"Entry {entry.index} is a {entry.record.kind}, where a statement was asked for"
            )
        return entry

    def verify_any(self, text: str, known: Statement[Payload] | None = None) -> Entry | Happening:
        """As ``verify``, also for what was due and has no statement."""
        entry, checkpoint = self._verify(text, known)
        self._add(checkpoint.size, to_base64(checkpoint.root))
        self._newest_at = max(self._newest_at, entry.at)
        if not self._pending:
            self._reach(entry.at)
        return entry

    def _reach(self, at: int) -> None:
        """Let the log's time go on: what isn't of one growing tree tells no time."""
        if at > self.log_time:
            self.log_time = at
            self._is_changed = True

    def gossip(self, who: str, seen: Seen, index: int) -> None:
        """Compare, at the next settling, the checkpoint that another member saw with this log.

        A log that shows them another tree than us is found out by it. They said so in entry
        ``index``, before which they can't have seen more entries than that.
        """
        if seen.size > index:
            said = f"{who} says in entry {index} to have seen a log of {seen.size} entries"
            self._dispute(who, index, said)
        elif seen.size:
            self._gossip.add(_Gossip(index, who, seen.size, seen.root))

    def _dispute(self, who: str, index: int, text: str) -> None:
        if self._is_the_last(who, index):
            self._disputed[who] = {"index": index, "text": text}
            self._is_changed = True

    def _is_the_last(self, who: str, index: int) -> bool:
        """Return whether nothing is disputed by a member in a later entry than ``index``."""
        return who not in self._disputed or int(self._disputed[who]["index"]) <= index

    def _verify(
        self, text: str, known: Statement[Payload] | None
    ) -> tuple[Entry | Happening, Checkpoint]:
        receipt = Receipt.from_text(text)
        fields = check_openings(receipt.entry, receipt.openings)
        checkpoint = self._open_once(receipt.checkpoint)
        leaf = leaf_hash(receipt.entry)
        check_inclusion(leaf, receipt.index, checkpoint.size, receipt.hashes, checkpoint.root)
        verified = Verified(receipt.index, fields, checkpoint)
        try:
            return self._entry(verified, text, known), checkpoint
        except Malformed as exc:
            if verified.missing:  # the node's answer, not the log's record
                raise
            raise RecordUntrusted(
                f"Entry {receipt.index} has no reading: {exc.happened}",
                safe="nothing of it is believed",
                do="keep the receipt and show it to the auditors",
            ) from exc

    def _entry(
        self, verified: Verified, text: str, known: Statement[Payload] | None
    ) -> Entry | Happening:
        record = verified.record()
        if isinstance(record.facts, DueFacts):
            check_happening(record, record.facts, self._pin.origin)
            return Happening(verified.index, record, record.facts, text)
        is_known = known is not None and known.raw == record.statement
        statement = known if known and is_known else self._read_once(record.statement)
        check_record(record, statement, self._pin.origin)
        return Entry(verified.index, record, statement, text)

    def _open(self, checkpoint: str) -> Checkpoint:
        return open_checkpoint(checkpoint, self._verifier, self._pin.origin)

    def _add(self, size: int, root: str) -> None:
        known = self._kept.root if size == self._kept.size else self._pending.get(size)
        if known is None:
            self._pending[size] = root
            self._is_changed = True
        elif known != root:
            raise self._forked(size)

    async def settle(self) -> None:
        """Check everything pending together, and keep the newest.

        Raises:
            LogUntrusted: no one tree has all the roots that the log signed: it shows two faces.
            NodeUnreachable: it couldn't be checked now; what is pending stays so.
        """
        pending, newest_at = dict(self._pending), self._newest_at
        newest = max(pending, default=0)
        if newest <= self._kept.size:
            newest = self._kept.size
        roots = {**pending, self._kept.size: self._kept.root}
        gossip = sorted(one for one in self._gossip if one.size <= newest)
        sizes = {*roots, *(one.size for one in gossip)}
        found = dict(roots)
        if len(sizes) > 1:
            tiles: dict[Tile, bytes] = {}
            needed = {tile_of(node, newest) for size in sizes for node in frontier_nodes(size)}
            for tile in sorted(needed):
                path = f"/log/{tile_path(tile)}"
                try:
                    tiles[tile] = await self._fetch(path, tile.width * HASH_BYTES)
                except (
                    NotHere
                ) as exc:  # a node that shows less of the log than it signed, or a proxy
                    raise NodeUnreachable(f"The node doesn't show {path}, which it signed") from exc
            get = node_from_tiles(tiles.__getitem__, newest)
            found = {size: to_base64(root_at(size, get)) for size in sorted(sizes)}
            for size in sorted(roots):
                if found[size] != roots[size]:
                    raise self._forked(size)
        self._compare(gossip, found)
        self._kept = Seen(size=newest, root=roots[newest])
        for size in pending:
            self._pending.pop(size, None)
        self._is_changed = self._is_changed or bool(pending)
        self._reach(newest_at)
        self.save()

    def _compare(self, gossip: Sequence[_Gossip], found: Mapping[int, str]) -> None:
        """Compare what others saw, by the order of the log, with the roots that were found here."""
        for one in gossip:
            if found[one.size] != one.root:
                said = (
                    f"{one.who} says in entry {one.entry} to have seen another log of {one.size} "
                    "entries than this one"
                )
                self._dispute(one.who, one.entry, said)
            elif one.who in self._disputed and self._is_the_last(one.who, one.entry):
                del self._disputed[one.who]
                self._is_changed = True
            self._gossip.discard(one)

    def save(self) -> None:
        """Write what is known, checked and pending."""
        if not self._is_changed:
            return
        self._home.write_state(
            FILE,
            {
                "at": self.log_time,
                "checkpoint": self._kept.model_dump(),
                **({"disputed": self._disputed} if self._disputed else {}),
                "newest_at": self._newest_at,
                "pending": [
                    {"root": root, "size": size} for size, root in sorted(self._pending.items())
                ],
            },
        )
        self._is_changed = False

    def _forked(self, size: int) -> LogUntrusted:
        self._is_changed = True
        self.save()
        return LogUntrusted(
            f"The log {self._pin.origin} signed two trees that don't fit together, at size {size}",
            safe="nothing of it is believed; the receipts of this home are the evidence",
            do="keep this home as it is, tell the other party and the auditors by another way",
        )


def disputed_in(state: dict[str, object]) -> list[str]:
    """Return what others dispute, as the state of a watch has it."""
    disputed = cast("_Disputed", state.get("disputed", {}))
    return [str(disputed[who]["text"]) for who in sorted(disputed)]


def check_happening(record: Record, facts: DueFacts, origin: str) -> None:
    """Return if a due record is one: the log's, without a statement, not before its moment.

    Raises:
        RecordUntrusted: it contradicts itself.
    """
    note = facts.note if isinstance(facts, MomentFacts) else ""
    said = (record.channel.id, record.note, record.actor, record.statement)
    if said != (facts.channel, note, origin, b"") or record.at < facts.due:
        raise RecordUntrusted(
            f"A {record.kind} record is not what follows from time alone",
            safe="nothing of it is believed",
            do="keep the receipt and show it to the auditors",
        )


def check_record(record: Record, statement: Statement[Payload], origin: str) -> None:
    """Return if a record's fields say what its statement says, and it was for this log and time.

    Raises:
        RecordUntrusted: the log ``origin`` committed to a record that contradicts its own statement,
            or to a sleeper: one that was never for it, or that could enter no more.
    """
    facts = record.facts
    if not isinstance(facts, Stated):
        raise RecordUntrusted("A record without a statement stands where one is expected")
    wrong = [
        name
        for name, said, logged in (
            ("kind", statement.kind, record.kind),
            ("actor", statement.payload.by, record.actor),
            ("statement digest", statement.digest, facts.statement),
            ("payload digest", statement.payload_digest, facts.payload),
        )
        if said != logged
    ]
    if wrong:
        raise RecordUntrusted(
            f"The record's {wrong[0]} is not that of the statement in it",
            safe="nothing of it is believed",
            do="keep the receipt and show it to the auditors",
        )
    _check_not_slept(record, statement.payload, origin)


def _check_not_slept(record: Record, payload: Payload, origin: str) -> None:
    late = in_time(payload, record.at)
    if late is not None:
        raise RecordUntrusted(
            f"A {record.kind} of {payload.by} is in the log at {to_dtg(record.at)}, and {late.text}",
            safe="nothing of it is believed",
            do="keep the receipt and show it to the auditors: the log took what it had to refuse",
        )
    if isinstance(payload, Logged) and payload.log != origin:
        raise RecordUntrusted(
            f"A {record.kind} of {payload.by} was for the log {payload.log}, and is in {origin}",
            safe="nothing of it is believed",
            do="keep the receipt and show it to the auditors: the log took what it had to refuse",
        )


def check_digest(digest: str) -> str:
    """Return a digest that stands in a URL's path as API asks for: unpadded base64url."""
    try:
        from_base64(digest, 32)
    except Malformed as exc:
        raise exc.within("digest") from exc
    return digest.rstrip("=").translate(str.maketrans("+/", "-_"))
