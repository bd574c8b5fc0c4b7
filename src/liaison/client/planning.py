"""Planning: for whom a note is sealed, and what that relies on. design.md 3 (note) and 4.

A note is sealed only under directories that have not lapsed; at each addressed post for the keys
that ``wrapping`` finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from liaison.client.book import Book
from liaison.client.links import ChannelView, DirectoryLink, LinkBroken, Standing, not_listed
from liaison.client.parties import FRESH_US
from liaison.client.wrapping import Wrapped, Wrapping, last_opened_by
from liaison.client.writing import Draft, Plan, precedence_of
from liaison.rules.cells import Channel
from liaison.rules.chain import device_signs
from liaison.rules.kinds.line_tests import line_test_kind
from liaison.rules.minimizing import Written, turns_away
from liaison.sealing.seal import Recipient
from liaison.statements.charters import Effect, NoteKind
from liaison.statements.payloads import AddresseeRole, MemberRole, Note
from liaison.words.errors import Malformed, NotHere, NotReady
from liaison.words.ids import check_id, party_of
from liaison.words.times import to_dtg


@dataclass(frozen=True)
class Grantees:
    """For whom a grant wraps a note's secret, and what that relies on."""

    channel: ChannelView
    recipients: tuple[Recipient, ...]
    members: tuple[str, ...]
    """Whose keys they are, ascending."""
    directories: tuple[tuple[str, str], ...]
    """Party, and its directory."""


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
        self._plans: dict[tuple[object, ...], Plan] = {}

    def forget(self) -> None:
        self._plans.clear()

    async def plan(self, draft: Draft) -> Plan:
        """Return for whom a note is sealed.

        Raises:
            NotReady: a channel that isn't open, a post that can't be written to now, a directory
                that lapsed or is missing; the text says what and who else could be written to.
        """
        now = self._now()
        wanted = (draft.to, draft.info, draft.standby, draft.clear)
        times = (draft.expiry, draft.deferred_until)
        key = (draft.channel, *wanted, draft.kind, draft.precedence, draft.no_redirect, *times)
        known = self._plans.get(key)
        if known is not None and now - known.made_at < FRESH_US:
            return self._looked_at(known, draft, now)
        for post in draft.posts:
            check_id("address", post)
        if len(set(draft.posts)) != len(draft.posts):
            raise Malformed("a post is addressed twice")
        for post in draft.replies_by:
            if post not in draft.to:
                raise Malformed(
                    f"an answer is asked of {post}, which is not asked to act",
                    safe="nothing was sealed or sent",
                    do=f"address it for action, or leave its time out: {', '.join(draft.to)}",
                )
        channel = await self._open_channel(draft.channel)
        plan = await self._make(channel, draft, now)
        self._plans[key] = plan
        return self._looked_at(plan, draft, now)

    def _looked_at(self, plan: Plan, draft: Draft, now: int) -> Plan:
        """Return the plan with why the node would refuse it now."""
        note = Written(
            party=party_of(self._member),
            precedence=precedence_of(plan.kind, draft),
            asked=tuple(
                (a.post, a.role)
                for a in (*plan.addressees, *plan.drafted)
                if a.role is not AddresseeRole.COPY
            ),
            shown_at=draft.deferred_until or now,
            is_answer=draft.in_reply_to is not None,  # whether to one that asked, the node knows
            is_line_test=plan.kind.kind == line_test_kind(plan.channel.cell.rules),
        )
        return replace(plan, turned_away=turns_away(plan.channel.cell, plan.kind, note))

    async def _open_channel(self, alias: str) -> ChannelView:
        channel = await self._book.channel(alias, is_fresh=True)
        if not channel.cell.is_open:
            acceded = {accession.party for accession in channel.cell.acceded}
            missing = ", ".join(p for p in channel.cell.parties if p not in acceded)
            raise NotReady(
                f"{alias} is not open: {missing} has not acceded",
                safe="nothing was sealed or sent",
                do=f"wait for {missing} to run: channel accede {alias} --post",
            )
        return channel

    async def release_plan(self, alias: str, note: Note) -> Plan:
        """Return for whom the releaser of a draft wraps: those that the draft names, and no more."""
        now = self._now()
        channel = await self._open_channel(alias)
        drafted = note.drafted or ()
        own = party_of(self._member)
        foreign = {party_of(addressee.post) for addressee in drafted}
        standings = await self._standings(channel, {own, *foreign})
        made = Wrapping(standings, channel, now, last_opened_by(channel, note.expiry, now))
        for addressee in drafted:
            made.add(addressee.post, addressee.role, alternate_for=addressee.alternate_for)
        kind = channel.cell.kind(note.kind)
        if kind is None:
            raise NotReady(f"{alias} has no notes of kind {note.kind} any more")
        return Plan(
            channel,
            kind,
            tuple(made.recipients.values()),
            tuple(made.addressees),
            (),
            _reliances(channel, standings, foreign),
            (),
            now,
        )

    async def grantees(
        self, alias: str, note: Note, post: str, *, only: frozenset[str] = frozenset()
    ) -> Grantees:
        """Return for whom a note is wrapped by a grant at a post; ``only``: for these devices.

        Raises:
            NotReady: nobody there can be reached.
        """
        now = self._now()
        channel = await self._open_channel(alias)
        parties = {party_of(self._member), party_of(post)}
        standings = await self._standings(channel, parties)
        expiry = note.expiry if note.expiry is not None and note.expiry > now else None
        opened_by = last_opened_by(channel, expiry, now)
        made = Wrapping(standings, channel, now, opened_by, devices=only)
        is_copy = any(a.post == post and a.role is AddresseeRole.COPY for a in note.addressees)
        role = next(
            (a.role for a in (*note.addressees, *(note.drafted or ())) if a.post == post), None
        )
        if role is None:
            raise NotReady(
                f"The note is not addressed to {post}",
                safe="nothing was wrapped or sent",
                do="a grant reaches only who was addressed; to others, send a note of their own",
            )
        made.add(post, role, only=note.by if is_copy else None)
        return Grantees(
            channel,
            tuple(made.recipients.values()),
            _members_of(standings[party_of(post)], made.recipients),
            tuple((party, _directory(known).digest) for party, known in sorted(standings.items())),
        )

    async def _make(self, channel: ChannelView, draft: Draft, now: int) -> Plan:
        own = party_of(self._member)
        kind = _kind(channel, draft)
        is_draft = kind.release is not None
        _check_parties(channel, draft, own, is_draft=is_draft)
        standby = draft.standby if draft.standby is not None else _standby(channel, draft, kind)
        sealed_to = (*draft.info, *draft.clear) if is_draft else (*draft.to, *draft.info, *standby)
        sealed_to = tuple(p for p in sealed_to if not is_draft or party_of(p) == own)
        addressed = {party_of(post) for post in sealed_to}
        standings = await self._standings(channel, {own, *addressed})
        copy_post = self._own_post(standings[own], channel)
        if copy_post in draft.posts:
            raise NotReady(
                f"{copy_post} is the post that you write for: it gets its copy by itself",
                safe="nothing was sealed or sent",
                do="leave it out",
            )
        opened_by = last_opened_by(channel, draft.expiry, draft.deferred_until or now)
        made = Wrapping(standings, channel, now, opened_by)
        drafted: tuple[Wrapped, ...] = ()
        if is_draft and not sealed_to:
            raise NotReady(
                "A draft needs a reader of your own party: at least who releases it",
                safe="nothing was sealed or sent",
                do="name them: --info POST, and --clear POST for whoever must acknowledge it first",
            )
        if is_draft:
            for post in sealed_to:
                made.add(post, AddresseeRole.ACTION if post in draft.clear else AddresseeRole.INFO)
            drafted = _drafted(channel, draft, standby, own)
        else:
            for post in draft.to:
                made.add(post, AddresseeRole.ACTION)
            for post in draft.info:
                made.add(post, AddresseeRole.INFO)
            for post in standby:
                made.add(post, AddresseeRole.STANDBY, is_needed=draft.standby is not None)
            if not draft.no_redirect:
                for post, alternate in _alternates(channel, draft):
                    made.add(alternate, AddresseeRole.STANDBY, alternate_for=post, is_needed=False)
        made.add(copy_post, AddresseeRole.COPY, only=self._member)
        reached = {party_of(a.post) for a in made.addressees if a.role is not AddresseeRole.COPY}
        return Plan(
            channel,
            kind,
            tuple(made.recipients.values()),
            tuple(made.addressees),
            drafted,
            _reliances(channel, standings, reached),
            tuple(made.unreached),
            now,
        )

    async def _standings(self, channel: ChannelView, parties: set[str]) -> dict[str, Standing]:
        return {party: await self._current(party, channel) for party in sorted(parties)}

    async def _current(self, party: str, channel: ChannelView) -> Standing:
        """Return a party's standing under a directory that is in force and names the channel."""
        now = self._now()
        standing = await self._book.current(party)
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
                do=f"ask {party} to run: directory sign --post; if it did, the node withholds it: STOP, "
                "and tell the auditors",
            )
        cell = channel.cell
        if directory.charter(cell.channel) != cell.charter:
            await self._check_newest(directory, "charter", cell.charter, cell)
            raise not_listed(f"the charter of {cell.alias}", party)
        edition = channel.rosters.get(party)
        if edition is None or directory.roster(cell.channel) != edition.statement:
            shown = edition.statement if edition is not None else None
            await self._check_newest(directory, "roster", shown, cell)
            raise not_listed(f"its newest roster for {cell.alias}", party)
        return standing

    async def _check_newest(
        self, directory: DirectoryLink, kind: str, shown: str | None, cell: Channel
    ) -> None:
        """Return if what the directory names is older than what the node shows: the party is late.

        Raises:
            LinkBroken: it is newer: the node shows what no longer holds.
            NotReady: it came between two looks.
        """
        party = directory.payload.by
        named = getattr(directory, kind)(cell.channel)
        if named is None:
            return
        try:
            newer = await self._book.statement(named)
        except NotHere as exc:
            raise LinkBroken(
                kind, f"The node withholds the {kind} that the directory of {party} names"
            ) from exc
        if shown is not None and newer.index < (await self._book.statement(shown)).index:
            return
        again = await self._book.channel(cell.alias, is_fresh=True)
        editions = again.rosters
        now = editions[party].statement if party in editions else None
        if shown != (again.cell.charter if kind == "charter" else now):
            raise NotReady(
                f"The {kind} for {cell.alias} was replaced just now",
                safe="nothing was sealed or sent",
                do="try again",
            )
        raise LinkBroken(
            kind,
            f"The node shows an older {kind} for {cell.alias} than the directory of {party} names",
        )

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


def _check_parties(channel: ChannelView, draft: Draft, own: str, *, is_draft: bool) -> None:
    for party in sorted({party_of(post) for post in draft.posts}):
        if party not in channel.cell.parties:
            raise NotReady(
                f"{party} is not a party of {channel.cell.alias}",
                safe="nothing was sealed or sent",
                do=f"its parties are {', '.join(channel.cell.parties)}",
            )
    if draft.clear and not is_draft:
        raise NotReady(
            "Only a draft is cleared, and this kind needs no release",
            safe="nothing was sealed or sent",
            do="address who is to know with --info",
        )
    strangers = [post for post in draft.clear if party_of(post) != own]
    if strangers:
        raise NotReady(
            f"{strangers[0]} is of another party and can't read a draft before its release",
            safe="nothing was sealed or sent",
            do="let posts of your own party clear it",
        )


def _standby(channel: ChannelView, draft: Draft, kind: NoteKind) -> tuple[str, ...]:
    """Return the posts in the tiers that the ladder opens, of each party that is asked to act."""
    climbed = channel.cell.ladder(kind, draft.precedence or kind.default)
    tiers = {rung.tier for rung in climbed.rungs if rung.effect is Effect.OPEN} if climbed else ()
    asked = {party_of(post) for post in draft.to}
    return tuple(
        post
        for party in channel.cell.parties
        if party in asked and party in channel.rosters
        for tier in channel.rosters[party].tiers
        if tier.name in tiers
        for post in tier.posts
        if post not in draft.posts
    )


def _alternates(channel: ChannelView, draft: Draft) -> list[tuple[str, str]]:
    """Return, for posts asked to act, the alternate that their party's roster names."""
    found = []
    for post in draft.to:
        edition = channel.rosters.get(party_of(post))
        for said in (edition.alternates or ()) if edition else ():
            if said.post == post and said.alternate not in draft.posts:
                found.append((post, said.alternate))
    return found


def _drafted(
    channel: ChannelView, draft: Draft, standby: tuple[str, ...], own: str
) -> tuple[Wrapped, ...]:
    wanted = [(post, AddresseeRole.ACTION) for post in draft.to]
    wanted += [(post, AddresseeRole.INFO) for post in draft.info]
    wanted += [(post, AddresseeRole.STANDBY) for post in standby]
    found = [Wrapped(post, role, ()) for post, role in wanted if party_of(post) != own]
    if not draft.no_redirect:
        found += [
            Wrapped(alternate, AddresseeRole.STANDBY, (), post)
            for post, alternate in _alternates(channel, draft)
            if alternate not in standby
        ]
    if not any(addressee.role is AddresseeRole.ACTION for addressee in found):
        raise NotReady(
            "A draft asks a post of another party to act once it is released",
            safe="nothing was sealed or sent",
            do="name one with --to",
        )
    for addressee in found:
        if addressee.post not in channel.posts(party_of(addressee.post)):
            party = party_of(addressee.post)
            raise NotReady(
                f"{addressee.post} is not on the roster of {party} for {channel.cell.alias}",
                safe="nothing was sealed or sent",
                do=f"write to {', '.join(channel.posts(party)) or 'nobody yet: it has no roster'}",
            )
    return tuple(found)


def _reliances(
    channel: ChannelView, standings: dict[str, Standing], addressed: set[str]
) -> tuple[tuple[str, str, str | None], ...]:
    return tuple(
        (
            party,
            _directory(standing).digest,
            channel.rosters[party].statement if party in addressed else None,
        )
        for party, standing in sorted(standings.items())
    )


def _directory(standing: Standing) -> DirectoryLink:
    assert standing.directory is not None
    return standing.directory


def _members_of(standing: Standing, keys: Iterable[str]) -> tuple[str, ...]:
    """Return the members whose key statements these are, ascending."""
    wanted = set(keys)
    return tuple(
        sorted(
            member
            for member, known in standing.keys.items()
            if any(key.statement in wanted for key, _ in known)
        )
    )


def _kind(view: ChannelView, draft: Draft) -> NoteKind:
    """Return the kind that was asked for, or the only one that a person writes without saying."""
    kinds: Sequence[NoteKind] = view.cell.kinds
    names = ", ".join(kind.kind for kind in kinds)
    if draft.kind is not None:
        kind = view.cell.kind(draft.kind)
        if kind is None:
            raise NotReady(
                f"{view.cell.alias} has no notes of kind {draft.kind}",
                safe="nothing was sealed or sent",
                do=f"choose one of {names}",
            )
        return kind
    plain = [
        k for k in kinds if not k.service and (k.silence is None) == (draft.silence_until is None)
    ]
    plain = [k for k in plain if set(k.writers) != {MemberRole.LINE_TEST}]
    if len(plain) != 1:
        raise NotReady(
            f"{view.cell.alias} has several kinds of note",
            safe="nothing was sealed or sent",
            do=f"say which with --kind: {names}",
        )
    return plain[0]
