"""A world in memory whose channel has ladders, deadlines, releases, silence and line tests.

What was due is decided before the statement that reads it, and by ``fire``, as a node does both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from liaison.ledger.record import Record
from liaison.rules import cells
from liaison.rules.cells import C, CellKey, Overlay
from liaison.rules.decide import DueFirst, Duplicate, decide_due, due_needs
from liaison.rules.evolve import evolve
from liaison.rules.refusal import Refused
from liaison.statements import charters, payloads, procedures
from liaison.statements.charters import Effect, Rung, Seat
from liaison.statements.payloads import AddresseeRole, MemberRole, Verdict
from liaison.statements.procedures import WatchAction
from liaison.statements.statement import Statement
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, MINUTE
from tests.world import (
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    LONDON,
    MOD,
    MemoryWorld,
    digest,
    signing,
)

FELIX, HEAD = "felix.ford@fco.example", "head.london@fco.example"
GRETA, MINISTRY = "greta.gray@mod.example", "ministry@mod.example"
POSTS = {LONDON: ANNA, HEAD: FELIX, DUTY: DORA, DEPUTY: EDWIN, MINISTRY: GRETA}
ACTION, INFO, STANDBY = AddresseeRole.ACTION, AddresseeRole.INFO, AddresseeRole.STANDBY
WITH_DEPUTY: Mapping[str, AddresseeRole] = {DUTY: ACTION, DEPUTY: STANDBY}
SLOT_S = DAY // 1_000_000
"""Line tests are daily, so that most stories see none."""


def timed_ladders() -> tuple[charters.Ladder, ...]:
    """Minutes after acceptance: 1 and 2 alert, 3 raise, 4 open, 5 tell, 6 and each 10 exhausted."""
    rungs = (
        Rung(after_s=60, effect=Effect.ALERT, times=2, every_s=60),
        Rung(after_s=60, effect=Effect.RAISE),
        Rung(after_s=60, effect=Effect.OPEN, tier="deputy"),
        Rung(after_s=60, effect=Effect.TELL, tier="ministry"),
        Rung(after_s=60, effect=Effect.EXHAUSTED, every_s=600),
    )
    return (charters.Ladder(name="flash", rungs=rungs),)


def timed_kinds() -> tuple[charters.NoteKind, ...]:
    climb = (charters.LadderUse(at_least=Precedence.DEFERRED, ladder="flash"),)

    def kind(name: str, **members: Any) -> charters.NoteKind:
        limits = {"action_max": Precedence.FLASH, "info_max": Precedence.FLASH}
        said = {"default": Precedence.ROUTINE, "justification": "none"}
        writers = (MemberRole.ATTACHE,)
        return charters.NoteKind(kind=name, **{**limits, **said, "writers": writers, **members})

    return (
        kind("leader", ladders=climb, answer_within_s=1800, reminders_s=(600, 60)),
        kind("plain"),
        kind("proposal", silence=charters.Silence(min_s=600, max_s=86400)),
        kind("service", service=True),
        kind("test"),
        kind("verbale", ladders=climb, series="nv", release=MemberRole.RELEASER),
    )


def timed_rules() -> tuple[charters.RuleUse, ...]:
    tests: dict[str, int | str] = {"kind": "test", "every-s": SLOT_S, "grace-s": 600}
    return (
        charters.RuleUse(use="line-tests", parameters=tests),
        charters.RuleUse(use="members-exactly", parameters={"count": 2}),
        charters.RuleUse(use="seats", parameters={}),
    )


class TimedWorld(MemoryWorld):
    """``opened`` gives one whose posts are held by Anna and Felix, Dora, Edwin and Greta."""

    def copy(self) -> TimedWorld:
        other = TimedWorld()
        other.__dict__.update(super().copy().__dict__)
        return other

    @classmethod
    def begun(cls) -> TimedWorld:
        world = cls()
        world.accept(world.node_init(rules_version=2))
        return world

    @classmethod
    def opened(cls) -> TimedWorld:
        world = cls.begun()
        for party in (FCO, MOD):
            world.accept(world.admission(party))
            world.accept(world.party(party))
        world.settle_in()
        world.advance(MINUTE)  # records at one moment are some microseconds apart
        return world

    def settle_in(self) -> None:
        """Accept people, posts and the channel, where the parties are there already."""
        for post, member in POSTS.items():
            self.accept(self.member(member, roles=roles_of(member)))
            self.accept(self.encryption_key(member))
            self.accept(self.posting(post, holders=(member,)))
        self.accept(self.timed_charter())
        for party in (FCO, MOD):
            self.accept(self.accession(party))
        for party in (FCO, MOD):
            self.accept(self.roster(party, tiers=tiers_of(party)))
        for party in (FCO, MOD):
            self.accept(self.directory(party))

    def timed_charter(self, **changes: Any) -> Statement[charters.Charter]:
        said = {
            "kinds": timed_kinds(),
            "ladders": timed_ladders(),
            "rules": timed_rules(),
            "seats": (
                charters.Seated(party=FCO, seat=Seat.CHAIR),
                charters.Seated(party=MOD, seat=Seat.MEMBER),
            ),
            **changes,
        }
        return self.charter(**said)

    # Time

    def submit(self, statement: Statement[Any]) -> Record | Refused | Duplicate:
        while isinstance(outcome := super().submit(statement), DueFirst):
            self.let_fall(outcome.key)
        return outcome

    def let_fall(self, key: CellKey) -> Record:
        """Enter the record of a cell's first moment."""
        loaded: dict[CellKey, cells.Cell | None] = {}

        def peek(cell: type[C], *ids: str) -> C | None:
            found = loaded.get(cell.key_of(*ids))
            assert found is None or isinstance(found, cell)
            return found

        while missing := due_needs(key, peek) - loaded.keys():
            loaded.update({each: self.cells[each] for each in missing})
        view, at = Overlay(loaded), self.next_at
        record = decide_due(view, key, at)
        assert record is not None, f"{key} has nothing due at {at}"
        view.put(evolve(view, record, len(self.records)))
        self.cells.update(view.changes)
        self.records.append(record)
        self.head_at = at
        return record

    def fire(self) -> list[Record]:
        """Enter all that is due by now, in due order."""
        fired = []
        while due := [
            (cell.due, key)
            for key, cell in self.cells.items()
            if cell is not None and cell.due is not None and cell.due <= self.clock
        ]:
            fired.append(self.let_fall(min(due)[1]))
        return fired

    def wait(self, micros: int) -> list[Record]:
        """Move the clock, stopping at each moment that is due on the way; return what fell due."""
        end = self.clock + micros
        fired: list[Record] = []
        while True:
            ahead = [c.due for c in self.cells.values() if c is not None and c.due is not None]
            self.clock = max(self.clock, min([*ahead, end, end]))
            if self.clock >= end:
                self.clock = end
                return fired + self.fire()
            fired += self.fire()

    # Statements

    def answer(self, by: str, verdict: Verdict, *notes: str, **changes: Any) -> Statement[Any]:
        said: dict[str, Any] = {
            "post": next(post for post, member in POSTS.items() if member == by),
            "verdict": verdict,
            "notes": tuple(sorted(notes)),
        }
        if verdict is Verdict.DECLINED:
            said["reason"] = "Not ours to answer"
        return self.speak(payloads.Answer, by, **{**said, **changes})

    def speak(self, model: Any, by: str, **members: Any) -> Statement[Any]:
        """Return a statement of a member in the channel, as ``release`` or ``watch``."""
        return self.make(model, signing(f"{by}/1"), by=by, channel=self.channel, **members)

    def draft(self, **changes: Any) -> Statement[payloads.Note]:
        """Return Anna's draft for the duty desk, which Felix clears and may release."""
        drafted = (payloads.DraftedAddressee(post=DUTY, role=AddresseeRole.ACTION),)
        return self.note(to={HEAD: ACTION}, kind="verbale", **{"drafted": drafted, **changes})

    def release(
        self, draft: Statement[payloads.Note], by: str = FELIX, **changes: Any
    ) -> Statement[procedures.Release]:
        key = signing(f"{by}/1")
        posts = [drafted.post for drafted in draft.payload.drafted or ()]
        addressed = {party_of(post) for post in posts}
        parties = sorted({party_of(by), *addressed})
        said: dict[str, Any] = {
            "note": draft.digest,
            "parties": tuple(self._reliance(p, key, p in addressed, None) for p in parties),
            "checkpoint": payloads.Seen(size=len(self.records), root=digest("root")),
            "addressees": tuple(
                procedures.Released(post=post, wraps=self._addressee(post, ACTION).wraps)
                for post in sorted(posts)
            ),
        }
        return self.speak(procedures.Release, by, **{**said, **changes})

    def watch(
        self, by: str, action: WatchAction, note: str | None = None, **members: Any
    ) -> Statement[procedures.Watch]:
        return self.speak(procedures.Watch, by, action=action, note=note, **members)


def roles_of(member: str) -> tuple[MemberRole, ...]:
    roles = {
        ANNA: {MemberRole.ATTACHE, MemberRole.CHAIR},
        FELIX: {MemberRole.ATTACHE, MemberRole.OPERATOR, MemberRole.RELEASER},
        EDWIN: {MemberRole.ATTACHE, MemberRole.OPERATOR},
    }
    return tuple(sorted(roles.get(member, {MemberRole.ATTACHE})))


def tiers_of(party: str) -> tuple[payloads.Tier, ...]:
    tiers = {
        FCO: (("desk", LONDON), ("ministry", HEAD)),
        MOD: (("desk", DUTY), ("deputy", DEPUTY), ("ministry", MINISTRY)),
    }
    return tuple(payloads.Tier(name=name, posts=(post,)) for name, post in tiers[party])


@cache
def opened() -> TimedWorld:
    """An open world; take a ``copy``."""
    return TimedWorld.opened()


@cache
def every_due_kind() -> TimedWorld:
    """A world whose records are of every kind that time alone makes, and of what stands by them."""
    world = opened().copy()

    def answer(by: str, verdict: Verdict, note: Statement[Any]) -> None:
        world.accept(world.answer(by, verdict, note.digest))

    # Nobody takes a note on until its ladder is exhausted; an operator claims and closes it.
    note = world.accept(world.note(to=WITH_DEPUTY))
    world.wait(3 * MINUTE)
    world.accept(world.watch(EDWIN, WatchAction.CLAIM, note.digest))
    world.wait(14 * MINUTE)
    world.accept(world.watch(EDWIN, WatchAction.CLOSE, note.digest, text="By telephone"))
    # One is taken on and not answered, so that its ladder is armed again.
    note = world.accept(world.note())
    answer(DORA, Verdict.ACKNOWLEDGED, note)
    world.wait(31 * MINUTE)
    world.accept(world.note(by=DORA, in_reply_to=note.digest, kind="plain"))
    # One to an alternate, one deferred, one not delivered, one expired, one with a reminder.
    first, second, own = world.note(to=WITH_DEPUTY).payload.addressees
    second = second.model_copy(update={"alternate_for": DUTY})
    note = world.accept(world.note(addressees=(first, second, own)))
    answer(DORA, Verdict.DECLINED, note)
    world.wait(1)
    answer(EDWIN, Verdict.ACKNOWLEDGED, note)
    world.accept(world.note(by=DORA, in_reply_to=note.digest, kind="plain"))
    now = world.clock
    world.accept(
        world.note(kind="plain", deferred_until=now + MINUTE, latest_delivery=now + 2 * MINUTE)
    )
    world.accept(world.note(kind="plain", expiry=now + MINUTE))
    note = world.accept(world.note(reply_by=now + 20 * MINUTE))
    answer(DORA, Verdict.ACKNOWLEDGED, note)
    world.wait(21 * MINUTE)
    world.accept(world.note(by=DORA, in_reply_to=note.digest, kind="plain"))
    # A note waits for a post on hold until the hold ends.
    world.accept(
        world.speak(
            procedures.Hold,
            DORA,
            post=DUTY,
            below=Precedence.IMMEDIATE,
            until=world.clock + 5 * MINUTE,
        )
    )
    calm = payloads.NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)
    world.accept(world.note(kind="plain", precedence=calm))
    world.wait(6 * MINUTE)
    # A draft is cleared and released; one is withdrawn.
    note = world.accept(world.draft())
    answer(FELIX, Verdict.ACKNOWLEDGED, note)
    world.accept(world.release(note))
    answer(DORA, Verdict.ACKNOWLEDGED, note)
    note = world.accept(world.draft())
    world.accept(world.speak(procedures.Withdrawal, ANNA, note=note.digest))
    # A proposal is extended and adopted; an objection comes too late.
    note = world.accept(world.note(kind="proposal", silence_until=world.clock + 15 * MINUTE))
    world.accept(
        world.speak(
            procedures.Extension, ANNA, note=note.digest, silence_until=world.clock + 20 * MINUTE
        )
    )
    world.wait(21 * MINUTE)
    world.accept(world.speak(procedures.Objection, DORA, note=note.digest))
    # A day without a line test, and its item closed.
    world.wait(DAY)
    for party in (FCO, MOD):
        world.accept(world.directory(party))
    world.accept(world.watch(EDWIN, WatchAction.CLOSE, text="The line is up"))
    world.advance(HOUR)
    return world


def kinds_in(records: Iterable[Record]) -> set[str]:
    return {record.kind for record in records}
