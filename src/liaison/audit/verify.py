"""Verify: recompute a log from its opened entries. protocols/log.md, LOG and ENT.

Told bytes, believes the anchors; whether the rules allowed what was recorded is replay's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from liaison.audit.report import Difference, Differs, excerpts, printable
from liaison.audit.source import Anchors, End, Opened
from liaison.ledger.entry import LEAF_KEY_BYTES, commit_to, parse_entry
from liaison.ledger.facts import DueFacts, MomentFacts, Stated
from liaison.ledger.record import FIELDS, Record, record_from
from liaison.rules.cells import KeyClaim
from liaison.rules.decide import RULINGS, scope_of, signer_of
from liaison.rules.moments import DUE_KINDS
from liaison.rules.refusal import Refused
from liaison.statements.keys import key_id
from liaison.statements.payloads import Member, Node, Party, Payload
from liaison.statements.statement import Statement, parse_statement
from liaison.tlog.checkpoint import Checkpoint, open_checkpoint
from liaison.tlog.merkle import HASH_BYTES, leaf_hash
from liaison.tlog.note import VerifierKey
from liaison.tlog.tiles import TILE_WIDTH, Edge, Tile, tile_path
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import LogUntrusted, Malformed, SignatureInvalid, TooLarge

_BEFORE_THE_FIRST = -1


@dataclass
class Counts:
    """How much was checked."""

    entries: int = 0
    openings: int = 0
    signatures: int = 0
    due: int = 0
    """Records without a statement: they follow from state and time."""
    tiles: int = 0


class Verifier:
    """Takes a log from its first entry on, in order; raises ``Differs`` at the first difference.

    ``take`` gives the full tiles that its entries completed, ``edge_tiles`` the partial ones at
    the end: the caller fetches each and shows it to ``check_tile``.
    """

    def __init__(self, anchors: Anchors) -> None:
        self.counts = Counts()
        self.first_at: int | None = None
        self.last_at = _BEFORE_THE_FIRST
        self._anchors = anchors
        self._edge = Edge()
        self._kinds: list[str] = []
        self._counters: dict[str, int] = {}
        self._payloads: dict[tuple[str, str], int] = {}
        self._claims: dict[str, KeyClaim] = {}

    @property
    def size(self) -> int:
        return self._edge.head.size

    @property
    def root(self) -> bytes:
        return self._edge.root

    # The head

    def open_checkpoint(self, text: str) -> Checkpoint:
        """Return the checkpoint if the anchored log key signed it for the anchored origin."""
        try:
            key = VerifierKey.make(self._anchors.origin, self._anchors.log_key)
            return open_checkpoint(text, key, self._anchors.origin)
        except (Malformed, LogUntrusted) as exc:
            raise Differs(
                Difference(
                    where="checkpoint",
                    field="signature" if isinstance(exc, LogUntrusted) else "text",
                    expected=f"signed by the log key of {self._anchors.origin}",
                    came=printable(exc.happened),
                )
            ) from exc

    def check_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Return if the entries taken so far are those that the checkpoint commits to."""
        self._check_root("checkpoint", checkpoint.size, checkpoint.root)

    def check_end(self, end: End) -> None:
        """Return if the store's own head is that of the entries taken."""
        self._check_root("head", end.size, end.root)
        if self.size and end.at != self.last_at:
            raise Differs(
                Difference(
                    where="head",
                    field="at",
                    expected=str(self.last_at),
                    came=str(end.at),
                    index=self.size - 1,
                    kind=self._kinds[-1],
                )
            )

    def _check_root(self, where: str, size: int, root: bytes) -> None:
        if size != self.size:
            raise Differs(Difference(where, "size", f"{size} entries", f"{self.size} entries"))
        if root != self.root:
            raise Differs(Difference(where, "root", f"{root.hex()}", f"{self.root.hex()}"))

    # Entries

    def take(
        self, opened: Sequence[Opened], leaves: Sequence[bytes], *, end: int
    ) -> dict[Tile, bytes]:
        """Take the entries up to but without ``end``; return the full tiles they completed.

        ``end`` is at most the next multiple of 256.
        """
        start = self.size
        hashes: list[bytes] = []
        for index in range(start, end):
            place = index - start
            if place >= len(opened) or place >= len(leaves):
                what = "leaf" if place < len(opened) else "opened entry"
                raise entry_differs(index, "", "index", f"{what} {index}", "nothing")
            self._entry(index, opened[place], leaves[place])
            hashes.append(leaf_hash(leaves[place]))
        for what, came in (("openings", len(opened)), ("leaves", len(leaves))):
            if came > end - start:
                raise entry_differs(end, "", "index", f"{end - start} {what}", f"{came} {what}")
        self._edge, changed = self._edge.append(hashes)
        return {
            Tile(level, n, TILE_WIDTH): data
            for (level, n), data in changed.items()
            if len(data) == TILE_WIDTH * HASH_BYTES
        }

    def edge_tiles(self) -> Iterator[tuple[Tile, bytes]]:
        """Give the partial tiles of the tree as it is now."""
        size = self.size
        for level, data in enumerate(self._edge.partials):
            if data:
                yield Tile(level, size >> 8 * (level + 1), len(data) // HASH_BYTES), data

    def check_tile(self, tile: Tile, expected: bytes, came: bytes | None) -> None:
        """Return if a tile came as the leaves give it."""
        self.counts.tiles += 1
        if came == expected:
            return
        hashes = [] if came is None else [came[i : i + 32] for i in range(0, len(came), 32)]
        wanted = [expected[i : i + 32] for i in range(0, len(expected), 32)]
        pairs = zip(hashes, wanted, strict=False)
        j = next((j for j, (a, b) in enumerate(pairs) if a != b), min(len(hashes), len(wanted)))
        # The first leaf below the hash that differs; bytes behind the tile's end lead to its last.
        index = (tile.n * TILE_WIDTH + min(j, tile.width - 1)) << 8 * tile.level
        raise Differs(
            Difference(
                where=tile_path(tile),
                field=f"hash {j}",
                expected=wanted[j].hex() if j < len(wanted) else "the tile's end",
                came=hashes[j].hex() if j < len(hashes) else "nothing",
                index=index,
                kind=self._kinds[index],
            )
        )

    def _entry(self, index: int, opened: Opened, leaf: bytes) -> None:
        kind = kind_of(opened.fields)
        if opened.index != index:
            raise entry_differs(index, kind, "index", str(index), str(opened.index))
        if opened.entry != leaf:
            raise entry_differs(index, kind, "entry", *excerpts(leaf, opened.entry))
        _check_openings(index, kind, opened)
        record = read_record(index, opened.fields)
        self._check_order(index, record)
        statement = statement_of(index, record)
        if index == 0:
            check_beginning(record, statement, self._anchors)
        if statement is None:
            self._check_due(index, record)
            self.counts.due += 1
        else:
            self._check_statement(index, record, statement)
            self._check_signature(index, statement)
            self._bind(statement)
            self.counts.signatures += 1
        _check_columns(index, record, opened.columns)
        self._kinds.append(record.kind)
        self.counts.entries += 1
        self.counts.openings += len(FIELDS)

    def _bind(self, statement: Statement[Payload]) -> None:
        for public, capacity in _keys_bound(statement.payload):
            claim = KeyClaim(
                id=key_id(from_base64(public)),
                capacity=capacity,
                holder=statement.payload.by,
                public=public,
            )
            self._claims.setdefault(claim.id, claim)

    def _check_order(self, index: int, record: Record) -> None:
        if record.at <= self.last_at:
            expected = f"after {self.last_at}, the time of entry {index - 1}"
            raise entry_differs(index, record.kind, "at", expected, str(record.at))
        scope = record.channel.id
        n = self._counters.get(scope, 0) + 1
        if record.channel.n != n:
            expected = f"n {n} of {scope}"
            raise entry_differs(index, record.kind, "channel", expected, f"n {record.channel.n}")
        self._counters[scope] = n
        if self.first_at is None:
            self.first_at = record.at
        self.last_at = record.at

    def _check_due(self, index: int, record: Record) -> None:
        """Return if a record that was due is the log's own and not before its moment."""
        facts = record.facts
        assert isinstance(facts, DueFacts)
        if record.statement:
            came = f"a statement of {len(record.statement)} bytes"
            raise entry_differs(index, record.kind, "statement", "none, for it was due", came)
        for field, expected, came in (
            ("actor", self._anchors.origin, record.actor),
            ("channel", facts.channel, record.channel.id),
            ("note", facts.note if isinstance(facts, MomentFacts) else "", record.note),
            ("urgency", f"due {facts.due}", f"due {record.urgency.due}"),
        ):
            if expected != came:
                raise entry_differs(index, record.kind, field, expected, printable(came))
        if record.at < facts.due:
            expected = f"not before {facts.due}, when it was due"
            raise entry_differs(index, record.kind, "at", expected, str(record.at))

    def _check_statement(self, index: int, record: Record, statement: Statement[Payload]) -> None:
        assert isinstance(record.facts, Stated)
        for field, expected, came in (
            ("kind", statement.kind, record.kind),
            ("actor", statement.payload.by, record.actor),
            ("channel", scope_of(statement), record.channel.id),
            ("facts.statement", statement.digest, record.facts.statement),
            ("facts.payload", statement.payload_digest, record.facts.payload),
        ):
            if expected != came:
                raise entry_differs(index, record.kind, field, expected, printable(came))
        seen = (record.channel.id, statement.payload_digest)
        first = self._payloads.setdefault(seen, index)
        if first != index:
            came = f"the payload of entry {first} again"
            raise entry_differs(
                index, record.kind, "statement", "a payload not logged before", came
            )

    def _check_signature(self, index: int, statement: Statement[Payload]) -> None:
        key = statement.payload.key
        public = signer_of(statement, self._claims.get(key))
        if isinstance(public, Refused):
            expected = "signed by a key that the log had bound before"
            raise entry_differs(index, statement.kind, "statement", expected, f"key {key}, unknown")
        try:
            statement.check_signature(public)
        except SignatureInvalid as exc:
            expected = f"signature by the key {key}"
            raise entry_differs(index, statement.kind, "statement", expected, exc.happened) from exc


def _check_columns(index: int, record: Record, columns: Mapping[str, str]) -> None:
    """Return if what a store keeps beside an entry is what the entry says."""
    facts, place = record.facts, record.channel
    digest = facts.statement if isinstance(facts, Stated) else ""
    for name, expected in (("digest", digest), ("scope", place.id), ("n", str(place.n))):
        came = columns.get(name, expected)
        if came != expected:
            raise entry_differs(index, record.kind, f"column {name}", expected, printable(came))


def check_beginning(record: Record, statement: Statement[Payload] | None, anchors: Anchors) -> None:
    """Return if the first record is the anchored log's own, naming the anchored keys."""
    payload = statement.payload if statement else None
    if not isinstance(payload, Node) or payload.event != "init":
        came = f"a {record.kind} record"
        raise entry_differs(0, record.kind, "kind", "the node's first record", came)
    for field, expected, said in (
        ("log", anchors.origin, payload.log),
        ("log_key", to_base64(anchors.log_key), payload.log_key),
        ("node_key", to_base64(anchors.node_key), payload.node_key),
        ("administrator_key", to_base64(anchors.administrator_key), payload.administrator_key),
    ):
        if said != expected:
            raise entry_differs(0, record.kind, f"statement.{field}", expected, str(said))


def read_record(index: int, fields: Sequence[bytes]) -> Record:
    """Return the record that the fields of an entry spell; raises ``Differs``."""
    try:
        return record_from(fields)
    except Malformed as exc:
        field, _, complaint = exc.happened.partition(": ")
        came = printable(complaint or field)
        where = printable(field) if complaint else "fields"
        raise entry_differs(index, kind_of(fields), where, "its one spelling", came) from exc


def statement_of(index: int, record: Record) -> Statement[Payload] | None:
    """Return the statement of a record, None for what was due; raises ``Differs``."""
    if record.kind in DUE_KINDS:
        return None
    try:
        statement = parse_statement(record.statement)
    except (Malformed, TooLarge) as exc:
        expected = f"a {record.kind} statement"
        came = printable(exc.happened)
        raise entry_differs(index, record.kind, "statement", expected, came) from exc
    if statement.kind not in RULINGS:
        expected = "a statement of a kind that is logged"
        raise entry_differs(index, record.kind, "statement", expected, f"kind {statement.kind}")
    return statement


def _check_openings(index: int, kind: str, opened: Opened) -> None:
    if len(opened.fields) != len(FIELDS):
        came = f"{len(opened.fields)} fields"
        raise entry_differs(index, kind, "fields", f"{len(FIELDS)} fields", came)
    # HMAC pads a short key with zeros, so a longer spelling of the same key would pass.
    if len(opened.leaf_key) != LEAF_KEY_BYTES:
        came = f"{len(opened.leaf_key)} bytes"
        raise entry_differs(index, kind, "leaf_key", f"{LEAF_KEY_BYTES} bytes", came)
    made, _ = commit_to(opened.fields, opened.leaf_key)
    if made == opened.entry:
        return
    try:
        commitments = parse_entry(opened.entry)
    except Malformed as exc:
        raise entry_differs(index, kind, "entry", "eight commitments", exc.happened) from exc
    opening = parse_entry(made)
    wrong = [i for i in range(len(FIELDS)) if opening[i] != commitments[i]]
    field = "leaf_key" if len(wrong) == len(FIELDS) else FIELDS[wrong[0]]
    raise entry_differs(
        index,
        kind,
        field,
        f"what the leaf commits to ({commitments[wrong[0]].hex()})",
        f"an opening of {opening[wrong[0]].hex()}",
    )


def _keys_bound(payload: Payload) -> Iterator[tuple[str, str]]:
    """Give the signing keys that a statement binds, each with its capacity."""
    if isinstance(payload, Node):
        for capacity in ("log", "node", "administrator"):
            public = getattr(payload, f"{capacity}_key")
            if public is not None:
                yield public, capacity
    elif isinstance(payload, Party):
        yield payload.authority, "authority"
        for registrar in payload.registrars:
            yield registrar.key, "registrar"
    elif isinstance(payload, Member):
        for device in payload.devices:
            yield device.key, "device"


def kind_of(fields: Sequence[bytes]) -> str:
    """Return the kind that the fields say, for a report; they may be of any form."""
    return printable(fields[0][:40].decode("ascii", "replace")) if fields else ""


def entry_differs(index: int, kind: str, field: str, expected: str, came: str) -> Differs:
    """Return the difference of an entry, to be raised."""
    return Differs(Difference(f"entry {index}", field, expected, came, index=index, kind=kind))
