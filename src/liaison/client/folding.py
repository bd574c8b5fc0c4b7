"""Folding: from verified receipts to the rules' own cells, each link down from the pinned authority.

The chain itself is rules.chain, and the cells are rules.cells: what is here fetches, checks
signatures, and asks them. A link that doesn't hold is named, and nothing below it is used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

from liaison.client.doubts import Doubt
from liaison.client.home import Home
from liaison.client.links import (
    ChannelView,
    DirectoryLink,
    Link,
    LinkBroken,
    OwnPart,
    Proposed,
    Source,
    Standing,
    public_of,
)
from liaison.client.pins import Pins
from liaison.client.watching import Entry
from liaison.ledger.facts import (
    AccessionFacts,
    CharterFacts,
    DirectoryFacts,
    Facts,
    KeyFacts,
    MemberFacts,
    ParticipationFacts,
    PartyFacts,
    PostingFacts,
    RosterFacts,
    WatchFacts,
)
from liaison.rules import cells
from liaison.rules.authority import (
    EDITIONS_KEPT,
    directory_dates,
    keeps_next,
    key_cell,
    key_dates,
    member_cell,
    party_cell,
    post_cell,
)
from liaison.rules.cells import Cell
from liaison.rules.chain import authority_signs, device_signs, id_of, registrar_signs
from liaison.rules.channels import accede, add_roster, channel_cell, participate
from liaison.rules.deriving import (
    accession_facts,
    charter_facts,
    directory_facts,
    key_facts,
    member_facts,
    participation_facts,
    party_facts,
    posting_facts,
    roster_facts,
    watch_facts,
)
from liaison.rules.minimizing import minimize
from liaison.rules.refusal import Refused
from liaison.statements import charters, payloads
from liaison.statements.payloads import Scope, Successive
from liaison.statements.procedures import Watch
from liaison.statements.statement import Statement
from liaison.words.encoding import from_base64
from liaison.words.errors import (
    LogUntrusted,
    Malformed,
    NotHere,
    NotReady,
    SignatureInvalid,
)
from liaison.words.ids import party_of

FILE: Final = "directories.json"
FRESH_US: Final = 60 * 1_000_000
"""So old may be what is known of a party, in microseconds, before it is asked for anew."""
CHARTERS_MAX: Final = 64
"""So many amendments are followed back."""

P = TypeVar("P", bound=payloads.Payload)
C = TypeVar("C", bound=Cell, covariant=True)
Q = TypeVar("Q", bound=Cell)


class Book:
    """The cells that a client holds, by subject and position in the log."""

    def __init__(self, home: Home, pins: Pins, source: Source, now: Callable[[], int]) -> None:
        self._home = home
        self._pins = pins
        self._source = source
        self._now = now
        self._parties: dict[str, list[Link[cells.Party]]] = {}
        self._members: dict[str, list[Link[cells.Member]]] = {}
        self._posts: dict[str, list[Link[cells.Post]]] = {}
        self._directories: dict[str, DirectoryLink] = {}
        self._rosters: dict[str, tuple[payloads.Roster, cells.Rosters]] = {}
        self._standings: dict[str, Standing] = {}
        self._channels: dict[str, ChannelView] = {}
        self._seen = home.read_state(FILE)

    # What is current

    async def standing(self, party: str, *, not_before: int = 0) -> Standing:
        """Return what is current in ``party``, asked for at ``not_before`` or later.

        Raises:
            NotReady: its authority isn't pinned.
            LinkBroken, SignatureInvalid, LogUntrusted: what the node shows doesn't hold.
        """
        known = self._standings.get(party)
        if known is not None and known.read_at >= not_before:
            return known
        self._pins.authority(party)
        read_at = self._now()
        shown = await self._source.party(party)
        own = await self._newest_party(_only(shown, "party"), party)
        directory = None
        if shown["directory"]:
            directory = await self._fold_directory(_only(shown, "directory"), party)
            self._remember(directory)
        elif "sequence" in self._seen_of(party):
            raise LinkBroken(
                "directory",
                f"The node shows no directory of {party}, and has shown "
                f"{self._seen_of(party)['sequence']}",
            )
        members: dict[str, cells.Member] = {}
        for entry in await self._all_named(shown["members"], directory, "member"):
            member = (await self._fold_member(entry, party)).cell
            if directory is not None and directory.member(member.member) != member.statement:
                raise LinkBroken("member", f"The directory of {party} doesn't name this statement")
            members[member.member] = member
            if directory is not None:
                _none_revoked(directory, member)
        self._doubt(party, members.values())
        posts: dict[str, cells.Post] = {}
        for entry in await self._all_named(shown["postings"], directory, "posting"):
            post = (await self._fold_posting(entry, party)).cell
            if directory is not None and directory.post(post.post) != post.statement:
                raise LinkBroken("posting", f"The directory of {party} doesn't name this statement")
            posts[post.post] = post
        keys: dict[str, list[tuple[cells.EncryptionKey, bytes]]] = {}
        for entry in shown["keys"]:
            key = self._fold_key(entry, own, members)
            if key is not None:
                keys.setdefault(key[0].member, []).append(key)
        standing = Standing(
            party=own,
            directory=directory,
            members=members,
            posts=posts,
            keys={member: tuple(of_member) for member, of_member in keys.items()},
            read_at=read_at,
        )
        self._standings[party] = standing
        return standing

    async def current(self, party: str) -> Standing:
        """Return what is current in ``party``, asked for a minute ago at most. Raises as ``standing``."""
        return await self.standing(party, not_before=self._now() - FRESH_US)

    async def _all_named(
        self, shown: list[Entry], directory: DirectoryLink | None, kind: str
    ) -> list[Entry]:
        """Return what is shown of a kind, and what the directory names of it and isn't shown."""
        if directory is None:
            return shown
        had = {entry.statement.digest for entry in shown}
        missing = [digest for digest in directory.named(kind) if digest not in had]
        try:
            return [*shown, *[await self._source.statement(digest) for digest in missing]]
        except NotHere as exc:
            raise LinkBroken(
                kind,
                f"The node withholds a {kind} that the directory of {directory.payload.by} names",
            ) from exc

    def doubt(self, said: payloads.Payload, at: int) -> Doubt | None:
        """Return whether what entered the log at ``at`` was signed by a key in other hands.

        As far as the party of the key said so to this home, now or before; it may say so later.
        """
        since = self._compromised_of(party_of(said.by)).get(said.key)
        return Doubt(said.by, since) if since is not None and since <= at else None

    def has_doubts(self) -> bool:
        """Return whether any key is known here that was in other hands."""
        return any(self._compromised_of(party) for party in self._seen)

    def standings(self) -> tuple[Standing, ...]:
        """Return what was asked for of parties since this was opened."""
        return tuple(self._standings.values())

    async def channel(self, alias: str, *, is_fresh: bool = False) -> ChannelView:
        """Return a channel whose charter, accessions and rosters hold.

        Raises:
            LogUntrusted: the charter's log is another one than the pinned.
            LinkBroken, SignatureInvalid: what the node shows doesn't hold.
        """
        known = self._channels.get(alias)
        if known is not None and not is_fresh:
            return known
        try:
            shown = await self._source.channel(alias)
        except NotHere as exc:
            raise NotHere(
                f"There is no channel {alias} for you",
                safe="nothing was signed or sent",
                do="see which there are: liaison channel list",
            ) from exc
        entry = _only(shown, "charter")
        charter = _payload(entry, charters.Charter)
        self._pins.check_log(charter.log.origin, charter.log.log_key, charter.log.node_key)
        if charter.alias != alias:
            raise LinkBroken("charter", f"The node shows {charter.alias} where {alias} was asked")
        facts = _same(entry, charter_facts(_of(entry, charter)), CharterFacts)
        await self._authority_signed(entry, "charter")
        cell = channel_cell(facts)
        for accession in shown["accessions"]:
            cell = await self._fold_accession(accession, cell)
        if not cell.is_open and {a.party for a in cell.acceded} == set(cell.parties):
            raise LogUntrusted(
                "All parties acceded, but no record says that this opened the channel"
            )
        rosters: dict[str, cells.RosterEdition] = {}
        for item in shown["rosters"]:
            roster, editions = await self.roster(item, cell.channel)
            rosters[roster.by] = editions.editions[-1]
        for item in shown.get("participations", ()):
            cell = await self._fold_participation(item, cell)
        for item in shown.get("minimized", ()):
            cell = await self._fold_minimized(item, cell)
        proposed = await self._fold_proposed(shown.get("proposed", []), cell)
        view = ChannelView(cell, charter, rosters, proposed)
        self._channels[alias] = view
        return view

    async def own_part(self, alias: str, party: str) -> OwnPart | None:
        """Return what ``party`` itself said of a channel: none of the others has to be pinned.

        None where it has not acceded to the charter in force.

        Raises:
            LogUntrusted: the charter's log is another one than the pinned.
            LinkBroken, SignatureInvalid: what the node shows doesn't hold.
        """
        shown = await self._source.channel(alias)
        entry = _only(shown, "charter")
        charter = _payload(entry, charters.Charter)
        self._pins.check_log(charter.log.origin, charter.log.log_key, charter.log.node_key)
        channel = charter.channel or entry.statement.digest
        for accession in shown["accessions"]:
            said = _payload(accession, charters.Accession)
            if (said.by, said.channel, said.charter) == (party, channel, entry.statement.digest):
                await self._authority_signed(accession, "charter")
                break
        else:
            return None
        rosters = [item for item in shown["rosters"] if item.statement.payload.by == party]
        for item in rosters:
            await self.roster(item, channel)
        return OwnPart(channel, entry.statement, rosters[-1] if rosters else None)

    def posts_known(self) -> dict[str, list[str]]:
        """Return who can be written to on each channel that was asked for, by its alias."""
        return {
            alias: [post for party in view.cell.parties for post in view.posts(party)]
            for alias, view in self._channels.items()
        }

    def channel_by_id(self, channel: str) -> ChannelView | None:
        """Return a channel that was asked for before."""
        return next((c for c in self._channels.values() if c.cell.channel == channel), None)

    async def statement(self, digest: str) -> Entry:
        """Return a logged statement; whether its chain holds is for the caller to ask."""
        return await self._source.statement(digest)

    def forget(self) -> None:
        """Ask anew for what is current, next time: something of it was outdated."""
        self._standings.clear()
        self._channels.clear()

    # What was in force at a position

    async def directory(self, digest: str, party: str) -> DirectoryLink:
        """Return a directory of ``party`` by its digest, current or not."""
        known = self._directories.get(digest)
        if known is None or known.payload.by != party:
            known = await self._fold_directory(await self._source.statement(digest), party)
        return known

    async def check_relied(self, digest: str, party: str, *, issued: int) -> None:
        """Return if a directory that a statement of ``issued`` relied on fits this home's own view.

        The newest that this home sees is not older than it; and none was in the log between it and
        ``issued``, or the sender was shown an old view. Of a party that isn't pinned nothing is said.

        Raises:
            LinkBroken: it doesn't fit.
        """
        if party not in self._pins.authorities:
            return
        named = await self.directory(digest, party)
        relied = named.payload.sequence
        newest = (await self.current(party)).directory
        if newest is None or newest.payload.sequence < relied:
            newest = (await self.standing(party, not_before=self._now())).directory
        shown = newest.payload.sequence if newest else 0
        if newest is None or shown < relied:
            raise LinkBroken(
                "directory",
                f"It relies on directory {relied} of {party}, and the node shows this home {shown} "
                "as the newest: it withholds what is current",
                do="ask by telephone which directory is the newest, and tell the auditors",
            )
        for _ in range(EDITIONS_KEPT):
            if newest.payload.sequence <= relied + 1 or newest.payload.previous is None:
                break
            newest = await self.directory(newest.payload.previous, party)
        # Where the walk ends above the next one: what is older was in the log before it.
        if newest.payload.sequence > relied and newest.entry.at <= issued:
            raise LinkBroken(
                "directory",
                f"It relies on directory {relied} of {party}, though {relied + 1} was in the log "
                "before it was written: its sender was shown an old view",
                do="tell the sender by another way, and the auditors; it may be read there",
            )
        is_within = newest.payload.sequence <= relied + 1
        if is_within and digest not in (newest.digest, newest.payload.previous):
            raise LinkBroken(
                "directory",
                f"There are two directories {relied} of {party}: it relies on one, and the node "
                "shows this home the other",
                do="ask by telephone which directory is the right one, and tell the auditors",
            )

    async def party_at(self, party: str, index: int) -> cells.Party:
        """Return the party as its newest statement before entry ``index`` has it."""
        if not self._parties.get(party):
            shown = await self._source.party(party)
            await self._newest_party(_only(shown, "party"), party)

        async def fold(entry: Entry) -> Link[cells.Party]:
            return await self._fold_party(entry, party, is_vouched=True)

        link = await self._before(self._parties[party], index, fold)
        if link is None:
            raise LinkBroken("party", f"{party} was not known at entry {index}")
        return link.cell

    async def member_at(self, digest: str, member: str, index: int) -> cells.Member:
        """Return ``member`` at entry ``index``: as ``digest`` has it, or a later one known here."""

        async def fold(entry: Entry) -> Link[cells.Member]:
            return await self._fold_member(entry, party_of(member))

        known = self._members.setdefault(member, [])
        if all(link.cell.statement != digest for link in known):
            await fold(await self._source.statement(digest))
        link = await self._before(self._members[member], index, fold)
        if link is None:
            raise LinkBroken("member", f"{member} was not known at entry {index}")
        return link.cell

    async def post_at(self, post: str, index: int) -> cells.Post | None:
        """Return a post as it was held at entry ``index``; None where nobody spoke of it yet."""
        party = party_of(post)
        directory = (await self.current(party)).directory
        named = directory.post(post) if directory is not None else None
        if named is None:
            return None

        async def fold(entry: Entry) -> Link[cells.Post]:
            return await self._fold_posting(entry, party)

        if not self._posts.get(post):
            await fold(await self._source.statement(named))
        link = await self._before(self._posts[post], index, fold)
        return link.cell if link is not None else None

    async def _before(
        self,
        known: list[Link[C]],
        index: int,
        fold: Callable[[Entry], Awaitable[Link[C]]],
    ) -> Link[C] | None:
        """Return a subject's statement in force at entry ``index``; None where there was none.

        From the first that is known at or behind it, each names the one before: none is jumped over,
        or what revoked a device could be left out by who shows the others.
        """
        link = next((link for link in known if link.index >= index), known[-1])
        while link.index >= index:
            payload = link.entry.statement.payload
            assert isinstance(payload, Successive)
            if payload.previous is None:
                return None
            before = await fold(await self._source.statement(payload.previous))
            if before.index >= link.index:
                raise LogUntrusted(f"Entry {link.index} succeeds entry {before.index}, behind it")
            link = before
        return link

    async def check_speaker(
        self, entry: Entry, said: payloads.Logged, directory: str
    ) -> cells.Member:
        """Return who speaks, by a device in force at the entry, and as ``directory`` names them.

        Authority pin, registrar, member, device at the position, signature: in this order.

        Raises:
            NotReady: the party isn't pinned.
            LinkBroken, SignatureInvalid: the first of these that doesn't hold.
        """
        party = party_of(said.by)
        current = await self.current(party)
        link = await self.directory(directory, party)
        named = link.member(said.by)
        if named is None:
            raise LinkBroken(
                "member", f"The directory of {party} that the note names has no {said.by}"
            )
        member = await self.member_at(named, said.by, entry.index)
        at_entry = await self.party_at(party, entry.index)
        _held("device", device_signs(at_entry, member, said.key, who=said.by))
        assert current.party.party == party
        try:
            entry.statement.check_signature(public_of(member, said.key))
        except SignatureInvalid as exc:
            raise SignatureInvalid(
                f"The signature of entry {entry.index} is not by the device that it names",
                safe="nothing of it is shown",
                do="keep the receipt and show it to the auditors",
            ) from exc
        return member

    async def charter_named(
        self, channel: ChannelView, digest: str, at: int
    ) -> charters.Charter | None:
        """Return the charter that a statement of ``at`` names, if the channel had it then.

        It is the present one, or one that it succeeded later: each names the one before by its
        digest, so what all acceded to vouches for the rest.
        """
        named, charter = channel.cell.charter, channel.charter
        if named != digest and at > channel.cell.opened_at:
            return None
        for _ in range(CHARTERS_MAX):
            if named == digest:
                return charter
            if charter.previous is None:
                break
            named = charter.previous
            charter = _payload(await self._source.statement(named), charters.Charter)
        return None

    async def roster(self, entry: Entry, channel: str) -> tuple[payloads.Roster, cells.Rosters]:
        """Return a roster for ``channel`` whose chain holds."""
        known = self._rosters.get(entry.statement.digest)
        if known is None:
            payload = _payload(entry, payloads.Roster)
            facts = _same(entry, roster_facts(_of(entry, payload)), RosterFacts)
            await self._registrar_signed(entry, Scope.ROSTER)
            known = payload, add_roster(None, facts, entry.at)
            self._rosters[entry.statement.digest] = known
        if known[0].channel != channel:
            raise LinkBroken("roster", f"The roster of {known[0].by} is for another channel")
        return known

    async def check_own(self, entry: Entry, party: str) -> None:
        """Return if a statement of a party's scope is by who may sign it, whichever kind it is."""
        payload = entry.statement.payload
        if isinstance(payload, payloads.Party):
            # The newest one, which the pin vouches for, names those before it.
            if (await self.party_at(party, entry.index + 1)).statement != entry.statement.digest:
                raise LinkBroken("party", f"Entry {entry.index} is no statement of {party}")
        elif isinstance(payload, payloads.Member):
            await self._fold_member(entry, party)
        elif isinstance(payload, payloads.Posting):
            await self._fold_posting(entry, party)
        elif isinstance(payload, payloads.Directory):
            await self._fold_directory(entry, party)

    # One function a kind

    async def _newest_party(self, entry: Entry, party: str) -> cells.Party:
        """Fold what is shown as a party's newest statement, and take none that leaves out one seen.

        Else one that ended a registrar, or announced another key, could be taken back by the node.
        """
        payload, seen = _payload(entry, payloads.Party), self._seen_of(party).get("party")
        known: dict[str, Any] = seen if isinstance(seen, dict) else {"sequence": 0, "statement": ""}
        if payload.sequence < known["sequence"]:
            raise LinkBroken(
                "party",
                f"The node shows statement {payload.sequence} of {party}, and has shown "
                f"{known['sequence']}",
            )
        await self._check_follows(entry, known["sequence"], known["statement"])
        cell = (await self._fold_party(entry, party)).cell
        newest = {"sequence": payload.sequence, "statement": entry.statement.digest}
        if seen != newest:
            self._see(party, party=newest)
        return cell

    async def _check_follows(self, entry: Entry, sequence: int, statement: str) -> None:
        """Return if a party statement is, or follows step by step on, the one that was seen (if any).

        None of these follows on one that revoked the party: that is for good (PARTY-3); and none has
        another next key than was announced, but by a succession (PARTY-6).
        """
        payload = _payload(entry, payloads.Party)
        while payload.sequence > sequence and payload.previous is not None:
            before = await self._source.statement(payload.previous)
            said = _payload(before, payloads.Party)
            if (said.party, said.sequence) != (payload.party, payload.sequence - 1):
                raise LogUntrusted(f"Entry {entry.index} is not the next one of {payload.party}")
            if said.state is payloads.State.REVOKED:
                raise LinkBroken(
                    "party", f"{payload.party} was revoked, for good, and is shown again"
                )
            if not keeps_next(said, payload):
                raise LinkBroken(
                    "party",
                    f"{payload.party} is shown with another next key, that no succession announced",
                )
            entry, payload = before, said
        if sequence and entry.statement.digest != statement:
            raise LinkBroken("party", f"There are two statements {sequence} of {payload.party}")

    async def _fold_party(
        self, entry: Entry, party: str, *, is_vouched: bool = False
    ) -> Link[cells.Party]:
        """Fold a party statement. ``is_vouched``: a later one that holds names it as previous."""
        payload = _payload(entry, payloads.Party)
        if payload.party != party:
            raise LinkBroken("party", f"The node shows {payload.party} where {party} was asked")
        links = self._parties.setdefault(party, [])
        for link in links:
            if link.cell.statement == entry.statement.digest:
                return link
        facts = _same(entry, party_facts(_of(entry, payload)), PartyFacts)
        if id_of(payload.authority) != payload.key:
            raise LinkBroken("pin", f"The party statement of {party} isn't signed by its authority")
        entry.statement.check_signature(from_base64(payload.authority))
        pinned = self._pins.authority(party).authority
        if payload.key != pinned and not is_vouched:
            await self._succeeds(payload, party)
            # From now on nothing that the former key signs later is believed.
            self._pins.follow_authority(party, payload.key, entry.at)
        made = Link(entry, party_cell(facts, entry.at))
        links.append(made)
        links.sort(key=lambda link: link.index)
        return made

    async def _succeeds(self, payload: payloads.Party, party: str) -> None:
        """Return if the statement before, which holds, announced the key of ``payload``."""
        if payload.previous is not None:
            entry = await self._source.statement(payload.previous)
            before = (await self._fold_party(entry, party)).cell
            if payload.key in (id_of(before.authority), before.next):
                return
        raise LinkBroken(
            "pin",
            f"{party} shows an authority key that isn't the pinned one, nor announced by it",
            do="ask the other party by telephone before anything else",
        )

    async def _fold_directory(self, entry: Entry, party: str) -> DirectoryLink:
        payload = _payload(entry, payloads.Directory)
        _of_party(payload, party)
        _same(entry, directory_facts(_of(entry, payload)), DirectoryFacts)
        await self._registrar_signed(entry, Scope.DIRECTORY)
        _allowed(entry, directory_dates(payload))
        link = DirectoryLink(entry, payload)
        self._directories[link.digest] = link
        return link

    async def _fold_member(self, entry: Entry, party: str) -> Link[cells.Member]:
        payload = _payload(entry, payloads.Member)
        _of_party(payload, party)
        links = self._members.setdefault(payload.member, [])
        for link in links:
            if link.cell.statement == entry.statement.digest:
                return link
        if party_of(payload.member) != party:
            raise LinkBroken("member", f"{payload.member} is not of {party}")
        facts = _same(entry, member_facts(_of(entry, payload)), MemberFacts)
        await self._registrar_signed(entry, Scope.MEMBER)
        made = Link(entry, member_cell(facts))
        links.append(made)
        links.sort(key=lambda link: link.index)
        return made

    async def _fold_posting(self, entry: Entry, party: str) -> Link[cells.Post]:
        payload = _payload(entry, payloads.Posting)
        _of_party(payload, party)
        links = self._posts.setdefault(payload.post, [])
        for link in links:
            if link.cell.statement == entry.statement.digest:
                return link
        if party_of(payload.post) != party:
            raise LinkBroken("posting", f"{payload.post} is not of {party}")
        facts = _same(entry, posting_facts(_of(entry, payload)), PostingFacts)
        await self._registrar_signed(entry, Scope.POSTING)
        made = Link(entry, post_cell(facts))
        links.append(made)
        links.sort(key=lambda link: link.index)
        return made

    def _fold_key(
        self, entry: Entry, party: cells.Party, members: dict[str, cells.Member]
    ) -> tuple[cells.EncryptionKey, bytes] | None:
        """Fold a key statement; None where its device is no longer in force: nobody seals to it."""
        payload = _payload(entry, payloads.Key)
        facts = _same(entry, key_facts(_of(entry, payload)), KeyFacts)
        _allowed(entry, key_dates(payload))
        member = members.get(payload.by)
        if device_signs(party, member, payload.key, who=payload.by) is not None:
            return None
        assert member is not None  # device_signs
        entry.statement.check_signature(public_of(member, payload.key))
        return key_cell(facts), from_base64(payload.encryption)

    async def _fold_accession(self, entry: Entry, cell: cells.Channel) -> cells.Channel:
        payload = _payload(entry, charters.Accession)
        facts = entry.record.facts
        if not isinstance(facts, AccessionFacts) or facts != accession_facts(
            _of(entry, payload), opens=facts.opens
        ):
            raise _contradicts(entry)
        if (payload.channel, payload.charter) != (cell.channel, cell.charter):
            raise LinkBroken("charter", f"{payload.by} acceded to another charter")
        if payload.by not in cell.parties:
            raise LinkBroken("charter", f"{payload.by} is not a party of {cell.alias}")
        await self._authority_signed(entry, "charter")
        return accede(cell, facts, entry.at)

    async def _fold_participation(self, entry: Entry, cell: cells.Channel) -> cells.Channel:
        payload = _payload(entry, charters.Participation)
        facts = _same(entry, participation_facts(_of(entry, payload)), ParticipationFacts)
        if payload.channel != cell.channel:
            raise LinkBroken("charter", f"{payload.by} said that of another channel")
        await self._authority_signed(entry, "charter")
        return participate(cell, facts, entry.at)

    async def _fold_minimized(self, entry: Entry, cell: cells.Channel) -> cells.Channel:
        """Fold what an operator said of the whole channel; what doesn't hold is not heard.

        It is a warning, and the node refuses by its own: nobody must be kept from writing because
        an operator is in no directory any more.
        """
        payload = _payload(entry, Watch)
        facts = _same(entry, watch_facts(_of(entry, payload)), WatchFacts)
        party = party_of(payload.by)
        if payload.channel != cell.channel or party not in cell.parties:
            raise LinkBroken("charter", f"{payload.by} said that of another channel")
        try:
            standing = await self.standing(party)
            if standing.directory is None:
                return cell
            await self.check_speaker(entry, payload, standing.directory.digest)
        except (NotReady, LinkBroken, SignatureInvalid):
            return cell
        return minimize(cell, facts, entry.at)

    async def _fold_proposed(self, shown: list[Entry], cell: cells.Channel) -> tuple[Proposed, ...]:
        """Return the charters that are to succeed the present one, oldest first."""
        found: dict[str, tuple[charters.Charter, list[str]]] = {}
        for entry in shown:
            payload = entry.statement.payload
            await self._authority_signed(entry, "charter")
            if isinstance(payload, charters.Accession) and payload.charter in found:
                found[payload.charter][1].append(payload.by)
            elif isinstance(payload, charters.Charter) and (payload.channel, payload.previous) == (
                cell.channel,
                cell.charter,
            ):
                found[entry.statement.digest] = (payload, [])
        return tuple(
            Proposed(digest, payload, tuple(acceded))
            for digest, (payload, acceded) in found.items()
        )

    # Signatures

    async def _authority_signed(self, entry: Entry, link: str) -> None:
        payload = entry.statement.payload
        party = await self.party_at(payload.by, entry.index)
        _held(link, authority_signs(party, payload.key, who=payload.by))
        entry.statement.check_signature(from_base64(party.authority))

    async def _registrar_signed(self, entry: Entry, scope: Scope) -> None:
        payload = entry.statement.payload
        party = await self.party_at(payload.by, entry.index)
        _held("registrar", registrar_signs(party, payload.key, scope, entry.at, who=payload.by))
        signers = (party.authority, *(registrar.key for registrar in party.registrars))
        public = next(key for key in signers if id_of(key) == payload.key)
        entry.statement.check_signature(from_base64(public))

    def _remember(self, link: DirectoryLink) -> None:
        """Take no directory that is older than one seen: a node may not turn the clock back."""
        party, sequence = link.payload.by, link.payload.sequence
        seen = self._seen_of(party)
        if "sequence" in seen:
            if seen["sequence"] > sequence:
                raise LinkBroken(
                    "directory",
                    f"The node shows directory {sequence} of {party}, and has shown {seen['sequence']}",
                )
            if seen["sequence"] == sequence and seen["statement"] != link.digest:
                raise LinkBroken("directory", f"There are two directories {sequence} of {party}")
            if seen["sequence"] == sequence:
                return
        self._see(
            party,
            sequence=sequence,
            statement=link.digest,
            until=link.payload.valid_until,
        )

    def _doubt(self, party: str, members: Iterable[cells.Member]) -> None:
        """Keep in mind what a party says of its keys: who leaves it out later takes back nothing."""
        known = self._compromised_of(party)
        said = {one.key: one.since for member in members for one in member.compromised or ()}
        if {**known, **said} != known:
            self._see(party, compromised={**known, **said})

    def _compromised_of(self, party: str) -> dict[str, int]:
        """Return since when keys of a party are in other hands, by key id."""
        known = self._seen_of(party).get("compromised")
        return known if isinstance(known, dict) else {}

    def _seen_of(self, party: str) -> dict[str, Any]:
        """Return what this home has seen of a party: the newest directory and statement, lost keys."""
        seen = self._seen.get(party)
        return seen if isinstance(seen, dict) else {}

    def _see(self, whose: str, **newest: object) -> None:
        self._seen[whose] = {**self._seen_of(whose), **newest}
        self._home.write_state(FILE, self._seen)


def forget_seen(home: Home, party: str) -> None:
    """Forget what was seen of a party: it begins anew, under a key that a person compared.

    What its lost keys signed stays doubtful.
    """
    seen = home.read_state(FILE)
    known = seen.pop(party, None)
    if isinstance(known, dict):
        if "compromised" in known:
            seen[party] = {"compromised": known["compromised"]}
        home.write_state(FILE, seen)


F = TypeVar("F", bound=Facts)


def _same(entry: Entry, derived: F, kind: type[F]) -> F:
    """Return the record's facts if they are what follows from its statement."""
    facts = entry.record.facts
    if not isinstance(facts, kind):
        raise _contradicts(entry)
    comparable: Facts = facts
    if isinstance(facts, MemberFacts):
        # What an earlier statement named can't be told from this one alone.
        comparable = facts.model_copy(update={"removed": ()})
    if comparable != derived:
        raise _contradicts(entry)
    return facts


def _contradicts(entry: Entry) -> LogUntrusted:
    return LogUntrusted(
        f"The facts of entry {entry.index} are not what its {entry.statement.kind} statement says",
        safe="nothing of it is believed",
        do="keep the receipt and show it to the auditors",
    )


def _payload(entry: Entry, kind: type[P]) -> P:
    payload = entry.statement.payload
    if not isinstance(payload, kind):
        raise LinkBroken(
            kind.kind_name,
            f"The node shows a {entry.statement.kind} statement where a {kind.kind_name} was asked",
        )
    return payload


def _of(entry: Entry, payload: P) -> Statement[P]:
    """Return the entry's statement as one of the kind that its payload was found to be."""
    return Statement(entry.statement.envelope, payload)


def _of_party(payload: Successive, party: str) -> None:
    if payload.by != party:
        raise LinkBroken("registrar", f"The statement is by {payload.by}, not by {party}")


def _only(shown: dict[str, list[Entry]], what: str) -> Entry:
    if len(shown[what]) != 1:
        raise Malformed(f"the node shows {len(shown[what])} of {what}, not one")
    return shown[what][0]


def _held(link: str, refused: Refused | None) -> None:
    if refused is not None:
        raise LinkBroken(link, refused.text)


def _allowed(entry: Entry, refused: Refused | None) -> None:
    if refused is not None:
        raise LogUntrusted(
            f"The log took entry {entry.index}, which it had to refuse: {refused.text}",
            safe="nothing of it is believed",
            do="keep this home as it is and tell the auditors",
        )


def _none_revoked(directory: DirectoryLink, member: cells.Member) -> None:
    for public in member.devices:
        is_in_force = member.state is not payloads.State.REVOKED
        if is_in_force and id_of(public) in directory.payload.revoked:
            raise LinkBroken(
                "device",
                f"The directory of {member.party} names a device of {member.member} as revoked",
            )
