"""Reading: receipts, inboxes, channels, parties, for those entitled. protocols/api.md, API-13 to API-26.

What isn't there and what isn't the asker's look the same. Who may see what of a note is for ``sight``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from liaison.ledger.facts import (
    AboutNote,
    AccessionFacts,
    CharterFacts,
    DueFacts,
    NoteFacts,
    ReleaseFacts,
)
from liaison.ledger.record import Place, Record, record_from
from liaison.node.cellar import Cellar
from liaison.node.deciding import Logged, logged
from liaison.node.delivery import Delivery
from liaison.node.ports import EntryRow
from liaison.node.ports import Reader as StoreReader
from liaison.node.sequencer import Published, Sequencer
from liaison.node.sessions import Reader
from liaison.node.sight import Sight, concerns, is_operator, may_open, names_readers, sight_of
from liaison.node.status import state_of
from liaison.node.watchlist import by_urgency, items_for, minimized_of
from liaison.rules import cells
from liaison.rules.chain import id_of
from liaison.rules.inbox import InboxRow, ItemKind
from liaison.statements.payloads import Directory
from liaison.statements.statement import parse_statement_of
from liaison.tlog.merkle import inclusion_proof
from liaison.tlog.tiles import (
    TILE_WIDTH,
    Tile,
    format_bundle,
    node_from_tiles,
    tiles_for_inclusion,
)
from liaison.words.encoding import from_base64, to_base64, to_base64url
from liaison.words.errors import NotHere
from liaison.words.ids import party_of

FULL_TILES_KEPT: Final = 512
INLINE_MAX_BYTES: Final = 64 * 1024
PAGE_MAX: Final = 256
SCANNED_MAX: Final = 8_192
"""So many cells of a channel are looked at for the operators' queue, those due first."""
OPENED: Final = frozenset({ItemKind.NOTE.value, ItemKind.COPY.value})
CONTENT_MAX_BYTES: Final = 64 * 1024 * 1024
"""The most that a charter may allow (statements.md, CHARTER)."""

Json = dict[str, Any]


@dataclass
class Reading:
    cellar: Cellar
    store: StoreReader
    sequencer: Sequencer
    delivery: Delivery
    _full: dict[tuple[int, int], bytes] = field(default_factory=dict)

    # Receipts and tiles

    async def receipt_at(self, index: int) -> str:
        """Return the receipt of an entry under the newest checkpoint."""
        return (await self._receipts(await self._logged({index})))[index]

    async def _logged(self, indexes: Collection[int]) -> dict[int, Logged]:
        """Return entries as receipts show them: the newest from memory, others from the store."""
        recent = self.sequencer.newest.entries
        found = {index: recent[index] for index in indexes if index in recent}
        for start, end in _runs(index for index in indexes if index not in found):
            for row in await self.store.entries(start, end):
                found[row.index] = logged(row)
        return found

    async def _receipts(self, entries: Mapping[int, Logged]) -> dict[int, str]:
        now = self.sequencer.published
        wanted = {t for index in entries for t in tiles_for_inclusion(index, now.head.size)}
        tiles = await self._tiles(wanted, now)
        get = node_from_tiles(tiles.__getitem__, now.head.size)
        return {
            index: entry.receipt(inclusion_proof(index, now.head.size, get), now.checkpoint)
            for index, entry in entries.items()
        }

    async def _receipt_of(self, rows: Iterable[EntryRow]) -> list[str]:
        return list((await self._receipts({row.index: logged(row) for row in rows})).values())

    async def _tiles(self, wanted: Collection[Tile], now: Published) -> dict[Tile, bytes]:
        """Return tiles of the tree of ``now``: partial ones from memory, full ones once read kept."""
        found: dict[Tile, bytes] = {}
        missing = []
        for tile in wanted:
            if tile.width < TILE_WIDTH:
                found[tile] = now.edge.partials[tile.level]
            elif (tile.level, tile.n) in self._full:
                found[tile] = self._full[tile.level, tile.n]
            else:
                missing.append(tile)
        if missing:
            read = await self.store.tiles([(tile.level, tile.n) for tile in missing])
            if len(self._full) + len(read) > FULL_TILES_KEPT:
                self._full.clear()
            self._full |= read
            found |= {tile: read[tile.level, tile.n] for tile in missing}
        return found

    async def tile(self, tile: Tile) -> bytes:
        """Return a hash tile that a signed checkpoint covers: any earlier width is a prefix."""
        size = self.sequencer.published.head.size >> (8 * tile.level)
        if tile.n * TILE_WIDTH + tile.width > size:
            raise NotHere("no checkpoint covers this tile yet")
        stored = await self.store.tiles([(tile.level, tile.n)])
        if (tile.level, tile.n) not in stored:
            raise NotHere("no checkpoint covers this tile yet")
        return stored[tile.level, tile.n][: tile.width * 32]

    async def bundle(self, n: int, width: int) -> bytes:
        """Return an entry bundle that a signed checkpoint covers."""
        start = n * TILE_WIDTH
        if start + width > self.sequencer.published.head.size:
            raise NotHere("no checkpoint covers this bundle yet")
        return format_bundle(await self.store.leaves(start, start + width))

    async def openings(self, reader: Reader, start: int, end: int) -> list[EntryRow]:
        """Return whole entries for the administrator (scoped openings come later)."""
        if not reader.is_administrator:
            raise NotHere("nothing here for you")
        end = min(end, start + PAGE_MAX, self.sequencer.published.head.size)
        return await self.store.entries(start, end) if start < end else []

    # What a member has

    async def inbox(
        self, reader: Reader, *, after: tuple[int, int], limit: int, with_content: bool
    ) -> Json:
        """Return a page of the member's items (API-14)."""
        if not reader.is_member:
            raise NotHere("only a member has an inbox")
        limit = min(limit, PAGE_MAX)
        rows = await self.delivery.page(reader.by, after=after, limit=limit + 1)
        # A batch may be committed and not yet signed; then its items aren't there yet (law 2).
        signed = self.sequencer.published.head.size
        rows = [row for row in rows if row.pos < signed]
        page = await self.items(reader, rows[:limit], with_content=with_content)
        return {"items": page, "more": len(rows) > limit}

    async def items(
        self,
        reader: Reader,
        rows: Sequence[InboxRow],
        *,
        with_content: bool,
        with_urls: bool = False,
    ) -> list[Json]:
        """Return signed rows as a member's device gets them: ITEM of API-14.

        ``with_urls`` says where the content is that is too large to come along (STREAM-9).
        """
        receipts = await self._receipts(await self._logged({row.pos for row in rows}))
        notes: dict[int, cells.Note] = {}
        contents: dict[int, Json] = {}
        if with_content:
            notes = await self._openable(reader, [row for row in rows if row.kind in OPENED])
            contents = await self._contents(reader, notes, INLINE_MAX_BYTES)
        items = []
        for row in rows:
            item: Json = {
                "position": f"{row.pos}.{row.note_index}",
                "kind": row.kind,
                "precedence": row.precedence,
                "receipt": receipts[row.pos],
            }
            content = contents.get(row.note_index)
            if content is not None and row.kind in OPENED:
                item["content"] = content
            elif with_urls and row.kind in OPENED and row.note_index in notes:
                digest = to_base64url(from_base64(notes[row.note_index].note))
                item["content_url"] = f"/v1/notes/{digest}/content"
            items.append(item)
        return items

    async def _openable(self, reader: Reader, rows: Sequence[InboxRow]) -> dict[int, cells.Note]:
        """Return those of these notes, by index, that may be opened now (API-15)."""
        entries = await self._logged({row.note_index for row in rows})
        keys = {index: _note_key(entry) for index, entry in entries.items()}
        await self.cellar.load(list(keys.values()))
        found = {}
        for index, key in keys.items():
            note = self.cellar.peek(cells.Note, *key[1:])
            if note is None:
                continue
            facts = None if names_readers(note) else _note_facts(entries[index])
            if may_open(note, facts, reader.by):
                found[index] = note
        return found

    async def note(self, reader: Reader, digest: str) -> Json:
        """Return a note's receipt, where each addressee stands and what happens next (API-16)."""
        row, note = await self._note(reader, digest, Sight.STATE)
        holds = [
            await self.cellar.get(cells.PostHold, note.channel, a.post)
            for a in note.addressees
            if a.held
        ]
        return {
            "receipt": (await self._receipt_of([row]))[0],
            "state": state_of(note, reader.party, [hold for hold in holds if hold is not None]),
        }

    async def note_content(self, reader: Reader, digest: str) -> Json:
        """Return a note's ciphertext and the asking device's wraps (API-15)."""
        row, note = await self._note(reader, digest, Sight.CONTENT)
        contents = await self._contents(reader, {row.index: note}, CONTENT_MAX_BYTES)
        if row.index not in contents:
            raise NotHere("the content of this note is no longer here")
        return contents[row.index]

    async def certificates(self, reader: Reader, digest: str) -> Json:
        """Return the receipts of what was due about a note, as far as the asker's (API-25)."""
        _, note = await self._note(reader, digest, Sight.STATE)
        rows = await self.store.about_note(digest, limit=PAGE_MAX + 1)
        mine = []
        for row in rows[:PAGE_MAX]:
            facts = record_from(row.fields).facts
            assert isinstance(facts, DueFacts)
            if self._is_signed(row) and concerns(facts, note, reader):
                mine.append(row)
        return {"certificates": await self._receipt_of(mine), "more": len(rows) > PAGE_MAX}

    async def watch(self, reader: Reader, *, limit: int) -> Json:
        """Return what needs a human of the operator's own party (API-26)."""
        if not await is_operator(self.cellar, reader):
            raise NotHere("the queue is for operators")
        known = await self.cellar.get(cells.PartyChannels, reader.party)
        found: list[Json] = []
        minimized: list[Json] = []
        is_cut = False
        for digest in known.channels if known else ():
            channel = await self.cellar.get(cells.Channel, digest)
            if channel is None or reader.party not in channel.parties:
                continue
            minimized += [minimized_of(channel, said) for said in self._minimized(channel)]
            # What is due late may be the most urgent: all is read before any is left out.
            stored = await self.store.open_items(digest, limit=SCANNED_MAX)
            is_cut = is_cut or len(stored) == SCANNED_MAX
            # What a batch may be changing is in memory, as it was signed (law 2).
            cells_now = [self.cellar.cells.get(cell.key, cell) for cell in stored]
            notes = [cell for cell in cells_now if isinstance(cell, cells.Note)]
            line = await self.cellar.get(cells.LineTest, digest)
            found += items_for(reader.party, channel, [*notes, *([line] if line else [])])
        found.sort(key=by_urgency)
        limit = min(limit, PAGE_MAX)
        return {
            "items": found[:limit],
            "more": is_cut or len(found) > limit,
            "minimized": minimized,
        }

    def _minimized(self, channel: cells.Channel) -> list[cells.Minimized]:
        """Return for whom the channel is minimized now."""
        now = self.sequencer.clock.clock.now()
        return [said for said in channel.minimized or () if now < said.until]

    async def _note(self, reader: Reader, digest: str, least: Sight) -> tuple[EntryRow, cells.Note]:
        row = await self.store.entry_of(digest)
        if row is not None and self._is_signed(row):
            facts = record_from(row.fields).facts
            if isinstance(facts, NoteFacts):
                note = await self.cellar.get(cells.Note, facts.channel, digest)
                assert note is not None
                if await sight_of(self.cellar, reader, note, facts) >= least:
                    return row, note
        raise NotHere("there is no such note for you")

    async def _contents(
        self, reader: Reader, notes: Mapping[int, cells.Note], most_bytes: int
    ) -> dict[int, Json]:
        """Return CONTENT (API-15) by the note's index, for those whose ciphertext isn't larger."""
        newest = self.sequencer.newest.contents
        kept = {i: newest[i] for i in notes if i in newest}
        ciphertexts = {
            i: one.ciphertext for i, one in kept.items() if len(one.ciphertext) <= most_bytes
        }
        wraps = {i: one.wraps.get(reader.key, {}) for i, one in kept.items()}
        older = [index for index in notes if index not in kept]
        if older:
            stored = await self.store.contents(older, most_bytes=most_bytes)
            wraps |= await self.store.wraps(list(stored), reader.key)
            ciphertexts |= stored
        granted = await self._granted(reader, notes)
        return {
            index: {
                "ciphertext": to_base64(ciphertext),
                "wraps": [
                    {"key": key, "wrap": to_base64(wrap)}
                    for key, wrap in wraps.get(index, {}).items()
                ]
                + granted.get(index, []),
            }
            for index, ciphertext in ciphertexts.items()
        }

    async def _granted(
        self, reader: Reader, notes: Mapping[int, cells.Note]
    ) -> dict[int, list[Json]]:
        """Return the asking device's wraps by grants, by the note's index; a grant keeps its own."""
        grants = {g.index: g.statement for note in notes.values() for g in note.grants or ()}
        if not grants:
            return {}
        wraps = await self.store.wraps(list(grants), reader.key)
        return {
            index: [
                {"key": key, "wrap": to_base64(wrap), "grant": g.statement}
                for g in note.grants or ()
                for key, wrap in wraps.get(g.index, {}).items()
            ]
            for index, note in notes.items()
        }

    # Channels, parties, single statements

    async def channels(self, reader: Reader) -> list[Json]:
        """Return the channels whose charter, or proposed charter, names the asker's party (API-17)."""
        known = await self.cellar.get(cells.PartyChannels, reader.party)
        found = []
        for digest in known.channels if known else ():
            channel = await self.cellar.get(cells.Channel, digest)
            if channel is not None and await self._sees(reader, channel):
                found.append(await self._channel(reader, channel))
        return found

    async def channel(self, reader: Reader, alias: str) -> Json:
        """Return one channel by its alias (API-17)."""
        claim = await self.cellar.get(cells.AliasClaim, alias)
        channel = await self.cellar.get(cells.Channel, claim.channel) if claim else None
        if channel is None or not await self._sees(reader, channel):
            raise NotHere(f"there is no channel {alias} for you")
        return await self._channel(reader, channel)

    async def _channel(self, reader: Reader, channel: cells.Channel) -> Json:
        is_within = reader.is_administrator or reader.party in channel.parties
        rosters = []
        for party in channel.parties if is_within else ():
            known = await self.cellar.get(cells.Rosters, channel.channel, party)
            if known is not None:
                rosters.append(known.editions[-1].statement)
        standings = channel.standings or () if is_within else ()
        minimized = self._minimized(channel) if is_within else []
        return {
            "channel": channel.channel,
            "alias": channel.alias,
            "type": channel.type,
            "is_open": channel.is_open,
            "charter": (await self._by_digest([channel.charter]))[0],
            "accessions": await self._by_digest([a.statement for a in channel.acceded]),
            "rosters": await self._by_digest(rosters),
            "participations": await self._by_digest([s.statement for s in standings]),
            "minimized": await self._by_digest([m.statement for m in minimized]),
            "proposed": [
                {
                    "charter": (await self._by_digest([amendment.charter]))[0],
                    "accessions": await self._by_digest(
                        [a.statement for a in amendment.proposed.acceded]
                    ),
                }
                for amendment in await self._pending(channel)
                if is_within or reader.party in amendment.proposed.parties
            ],
        }

    async def _pending(self, channel: cells.Channel) -> list[cells.Amendment]:
        """Return the amendments of a channel that wait for accessions, the oldest first."""
        found = [
            await self.cellar.get(cells.Amendment, channel.channel, charter)
            for charter in channel.pending or ()
        ]
        return [amendment for amendment in found if amendment is not None]

    async def _sees(self, reader: Reader, channel: cells.Channel) -> bool:
        """Return whether a channel is one of the asker's party, or is proposed to be."""
        if reader.is_administrator or reader.party in channel.parties:
            return True
        pending = await self._pending(channel)
        return any(reader.party in amendment.proposed.parties for amendment in pending)

    async def party(self, reader: Reader, party: str) -> Json:
        """Return what is current of a party, by its newest directory (API-18)."""
        known = await self.cellar.get(cells.Party, party)
        if known is None or not await self._may_know(reader, party):
            raise NotHere(f"there is no party {party} for you")
        told: Json = {
            "party": (await self._by_digest([known.statement]))[0],
            "members": [],
            "postings": [],
            "keys": [],
        }
        directories = await self.cellar.get(cells.Directories, party)
        if directories is None or not directories.editions:
            return told
        newest = await self.store.entry_of(directories.editions[-1].statement)
        assert newest is not None
        directory = parse_statement_of(Directory, newest.fields[6]).payload
        keys = []
        for entry in directory.members:
            member = await self.cellar.get(cells.Member, entry.member)
            for public in member.devices if member else ():
                device = await self.cellar.get(cells.DeviceKeys, id_of(public))
                keys += [key for key, _ in device.keys] if device else []
        told["directory"] = (await self._receipt_of([newest]))[0]
        told["members"] = await self._by_digest([e.statement for e in directory.members])
        told["postings"] = await self._by_digest([e.statement for e in directory.postings])
        told["keys"] = await self._by_digest(keys)
        return told

    async def party_statements(self, reader: Reader, party: str, *, after: int, limit: int) -> Json:
        """Return all that was said of a party, in its order, to itself (API-47)."""
        if not reader.is_administrator and reader.party != party:
            raise NotHere(f"there is no party {party} for you")
        rows = await self.store.of_scope(party, after=after, limit=limit + 1)
        signed = [row for row in rows[:limit] if self._is_signed(row)]
        return {
            "statements": await self._receipt_of(signed),
            "more": len(rows) > len(signed),
        }

    async def statement(self, reader: Reader, digest: str) -> str:
        """Return the receipt of one statement (API-19)."""
        row = await self.store.entry_of(digest)
        if row is None or not self._is_signed(row):
            raise NotHere("there is no such statement for you")
        if not await self._may_read(reader, record_from(row.fields)):
            raise NotHere("there is no such statement for you")
        return (await self._receipt_of([row]))[0]

    def _is_signed(self, row: EntryRow) -> bool:
        """Committed is not enough: a signed checkpoint must cover it (design, law 2)."""
        return row.index < self.sequencer.published.head.size

    async def _by_digest(self, digests: Sequence[str]) -> list[str]:
        rows = []
        for digest in digests:
            row = await self.store.entry_of(digest)
            assert row is not None
            rows.append(row)
        return await self._receipt_of(rows)

    async def _may_know(self, reader: Reader, party: str) -> bool:
        if reader.is_administrator or reader.party == party:
            return True
        mine = await self.cellar.get(cells.PartyChannels, reader.party)
        theirs = await self.cellar.get(cells.PartyChannels, party)
        shared = set(mine.channels) & set(theirs.channels) if mine and theirs else set()
        for digest in sorted(shared):
            channel = await self.cellar.get(cells.Channel, digest)
            assert channel is not None
            if await self._sees(reader, channel) and await self._has_joined(party, channel):
                return True
        return False

    async def _has_joined(self, party: str, channel: cells.Channel) -> bool:
        """Whether a party spoke in a channel itself: a charter of others only names it."""
        pending = await self._pending(channel)
        for charter in (channel, *(amendment.proposed for amendment in pending)):
            if any(acceded.party == party for acceded in charter.acceded):
                return True
        if await self.cellar.get(cells.Rosters, channel.channel, party) is not None:
            return True
        charters = (channel.charter, *(amendment.charter for amendment in pending))
        for digest in charters:
            row = await self.store.entry_of(digest)
            if row is not None and record_from(row.fields).actor == party:
                return True
        return False

    async def _may_read(self, reader: Reader, record: Record) -> bool:
        if reader.is_administrator:
            return True
        facts = record.facts
        if isinstance(facts, NoteFacts):
            is_seen = await self._may_see(reader, facts.statement)
            return is_seen or await self._is_told_of(reader, facts)
        if party_of(record.actor) == reader.party:
            return True
        if isinstance(facts, ReleaseFacts | AboutNote):
            return await self._may_see(reader, facts.note)
        channel = await self.cellar.get(cells.Channel, record.channel.id)
        if channel is None:
            return await self._may_know(reader, party_of(record.actor))
        if isinstance(facts, CharterFacts):
            return reader.party in facts.parties or await self._sees(reader, channel)
        if isinstance(facts, AccessionFacts):
            return await self._sees(reader, channel)
        return record.kind in ("roster", "participation") and reader.party in channel.parties

    async def _is_told_of(self, reader: Reader, facts: NoteFacts) -> bool:
        """Return whether it was a draft whose release tells the asker that it replaces another note.

        The item of any other note that replaces one is that note: it says it by itself.
        """
        note = await self.cellar.get(cells.Note, facts.channel, facts.statement)
        row = await self.store.entry_of(note.release) if note and note.release else None
        if row is None or not self._is_signed(row):
            return False
        released = record_from(row.fields).facts
        replaced = released.replaced if isinstance(released, ReleaseFacts) else None
        return any(reader.by in old.told for old in replaced or ())

    async def _may_see(self, reader: Reader, digest: str) -> bool:
        try:
            await self._note(reader, digest, Sight.STATE)
        except NotHere:
            return False
        return True


def _note_facts(entry: Logged) -> NoteFacts | None:
    facts = record_from([opening.value for opening in entry.openings]).facts
    return facts if isinstance(facts, NoteFacts) else None


def _note_key(entry: Logged) -> cells.CellKey:
    """Return the key of the note that an entry is; its channel is where it is counted."""
    fields = {opening.name: opening.value for opening in entry.openings}
    place = Place.model_validate_json(fields["channel"])
    return cells.Note.key_of(place.id, fields["note"].decode("ascii"))


def _runs(indexes: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Give ranges that cover the indexes, so that neighbours are read together."""
    start = end = -1
    for index in sorted(set(indexes)):
        if start < 0 or index > end + 8:
            if start >= 0:
                yield start, end
            start = index
        end = index + 1
    if start >= 0:
        yield start, end
