"""What tests of time say: worlds with ladders, and what a record or a cell comes down to."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from liaison.ledger.facts import DeadlineFacts, DueFacts, RungFacts
from liaison.ledger.record import Record
from liaison.rules import cells
from liaison.rules.lives import Life
from liaison.statements import charters
from liaison.statements.charters import Effect
from liaison.statements.payloads import NotePrecedence
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND
from tests import world as worlds
from tests.world import ACTION, DEPUTY, DUTY, STANDBY, Asked, MemoryWorld

CALM = NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)
URGENT = NotePrecedence(action=Precedence.FLASH, info=Precedence.ROUTINE)
WITH_DEPUTY: dict[str, Asked] = {DUTY: ACTION, DEPUTY: STANDBY}


@cache
def _quiet() -> MemoryWorld:
    return worlds.quiet_hotline()


@cache
def _hotline() -> MemoryWorld:
    return worlds.hotline()


@cache
def _verbale() -> MemoryWorld:
    return worlds.verbale()


@cache
def _forum() -> MemoryWorld:
    return worlds.forum()


def quiet() -> MemoryWorld:
    """Return a hotline without line tests."""
    return _quiet().copy()


def hotline() -> MemoryWorld:
    return _hotline().copy()


def verbale() -> MemoryWorld:
    return _verbale().copy()


def forum() -> MemoryWorld:
    return _forum().copy()


def laddered(*rungs: charters.Rung, **members: Any) -> MemoryWorld:
    """Return a quiet hotline whose notes climb these rungs; ``members`` are the kind's."""
    return worlds.quiet_hotline(
        ladders=(charters.Ladder(name="only", rungs=rungs),),
        kinds=(
            worlds.kind(
                "leader",
                ladders=(charters.LadderUse(at_least=Precedence.DEFERRED, ladder="only"),),
                **members,
            ),
        ),
    )


def said(record: Record, since: int) -> tuple[str, float]:
    """Return what a due record is, and how many seconds after ``since`` it was due."""
    facts = record.facts
    assert isinstance(facts, DueFacts)
    what = record.kind
    if isinstance(facts, RungFacts):
        what = facts.effect.value
    elif isinstance(facts, DeadlineFacts):
        what = facts.what
    return what, (facts.due - since) / SECOND


def story(records: Iterable[Record], since: int) -> list[tuple[str, float]]:
    """Return what fell due, and when, in seconds after ``since``."""
    return [said(record, since) for record in records]


def rungs_of(records: Iterable[Record]) -> list[RungFacts]:
    return [r.facts for r in records if isinstance(r.facts, RungFacts)]


def note_of(world: MemoryWorld, digest: str) -> cells.Note:
    return world.have(cells.Note, world.channel, digest)


def lives(world: MemoryWorld, digest: str) -> dict[str, Life]:
    """Return where each addressee of a note stands."""
    return {a.post: a.life for a in note_of(world, digest).addressees}


def addressee(world: MemoryWorld, digest: str, post: str) -> cells.AddresseeState:
    return next(a for a in note_of(world, digest).addressees if a.post == post)


def effects(records: Iterable[Record]) -> list[Effect]:
    return [facts.effect for facts in rungs_of(records)]


def last(world: MemoryWorld) -> Any:
    """Return the facts of the newest record."""
    return world.records[-1].facts
