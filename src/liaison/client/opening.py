"""Opening: a note's secret, by its own wrap, by the release of a draft, or by a grant.

Whatever it came by, the chain of who wrapped it is looked at first, and the commitment last.
"""

from __future__ import annotations

from typing import Final

from liaison.client.answers import text_of
from liaison.client.links import ChannelView, LinkBroken
from liaison.client.reading import (
    Delivery,
    Letter,
    check_grant,
    check_release,
    delivery_of,
    open_content,
    secret_of,
)
from liaison.client.sending import Sender
from liaison.client.watching import Entry, check_digest
from liaison.sealing.content import Content
from liaison.statements.payloads import Note
from liaison.statements.procedures import Grant, Release
from liaison.words.errors import SignatureInvalid, Unreadable
from liaison.words.ids import party_of

MENDABLE: Final = frozenset({"wrap", "secret", "commitment", "key"})
"""Reasons for which a note doesn't open that another wrap may mend."""


class Opener(Sender):
    """A member's way into notes that the node keeps."""

    async def _secret(self, letter: Letter, view: ChannelView) -> bytes:
        """Return the secret of a note that this home has opened, which the node's copy holds."""
        content = await self.transport.read(f"/v1/notes/{check_digest(letter.digest)}/content")
        entry, release = self.watch.verify(letter.receipt), None
        if letter.note.drafted and party_of(letter.note.by) != self.device.party:
            found = await self._release_of(letter.digest)
            release, _ = await check_release(self.book, found, entry, view)
        delivery, opening = delivery_of(content), self.device.opening
        try:
            return secret_of(letter.note, delivery, opening, release)
        except Unreadable as exc:
            grants = await self._grants(exc, delivery, entry, view)
            return secret_of(letter.note, delivery, opening, release, grants)

    async def _opened(
        self,
        entry: Entry,
        note: Note,
        view: ChannelView,
        delivery: Delivery,
        release: Release | None,
    ) -> Content:
        """Return the content of a note whose chain held, by a grant where its own wrap doesn't open."""
        opening = self.device.opening
        try:
            return open_content(note, delivery, opening, release)
        except Unreadable as exc:
            grants = await self._grants(exc, delivery, entry, view)
            return open_content(note, delivery, opening, release, grants)

    async def _grants(
        self, failed: Unreadable, delivery: Delivery, entry: Entry, view: ChannelView
    ) -> dict[str, Grant]:
        """Return the grants for this device whose chain holds, by digest.

        Raises:
            Unreadable: as it ``failed``, where no grant can mend it.
        """
        wanted = {g.grant for g in delivery.granted if g.key in self.device.opening}
        found: dict[str, Grant] = {}
        for digest in sorted(wanted) if failed.reason in MENDABLE else ():
            granted = await self.source.statement(digest)
            try:
                found[digest], _ = await check_grant(self.book, granted, entry, view)
            except (LinkBroken, SignatureInvalid):
                continue  # whoever made it, the note opens by it no more than before
        if not found:
            raise failed
        return found

    async def _release_of(self, digest: str) -> Entry:
        """Return the release of a draft that this member may read by now.

        Raises:
            LinkBroken: the node shows the draft, and none.
        """
        answer = await self.transport.read(f"/v1/notes/{check_digest(digest)}")
        state = answer.get("state", {})
        if not isinstance(state, dict) or "release" not in state:
            raise LinkBroken("release", "The node shows no release of that draft")
        return await self.source.statement(text_of(state, "release"))
