"""Sending: seal, keep on disk, submit, take the receipt; and send again what waits."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

from liaison.client.cabinet import Kept
from liaison.client.courier import Parcel
from liaison.client.evidence import keep
from liaison.client.home import RESTORED
from liaison.client.lapses import Lapse, of_key, of_standing
from liaison.client.outbox import Signed, Waiting
from liaison.client.outcomes import Accepted, Done, Outcome, Sent, number_in_words
from liaison.client.reading import (
    Delivery,
    open_content,
)
from liaison.client.receipts import prove_refusal
from liaison.client.seat import IN_OUTBOX, Seat
from liaison.client.taken import check_own
from liaison.client.unsent import keep_unsent, read_unsent
from liaison.client.watching import Entry, check_digest
from liaison.client.writing import Draft, Plan, Spent, seal_note
from liaison.ledger.facts import HoldFacts, NoteFacts, ObjectionFacts, ReleaseFacts, WatchFacts
from liaison.rules.serials import WINDOW
from liaison.sealing.content import Content
from liaison.statements.charters import Terms
from liaison.statements.payloads import Note, Void
from liaison.statements.procedures import WatchAction
from liaison.statements.statement import parse_statement
from liaison.words.errors import (
    Busy,
    LiaisonError,
    LogUntrusted,
    Malformed,
    NodeUnreachable,
    NotHere,
    RecordUntrusted,
    RefusedByNode,
    Unreadable,
)
from liaison.words.ids import new_note_id
from liaison.words.times import MINUTE

SEAL_ATTEMPTS: Final = 3
OUTDATED: Final = frozenset(
    {
        "directory-lapsed",
        "directory-outdated",
        "device-not-in-force",
        "key-not-in-use",
        "key-not-kept",
        "lapsed",
        "member-not-active",
        "not-a-holder",
        "not-on-roster",
        "roster-outdated",
        "unknown-key",
        "unknown-post",
    }
)
"""Refusals after which the same note is sealed anew, once what is current was asked for."""
SERIAL_USED: Final = "serial-used"
"""The log has a serial that this home didn't know to be spent: another is taken."""


class Sender(Seat):
    """A member's verbs that write."""

    async def plan(self, draft: Draft) -> Plan:
        """Return for whom a note would be sealed and what would happen then; nothing is sent."""
        await self.tend()
        return await self._planner.plan(draft)

    async def send(self, draft: Draft) -> Sent:
        """Seal and send a note, and return once the log has it.

        Raises:
            NotReady: it can't be written now; nothing was sealed.
            RefusedByNode: the node refused it; its serial is used again.
            Waiting: no receipt came; it stands in the outbox.
            LogUntrusted: the receipt doesn't hold.
        """
        await self.tend()
        note_id = new_note_id(self.now(), secrets.token_bytes(10))
        plan = await self._planner.plan(draft)
        channel = plan.channel.cell.channel
        serials = self.outbox.take_serials(channel, plan.addressed)
        spent = Spent(note_id, serials)
        for attempt in range(1, SEAL_ATTEMPTS + 1):
            try:
                plan = await self._planner.plan(draft)
                signed = seal_note(
                    draft,
                    plan,
                    spent,
                    by=self.device.member,
                    key=self.device.key,
                    seen=self.watch.seen,
                    now=self.now(),
                )
            except LiaisonError:
                self.outbox.give_back(channel, serials)
                raise
            await self.outbox.keep(signed)
            try:
                entry = await self._submit(signed)
            except RefusedByNode as exc:
                if not self._is_sealed_anew(signed, exc, attempt):
                    raise
                if exc.problem == SERIAL_USED:
                    await self._learn_serials()
                    serials = self.outbox.take_serials(channel, plan.addressed)
                    spent = Spent(note_id, serials)
                continue
            with self._ending(signed, entry):
                return await self._sent(signed.alias, entry, draft.content)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _ending(self, signed: Signed, entry: Entry) -> Iterator[None]:
        """Take what the log has out of the outbox, once all that is kept of it was kept.

        Else who is killed meanwhile, or has no room, would be told of it by nothing any more.

        Raises:
            Waiting: it can't be kept here now.
            RecordUntrusted: its record isn't one of it; it stays.
        """
        try:
            yield
        except RecordUntrusted as exc:
            exc.safe = IN_OUTBOX  # the log gave it what is another's
            raise
        except LiaisonError:
            self.outbox.receipted(signed.digest)
            raise
        except OSError as exc:
            raise Waiting(
                f"The log has it, in entry {entry.index}, but the receipt can't be kept here: "
                f"{exc.strerror or exc}",
                safe="it counts, and stands in the outbox too. Do not write it again",
                do="make room, then run: liaison outbox flush",
            ) from exc
        self.outbox.receipted(signed.digest)

    def _is_sealed_anew(self, signed: Signed, exc: RefusedByNode, attempt: int) -> bool:
        """Take note of a refusal; return whether the same is to be sealed again."""
        is_anew = attempt < SEAL_ATTEMPTS and exc.problem in (*OUTDATED, SERIAL_USED)
        if exc.problem == SERIAL_USED:
            self.outbox.doubt(signed.digest)
        else:
            self.outbox.refused(signed.digest, is_free=not is_anew)
        if not is_anew:
            self._keep_text(signed, exc)
        self.book.forget()
        self._planner.forget()
        return is_anew

    def _keep_text(self, signed: Signed, exc: RefusedByNode) -> None:
        """Keep a note that was refused for good, sealed as it is: whoever typed it has it nowhere else."""
        if signed.kind == "note":
            name = f"receipts/refused/{check_digest(signed.digest)}.parcel"
            path = self.home.write(name, Parcel.of(signed).to_bytes())
            exc.do = " · ".join(
                text for text in (exc.do, f"its text: liaison outbox show {path}") if text
            )

    def keep_unsent(self, content: Content) -> Path:
        """Keep a text that was typed and not sealed, in a box of this keystore; return the file."""
        return keep_unsent(self.home, self.device.keystore, content, self.now())

    def read_unsent(self, path: Path) -> Content:
        """Return a text that ``keep_unsent`` kept.

        Raises:
            Unreadable: it doesn't open with this keystore.
        """
        return read_unsent(self.device.keystore, path)

    def read_own(self, parcel: Parcel) -> tuple[Note, Content]:
        """Open a note that this device sealed, and that needn't be in any log.

        Raises:
            Malformed: it is no note.
            NotHere: this device didn't write it.
            Unreadable: it has the key no more.
        """
        note = parcel.statement.payload
        if not isinstance(note, Note):
            raise Malformed(f"a {parcel.statement.kind} has no text", safe="nothing was changed")
        if note.key != self.device.key.id:
            # Whoever it is for reads it once it is in the log, and not before (design, law 2).
            raise _not_ours("note")
        names = [wrap.key for wrap in note.wraps()]
        size = len(parcel.wraps) // len(names)
        wraps = {name: parcel.wraps[i * size : (i + 1) * size] for i, name in enumerate(names)}
        delivery = Delivery(parcel.ciphertext, wraps)
        return note, open_content(note, delivery, self.device.opening)

    async def _sent(self, alias: str, entry: Entry, content: Content | None) -> Sent:
        reference = self._reference(entry, alias)
        path = self._keep_receipt(reference, entry)
        if content is not None:
            kept = Kept(entry.statement.digest, reference, entry.receipt, content, entry.at)
            self.keeping.keep(alias, await self._terms_of(alias), kept)
        await self._receipts.flush()
        facts = entry.record.facts
        number = facts.number if isinstance(facts, NoteFacts) else None
        return Sent(reference, entry.at, path, entry.statement.digest, number_in_words(number))

    async def _terms_of(self, alias: str) -> Terms | None:
        """Return a channel's terms, None where they can't be had: the note was accepted all the same."""
        try:
            return (await self.book.channel(alias)).cell.terms
        except LiaisonError:
            return None

    async def flush(self) -> list[Outcome]:
        """Send again what has no receipt, fill serials spent in vain; return what came of it."""
        outcomes: list[Outcome] = []
        for signed in self.outbox.waiting:
            try:
                outcomes.append(await self._resend(signed))
            except Waiting as exc:
                return [*outcomes, exc]
            except RecordUntrusted as exc:
                # It stays, and keeps back none of the others.
                outcomes.append(self._stopped_at(exc))
            except RefusedByNode as exc:
                self._end_refused(signed, exc)
                outcomes.append(exc)
        self._flushed = True
        try:
            for channel, party, serial in self.outbox.free_serials():
                await self._fill(channel, party, serial)
        except Waiting as exc:
            outcomes.append(exc)  # a void; nothing that a person wrote
        except RecordUntrusted as exc:
            outcomes.append(self._stopped_at(exc))
        return outcomes

    def _stopped_at(self, exc: RecordUntrusted) -> RecordUntrusted:
        """Return what is told of a receipt that isn't what was sent, what the node said kept."""
        keep(self.home, exc, self.transport.answers, self.now())
        return exc

    async def take_back(self, data: bytes) -> Accepted:
        """Take what a courier brought back: a receipt, or the node's signed refusal.

        Raises:
            RefusedByNode: it is a refusal of what waits here; it is kept, and nothing waits any more.
            NotHere: it is about nothing that this device signed.
            Malformed, LogUntrusted, SignatureInvalid: it doesn't hold.
        """
        if data.startswith(b"{"):
            self._take_refusal(data)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise Malformed(f"not UTF-8 at byte {exc.start}") from exc
        entry = self.watch.verify(text)
        payload = entry.statement.payload
        signed = self._waiting_for(entry.statement.payload_digest)
        if signed is not None:
            sent = parse_statement(signed.statement)
            return await self._accepted(signed, self.take_receipt(text, sent))
        if not isinstance(payload, Note) or payload.key != self.device.key.id:
            raise _not_ours(entry.statement.kind)
        check_own(entry, self.device.key.public)
        digest = entry.statement.digest
        if digest in self.cabinet:
            alias = self.cabinet.channel(digest)
            kept = self.watch.verify(self.cabinet.get(self.cabinet.reference(digest)).receipt)
            if kept.index != entry.index:
                raise LogUntrusted(
                    f"The log has one note twice, in the entries {kept.index} and {entry.index}",
                    safe="the receipt of the first is kept as it was",
                    do="keep both receipts and show them to the auditors",
                )
        else:
            alias = (await self._channel_of(payload.channel)).cell.alias
        return await self._sent(alias, entry, None)

    def _waiting_for(self, payload_digest: str) -> Signed | None:
        """Return what waits and is such a statement, whatever its signature's bytes."""
        return next(
            (
                signed
                for signed in self.outbox.waiting
                if parse_statement(signed.statement).payload_digest == payload_digest
            ),
            None,
        )

    def _take_refusal(self, raw: bytes) -> NoReturn:
        refusal = prove_refusal(raw, self.pins.node).payload
        signed = self._waiting_for(refusal.payload_digest)
        if signed is None:
            raise _not_ours("refusal")
        exc = RefusedByNode(refusal.text, problem=refusal.code, refusal=raw)
        self._keep_refusal(signed, exc)
        self._end_refused(signed, exc)
        raise exc

    def _end_refused(self, signed: Signed, exc: RefusedByNode) -> None:
        """Take what was refused out of the outbox; a serial that the log has isn't free again."""
        self._keep_text(signed, exc)
        if exc.problem == SERIAL_USED and signed.kind == "void":
            self.outbox.refused(signed.digest, is_free=False)
        elif exc.problem == SERIAL_USED:
            self.outbox.doubt(signed.digest)
        else:
            self.outbox.refused(signed.digest, is_free=True)

    async def _resend(self, signed: Signed) -> Accepted:
        return await self._accepted(signed, await self._submit(signed))

    async def _accepted(self, signed: Signed, entry: Entry) -> Accepted:
        """Take what waited out of the outbox, now that the log has it."""
        with self._ending(signed, entry):
            if signed.kind == "note":
                return await self._sent(signed.alias, entry, self._own_copy(signed))
            if signed.kind == "answer":
                told = self._told(signed.alias, signed.about, entry)
                await self._receipts.flush()
                return told
            return await self._did(signed, entry)

    async def _did(self, signed: Signed, entry: Entry) -> Done:
        """Return what a statement of another kind did, once the log has it; its receipt is kept."""
        facts = entry.record.facts
        reference, what = signed.about, signed.kind
        name = f"{reference}.{what}.{entry.index}"
        number = ""
        if isinstance(facts, ReleaseFacts):
            number = number_in_words(facts.number)
            before, reference = reference, f"{signed.alias}/{facts.reference}"
            name = f"{reference}.release"
            if self.cabinet.has(before):
                self.cabinet.rename(self.cabinet.digest(before), reference)
        elif isinstance(facts, WatchFacts):
            what = facts.action.value
        if isinstance(facts, HoldFacts) or what == WatchAction.MINIMIZE.value:
            # Without what it is below, the statement ends it.
            what += "" if getattr(facts, "below", None) is not None else "-ended"
        path = self._keep_receipt(name.replace("@", ".at."), entry)
        await self._receipts.flush()
        is_late = isinstance(facts, ObjectionFacts) and facts.late
        return Done(what, reference, entry.at, path, number, is_late)

    def _own_copy(self, signed: Signed) -> Content | None:
        """Open what this device sealed, for the cabinet."""
        try:
            return self.read_own(Parcel.of(signed))[1]
        except Unreadable:
            return None

    async def _fill(self, channel: str, party: str, serial: int) -> None:
        """Fill a serial that nothing shows; a void that is refused leaves it free for a note."""
        now = self.now()
        payload = Void(
            by=self.device.member,
            key=self.device.key.id,
            issued=now,
            lapse=now + 10 * MINUTE,
            log=self._origin,
            channel=channel,
            party=party,
            serial=serial,
        )
        serials = self.outbox.claim(channel, party, serial)
        signed = self._signed("void", channel, "", payload, serials, f"void {serial} to {party}")
        await self.outbox.keep(signed)
        try:
            await self._submit(signed)
        except RefusedByNode as exc:
            self._end_refused(signed, exc)
        else:
            self.outbox.receipted(signed.digest)

    async def lapses(self) -> list[Lapse]:
        """Return what ends soon of this device, its party, and those that were looked at.

        Raises:
            NodeUnreachable, Busy: the own party could not be looked at.
        """
        now = self.now()
        await self.book.standing(self.device.party)
        keys = [certified.statement.payload for certified in self.device.certified]
        standings = [of_standing(standing, now) for standing in self.book.standings()]
        return [*of_key(keys, now), *(lapse for each in standings for lapse in each)]

    async def _recover(self) -> None:
        """Learn from the log what a restored home can't know: the serials that it spent.

        What it opened since with newer keys is beyond it, so it certifies another at once.
        """
        await self._learn_serials()
        self.device.renew(self.now(), at_once=True)
        self.home.path(RESTORED).unlink()

    async def _learn_serials(self) -> None:
        """Go on behind the serials that the log has of this device.

        Only what this device signed teaches any, and none further ahead than the rules let one be.
        """
        spent: dict[tuple[str, str], int] = {}
        async for _, entry in self._all_items():
            if not isinstance(entry, Entry):
                continue
            note = entry.statement.payload
            if not isinstance(note, Note) or note.key != self.device.key.id:
                continue
            try:
                check_own(entry, self.device.key.public)
            except RecordUntrusted:
                continue  # this device never said so; `inbox` tells of it
            for party in note.parties:
                key = (note.channel, party.party)
                known = max(spent.get(key, 0), self.outbox.highest(*key))
                if known < (party.serial or 0) <= known + WINDOW + 1:
                    spent[key] = party.serial or 0
        await self.outbox.know(spent)

    async def tend(self) -> None:
        """Do what any command does first: renew the key where due, send again what waits."""
        if self.home.has(RESTORED):
            await self._recover()
        self.device.renew(self.now())
        if self._flushed and not self.device.unposted():
            return
        async with self._tending:
            for certified in self.device.unposted():
                statement = certified.statement
                try:
                    await self.hand_in(statement)
                except RecordUntrusted as exc:
                    self.caught_up.append(self._stopped_at(exc))
                    continue  # the older key serves, and the next one after it
                except (NodeUnreachable, Busy):
                    break  # the older key serves until then
                self.device.posted(certified)
            if not self._flushed and (self.outbox.has_waiting or self.outbox.has_doubtful):
                self.caught_up += await self.flush()
            self._flushed = True


def _not_ours(kind: str) -> NotHere:
    return NotHere(
        f"This {kind} is about nothing that this device signed",
        safe="nothing was changed",
        do="go to the home that wrote it",
    )
