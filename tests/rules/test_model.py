"""Whatever is stated, whenever: the laws hold. Random statements and clock moves over two channels.

Each record is looked at as it enters: lives move along their tables, nothing rings for what was
taken on, what was due went first. At the end the log is replayed, whole and channel by channel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from liaison.ledger.facts import (
    ConclusionFacts,
    ContestedFacts,
    DeadlineFacts,
    DueFacts,
    GrantFacts,
    HoldEndedFacts,
    NoteFacts,
    ReleaseFacts,
    RungFacts,
    Stated,
)
from liaison.ledger.record import Record, fields_of
from liaison.rules import cells, ladder, lives
from liaison.rules.cells import CELLS, CellKey, Overlay, World
from liaison.rules.contests import APART
from liaison.rules.decide import RULINGS, Duplicate, decide, decide_due, due_key, first_due
from liaison.rules.evolve import evolve
from liaison.rules.lives import Life
from liaison.rules.moments import DUE_KINDS
from liaison.rules.refusal import Refused
from liaison.rules.showing import showing_needs
from liaison.statements import charters
from liaison.statements.charters import Effect, Rung, Seat, Seated, Silence, Standing
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import (
    AddresseeRole,
    Compromised,
    MemberRole,
    NotePrecedence,
    Verdict,
)
from liaison.statements.procedures import WatchAction
from liaison.statements.statement import Statement, parse_statement
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests import world as worlds
from tests.world import (
    ANNA,
    CHAIR,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    FELIX,
    GRETA,
    HEAD,
    LONDON,
    MINISTRY,
    MOD,
    OLGA,
    PETE,
    ULLA,
    UN,
    Asked,
    MemoryWorld,
    rows_of,
    signing,
)

PARTIES = (FCO, MOD, UN)
POSTS = (LONDON, HEAD, DUTY, DEPUTY, MINISTRY, CHAIR)
ALIASES = (worlds.ALIAS, "second-line")


class Watched(MemoryWorld):
    """A world that looks at each record as it enters."""

    def __init__(self) -> None:
        super().__init__()
        self.rungs: set[tuple[str, int, int, int]] = set()
        self.fallen: dict[CellKey, int] = {}

    def copy(self) -> Watched:
        other = super().copy()
        assert isinstance(other, Watched)
        other.rungs, other.fallen = set(self.rungs), dict(self.fallen)
        return other

    def _enter(self, view: Overlay, record: Record) -> None:
        before = World(self.cells)
        if record.kind in DUE_KINDS:
            self.check_due(record)
        else:
            self.check_stated(record)
        super()._enter(view, record)
        for key, cell in view.changes.items():
            if isinstance(cell, cells.Note):
                known = before[key]
                assert known is None or isinstance(known, cells.Note)
                check_lives(known, cell)
                check_not_forgotten(cell)

    def check_due(self, record: Record) -> None:
        facts = record.facts
        assert isinstance(facts, DueFacts)
        key = due_key(record)
        assert self.fallen.get(key, 0) <= facts.due <= record.at
        self.fallen[key] = facts.due
        if isinstance(facts, RungFacts):
            place = (facts.note, facts.round, facts.rung, facts.repeat)
            assert place not in self.rungs
            self.rungs.add(place)
            note = self.have(cells.Note, facts.channel, facts.note)
            assert not note.withdrawn
            if facts.waits_for == "acknowledgement":
                assert not ladder.is_taken_on(note, facts.party)
                assert ladder.unresolved(note, facts.party)
            else:
                assert ladder.overdue_of(note, facts.party)

        elif isinstance(facts, ContestedFacts):
            for armed in facts.armed:
                note = self.have(cells.Note, facts.channel, armed.note)
                assert not note.withdrawn
                mine = {a.post: a for a in ladder.acting(note, facts.party)}
                for reached in armed.reached:
                    assert is_doubtful(mine[reached.post], facts.device, facts.since)
                trusted = [
                    a
                    for a in mine.values()
                    if a.life is Life.ACKNOWLEDGED and not is_doubtful(a, facts.device, facts.since)
                ]
                assert not trusted or note.acknowledge == "all"
        elif isinstance(facts, HoldEndedFacts):
            for shown in facts.shown:
                note = self.have(cells.Note, facts.channel, shown.note)
                # What was due of it before had its say, and nothing that was due later.
                assert note.due is None or note.due > facts.due
                assert self.fallen.get(note.key, 0) <= facts.due
        elif isinstance(facts, DeadlineFacts) and facts.what == "begun":
            note = self.have(cells.Note, facts.channel, facts.note)
            for key in showing_needs(note):
                other = self.cells[key]
                assert (
                    other is None or other.due is None or (other.due, key) > (facts.due, note.key)
                )

    def check_stated(self, record: Record) -> None:
        """What the statement read holds nothing that was due by then."""
        view = Overlay(self.cells)
        statement = parse_statement(record.statement)
        timed = RULINGS[record.kind].timed(statement, view.get)
        assert first_due(view, timed, record.at) is None
        if isinstance(record.facts, NoteFacts):
            check_essential(view.get(cells.Channel, record.channel.id), record.facts, record.at)
        if isinstance(record.facts, GrantFacts):
            self.check_granted(record.facts, record.actor)

    def check_granted(self, facts: GrantFacts, by: str) -> None:
        """Nobody reads by a grant at a post that doesn't have the note, or that they don't hold."""
        note = self.have(cells.Note, facts.channel, facts.note)
        at = next((a for a in note.addressees if a.post == facts.post), None)
        assert not note.withdrawn
        if at is None:
            assert facts.post == note.post
            assert facts.readers == (note.sender,)
        else:
            assert ladder.is_visible(note, at)
            assert set(facts.readers) <= set(self.have(cells.Post, facts.post).holders)
        had = [a for a in note.addressees if ladder.is_visible(note, a)]
        assert by == note.sender or any(by in (a.readers or ()) for a in had)


def check_essential(channel: cells.Channel | None, note: NoteFacts, at: int) -> None:
    """While a party has the channel minimized, it neither gets nor writes what is below."""
    assert channel is not None
    passes = note.kind in ("proposal", "service") or note.in_reply_to is not None
    passes = passes or any(rule.parameters.get("kind") == note.kind for rule in channel.rules)
    if passes or note.precedence.rank >= Precedence.FLASH.rank:
        return
    for said in channel.minimized or ():
        if (note.deferred_until or at) < said.until:
            levels = [note.precedence] if party_of(note.sender) == said.party else []
            for a in note.addressees:
                if party_of(a.post) == said.party and a.role in (ACTION, INFO):
                    levels.append(note.precedence if a.role is ACTION else note.info_precedence)
            assert all(level.rank >= said.below.rank for level in levels)


def is_doubtful(addressee: cells.AddresseeState, device: str, since: int) -> bool:
    """Whether a key took a note on for a post since it was in other hands."""
    is_by_it = addressee.life is Life.ACKNOWLEDGED and addressee.device == device
    return is_by_it and addressee.at >= since


def check_contested(world: MemoryWorld) -> None:
    """Once a contest is through, no note with a ladder rests on the contested key alone."""
    contests = [cell for cell in world.cells.values() if isinstance(cell, cells.Contest)]
    notes = [cell for cell in world.cells.values() if isinstance(cell, cells.Note)]
    for contest in contests:
        assert contest.due is None
        for note in notes:
            is_cleared = note.release and party_of(note.sender) == contest.party
            is_over = note.withdrawn or note.draft or note.expiry is not None or not note.rungs
            is_over = is_over or any(a.life is Life.EXPIRED for a in note.addressees)
            if note.channel != contest.channel or is_cleared or is_over:
                continue
            mine = [a for a in ladder.acting(note, contest.party) if a.life is Life.ACKNOWLEDGED]
            doubtful = [a for a in mine if is_doubtful(a, contest.device, contest.since)]
            if note.acknowledge == "all":
                assert not doubtful
            else:
                assert len(doubtful) < len(mine) or not mine


def check_lives(before: cells.Note | None, after: cells.Note) -> None:
    """Each addressee is in one state, to which one step of its table led."""
    posts = [a.post for a in after.addressees]
    assert len(set(posts)) == len(posts)
    for addressee in after.addressees:
        if before is None:
            assert addressee.life in (lives.FIRST[addressee.role], Life.DRAFTED)
            continue
        was = next(a.life for a in before.addressees if a.post == addressee.post)
        table = lives.TABLES[addressee.role]
        reached = {to for (life, _), to in table.items() if life is was}
        # Opened and, in the same breath, not needed any more, and the like, never happens.
        assert addressee.life is was or addressee.life in reached, (was, addressee.life)


def check_not_forgotten(note: cells.Note) -> None:
    """Who is asked to act and has not taken it on is rung for, or something is due that rings."""
    if note.draft or note.withdrawn or not note.rungs or note.deferred_until is not None:
        return
    for party in {party_of(a.post) for a in note.addressees}:
        asked = [a for a in ladder.unresolved(note, party) if a.life in ladder.WAITING]
        mine = ladder.acting(note, party)
        has_answered = any(a.replied is not None for a in mine)
        owes = any(a.reply_by is not None for a in mine)
        assert note.climb_of(party) or not asked or has_answered or owes, (party, note)
        late = ladder.overdue_of(note, party)
        assert note.climb_of(party) or not late, (party, note)


def charter(alias: str, acknowledge: str) -> dict[str, Any]:
    writers = (MemberRole.ATTACHE, MemberRole.CHAIR)
    steep = (
        Rung(after_s=60, effect=Effect.ALERT, times=2, every_s=60),
        Rung(after_s=0, effect=Effect.RAISE),
        Rung(after_s=120, effect=Effect.OPEN, tier="deputy"),
        Rung(after_s=120, effect=Effect.TELL, tier="ministry"),
        Rung(after_s=0, effect=Effect.EXHAUSTED, every_s=3600),
    )
    climbs = (charters.LadderUse(at_least=Precedence.DEFERRED, ladder="steep"),)
    release: dict[str, Any] = {"release": MemberRole.RELEASER, "series": "nv", "ladders": climbs}
    silence = Silence(min_s=60, max_s=86400)
    return {
        "alias": alias,
        "type": "forum",
        "parties": PARTIES,
        "seats": tuple(
            Seated(party=party, seat=Seat.CHAIR if party == UN else Seat.MEMBER)
            for party in PARTIES
        ),
        "terms": worlds.terms(acknowledge=acknowledge, lapse_max_s=86400, snooze_max_s=600),
        "ladders": (charters.Ladder(name="steep", rungs=steep),),
        "kinds": (
            worlds.kind("leader", ladders=climbs, answer_within_s=300, writers=writers),
            worlds.kind("plain", writers=writers, reminders_s=(120, 30), series="pl"),
            worlds.kind("proposal", silence=silence, writers=writers),
            worlds.kind("service", service=True, ladders=climbs, writers=writers),
            worlds.kind("verbale", writers=writers, **release),
        ),
        "rules": (
            worlds.use("line-tests", kind="service", every_s=7200, grace_s=600),
            worlds.use("seats"),
        ),
    }


@cache
def begun(acknowledge: str) -> Watched:
    """Return a world of three parties and two channels of one charter."""
    world = Watched()
    world.__dict__.update({**worlds._staffed().copy().__dict__, "rungs": set(), "fallen": {}})
    roles = {
        EDWIN: (MemberRole.ATTACHE, MemberRole.OPERATOR),
        OLGA: (MemberRole.OPERATOR,),
        FELIX: (MemberRole.ATTACHE, MemberRole.OPERATOR, MemberRole.RELEASER),
        ULLA: (MemberRole.ATTACHE, MemberRole.CHAIR, MemberRole.OPERATOR),
    }
    for member, held in roles.items():
        world.accept(world.member(member, roles=held))
    for member in sorted(TWICE):
        devices = [signing(f"{member}/{n}") for n in (1, 2)]
        world.accept(
            world.member(member, None, devices, roles=world.have(cells.Member, member).roles)
        )
    for alias in ALIASES:
        world.alias = alias
        world.open(world.charter(UN, **charter(alias, acknowledge)))
    world.alias = worlds.ALIAS
    world.advance(MINUTE)
    return world


TWICE = frozenset({DORA, EDWIN, ULLA})
"""Members with two devices; the second may be lost."""
COIN, RARELY = st.booleans(), st.sampled_from((False, False, False, True))
SPANS = st.sampled_from((30 * SECOND, 100 * SECOND, 10 * MINUTE, 2 * HOUR))
WRITERS = st.sampled_from((ANNA, FELIX, DORA, EDWIN, ULLA))
STANDINGS = (*(Standing.SUSPENDED,) * 6, Standing.LEFT)
ACTION, INFO, STANDBY = AddresseeRole.ACTION, AddresseeRole.INFO, AddresseeRole.STANDBY
ALTERNATE: dict[str, Any] = {"role": STANDBY, "alternate_for": DUTY}
ASKED: tuple[dict[str, Asked], ...] = (
    {DUTY: ACTION},
    {DUTY: ACTION, DEPUTY: STANDBY},
    {DUTY: ACTION, DEPUTY: STANDBY, CHAIR: ACTION},
    {DUTY: ACTION, DEPUTY: ALTERNATE},
    {DUTY: ACTION, MINISTRY: ALTERNATE, DEPUTY: STANDBY, LONDON: INFO},
    {DUTY: ACTION, MINISTRY: ACTION, DEPUTY: ALTERNATE},
    {CHAIR: ACTION, LONDON: ACTION, HEAD: INFO},
    {DUTY: INFO, CHAIR: ACTION},
    {DUTY: {"no_redirect": True}, MINISTRY: INFO},
)
PRECEDENCES = st.sampled_from(
    (
        NotePrecedence(action=Precedence.FLASH, info=Precedence.ROUTINE),
        NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE),
    )
)


class AnyTime(RuleBasedStateMachine):
    """Statements of version 2, sensible or not, at any time."""

    world: Watched

    @initialize(acknowledge=st.sampled_from(("any-of-tier", "all")), data=st.data())
    def begin(self, acknowledge: str, data: st.DataObject) -> None:
        self.world = begun(acknowledge).copy()
        self.lost: frozenset[str] = frozenset()
        self.said: list[str] = []
        self.first = len(self.world.records)
        self.world.accept(self.world.note(kind="leader", to={DUTY: AddresseeRole.ACTION}))

    def state(self, statement: Statement[Any]) -> None:
        outcome = self.world.submit(statement)
        assert isinstance(outcome, Record | Refused | Duplicate)
        if isinstance(outcome, Refused) and outcome.code == "minimize":
            # Nobody gets out of a procedure by minimizing.
            payload = statement.payload
            assert statement.kind == "note"
            assert payload.kind not in ("proposal", "service")
            assert payload.precedence.action.rank < Precedence.FLASH.rank

    def pick(
        self, data: st.DataObject, kind: str = "", *, drafts: bool = False
    ) -> cells.Note | None:
        """Return one of the newest notes of the present channel."""
        channel = self.world.channel
        found = [
            c
            for c in self.world.cells.values()
            if isinstance(c, cells.Note)
            and c.channel == channel
            and kind in ("", c.kind)
            and (not drafts or c.draft)
        ]
        if not found:
            return None
        found.sort(key=lambda note: -note.index)
        return found[data.draw(st.integers(0, min(len(found), 6) - 1))]

    # Time

    @rule(micros=st.sampled_from((0, 1, 20 * SECOND, MINUTE, 3 * MINUTE, HOUR, 5 * HOUR)))
    def time_passes_unwatched(self, micros: int) -> None:
        self.world.advance(micros)

    @rule(micros=st.sampled_from((SECOND, MINUTE, 2 * MINUTE, 11 * MINUTE, 2 * HOUR)))
    def time_passes(self, micros: int) -> None:
        self.world.elapse(micros)

    @rule()
    def what_is_due_falls(self) -> None:
        self.world.fire_due()
        due = self.world.first_due()
        assert due is None or due > self.world.clock

    @rule(alias=st.sampled_from(ALIASES))
    def turn_to(self, alias: str) -> None:
        self.world.alias = alias

    # Notes

    @rule(
        by=WRITERS,
        to=st.sampled_from(ASKED),
        kind=st.sampled_from(("leader", "leader", "plain", "service")),
        precedence=PRECEDENCES,
        data=st.data(),
    )
    def note(
        self,
        by: str,
        to: Mapping[str, Asked],
        kind: str,
        precedence: NotePrecedence,
        data: st.DataObject,
    ) -> None:
        asked = {post: said for post, said in to.items() if post != worlds.post_of(by)}
        if not asked:
            return
        changes: dict[str, Any] = {}
        for name in ("reply_by", "expiry", "latest_delivery", "deferred_until"):
            if data.draw(RARELY):
                changes[name] = self.world.clock + data.draw(SPANS)
        if data.draw(RARELY) and self.said:
            changes["id"] = data.draw(st.sampled_from(self.said))
        said = {"kind": kind, "precedence": precedence, **changes}
        note = self.world.note(by, asked, **said)
        self.said.append(note.payload.id)
        self.state(note)

    @rule(by=WRITERS, kind=st.sampled_from(("leader", "plain", "service")), data=st.data())
    def reply(self, by: str, kind: str, data: st.DataObject) -> None:
        note = self.pick(data)
        if note is None or note.post is None or note.post == worlds.post_of(by):
            return
        deferred = self.world.clock + data.draw(SPANS) if data.draw(RARELY) else None
        said: dict[str, Any] = {"in_reply_to": note.note, "deferred_until": deferred}
        self.state(self.world.note(by, {note.post: ACTION}, kind=kind, **said))

    @rule(really=RARELY, data=st.data())
    def supersede(self, really: bool, data: st.DataObject) -> None:
        note = self.pick(data) if really else None
        if note is None or note.kind in ("proposal", "verbale") or note.post is None:
            return
        to = {a.post: AddresseeRole.ACTION for a in note.addressees}
        self.state(self.world.note(note.sender, to, kind=note.kind, supersedes=note.note))

    @rule(by=WRITERS, lasts=st.sampled_from((MINUTE, HOUR, DAY)), data=st.data())
    def proposal(self, by: str, lasts: int, data: st.DataObject) -> None:
        to = {DUTY: AddresseeRole.ACTION, CHAIR: AddresseeRole.INFO, LONDON: AddresseeRole.INFO}
        to.pop(worlds.post_of(by), None)
        amended = self.pick(data, "proposal") if data.draw(COIN) else None
        self.state(self.world.proposal(by, to, lasts, amends=amended.note if amended else None))

    @rule(by=st.sampled_from((ANNA, FELIX)), to=st.sampled_from(ASKED), data=st.data())
    def draft(self, by: str, to: Mapping[str, Asked], data: st.DataObject) -> None:
        own = HEAD if by == ANNA else LONDON
        drafted = {post: said for post, said in to.items() if party_of(post) != FCO}
        if not drafted:
            return
        reply_by = self.world.clock + data.draw(SPANS) if data.draw(RARELY) else None
        old = self.pick(data, "verbale") if data.draw(RARELY) else None
        said = {"reply_by": reply_by, "supersedes": old.note if old else None}
        self.state(self.world.draft(by, drafted, {own: AddresseeRole.ACTION}, **said))

    @rule(data=st.data())
    def clear_and_release(self, data: st.DataObject) -> None:
        note = self.pick(data, drafts=True)
        if note is None:
            return
        statement: Any = next(s for s in self.world.accepted if s.digest == note.note)
        clearing = worlds.HOLDERS[note.addressees[0].post][0]
        self.state(self.world.answer(clearing, Verdict.ACKNOWLEDGED, note.note))
        by = FELIX if note.sender == ANNA or data.draw(COIN) else ANNA
        self.state(self.world.release(statement, by))

    # What is said of them

    @rule(verdict=st.sampled_from(Verdict), data=st.data())
    def answer(self, verdict: Verdict, data: st.DataObject) -> None:
        note = self.pick(data)
        if note is not None:
            post = data.draw(st.sampled_from([a.post for a in note.addressees]))
            by = worlds.HOLDERS[post][0]
            key = self.device(by, data)
            self.state(self.world.answer(by, verdict, note.note, key=key))

    @rule(data=st.data())
    def grant(self, data: st.DataObject) -> None:
        note = self.pick(data, drafts=data.draw(RARELY))
        if note is not None:
            readers = {note.sender, *(r for a in note.addressees for r in a.readers or ())}
            by = data.draw(st.sampled_from(sorted({*readers, GRETA})))
            posts = {a.post for a in note.addressees} | {note.post or LONDON, MINISTRY}
            self.state(self.world.grant(note.note, data.draw(st.sampled_from(sorted(posts))), by))

    def device(self, by: str, data: st.DataObject) -> SigningKey:
        """Return one of a member's devices that are in force."""
        return signing(f"{by}/{2 if by in TWICE - self.lost and data.draw(COIN) else 1}")

    @rule(member=st.sampled_from(sorted(TWICE)), ago=SPANS, really=RARELY, data=st.data())
    def a_device_is_lost(self, member: str, ago: int, really: bool, data: st.DataObject) -> None:
        """It is lost once, and takes a note on before; the time since when may be found to be earlier."""
        if not really:
            return
        note = self.pick(data) if member not in self.lost else None
        if note is not None:
            stolen = signing(f"{member}/2")
            self.state(self.world.answer(member, Verdict.ACKNOWLEDGED, note.note, key=stolen))
        known = self.world.have(cells.Member, member)
        lost = Compromised(key=signing(f"{member}/2").id, since=self.world.clock - ago)
        said = self.world.member(member, None, None, roles=known.roles, compromised=(lost,))
        self.state(said)
        self.lost |= {member}

    @rule(
        verdict=st.sampled_from((Verdict.ACKNOWLEDGED, Verdict.DELIVERED, Verdict.DECLINED)),
        data=st.data(),
    )
    def answer_what_is_open(self, verdict: Verdict, data: st.DataObject) -> None:
        note = self.pick(data)
        for addressee in note.addressees if note else ():
            if addressee.life in ladder.WAITING and not data.draw(RARELY):
                by = worlds.HOLDERS[addressee.post][0]
                assert note is not None
                key = self.device(by, data)
                self.state(self.world.answer(by, verdict, note.note, key=key))

    @rule(
        action=st.sampled_from([a for a in WatchAction if a is not WatchAction.MINIMIZE]),
        snooze=st.sampled_from((SECOND, MINUTE, 10 * MINUTE)),
        data=st.data(),
    )
    def watch(self, action: WatchAction, snooze: int, data: st.DataObject) -> None:
        by = data.draw(st.sampled_from((PETE, EDWIN, FELIX, ULLA)))
        if data.draw(RARELY) and action in (WatchAction.CLAIM, WatchAction.CLOSE):
            self.state(self.world.watch(by, action))
            return
        note = self.pick(data)
        if note is None:
            return
        mine = [a.post for a in note.addressees if party_of(a.post) == party_of(by)]
        members: dict[str, Any] = {}
        if action is WatchAction.SNOOZE:
            members["until"] = self.world.clock + snooze
        if action is WatchAction.REOPEN:
            members["post"] = data.draw(st.sampled_from(mine or [DUTY]))
        self.state(self.world.watch(by, action, note.note, **members))

    @rule(really=RARELY, data=st.data())
    def withdrawal(self, really: bool, data: st.DataObject) -> None:
        note = self.pick(data) if really else None
        if note is not None:
            self.state(self.world.withdrawal(note.note, note.sender))

    @rule(by=WRITERS, longer=st.sampled_from((0, 1, HOUR, DAY)), data=st.data())
    def procedure(self, by: str, longer: int, data: st.DataObject) -> None:
        note = self.pick(data, "proposal")
        if note is None or note.procedure is None:
            return
        if longer:
            self.state(self.world.extension(note.note, note.procedure.until + longer))
        else:
            self.state(self.world.objection(note.note, by))

    @rule(
        post=st.sampled_from(POSTS),
        below=st.sampled_from((None, Precedence.PRIORITY, Precedence.IMMEDIATE)),
        lasts=st.sampled_from((SECOND, 90 * SECOND, HOUR)),
    )
    def hold(self, post: str, below: Precedence | None, lasts: int) -> None:
        self.state(self.world.hold(worlds.HOLDERS[post][0], below, lasts))

    @rule(
        by=st.sampled_from((PETE, EDWIN, OLGA, ULLA)),
        below=st.sampled_from((None, Precedence.ROUTINE, Precedence.IMMEDIATE, Precedence.FLASH)),
        lasts=st.sampled_from((SECOND, 10 * MINUTE, HOUR)),
        really=RARELY,
    )
    def minimize(self, by: str, below: Precedence | None, lasts: int, really: bool) -> None:
        if really:
            self.state(self.world.minimize(by, below, lasts))

    # What stands around them, less often

    @rule(what=st.integers(0, 9), post=st.sampled_from(POSTS), data=st.data())
    def surroundings(self, what: int, post: str, data: st.DataObject) -> None:
        party = party_of(post)
        now = self.world.have(cells.Channel, self.world.channel)
        if what == 0:
            self.state(self.world.participation(party, data.draw(st.sampled_from(STANDINGS))))
        elif what == 1:
            self.amend(now, data)
        elif what == 2:
            self.state(self.world.posting(post, ()))
        else:  # what is wrong is put right again
            self.state(self.world.directory(party))
            self.state(self.world.posting(post))
            if now.standing(party) is Standing.SUSPENDED:
                self.state(self.world.participation(party, Standing.ACTIVE))

    def amend(self, now: cells.Channel, data: st.DataObject) -> None:
        steep = (now.ladders or ())[0]
        first = steep.rungs[0].model_copy(update={"times": data.draw(st.integers(2, 4))})
        changed = steep.model_copy(update={"rungs": (first, *steep.rungs[1:])})
        every = data.draw(st.sampled_from((3600, 7200)))
        rules = (worlds.use("line-tests", kind="plain", every_s=every, grace_s=60), now.rules[1])
        amendment = self.world.amendment(FCO, ladders=(changed,), rules=rules)
        self.state(amendment)
        for party in now.parties:
            self.state(self.world.accession(party, charter=amendment.digest))

    # What always holds

    @invariant()
    def the_first_moment_of_a_note_is_its_due(self) -> None:
        if not hasattr(self, "world"):
            return
        for cell in self.world.cells.values():
            if isinstance(cell, cells.Note):
                assert cell.moments == tuple(sorted(cell.moments))
                assert cell.due == (cell.moments[0].due if cell.moments else None)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.fire_due()
        self.world.advance(SECOND)
        self.world.fire_due()
        check_contested(self.world)
        records, rows = self.world.records, rows_of(self.world.cells)
        check_numbers(records)
        check_once(records)
        whole = again(records, {*range(len(records))})
        assert rows_of(whole) == rows
        self.world.alias = ALIASES[0]
        for alias in ALIASES:
            self.world.alias = alias
            check_alone(records, self.world)


def again(records: list[Record], chosen: set[int]) -> World:
    """Return what some records lead to, each decided anew at its place in the log."""
    world = World()
    for index, record in enumerate(records):
        if index not in chosen:
            continue
        view = Overlay(world)
        decided: Any
        if record.kind in DUE_KINDS:
            decided = decide_due(view, due_key(record), record.at)
        else:
            decided = decide(view, parse_statement(record.statement), record.at)
        assert isinstance(decided, Record), (index, decided)
        assert fields_of(decided) == fields_of(record)
        view.put(evolve(view, decided, index))
        world.update(view.changes)
    return world


def check_alone(records: list[Record], world: MemoryWorld) -> None:
    """A channel, replayed with its parties' records and the origin's alone, has the same cells."""
    channel = world.channel
    scopes = {channel, worlds.ORIGIN, *world.have(cells.Channel, channel).parties, UN}
    alone = again(records, {i for i, r in enumerate(records) if r.channel.id in scopes})
    mine = {key for key in world.cells if key[1:2] == (channel,)}
    assert mine
    assert {key for key in alone if key[1:2] == (channel,)} == mine
    for key in mine:
        assert key[0] in CELLS
        assert alone[key] == world.cells[key]


def check_numbers(records: list[Record]) -> None:
    """References, counters, register numbers and decisions have no gaps; time only goes on."""
    counted: dict[tuple[Any, ...], int] = defaultdict(int)

    def follows(n: int, *scope: Any) -> None:
        counted[scope] += 1
        assert n == counted[scope], scope

    for record in records:
        follows(record.channel.n, "n", record.channel.id)
        facts = record.facts
        assert isinstance(facts, Stated) == bool(record.statement)
        if isinstance(facts, NoteFacts | ReleaseFacts):
            if facts.reference is not None:
                follows(facts.reference, "reference", facts.channel)
            if facts.number is not None:
                issuer = party_of(facts.sender)
                at = (facts.number.series, facts.number.year)
                follows(facts.number.number, "register", facts.channel, issuer, *at)
        if isinstance(facts, ConclusionFacts):
            follows(facts.decision, "decision", facts.channel)
    times = [record.at for record in records]
    assert times == sorted(set(times))


def check_once(records: list[Record]) -> None:
    """No id is two notes', each grant says something new, and contests of a party are apart."""
    ids, given = set[Any](), set[Any]()
    begun: dict[str, int] = {}
    for record in records:
        facts = record.facts
        if isinstance(facts, NoteFacts):
            assert (facts.channel, facts.device, facts.id) not in ids
            ids.add((facts.channel, facts.device, facts.id))
        elif isinstance(facts, GrantFacts):
            said = {(facts.note, facts.post, record.actor, key) for key in facts.keys}
            assert said - given
            given |= said
        elif isinstance(facts, ContestedFacts) and facts.page == 0:
            assert facts.due >= begun.get(facts.party, 0) + APART
            begun[facts.party] = facts.due


TestAnyTime = AnyTime.TestCase
TestAnyTime.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
