"""A member's home at work: keys, pins, log, channels, and the way to the node.

``sending`` writes from it, ``receiving`` reads, ``answering`` answers; what a person uses is
``member.Client``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from liaison.client.answers import objects_of, text_of
from liaison.client.book import Book
from liaison.client.cabinet import Cabinet
from liaison.client.device import Device
from liaison.client.evidence import STOP, keep
from liaison.client.home import KEYSTORE, Home
from liaison.client.items import entry_at
from liaison.client.keeping import Keeping
from liaison.client.links import ChannelView, LinkBroken
from liaison.client.outbox import Outbox, Signed, Waiting
from liaison.client.outcomes import Outcome, Told
from liaison.client.pins import NodePin, Pins
from liaison.client.planning import Planner
from liaison.client.reading import (
    reference_of,
)
from liaison.client.receipts import ReceiptFiles, check_refusal, keep_refusal
from liaison.client.source import NodeSource
from liaison.client.taken import check_taken
from liaison.client.transport import Transport
from liaison.client.watching import PENDING_MAX, Entry, Happening, Watch
from liaison.ledger.facts import AnswerFacts
from liaison.sealing.keystore import Keystore, StretchedKey
from liaison.statements.payloads import (
    Answer,
    Payload,
    Session,
    Verdict,
)
from liaison.statements.statement import Statement, make_statement, parse_statement
from liaison.words.errors import (
    Busy,
    LiaisonError,
    LogUntrusted,
    Malformed,
    NodeUnreachable,
    NotAllowed,
    NotHere,
    RecordUntrusted,
    RefusedByNode,
    TooLarge,
)
from liaison.words.times import MINUTE

KNOWN: Final = "known.json"
PAUSE_MAX_S: Final = 30
IN_OUTBOX: Final = "it stands in the outbox, signed and on disk. Do not write it again"


def wall_clock() -> int:
    """Return microseconds since 1970 UTC by this machine's clock."""
    return time.time_ns() // 1000


async def exercise_lead(node: NodePin, transport: Transport, now: Callable[[], int]) -> int:
    """Return how far a node's exercise time lies ahead of ``now``; 0 for a node in earnest.

    Only a card that was handed over says which it is, never the node that is asked.
    """
    if not node.exercise:
        return 0
    try:
        at = (await transport.about()).get("time")
    except (NodeUnreachable, Busy):
        return 0
    return at - now() if isinstance(at, int) else 0


@dataclass(frozen=True)
class Patience:
    """How often the same bytes are sent again at once, before they are left in the outbox."""

    pauses_s: tuple[float, ...] = ()
    """Before each further sending; longer where the node asks for it (Retry-After)."""
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    told: Callable[[LiaisonError, float], None] = lambda _exc, _seconds: None
    """Called with what went wrong before each pause."""


class Seat:
    """What every verb of a member stands on. Use ``async with Client.open(home, passphrase)``."""

    def __init__(
        self,
        home: Home,
        keystore: Keystore,
        held: ExitStack,
        now: Callable[[], int],
        url: str,
        patience: Patience,
    ) -> None:
        self.home = home
        self._patience = patience
        self._held = held
        self._clock = now
        self._ahead = 0
        """How far exercise time lies ahead of this machine's clock, in microseconds."""
        self.device = Device(home, keystore)
        self.pins = Pins(home)
        node = self.pins.node
        self._origin = node.origin
        self.transport = Transport(url or node.address, self._session)
        self.watch = Watch(home, node, self.transport.fetch)
        self.source = NodeSource(self.transport, self.watch, home)
        self.book = Book(home, self.pins, self.source, self.now)
        self._planner = Planner(
            self.book, self.device.member, self.device.key.id, self.now, lambda: self.watch.log_time
        )
        self.outbox = Outbox(home.path("outbox"))
        self.cabinet = Cabinet(home.path("cabinet"), keystore)
        self.keeping = Keeping(home, self.cabinet)
        self._receipts = ReceiptFiles()
        self._named: dict[str, str] = {}
        """References of notes that came by since this was opened, also of those that didn't open."""
        self._owing: set[tuple[str, str]] = set()
        self._settling: asyncio.Task[None] | None = None
        self._flushed = False
        self._tending = asyncio.Lock()
        self.unsettled: LiaisonError | None = None
        """Why the newest checkpoints could not be compared, where they couldn't."""
        self.caught_up: list[Outcome] = []
        """What came of statements that waited and went along with another command."""
        self.left_out: dict[str, LiaisonError] = {}
        """What was kept of notes and doesn't hold, by reference or file: each is told, once."""

    @classmethod
    def open(
        cls,
        home: Path | str | Home,
        passphrase: str | StretchedKey,
        *,
        now: Callable[[], int] = wall_clock,
        url: str = "",
        patience: Patience = Patience(),
    ) -> Self:
        """Return the client of the member whose home it is; the keystore is opened once.

        Raises:
            NotReady: no home, no node pinned, or another process holds it.
            KeystoreLocked: a wrong passphrase.
        """
        home = home if isinstance(home, Home) else Home(home)
        with ExitStack() as held:
            held.enter_context(home.locked())
            keystore = Keystore.open(home.path(KEYSTORE), passphrase)
            kept = ExitStack()
            client = cls(home, keystore, kept, now, url, patience)
            # Only now: what can't be opened gives the home back.
            kept.push(held.pop_all())
            return client

    async def __aenter__(self) -> Self:
        node = self.pins.node
        self._ahead = await exercise_lead(node, self.transport, self._clock)
        if node.exercise and not self.transport.has_answered:
            # While the node is away the log says at least how late it is in the exercise.
            self._ahead = max(0, self.watch.log_time - self._clock())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        keep(self.home, exc, self.transport.answers, self.now())
        try:
            await self.close(ended_by=exc)
        except STOP as late:
            keep(self.home, late, self.transport.answers, self.now())
            raise
        except OSError:
            if not isinstance(exc, LiaisonError):
                raise  # else what happened first says what to do

    async def close(self, *, ended_by: BaseException | None = None) -> None:
        """Compare the checkpoints seen, destroy keys that are due, and give the home back.

        Nothing is destroyed where one must stop, at whatever was shown of it, or where the log wasn't
        found to be one growing tree.
        """
        async with AsyncExitStack() as ending:
            # The last first; what can't be saved, for a full disk, keeps back none of the others.
            ending.callback(self._held.close)
            ending.callback(self.cabinet.close)
            ending.callback(self.outbox.close)
            ending.push_async_callback(self.transport.close)
            ending.callback(self.watch.save)
            if self._settling is not None:
                self._settling.cancel()
                with suppress(asyncio.CancelledError):
                    await self._settling
            await self._receipts.flush()
            if ended_by is None:
                await self._settle()
            has_stopped = isinstance(ended_by, STOP) or self.transport.answers.files > 0
            if not has_stopped and not self.watch.pending:
                # Of two times the earlier: neither log nor clock alone takes what can't be had again.
                passed = min(self.watch.log_time, self.now())
                self.device.destroy(passed)
                self.keeping.retain(passed)
            self._keep_known()

    def _keep_known(self) -> None:
        """Keep what completing a line may offer: it can ask neither node nor keystore."""
        before = self.home.read_state(KNOWN)
        known = {**before, **self.book.posts_known()}
        if known != before:
            self.home.write_state(KNOWN, known)

    @property
    def gave_way(self) -> list[str]:
        """Directories that were seen, and that a key had signed that may sign no more."""
        return self.book.gave_way

    @property
    def disputed(self) -> list[str]:
        """What others say they saw of the log, and this home doesn't."""
        return self.watch.disputed

    def now(self) -> int:
        """Return this machine's time, in microseconds; of an exercise, the exercise's."""
        return self._clock() + self._ahead

    def take_receipt(
        self, text: str, sent: Statement[Payload], public: bytes | None = None
    ) -> Entry:
        """Return the entry of a receipt that verifies and is that of what was ``sent``.

        ``public`` is the key that signed it, where that isn't this device's.
        """
        entry = self.watch.verify(text, sent)
        check_taken(entry, sent, public or self.device.key.public)
        self._watch_on()
        return entry

    async def _submit(self, signed: Signed) -> Entry:
        """Send what is on disk, and return its entry.

        Raises:
            RefusedByNode: it signed that.
            Waiting: it isn't known, or the node can't take it now.
            LogUntrusted: what came is no receipt of it; it stays in the outbox.
        """
        text = await self._receipt_of(signed)
        try:
            return self.take_receipt(text, signed.parsed or parse_statement(signed.statement))
        except Malformed as exc:
            raise _waiting(f"What answered gave no receipt: {exc.happened}") from exc
        except LogUntrusted as exc:
            exc.safe = IN_OUTBOX
            raise

    async def _receipt_of(self, signed: Signed) -> str:
        ciphertext = signed.ciphertext if signed.kind == "note" else None
        pauses = iter(self._patience.pauses_s)
        while True:
            try:
                return await self.transport.submit(signed.statement, ciphertext, signed.wraps)
            except (NodeUnreachable, Busy) as exc:
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise _waiting(f"The node gave no receipt: {exc.happened}") from exc
                if isinstance(exc, Busy):
                    pause_s = max(pause_s, min(exc.retry_after_s, PAUSE_MAX_S))
                self._patience.told(exc, pause_s)
                await self._patience.sleep(pause_s)
            except (NotAllowed, NotHere, Malformed, TooLarge) as exc:
                # The log may have it all the same: only what the node signed ends a sending.
                raise _waiting(f"What answered signed no refusal: {exc.happened}") from exc
            except RefusedByNode as exc:
                self._keep_refusal(signed, exc)
                raise

    async def hand_in(self, statement: Statement[Payload], public: bytes | None = None) -> Entry:
        """Send what needs no outbox, and return its entry; ``public`` as ``take_receipt`` asks for.

        Raises:
            RefusedByNode: the node signed that.
            NodeUnreachable, Busy: there is no answer that is the node's.
            LogUntrusted: the log has it in another way than it was sent.
        """
        try:
            text = await self.transport.submit(statement.raw)
        except (NotAllowed, NotHere, Malformed, TooLarge) as exc:
            raise NodeUnreachable(f"What answered signed no refusal: {exc.happened}") from exc
        except RefusedByNode as exc:
            check_refusal(self.pins.node, statement, exc)
            raise
        return self.take_receipt(text, statement, public)

    def _keep_refusal(self, signed: Signed, exc: RefusedByNode) -> None:
        """Keep a refusal; one that the node didn't sign leaves the statement waiting."""
        statement = signed.parsed or parse_statement(signed.statement)
        try:
            keep_refusal(self.home, self.pins.node, statement, exc)
        except NodeUnreachable as found:
            raise _waiting(found.happened) from exc

    def _reference(self, entry: Entry, alias: str, released: str = "") -> str:
        """Return a note's reference; one that is another note's already is the log's lie.

        ``released``: what a release gave it, if it was a draft.
        """
        reference = released or reference_of(entry, alias)
        if self.cabinet.has(reference) and entry.statement.digest not in self.cabinet:
            self._keep_receipt(f"{reference}.second.{entry.index}", entry)
            raise RecordUntrusted(
                f"The log gave the reference {reference} to a second note, in entry {entry.index}",
                safe="the first one stays as it is; nothing of the second is shown",
                do="keep both receipts and show them to the auditors",
            )
        return reference

    def _keep_receipt(self, reference: str, entry: Entry) -> Path:
        path = self.home.path(f"receipts/{reference}.receipt")
        self._receipts.put(path, entry.receipt)
        return path

    def _signed(
        self,
        kind: str,
        channel: str,
        alias: str,
        payload: Payload,
        serials: dict[str, int],
        about: str,
        *,
        wraps: bytes = b"",
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
            wraps=wraps,
            about=about,
            parsed=statement,
        )

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
            self.book.doubt(answer, entry.at),
        )

    async def _all_items(self) -> AsyncIterator[tuple[dict[str, object], Entry | Happening]]:
        """Give every item of the inbox with its entry, the oldest first; it ends where the log ends.

        One whose record is wrong is passed over: ``inbox`` tells of it.

        Raises:
            LogUntrusted: the node shows what the log doesn't hold, or in a circle.
        """
        before, is_more = "", True
        while is_more:
            after = f"&after={before}" if before else ""
            page = await self.transport.read(f"/v1/inbox?limit=256{after}")
            items = objects_of(page, "items")
            for item in items:
                entry = entry_at(self.watch, item, self.device.member, before)
                before = text_of(item, "position")
                if not isinstance(entry, RecordUntrusted):
                    yield item, entry
            is_more = bool(page.get("more")) and bool(items)

    async def channels(self) -> list[ChannelView]:
        """Return the channels whose charter names this party."""
        answer = await self.transport.read("/v1/channels")
        aliases = [text_of(item, "alias") for item in objects_of(answer, "channels")]
        return [await self.book.channel(alias) for alias in aliases]

    async def channel(self, alias: str) -> ChannelView:
        return await self.book.channel(alias, is_fresh=True)

    async def _channel_of(self, channel: str) -> ChannelView:
        known = self.book.channel_by_id(channel)
        if known is not None:
            return known
        answer = await self.transport.read("/v1/channels")
        for item in objects_of(answer, "channels"):
            if item.get("channel") == channel:
                view = await self.book.channel(text_of(item, "alias"))
                if view.cell.channel == channel:
                    return view
        raise LinkBroken("charter", "The node shows no charter for the channel of this note")

    def _session(self, challenge: str) -> bytes:
        now = self.now()
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


def _waiting(happened: str) -> Waiting:
    return Waiting(
        happened,
        safe=IN_OUTBOX,
        do="the next command sends the same bytes again; or run: liaison outbox flush",
    )
