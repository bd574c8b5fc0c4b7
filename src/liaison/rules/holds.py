"""Rulings on holds: notes below a precedence wait for a post. protocols/statements.md, HOLD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import HoldFacts
from liaison.ledger.record import Record, Urgency
from liaison.rules.cells import Cell, CellKey, Channel, Note, Post, PostHold, View
from liaison.rules.chain import holds
from liaison.rules.moments import end_hold
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.showing import shown_to
from liaison.rules.speaking import channel_of, not_yet, speaker_needs, speaks, version_of
from liaison.statements.procedures import Hold
from liaison.statements.statement import Statement
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, SECOND

HOLD_MAX_S: Final = 7 * DAY // SECOND
"""Where the charter doesn't say how long."""


def _needs(statement: Statement[Hold], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from speaker_needs(payload, payload.channel)
    yield Post.key_of(payload.post)
    yield from _timed(statement, peek)


def _timed(statement: Statement[Hold], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield PostHold.key_of(payload.channel, payload.post)
    hold = peek(PostHold, payload.channel, payload.post)
    for digest in hold.waiting if hold else ():
        yield Note.key_of(payload.channel, digest)


def _decide(view: View, statement: Statement[Hold], at: int) -> Drafted | Refused:
    payload = statement.payload
    if version_of(view) < 2:
        return not_yet("hold")
    channel = view.get(Channel, payload.channel)
    refused = speaks(view, payload, channel) or holds(
        view.get(Post, payload.post), payload.by, who=payload.post
    )
    if refused is not None:
        return refused
    assert channel is not None
    hold = view.get(PostHold, payload.channel, payload.post)
    if payload.below is None or payload.until is None:
        if hold is None or hold.below is None:
            return Refused("already-so", f"nothing waits for {payload.post}: there is no hold")
    else:
        longest = channel.terms.hold_max_s or HOLD_MAX_S
        if not at < payload.until <= _since(hold, at) + longest * SECOND:
            return Refused(
                "hold", f"until: lies ahead, at most {longest} s after the post was put on hold"
            )
        if payload.below.rank > Precedence.IMMEDIATE.rank:
            return Refused("hold", "below: IMMEDIATE and what is above it never waits")
    is_ended = payload.below is None
    shown = shown_to(view, hold) if hold is not None and is_ended else ()
    return Drafted(
        HoldFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            channel=payload.channel,
            post=payload.post,
            below=payload.below,
            until=payload.until,
            shown=shown,
        ),
        urgency=Urgency(
            about=tuple(sorted(one.index for one in shown)),
            outcome="hold-ended" if is_ended else "hold",
            exercise=bool(channel.exercise),
        ),
    )


def _since(hold: PostHold | None, at: int) -> int:
    """Return since when a post is on hold, if it is until the next one: what waits, waits so long."""
    return hold.since if hold is not None and hold.since is not None else at


def _evolve(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, HoldFacts)
    if facts.below is None:
        yield from end_hold(view, facts.channel, facts.post, facts.shown, record.at)
        return
    known = view.get(PostHold, facts.channel, facts.post)
    yield PostHold(
        channel=facts.channel,
        post=facts.post,
        below=facts.below,
        until=facts.until,
        since=_since(known, record.at),
        waiting=known.waiting if known else (),
    )


RULINGS: Final[dict[str, Ruling]] = {
    "hold": Ruling(channel_of, _needs, _decide, _evolve, timed=_timed),
}
