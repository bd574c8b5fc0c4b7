"""Answering: a person takes a note on, or declines; a home says what was delivered or unreadable.

The latter is owed from when a note was taken, and said later, many in one statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast

from liaison.client.answers import object_of, objects_of
from liaison.client.links import ChannelView, LinkBroken
from liaison.client.making import made
from liaison.client.outcomes import Told
from liaison.client.reached import INBOX, list_in
from liaison.client.reading import Letter
from liaison.client.receipts import keep_refusal
from liaison.client.receiving import Receiver
from liaison.client.watching import check_digest
from liaison.statements.payloads import MAX_ANSWERED, AddresseeRole, Answer, Note, Verdict
from liaison.statements.statement import make_statement
from liaison.words.errors import (
    Busy,
    LiaisonError,
    NodeUnreachable,
    NotReady,
    RecordUntrusted,
    RefusedByNode,
    SignatureInvalid,
    Unreadable,
)
from liaison.words.times import SECOND

_TAKEN_ON: Final = frozenset({"already-acknowledged", "already-declined"})


class Answerer(Receiver):
    """A member's home that answers for the posts that its member holds."""

    async def state(self, letter: Letter) -> list[dict[str, object]]:
        """Return what the node says of each addressee's state; it proves nothing."""
        answer = await self.transport.read(f"/v1/notes/{check_digest(letter.digest)}")
        state = object_of(answer, "state")
        return objects_of(state, "addressees")

    async def is_asked(self, letter: Letter) -> bool:
        """Return whether a note still waits for this member's post to take it on."""
        mine = set(await self._posts_of(letter.note))
        return any(
            one.get("post") in mine
            and one.get("role") != AddresseeRole.INFO.value
            and one.get("life") in ("queued", "delivered")
            for one in await self.state(letter)
        )

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
            list_in(state, "owed").append(
                {"channel": note.channel, "code": code, "digest": digest, "post": post}
            )

    async def _answer_all(self, state: dict[str, object]) -> bool:
        """Say what is owed; return whether nothing is any more."""
        await self._answer_owed(state)
        return not list_in(state, "owed")

    async def _answer_owed(self, state: dict[str, object]) -> None:
        """Say *delivered* or *unreadable*, gathered by channel and post."""
        owed = cast("list[dict[str, str]]", list_in(state, "owed"))
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
            said = make_statement(answer, self.device.key)
        except (LinkBroken, SignatureInvalid, NotReady, NodeUnreachable, Busy):
            return False  # a channel that can't be trusted is not answered in either
        try:
            await self.hand_in(said)
        except RecordUntrusted as exc:
            self.caught_up.append(self._stopped_at(exc))
            return False  # it is said anew, and keeps nobody from what came
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


def reason_of(exc: LiaisonError) -> str:
    if isinstance(exc, Unreadable):
        return exc.reason
    if isinstance(exc, LinkBroken):
        return exc.link
    return "signature" if isinstance(exc, SignatureInvalid) else "malformed"
