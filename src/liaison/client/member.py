"""A member's client: it lists and follows what is new, each item once.

How an item is opened is ``receiving``'s, what is answered to it ``answering``'s, and how far this
home came is written down as ``reached`` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

from liaison.client.answering import Answerer, reason_of
from liaison.client.answers import objects_of, place_of, text_of
from liaison.client.following import PACING, WINDOW, Batch, Flow, Frame, Gathering, Pacing
from liaison.client.items import entry_at
from liaison.client.links import LinkBroken
from liaison.client.news import News
from liaison.client.outcomes import Told
from liaison.client.reached import (
    INBOX,
    fills_a_statement,
    level_of,
    list_in,
    move,
    object_in,
    query_at,
    reached_at,
)
from liaison.client.reading import Letter, note_of, reference_of
from liaison.client.receiving import UNSETTLED_LOOKED_AT, Unopened, taken_back
from liaison.client.seat import exercise_lead
from liaison.client.watching import Entry, Happening, check_digest
from liaison.statements.payloads import MAX_ANSWERED
from liaison.words.canonical import MAX_INTEGER
from liaison.words.errors import (
    Busy,
    LiaisonError,
    LogUntrusted,
    Malformed,
    NodeUnreachable,
    NotHere,
    NotReady,
    RecordUntrusted,
    SignatureInvalid,
    Unreadable,
)
from liaison.words.precedence import Precedence

PAGE_ITEMS: Final = 128
URGENT: Final = frozenset({Precedence.FLASH, Precedence.OVERRIDE})
"""That these are delivered is said at once."""
TRIES: Final = 3
"""So often an item is sent again that can't be had whole, before it is passed over."""

Item = Letter | Told | News | Unopened
_Unshown = dict[str, Item | None]
"""What was taken and not shown, by position, or digest where it was tried again; None is to be taken anew."""


@dataclass
class _Stored:
    """What came of a batch: the positions taken, and why not all of them."""

    positions: list[str] = field(default_factory=list)
    is_urgent: bool = False
    lost: NodeUnreachable | Busy | None = None


class Client(Answerer):
    """A member's home at work. Use ``async with Client.open(home, passphrase)``."""

    async def inbox(self) -> list[Item]:
        """Return what came since the last time, once; what opened is *delivered*, by this device.

        Raises:
            LogUntrusted: the node shows what the log doesn't hold; nothing more is shown.
        """
        items = await self.unshown()
        self.shown()
        return items

    def shown(self) -> None:
        """Write down that somebody was shown all that is ``unshown``: it isn't returned again."""
        self._keep_unshown(self._read_state(), {})

    async def unshown(self) -> list[Item]:
        """As ``inbox``, but the same is returned again until it was said to be ``shown``."""
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
                before, position = str(state.get("position", "")), text_of(item, "position")
                entry = entry_at(self.watch, item, self.device.member, before)
                if place_of(position) > reached_at(state, level_of(item)):
                    seen = await self._take(item, entry, state)
                    unshown |= {} if seen is None else {position: seen}
                move(state, position)
            # The cabinet first: once the position moved, only what is written down is shown again.
            await self.cabinet.sync()
            await self._receipts.flush()
            self._keep_unshown(state, unshown)
            more = bool(page.get("more")) and bool(shown)
            if not more or len(list_in(state, "owed")) >= MAX_ANSWERED:
                # Not only at the end: what is owed is written down again with each page.
                await self._answer_owed(state)
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
                if list_in(state, "owed"):
                    gathering.owe(is_urgent=stored.is_urgent or fills_a_statement(state))
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
        hello: Frame = {"type": "hello", "window": WINDOW, "reached": object_in(state, "reached")}
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
        before, items = dict(object_in(state, "reached")), dict[str, Item]()
        reached = {**state, "reached": before}
        for item in batch.items:
            level, position = level_of(item), text_of(item, "position")
            if place_of(position) > reached_at(reached, level):
                try:
                    entry = entry_at(self.watch, item, self.device.member, "")
                    seen = await self._take(item, entry, state)
                except (NodeUnreachable, Busy) as exc:
                    tries[position] += 1
                    if tries[position] < TRIES:
                        stored.lost = exc  # it, and what comes behind it, is sent again
                        break
                    # One item must not keep back all others; it is tried again at each joining.
                    list_in(state, "skipped").append(position)
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
            move(state, max((str(at) for at in before.values()), key=place_of))
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
        for position in [str(one) for one in list_in(state, "skipped")]:
            try:
                item = await self._take_at(position, state)
            except (NodeUnreachable, Busy):
                continue  # it was said that it can't be had
            list_in(state, "skipped").remove(position)
            unshown |= {} if item is None else {position: item}
        for digest in [str(one) for one in list_in(state, "unopened")]:
            item = await self._take_note(digest, state)
            if isinstance(item, Unopened) and isinstance(item.error, NotReady):
                continue  # it was said that it can't be judged yet
            list_in(state, "unopened").remove(digest)
            unshown |= {} if item is None else {digest: item}

    async def _take_at(self, position: str, state: dict[str, object]) -> Item | None:
        page = await self.transport.read(f"/v1/inbox?limit=1&content=1{query_at(position)}")
        for item in objects_of(page, "items")[:1]:
            if item.get("position") == position:
                entry = entry_at(self.watch, item, self.device.member, "")
                return await self._take(item, entry, state)
        return Unopened(f"entry {position}", NotHere("The node doesn't show it any more"))

    def _read_state(self) -> dict[str, object]:
        """Return how far the inbox was read, what is owed, what couldn't be judged or wasn't shown."""
        state = self.home.read_state(INBOX)
        owed = cast("list[dict[str, str]]", list_in(state, "owed"))
        self._owing = {(one["post"], one["digest"]) for one in owed}
        return state

    async def _take(
        self,
        item: dict[str, object],
        entry: Entry | Happening | RecordUntrusted,
        state: dict[str, object],
    ) -> Item | None:
        """Return what an item is to its reader, or that its record, or one it stands on, is wrong."""
        reference = f"entry {place_of(text_of(item, 'position'))[0]}"
        if isinstance(entry, RecordUntrusted):
            return self._unopened(reference, entry)
        try:
            return await self._taken(item, entry, state)
        except RecordUntrusted as exc:
            # Nothing is answered: it goes to whoever is next, and what comes behind it is shown.
            return self._unopened(reference, exc)

    async def _taken(
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
            return Unopened(reference, taken_back(reference))
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
            if digest not in list_in(state, "unopened"):
                list_in(state, "unopened").append(digest)
            return Unopened(reference, exc)
        except NotHere:
            return Unopened(reference, taken_back(reference))
        except (LinkBroken, SignatureInvalid, Unreadable, Malformed) as exc:
            said = await self._judged(found, exc)
            if said is exc:
                await self._owe(state, note_of(found), digest, reason_of(exc))
            return self._unopened(reference, said)
        await self._owe(state, note, digest, "")
        return letter

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
        item: dict[str, object] = {"kind": "note", "position": f"{entry.index}.{entry.index}"}
        return await self._take(item, entry, state)

    async def unsettled_notes(self) -> list[str]:
        """Return the references of this member's own notes that wait for somebody.

        What is due first comes first; last what nothing is due of: drafts.
        """
        dues: dict[str, int] = {}
        for reference in self.cabinet.references()[-UNSETTLED_LOOKED_AT:]:
            with self.going_on(reference):
                if self.kept(reference).note.by != self.device.member:
                    continue
                state = await self.status(reference)
                coming = objects_of(state, "next")
                if coming or state.get("draft"):
                    times = [one["due"] for one in coming]
                    dues[reference] = min(
                        (at for at in times if isinstance(at, int)), default=MAX_INTEGER
                    )
        return sorted(dues, key=lambda reference: dues[reference])


def _unshown_in(state: dict[str, object]) -> _Unshown:
    return dict.fromkeys(str(one) for one in list_in(state, "unshown"))
