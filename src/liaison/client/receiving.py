"""Receiving: what the node shows becomes a letter, or news, once its chain held.

What doesn't hold becomes ``Unopened``, with its reason, and nothing of it is shown. What is taken
when, and what is shown to whom, is ``member``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from liaison.client.acting import ENTRY
from liaison.client.answers import place_of, text_of
from liaison.client.cabinet import Kept
from liaison.client.doubts import Doubted
from liaison.client.evidence import STOP, keep
from liaison.client.granting import Granter
from liaison.client.links import ChannelView, LinkBroken
from liaison.client.news import (
    News,
    armed_in,
    armed_in_words,
    channel_in,
    in_words,
    note_in,
    note_shown,
    replaced_in,
    replaced_in_words,
)
from liaison.client.outcomes import Told
from liaison.client.reading import (
    Letter,
    check_about,
    check_answer,
    check_note,
    check_release,
    check_said,
    delivery_of,
    note_of,
    reference_of,
)
from liaison.client.watching import Entry, Happening, check_digest
from liaison.ledger.facts import (
    AboutNote,
    ContestedFacts,
    MomentFacts,
    NoteFacts,
    RearmedFacts,
    ReleaseFacts,
    ReplacedFacts,
)
from liaison.statements.payloads import Answer, Note
from liaison.statements.procedures import Release
from liaison.words.errors import (
    Busy,
    LiaisonError,
    Malformed,
    NodeUnreachable,
    NotAllowed,
    NotHere,
    NotReady,
    RecordUntrusted,
    SignatureInvalid,
    Unreadable,
)
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence

UNSETTLED_LOOKED_AT: Final = 200
"""So many of the newest notes are asked after."""


@dataclass(frozen=True)
class Unopened:
    """A note that was not opened; ``error`` says why, and nothing of the note is shown."""

    reference: str
    error: LiaisonError


class Receiver(Granter):
    """A member's home that opens what it is sent, and keeps it."""

    async def _news(
        self, kind: str, item: dict[str, object], entry: Entry | Happening
    ) -> Told | News | Unopened:
        """Return what an item tells of a note, or why it can't be believed."""
        try:
            index = place_of(text_of(item, "position"))[1]
            armed = armed_in(entry, index)
            if armed is not None and isinstance(entry, Happening):
                return await self._armed(kind, entry, armed)
            old = replaced_in(entry, index)
            if kind == "procedure" and old is not None and isinstance(entry, Entry):
                return await self._replaced(entry, old)
            return await self._told_of(kind, entry)
        except (NotReady, NotHere, LinkBroken, SignatureInvalid, Malformed) as exc:
            return self._unopened(f"entry {entry.index}", exc)

    def _unopened(self, reference: str, error: LiaisonError) -> Unopened:
        """Return what isn't shown. Where one must stop at it, what the node said is kept.

        It is not raised: what somebody broke must not keep from its reader what others sent.
        """
        if isinstance(error, STOP):
            error.happened = f"{reference} was not opened: {error.happened}"
        keep(self.home, error, self.transport.answers, self.now())
        return Unopened(reference, error)

    async def _told_of(self, kind: str, entry: Entry | Happening) -> Told | News:
        """Return an answer, or other news, once the chain of who said it holds."""
        if kind == "answer" and isinstance(entry, Entry):
            return await self._heard(entry)
        channel = await self._channel_of(channel_in(entry))
        digest, alias = note_in(entry), channel.cell.alias
        facts = entry.record.facts
        reference = alias
        if isinstance(facts, ReleaseFacts) and isinstance(entry, Entry):
            note = await self.source.statement(facts.note)
            await check_release(self.book, entry, note, channel)
            reference = f"{alias}/{facts.reference}"
            self.cabinet.rename(facts.note, reference)
        elif isinstance(entry, Entry):
            await check_said(self.book, entry, channel)
        if digest and reference == alias:
            is_kept = digest in self.cabinet
            reference = self.cabinet.reference(digest) if is_kept else self._named.get(digest, "")
            index = facts.index if isinstance(facts, MomentFacts | AboutNote) else None
            reference = reference or await self._reference_of(digest, channel, index)
        if digest in self.cabinet:
            check_about(entry, self.kept(self.cabinet.reference(digest)))
        if isinstance(entry, Happening):
            path = self.keep_happening(reference, entry)
        else:
            path = self._keep_receipt(f"{reference}.{kind}.{entry.index}", entry)
        is_urgent = kind in ("alert", "told", "missed-test")
        text = in_words(entry, reference)
        doubt = (
            self.book.doubt(entry.statement.payload, entry.at) if isinstance(entry, Entry) else None
        )
        return News(kind, reference, entry.at, text, is_urgent, path, doubt)

    async def _armed(self, kind: str, entry: Happening, armed: RearmedFacts) -> News:
        """Return that a note counts as taken on no more."""
        facts = entry.facts
        assert isinstance(facts, ContestedFacts)
        channel = await self._channel_of(channel_in(entry))
        reference = await self._known_as(
            entry, (armed.note, armed.index, armed.precedence), channel
        )
        path = self.keep_happening(reference, entry)
        is_said = await self.book.says_lost(facts.party, facts.member, facts.device, facts.since)
        text = armed_in_words(facts, armed, reference, is_said=is_said)
        return News(kind, reference, entry.at, text, True, path)

    async def _known_as(
        self, entry: Entry | Happening, named: tuple[str, int, Precedence], channel: ChannelView
    ) -> str:
        """Return the reference of another note that an entry names by digest, index and precedence.

        Raises:
            RecordUntrusted: this home knows that note, and it isn't so.
        """
        digest, index, precedence = named
        if digest not in self.cabinet:
            return await self._reference_of(digest, channel, index)
        reference = self.cabinet.reference(digest)
        kept = self.kept(reference)
        if (kept.index, kept.note.precedence.action) != (index, precedence):
            raise says_what_is_not(entry)
        return reference

    async def _replaced(self, entry: Entry, old: ReplacedFacts) -> News:
        """Return that another note took the place of one, once it holds and names that one."""
        channel = await self._channel_of(channel_in(entry))
        facts, found = entry.record.facts, entry
        if isinstance(facts, ReleaseFacts):
            found = await self.source.statement(facts.note)
            await check_release(self.book, entry, found, channel)
        else:
            await check_note(self.book, entry, channel)
        note = note_of(found)
        if old.note not in (note.supersedes, note.amends):
            raise says_what_is_not(entry)
        reference = await self._known_as(entry, (old.note, old.index, old.precedence), channel)
        path = self._keep_receipt(f"{reference}.procedure.{entry.index}", entry)
        text = replaced_in_words(note, old.note, reference, entry.record.actor)
        doubt = self._doubt(found, note, entry)
        return News("procedure", reference, entry.at, text, False, path, doubt)

    async def _reference_of(self, digest: str, channel: ChannelView, index: int | None) -> str:
        """Return the reference of a note that this member is told of and can't read.

        Where the node shows no receipt that gives it one, the entry at ``index`` is what the record
        names.
        """
        named: str | None = None
        with suppress(NotHere, Malformed, RecordUntrusted):
            named = await self._named_in_log(digest, channel)
        return named or f"{channel.cell.alias}/{'a note' if index is None else f'{ENTRY}{index}'}"

    async def _shown(
        self, item: dict[str, object], entry: Entry | Happening
    ) -> tuple[Entry, Entry | None]:
        """Return the entry of the note that an item shows, and its release if it was a draft."""
        if isinstance(entry, Entry) and isinstance(entry.statement.payload, Note):
            return entry, None
        index = place_of(text_of(item, "position"))[1]
        found = await self.source.statement(note_shown(entry, index))
        if found.index != index:
            raise RecordUntrusted(
                f"The node shows entry {found.index} where the note of entry {index} was shown",
                safe="nothing of it is shown",
                do="tell the node's operator",
            )
        if isinstance(entry, Entry) and isinstance(entry.statement.payload, Release):
            return found, entry
        return found, None

    async def _open(
        self,
        entry: Entry,
        channel: ChannelView,
        content: dict[str, object] | None,
        release: Entry | None = None,
    ) -> Letter:
        """Verify and open, keep it in the cabinet, and return it."""
        note = await check_note(self.book, entry, channel)
        digest = entry.statement.digest
        if release is None and note.drafted and party_of(note.by) != self.device.party:
            release = await self._release_of(digest)
        said: Release | None = None
        reference = ""
        if release is not None:
            said, facts = await check_release(self.book, release, entry, channel)
            self.watch.gossip(said.by, said.checkpoint, release.index)
            reference = f"{channel.cell.alias}/{facts.reference}"
        if content is None:
            content = await self.transport.read(f"/v1/notes/{check_digest(digest)}/content")
        opened = await self._opened(entry, note, channel, delivery_of(content), said)
        self.watch.gossip(note.by, note.checkpoint, entry.index)
        reference = self._reference(entry, channel.cell.alias, reference)
        if release is not None:
            self._keep_receipt(f"{reference}.release", release)
        kept = Kept(digest, reference, entry.receipt, opened, entry.at)
        self.keeping.keep(channel.cell.alias, channel.cell.terms, kept)
        return Letter(
            digest,
            note.channel,
            reference,
            entry.index,
            entry.at,
            note,
            opened,
            entry.receipt,
            self._doubt(entry, note, release),
        )

    async def _heard(self, entry: Entry) -> Told:
        answer, _ = await check_answer(self.book, entry)
        channel = await self._channel_of(answer.channel)
        alias = channel.cell.alias
        if party_of(answer.by) not in channel.cell.parties:
            raise LinkBroken("charter", f"{party_of(answer.by)} is not a party of {alias}")
        for digest in answer.notes:
            if digest in self.cabinet and self.cabinet.channel(digest) != alias:
                raise LinkBroken("charter", f"An answer in {alias} names a note of another channel")
        return self._told(alias, self._references(answer.notes), entry)

    def _references(self, digests: Sequence[str]) -> str:
        return ", ".join(self.cabinet.reference(digest) for digest in digests)

    # What is kept

    async def read(self, reference: str) -> Letter:
        """Return a note from the cabinet, fetching what isn't there: what is new, or isn't kept.

        Reading never acknowledges, and what was fetched is still shown by ``inbox``. The receipt
        goes into a file; the cabinet has had it since the note was opened.

        Raises:
            NotHere: no such note.
            LinkBroken, SignatureInvalid, Unreadable: it can't be opened; nothing of it is shown.
        """
        if not self.cabinet.has(reference):
            await self._fetch(reference)
            await self.cabinet.sync()
        letter = self.kept(reference)
        await self._ask_after(party_of(letter.note.by))
        if self.book.has_doubts():
            letter = self.kept(reference)
        if not self.cabinet.holds(letter.digest):
            channel = await self._channel_of(letter.channel)
            letter = await self._open(self.watch.verify(letter.receipt), channel, None)
        self._receipts.put(self.home.path(f"receipts/{reference}.receipt"), letter.receipt)
        await self._receipts.flush()
        return letter

    async def _fetch(self, reference: str) -> None:
        """Look for a note among all that this member was sent, and open it."""
        alias = reference.rpartition("/")[0]
        async for item, entry in self._all_items():
            if item.get("kind") not in ("note", "copy"):
                continue
            try:
                found, release = await self._shown(item, entry)
                named = reference_of(found, alias)
            except (NotHere, RecordUntrusted):
                continue  # what can't be had of one keeps back no other
            if release is not None:
                facts = release.record.facts
                assert isinstance(facts, ReleaseFacts)
                named = f"{alias}/{facts.reference}"
            if named == reference and found.statement.digest not in self.cabinet:
                channel = await self._channel_of(note_of(found).channel)
                if channel.cell.alias == alias:
                    try:
                        await self._open(found, channel, None, release)
                    except Unreadable as exc:
                        raise await self._judged(found, exc) from exc
                    return

    async def citation(self, reference: str) -> str:
        """Return how an answer cites a note: number and date."""
        letter = await self.read(reference)
        entry = self.watch.verify(letter.receipt)
        if letter.note.drafted:
            entry = await self._release_of(letter.digest)
        facts, what = entry.record.facts, letter.note.kind
        if isinstance(facts, ReleaseFacts) and facts.note != letter.digest:
            raise LinkBroken("release", f"The node shows another release than that of {reference}")
        if isinstance(facts, NoteFacts | ReleaseFacts) and facts.number is not None:
            what += f" {facts.number.number}/{facts.number.year}"
        return f"With reference to {what} of {letter.note.dtg} ({reference}):"

    async def doubted(self, reference: str) -> list[Doubted]:
        """Return what was said of a note, and is kept here, by keys that were in other hands.

        The parties of its channel are asked anew; what they said before is known where they can't be.
        """
        digest, view = await self.find(reference)
        for party in view.cell.parties:
            await self._ask_after(party)
        if not self.book.has_doubts():
            return []
        name = self.home.path(f"receipts/{reference}").name
        found: list[Doubted | None] = []
        for path in self.home.path(f"receipts/{reference}").parent.glob(f"{name}.*receipt"):
            with self.going_on(path.name):
                found.append(self._doubted(self.watch.verify_any(path.read_text("utf-8"))))
        for other in self.cabinet.references()[-UNSETTLED_LOOKED_AT:]:
            with self.going_on(other):
                letter = self.kept(other)
                if letter.doubt is not None and letter.note.in_reply_to == digest:
                    found.append(Doubted(f"answered with {other}", letter.at, letter.doubt))
        return sorted({one for one in found if one is not None}, key=lambda one: one.at)

    def _doubted(self, entry: Entry | Happening) -> Doubted | None:
        if isinstance(entry, Happening):
            return None
        said = entry.statement.payload
        doubt = self.book.doubt(said, entry.at)
        what = said.verdict.value if isinstance(said, Answer) else entry.statement.kind
        return Doubted(what, entry.at, doubt) if doubt is not None else None

    async def _ask_after(self, party: str) -> None:
        """Ask what a party says of its keys now; where it can't be had, what it said before serves."""
        with suppress(NodeUnreachable, Busy, NotAllowed, NotReady):
            await self.book.standing(party)


def says_what_is_not(entry: Entry | Happening) -> RecordUntrusted:
    return RecordUntrusted(
        f"Entry {entry.index} says of another note what it isn't",
        safe="nothing of it is shown",
        do="keep the receipt and show it to the auditors",
    )


def taken_back(reference: str) -> NotHere:
    return NotHere(
        f"{reference} can't be read any more",
        safe="it was withdrawn, superseded or not delivered in time; the log keeps that",
        do="ask its sender, if you expected it",
    )
