"""A line on which a minute is long: ladders, deadlines, releases, silence and daily line tests.

For tests that need all that time can do, in few records.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from liaison.rules import cells
from liaison.statements import charters
from liaison.statements.charters import Effect, Rung, Seat
from liaison.statements.payloads import Compromised, MemberRole, NotePrecedence, Verdict
from liaison.statements.procedures import WatchAction
from liaison.statements.statement import Statement
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests.world import (
    ACTION,
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    FELIX,
    MOD,
    PETE,
    STANDBY,
    MemoryWorld,
    hotline,
    kind,
    signing,
    use,
)

WITH_DEPUTY: dict[str, Any] = {DUTY: ACTION, DEPUTY: STANDBY}
CALM = NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)


def short_ladder() -> charters.Ladder:
    """Minutes after acceptance: 1 and 2 alert, 3 raise, 4 open, 5 tell, 6 and each 10 exhausted."""
    rungs = (
        Rung(after_s=60, effect=Effect.ALERT, times=2, every_s=60),
        Rung(after_s=60, effect=Effect.RAISE),
        Rung(after_s=60, effect=Effect.OPEN, tier="deputy"),
        Rung(after_s=60, effect=Effect.TELL, tier="ministry"),
        Rung(after_s=60, effect=Effect.EXHAUSTED, every_s=600),
    )
    return charters.Ladder(name="short", rungs=rungs)


def timed_line(**changes: Any) -> MemoryWorld:
    """Return a world with such a line between FCO, which has the chair, and MOD."""
    climbs = (charters.LadderUse(at_least=Precedence.DEFERRED, ladder="short"),)
    seats = ((FCO, Seat.CHAIR), (MOD, Seat.MEMBER))
    said: dict[str, Any] = {
        "kinds": (
            kind("leader", ladders=climbs, answer_within_s=1800, reminders_s=(600, 60)),
            kind("plain"),
            kind("proposal", silence=charters.Silence(min_s=600, max_s=86400)),
            kind("test"),
            kind("verbale", ladders=climbs, series="nv", release=MemberRole.RELEASER),
        ),
        "ladders": (short_ladder(),),
        "rules": (
            use("line-tests", kind="test", every_s=86400, grace_s=600),
            use("members-exactly", count=2),
            use("seats"),
        ),
        "seats": tuple(charters.Seated(party=party, seat=seat) for party, seat in seats),
        **changes,
    }
    world = hotline(**said)
    world.accept(world.member(ANNA, roles=(MemberRole.ATTACHE, MemberRole.CHAIR)))
    world.accept(world.directory(FCO))
    world.advance(MINUTE)  # records at one moment are some microseconds apart
    return world


@cache
def _line() -> MemoryWorld:
    return timed_line()


def line() -> MemoryWorld:
    """Return a copy of the line that nobody changes."""
    return _line().copy()


@cache
def every_due_kind() -> MemoryWorld:
    """Return a world whose records are of every kind that time alone makes, and of what goes with it."""
    world = line()

    def answer(by: str, verdict: Verdict, note: Statement[Any]) -> None:
        world.accept(world.answer(by, verdict, note.digest))

    # Nobody takes a note on until its ladder is exhausted; an operator claims and closes it.
    note = world.accept(world.note(to=WITH_DEPUTY))
    world.elapse(3 * MINUTE)
    world.accept(world.watch(PETE, WatchAction.CLAIM, note.digest))
    world.elapse(14 * MINUTE)
    world.accept(world.watch(PETE, WatchAction.CLOSE, note.digest))
    # One is taken on and not answered in time, so that its ladder is armed again.
    note = world.accept(world.note())
    answer(DORA, Verdict.ACKNOWLEDGED, note)
    world.elapse(31 * MINUTE)
    world.accept(world.note(by=DORA, in_reply_to=note.digest, kind="plain"))
    # One goes to an alternate, who answers.
    asked: dict[str, Any] = {DUTY: ACTION, DEPUTY: {"role": STANDBY, "alternate_for": DUTY}}
    note = world.accept(world.note(to=asked))
    answer(DORA, Verdict.DECLINED, note)
    world.elapse(SECOND)
    answer(EDWIN, Verdict.ACKNOWLEDGED, note)
    world.accept(world.note(by=DORA, in_reply_to=note.digest, kind="plain"))
    # One is deferred and not delivered, one expires, one has reminders.
    now = world.clock
    world.accept(
        world.note(kind="plain", deferred_until=now + MINUTE, latest_delivery=now + 2 * MINUTE)
    )
    world.accept(world.note(kind="plain", expiry=now + MINUTE))
    note = world.accept(world.note(reply_by=now + 20 * MINUTE))
    answer(DORA, Verdict.ACKNOWLEDGED, note)
    world.elapse(21 * MINUTE)
    world.accept(world.note(by=DORA, in_reply_to=note.digest, kind="plain"))
    # A note waits for a post on hold until the hold ends.
    world.accept(world.hold(DORA, lasts=5 * MINUTE))
    world.accept(world.note(kind="plain", precedence=CALM))
    world.elapse(6 * MINUTE)
    # A draft is cleared and released; one is withdrawn.
    note = world.accept(world.draft())
    answer(FELIX, Verdict.ACKNOWLEDGED, note)
    world.accept(world.release(note))
    answer(DORA, Verdict.ACKNOWLEDGED, note)
    note = world.accept(world.draft())
    world.accept(world.withdrawal(note.digest))
    # A proposal is extended and adopted; an objection comes too late.
    note = world.accept(world.proposal(to={DUTY: ACTION}, lasts=15 * MINUTE))
    world.accept(world.extension(note.digest, world.clock + 20 * MINUTE, by=ANNA))
    world.elapse(21 * MINUTE)
    world.accept(world.objection(note.digest))
    # A key that took a note on was in other hands: it is asked again.
    kept, stolen = (signing(f"{EDWIN}/{n}") for n in (1, 2))
    roles = world.have(cells.Member, EDWIN).roles
    world.accept(world.member(EDWIN, None, [kept, stolen], roles=roles))
    note = world.accept(world.note(to={DEPUTY: ACTION}))
    lost = Compromised(key=stolen.id, since=world.clock)
    world.accept(world.answer(EDWIN, Verdict.ACKNOWLEDGED, note.digest, key=stolen))
    world.accept(world.member(EDWIN, None, [kept], roles=roles, compromised=(lost,)))
    world.elapse(SECOND)
    answer(EDWIN, Verdict.ACKNOWLEDGED, note)
    # A day without a line test, and its item closed.
    world.elapse(DAY)
    world.accept(world.watch(PETE, WatchAction.CLOSE))
    world.advance(HOUR)
    return world
