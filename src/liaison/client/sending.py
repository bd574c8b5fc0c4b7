"""Sending: seal, keep on disk, submit, take the receipt; and send again what waits."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from liaison.client.cabinet import Kept
from liaison.client.outbox import Signed, Waiting
from liaison.client.reading import (
    Delivery,
    note_of,
    open_content,
)
from liaison.client.seat import Seat, Told
from liaison.client.watching import Entry
from liaison.client.writing import Draft, Plan, Spent, seal_note
from liaison.ledger.facts import NoteFacts, ObjectionFacts, RegisterFacts, ReleaseFacts, WatchFacts
from liaison.sealing.content import Content
from liaison.statements.payloads import (
    Void,
)
from liaison.words.errors import (
    Busy,
    LiaisonError,
    NodeUnreachable,
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


@dataclass(frozen=True)
class Sent:
    """A note that the log accepted: its reference, when, and where its receipt is kept."""

    reference: str
    at: int
    receipt: Path
    digest: str
    number: str = ""
    """The number in its issuer's register, such as ``notes 12/2026``."""


@dataclass(frozen=True)
class Done:
    """Something else that this member did and the log accepted; ``reference`` says about what."""

    what: str
    reference: str
    at: int
    receipt: Path
    number: str = ""
    is_late: bool = False
    """An objection that came after the silence had ended: recorded, without effect."""


def number_in_words(number: RegisterFacts | None) -> str:
    """Return a register's number as people cite it, or nothing."""
    return f"{number.series} {number.number}/{number.year}" if number else ""


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
                is_last = attempt == SEAL_ATTEMPTS or exc.problem not in OUTDATED
                self.outbox.refused(signed.digest, is_free=is_last)
                self.book.forget()
                self._planner.forget()
                if is_last:
                    raise
                continue
            self.outbox.receipted(signed.digest)
            return await self._sent(signed, entry, draft.content)
        raise AssertionError("the last attempt returns or raises")

    async def _sent(self, signed: Signed, entry: Entry, content: Content | None) -> Sent:
        reference = self._reference(entry, signed.alias)
        path = self._keep_receipt(reference, entry)
        if content is not None:
            self.cabinet.put(Kept(entry.statement.digest, reference, entry.receipt, content))
        await self._receipts.flush()
        facts = entry.record.facts
        number = facts.number if isinstance(facts, NoteFacts) else None
        return Sent(reference, entry.at, path, entry.statement.digest, number_in_words(number))

    async def flush(self) -> list[Sent | Told | Done | Waiting | RefusedByNode]:
        """Send again what has no receipt, fill serials spent in vain; return what came of it."""
        outcomes: list[Sent | Told | Done | Waiting | RefusedByNode] = []
        for signed in self.outbox.waiting:
            try:
                outcomes.append(await self._resend(signed))
            except Waiting as exc:
                return [*outcomes, exc]
            except RefusedByNode as exc:
                self.outbox.refused(signed.digest, is_free=True)
                outcomes.append(exc)
        self._flushed = True
        for channel, party, serial in self.outbox.free_serials():
            await self._fill(channel, party, serial)
        return outcomes

    async def _resend(self, signed: Signed) -> Sent | Told | Done:
        entry = await self._submit(signed)
        self.outbox.receipted(signed.digest)
        if signed.kind == "note":
            return await self._sent(signed, entry, self._own_copy(signed, entry))
        if signed.kind == "answer":
            return self._told(signed.alias, signed.about, entry)
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
        path = self._keep_receipt(name.replace("@", ".at."), entry)
        await self._receipts.flush()
        is_late = isinstance(facts, ObjectionFacts) and facts.late
        return Done(what, reference, entry.at, path, number, is_late)

    def _own_copy(self, signed: Signed, entry: Entry) -> Content | None:
        """Open what this device sealed, for the cabinet."""
        note = note_of(entry)
        names = [wrap.key for wrap in note.wraps()]
        size = len(signed.wraps) // len(names)
        wraps = {name: signed.wraps[i * size : (i + 1) * size] for i, name in enumerate(names)}
        delivery = Delivery(signed.ciphertext, wraps)
        try:
            return open_content(note, signed.digest, delivery, self.device.opening)
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
        except RefusedByNode:
            self.outbox.refused(signed.digest, is_free=True)
        else:
            self.outbox.receipted(signed.digest)

    async def tend(self) -> None:
        """Do what any command does first: renew the key where due, send again what waits."""
        self.device.renew(self.now())
        if self._flushed and not self.device.unposted():
            return
        async with self._tending:
            for certified in self.device.unposted():
                raw = certified.statement.raw
                try:
                    self.take_receipt(await self.transport.submit(raw), raw)
                except (NodeUnreachable, Busy):
                    break  # the older key serves until then
                self.device.posted(certified)
            if not self._flushed and self.outbox.has_waiting:
                await self.flush()
            self._flushed = True
