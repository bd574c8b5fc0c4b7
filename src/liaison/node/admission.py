"""Admission: who is let in to be verified and decided, and in which order. design.md, law 7 and 7.

Below IMMEDIATE few are past admission at once, so that what is urgent finds a short queue behind
it, however much routine traffic comes. Who waits takes turns: party by party, member by member, and
only so many of each wait at all. From IMMEDIATE on nobody waits, but for who sends more of it than
people do. protocols/api.md, API-32 to API-34. Whether a statement is right is decided later.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from liaison.node.buckets import Buckets
from liaison.node.cellar import Cellar
from liaison.node.figures import Figures, level_of
from liaison.node.places import Places
from liaison.node.ports import Clock
from liaison.node.queueing import NOBODY, Owner
from liaison.rules import cells
from liaison.rules.chain import id_of
from liaison.statements import payloads
from liaison.statements.charters import Participation, Standing
from liaison.statements.payloads import Note, Payload, State, Verdict
from liaison.statements.procedures import Watch, WatchAction
from liaison.statements.statement import Statement
from liaison.words.errors import Limited, Overloaded
from liaison.words.ids import party_of
from liaison.words.precedence import STOP_BAND, Precedence

PAST_MAX: Final = 32
"""Below IMMEDIATE: what FLASH may find in front of it, at 0.1 to 0.2 ms each."""
WAIT_S: Final = 1.0

STOPPING: Final = frozenset({"extension", "objection", "release", "withdrawal"})
"""Kinds that always stop something; of others it depends on what they say."""

STOPS_AT_ONCE: Final = 16
STOPS_PER_S: Final = 4
"""What one member may put above OVERRIDE, and a party four times that. A person who clears a queue
acknowledges note by note, a few in a second, and an SDK that was offline sends what has gathered at
once: neither gets to the end of it. Who floods does within a moment, and then stands where their
notes stand. A member that holds to the rate costs the node below 1 % of what it can decide in a
second.
"""
EXPRESS_AT_ONCE: Final = 128
EXPRESS_PER_S: Final = 64
"""What one member may send from IMMEDIATE on without waiting, and a party four times that. Beyond it
they wait at the door as others do, before everything that is less urgent.
"""
OF_PARTY: Final = 4
"""So many times what one of its members may."""
WAITING_OF_MEMBER: Final = 256
WAITING_OF_PARTY: Final = 512
CROWD: Final = 8
"""So many wait in a member's name before anybody asked whether they are the member's."""


@dataclass(frozen=True)
class Rates:
    """What a member, and a party, may send in a second below IMMEDIATE, if there is a limit at all.

    Turns keep everybody moving without it; this keeps a runaway program from filling a log.
    """

    member_per_s: int = 0
    party_per_s: int = 0

    def buckets(self) -> dict[str, Buckets]:
        said = {"member": self.member_per_s, "party": self.party_per_s}
        return {who: Buckets(2 * per_s, per_s) for who, per_s in said.items() if per_s}


@dataclass
class Admitted:
    """A statement that was let in. ``band`` orders it from here on, and it takes ``owner``'s turns."""

    band: int
    owner: Owner = NOBODY
    _paid: list[tuple[Buckets, str]] = field(default_factory=list)
    _held: Places | None = None

    def decided(self) -> None:
        """Its turn to be decided has come: let the next one in."""
        if self._held is not None:
            self._held.leave()
            self._held = None

    def hold(self, places: Places) -> None:
        """It takes a place that others may wait for."""
        self._held = places

    def forged(self) -> None:
        """The key that it names did not sign it, and doesn't pay for it."""
        for buckets, key in self._paid:
            buckets.give_back(key)
        self._paid.clear()

    def pay_each(self, buckets: Mapping[str, Buckets], now: int) -> bool:
        """Take a token of the member's and one of the party's, and return whether there were both."""
        return all(self.pay(of, getattr(self.owner, who), now) for who, of in buckets.items())

    def pay(self, buckets: Buckets, key: str, now: int) -> bool:
        """Take a token, and return whether there was one."""
        if not buckets.take(key, now):
            return False
        self._paid.append((buckets, key))
        return True


@dataclass
class Admission:
    """``past`` are those below IMMEDIATE that were let in and whose turn hasn't come yet."""

    cellar: Cellar
    clock: Clock
    wait_s: float = WAIT_S
    figures: Figures = field(default_factory=Figures)
    rates: Rates = Rates()
    past: Places = field(default_factory=lambda: Places(PAST_MAX))
    _stops: dict[str, Buckets] = field(
        default_factory=lambda: _of_member_and_party(STOPS_AT_ONCE, STOPS_PER_S)
    )
    _express: dict[str, Buckets] = field(
        default_factory=lambda: _of_member_and_party(EXPRESS_AT_ONCE, EXPRESS_PER_S)
    )
    _rates: dict[str, Buckets] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rates = self.rates.buckets()

    @property
    def waiting(self) -> int:
        """How many wait to be let in."""
        return self.past.queue.waiting

    @property
    def waiting_by_band(self) -> Mapping[int, int]:
        """How many wait to be let in, by their band."""
        return self.past.queue.by_band

    def is_crowded(self, statement: Statement[Any]) -> bool:
        """Return whether so much waits in this member's name that forgers may be among it.

        Then its signature is checked before it takes a place from the one who is named.
        """
        return self.past.queue.by_owner[_owner(statement)] >= CROWD

    @contextlib.asynccontextmanager
    async def admitted(
        self, statement: Statement[Any], *, is_known: bool
    ) -> AsyncIterator[Admitted]:
        """Hold a place past admission until it is ``decided``, or the context ends.

        ``is_known``: the log knows the key that the statement names, as that of who speaks. Whether
        it signed it isn't known yet; if not, say ``forged``.

        Raises:
            Overloaded: no place became free in time, or too many of theirs wait already.
            Limited: they send more in a second than they may.
        """
        # A precedence that anybody at all could claim is worth nothing.
        unknown = Admitted(Precedence.ROUTINE.rank)
        admitted = await self._admitted(statement) if is_known else unknown
        if self._is_express(admitted):
            yield admitted
            return
        try:
            self._check_rates(admitted)
            await self._wait(admitted)
        except (Overloaded, Limited):
            self.figures.turned_away.labels(level_of(admitted.band)).inc()
            admitted.forged()  # it did nothing, and pays nothing
            raise
        admitted.hold(self.past)
        try:
            yield admitted
        finally:
            admitted.decided()

    def _is_express(self, admitted: Admitted) -> bool:
        """Return whether it goes past who waits."""
        if admitted.band < Precedence.IMMEDIATE.rank:
            return False
        now = self.clock.since_boot()
        return admitted.band >= STOP_BAND or admitted.pay_each(self._express, now)

    def _check_rates(self, admitted: Admitted) -> None:
        if admitted.band >= Precedence.IMMEDIATE.rank or admitted.owner == NOBODY:
            return
        now = self.clock.since_boot()
        for who, buckets in self._rates.items():
            key = getattr(admitted.owner, who)
            if not admitted.pay(buckets, key, now):
                raise Limited(
                    f"this {who} sends more than {buckets.per_s:g} statements a second",
                    safe="nothing of it happened",
                    do="send the same again; from IMMEDIATE on there is no such limit",
                    retry_after_s=max(1, math.ceil(buckets.wait_s(key, now))),
                )

    async def _wait(self, admitted: Admitted) -> None:
        owner, queue = admitted.owner, self.past.queue
        if (
            queue.by_owner[owner] >= WAITING_OF_MEMBER
            or queue.by_party[owner.party] >= WAITING_OF_PARTY
        ):
            raise _overloaded("too much of what this member or party sent waits already")
        try:
            await self.past.take(admitted.band, owner, within_s=self.wait_s)
        except TimeoutError as exc:
            raise _overloaded("the node has more to decide than it can") from exc

    # What a statement's precedence is

    async def _admitted(self, statement: Statement[Any]) -> Admitted:
        payload, owner = statement.payload, _owner(statement)
        if isinstance(payload, Note):
            return Admitted(payload.precedence.action.rank, owner)
        if await self._stops_something(payload):
            stop = Admitted(STOP_BAND, owner)
            if stop.pay_each(self._stops, self.clock.since_boot()):
                return stop
            stop.forged()  # it stops nothing sooner, and pays nothing
        return Admitted(self._own(payload), owner)

    async def _stops_something(self, payload: Payload) -> bool:
        """Return whether somebody waits for less once it is decided: else it is no stop (law 7)."""
        if isinstance(payload, payloads.Answer):
            return payload.verdict in (Verdict.ACKNOWLEDGED, Verdict.DECLINED)
        if isinstance(payload, Watch):
            return payload.action is WatchAction.MINIMIZE and payload.below is not None
        if isinstance(payload, payloads.Admission):
            return payload.state is not State.ACTIVE
        if isinstance(payload, Participation):
            return payload.state is not Standing.ACTIVE
        if isinstance(payload, payloads.Member):
            member = await self.cellar.get(cells.Member, payload.member)
            before = (set(member.devices), member.compromised) if member else (set[str](), None)
            is_taken_away = bool(before[0] - {device.key for device in payload.devices})
            is_contested = payload.compromised != before[1]
            return is_taken_away or is_contested or payload.state is not State.ACTIVE
        if isinstance(payload, payloads.Party):
            party = await self.cellar.get(cells.Party, payload.party)
            return payload.state is not State.ACTIVE or bool(_keys(party) - _keys(payload))
        return payload.kind_name in STOPPING

    def _own(self, payload: Payload) -> int:
        """Return the precedence of the notes that a statement is about, as far as they're loaded."""
        channel = getattr(payload, "channel", "")
        bands = [Precedence.ROUTINE.rank]
        for digest in _about(payload):
            note = self.cellar.peek(cells.Note, channel, digest)
            if note is not None:
                bands.append(note.precedence.rank)
        return max(bands)


def _keys(party: cells.Party | payloads.Party | None) -> set[str]:
    """Return the key ids by which a party speaks, and by which it will."""
    if party is None:
        return set()
    return {id_of(party.authority), party.next, *(id_of(r.key) for r in party.registrars)}


def _of_member_and_party(at_once: float, per_s: float) -> dict[str, Buckets]:
    return {
        "member": Buckets(at_once, per_s),
        "party": Buckets(OF_PARTY * at_once, OF_PARTY * per_s),
    }


def _about(payload: Payload) -> Iterable[str]:
    """Return the digests of the notes that a statement is about."""
    note = getattr(payload, "note", None)
    return getattr(payload, "notes", ()) if note is None else (note,)


def _owner(statement: Statement[Any]) -> Owner:
    by: str = statement.payload.by
    return Owner(party_of(by), by)


def _overloaded(happened: str) -> Overloaded:
    return Overloaded(
        happened,
        safe="nothing of it happened",
        do="send the same again; what is more urgent goes first",
    )
