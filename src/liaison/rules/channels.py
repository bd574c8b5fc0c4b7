"""Rulings on a channel itself: charter, accession, roster. protocols/statements.md, CHARTER, ROSTER."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from liaison.ledger.facts import AccessionFacts, CharterFacts, RosterFacts
from liaison.ledger.record import Record
from liaison.rules import cells
from liaison.rules.authority import admitted, follows
from liaison.rules.cells import (
    AliasClaim,
    Cell,
    CellKey,
    Channel,
    Log,
    PartyChannels,
    Rosters,
    View,
)
from liaison.rules.chain import authority_signs, registrar_signs
from liaison.rules.deriving import accession_facts, charter_facts, roster_facts
from liaison.rules.kinds import load_rule
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.statements.payloads import Accession, Charter, Roster, Scope
from liaison.statements.statement import Statement
from liaison.words.ids import party_of

EDITIONS_KEPT: Final = 4


def _named_channel(statement: Statement[Any]) -> str:
    channel: str = statement.payload.channel
    return channel


# Charter


def _new_channel(statement: Statement[Charter]) -> str:
    return statement.digest


def _charter_needs(statement: Statement[Charter], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield cells.Admitted.key_of(payload.by)
    yield Channel.key_of(statement.digest)
    yield AliasClaim.key_of(payload.alias)
    for party in payload.parties:
        yield cells.Party.key_of(party)
        yield PartyChannels.key_of(party)


def _decide_charter(view: View, statement: Statement[Charter], at: int) -> Drafted | Refused:
    payload = statement.payload
    refused = admitted(view, payload.by) or authority_signs(
        view.get(cells.Party, payload.by), payload.key, who=payload.by
    )
    if refused is not None:
        return refused
    if payload.previous is not None:
        return Refused("not-in-this-version", "previous: a charter can't be amended yet")
    log = view.get(Log)
    assert log is not None
    if payload.log.origin != log.origin:
        return Refused(
            "other-log", f"the charter is for the log {payload.log.origin}, this is {log.origin}"
        )
    if (payload.log.log_key, payload.log.node_key) != (log.log_key, log.node_key):
        return Refused("other-log", "the charter names other keys than this log's")
    if view.get(AliasClaim, payload.alias) is not None:
        return Refused("name-taken", f"the alias {payload.alias} is taken on this node")
    for party in payload.parties:
        if view.get(cells.Party, party) is None:
            return Refused("unknown-party", f"party {party} is not known here")
    for use in payload.rules:
        rule = load_rule(use)
        refused = rule if isinstance(rule, Refused) else rule.of_charter(payload.parties)
        if refused is not None:
            return refused
    return Drafted(charter_facts(statement))


def _evolve_charter(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, CharterFacts)
    yield channel_cell(facts)
    yield AliasClaim(alias=facts.alias, channel=facts.channel)
    for party in facts.parties:
        known = view.get(PartyChannels, party)
        channels = {*(known.channels if known else ()), facts.channel}
        yield PartyChannels(party=party, channels=tuple(sorted(channels)))


def channel_cell(facts: CharterFacts) -> Channel:
    return Channel(
        channel=facts.channel,
        charter=facts.statement,
        type=facts.type,
        alias=facts.alias,
        parties=facts.parties,
        terms=facts.terms,
        kinds=facts.kinds,
        rules=facts.rules,
        acceded=(),
    )


# Accession


def _accession_needs(statement: Statement[Accession], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield cells.Admitted.key_of(payload.by)
    yield cells.Party.key_of(payload.by)
    yield Channel.key_of(payload.channel)


def _decide_accession(view: View, statement: Statement[Accession], at: int) -> Drafted | Refused:
    payload = statement.payload
    refused = admitted(view, payload.by) or authority_signs(
        view.get(cells.Party, payload.by), payload.key, who=payload.by
    )
    if refused is not None:
        return refused
    channel = view.get(Channel, payload.channel)
    if channel is None:
        return Refused("unknown-channel", "the channel is not known here")
    if payload.charter != channel.charter:
        return Refused("other-charter", "the channel has another charter than the one acceded to")
    if payload.by not in channel.parties:
        return Refused("not-a-party", f"{payload.by} is not a party of {channel.alias}")
    acceded = {accession.party for accession in channel.acceded}
    if payload.by in acceded:
        return Refused("already-so", f"{payload.by} has acceded to {channel.alias} already")
    return Drafted(accession_facts(statement, opens=acceded | {payload.by} == set(channel.parties)))


def _evolve_accession(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, AccessionFacts)
    channel = view.get(Channel, facts.channel)
    assert channel is not None
    yield accede(channel, facts, record.at)


def accede(channel: Channel, facts: AccessionFacts, at: int) -> Channel:
    acceded = cells.Acceded(party=facts.party, at=at, statement=facts.statement)
    return channel.model_copy(
        update={
            "acceded": (*channel.acceded, acceded),
            "opened_at": at if facts.opens else channel.opened_at,
        }
    )


# Roster


def _roster_needs(statement: Statement[Roster], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield cells.Admitted.key_of(payload.by)
    yield cells.Party.key_of(payload.by)
    yield Channel.key_of(payload.channel)
    yield Rosters.key_of(payload.channel, payload.by)
    for tier in payload.tiers:
        for post in tier.posts:
            yield cells.Post.key_of(post)


def _decide_roster(view: View, statement: Statement[Roster], at: int) -> Drafted | Refused:
    payload = statement.payload
    rosters = view.get(Rosters, payload.channel, payload.by)
    newest = rosters.editions[-1] if rosters else None
    refused = (
        admitted(view, payload.by)
        or registrar_signs(
            view.get(cells.Party, payload.by), payload.key, Scope.ROSTER, at, who=payload.by
        )
        or follows(payload, newest.sequence if newest else 0, newest.statement if newest else None)
    )
    if refused is not None:
        return refused
    channel = view.get(Channel, payload.channel)
    if channel is None:
        return Refused("unknown-channel", "the channel is not known here")
    if payload.by not in channel.parties:
        return Refused("not-a-party", f"{payload.by} is not a party of {channel.alias}")
    posts = [post for tier in payload.tiers for post in tier.posts]
    for post in posts:
        if party_of(post) != payload.by or view.get(cells.Post, post) is None:
            return Refused(
                "unknown-post", f"{post} is not a post of {payload.by} that is known here"
            )
    if len(set(posts)) != len(posts):
        return Refused("roster-tiers", "a post stands in two tiers")
    if len({tier.name for tier in payload.tiers}) != len(payload.tiers):
        return Refused("roster-tiers", "two tiers have one name")
    return Drafted(roster_facts(statement))


def _evolve_roster(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, RosterFacts)
    yield add_roster(view.get(Rosters, facts.channel, facts.party), facts, record.at)


def add_roster(known: Rosters | None, facts: RosterFacts, at: int) -> Rosters:
    edition = cells.RosterEdition(
        statement=facts.statement, sequence=facts.sequence, at=at, tiers=facts.tiers
    )
    kept = known.editions[-(EDITIONS_KEPT - 1) :] if known else ()
    return Rosters(channel=facts.channel, party=facts.party, editions=(*kept, edition))


RULINGS: Final[dict[str, Ruling]] = {
    "charter": Ruling(_new_channel, _charter_needs, _decide_charter, _evolve_charter),
    "accession": Ruling(_named_channel, _accession_needs, _decide_accession, _evolve_accession),
    "roster": Ruling(_named_channel, _roster_needs, _decide_roster, _evolve_roster),
}
