"""Minimize: a party asks for essential traffic only, for a time. protocols/statements.md, MINIMIZE.

It is asked for by a ``watch`` (``watches``) and holds what is newly written (``notes``). What was
accepted goes on, and what a procedure needs passes: nobody gets out of one by minimizing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from liaison.ledger.facts import WatchFacts
from liaison.rules.cells import Channel, Minimized
from liaison.rules.refusal import Refused
from liaison.statements.charters import NoteKind
from liaison.statements.payloads import AddresseeRole, NotePrecedence
from liaison.statements.procedures import Watch
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, SECOND, to_dtg

MINIMIZE_MAX_S: Final = DAY // SECOND
"""Where the charter doesn't say how long."""


@dataclass(frozen=True)
class Written:
    """What counts of a note that is newly written."""

    party: str
    """The sender's."""
    precedence: NotePrecedence
    asked: tuple[tuple[str, AddresseeRole], ...]
    """Posts, also drafted ones, and how they are addressed; without the copy."""
    shown_at: int
    """When others can read it first, in microseconds; of a draft when it is written."""
    is_answer: bool
    """To a note that asked the sender's party (DEADLINE-4)."""
    is_line_test: bool


def turns_away(channel: Channel, kind: NoteKind, note: Written) -> Refused | None:
    """Return a refusal, with what helps, if a party has the channel minimized for such a note."""
    is_essential = note.precedence.action.rank >= Precedence.FLASH.rank
    is_of_procedure = note.is_answer or kind.silence is not None
    if is_essential or is_of_procedure or kind.service or note.is_line_test:
        return None
    for said in channel.minimized or ():
        if note.shown_at >= said.until:
            continue
        is_own = said.party == note.party and note.precedence.action.rank < said.below.rank
        posts = [
            post
            for post, role in note.asked
            if party_of(post) == said.party and _is_below(note, role, said.below)
        ]
        if is_own or posts:
            return _refused(channel, said, [] if is_own else posts)
    return None


def _is_below(note: Written, role: AddresseeRole, below: Precedence) -> bool:
    levels = {
        AddresseeRole.ACTION: note.precedence.action,
        AddresseeRole.INFO: note.precedence.info,
    }
    level = levels.get(role)  # who stands by is not asked yet
    return level is not None and level.rank < below.rank


def _refused(channel: Channel, said: Minimized, posts: list[str]) -> Refused:
    helps = ["raise its precedence if it warrants that", "write it then, or defer it until then"]
    helps += [f"leave out {', '.join(posts)}"] if posts else []
    return Refused(
        "minimize",
        f"{said.party} has MINIMIZE on {channel.alias} below {said.below.value.upper()} until "
        f"{to_dtg(said.until)}: {said.text}",
        do="; ".join(helps),
    )


def bounds(channel: Channel, payload: Watch, at: int) -> Refused | None:
    """Return a refusal unless an operator may minimize so, or end what is there."""
    if payload.below is None or payload.until is None:
        party = party_of(payload.by)
        if any(m.party == party and at < m.until for m in channel.minimized or ()):
            return None
        return Refused("already-so", f"{party} has no MINIMIZE on {channel.alias}")
    longest = channel.terms.minimize_max_s or MINIMIZE_MAX_S
    if not at < payload.until <= at + longest * SECOND:
        return Refused("minimize-bounds", f"until: lies ahead, at most {longest} s")
    if not Precedence.DEFERRED.rank < payload.below.rank <= Precedence.FLASH.rank:
        return Refused("minimize-bounds", "below: ROUTINE to FLASH; FLASH itself always passes")
    return None


def minimize(channel: Channel, facts: WatchFacts, at: int) -> Channel:
    """Return the channel after a party minimized it anew at ``at``, or ended that."""
    found = {m.party: m for m in channel.minimized or () if m.party != facts.party and at < m.until}
    if facts.below is not None:
        assert facts.until is not None
        assert facts.text is not None
        found[facts.party] = Minimized(
            party=facts.party,
            below=facts.below,
            until=facts.until,
            at=at,
            by=facts.by,
            text=facts.text,
            statement=facts.statement,
        )
    return channel.model_copy(
        update={"minimized": tuple(found[party] for party in sorted(found)) or None}
    )
