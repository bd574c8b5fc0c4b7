"""Rulings on a channel itself: charter, accession, participation, roster.

protocols/statements.md, CHARTER, PART, ROSTER.

A first charter names its channel; a successor is proposed beside it until all have acceded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from liaison.ledger.facts import AccessionFacts, CharterFacts, ParticipationFacts, RosterFacts
from liaison.ledger.record import Record
from liaison.rules import cells, rhythm
from liaison.rules.authority import follows
from liaison.rules.cells import (
    AliasClaim,
    Amendment,
    Cell,
    CellKey,
    Channel,
    LineTest,
    Log,
    PartyChannels,
    Rosters,
    View,
)
from liaison.rules.chain import admitted, authority_signs, registrar_signs
from liaison.rules.deriving import accession_facts, charter_facts, participation_facts, roster_facts
from liaison.rules.kinds import load_rule
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.speaking import not_yet, version_of
from liaison.statements.charters import Accession, Charter, Participation, Standing
from liaison.statements.payloads import Roster, Scope
from liaison.statements.statement import Statement
from liaison.words.ids import party_of

EDITIONS_KEPT: Final = 4
PENDING_KEPT: Final = 8
PROPOSED_MAX: Final = 2
"""So many successors of one charter a party proposes."""


def _named_channel(statement: Statement[Any]) -> str:
    channel: str = statement.payload.channel
    return channel


# Charter


def _charter_scope(statement: Statement[Charter]) -> str:
    return statement.payload.channel or statement.digest


def _charter_needs(statement: Statement[Charter], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield cells.Admitted.key_of(payload.by)
    yield Channel.key_of(_charter_scope(statement))
    yield AliasClaim.key_of(payload.alias)
    for party in payload.parties:
        yield cells.Party.key_of(party)
        yield PartyChannels.key_of(party)


def _decide_charter(view: View, statement: Statement[Charter], at: int) -> Drafted | Refused:
    payload = statement.payload
    refused = (
        admitted(view, payload.by)
        or authority_signs(view.get(cells.Party, payload.by), payload.key, who=payload.by)
        or (_first_version(payload) if version_of(view) < 2 else None)
        or _of_this_log(view, payload)
    )
    if refused is not None:
        return refused
    if payload.channel is not None:
        refused = _amends(view.get(Channel, payload.channel), payload)
    elif payload.previous is not None:
        refused = Refused("other-charter", "previous: an amendment names its channel too")
    elif view.get(AliasClaim, payload.alias) is not None:
        refused = Refused("name-taken", f"the alias {payload.alias} is taken on this node")
    if refused is not None:
        return refused
    for party in payload.parties:
        if view.get(cells.Party, party) is None:
            return Refused("unknown-party", f"party {party} is not known here")
    refused = _check_rules(payload, version_of(view))
    if refused is not None:
        return refused
    return Drafted(charter_facts(statement))


def _first_version(payload: Charter) -> Refused | None:
    for name in ("previous", "channel", "exercise", "seats", "ladders"):
        if getattr(payload, name) is not None:
            return not_yet(name)
    for name in ("snooze_max_s", "hold_max_s", "minimize_max_s", "cabinet", "cabinet_s"):
        if getattr(payload.terms, name) is not None:
            return not_yet(name)
    for kind in payload.kinds:
        for name in _KIND_MEMBERS:
            if getattr(kind, name) is not None:
                return not_yet(f"{kind.kind}: {name}")
    return None


_KIND_MEMBERS: Final = (
    "ladders",
    "answer_within_s",
    "reminders_s",
    "service",
    "series",
    "release",
    "silence",
)


def _of_this_log(view: View, payload: Charter) -> Refused | None:
    log = view.get(Log)
    assert log is not None
    if payload.log.origin != log.origin:
        return Refused(
            "other-log", f"the charter is for the log {payload.log.origin}, this is {log.origin}"
        )
    if (payload.log.log_key, payload.log.node_key) != (log.log_key, log.node_key):
        return Refused("other-log", "the charter names other keys than this log's")
    if log.exercise and not payload.exercise:
        return Refused("exercise", "this node is for exercises, and so are its channels")
    return None


def _amends(channel: Channel | None, payload: Charter) -> Refused | None:
    """A successor keeps name, type and parties; parties may be added, and leave by themselves."""
    if channel is None:
        return Refused("unknown-channel", "the channel is not known here")
    if payload.previous != channel.charter:
        return Refused("other-charter", f"previous: not the present charter of {channel.alias}")
    if payload.by not in channel.parties or channel.standing(payload.by) is Standing.LEFT:
        return Refused("not-a-party", f"{payload.by} is not a party of {channel.alias}")
    if not channel.is_open:
        return Refused("channel-not-open", f"{channel.alias} has no charter in force to amend")
    kept = tuple(p for p in channel.parties if channel.standing(p) is not Standing.LEFT)
    if payload.parties[: len(kept)] != kept:
        return Refused(
            "amendment", f"parties: begins with {', '.join(kept)}; a party leaves by itself"
        )
    for party in payload.parties:
        if channel.standing(party) is Standing.LEFT:
            return Refused("party-left", f"{party} has left {channel.alias} for good")
    if (payload.alias, payload.type) != (channel.alias, channel.type):
        return Refused("amendment", "an amendment keeps the channel's alias and type")
    if payload.exercise != channel.exercise:
        return Refused("exercise", "a channel is for exercises from its first charter on, or never")
    if (channel.proposers or ()).count(payload.by) >= PROPOSED_MAX:
        return Refused(
            "amendment",
            f"{payload.by} has proposed {PROPOSED_MAX} successors of the present charter already",
        )
    return None


def _check_rules(payload: Charter, version: int) -> Refused | None:
    for use in payload.rules:
        rule = load_rule(use)
        if isinstance(rule, Refused):
            return rule
        if rule.since > version:
            return Refused("unknown-rule", f"the charter names a rule not known here: {use.use}")
        refused = rule.of_charter(payload)
        if refused is not None:
            return refused
    return None


def _evolve_charter(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, CharterFacts)
    if facts.previous is None:
        yield channel_cell(facts)
        yield AliasClaim(alias=facts.alias, channel=facts.channel)
    else:
        channel = view.get(Channel, facts.channel)
        assert channel is not None
        pending = (*(channel.pending or ()), facts.statement)[-PENDING_KEPT:]
        proposers = tuple(sorted((*(channel.proposers or ()), record.actor)))
        yield channel.model_copy(update={"pending": pending, "proposers": proposers})
        yield Amendment(
            channel=facts.channel,
            charter=facts.statement,
            previous=facts.previous,
            proposed=channel_cell(facts),
        )
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
        exercise=facts.exercise,
        seats=facts.seats,
        ladders=facts.ladders,
    )


# Accession


def _accession_needs(statement: Statement[Accession], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield cells.Admitted.key_of(payload.by)
    yield cells.Party.key_of(payload.by)
    yield Channel.key_of(payload.channel)
    yield Amendment.key_of(payload.channel, payload.charter)
    yield LineTest.key_of(payload.channel)


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
    proposed = channel
    if payload.charter != channel.charter:
        amendment = view.get(Amendment, payload.channel, payload.charter)
        if amendment is None or amendment.previous != channel.charter:
            return Refused(
                "other-charter", "the channel has another charter than the one acceded to"
            )
        proposed = amendment.proposed
        if channel.standing(payload.by) is Standing.LEFT:
            return Refused("party-left", f"{payload.by} has left {channel.alias} for good")
    if payload.by not in proposed.parties:
        return Refused("not-a-party", f"{payload.by} is not a party of {channel.alias}")
    acceded = {accession.party for accession in proposed.acceded}
    if payload.by in acceded:
        return Refused("already-so", f"{payload.by} has acceded to {channel.alias} already")
    opens = acceded | {payload.by} == set(proposed.parties)
    return Drafted(accession_facts(statement, opens=opens))


def _evolve_accession(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, AccessionFacts)
    channel = view.get(Channel, facts.channel)
    assert channel is not None
    if facts.charter == channel.charter:
        channel = accede(channel, facts, record.at)
        yield channel
    else:
        amendment = view.get(Amendment, facts.channel, facts.charter)
        assert amendment is not None
        proposed = accede(amendment.proposed, facts, record.at)
        yield amendment.model_copy(update={"proposed": proposed})
        if not facts.opens:
            return
        channel = succeed(channel, proposed)
        yield channel
    if facts.opens:
        yield from _lines(view, channel, record.at)


def _lines(view: View, channel: Channel, at: int) -> Iterable[Cell]:
    """Give the line tests that begin with a charter, or when parties take part again."""
    line = rhythm.begin(channel, view.get(LineTest, channel.channel), at)
    if line is not None:
        yield line


def _line(statement: Statement[Any], _: Peek) -> Iterable[CellKey]:
    """What was due of the line goes before what changes whose turn it is."""
    yield LineTest.key_of(_named_channel(statement))


def succeed(channel: Channel, proposed: Channel) -> Channel:
    """Return the channel under its new charter: as open as before, its parties standing as before."""
    standings = tuple(s for s in channel.standings or () if s.party in proposed.parties)
    minimized = tuple(m for m in channel.minimized or () if m.party in proposed.parties)
    return proposed.model_copy(
        update={
            "opened_at": channel.opened_at,
            "standings": standings or None,
            "minimized": minimized or None,
            "pending": None,
        }
    )


def accede(channel: Channel, facts: AccessionFacts, at: int) -> Channel:
    acceded = cells.Acceded(party=facts.party, at=at, statement=facts.statement)
    return channel.model_copy(
        update={
            "acceded": (*channel.acceded, acceded),
            "opened_at": at if facts.opens else channel.opened_at,
        }
    )


# Participation


def _participation_needs(statement: Statement[Participation], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield cells.Admitted.key_of(payload.by)
    yield cells.Party.key_of(payload.by)
    yield Channel.key_of(payload.channel)
    yield LineTest.key_of(payload.channel)


def _decide_participation(
    view: View, statement: Statement[Participation], at: int
) -> Drafted | Refused:
    payload = statement.payload
    if version_of(view) < 2:
        return not_yet("participation")
    refused = admitted(view, payload.by) or authority_signs(
        view.get(cells.Party, payload.by), payload.key, who=payload.by
    )
    if refused is not None:
        return refused
    channel = view.get(Channel, payload.channel)
    if channel is None:
        return Refused("unknown-channel", "the channel is not known here")
    if all(acceded.party != payload.by for acceded in channel.acceded):
        return Refused("not-a-party", f"{payload.by} has not acceded to {channel.alias}")
    standing = channel.standing(payload.by)
    if standing is Standing.LEFT:
        return Refused("party-left", f"{payload.by} has left {channel.alias} for good")
    if standing is payload.state:
        return Refused("already-so", f"{payload.by} is {standing} in {channel.alias} already")
    return Drafted(participation_facts(statement))


def _evolve_participation(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, ParticipationFacts)
    channel = view.get(Channel, facts.channel)
    assert channel is not None
    channel = participate(channel, facts, record.at)
    yield channel
    yield from _lines(view, channel, record.at)


def participate(channel: Channel, facts: ParticipationFacts, at: int) -> Channel:
    """Return the channel after a party suspended its part, took it up again, or left."""
    others = {s.party: s for s in channel.standings or () if s.party != facts.party}
    if facts.state is not Standing.ACTIVE:
        others[facts.party] = cells.PartyStanding(
            party=facts.party, state=facts.state, at=at, statement=facts.statement
        )
    standings = tuple(standing for _, standing in sorted(others.items()))
    return channel.model_copy(update={"standings": standings or None})


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
    if payload.alternates is not None and version_of(view) < 2:
        return not_yet("alternates")
    for said in payload.alternates or ():
        if {said.post, said.alternate} - set(posts) or said.post == said.alternate:
            return Refused("roster-tiers", "an alternate and its post are two posts of the roster")
    return Drafted(roster_facts(statement))


def _evolve_roster(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, RosterFacts)
    yield add_roster(view.get(Rosters, facts.channel, facts.party), facts, record.at)


def add_roster(known: Rosters | None, facts: RosterFacts, at: int) -> Rosters:
    edition = cells.RosterEdition(
        statement=facts.statement,
        sequence=facts.sequence,
        at=at,
        tiers=facts.tiers,
        alternates=facts.alternates,
    )
    kept = known.editions[-(EDITIONS_KEPT - 1) :] if known else ()
    return Rosters(channel=facts.channel, party=facts.party, editions=(*kept, edition))


RULINGS: Final[dict[str, Ruling]] = {
    "charter": Ruling(_charter_scope, _charter_needs, _decide_charter, _evolve_charter),
    "accession": Ruling(
        _named_channel, _accession_needs, _decide_accession, _evolve_accession, timed=_line
    ),
    "participation": Ruling(
        _named_channel,
        _participation_needs,
        _decide_participation,
        _evolve_participation,
        timed=_line,
    ),
    "roster": Ruling(_named_channel, _roster_needs, _decide_roster, _evolve_roster),
}
