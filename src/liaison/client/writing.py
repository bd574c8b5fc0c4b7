"""Writing: for whom a note is sealed, and its statement. design.md 3 (note) and 4.

A note is sealed only under directories that have not lapsed, for every device of every holder of
each addressed post that has a key in use and kept long enough (rules.chain, CHAIN-5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from liaison.client.folding import Book, ChannelView, DirectoryLink, Standing, not_listed
from liaison.client.outbox import Signed
from liaison.client.reading import FRESH_US, sha256
from liaison.rules.chain import device_signs, key_opens
from liaison.sealing.content import Content
from liaison.sealing.keys import load_public
from liaison.sealing.seal import Recipient, SealContext, seal
from liaison.statements.charters import NoteKind
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import (
    Addressee,
    AddresseeRole,
    Label,
    Note,
    NotePrecedence,
    Reliance,
    Seen,
    Wrap,
)
from liaison.statements.payloads import Content as ContentTerms
from liaison.statements.statement import make_statement
from liaison.words.encoding import to_base64
from liaison.words.errors import Malformed, NotReady
from liaison.words.ids import check_id, party_of
from liaison.words.precedence import Precedence
from liaison.words.times import MINUTE, SECOND, to_dtg

OPENING_MARGIN_US: Final = 10 * MINUTE
"""A note may wait so long for its acceptance before its keys are too old for it."""


@dataclass(frozen=True)
class Draft:
    """What a person wants to send. What is None follows from the charter.

    ``justification`` is visible to the node; subject and text never are.
    """

    channel: str
    to: tuple[str, ...]
    content: Content = field(repr=False)
    info: tuple[str, ...] = ()
    kind: str | None = None
    precedence: Precedence | None = None
    justification: str | None = None
    classification: str | None = None
    in_reply_to: str | None = None


@dataclass(frozen=True)
class Plan:
    """For whom a note is sealed, and what that relies on."""

    channel: ChannelView
    recipients: tuple[Recipient, ...]
    addressees: tuple[tuple[str, AddresseeRole, tuple[str, ...]], ...]
    """Post, role, and the key statement digests to wrap for, ascending."""
    reliances: tuple[tuple[str, str, str | None], ...]
    """Party, its directory, and its roster where it is addressed."""
    made_at: int

    @property
    def addressed(self) -> tuple[str, ...]:
        return tuple(party for party, _, roster in self.reliances if roster is not None)


class Planner:
    """Finds out for whom to seal, and keeps it for a minute."""

    def __init__(
        self,
        book: Book,
        member: str,
        device: str,
        now: Callable[[], int],
        log_time: Callable[[], int],
    ) -> None:
        self._book = book
        self._member = member
        self._device = device
        self._now = now
        self._log_time = log_time
        self._plans: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Plan] = {}

    def forget(self) -> None:
        self._plans.clear()

    async def plan(self, alias: str, to: tuple[str, ...], info: tuple[str, ...]) -> Plan:
        """Return for whom a note to these posts is sealed.

        Raises:
            NotReady: a channel that isn't open, a post that can't be written to now, a directory
                that lapsed or is missing; the text says what and who else could be written to.
        """
        now = self._now()
        known = self._plans.get((alias, to, info))
        if known is not None and now - known.made_at < FRESH_US:
            return known
        for post in (*to, *info):
            check_id("address", post)
        if len({*to, *info}) != len(to) + len(info):
            raise Malformed("a post is addressed twice")
        channel = await self._book.channel(alias)
        if not channel.cell.is_open:
            acceded = {accession.party for accession in channel.cell.acceded}
            missing = ", ".join(p for p in channel.cell.parties if p not in acceded)
            raise NotReady(
                f"{alias} is not open: {missing} has not acceded",
                safe="nothing was sealed or sent",
                do=f"wait for {missing} to run: channel accede {alias} --post",
            )
        plan = await self._make(channel, to, info, now)
        self._plans[alias, to, info] = plan
        return plan

    async def _make(
        self, channel: ChannelView, to: tuple[str, ...], info: tuple[str, ...], now: int
    ) -> Plan:
        own = party_of(self._member)
        addressed = {party_of(post) for post in (*to, *info)}
        for party in sorted(addressed):
            if party not in channel.cell.parties:
                raise NotReady(
                    f"{party} is not a party of {channel.cell.alias}",
                    safe="nothing was sealed or sent",
                    do=f"its parties are {', '.join(channel.cell.parties)}",
                )
        standings = {
            party: await self._current(party, channel) for party in sorted({own, *addressed})
        }
        opened_by = now + channel.cell.terms.open_within_s * SECOND + OPENING_MARGIN_US
        copy_post = self._own_post(standings[own], channel)
        if copy_post in (*to, *info):
            raise NotReady(
                f"{copy_post} is the post that you write for: it gets its copy by itself",
                safe="nothing was sealed or sent",
                do="leave it out",
            )
        recipients: dict[str, Recipient] = {}  # who holds two of the posts gets one wrap
        addressees: list[tuple[str, AddresseeRole, tuple[str, ...]]] = []
        wanted = [(post, AddresseeRole.ACTION) for post in to]
        wanted += [(post, AddresseeRole.INFO) for post in info]
        for post, role in [*wanted, (copy_post, AddresseeRole.COPY)]:
            standing = standings[party_of(post)]
            only = self._member if role is AddresseeRole.COPY else None
            found = _keys_for(standing, post, now, opened_by, only)
            if not found:
                raise self._unwritable(standing, post, channel, now, opened_by)
            recipients |= {recipient.statement: recipient for recipient in found}
            addressees.append((post, role, tuple(sorted(r.statement for r in found))))
        reliances = tuple(
            (
                party,
                _directory(standing).digest,
                channel.rosters[party].statement if party in addressed else None,
            )
            for party, standing in sorted(standings.items())
        )
        return Plan(channel, tuple(recipients.values()), tuple(addressees), reliances, now)

    async def _current(self, party: str, channel: ChannelView) -> Standing:
        """Return a party's standing under a directory that is in force and names the channel."""
        now = self._now()
        standing = await self._book.standing(party, not_before=now - FRESH_US)
        directory = standing.directory
        if directory is None:
            raise NotReady(
                f"{party} has signed no directory yet, and nothing is sealed without one",
                safe="nothing was sealed or sent",
                do=f"ask {party} to run: directory sign --post",
            )
        # Either clock may be behind: the node's to freeze a view, this one by accident.
        if max(now, self._log_time()) >= directory.payload.valid_until:
            lapsed = to_dtg(directory.payload.valid_until)
            raise NotReady(
                f"The newest directory of {party} lapsed at {lapsed}",
                safe="nothing was sealed or sent",
                do=f"ask {party} to run: directory sign --post",
            )
        cell = channel.cell
        if directory.charter(cell.channel) != cell.charter:
            raise not_listed(f"the charter of {cell.alias}", party)
        edition = channel.rosters.get(party)
        if edition is None or directory.roster(cell.channel) != edition.statement:
            raise not_listed(f"its newest roster for {cell.alias}", party)
        return standing

    def _own_post(self, standing: Standing, channel: ChannelView) -> str:
        """Return the first post on the own party's roster that the sender holds."""
        party = standing.party.party
        for post in channel.posts(party):
            cell = standing.posts.get(post)
            if cell is not None and self._member in cell.holders:
                member = standing.members.get(self._member)
                refused = device_signs(standing.party, member, self._device, who=self._member)
                if refused is not None:
                    raise NotReady(refused.text, safe="nothing was sealed or sent")
                return post
        raise NotReady(
            f"{self._member} holds no post on the roster of {party} for {channel.cell.alias}",
            safe="nothing was sealed or sent",
            do=f"ask {party} to run: roster set {channel.cell.alias} POST --post, then directory sign --post",
        )

    def _unwritable(
        self, standing: Standing, post: str, channel: ChannelView, now: int, opened_by: int
    ) -> NotReady:
        party = standing.party.party
        roster = channel.posts(party)
        others = [
            other
            for other in roster
            if other != post and _keys_for(standing, other, now, opened_by, None)
        ]
        instead = f"write to {', '.join(others)}" if others else f"nobody else of {party} can be"
        if post not in roster:
            what = f"{post} is not on the roster of {party} for {channel.cell.alias}"
        elif post not in standing.posts or not standing.posts[post].holders:
            what = f"{post} is vacant: nobody holds it"
        else:
            what = f"Nobody at {post} has an encryption key in use that is kept long enough"
        return NotReady(
            what,
            safe="nothing was sealed or sent",
            do=f"{instead}; a device makes its keys when its holder runs any command",
        )


def _directory(standing: Standing) -> DirectoryLink:
    assert standing.directory is not None
    return standing.directory


def _keys_for(
    standing: Standing, post: str, now: int, opened_by: int, only: str | None
) -> list[Recipient]:
    """Return the newest key in use of each device of the holders of ``post``."""
    cell = standing.posts.get(post)
    if cell is None:
        return []
    newest: dict[str, tuple[int, Recipient]] = {}
    for holder in cell.holders if only is None else (only,):
        for key, public in standing.keys.get(holder, ()):
            refused = key_opens(
                key, cell, standing.members.get(holder), at=now, opened_by=opened_by, who=post
            )
            known = newest.get(key.device)
            if refused is not None or (known is not None and known[0] >= key.use_from):
                continue
            try:
                load_public(public)
            except Malformed:
                continue  # a bad key never fails a note to others (design.md 4)
            newest[key.device] = (key.use_from, Recipient(key.statement, public))
    return [recipient for _, recipient in newest.values()]


@dataclass(frozen=True)
class Spent:
    """What a seal spends: its note id, and a serial towards each addressed party."""

    note_id: str
    serials: dict[str, int]


def seal_note(
    draft: Draft, plan: Plan, spent: Spent, *, by: str, key: SigningKey, seen: Seen, now: int
) -> Signed:
    """Return ``draft`` sealed and signed at ``now``, a fresh secret each time.

    Raises:
        NotReady: the charter has no such kind, or asks for a justification that isn't given.
        Malformed: a member outside its limits.
    """
    channel = plan.channel.cell
    kind = _kind(plan.channel, draft)
    context = SealContext(spent.note_id, channel.charter, key.id, kind.kind)
    sealed = seal(draft.content, context, plan.recipients, wrapper=key.id)
    action = draft.precedence or kind.default
    info = min(action, kind.info_max, key=lambda level: level.rank)
    own = party_of(by)
    note = Note(
        by=by,
        key=key.id,
        issued=now,
        lapse=now + channel.terms.lapse_max_s * SECOND,
        log=plan.channel.charter.log.origin,
        id=spent.note_id,
        channel=channel.channel,
        charter=channel.charter,
        parties=tuple(
            Reliance(
                party=party, directory=directory, roster=roster, serial=spent.serials.get(party)
            )
            for party, directory, roster in plan.reliances
        ),
        checkpoint=seen,
        kind=kind.kind,
        precedence=NotePrecedence(action=action, info=info),
        justification=draft.justification,
        addressees=tuple(
            Addressee(
                post=post,
                role=role,
                wraps=tuple(Wrap(key=k, wrap=sha256(sealed.wraps[k])) for k in keys),
            )
            for post, role, keys in plan.addressees
        ),
        content=ContentTerms(digest=sha256(sealed.ciphertext), size=len(sealed.ciphertext)),
        commitment=to_base64(sealed.commitment),
        dtg=to_dtg(now),
        label=Label(
            classification=draft.classification or channel.terms.classifications[0],
            releasable_to=tuple(sorted({own, *plan.addressed})),
        ),
        exercise=False,
        in_reply_to=draft.in_reply_to,
    )
    statement = make_statement(note, key)
    return Signed(
        kind="note",
        digest=statement.digest,
        channel=channel.channel,
        alias=channel.alias,
        note_id=spent.note_id,
        serials=spent.serials,
        statement=statement.raw,
        ciphertext=sealed.ciphertext,
        wraps=b"".join(sealed.wraps[wrap.key] for wrap in note.wraps()),
        parsed=statement,
        about=f"{action.value.upper()} to {', '.join((*draft.to, *draft.info))}",
    )


def _kind(view: ChannelView, draft: Draft) -> NoteKind:
    kinds: Sequence[NoteKind] = view.cell.kinds
    kind = next((k for k in kinds if draft.kind in (None, k.kind)), None)
    if kind is None:
        raise NotReady(
            f"{view.cell.alias} has no notes of kind {draft.kind}",
            safe="nothing was sealed or sent",
            do=f"choose one of {', '.join(k.kind for k in kinds)}",
        )
    if kind.justification == "required" and not draft.justification:
        raise NotReady(
            f"A note of kind {kind.kind} says why: the charter asks for a justification",
            safe="nothing was sealed or sent",
            do="add --justification; it is visible to the node and in the log",
        )
    return kind
