"""An authority on channels: it proposes, accedes, amends, and says who is on its side. design.md 3, 6.

A charter known here is what the next directory names; a successor counts once all have acceded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from liaison.client.answers import objects_of, text_of
from liaison.client.authority import LAPSE, Surprise
from liaison.client.book import Book
from liaison.client.handover import Records
from liaison.client.links import ChannelView, OwnPart
from liaison.client.making import made
from liaison.client.source import CarriedSource
from liaison.client.staffing import Staff
from liaison.client.watching import Watch
from liaison.rules.chain import id_of
from liaison.statements.charters import Accession, Charter, Participation, Seat, Standing
from liaison.statements.payloads import Roster
from liaison.statements.statement import Statement, parse_statement_of
from liaison.words.encoding import from_base64
from liaison.words.errors import NodeUnreachable, NotReady
from liaison.words.ids import check_id
from liaison.words.precedence import Precedence


class Authority(Staff):
    """An authority's home, open, with all that it says."""

    def propose(
        self,
        channel_type: str,
        alias: str,
        parties: Sequence[str],
        defaults: Mapping[str, Any],
        *,
        seats: Mapping[str, str] | None = None,
        is_exercise: bool = False,
    ) -> Statement[Charter]:
        """Sign a charter whose parameters are those of a ``protocols/*.toml`` file.

        ``seats`` gives each party its seat, where the channel type has some.

        Raises:
            NotReady: a party isn't pinned, or this home knows a channel of this alias.
        """
        check_id("alias", alias)
        _ = self.pins.node  # says so first, where no node is pinned
        for party in parties:
            self.pins.authority(check_id("party id", party))
        if any(known["alias"] == alias for known in self._subjects("charter").values()):
            raise NotReady(
                f"This authority knows a channel {alias} already",
                safe="nothing was signed",
                do=f"choose another alias, or go on with: liaison channel accede {alias}",
            )
        members: dict[str, Any] = {"type": channel_type, "alias": alias}
        members["parties"] = [self.party, *parties]
        if seats:
            members["seats"] = [{"party": p, "seat": seats[p]} for p in sorted(seats)]
        if is_exercise:
            members["exercise"] = True
        statement = self._charter(defaults, members)
        self._keep(statement, "charter", statement.digest, alias)
        return statement

    async def amend(
        self, alias: str, defaults: Mapping[str, Any], *, added: Sequence[str] = ()
    ) -> Statement[Charter]:
        """Sign a successor of a channel's charter; it counts once all parties have acceded to it.

        ``added`` are parties that join; who leaves says so by ``participate``.
        """
        view = await self.channel(alias)
        for party in added:
            self.pins.authority(check_id("party id", party))
        present = view.charter
        kept = [p for p in present.parties if view.cell.standing(p) is not Standing.LEFT]
        members: dict[str, Any] = {"type": present.type, "alias": alias}
        members["parties"] = [*kept, *added]
        members |= {"channel": view.cell.channel, "previous": view.cell.charter}
        if present.seats is not None:
            seats = {s.party: s.seat.value for s in present.seats}
            seats |= dict.fromkeys(added, Seat.MEMBER.value)
            members["seats"] = [{"party": p, "seat": seats[p]} for p in sorted(members["parties"])]
        if present.exercise:
            members["exercise"] = True
        statement = self._charter(defaults, members)
        self._keep(statement, "amendment", statement.digest, alias)
        return statement

    def _charter(
        self, defaults: Mapping[str, Any], members: Mapping[str, Any]
    ) -> Statement[Charter]:
        node, now = self.pins.node, self.now()
        # TOML spells names with underscores, statements with hyphens.
        rules = [
            {
                "use": rule["use"],
                "parameters": {k.replace("_", "-"): v for k, v in rule.items() if k != "use"},
            }
            for rule in defaults.get("rule", [])
        ]
        ladders = [
            {"name": ladder["name"], "rungs": ladder["rung"]}
            for ladder in defaults.get("ladder", [])
        ]
        if ladders:
            members = {**members, "ladders": sorted(ladders, key=lambda ladder: ladder["name"])}
        charter = made(
            Charter,
            by=self.party,
            key=self._key.id,
            issued=now,
            lapse=now + LAPSE,
            log={"origin": node.origin, "log_key": node.log_key, "node_key": node.node_key},
            terms=defaults.get("terms", {}),
            kinds=sorted(
                (_kind_of(kind) for kind in defaults.get("kind", [])), key=lambda k: str(k["kind"])
            ),
            rules=sorted(rules, key=lambda rule: rule["use"]),
            **members,
        )
        return self._sign(charter)

    def participate(
        self, view: ChannelView, state: Standing, *, reason: str | None = None
    ) -> Statement[Participation]:
        """Suspend this party's part in a channel, take it up again, or leave it for good.

        Raises:
            NotReady: it left, or stands so already.
        """
        standing = view.cell.standing(self.party)
        if standing is Standing.LEFT or standing is state:
            raise NotReady(
                f"{self.party} is {standing} in {view.cell.alias} already"
                + (", and can't come back" if standing is Standing.LEFT else ""),
                safe="nothing was signed",
            )
        now = self.now()
        statement = self._sign(
            made(
                Participation,
                by=self.party,
                key=self._key.id,
                issued=now,
                lapse=now + LAPSE,
                channel=view.cell.channel,
                state=state.value,
                **({} if reason is None else {"reason": reason}),
            )
        )
        self._keep(statement, "participation", statement.digest, view.cell.alias)
        return statement

    async def follow(self, alias: str) -> ChannelView:
        """Return a channel, and take as its charter the one in force, if this party said yes to it.

        From then on this party's directories name that one.
        """
        view = await self.channel(alias)
        known = self._newest("charter", view.cell.channel)
        acceded = self._newest("accession", view.cell.charter)
        if known and acceded and known["statement"] != view.cell.charter:
            entry = await self._connect().source.statement(view.cell.charter)
            charter = parse_statement_of(Charter, entry.statement.raw)
            self._keep(charter, "charter", view.cell.channel, alias, is_own=False)
        return view

    async def catch_up(self) -> list[Surprise]:
        """As ``Staff``, and the charters and own rosters of the party's channels, too."""
        surprises = await super().catch_up()
        async for alias, part in self._own_parts():
            known = self._newest("charter", part.channel)
            if await self._has_left(alias):
                # No directory names it any more: so those who aren't shown that we left don't seal.
                if known:
                    self._leave(part.channel)
                continue
            if not known or known["statement"] != part.charter.digest:
                self._keep(part.charter, "charter", part.channel, alias, is_own=False)
                if not self.is_registrar and not self.has_acceded(part.charter):
                    self._mark_elsewhere(part.charter)
                    surprises.append(Surprise(f"accession {alias}", is_elsewhere=True))
            if part.roster is not None:
                surprises += self._follow(part.roster.statement, part.channel, alias)
        return surprises

    async def _own_parts(self) -> AsyncIterator[tuple[str, OwnPart]]:
        """Give what this party said of each channel, by its alias."""
        online = self._connect()
        answer = await online.transport.read("/v1/channels")
        for item in objects_of(answer, "channels"):
            part = await online.book.own_part(text_of(item, "alias"), self.party)
            if part is not None:
                yield text_of(item, "alias"), part

    async def _has_left(self, alias: str) -> bool:
        """Return whether this party left a channel, by its own word that the node shows."""
        online = self._connect()
        for entry in (await online.source.channel(alias))["participations"]:
            said = entry.statement.payload
            if not isinstance(said, Participation) or said.by != self.party:
                continue
            authority = (await online.book.party_at(self.party, entry.index)).authority
            if said.state is Standing.LEFT and said.key == id_of(authority):
                entry.statement.check_signature(from_base64(authority))
                return True
        return False

    def _leave(self, channel: str) -> None:
        """Have no directory name a channel any more."""
        for kind in ("charter", "roster"):
            self._subjects(kind).pop(channel, None)
        self._save()

    async def export(self) -> Records:
        """Return all that the log holds of this party, to be carried to a home that is offline."""
        source = self._connect().source
        receipts = [entry.receipt async for entry in source.of_party(self.party, after=0)]
        rosters = [p.roster.receipt async for _, p in self._own_parts() if p.roster is not None]
        return Records(self.party, tuple(receipts), tuple(rosters))

    async def take(self, records: Records) -> list[Surprise]:
        """As ``catch_up``, from what was carried to this home.

        Raises:
            NotReady: it is of another party, or no node is pinned here.
        """
        if records.party != self.party:
            raise NotReady(
                f"The file is of {records.party}, this home of {self.party}",
                safe="nothing was taken",
            )
        watch = Watch(self.home, self.pins.node, _offline)
        source = CarriedSource(records, watch)
        book = Book(self.home, self.pins, source, self.now)
        surprises = await self._go_on(source, book)
        for entry in source.rosters:
            channel = entry.record.channel.id
            alias = str((self._newest("charter", channel) or {}).get("alias", ""))
            roster, _ = await book.roster(entry, channel)
            if roster.by == self.party:
                surprises += self._follow(entry.statement, channel, alias)
        watch.save()
        return surprises

    async def follow_all(self) -> None:
        """``follow`` each channel of this party to which it acceded anew since."""
        for subject in list(self._subjects("amendment").values()):
            await self.follow(str(subject["alias"]))
        for view in await self.channels():
            if self._newest("accession", view.cell.charter) is not None:
                await self.follow(view.cell.alias)

    def accede(self, charter: Statement[Charter]) -> Statement[Accession]:
        """Sign this party's yes to a charter that it was shown; once, however often it is asked.

        Raises:
            NotReady: the proposer isn't pinned, or this party isn't named.
            ChainBroken, SignatureInvalid, LogUntrusted: the charter doesn't hold.
        """
        payload = charter.payload
        self.pins.check_log(payload.log.origin, payload.log.log_key, payload.log.node_key)
        self.pins.authority(payload.by)
        if self.party not in payload.parties:
            raise NotReady(
                f"{self.party} is not a party of {payload.alias}",
                safe="nothing was signed",
                do=f"its parties are {', '.join(payload.parties)}",
            )
        if self._newest("accession", charter.digest):
            return self._newest_statement(Accession, charter.digest)
        now = self.now()
        statement = self._sign(
            Accession(
                by=self.party,
                key=self._key.id,
                issued=now,
                lapse=now + LAPSE,
                channel=payload.channel or charter.digest,
                charter=charter.digest,
            )
        )
        # What is acceded to is current from now on, and the next directory names it; a successor
        # only once all have acceded (``follow``).
        if payload.channel is None:
            self._keep(charter, "charter", charter.digest, payload.alias, is_own=False)
        self._keep(statement, "accession", charter.digest, payload.alias)
        return statement

    def has_acceded(self, charter: Statement[Any]) -> bool:
        """Return whether this home signed its yes to a charter."""
        return self._newest("accession", charter.digest) is not None

    def charter_of(self, alias: str) -> Statement[Charter]:
        """Return a charter that this home proposed or acceded to, by the channel's alias."""
        for subject in self._subjects("charter").values():
            if subject["alias"] == alias:
                return parse_statement_of(Charter, self._raw(str(subject["statement"]), "charter"))
        raise NotReady(
            f"This authority knows no channel {alias}",
            safe="nothing was signed",
            do=f"propose it, or run: liaison channel accede {alias}",
        )

    def _channel(self, alias: str) -> str:
        """Return the id of a channel that this home proposed or acceded to."""
        charter = self.charter_of(alias)
        return charter.payload.channel or charter.digest

    def set_roster(
        self,
        alias: str,
        tiers: Sequence[tuple[str, Sequence[str]]],
        alternates: Mapping[str, str] | None = None,
    ) -> Statement[Roster]:
        """Sign this party's side of a channel: tiers by name, in the order they are opened.

        ``alternates``: by post, who gets a note in its place when it declines or isn't reached.
        """
        channel = self._channel(alias)
        for _, posts in tiers:
            for post in posts:
                check_id("address", post)
                if self._newest("posting", post) is None:
                    raise NotReady(
                        f"{post} is not a post that this authority set",
                        safe="nothing was signed",
                        do="approve a member for it, or run: liaison posting set POST HOLDER",
                    )
        return self._sign_next(
            Roster,
            channel,
            alias=alias,
            channel=channel,
            tiers=[{"name": name, "posts": sorted(posts)} for name, posts in tiers],
            **(
                {
                    "alternates": [
                        {"post": p, "alternate": alternates[p]} for p in sorted(alternates)
                    ]
                }
                if alternates
                else {}
            ),
        )

    # As the node has them

    async def channel(self, alias: str) -> ChannelView:
        """Return a channel as the node shows it, verified."""
        return await self._connect().book.channel(alias, is_fresh=True)

    async def channels(self) -> list[ChannelView]:
        online = self._connect()
        answer = await online.transport.read("/v1/channels")
        shown = objects_of(answer, "channels")
        return [await online.book.channel(text_of(item, "alias")) for item in shown]

    async def charter(self, alias: str) -> Statement[Charter]:
        """Return the charter to accede to, from the node, its proposer's signature checked.

        That is the newest successor that waits for accessions, else the present one.
        """
        online = self._connect()
        view = await online.book.channel(alias, is_fresh=True)
        waiting = [p.charter for p in view.proposed if p.lacks(self.party)]
        entry = await online.source.statement(waiting[-1] if waiting else view.cell.charter)
        return parse_statement_of(Charter, entry.statement.raw)


async def _offline(_path: str, _most: int) -> bytes:
    raise NodeUnreachable("This home is offline")


def _kind_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kind as statements spell it: what is a set in TOML stands in its order."""
    kind = dict(said)
    kind["writers"] = sorted(kind.get("writers", []))
    if "ladders" in kind:
        ranks = {level.value: level.rank for level in Precedence}
        kind["ladders"] = sorted(
            kind["ladders"], key=lambda use: ranks.get(str(use["at_least"]), 0)
        )
    return kind
