"""Wrapping: the keys at a post that a note's secret is wrapped for.

That is the newest key in use of every device of every holder, kept long enough for the note to be
opened (rules.chain, CHAIN-5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from liaison.client.links import ChannelView, Standing
from liaison.rules.chain import key_in_force, key_opens
from liaison.rules.notes import last_opening
from liaison.sealing.keys import load_public
from liaison.sealing.seal import Recipient
from liaison.statements.payloads import AddresseeRole
from liaison.words.errors import Malformed, NotReady
from liaison.words.ids import party_of
from liaison.words.times import MINUTE, to_dtg

OPENING_MARGIN_US: Final = 10 * MINUTE
"""A note may wait so long for its acceptance before its keys are too old for it."""


@dataclass(frozen=True)
class Wrapped:
    """An addressee of a plan with the key statements to wrap for, ascending; none in a draft."""

    post: str
    role: AddresseeRole
    keys: tuple[str, ...]
    alternate_for: str | None = None


class Wrapping:
    """Gathers the addressees of a plan and the keys that their wraps are for."""

    def __init__(
        self,
        standings: dict[str, Standing],
        channel: ChannelView,
        now: int,
        opened_by: int,
        devices: frozenset[str] = frozenset(),
    ) -> None:
        self.recipients: dict[str, Recipient] = {}  # who holds two of the posts gets one wrap
        self.addressees: list[Wrapped] = []
        self.unreached: list[str] = []
        self._standings = standings
        self._channel = channel
        self._now = now
        self._opened_by = opened_by
        self._devices = devices
        """If not empty, only these are wrapped for, by the ids of their signing keys."""

    def add(
        self,
        post: str,
        role: AddresseeRole,
        *,
        only: str | None = None,
        alternate_for: str | None = None,
        is_needed: bool = True,
    ) -> None:
        """Add a post with every key that it can be wrapped for.

        Raises:
            NotReady: nobody there can be reached, and it is needed.
        """
        standing = self._standings[party_of(post)]
        found = keys_for(standing, post, self._now, self._opened_by, only, devices=self._devices)
        if not found and not is_needed:
            self.unreached.append(post)
            return
        if not found:
            raise self._unwritable(standing, post, only)
        self.recipients |= {recipient.statement: recipient for recipient in found}
        keys = tuple(sorted(recipient.statement for recipient in found))
        self.addressees.append(Wrapped(post, role, keys, alternate_for))

    def _unwritable(self, standing: Standing, post: str, only: str | None) -> NotReady:
        party, cell = standing.party.party, standing.posts.get(post)
        roster = self._channel.posts(party)
        others = [
            other
            for other in roster
            if other != post
            and only is None
            and keys_for(standing, other, self._now, self._opened_by, None)
        ]
        if post not in roster:
            what = f"{post} is not on the roster of {party} for {self._channel.cell.alias}"
            then = f"ask {party} to put it there: roster set"
        elif only is None and (cell is None or not cell.holders):
            what = f"{post} is vacant: nobody holds it"
            then = f"ask {party} to fill it: posting set {post} MEMBER --post"
        elif keys_for(standing, post, self._now, 0, only):
            what = (
                f"No key of {only or post} is kept until {to_dtg(self._opened_by)}, when the note may "
                "still have to be opened"
            )
            then = "give it an earlier expiry"
        elif standing.strange & set(cell.holders if cell else ()):
            what = (
                f"Nobody at {post} has an encryption key in use: the node shows one of a device that "
                f"the directory of {party} doesn't name"
            )
            then = (
                f"ask {party} by telephone whether it has that device: then its next directory names it; "
                "else tell the auditors"
            )
        else:
            what = f"Nobody at {post} has an encryption key in use"
            then = "a device makes its keys when its holder runs any command"
        instead = f"write to {', '.join(others)}" if others else f"nobody else of {party} can be"
        return NotReady(
            what,
            safe="nothing was sealed or sent",
            do=then if only is not None else f"{instead}; {then}",
        )


def keys_for(
    standing: Standing,
    post: str,
    now: int,
    opened_by: int,
    only: str | None,
    *,
    devices: frozenset[str] = frozenset(),
) -> list[Recipient]:
    """Return the newest key in use of each device of the holders of ``post``, or of ``devices``.

    ``only`` is who wrote a note, for their copy: they need not hold the post any more.
    """
    cell = standing.posts.get(post)
    if cell is None:
        return []
    newest: dict[str, tuple[int, Recipient]] = {}
    for holder in cell.holders if only is None else (only,):
        for key, public in standing.keys.get(holder, ()):
            member = standing.members.get(holder)
            if only is None:
                refused = key_opens(key, cell, member, at=now, opened_by=opened_by, who=post)
            else:
                refused = key_in_force(key, member, at=now, opened_by=opened_by)
            known = newest.get(key.device)
            if devices and key.device not in devices:
                continue
            if refused is not None or (known is not None and known[0] >= key.use_from):
                continue
            try:
                load_public(public)
            except Malformed:
                continue  # a bad key never fails a note to others (design.md 4)
            newest[key.device] = (key.use_from, Recipient(key.statement, public))
    return [recipient for _, recipient in newest.values()]


def last_opened_by(channel: ChannelView, expiry: int | None, shown_at: int) -> int:
    """Return until when a key must be kept, as decide will ask; a note may wait a little for that."""
    margin = 0 if expiry is not None else OPENING_MARGIN_US
    return last_opening(channel.cell, expiry, shown_at) + margin
