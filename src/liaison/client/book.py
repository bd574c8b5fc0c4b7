"""The book of what a client holds true: of the parties, and of the channels that they opened.

A channel is folded as a party is (``parties``): each link down from the pinned authorities, or
named as the one that doesn't hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from liaison.client.entries import contradiction, only, payload_of, same_facts, statement_of
from liaison.client.home import Home
from liaison.client.links import ChannelView, LinkBroken, OwnPart, Proposed, Source
from liaison.client.parties import Parties
from liaison.client.pins import Pins
from liaison.client.watching import Entry
from liaison.ledger.facts import (
    AccessionFacts,
    CharterFacts,
    ParticipationFacts,
    RosterFacts,
    WatchFacts,
)
from liaison.rules import cells
from liaison.rules.channels import accede, add_roster, channel_cell, participate
from liaison.rules.deriving import (
    accession_facts,
    charter_facts,
    participation_facts,
    roster_facts,
    watch_facts,
)
from liaison.rules.minimizing import minimize
from liaison.statements import charters, payloads
from liaison.statements.payloads import Scope
from liaison.statements.procedures import Watch
from liaison.words.errors import NotHere, NotReady, RecordUntrusted, SignatureInvalid
from liaison.words.ids import party_of

CHARTERS_MAX: Final = 64
"""So many amendments are followed back."""


class Book(Parties):
    """The cells that a client holds: ``Parties``, and channels by their alias."""

    def __init__(self, home: Home, pins: Pins, source: Source, now: Callable[[], int]) -> None:
        super().__init__(home, pins, source, now)
        self._rosters: dict[str, tuple[payloads.Roster, cells.Rosters]] = {}
        self._channels: dict[str, ChannelView] = {}

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
        entry = only(shown, "charter")
        charter = payload_of(entry, charters.Charter)
        self._pins.check_log(charter.log.origin, charter.log.log_key, charter.log.node_key)
        if charter.alias != alias:
            raise LinkBroken("charter", f"The node shows {charter.alias} where {alias} was asked")
        facts = same_facts(entry, charter_facts(statement_of(entry, charter)), CharterFacts)
        await self._authority_signed(entry, "charter")
        cell = channel_cell(facts)
        for accession in shown["accessions"]:
            cell = await self._fold_accession(accession, cell)
        if not cell.is_open and {a.party for a in cell.acceded} == set(cell.parties):
            raise RecordUntrusted(
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
        self._source.held(shown)
        return view

    async def own_part(self, alias: str, party: str) -> OwnPart | None:
        """Return what ``party`` itself said of a channel: none of the others has to be pinned.

        None where it has not acceded to the charter in force.

        Raises:
            LogUntrusted: the charter's log is another one than the pinned.
            LinkBroken, SignatureInvalid: what the node shows doesn't hold.
        """
        shown = await self._source.channel(alias)
        entry = only(shown, "charter")
        charter = payload_of(entry, charters.Charter)
        self._pins.check_log(charter.log.origin, charter.log.log_key, charter.log.node_key)
        channel = charter.channel or entry.statement.digest
        for accession in shown["accessions"]:
            said = payload_of(accession, charters.Accession)
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
            charter = payload_of(await self._source.statement(named), charters.Charter)
        return None

    async def roster(self, entry: Entry, channel: str) -> tuple[payloads.Roster, cells.Rosters]:
        """Return a roster for ``channel`` whose chain holds."""
        known = self._rosters.get(entry.statement.digest)
        if known is None:
            payload = payload_of(entry, payloads.Roster)
            facts = same_facts(entry, roster_facts(statement_of(entry, payload)), RosterFacts)
            await self._registrar_signed(entry, Scope.ROSTER)
            known = payload, add_roster(None, facts, entry.at)
            self._rosters[entry.statement.digest] = known
        if known[0].channel != channel:
            raise LinkBroken("roster", f"The roster of {known[0].by} is for another channel")
        return known

    def forget(self) -> None:
        """Ask anew for what is current, next time: something of it was outdated."""
        super().forget()
        self._channels.clear()

    # One function a kind

    async def _fold_accession(self, entry: Entry, cell: cells.Channel) -> cells.Channel:
        payload = payload_of(entry, charters.Accession)
        facts = entry.record.facts
        if not isinstance(facts, AccessionFacts) or facts != accession_facts(
            statement_of(entry, payload), opens=facts.opens
        ):
            raise contradiction(entry)
        if (payload.channel, payload.charter) != (cell.channel, cell.charter):
            raise LinkBroken("charter", f"{payload.by} acceded to another charter")
        if payload.by not in cell.parties:
            raise LinkBroken("charter", f"{payload.by} is not a party of {cell.alias}")
        await self._authority_signed(entry, "charter")
        return accede(cell, facts, entry.at)

    async def _fold_participation(self, entry: Entry, cell: cells.Channel) -> cells.Channel:
        payload = payload_of(entry, charters.Participation)
        facts = same_facts(
            entry, participation_facts(statement_of(entry, payload)), ParticipationFacts
        )
        if payload.channel != cell.channel:
            raise LinkBroken("charter", f"{payload.by} said that of another channel")
        await self._authority_signed(entry, "charter")
        return participate(cell, facts, entry.at)

    async def _fold_minimized(self, entry: Entry, cell: cells.Channel) -> cells.Channel:
        """Fold what an operator said of the whole channel; what doesn't hold is not heard.

        It is a warning, and the node refuses by its own: nobody must be kept from writing because
        an operator is in no directory any more.
        """
        payload = payload_of(entry, Watch)
        facts = same_facts(entry, watch_facts(statement_of(entry, payload)), WatchFacts)
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
