"""Acting: what a member does about notes that exist. Release, withdrawal, objection, extension, hold, watch.

Each is a statement in a channel that goes through the outbox as a note does: on disk before its
first byte leaves, sent again as the same bytes, taken once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

from liaison.client.folding import ChannelView
from liaison.client.outbox import Signed
from liaison.client.reading import Letter, delivery_of, secret_of, sha256
from liaison.client.sending import OUTDATED, SEAL_ATTEMPTS, Done, Sender
from liaison.client.transport import text_of
from liaison.client.watching import Happening, check_digest
from liaison.client.writing import Plan
from liaison.sealing.seal import COMMITMENT_BYTES, SealContext, rewrap
from liaison.statements.payloads import Reliance, Wrap
from liaison.statements.procedures import (
    Extension,
    Hold,
    InChannel,
    Objection,
    Release,
    Released,
    Watch,
    WatchAction,
    Withdrawal,
)
from liaison.words.encoding import from_base64
from liaison.words.errors import LiaisonError, LogUntrusted, NotHere, RefusedByNode
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND

S = TypeVar("S", bound=InChannel)


class Actor(Sender):
    """A member's verbs about notes that exist."""

    async def withdraw(self, reference: str, *, reason: str | None = None) -> Done:
        """Take back a note, a draft, a deferred note or a proposal that isn't settled yet."""
        digest, view = await self.find(reference)
        payload = self._payload(Withdrawal, view, note=digest, reason=reason)
        return await self._do(payload, view, reference)

    async def object_to(self, reference: str, *, reason: str | None = None) -> Done:
        """Break the silence of a proposal. It counts if it is in the log before silence ends."""
        digest, view = await self.find(reference)
        payload = self._payload(Objection, view, note=digest, reason=reason)
        return await self._do(payload, view, reference)

    async def extend(self, reference: str, silence_until: int) -> Done:
        """Let the silence of a proposal last longer; for the chair."""
        digest, view = await self.find(reference)
        payload = self._payload(Extension, view, note=digest, silence_until=silence_until)
        return await self._do(payload, view, reference)

    async def hold(
        self, alias: str, post: str, below: Precedence | None = None, until: int | None = None
    ) -> Done:
        """Let notes below a precedence wait for a post until a time; without both, end that."""
        await self.tend()
        view = await self.book.channel(alias)
        payload = self._payload(Hold, view, post=post, below=below, until=until)
        return await self._do(payload, view, f"{alias}/{post}")

    async def watch_act(
        self,
        reference: str,
        action: WatchAction,
        *,
        text: str | None = None,
        until: int | None = None,
        post: str | None = None,
    ) -> Done:
        """Act on an item of the operators' queue: a note, or by a channel's alias its line tests."""
        digest: str | None = None
        if "/" in reference:
            digest, view = await self.find(reference)
        else:
            await self.tend()
            view = await self.book.channel(reference)
        payload = self._payload(
            Watch, view, action=action, note=digest, text=text, until=until, post=post
        )
        return await self._do(payload, view, reference)

    async def queue(self) -> list[dict[str, object]]:
        """Return the operators' queue as the node shows it, most urgent first; it proves nothing."""
        answer = await self.transport.read("/v1/watch")
        return cast("list[dict[str, object]]", answer.get("items", []))

    async def status(self, reference: str) -> dict[str, object]:
        """Return what the node says of a note's state; the certificates prove what they say."""
        digest, _ = await self.find(reference)
        answer = await self.transport.read(f"/v1/notes/{check_digest(digest)}")
        return cast("dict[str, object]", answer.get("state", {}))

    async def certificates(self, reference: str) -> list[tuple[Happening, Path]]:
        """Return what the log recorded of a note because time passed, each with its receipt's file."""
        digest, _ = await self.find(reference)
        answer = await self.transport.read(f"/v1/notes/{check_digest(digest)}/certificates")
        found: list[tuple[Happening, Path]] = []
        for text in cast("list[str]", answer.get("certificates", [])):
            happening = self.watch.verify_any(text)
            if not isinstance(happening, Happening) or happening.record.note != digest:
                raise LogUntrusted("The node shows a record that isn't a certificate of this note")
            found.append((happening, self.keep_happening(reference, happening)))
        await self._receipts.flush()
        return found

    def keep_happening(self, reference: str, happening: Happening) -> Path:
        """Keep the receipt of what was due beside those of its note."""
        outcome = happening.record.urgency.outcome or happening.record.kind
        path = self.home.path(f"receipts/{reference}.{outcome}.{happening.index}.receipt")
        self._receipts.put(path, happening.receipt)
        return path

    async def find(self, reference: str) -> tuple[str, ChannelView]:
        """Return the digest of a note by its reference, and its channel.

        From the cabinet; for those who can't read it, from the operators' queue.

        Raises:
            NotHere: neither knows it.
        """
        await self.tend()
        alias = reference.rpartition("/")[0]
        view = await self.book.channel(alias)
        if self.cabinet.has(reference):
            return self.cabinet.digest(reference), view
        for item in await self._queue_or_nothing():
            if item.get("reference") == reference:
                return text_of(item, "note"), view
        raise NotHere(
            f"There is no {reference[:80]} for this member",
            safe="nothing was changed",
            do="run: liaison inbox; the reference stands in front of each note",
        )

    async def _queue_or_nothing(self) -> list[dict[str, object]]:
        try:
            return await self.queue()
        except NotHere:
            return []  # this member is no operator

    # Release

    async def release(self, letter: Letter, plan: Plan | None = None) -> Done:
        """Let a draft go that this member opened: wrap it for whom it names, and say so.

        Raises:
            RefusedByNode: it isn't cleared, or this member may not release it.
            Unreadable: what the node keeps isn't what the draft commits to.
        """
        await self.tend()
        note = letter.note
        view = await self._channel_of(letter.channel)
        plan = plan or await self._planner.release_plan(view.cell.alias, note)
        content = await self.transport.read(f"/v1/notes/{check_digest(letter.digest)}/content")
        delivery = delivery_of(content)
        secret = secret_of(note, letter.digest, delivery, self.device.opening)
        serials = self.outbox.take_serials(view.cell.channel, plan.addressed)
        for attempt in range(1, SEAL_ATTEMPTS + 1):
            try:
                plan = (
                    plan
                    if attempt == 1
                    else await self._planner.release_plan(view.cell.alias, note)
                )
                signed = self._release(letter, plan, secret, serials)
            except LiaisonError:
                self.outbox.give_back(view.cell.channel, serials)
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
            return await self._did(signed, entry)
        raise AssertionError("the last attempt returns or raises")

    def _release(
        self, letter: Letter, plan: Plan, secret: bytes, serials: dict[str, int]
    ) -> Signed:
        note, view = letter.note, plan.channel
        context = SealContext(note.id, note.charter, note.key, note.kind)
        wraps = rewrap(
            secret,
            context,
            plan.recipients,
            self.device.key.id,
            from_base64(note.commitment, COMMITMENT_BYTES),
        )
        payload = self._payload(
            Release,
            view,
            note=letter.digest,
            parties=tuple(
                Reliance(party=party, directory=directory, roster=roster, serial=serials.get(party))
                for party, directory, roster in plan.reliances
            ),
            checkpoint=self.watch.seen,
            addressees=tuple(
                Released(
                    post=a.post,
                    wraps=tuple(Wrap(key=k, wrap=sha256(wraps[k])) for k in a.keys),
                )
                for a in sorted(plan.addressees, key=lambda addressee: addressee.post)
            ),
        )
        return self._signed(
            "release",
            view.cell.channel,
            view.cell.alias,
            payload,
            serials,
            letter.reference,
            wraps=b"".join(wraps[wrap.key] for wrap in payload.wraps()),
        )

    # What all have in common

    def _payload(self, model: type[S], view: ChannelView, **members: Any) -> S:
        now = self._now()
        return model(
            by=self.device.member,
            key=self.device.key.id,
            issued=now,
            lapse=now + view.cell.terms.lapse_max_s * SECOND,
            log=self._origin,
            channel=view.cell.channel,
            **members,
        )

    async def _do(self, payload: InChannel, view: ChannelView, reference: str) -> Done:
        signed = self._signed(
            payload.kind_name, view.cell.channel, view.cell.alias, payload, {}, reference
        )
        await self.outbox.keep(signed)
        try:
            entry = await self._submit(signed)
        except RefusedByNode:
            self.outbox.refused(signed.digest, is_free=True)
            raise
        self.outbox.receipted(signed.digest)
        return await self._did(signed, entry)
