"""The second part of the vectors: a log of rules version 1 goes on under rules version 2.

The world of the first part (``tests.rules.story``) stays what it was. From its end on the node says
``rules-version 2``, and a channel is opened in which everything happens once that version 2 knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from liaison.ledger.record import Record
from liaison.rules import cells
from liaison.rules.cells import CellKey, Overlay
from liaison.rules.decide import DueFirst, decide_due, due_needs
from liaison.rules.evolve import evolve
from liaison.statements import charters, payloads, procedures
from liaison.statements.charters import Effect, Ladder, LadderUse, NoteKind, RuleUse, Rung, Seat
from liaison.statements.payloads import (
    Addressee,
    AddresseeRole,
    Alternate,
    DraftedAddressee,
    MemberRole,
    NotePrecedence,
    Tier,
    Verdict,
)
from liaison.statements.procedures import WatchAction
from liaison.statements.statement import Statement
from liaison.words.encoding import to_base64
from liaison.words.ids import new_note_id, party_of
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, MINUTE, SECOND, to_dtg
from tests.rules.story import tell
from tests.world import (
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    LONDON,
    MOD,
    ORIGIN,
    T0,
    MemoryWorld,
    digest,
    fixed,
    signing,
    terms,
)

ALIAS = "second-line"
FELIX, HEAD = "felix.ford@fco.example", "head.london@fco.example"
NIGHT = "night.desk@mod.example"
ALPHA = "alpha.example"
ACTION: Final = AddresseeRole.ACTION
INFO: Final = AddresseeRole.INFO
STANDBY: Final = AddresseeRole.STANDBY
CALM, FLASH = Precedence.ROUTINE, Precedence.FLASH
URGENT = NotePrecedence(action=Precedence.IMMEDIATE, info=Precedence.PRIORITY)


def _rung(after_s: int, effect: Effect, **members: Any) -> Rung:
    return Rung(after_s=after_s, effect=effect, **members)


def ladders() -> tuple[Ladder, ...]:
    exhausted = _rung(60, Effect.EXHAUSTED, every_s=604800)
    return (
        Ladder(name="calm", rungs=(_rung(3600, Effect.RAISE), exhausted)),
        Ladder(
            name="flash",
            rungs=(
                _rung(60, Effect.ALERT, every_s=60, times=2),
                _rung(60, Effect.RAISE),
                _rung(60, Effect.OPEN, tier="deputy"),
                _rung(60, Effect.TELL, tier="ministry"),
                exhausted,
            ),
        ),
    )


def kinds() -> tuple[NoteKind, ...]:
    def kind(name: str, **members: Any) -> NoteKind:
        said: dict[str, Any] = {"justification": "none", "writers": (MemberRole.ATTACHE,)}
        limits = {"action_max": FLASH, "info_max": FLASH, "default": CALM}
        return NoteKind(kind=name, **{**said, **limits, **members})

    climb = (
        LadderUse(at_least=Precedence.DEFERRED, ladder="calm"),
        LadderUse(at_least=FLASH, ladder="flash"),
    )
    return (
        kind("leader", ladders=climb, answer_within_s=1800, reminders_s=(600, 60)),
        kind("memorandum", series="nv"),
        kind("note-verbale", series="nv", release=MemberRole.RELEASER, ladders=climb),
        kind("proposal", silence=charters.Silence(min_s=600, max_s=86400)),
        kind("service", service=True),
        kind("test", writers=(MemberRole.ATTACHE, MemberRole.LINE_TEST)),
    )


def rules() -> tuple[RuleUse, ...]:
    tests: dict[str, int | str] = {"kind": "test", "every-s": 86400, "grace-s": 600}
    return (
        RuleUse(use="line-tests", parameters=tests),
        RuleUse(use="seats", parameters={}),
    )


class SecondWorld(MemoryWorld):
    """The world of a story, with the second channel's statements and with what falls due."""

    @property
    def channel(self) -> str:
        return self.have(cells.AliasClaim, ALIAS).channel

    def _view(self, key: CellKey) -> Overlay:
        loaded: dict[CellKey, cells.Cell | None] = {}

        def peek(cell: Any, *ids: str) -> Any:
            return loaded.get(cell.key_of(*ids))

        while missing := due_needs(key, peek) - loaded.keys():
            loaded.update({each: self.cells[each] for each in missing})
        return Overlay(loaded)

    def let_fall(self, key: CellKey) -> None:
        """Take in the first moment of a cell."""
        view, at = self._view(key), self.next_at
        record = decide_due(view, key, at)
        assert record is not None
        view.put(evolve(view, record, len(self.records)))
        self.cells.update(view.changes)
        self.records.append(record)
        self.head_at = at

    def take(self, statement: Statement[Any]) -> Statement[Any]:
        """Take a statement in, and what is due first."""
        while isinstance(decided := self.submit(statement), DueFirst):
            self.let_fall(decided.key)
        assert isinstance(decided, Record), decided
        return statement

    def wait(self, micros: int = 0) -> None:
        """Move the clock by so much and a second, and take in all that is due then."""
        self.advance(micros + SECOND)
        while due := self._due():
            self.let_fall(min(due)[1])

    def _due(self) -> list[tuple[int, CellKey]]:
        return [
            (cell.due, key)
            for key, cell in self.cells.items()
            if cell is not None and cell.due is not None and cell.due <= self.next_at
        ]

    # Statements of the second channel

    def wraps(self, post: str, only: str = "") -> tuple[payloads.Wrap, ...]:
        keys = []
        for holder in self.have(cells.Post, post).holders:
            known = self.get(cells.DeviceKeys, signing(f"{holder}/1").id)
            if known is not None and only in ("", holder):
                keys.append(known.keys[-1][0])
        label = f"second wrap {self._made}"
        return tuple(payloads.Wrap(key=k, wrap=digest(f"{label} {k}")) for k in sorted(keys))

    def relied(self, by: str, parties: set[str]) -> tuple[payloads.Reliance, ...]:
        found = []
        for party in sorted(parties | {party_of(by)}):
            directory = self.have(cells.Directories, party).editions[-1].statement
            said: dict[str, Any] = {"party": party, "directory": directory}
            if party in parties:
                spent = self.get(cells.Serials, self.channel, signing(f"{by}/1").id, party)
                said["serial"] = spent.lowest_unused if spent else 1
                said["roster"] = (
                    self.have(cells.Rosters, self.channel, party).editions[-1].statement
                )
            found.append(payloads.Reliance(**said))
        return tuple(found)

    def seen(self) -> payloads.Seen:
        return payloads.Seen(size=len(self.records), root=digest("root"))

    def writes(
        self, by: str, post: str, to: Mapping[str, AddresseeRole | dict[str, Any]], **changes: Any
    ) -> Statement[payloads.Note]:
        """Return a note from a post to others; ``to`` has a role, or all that is asked for one."""
        addressees = []
        for address, asked in to.items():
            said = {"role": asked} if isinstance(asked, AddresseeRole) else asked
            addressees.append(Addressee(post=address, wraps=self.wraps(address), **said))
        copy = Addressee(post=post, role=AddresseeRole.COPY, wraps=self.wraps(post, by))
        label = payloads.Label(classification="SECRET", releasable_to=(FCO, MOD))
        said = {
            "by": by,
            "id": new_note_id(self.clock, fixed(f"second note {self._made}", 10)),
            "channel": self.channel,
            "charter": self.have(cells.Channel, self.channel).charter,
            "parties": self.relied(by, {party_of(address) for address in to}),
            "checkpoint": self.seen(),
            "kind": "leader",
            "precedence": NotePrecedence(action=CALM, info=CALM),
            "addressees": (*addressees, copy),
            "content": payloads.Content(digest=digest(f"content {self._made}"), size=1040),
            "commitment": digest(f"commitment {self._made}"),
            "dtg": to_dtg(self.clock),
            "label": label,
            "exercise": False,
            **changes,
        }
        return self.make(payloads.Note, signing(f"{by}/1"), **said)

    def speaks(self, model: Any, by: str, **members: Any) -> Statement[Any]:
        """Return a member's statement of any kind in the second channel."""
        return self.make(model, signing(f"{by}/1"), by=by, channel=self.channel, **members)

    def answers(self, by: str, post: str, verdict: Verdict, note: str) -> None:
        reason = "Not ours to answer" if verdict is Verdict.DECLINED else None
        said = {"post": post, "verdict": verdict, "notes": (note,), "reason": reason}
        self.take(self.speaks(payloads.Answer, by, **said))

    def watches(self, action: WatchAction, note: str | None = None, **members: Any) -> None:
        self.take(self.speaks(procedures.Watch, EDWIN, action=action, note=note, **members))

    def part(self, state: charters.Standing, **members: Any) -> Statement[Any]:
        said = {"by": FCO, "channel": self.channel, "state": state, **members}
        return self.make(charters.Participation, self.authority(FCO), **said)


def charter(world: SecondWorld, **changes: Any) -> Statement[charters.Charter]:
    seats = (
        charters.Seated(party=FCO, seat=Seat.CHAIR),
        charters.Seated(party=MOD, seat=Seat.MEMBER),
    )
    said: dict[str, Any] = {
        "alias": ALIAS,
        "terms": terms(snooze_max_s=3600, hold_max_s=86400),
        "kinds": kinds(),
        "rules": rules(),
        "seats": seats,
        "ladders": ladders(),
        **changes,
    }
    return world.charter(**said)


def _opened() -> SecondWorld:
    """Return the world with the second channel open."""
    world = SecondWorld()
    world.__dict__.update(tell().__dict__)
    said = {"by": ORIGIN, "event": "rules-version", "rules_version": 2}
    world.take(world.make(payloads.Node, signing("node"), **said))
    world.take(world.time_confirmed())
    roles = (MemberRole.ATTACHE, MemberRole.CHAIR, MemberRole.RELEASER)
    world.take(world.member(FELIX, roles=roles))
    roles = (MemberRole.ATTACHE, MemberRole.LINE_TEST, MemberRole.OPERATOR)
    world.take(world.member(EDWIN, world.authority(MOD), roles=roles))
    world.take(world.encryption_key(FELIX))
    world.take(world.posting(HEAD, (FELIX,)))
    world.take(world.posting(NIGHT, (DORA,)))
    world.take(charter(world))
    for party in (FCO, MOD):
        world.take(world.accession(party))
    desks = (Tier(name="desk", posts=(LONDON,)), Tier(name="ministry", posts=(HEAD,)))
    world.take(world.roster(FCO, tiers=desks))
    desks = (Tier(name="desk", posts=(DUTY, NIGHT)), Tier(name="deputy", posts=(DEPUTY,)))
    alternates = (Alternate(post=DUTY, alternate=NIGHT),)
    world.take(world.roster(MOD, tiers=desks, alternates=alternates))
    for party in (FCO, MOD):
        world.take(world.directory(party))
    return world


def _a_flash_climbs(world: SecondWorld) -> None:
    flash = NotePrecedence(action=FLASH, info=CALM)
    to = {DUTY: ACTION, DEPUTY: STANDBY}
    note = world.take(world.writes(ANNA, LONDON, to, precedence=flash)).digest
    world.answers(DORA, DUTY, Verdict.DELIVERED, note)
    world.wait(3 * MINUTE)
    world.watches(WatchAction.CLAIM, note)
    world.watches(WatchAction.ANNOTATE, note, text="The desk is being called")
    world.wait(3 * MINUTE)
    world.watches(WatchAction.PUT_BACK, note)
    world.watches(WatchAction.CLOSE, note, text="Nobody is there; the minister was telephoned")
    world.watches(WatchAction.REOPEN, note, post=DUTY, text="The desk called back")
    world.answers(DORA, DUTY, Verdict.ACKNOWLEDGED, note)
    world.wait(30 * MINUTE)  # no answer within half an hour
    world.take(world.writes(DORA, DUTY, {LONDON: ACTION}, kind="service", in_reply_to=note))
    world.take(world.writes(DORA, DUTY, {LONDON: INFO}, in_reply_to=note))


def _times_pass(world: SecondWorld) -> None:
    now = world.clock
    to: dict[str, Any] = {
        DUTY: {"role": ACTION, "reply_by": now + HOUR},
        DEPUTY: INFO,
        NIGHT: {"role": STANDBY, "alternate_for": DUTY},
    }
    until = {"deferred_until": now + MINUTE, "expiry": now + 3 * HOUR}
    note = world.take(world.writes(ANNA, LONDON, to, **until)).digest
    world.wait(MINUTE)  # begun
    world.wait(58 * MINUTE)  # two reminders
    world.answers(DORA, DUTY, Verdict.DECLINED, note)
    world.wait()  # the alternate is asked, and the next rung comes
    world.watches(WatchAction.SNOOZE, note, until=world.clock + 30 * MINUTE)
    world.watches(WatchAction.ESCALATE, note)
    taken = world.writes(
        ANNA, LONDON, {DUTY: {"role": ACTION, "no_redirect": True}}, expiry=now + DAY
    )
    world.take(taken)
    corrected = world.writes(
        ANNA, LONDON, {DUTY: ACTION}, corrects=taken.digest, reply_by=now + DAY
    )
    world.take(corrected)
    last = now + 2 * HOUR
    newer = world.writes(
        ANNA, LONDON, {DUTY: ACTION}, supersedes=corrected.digest, latest_delivery=last
    )
    world.take(newer)
    reason = "Sent to the wrong desk"
    world.take(world.speaks(procedures.Withdrawal, ANNA, note=taken.digest, reason=reason))


def _a_draft_is_released(world: SecondWorld) -> None:
    drafted = (
        DraftedAddressee(post=DUTY, role=ACTION, reply_by=world.clock + 2 * DAY),
        DraftedAddressee(post=DEPUTY, role=INFO),
    )
    flash = NotePrecedence(action=FLASH, info=CALM)
    for is_released in (True, False):
        said: dict[str, Any] = {"kind": "note-verbale", "drafted": drafted, "precedence": flash}
        note = world.take(world.writes(ANNA, LONDON, {HEAD: ACTION}, **said)).digest
        world.answers(FELIX, HEAD, Verdict.ACKNOWLEDGED, note)
        if not is_released:
            world.take(world.speaks(procedures.Withdrawal, ANNA, note=note))
            return
        released = tuple(
            procedures.Released(post=post, wraps=world.wraps(post)) for post in (DEPUTY, DUTY)
        )
        parties, seen = world.relied(FELIX, {MOD}), world.seen()
        said = {"note": note, "parties": parties, "checkpoint": seen, "addressees": released}
        world.take(world.speaks(procedures.Release, FELIX, **said))
        world.wait(
            5 * MINUTE
        )  # no deputy stands by: that rung is empty, and the next comes at once
        world.take(world.speaks(procedures.Withdrawal, ANNA, note=note))
        world.take(world.writes(ANNA, LONDON, {DUTY: ACTION}, kind="memorandum"))


def _silences(world: SecondWorld) -> None:
    def propose(**changes: Any) -> str:
        said = {"kind": "proposal", "silence_until": world.clock + 11 * MINUTE, **changes}
        return world.take(world.writes(ANNA, LONDON, {DUTY: INFO}, **said)).digest

    first, second, third, fourth = (propose() for _ in range(4))
    reason = "Not without paragraph 2"
    world.take(world.speaks(procedures.Objection, DORA, note=first, reason=reason))
    until = world.clock + 20 * MINUTE
    world.take(world.speaks(procedures.Extension, FELIX, note=second, silence_until=until))
    propose(amends=third)
    world.take(world.speaks(procedures.Withdrawal, ANNA, note=fourth))
    world.wait(20 * MINUTE)  # two are adopted
    world.take(world.speaks(procedures.Objection, DORA, note=second))


def _holds(world: SecondWorld) -> None:
    def hold(**members: Any) -> None:
        world.take(world.speaks(procedures.Hold, DORA, post=DUTY, **members))

    hold(below=Precedence.PRIORITY, until=world.clock + HOUR)
    world.take(world.writes(ANNA, LONDON, {DUTY: ACTION}))
    hold()
    hold(below=Precedence.IMMEDIATE, until=world.clock + 10 * MINUTE)
    world.take(world.writes(ANNA, LONDON, {DUTY: ACTION}))
    world.wait(10 * MINUTE)


def _the_rest(world: SecondWorld) -> None:
    world.wait(DAY)
    world.watches(WatchAction.CLAIM)
    world.watches(WatchAction.CLOSE, text="The line was down for maintenance")
    world.take(world.part(charters.Standing.SUSPENDED, reason="Our mission moves house"))
    world.take(world.part(charters.Standing.ACTIVE))
    present = world.have(cells.Channel, world.channel).charter
    amended = charter(world, channel=world.channel, previous=present, kinds=kinds()[:4], rules=())
    world.take(amended)
    for party in (FCO, MOD):
        world.take(world.accession(party, charter=amended.digest))


@lru_cache(1)
def told() -> SecondWorld:
    """Return the world after all of it; who reads it doesn't change it."""
    world = _opened()
    for part in (_a_flash_climbs, _times_pass, _a_draft_is_released, _silences, _holds, _the_rest):
        part(world)
    return world


@lru_cache(1)
def minimized() -> SecondWorld:
    """Return the world after an operator minimized the channel too, as its newest charter lets."""
    world = SecondWorld()
    world.__dict__.update(told().copy().__dict__)
    present = world.have(cells.Channel, world.channel).charter
    members = {"channel": world.channel, "previous": present, "kinds": kinds()[:4], "rules": ()}
    limits = terms(snooze_max_s=3600, hold_max_s=86400, minimize_max_s=28800)
    amended = world.take(charter(world, **members, terms=limits))
    for party in (FCO, MOD):
        world.take(world.accession(party, charter=amended.digest))
    for party in (FCO, MOD):
        world.take(world.directory(party))
    said = {"below": Precedence.PRIORITY, "text": "The cable is cut; the radio carries little"}
    world.watches(WatchAction.MINIMIZE, until=world.clock + 4 * HOUR, **said)
    world.take(world.writes(DORA, DUTY, {LONDON: ACTION}, precedence=URGENT))
    world.watches(WatchAction.MINIMIZE)
    world.take(world.writes(DORA, DUTY, {LONDON: ACTION}))
    return world


@lru_cache(1)
def granted() -> SecondWorld:
    """Return the world after a post changed hands too, and a note of it was granted to who holds it.

    Then the charter says how long clients keep what they opened.
    """
    world = SecondWorld()
    world.__dict__.update(minimized().copy().__dict__)
    note = world.take(world.writes(ANNA, LONDON, {DUTY: ACTION}, precedence=URGENT)).digest
    world.take(world.posting(DUTY, (EDWIN,)))
    world.take(world.directory(MOD))
    world.take(
        world.speaks(
            procedures.Grant,
            DORA,
            note=note,
            post=DUTY,
            reason=procedures.GrantReason.HANDOVER,
            parties=world.relied(DORA, set()),
            given=world.wraps(DUTY),
        )
    )
    world.answers(EDWIN, DUTY, Verdict.ACKNOWLEDGED, note)
    for kept in ({"cabinet": "none"}, {"cabinet_s": 2_592_000}):
        present = world.have(cells.Channel, world.channel).charter
        members = {"channel": world.channel, "previous": present, "kinds": kinds()[:4], "rules": ()}
        amended = world.take(charter(world, **members, terms=terms(**kept)))
        for party in (FCO, MOD):
            world.take(world.accession(party, charter=amended.digest))
    return world


@lru_cache(1)
def contested() -> SecondWorld:
    """Return the world after a device was stolen too: what it had taken on is asked again."""
    world = SecondWorld()
    world.__dict__.update(granted().copy().__dict__)
    # Where it is not the first of a member's devices, the facts say it.
    both = (signing(f"{EDWIN}/{n}") for n in (1, 2))
    kept, stolen = sorted(both, key=lambda key: to_base64(key.public))
    said = {"roles": world.have(cells.Member, EDWIN).roles}
    world.take(world.member(EDWIN, None, [kept, stolen], **said))
    world.take(world.directory(MOD))
    note = world.take(world.writes(ANNA, LONDON, {DUTY: ACTION}, precedence=URGENT)).digest
    since = world.clock
    taken = {"post": DUTY, "verdict": Verdict.ACKNOWLEDGED, "notes": (note,)}
    world.take(world.make(payloads.Answer, stolen, by=EDWIN, channel=world.channel, **taken))
    lost = payloads.Compromised(key=stolen.id, since=since)
    world.take(world.member(EDWIN, None, [kept], compromised=(lost,), **said))
    world.wait(MINUTE)
    return world


def samples() -> list[Statement[Any]]:
    """Return the second part's statements: one of each form, and some that this log wouldn't take."""
    world = told()
    first, second = len(tell().accepted), len(world.accepted)
    forms: set[tuple[object, ...]] = set()
    found = _new_forms(world.accepted[first:], forms)
    other = SecondWorld()
    other.clock = T0
    exercise = other.node_init(rules_version=2, exercise=True)
    said = {"by": ORIGIN, "event": "time-advanced", "advance_us": HOUR}
    advanced = other.make(payloads.Node, signing("node"), **said)
    far = SecondWorld()
    far.__dict__.update(world.copy().__dict__)
    forum = _forum(far)
    drill = far.charter(alias="drill", exercise=True)
    left = far.part(charters.Standing.LEFT)
    later = _new_forms(contested().accepted[second:], forms)
    return [*found, exercise, advanced, forum, drill, left, *later]


def _new_forms(
    statements: Iterable[Statement[Any]], forms: set[tuple[object, ...]]
) -> list[Statement[Any]]:
    """Return those of a form that neither the first part nor ``forms`` has, which get it."""
    found = []
    for statement in statements:
        form = _form(statement)
        if statement.kind in _OLD and not form - _OLD[statement.kind]:
            continue
        if (statement.kind, *sorted(form)) not in forms:
            forms.add((statement.kind, *sorted(form)))
            found.append(statement)
    return found


def _forum(world: MemoryWorld) -> Statement[charters.Charter]:
    seats = (
        charters.Seated(party=ALPHA, seat=Seat.OBSERVER),
        charters.Seated(party=FCO, seat=Seat.CHAIR),
        charters.Seated(party=MOD, seat=Seat.MEMBER),
    )
    only = tuple(kind for kind in kinds() if kind.kind in ("proposal", "service"))
    said: dict[str, Any] = {"type": "forum", "alias": "forum", "parties": (FCO, MOD, ALPHA)}
    used = (RuleUse(use="seats", parameters={}),)
    return world.charter(**said, seats=seats, kinds=only, rules=used)


def _form(statement: Statement[Any]) -> set[str]:
    """Return what a statement says: the names of its members, of its addressees', its action."""
    payload = statement.payload
    said = {name for name in type(payload).model_fields if getattr(payload, name) is not None}
    for addressee in (
        *getattr(payload, "addressees", ()),
        *(getattr(payload, "drafted", ()) or ()),
    ):
        said |= {
            f"addressee {n}"
            for n in type(addressee).model_fields
            if getattr(addressee, n) is not None
        }
    if statement.kind in ("watch", "participation"):
        said.add(str(getattr(payload, "action", None) or payload.state))
    if statement.kind == "charter":
        later = ("minimize_max_s", "cabinet", "cabinet_s")
        said |= {name for name in later if getattr(payload.terms, name) is not None}
    return said


_OLD: dict[str, set[str]] = {}


def _first_forms() -> None:
    for statement in tell().accepted:
        _OLD.setdefault(statement.kind, set()).update(_form(statement))


_first_forms()


def refused() -> list[tuple[str, str, Statement[Any], dict[str, Any]]]:
    """Return what has no reading: rule, reason, a statement that has one, and its members altered."""
    said = {statement.kind: statement for statement in reversed(samples())}
    said["charter"] = next(s for s in samples() if s.kind == "charter" and s.payload.ladders)
    said["note"] = next(s for s in samples() if s.kind == "note" and s.payload.drafted)
    said["minimize"] = next(s for s in samples() if s.kind == "watch" and s.payload.below)
    said["node"] = next(s for s in samples() if s.kind == "node" and s.payload.advance_us)
    cases: list[tuple[str, str, Statement[Any], dict[str, Any]]] = []

    def case(rule: str, reason: str, path: str, value: object) -> None:
        """Set what ``path`` leads to, or take it away if ``value`` is None."""
        kind, *steps = path.split("/")
        members = json.loads(said[kind].envelope.payload)
        within, last = members, int(steps[-1]) if steps[-1].isdecimal() else steps[-1]
        for step in steps[:-1]:
            within = within[int(step) if step.isdecimal() else step]
        if value is None:
            del within[last]
        else:
            within[last] = value
        cases.append((rule, reason, said[kind], members))

    flash = "charter/ladders/1/rungs"
    loud, quiet = (
        {"after_s": 1, "effect": "exhausted", "every_s": 60},
        {"after_s": 1, "effect": "raise"},
    )
    case("CHARTER-12", "a rung that opens no tier", f"{flash}/2/tier", None)
    case("CHARTER-12", "a rung that alerts a tier", f"{flash}/0/tier", "deputy")
    case("CHARTER-12", "times without every_s", f"{flash}/0/every_s", None)
    case("CHARTER-12", "every_s without times", f"{flash}/0/times", None)
    case(
        "CHARTER-12",
        "a rung that tells twice",
        f"{flash}/3",
        {**loud, "effect": "tell", "times": 2},
    )
    case("CHARTER-12", "an exhausted rung that isn't the last", f"{flash}/1", loud)
    case("CHARTER-12", "a ladder that doesn't end exhausted", f"{flash}/4", quiet)
    case(
        "CHARTER-12",
        "a tier that is opened twice",
        f"{flash}/1",
        {**quiet, "effect": "open", "tier": "deputy"},
    )
    case("CHARTER-12", "a ladder that isn't there", "charter/ladders/1/name", "gnash")
    case("STMT-4", "a cabinet other than none", "charter/terms/cabinet", "all")
    case("CHARTER-14", "channel without previous", "charter/channel", digest("channel"))
    case("STMT-4", "exercise false", "charter/exercise", False)
    case("STMT-4", "a party without a seat", "charter/seats/1/party", "other.example")
    case("STMT-4", "min_s above max_s", "charter/kinds/3/silence/min_s", 86_401)
    case("STMT-4", "reminders that ascend", "charter/kinds/0/reminders_s", [60, 600])
    case("NOTE-13", "a post addressed and drafted", "note/drafted/0/post", HEAD)
    case("NOTE-13", "a drafted copy", "note/drafted/0/role", "copy")
    case("NOTE-13", "wraps of a drafted post", "note/drafted/0/wraps", [])
    case("NOTE-13", "no_redirect false", "note/addressees/0/no_redirect", False)
    case("RELEASE-1", "a post without wraps", "release/addressees/0/wraps", [])
    case("GRANT-1", "no key", "grant/given", [])
    case("GRANT-1", "a reason that is none", "grant/reason", "friendship")
    case("HOLD-1", "below without until", "hold/until", None)
    case("WATCH-1", "a claim with a text", "watch/text", "Mine")
    case("WATCH-1", "a claim with a time", "watch/until", T0)
    case("WATCH-1", "an action that is none", "watch/action", "forget")
    case("NODE-4", "time-advanced by nothing", "node/advance_us", None)
    case("NODE-4", "time-advanced with exercise", "node/exercise", True)
    case("PART-1", "a state that is none", "participation/state", "asleep")
    case("MINIMIZE-1", "below without until", "minimize/until", None)
    case("MINIMIZE-1", "below without text", "minimize/text", None)
    case("MINIMIZE-1", "until and text without below", "minimize/below", None)
    case("MINIMIZE-1", "minimize of a note", "minimize/note", digest("note"))
    case("MINIMIZE-1", "minimize at a post", "minimize/post", DUTY)
    case("WATCH-1", "a claim below a precedence", "watch/below", "priority")
    return cases
