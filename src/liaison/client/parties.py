"""What holds in a party: from verified receipts to the rules' own cells, down from the pinned authority.

The chain itself is rules.chain, and the cells are rules.cells: what is here fetches, checks
signatures, and asks them. A link that doesn't hold is named, and nothing below it is used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from liaison.client.doubts import Doubt
from liaison.client.entries import (
    must_be_taken,
    must_hold,
    only,
    payload_of,
    same_facts,
    statement_of,
)
from liaison.client.home import Home
from liaison.client.links import DirectoryLink, Link, LinkBroken, Source, Standing, public_of
from liaison.client.pins import Pins
from liaison.client.seen import Seen, SeenMember
from liaison.client.watching import Entry
from liaison.ledger.facts import DirectoryFacts, KeyFacts, MemberFacts, PartyFacts, PostingFacts
from liaison.rules import cells
from liaison.rules.authority import (
    EDITIONS_KEPT,
    directory_dates,
    follows,
    keeps_next,
    key_cell,
    key_dates,
    member_cell,
    party_cell,
    post_cell,
    reinstates,
    says_for_good,
    stays_revoked,
    still_used,
    takes_back,
)
from liaison.rules.cells import Cell
from liaison.rules.chain import authority_signs, device_signs, id_of, registrar_signs
from liaison.rules.deriving import (
    directory_facts,
    key_facts,
    member_facts,
    party_facts,
    posting_facts,
)
from liaison.rules.refusal import Refused
from liaison.statements import payloads
from liaison.statements.payloads import Scope, Successive
from liaison.words.encoding import from_base64
from liaison.words.errors import (
    LogUntrusted,
    NotHere,
    NotReady,
    RecordUntrusted,
    SignatureInvalid,
)
from liaison.words.ids import party_of

FRESH_US: Final = 60 * 1_000_000
"""So old may be what is known of a party, in microseconds, before it is asked for anew."""

C = TypeVar("C", bound=Cell, covariant=True)


class Parties:
    """The cells of parties that a client holds, by subject and position in the log."""

    def __init__(self, home: Home, pins: Pins, source: Source, now: Callable[[], int]) -> None:
        self._pins = pins
        self._source = source
        self._now = now
        self._parties: dict[str, list[Link[cells.Party]]] = {}
        self._members: dict[str, list[Link[cells.Member]]] = {}
        self._posts: dict[str, list[Link[cells.Post]]] = {}
        self._directories: dict[str, DirectoryLink] = {}
        self._standings: dict[str, Standing] = {}
        self._seen = Seen(home)

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
        own = await self._newest_party(only(shown, "party"), party)
        directory = None
        if shown["directory"]:
            directory = await self._fold_directory(only(shown, "directory"), party)
            self._seen.check_directory(directory, own, read_at)
        elif "sequence" in self._seen.of(party):
            raise LinkBroken(
                "directory",
                f"The node shows no directory of {party}, and has shown "
                f"{self._seen.of(party)['sequence']}",
            )
        members: dict[str, cells.Member] = {}
        links, seen = await self._members_shown(shown["members"], directory, own)
        for link in links:
            member = link.cell
            if directory is not None and directory.member(member.member) != member.statement:
                raise LinkBroken("member", f"The directory of {party} doesn't name this statement")
            members[member.member] = member
            if directory is not None:
                _none_revoked(directory, member)
        self._seen.keep_lost(party, members.values())
        posts: dict[str, cells.Post] = {}
        for entry in await self._all_named(shown["postings"], directory, "posting"):
            post = (await self._fold_posting(entry, party)).cell
            if directory is not None and directory.post(post.post) != post.statement:
                raise LinkBroken("posting", f"The directory of {party} doesn't name this statement")
            posts[post.post] = post
        keys, strange = self._fold_keys(shown["keys"], own, members)
        self._seen.keep_members(party, seen)
        if directory is not None:
            self._seen.keep_directory(directory, read_at)
        standing = Standing(
            party=own,
            directory=directory,
            members=members,
            posts=posts,
            keys=keys,
            read_at=read_at,
            strange=strange,
        )
        self._standings[party] = standing
        self._source.held(shown)
        return standing

    async def current(self, party: str) -> Standing:
        """Return what is current in ``party``, asked for a minute ago at most. Raises as ``standing``."""
        return await self.standing(party, not_before=self._now() - FRESH_US)

    async def _members_shown(
        self, shown: list[Entry], directory: DirectoryLink | None, party: cells.Party
    ) -> tuple[list[Link[cells.Member]], dict[str, SeenMember]]:
        """Return what is shown of members, each step to it being its signer's to take; what to remember.

        From what this home saw of each before: who leaves a member out and shows one again, begins
        nobody anew. What the directory that was seen last names was found so then.
        """
        entries = await self._all_named(shown, directory, "member")
        links = [await self._fold_member(entry, party.party) for entry in entries]
        if directory is not None and self._seen.has(directory):
            return links, {}
        found: dict[str, SeenMember] = {}
        for link in links:
            member, key = link.cell, link.entry.statement.payload.key
            before = self._seen.member(party, member.member, self._now())
            by_authority = await self._check_steps(link, before.statement if before else None)
            if by_authority is None and before is not None:
                by_authority = before.by_authority
            found[member.member] = SeenMember(member.statement, key, by_authority)
        return links, found

    async def _check_steps(self, link: Link[cells.Member], base: str | None) -> str | None:
        """Return the newest of the authority's own statements that a member's follows on, if one came by.

        Back to the statement ``base``, which was found so before; without one, to the authority's own.

        Raises:
            LinkBroken: a step was not its signer's to take (MEMBER-2, MEMBER-5), or there is a gap.
        """
        own: str | None = None
        while link.cell.statement != base:
            payload = payload_of(link.entry, payloads.Member)
            at_entry = await self.party_at(payload.by, link.index)
            is_authority = id_of(at_entry.authority) == payload.key
            own = own or (link.cell.statement if is_authority else None)
            if base is None and is_authority:
                return own
            before = None
            if payload.previous is not None:
                before = await self._member_before(payload.previous, link)
            known = before.cell if before is not None else None
            must_be_taken(link.entry, _steps(known, payload, link.entry.at, is_authority))
            if before is None and base is not None:
                raise LinkBroken(
                    "member",
                    f"The node shows a statement of {payload.member} that doesn't follow on what it "
                    "has shown",
                )
            if before is None:
                return own
            link = before
        return own

    async def _member_before(self, digest: str, link: Link[cells.Member]) -> Link[cells.Member]:
        member = link.cell
        try:
            entry = await self._source.statement(digest)
        except NotHere as exc:
            raise LinkBroken(
                "member", f"The node withholds a statement of {member.member}"
            ) from exc
        before = await self._fold_member(entry, member.party)
        if before.cell.member != member.member or before.index >= link.index:
            raise LinkBroken("member", f"Entry {link.index} doesn't follow on entry {before.index}")
        return before

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
        since = self._seen.lost_keys(party_of(said.by)).get(said.key)
        return Doubt(said.by, since) if since is not None and since <= at else None

    async def says_lost(self, party: str, member: str, device: str, since: int) -> bool:
        """Return whether a party itself says that a member's key was in other hands since then.

        It is asked anew where it didn't say so yet. Raises as ``standing``, but for ``NotReady``.
        """
        for not_before in (0, self._now()):
            try:
                known = (await self.standing(party, not_before=not_before)).members.get(member)
            except NotReady:
                return False
            lost = known.compromised or () if known is not None else ()
            if any(one.key == device and one.since <= since for one in lost):
                return True
        return False

    def has_doubts(self) -> bool:
        """Return whether any key is known here that was in other hands."""
        return any(self._seen.lost_keys(party) for party in self._seen.parties())

    @property
    def gave_way(self) -> list[str]:
        """Which directories gave way to one of a lower number, in words: a person must hear of it."""
        return self._seen.gave_way

    def standings(self) -> tuple[Standing, ...]:
        """Return what was asked for of parties since this was opened."""
        return tuple(self._standings.values())

    async def statement(self, digest: str) -> Entry:
        """Return a logged statement; whether its chain holds is for the caller to ask."""
        return await self._source.statement(digest)

    def forget(self) -> None:
        """Ask anew for what is current, next time: something of it was outdated."""
        self._standings.clear()

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
            await self._newest_party(only(shown, "party"), party)

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
        await self._check_steps(link, None)
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
                raise RecordUntrusted(
                    f"Entry {link.index} succeeds entry {before.index}, behind it"
                )
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
        must_hold("device", device_signs(at_entry, member, said.key, who=said.by))
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
        payload, seen = payload_of(entry, payloads.Party), self._seen.of(party).get("party")
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
            self._seen.keep(party, party=newest)
        return cell

    async def _check_follows(self, entry: Entry, sequence: int, statement: str) -> None:
        """Return if a party statement is, or follows step by step on, the one that was seen (if any).

        None of these follows on one that revoked the party: that is for good (PARTY-3); and none has
        another next key than was announced, but by a succession (PARTY-6).
        """
        payload = payload_of(entry, payloads.Party)
        while payload.sequence > sequence and payload.previous is not None:
            before = await self._source.statement(payload.previous)
            said = payload_of(before, payloads.Party)
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
        payload = payload_of(entry, payloads.Party)
        if payload.party != party:
            raise LinkBroken("party", f"The node shows {payload.party} where {party} was asked")
        links = self._parties.setdefault(party, [])
        for link in links:
            if link.cell.statement == entry.statement.digest:
                return link
        facts = same_facts(entry, party_facts(statement_of(entry, payload)), PartyFacts)
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
        payload = payload_of(entry, payloads.Directory)
        _of_party(payload, party)
        same_facts(entry, directory_facts(statement_of(entry, payload)), DirectoryFacts)
        await self._registrar_signed(entry, Scope.DIRECTORY)
        must_be_taken(entry, directory_dates(payload))
        link = DirectoryLink(entry, payload)
        self._directories[link.digest] = link
        return link

    async def _fold_member(self, entry: Entry, party: str) -> Link[cells.Member]:
        payload = payload_of(entry, payloads.Member)
        _of_party(payload, party)
        links = self._members.setdefault(payload.member, [])
        for link in links:
            if link.cell.statement == entry.statement.digest:
                return link
        if party_of(payload.member) != party:
            raise LinkBroken("member", f"{payload.member} is not of {party}")
        facts = same_facts(entry, member_facts(statement_of(entry, payload)), MemberFacts)
        await self._registrar_signed(entry, Scope.MEMBER)
        for lost in payload.compromised or ():
            must_be_taken(entry, still_used(payload, lost, entry.at))
        made = Link(entry, member_cell(facts))
        links.append(made)
        links.sort(key=lambda link: link.index)
        return made

    async def _fold_posting(self, entry: Entry, party: str) -> Link[cells.Post]:
        payload = payload_of(entry, payloads.Posting)
        _of_party(payload, party)
        links = self._posts.setdefault(payload.post, [])
        for link in links:
            if link.cell.statement == entry.statement.digest:
                return link
        if party_of(payload.post) != party:
            raise LinkBroken("posting", f"{payload.post} is not of {party}")
        facts = same_facts(entry, posting_facts(statement_of(entry, payload)), PostingFacts)
        await self._registrar_signed(entry, Scope.POSTING)
        made = Link(entry, post_cell(facts))
        links.append(made)
        links.sort(key=lambda link: link.index)
        return made

    def _fold_keys(
        self, shown: list[Entry], party: cells.Party, members: dict[str, cells.Member]
    ) -> tuple[dict[str, tuple[tuple[cells.EncryptionKey, bytes], ...]], frozenset[str]]:
        """Return the keys of each member, and of whom keys of a strange device are shown."""
        keys: dict[str, tuple[tuple[cells.EncryptionKey, bytes], ...]] = {}
        strange: set[str] = set()
        for entry in shown:
            key, said = self._fold_key(entry, party, members), entry.statement.payload
            if key is not None:
                keys[said.by] = (*keys.get(said.by, ()), key)
            elif said.key not in _devices(members.get(said.by)):
                strange.add(said.by)
        return keys, frozenset(strange)

    def _fold_key(
        self, entry: Entry, party: cells.Party, members: dict[str, cells.Member]
    ) -> tuple[cells.EncryptionKey, bytes] | None:
        """Fold a key statement; None where its device is no longer in force: nobody seals to it."""
        payload = payload_of(entry, payloads.Key)
        facts = same_facts(entry, key_facts(statement_of(entry, payload)), KeyFacts)
        must_be_taken(entry, key_dates(payload))
        member = members.get(payload.by)
        if device_signs(party, member, payload.key, who=payload.by) is not None:
            return None
        assert member is not None  # device_signs
        entry.statement.check_signature(public_of(member, payload.key))
        return key_cell(facts), from_base64(payload.encryption)

    # Signatures

    async def _authority_signed(self, entry: Entry, link: str) -> None:
        payload = entry.statement.payload
        party = await self.party_at(payload.by, entry.index)
        must_hold(link, authority_signs(party, payload.key, who=payload.by))
        entry.statement.check_signature(from_base64(party.authority))

    async def _registrar_signed(self, entry: Entry, scope: Scope) -> None:
        payload = entry.statement.payload
        party = await self.party_at(payload.by, entry.index)
        must_hold("registrar", registrar_signs(party, payload.key, scope, entry.at, who=payload.by))
        signers = (party.authority, *(registrar.key for registrar in party.registrars))
        public = next(key for key in signers if id_of(key) == payload.key)
        entry.statement.check_signature(from_base64(public))


def _devices(member: cells.Member | None) -> set[str]:
    return {id_of(public) for public in member.devices} if member is not None else set()


def _of_party(payload: Successive, party: str) -> None:
    if payload.by != party:
        raise LinkBroken("registrar", f"The statement is by {payload.by}, not by {party}")


def _steps(
    known: cells.Member | None, payload: payloads.Member, at: int, is_authority: bool
) -> Refused | None:
    """Return why one member's statement can't follow on another, as the log had to ask it."""
    sequence, statement = (known.sequence, known.statement) if known else (0, None)
    refused = (
        follows(payload, sequence, statement)
        or stays_revoked(known)
        or takes_back(known, payload, at)
    )
    if refused is None and not is_authority:
        refused = reinstates(known, payload) or says_for_good(known, payload)
    return refused


def _none_revoked(directory: DirectoryLink, member: cells.Member) -> None:
    for public in member.devices:
        is_in_force = member.state is not payloads.State.REVOKED
        if is_in_force and id_of(public) in directory.payload.revoked:
            raise LinkBroken(
                "device",
                f"The directory of {member.party} names a device of {member.member} as revoked",
            )
