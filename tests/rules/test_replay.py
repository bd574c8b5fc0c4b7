"""State is a fold of the log (design.md, law 3): whatever is stated, replay gives the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from liaison.ledger.record import Record, fields_of
from liaison.rules import cells, lives
from liaison.rules.decide import Duplicate
from liaison.rules.refusal import Refused
from liaison.statements.payloads import AddresseeRole, State, Verdict
from liaison.statements.statement import Statement
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests.rules.story import digest_of, tell, tell_all
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
    replay,
    rows_of,
    signing,
)

TOP = Path(__file__).parents[2]


def test_replay_of_a_story_gives_its_cells():
    world = tell()
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_the_hash_seed_changes_nothing():
    said = set()
    for seed in ("0", "1", "4242"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        env["PYTHONPATH"] = os.pathsep.join((str(TOP / "src"), str(TOP)))
        ran = subprocess.run(
            [sys.executable, "-m", "tests.rules.story"],
            cwd=TOP,
            env=env,
            check=True,
            capture_output=True,
            timeout=120,
        )
        said.add(ran.stdout.decode())
    assert said == {digest_of(tell()) + digest_of(tell_all())}


OPENED = MemoryWorld.opened()
people, parties = st.sampled_from((ANNA, DORA, EDWIN)), st.sampled_from((FCO, MOD))
roles = st.sampled_from((AddresseeRole.ACTION, AddresseeRole.INFO))


class AnyHistory(RuleBasedStateMachine):
    """Statements of all kinds, sensible or not, at any time: decide answers, and the log folds."""

    def __init__(self) -> None:
        super().__init__()
        self.world = OPENED.copy()
        self.stated: list[Statement[Any]] = []
        self.last: dict[tuple[str, str], lives.Life] = {}

    def state(self, statement: Statement[Any]) -> None:
        before = len(self.world.records)
        decided = self.world.submit(statement)
        assert isinstance(decided, Record | Refused | Duplicate)
        assert len(self.world.records) == before + isinstance(decided, Record)
        if isinstance(decided, Record):
            self.stated.append(statement)

    @initialize()
    def begin(self) -> None:
        self.state(self.world.note())

    @rule(micros=st.sampled_from((0, 1, SECOND, MINUTE, HOUR, DAY, 6 * DAY, 20 * DAY)))
    def time_passes(self, micros: int) -> None:
        self.world.advance(micros)

    @rule(by=people, to=st.dictionaries(st.sampled_from((LONDON, DUTY, DEPUTY)), roles, min_size=1))
    def note(self, by: str, to: dict[str, AddresseeRole]) -> None:
        own = {ANNA: LONDON, DORA: DUTY, EDWIN: DEPUTY}[by]
        to.pop(own, None)
        if not to:
            return
        self.state(self.world.note(by, to))

    @rule(by=people, verdict=st.sampled_from(Verdict), data=st.data())
    def answer(self, by: str, verdict: Verdict, data: st.DataObject) -> None:
        notes = [s.digest for s in self.stated if s.kind == "note"]
        chosen = data.draw(st.sets(st.sampled_from(notes), min_size=1, max_size=4))
        self.state(self.world.answer(by, verdict, *chosen))

    @rule(by=people, party=parties, serial=st.integers(1, 300))
    def void(self, by: str, party: str, serial: int) -> None:
        self.state(self.world.void(by, party, serial))

    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.world.accepted) - 1))
        decided = self.world.submit(self.world.accepted[place])
        assert decided == Duplicate(place)

    @rule(
        member=people,
        state=st.sampled_from((State.ACTIVE, State.ACTIVE, State.SUSPENDED)),
        by_authority=st.booleans(),
        devices=st.sets(st.integers(1, 2), max_size=2),
    )
    def member(self, member: str, state: State, by_authority: bool, devices: set[int]) -> None:
        key = self.world.authority(member.rpartition("@")[2]) if by_authority else None
        held = [signing(f"{member}/{n}") for n in sorted(devices | {1})]
        self.state(self.world.member(member, key, held, state=state))

    @rule(member=people, label=st.sampled_from("23456"), device=st.integers(1, 2))
    def key(self, member: str, label: str, device: int) -> None:
        key = signing(f"{member}/{device}")
        if self.world.get(cells.KeyClaim, key.id) is not None:
            self.state(self.world.encryption_key(member, label, key))

    @rule(party=parties)
    def directory(self, party: str) -> None:
        self.state(self.world.directory(party))

    @rule(party=parties)
    def roster(self, party: str) -> None:
        self.state(self.world.roster(party))

    @rule(post=st.sampled_from((LONDON, DUTY, DEPUTY)), holder=st.none() | people)
    def posting(self, post: str, holder: str | None) -> None:
        self.state(self.world.posting(post, None if holder is None else (holder,)))

    @rule(party=parties, state=st.sampled_from((State.ACTIVE, State.SUSPENDED)))
    def party(self, party: str, state: State) -> None:
        self.state(self.world.party(party, state=state))

    @rule(party=parties, state=st.sampled_from((State.ACTIVE, State.SUSPENDED)))
    def admission(self, party: str, state: State) -> None:
        self.state(self.world.admission(party, state=state))

    @rule(alias=st.sampled_from(("second", "third")))
    def charter(self, alias: str) -> None:
        self.state(self.world.charter(alias=alias))

    @invariant()
    def each_addressee_is_in_one_state_that_a_step_led_to(self) -> None:
        for cell in self.world.cells.values():
            if not isinstance(cell, cells.Note):
                continue
            posts = [a.post for a in cell.addressees]
            assert len(set(posts)) == len(posts)
            for a in cell.addressees:
                before = self.last.get((cell.note, a.post), lives.FIRST[a.role])
                table = lives.TABLES[a.role]
                reached = {before} | {to for (life, _), to in table.items() if life is before}
                assert a.life in reached
                self.last[cell.note, a.post] = a.life

    @invariant()
    def counters_have_no_gaps(self) -> None:
        scopes: dict[str, int] = {}
        references: dict[str, int] = {}
        for record in self.world.records:
            scope = record.channel.id
            scopes[scope] = scopes.get(scope, 0) + 1
            assert record.channel.n == scopes[scope]
            if record.kind == "note":
                references[scope] = references.get(scope, 0) + 1
                assert record.facts.reference == references[scope]  # type: ignore[attr-defined]
        times = [record.at for record in self.world.records]
        assert times == sorted(set(times))

    def teardown(self) -> None:
        world = self.world
        assert rows_of(replay(world.records)) == rows_of(world.cells)
        again = MemoryWorld()
        for record, statement in zip(world.records, world.accepted, strict=True):
            again.clock = record.at
            decided = again.submit(statement)
            assert isinstance(decided, Record)
            assert fields_of(decided) == fields_of(record)
        assert rows_of(again.cells) == rows_of(world.cells)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
