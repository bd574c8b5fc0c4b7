"""The client of a member: sends, reads and acknowledges notes. The SDK's front.

One object serves any number of coroutines of one process; the home is locked while it lives.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

from liaison.client.cabinet import Cabinet, Kept
from liaison.client.device import Device
from liaison.client.folding import Book, ChannelView, LinkBroken
from liaison.client.home import KEYSTORE, Home
from liaison.client.outbox import Outbox, Signed, Waiting
from liaison.client.pins import Pins
from liaison.client.reading import (
    Delivery,
    Letter,
    check_answer,
    check_note,
    note_of,
    open_content,
    reference_of,
)
from liaison.client.receipts import ReceiptFiles
from liaison.client.source import NodeSource
from liaison.client.transport import Transport
from liaison.client.watching import PENDING_MAX, Entry, Watch, check_digest
from liaison.client.writing import Draft, Planner, Spent, seal_note
from liaison.ledger.facts import AnswerFacts, FirstFacts
from liaison.sealing.content import Content
from liaison.sealing.keystore import Keystore
from liaison.statements.payloads import (
    MAX_ANSWERED,
    AddresseeRole,
    Answer,
    Note,
    Payload,
    Session,
    Verdict,
    Void,
)
from liaison.statements.statement import Statement, make_statement, parse_statement
from liaison.words.encoding import from_base64, from_decimal
from liaison.words.errors import (
    Busy,
    LiaisonError,
    LogUntrusted,
    Malformed,
    NodeUnreachable,
    NotReady,
    RefusedByNode,
    SignatureInvalid,
    TooLarge,
    Unreadable,
)
from liaison.words.ids import new_note_id, party_of
from liaison.words.times import MINUTE, SECOND

INBOX: Final = "inbox.json"
PAGE_ITEMS: Final = 64
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


def wall_clock() -> int:
    """Return microseconds since 1970 UTC by this machine's clock."""
    return time.time_ns() // 1000


@dataclass(frozen=True)
class Sent:
    """A note that the log accepted: its reference, when, and where its receipt is kept."""

    reference: str
    at: int
    receipt: Path
    digest: str


@dataclass(frozen=True)
class Told:
    """An answer on a note: of one's own, or the one just given."""

    reference: str
    verdict: Verdict
    by: str
    post: str
    at: int
    first: FirstFacts | None
    receipt: Path | None = None
    reason: str = ""


@dataclass(frozen=True)
class Unopened:
    """A note that was not opened; ``error`` says why, and nothing of the note is shown."""

    reference: str
    error: LiaisonError


Item = Letter | Told | Unopened


class Client:
    """A member's home at work. Use ``async with Client.open(home, passphrase)``."""

    def __init__(
        self, home: Home, keystore: Keystore, held: ExitStack, now: Callable[[], int], url: str
    ) -> None:
        self.home = home
        self._held = held
        self._now = now
        self.device = Device(home, keystore)
        self.pins = Pins(home)
        node = self.pins.node
        self._origin = node.origin
        self.transport = Transport(url or node.address, self._session)
        self.watch = Watch(home, node, self.transport.fetch)
        self.source = NodeSource(self.transport, self.watch)
        self.book = Book(home, self.pins, self.source, now)
        self._planner = Planner(
            self.book, self.device.member, self.device.key.id, now, lambda: self.watch.log_time
        )
        self.outbox = Outbox(home.path("outbox"))
        self.cabinet = Cabinet(home.path("cabinet"), keystore)
        self._receipts = ReceiptFiles()
        self._owing: set[tuple[str, str]] = set()
        self._settling: asyncio.Task[None] | None = None
        self._flushed = False
        self._tending = asyncio.Lock()
        self.unsettled: LiaisonError | None = None
        """Why the newest checkpoints could not be compared, where they couldn't."""

    @classmethod
    def open(
        cls,
        home: Path | str | Home,
        passphrase: str,
        *,
        now: Callable[[], int] = wall_clock,
        url: str = "",
    ) -> Client:
        """Return the client of the member whose home it is; the keystore is opened once.

        Raises:
            NotReady: no home, no node pinned, or another process holds it.
            KeystoreLocked: a wrong passphrase.
        """
        home = home if isinstance(home, Home) else Home(home)
        with ExitStack() as held:
            held.enter_context(home.locked())
            keystore = Keystore.open(home.path(KEYSTORE), passphrase)
            return cls(home, keystore, held.pop_all(), now, url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close(is_settled=exc is None)

    async def close(self, *, is_settled: bool = True) -> None:
        """Compare the checkpoints seen, destroy keys that are due, and give the home back."""
        try:
            if self._settling is not None:
                self._settling.cancel()
                with suppress(asyncio.CancelledError):
                    await self._settling
            await self._receipts.flush()
            if is_settled:
                await self._settle()
            self.device.destroy(self.watch.log_time)
        finally:
            self.watch.save()
            await self.transport.close()
            self.outbox.close()
            self.cabinet.close()
            self._held.close()

    # Sending

    async def send(self, draft: Draft) -> Sent:
        """Seal and send a note, and return once the log has it.

        Raises:
            NotReady: it can't be written now; nothing was sealed.
            RefusedByNode: the node refused it; its serial is used again.
            Waiting: no receipt came; it stands in the outbox.
            LogUntrusted: the receipt doesn't hold.
        """
        await self.tend()
        note_id = new_note_id(self._now(), secrets.token_bytes(10))
        plan = await self._planner.plan(draft.channel, draft.to, draft.info)
        channel = plan.channel.cell.channel
        serials = self.outbox.take_serials(channel, plan.addressed)
        spent = Spent(note_id, serials)
        for attempt in range(1, SEAL_ATTEMPTS + 1):
            try:
                plan = await self._planner.plan(draft.channel, draft.to, draft.info)
                signed = seal_note(
                    draft,
                    plan,
                    spent,
                    by=self.device.member,
                    key=self.device.key,
                    seen=self.watch.seen,
                    now=self._now(),
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
                if is_last:
                    raise
                self.book.forget()
                self._planner.forget()
                continue
            self.outbox.receipted(signed.digest)
            return await self._sent(signed, entry, draft.content)
        raise AssertionError("the last attempt returns or raises")

    async def _submit(self, signed: Signed) -> Entry:
        """Send what is on disk, and return its entry.

        Raises:
            RefusedByNode: also for what the node could not read.
            Waiting: it isn't known, or the node can't take it now.
        """
        ciphertext = signed.ciphertext if signed.kind == "note" else None
        try:
            text = await self.transport.submit(signed.statement, ciphertext, signed.wraps)
        except (NodeUnreachable, Busy) as exc:
            raise Waiting(
                f"The node gave no receipt: {exc.happened}",
                safe="it stands in the outbox, signed and on disk. Do not write it again",
                do="the next command sends the same bytes again; or run: liaison outbox flush",
            ) from exc
        except (Malformed, TooLarge) as exc:
            raise RefusedByNode(exc.happened, problem=exc.code, safe=exc.safe, do=exc.do) from exc
        except RefusedByNode as exc:
            self._keep_refusal(signed, exc)
            raise
        return self.take_receipt(text, signed.statement, signed.parsed)

    def take_receipt(self, text: str, raw: bytes, known: Statement[Payload] | None = None) -> Entry:
        """Return the entry of a receipt that verifies and is that of the statement ``raw``."""
        entry = self.watch.verify(text, known)
        # A duplicate has the first one's receipt: other signature bytes, the same payload.
        is_same = entry.statement.raw == raw
        if not is_same and entry.statement.payload_digest != parse_statement(raw).payload_digest:
            raise LogUntrusted(
                "The node answered with the receipt of another statement",
                safe="what was sent stands in the outbox",
                do="keep this home as it is and tell the node's operator",
            )
        self._watch_on()
        return entry

    def _keep_refusal(self, signed: Signed, exc: RefusedByNode) -> None:
        """Keep the node's signed word that it refused: it can be shown to others."""
        if exc.refusal:
            name = f"refusals/{check_digest(signed.digest)}.refusal"
            self.home.write(name, exc.refusal)

    async def _sent(self, signed: Signed, entry: Entry, content: Content | None) -> Sent:
        reference = self._reference(entry, signed.alias)
        path = self._keep_receipt(reference, entry)
        if content is not None:
            self.cabinet.put(Kept(entry.statement.digest, reference, entry.receipt, content))
        await self._receipts.flush()
        return Sent(reference, entry.at, path, entry.statement.digest)

    def _reference(self, entry: Entry, alias: str) -> str:
        """Return a note's reference; one that is another note's already is the log's lie."""
        reference = reference_of(entry, alias)
        if self.cabinet.has(reference) and entry.statement.digest not in self.cabinet:
            self._keep_receipt(f"{reference}.second.{entry.index}", entry)
            raise LogUntrusted(
                f"The log gave the reference {reference} to a second note, in entry {entry.index}",
                safe="the first one stays as it is; nothing of the second is shown",
                do="keep both receipts and show them to the auditors",
            )
        return reference

    def _keep_receipt(self, reference: str, entry: Entry) -> Path:
        path = self.home.path(f"receipts/{reference}.receipt")
        self._receipts.put(path, entry.receipt)
        return path

    async def flush(self) -> list[Sent | Told | Waiting | RefusedByNode]:
        """Send again what has no receipt, fill serials spent in vain; return what came of it."""
        outcomes: list[Sent | Told | Waiting | RefusedByNode] = []
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

    async def _resend(self, signed: Signed) -> Sent | Told:
        entry = await self._submit(signed)
        self.outbox.receipted(signed.digest)
        if signed.kind == "note":
            return await self._sent(signed, entry, self._own_copy(signed, entry))
        if signed.kind == "answer":
            return self._told(signed.alias, signed.about, entry)
        return Told(signed.about, Verdict.DELIVERED, self.device.member, "", entry.at, None)

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
        now = self._now()
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

    def _signed(
        self,
        kind: str,
        channel: str,
        alias: str,
        payload: Payload,
        serials: dict[str, int],
        about: str,
    ) -> Signed:
        statement = make_statement(payload, self.device.key)
        return Signed(
            kind=kind,
            digest=statement.digest,
            channel=channel,
            alias=alias,
            note_id="",
            serials=serials,
            statement=statement.raw,
            about=about,
            parsed=statement,
        )

    # Reading

    async def inbox(self) -> list[Item]:
        """Return what came since the last time, once; what opened is *delivered*, by this device.

        Raises:
            LogUntrusted: the node shows what the log doesn't hold; nothing more is shown.
        """
        await self.tend()
        state = self.home.read_state(INBOX)
        owed = cast("list[dict[str, str]]", _list(state, "owed"))
        self._owing = {(one["post"], one["digest"]) for one in owed}
        items = await self._retry(state)
        more = True
        while more:
            after = str(state.get("position", ""))
            query = (
                f"?after={after}&limit={PAGE_ITEMS}&content=1"
                if after
                else (f"?limit={PAGE_ITEMS}&content=1")
            )
            page = await self.transport.read(f"/v1/inbox{query}")
            shown = cast("list[dict[str, object]]", page.get("items", []))
            for item in shown:
                position = self._position(item, str(state.get("position", "")))
                seen = await self._take(item, state)
                items += [seen] if seen is not None else []
                state["position"] = position
            # The cabinet first: once the position moved, nobody shows these again.
            await self.cabinet.sync()
            await self._receipts.flush()
            self.home.write_state(INBOX, state)
            more = bool(page.get("more")) and bool(shown)
        await self._answer_owed(state)
        self._watch_on()
        return items

    def _position(self, item: dict[str, object], before: str) -> str:
        """Return an item's position, which is behind ``before`` and that of the entry shown.

        Else a node could lead this home round in circles, or past notes that it never showed.
        """
        position = _text(item, "position")
        place = _place(position)
        entry = self.watch.verify(_text(item, "receipt"))
        if (
            place[0] != entry.index
            or place[1] > entry.index
            or (before and place <= _place(before))
        ):
            raise LogUntrusted(
                f"The node shows entry {entry.index} at the position {position}",
                safe="nothing of it is shown; the inbox stays where it was",
                do="tell the node's operator",
            )
        return position

    async def _take(self, item: dict[str, object], state: dict[str, object]) -> Item | None:
        entry = self.watch.verify(_text(item, "receipt"))
        digest = entry.statement.digest
        if digest in self.cabinet:
            if item.get("kind") != "note":
                return None
            # It was opened by ``read``, or just before a crash: it was not shown here yet.
            kept = self._kept(self.cabinet.reference(digest))
            self._owe(state, kept.note, digest, "")
            return kept
        reference = f"entry {entry.index}"
        try:
            if item.get("kind") == "answer":
                return await self._heard(entry)
            note = note_of(entry)
            channel = await self._channel_of(note.channel)
            reference = reference_of(entry, channel.cell.alias)
            given = item.get("content")
            content = given if isinstance(given, dict) else None
            letter = await self._open(entry, channel, content)
        except NotReady as exc:
            # Not yet to be judged: it is tried again, and no answer is given.
            if item.get("kind") != "answer":
                _list(state, "unopened").append(digest)
            return Unopened(reference, exc)
        except (LinkBroken, SignatureInvalid, Unreadable, Malformed) as exc:
            if item.get("kind") != "answer":
                self._owe(state, note_of(entry), digest, _reason(exc))
            return Unopened(reference, exc)
        self._owe(state, note, digest, "")
        return letter

    async def _retry(self, state: dict[str, object]) -> list[Item]:
        """Try again what could not be judged before; what still can't be is not shown again."""
        items: list[Item] = []
        waiting, state["unopened"] = list(_list(state, "unopened")), []
        for digest in waiting:
            answer = await self.transport.read(f"/v1/notes/{check_digest(str(digest))}")
            seen = await self._take({"kind": "note", "receipt": answer["receipt"]}, state)
            if seen is not None and digest not in _list(state, "unopened"):
                items.append(seen)
        return items

    async def _open(
        self, entry: Entry, channel: ChannelView, content: dict[str, object] | None
    ) -> Letter:
        """Verify and open, keep it in the cabinet, and return it."""
        note = await check_note(self.book, entry, channel)
        digest = entry.statement.digest
        if content is None:
            content = await self.transport.read(f"/v1/notes/{check_digest(digest)}/content")
        opened = open_content(note, digest, _delivery(content), self.device.opening)
        reference = self._reference(entry, channel.cell.alias)
        self.cabinet.put(Kept(digest, reference, entry.receipt, opened))
        self._keep_receipt(reference, entry)
        return Letter(
            digest, note.channel, reference, entry.index, entry.at, note, opened, entry.receipt
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

    def _told(self, alias: str, reference: str, entry: Entry) -> Told:
        answer, facts = entry.statement.payload, entry.record.facts
        assert isinstance(answer, Answer)
        assert isinstance(facts, AnswerFacts)
        path = None
        if answer.verdict is not Verdict.DELIVERED and reference.startswith(f"{alias}/"):
            name = f"{reference}.{answer.verdict.value}.{entry.index}"
            path = self._keep_receipt(name, entry)
        return Told(
            reference or alias,
            answer.verdict,
            answer.by,
            answer.post,
            entry.at,
            facts.notes[0].first,
            path,
            answer.reason or answer.code or "",
        )

    def _references(self, digests: Sequence[str]) -> str:
        return ", ".join(self.cabinet.reference(digest) for digest in digests)

    async def read(self, reference: str) -> Letter:
        """Return a note from the cabinet, fetching what is new where it isn't there yet.

        Reading never acknowledges, and what was fetched is still shown by ``inbox``.

        Raises:
            NotHere: no such note.
            LinkBroken, SignatureInvalid, Unreadable: it can't be opened; nothing of it is shown.
        """
        if not self.cabinet.has(reference):
            await self._fetch(reference)
            await self.cabinet.sync()
        return self._kept(reference)

    async def _fetch(self, reference: str) -> None:
        """Look for a note among all that this member was sent, and open it."""
        alias = reference.rpartition("/")[0]
        after, more = "", True
        while more:
            page = await self.transport.read(f"/v1/inbox?limit=256{after}")
            shown = cast("list[dict[str, object]]", page.get("items", []))
            for item in shown:
                after = f"&after={_text(item, 'position')}"
                if item.get("kind") == "answer":
                    continue
                entry = self.watch.verify(_text(item, "receipt"))
                if reference_of(entry, alias) == reference:
                    channel = await self._channel_of(note_of(entry).channel)
                    if channel.cell.alias == alias:
                        await self._open(entry, channel, None)
                        return
            more = bool(page.get("more")) and bool(shown)

    def _kept(self, reference: str) -> Letter:
        kept = self.cabinet.get(reference)
        entry = self.watch.verify(kept.receipt)
        note = note_of(entry)
        return Letter(
            kept.digest,
            note.channel,
            reference,
            entry.index,
            entry.at,
            note,
            kept.content,
            kept.receipt,
        )

    async def state(self, letter: Letter) -> list[dict[str, object]]:
        """Return what the node says of each addressee's state; it proves nothing."""
        answer = await self.transport.read(f"/v1/notes/{check_digest(letter.digest)}")
        state = cast("dict[str, object]", answer.get("state", {}))
        return cast("list[dict[str, object]]", state.get("addressees", []))

    # Answering

    async def acknowledge(self, reference: str) -> Told:
        """Take a note on, for the post that it is addressed to; tell who was first.

        Raises:
            NotHere: it isn't in the cabinet: it must be opened first.
            RefusedByNode: it was acknowledged for this post before, or isn't for action.
            Waiting: no receipt came; the answer stands in the outbox.
        """
        await self.tend()
        letter = await self.read(reference)
        posts = self._posts_of(letter.note)
        if not posts:
            raise NotReady(
                f"{reference} is not addressed to a post that you hold",
                safe="nothing was sent",
            )
        channel = await self._channel_of(letter.channel)
        payload = self._answer(channel, posts[0], Verdict.ACKNOWLEDGED, (letter.digest,), code=None)
        alias = channel.cell.alias
        signed = self._signed("answer", letter.channel, alias, payload, {}, reference)
        await self.outbox.keep(signed)
        try:
            entry = await self._submit(signed)
        except RefusedByNode:
            self.outbox.refused(signed.digest, is_free=True)
            raise
        self.outbox.receipted(signed.digest)
        return self._told(alias, reference, entry)

    def _posts_of(self, note: Note) -> list[str]:
        """Return the posts for which this device got a wrap, for action first."""
        mine = [
            addressee
            for addressee in note.addressees
            if addressee.role is not AddresseeRole.COPY
            and any(wrap.key in self._own_keys for wrap in addressee.wraps)
        ]
        mine.sort(key=lambda addressee: addressee.role is not AddresseeRole.ACTION)
        return [addressee.post for addressee in mine]

    @property
    def _own_keys(self) -> set[str]:
        return {certified.digest for certified in self.device.certified}

    def _answer(
        self,
        channel: ChannelView,
        post: str,
        verdict: Verdict,
        notes: Iterable[str],
        *,
        code: str | None,
    ) -> Answer:
        now = self._now()
        return Answer(
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
        )

    def _owe(self, state: dict[str, object], note: Note, digest: str, code: str) -> None:
        """Note down that an answer is due: it survives a crash with the inbox position."""
        for post in self._posts_of(note):
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

    async def _say(self, channel_id: str, post: str, code: str, notes: Sequence[str]) -> bool:
        """Return whether nothing is owed any more; else the next ``inbox`` says it."""
        try:
            channel = await self._channel_of(channel_id)
            verdict = Verdict.UNREADABLE if code else Verdict.DELIVERED
            answer = self._answer(channel, post, verdict, notes, code=code or None)
            raw = make_statement(answer, self.device.key).raw
            self.take_receipt(await self.transport.submit(raw), raw)
        except (LinkBroken, SignatureInvalid, NotReady, NodeUnreachable, Busy):
            return False  # a channel that can't be trusted is not answered in either
        except RefusedByNode:
            pass  # known already, or no longer ours to say
        return True

    # Channels, keys, log

    async def channels(self) -> list[ChannelView]:
        """Return the channels whose charter names this party."""
        answer = await self.transport.read("/v1/channels")
        aliases = [
            _text(item, "alias") for item in cast("list[dict[str, object]]", answer["channels"])
        ]
        return [await self.book.channel(alias) for alias in aliases]

    async def channel(self, alias: str) -> ChannelView:
        return await self.book.channel(alias, is_fresh=True)

    async def _channel_of(self, channel: str) -> ChannelView:
        known = self.book.channel_by_id(channel)
        if known is not None:
            return known
        answer = await self.transport.read("/v1/channels")
        for item in cast("list[dict[str, object]]", answer["channels"]):
            if item.get("channel") == channel:
                view = await self.book.channel(_text(item, "alias"))
                if view.cell.channel == channel:
                    return view
        raise LinkBroken("charter", "The node shows no charter for the channel of this note")

    async def tend(self) -> None:
        """Do what any command does first: renew the key where due, send again what waits."""
        self.device.renew(self._now())
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

    def _session(self, challenge: str) -> bytes:
        now = self._now()
        payload = Session(
            by=self.device.member,
            key=self.device.key.id,
            issued=now,
            lapse=now + MINUTE,
            log=self._origin,
            challenge=challenge,
        )
        return make_statement(payload, self.device.key).raw

    def _watch_on(self) -> None:
        """Have the pending checkpoints compared within a second, or at 64 of them."""
        if self.watch.pending and self._settling is None:
            self._settling = asyncio.create_task(self._settle_soon())

    async def _settle_soon(self) -> None:
        try:
            for _ in range(20):
                if self.watch.pending >= PENDING_MAX:
                    break
                await asyncio.sleep(0.05)
            await self._settle()
        finally:
            self._settling = None

    async def _settle(self) -> None:
        try:
            await self.watch.settle()
        except (NodeUnreachable, Busy) as exc:
            self.unsettled = exc
        else:
            self.unsettled = None


def _reason(exc: LiaisonError) -> str:
    if isinstance(exc, Unreadable):
        return exc.reason
    if isinstance(exc, LinkBroken):
        return exc.link
    return "signature" if isinstance(exc, SignatureInvalid) else "malformed"


def _place(position: str) -> tuple[int, int]:
    pos, _, number = position.partition(".")
    return from_decimal(pos), from_decimal(number)


def _list(state: dict[str, object], name: str) -> list[object]:
    return cast("list[object]", state.setdefault(name, []))


def _text(item: dict[str, object], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise Malformed(f"the node's answer: {name} is not a string")
    return value


def _delivery(content: dict[str, object]) -> Delivery:
    wraps = cast("list[dict[str, object]]", content.get("wraps", []))
    try:
        ciphertext = base64.b64decode(_text(content, "ciphertext"), validate=True)
    except binascii.Error as exc:
        raise Malformed(f"the node's answer: ciphertext is not base64: {exc}") from exc
    return Delivery(
        ciphertext, {_text(item, "key"): from_base64(_text(item, "wrap")) for item in wraps}
    )
