"""A member's client: it sends, lists what is new, reads and answers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from liaison.client.cabinet import Kept
from liaison.client.folding import ChannelView, LinkBroken
from liaison.client.reading import (
    Delivery,
    Letter,
    check_answer,
    check_note,
    note_of,
    open_content,
    reference_of,
)
from liaison.client.seat import Told
from liaison.client.sending import Sender
from liaison.client.transport import text_of
from liaison.client.watching import Entry, check_digest
from liaison.statements.payloads import (
    MAX_ANSWERED,
    AddresseeRole,
    Answer,
    Note,
    Verdict,
)
from liaison.statements.statement import make_statement
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
    Unreadable,
)
from liaison.words.ids import party_of
from liaison.words.times import SECOND

INBOX: Final = "inbox.json"
PAGE_ITEMS: Final = 128


@dataclass(frozen=True)
class Unopened:
    """A note that was not opened; ``error`` says why, and nothing of the note is shown."""

    reference: str
    error: LiaisonError


Item = Letter | Told | Unopened


class Client(Sender):
    """A member's home at work. Use ``async with Client.open(home, passphrase)``."""

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
                entry = self.watch.verify(text_of(item, "receipt"))
                position = self._position(item, entry, str(state.get("position", "")))
                seen = await self._take(item, entry, state)
                items += [seen] if seen is not None else []
                state["position"] = position
            # The cabinet first: once the position moved, nobody shows these again.
            await self.cabinet.sync()
            await self._receipts.flush()
            self.home.write_state(INBOX, state)
            more = bool(page.get("more")) and bool(shown)
            if not more or len(_list(state, "owed")) >= MAX_ANSWERED:
                # Not only at the end: what is owed is written down again with each page.
                await self._answer_owed(state)
        self._watch_on()
        return items

    def _position(self, item: dict[str, object], entry: Entry, before: str) -> str:
        """Return an item's position, which is behind ``before`` and that of the entry shown.

        Else a node could lead this home round in circles, or past notes that it never showed.
        """
        position = text_of(item, "position")
        place = _place(position)
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

    async def _take(
        self, item: dict[str, object], entry: Entry, state: dict[str, object]
    ) -> Item | None:
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
            entry = self.watch.verify(text_of(answer, "receipt"))
            if entry.statement.digest != digest:
                raise LogUntrusted(
                    f"The node shows entry {entry.index} where another note was asked for",
                    safe="nothing of it is shown",
                    do="tell the node's operator",
                )
            seen = await self._take({"kind": "note"}, entry, state)
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

    def _references(self, digests: Sequence[str]) -> str:
        return ", ".join(self.cabinet.reference(digest) for digest in digests)

    async def read(self, reference: str) -> Letter:
        """Return a note from the cabinet, fetching what is new where it isn't there yet.

        Reading never acknowledges, and what was fetched is still shown by ``inbox``. The receipt
        goes into a file; the cabinet has had it since the note was opened.

        Raises:
            NotHere: no such note.
            LinkBroken, SignatureInvalid, Unreadable: it can't be opened; nothing of it is shown.
        """
        if not self.cabinet.has(reference):
            await self._fetch(reference)
            await self.cabinet.sync()
        letter = self._kept(reference)
        self._receipts.put(self.home.path(f"receipts/{reference}.receipt"), letter.receipt)
        await self._receipts.flush()
        return letter

    async def _fetch(self, reference: str) -> None:
        """Look for a note among all that this member was sent, and open it."""
        alias = reference.rpartition("/")[0]
        after, more = "", True
        while more:
            page = await self.transport.read(f"/v1/inbox?limit=256{after}")
            shown = cast("list[dict[str, object]]", page.get("items", []))
            for item in shown:
                after = f"&after={text_of(item, 'position')}"
                if item.get("kind") == "answer":
                    continue
                entry = self.watch.verify(text_of(item, "receipt"))
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


def _delivery(content: dict[str, object]) -> Delivery:
    wraps = cast("list[dict[str, object]]", content.get("wraps", []))
    try:
        ciphertext = base64.b64decode(text_of(content, "ciphertext"), validate=True)
    except binascii.Error as exc:
        raise Malformed(f"the node's answer: ciphertext is not base64: {exc}") from exc
    return Delivery(
        ciphertext, {text_of(item, "key"): from_base64(text_of(item, "wrap")) for item in wraps}
    )
