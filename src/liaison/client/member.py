"""A member's client: it sends, lists what is new, reads and answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

from liaison.client.acting import ENTRY
from liaison.client.answers import object_of, objects_of, place_of, text_of
from liaison.client.cabinet import Kept
from liaison.client.doubts import Doubted
from liaison.client.evidence import STOP, keep
from liaison.client.following import PACING, WINDOW, Batch, Flow, Frame, Gathering, Pacing
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
from liaison.client.receipts import keep_refusal
from liaison.client.seat import exercise_lead
from liaison.client.watching import Entry, Happening, check_digest
from liaison.client.writing import made
from liaison.ledger.facts import (
    ContestedFacts,
    MomentFacts,
    NoteFacts,
    RearmedFacts,
    ReleaseFacts,
    ReplacedFacts,
)
from liaison.rules.inbox import items_of
from liaison.statements.payloads import (
    MAX_ANSWERED,
    AddresseeRole,
    Answer,
    Note,
    Verdict,
)
from liaison.statements.procedures import Release
from liaison.statements.statement import make_statement
from liaison.words.canonical import MAX_INTEGER
from liaison.words.errors import (
    Busy,
    LiaisonError,
    LogUntrusted,
    Malformed,
    NodeUnreachable,
    NotAllowed,
    NotHere,
    NotReady,
    RefusedByNode,
    SignatureInvalid,
    Unreadable,
)
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND

INBOX: Final = "inbox.json"
PAGE_ITEMS: Final = 128
URGENT: Final = frozenset({Precedence.FLASH, Precedence.OVERRIDE})
"""That these are delivered is said at once."""
_TAKEN_ON: Final = frozenset({"already-acknowledged", "already-declined"})
TRIES: Final = 3
"""So often an item is sent again that can't be had whole, before it is passed over."""
UNSETTLED_LOOKED_AT: Final = 200
"""So many of the newest notes are asked after."""


@dataclass(frozen=True)
class Unopened:
    """A note that was not opened; ``error`` says why, and nothing of the note is shown."""

    reference: str
    error: LiaisonError


Item = Letter | Told | News | Unopened
_Unshown = dict[str, Item | None]
"""What was taken and not shown, by position, or digest where it was tried again; None is to be taken anew."""


@dataclass
class _Stored:
    """What came of a batch: the positions taken, and why not all of them."""

    positions: list[str] = field(default_factory=list)
    is_urgent: bool = False
    lost: NodeUnreachable | Busy | None = None


class Client(Granter):
    """A member's home at work. Use ``async with Client.open(home, passphrase)``."""

    # Reading

    async def inbox(self) -> list[Item]:
        """Return what came since the last time, once; what opened is *delivered*, by this device.

        Raises:
            LogUntrusted: the node shows what the log doesn't hold; nothing more is shown.
        """
        await self.tend()
        state = self._read_state()
        unshown = _unshown_in(state)
        await self._take_again(state, unshown)
        more = True
        while more:
            after = str(state.get("position", ""))
            query = (
                f"?after={after}&limit={PAGE_ITEMS}&content=1"
                if after
                else (f"?limit={PAGE_ITEMS}&content=1")
            )
            page = await self.transport.read(f"/v1/inbox{query}")
            shown = objects_of(page, "items")
            for item in shown:
                entry = self.watch.verify_any(text_of(item, "receipt"))
                position = self._position(item, entry, str(state.get("position", "")))
                if place_of(position) > _reached(state, _level(item)):
                    seen = await self._take(item, entry, state)
                    unshown |= {} if seen is None else {position: seen}
                _move(state, position)
            # The cabinet first: once the position moved, only what is written down is shown again.
            await self.cabinet.sync()
            await self._receipts.flush()
            self._keep_unshown(state, unshown)
            more = bool(page.get("more")) and bool(shown)
            if not more or len(_list(state, "owed")) >= MAX_ANSWERED:
                # Not only at the end: what is owed is written down again with each page.
                await self._answer_owed(state)
        # Not before: a later page that can't be had must not lose what an earlier one brought.
        self._keep_unshown(state, {})
        self._watch_on()
        return [item for item in unshown.values() if item is not None]

    async def follow(
        self,
        *,
        idle: Callable[[], None] = lambda: None,
        lost: Callable[[LiaisonError], None] = lambda _: None,
        pacing: Pacing = PACING,
    ) -> AsyncGenerator[Item]:
        """Give each item once as it comes, the urgent first, across reconnections and restarts.

        ``idle`` is called each time all that waited has been given, ``lost`` when the node can't be
        had, which is tried again and again. Close it when done
        (``contextlib.aclosing``): what it has taken and not given is given the next time. After a
        crash what was being given is given again, 32 items at most.

        Raises:
            NotAllowed: this device may read no longer.
            NotReady: another process follows with the key of this device.
            LogUntrusted: the node shows what the log doesn't hold; nothing more is shown.
        """
        state, tries = self._read_state(), Counter[str]()
        unshown = _unshown_in(state)
        flow = Flow(self.transport, partial(self._hello, state, unshown), pacing, lost)
        gathering = Gathering(partial(self._answer_all, state), pacing, flow.fail)
        try:
            while True:
                batch = await flow.batch()
                stored = await self._store(batch, state, unshown, tries)
                await flow.got(stored.positions)
                if _list(state, "owed"):
                    gathering.owe(is_urgent=stored.is_urgent or _fills_a_statement(state))
                self._watch_on()
                while unshown:
                    item = unshown.pop(next(iter(unshown)))
                    if item is not None:
                        yield item
                self._keep_unshown(state, unshown)
                if stored.lost is not None:
                    await flow.lose(stored.lost)
                elif batch.is_caught_up:
                    idle()
        finally:
            self._keep_unshown(state, unshown)
            await flow.close()
            await gathering.close()

    async def _hello(self, state: dict[str, object], unshown: _Unshown) -> Frame:
        """Return what this device says that it has, when it joins the stream."""
        self._ahead = await exercise_lead(self.pins.node, self.transport, self._clock)
        await self.tend()
        # A stream lasts a quarter of an hour: so old is at most what was read of others.
        self.book.forget()
        await self._take_again(state, unshown)
        hello: Frame = {"type": "hello", "window": WINDOW, "reached": _object(state, "reached")}
        if state.get("position"):
            hello["after"] = state["position"]
        return hello

    async def _store(
        self,
        batch: Batch,
        state: dict[str, object],
        unshown: _Unshown,
        tries: Counter[str],
    ) -> _Stored:
        """Take a batch, and write down that it was, before the node hears of it."""
        stored = _Stored()
        # Nothing of it stands in the state before all does: *delivered* is written there meanwhile.
        before, items = dict(_object(state, "reached")), dict[str, Item]()
        reached = {**state, "reached": before}
        for item in batch.items:
            level, position = _level(item), text_of(item, "position")
            if place_of(position) > _reached(reached, level):
                try:
                    entry = self.watch.verify_any(text_of(item, "receipt"))
                    self._position(item, entry, "")
                    seen = await self._take(item, entry, state)
                except (NodeUnreachable, Busy) as exc:
                    tries[position] += 1
                    if tries[position] < TRIES:
                        stored.lost = exc  # it, and what comes behind it, is sent again
                        break
                    # One item must not keep back all others; it is tried again at each joining.
                    _list(state, "skipped").append(position)
                    seen = Unopened(f"entry {position}", exc)
                if seen is not None:
                    items[position] = seen
                before[level.value] = position
                stored.is_urgent = stored.is_urgent or level in URGENT
            stored.positions.append(position)
        await self.cabinet.sync()
        await self._receipts.flush()
        unshown.update(items)
        state["reached"] = before
        if batch.is_caught_up and stored.lost is None and before:
            _move(state, max((str(at) for at in before.values()), key=place_of))
        if batch.items or unshown:
            self._keep_unshown(state, unshown)
        return stored

    def _keep_unshown(self, state: dict[str, object], unshown: _Unshown) -> None:
        """Write down where this home is, and what of it nobody has been shown."""
        state["unshown"] = list(unshown)
        self.home.write_state(INBOX, state)

    async def _take_again(self, state: dict[str, object], unshown: _Unshown) -> None:
        """Take again what was taken and not shown, and what couldn't be had, or not be judged, before.

        What this doesn't come to, because the node is gone or it is ended, stays to be taken.
        """
        for name in [name for name, item in unshown.items() if item is None]:
            again = self._take_at if "." in name else self._take_note
            item = await again(name, state)
            if item is None:
                del unshown[name]
            else:
                unshown[name] = item
        for position in [str(one) for one in _list(state, "skipped")]:
            try:
                item = await self._take_at(position, state)
            except (NodeUnreachable, Busy):
                continue  # it was said that it can't be had
            _list(state, "skipped").remove(position)
            unshown |= {} if item is None else {position: item}
        for digest in [str(one) for one in _list(state, "unopened")]:
            item = await self._take_note(digest, state)
            if isinstance(item, Unopened) and isinstance(item.error, NotReady):
                continue  # it was said that it can't be judged yet
            _list(state, "unopened").remove(digest)
            unshown |= {} if item is None else {digest: item}

    async def _take_at(self, position: str, state: dict[str, object]) -> Item | None:
        page = await self.transport.read(f"/v1/inbox?limit=1&content=1{_before(position)}")
        for item in objects_of(page, "items")[:1]:
            if item.get("position") == position:
                entry = self.watch.verify_any(text_of(item, "receipt"))
                self._position(item, entry, "")
                return await self._take(item, entry, state)
        return Unopened(f"entry {position}", NotHere("The node doesn't show it any more"))

    def _read_state(self) -> dict[str, object]:
        """Return how far the inbox was read, what is owed, what couldn't be judged or wasn't shown."""
        state = self.home.read_state(INBOX)
        owed = cast("list[dict[str, str]]", _list(state, "owed"))
        self._owing = {(one["post"], one["digest"]) for one in owed}
        return state

    def _position(self, item: dict[str, object], entry: Entry | Happening, before: str) -> str:
        """Return an item's position, which is behind ``before`` and that of the entry shown.

        Else a node could lead this home round in circles, or past notes that it never showed.
        """
        position = text_of(item, "position")
        place = place_of(position)
        if (
            place[0] != entry.index
            or place[1] > entry.index
            or (before and place <= place_of(before))
        ):
            raise LogUntrusted(
                f"The node shows entry {entry.index} at the position {position}",
                safe="nothing of it is shown; the inbox stays where it was",
                do="tell the node's operator",
            )
        self._check_item(item, entry, place[1])
        return position

    def _check_item(self, item: dict[str, object], entry: Entry | Happening, note: int) -> None:
        """Return if the record makes such an item for this member: the node labels nothing.

        Raises:
            LogUntrusted: it makes none, of another kind or of another precedence.
        """
        said = (self.device.member, note, item.get("kind"), item.get("precedence"))
        if said not in {
            (row.member, row.note_index, row.kind, row.precedence)
            for row in items_of(entry.record.facts, entry.index)
        }:
            raise LogUntrusted(
                f"The node shows entry {entry.index} as what it isn't: {str(said[2])[:40]}",
                safe="nothing of it is shown; the inbox stays where it was",
                do="keep this home as it is and tell the auditors",
            )

    async def _take(
        self, item: dict[str, object], entry: Entry | Happening, state: dict[str, object]
    ) -> Item | None:
        kind = item.get("kind")
        reference = f"entry {entry.index}"
        if self._is_for_another_device(entry):
            return None
        if kind not in ("note", "copy"):
            return await self._news(str(kind), item, entry)
        try:
            found, release = await self._shown(item, entry)
        except NotHere:
            return Unopened(reference, _taken_back(reference))
        digest = found.statement.digest
        if digest in self.cabinet and (kind != "note" or self.cabinet.holds(digest)):
            if kind != "note":
                return None
            # It was opened by ``read``, or just before a crash: it was not shown here yet.
            kept = self.kept(self.cabinet.reference(digest))
            await self._owe(state, kept.note, digest, "")
            return kept
        try:
            note = note_of(found)
            channel = await self._channel_of(note.channel)
            reference = self._named[digest] = reference_of(found, channel.cell.alias)
            given = item.get("content") if found is entry else None
            content = given if isinstance(given, dict) else None
            letter = await self._open(found, channel, content, release)
        except NotReady as exc:
            # Not yet to be judged: it is tried again, and no answer is given.
            if digest not in _list(state, "unopened"):
                _list(state, "unopened").append(digest)
            return Unopened(reference, exc)
        except NotHere:
            return Unopened(reference, _taken_back(reference))
        except (LinkBroken, SignatureInvalid, Unreadable, Malformed) as exc:
            said = await self._judged(found, exc)
            if said is exc:
                await self._owe(state, note_of(found), digest, _reason(exc))
            return self._unopened(reference, said)
        await self._owe(state, note, digest, "")
        return letter

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
            index = facts.index if isinstance(facts, MomentFacts) else None
            reference = reference or await self._reference_of(digest, alias, index)
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
            entry, (armed.note, armed.index, armed.precedence), channel.cell.alias
        )
        path = self.keep_happening(reference, entry)
        return News(kind, reference, entry.at, armed_in_words(facts, armed, reference), True, path)

    async def _known_as(
        self, entry: Entry | Happening, named: tuple[str, int, Precedence], alias: str
    ) -> str:
        """Return the reference of another note that an entry names by digest, index and precedence.

        Raises:
            LogUntrusted: this home knows that note, and it isn't so.
        """
        digest, index, precedence = named
        if digest not in self.cabinet:
            return await self._reference_of(digest, alias, index)
        reference = self.cabinet.reference(digest)
        kept = self.kept(reference)
        if (kept.index, kept.note.precedence.action) != (index, precedence):
            raise _says_what_is_not(entry)
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
            raise _says_what_is_not(entry)
        reference = await self._known_as(
            entry, (old.note, old.index, old.precedence), channel.cell.alias
        )
        path = self._keep_receipt(f"{reference}.procedure.{entry.index}", entry)
        text = replaced_in_words(note, old.note, reference, entry.record.actor)
        doubt = self._doubt(found, note, entry)
        return News("procedure", reference, entry.at, text, False, path, doubt)

    async def _reference_of(self, digest: str, alias: str, index: int | None) -> str:
        """Return the reference of a note that this member is told of and can't read.

        Where the node doesn't say it either, the entry at ``index`` is what the record names.
        """
        try:
            answer = await self.transport.read(f"/v1/notes/{check_digest(digest)}")
        except NotHere:
            return f"{alias}/a note" if index is None else f"{alias}/{ENTRY}{index}"
        number = object_of(answer, "state").get("reference")
        return f"{alias}/{number}" if isinstance(number, int) and number else f"{alias}/a draft"

    async def _shown(
        self, item: dict[str, object], entry: Entry | Happening
    ) -> tuple[Entry, Entry | None]:
        """Return the entry of the note that an item shows, and its release if it was a draft."""
        if isinstance(entry, Entry) and isinstance(entry.statement.payload, Note):
            return entry, None
        index = place_of(text_of(item, "position"))[1]
        found = await self.source.statement(note_shown(entry, index))
        if found.index != index:
            raise LogUntrusted(
                f"The node shows entry {found.index} where the note of entry {index} was shown",
                safe="nothing of it is shown",
                do="tell the node's operator",
            )
        if isinstance(entry, Entry) and isinstance(entry.statement.payload, Release):
            return found, entry
        return found, None

    async def _take_note(self, digest: str, state: dict[str, object]) -> Item | None:
        """Take the note of a digest, whatever made it visible."""
        answer = await self.transport.read(f"/v1/notes/{check_digest(digest)}")
        entry = self.watch.verify(text_of(answer, "receipt"))
        if entry.statement.digest != digest:
            raise LogUntrusted(
                f"The node shows entry {entry.index} where another note was asked for",
                safe="nothing of it is shown",
                do="tell the node's operator",
            )
        return await self._take({"kind": "note"}, entry, state)

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
        kept = self.home.path(f"receipts/{reference}").parent.glob(f"{name}.*receipt")
        found = [self._doubted(self.watch.verify_any(path.read_text("utf-8"))) for path in kept]
        for other in self.cabinet.references()[-UNSETTLED_LOOKED_AT:]:
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
        async for item in self._all_items():
            if item.get("kind") not in ("note", "copy"):
                continue
            entry = self.watch.verify_any(text_of(item, "receipt"))
            found, release = await self._shown(item, entry)
            named = reference_of(found, alias)
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

    async def state(self, letter: Letter) -> list[dict[str, object]]:
        """Return what the node says of each addressee's state; it proves nothing."""
        answer = await self.transport.read(f"/v1/notes/{check_digest(letter.digest)}")
        state = object_of(answer, "state")
        return objects_of(state, "addressees")

    async def acknowledge(self, reference: str) -> Told:
        """Take a note on, for the post that it is addressed to; tell who was first.

        Raises:
            NotHere: it isn't in the cabinet: it must be opened first.
            RefusedByNode: it was acknowledged for this post before, or isn't for action.
            Waiting: no receipt came; the answer stands in the outbox.
        """
        return await self._reply_with(reference, Verdict.ACKNOWLEDGED)

    async def decline(self, reference: str, reason: str) -> Told:
        """Say that this post doesn't take a note on; its ladder climbs at once. Raises as above."""
        return await self._reply_with(reference, Verdict.DECLINED, reason=reason)

    async def is_asked(self, letter: Letter) -> bool:
        """Return whether a note still waits for this member's post to take it on."""
        mine = set(await self._posts_of(letter.note))
        return any(
            one.get("post") in mine
            and one.get("role") != AddresseeRole.INFO.value
            and one.get("life") in ("queued", "delivered")
            for one in await self.state(letter)
        )

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

    async def unsettled_notes(self) -> list[str]:
        """Return the references of this member's own notes that wait for somebody.

        What is due first comes first; last what nothing is due of: drafts.
        """
        dues: dict[str, int] = {}
        for reference in self.cabinet.references()[-UNSETTLED_LOOKED_AT:]:
            letter = self.kept(reference)
            if letter.note.by != self.device.member:
                continue
            state = await self.status(reference)
            coming = objects_of(state, "next")
            if coming or state.get("draft"):
                times = [one["due"] for one in coming]
                dues[reference] = min(
                    (at for at in times if isinstance(at, int)), default=MAX_INTEGER
                )
        return sorted(dues, key=lambda reference: dues[reference])

    async def _reply_with(
        self, reference: str, verdict: Verdict, *, reason: str | None = None
    ) -> Told:
        await self.tend()
        letter = await self.read(reference)
        posts = await self._posts_of(letter.note)
        if not posts:
            raise NotReady(
                f"{reference} is not addressed to a post that you hold",
                safe="nothing was sent",
            )
        channel = await self._channel_of(letter.channel)
        payload = self._answer(
            channel, posts[0], verdict, (letter.digest,), code=None, reason=reason
        )
        alias = channel.cell.alias
        signed = self._signed("answer", letter.channel, alias, payload, {}, reference)
        await self.outbox.keep(signed)
        try:
            entry = await self._submit(signed)
        except RefusedByNode as exc:
            self.outbox.refused(signed.digest, is_free=True)
            if exc.problem in _TAKEN_ON:
                exc.do = exc.do or "nothing is left to do for this post: see liaison status"
            raise
        with self._ending(signed, entry):
            told = self._told(alias, reference, entry)
            await self._receipts.flush()
            return told

    def _answer(
        self,
        channel: ChannelView,
        post: str,
        verdict: Verdict,
        notes: Iterable[str],
        *,
        code: str | None,
        reason: str | None = None,
    ) -> Answer:
        now = self.now()
        return made(
            Answer,
            by=self.device.member,
            key=self.device.key.id,
            issued=now,
            lapse=now + channel.cell.terms.lapse_max_s * SECOND,
            log=self._origin,
            channel=channel.cell.channel,
            post=post,
            verdict=verdict,
            notes=tuple(sorted(notes)),
            code=code,
            reason=reason,
        )

    async def _owe(self, state: dict[str, object], note: Note, digest: str, code: str) -> None:
        """Note down that an answer is due: it survives a crash with the inbox position."""
        for post in await self._posts_of(note):
            if (post, digest) in self._owing:
                continue
            self._owing.add((post, digest))
            _list(state, "owed").append(
                {"channel": note.channel, "code": code, "digest": digest, "post": post}
            )

    async def _answer_owed(self, state: dict[str, object]) -> None:
        """Say *delivered* or *unreadable*, gathered by channel and post."""
        owed = cast("list[dict[str, str]]", _list(state, "owed"))
        groups: dict[tuple[str, str, str], list[str]] = {}
        for one in owed:
            key = (one["channel"], one["post"], one["code"])
            groups.setdefault(key, []).append(one["digest"])
        said: set[tuple[str, str]] = set()
        for (channel, post, code), digests in groups.items():
            for start in range(0, len(digests), MAX_ANSWERED):
                notes = digests[start : start + MAX_ANSWERED]
                if await self._say(channel, post, code, notes):
                    said |= {(post, digest) for digest in notes}
        if said:
            state["owed"] = [one for one in owed if (one["post"], one["digest"]) not in said]
            self.home.write_state(INBOX, state)

    async def _answer_all(self, state: dict[str, object]) -> bool:
        """Say what is owed; return whether nothing is any more."""
        await self._answer_owed(state)
        return not _list(state, "owed")

    async def _say(self, channel_id: str, post: str, code: str, notes: Sequence[str]) -> bool:
        """Return whether nothing is owed any more; else the next ``inbox`` says it."""
        try:
            channel = await self._channel_of(channel_id)
            verdict = Verdict.UNREADABLE if code else Verdict.DELIVERED
            answer = self._answer(channel, post, verdict, notes, code=code or None)
            said = make_statement(answer, self.device.key)
        except (LinkBroken, SignatureInvalid, NotReady, NodeUnreachable, Busy):
            return False  # a channel that can't be trusted is not answered in either
        try:
            self.take_receipt(await self._submitted(said), said.raw)
        except (NodeUnreachable, Busy):
            return False
        except RefusedByNode as exc:
            if exc.problem != "already-so" and len(notes) > 1:
                # It is refused as a whole: one that is no longer ours to say keeps back no other.
                half = len(notes) // 2
                parts = [notes[:half], notes[half:]]
                return all([await self._say(channel_id, post, code, part) for part in parts])
            if exc.problem != "already-so":
                keep_refusal(self.home, self.pins.node, said, exc)
        return True


def _says_what_is_not(entry: Entry | Happening) -> LogUntrusted:
    return LogUntrusted(
        f"Entry {entry.index} says of another note what it isn't",
        safe="nothing of it is shown",
        do="keep the receipt and show it to the auditors",
    )


def _taken_back(reference: str) -> NotHere:
    return NotHere(
        f"{reference} can't be read any more",
        safe="it was withdrawn, superseded or not delivered in time; the log keeps that",
        do="ask its sender, if you expected it",
    )


def _reason(exc: LiaisonError) -> str:
    if isinstance(exc, Unreadable):
        return exc.reason
    if isinstance(exc, LinkBroken):
        return exc.link
    return "signature" if isinstance(exc, SignatureInvalid) else "malformed"


def _before(position: str) -> str:
    """Return the part of a query that asks for what stands at a position and behind it."""
    pos, number = place_of(position)
    if number:
        return f"&after={pos}.{number - 1}"
    return f"&after={pos - 1}.{MAX_INTEGER}" if pos else ""


def _level(item: dict[str, object]) -> Precedence:
    try:
        return Precedence(text_of(item, "precedence"))
    except ValueError as exc:
        raise Malformed("the node's answer: precedence is none") from exc


def _reached(state: dict[str, object], level: Precedence) -> tuple[int, int]:
    """Return up to where everything of a precedence was taken."""
    known = (state.get("position"), _object(state, "reached").get(level.value))
    return max((place_of(str(at)) for at in known if at), default=(-1, -1))


def _unshown_in(state: dict[str, object]) -> _Unshown:
    return dict.fromkeys(str(one) for one in _list(state, "unshown"))


def _move(state: dict[str, object], position: str) -> None:
    """Have everything up to ``position`` taken, whatever its precedence."""
    place = place_of(position)
    if not state.get("position") or place > place_of(str(state["position"])):
        state["position"] = position
    reached = _object(state, "reached")
    state["reached"] = {level: at for level, at in reached.items() if place_of(str(at)) > place}


def _fills_a_statement(state: dict[str, object]) -> bool:
    owed = cast("list[dict[str, str]]", _list(state, "owed"))
    counts = Counter((one["channel"], one["post"], one["code"]) for one in owed)
    return max(counts.values(), default=0) >= MAX_ANSWERED


def _object(state: dict[str, object], name: str) -> dict[str, object]:
    return cast("dict[str, object]", state.setdefault(name, {}))


def _list(state: dict[str, object], name: str) -> list[object]:
    return cast("list[object]", state.setdefault(name, []))
