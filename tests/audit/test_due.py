"""What time alone made: due records verify and replay, and a forged one is named by its entry."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liaison.audit.report import Report
from liaison.ledger.facts import (
    ConclusionFacts,
    ContestedFacts,
    DeadlineFacts,
    DueFacts,
    HoldEndedFacts,
    RungFacts,
)
from liaison.ledger.record import FIELDS, Record
from liaison.rules.decide import due_needs
from liaison.rules.moments import DUE_KINDS
from liaison.statements.charters import Effect
from liaison.statements.payloads import Verdict
from liaison.words.times import MINUTE, SECOND
from tests.audit.logs import (
    MemorySource,
    flipped,
    open_entry,
    over,
    replayed,
    source_of,
    timed,
    verified,
)
from tests.timed import WITH_DEPUTY, every_due_kind, line
from tests.world import ANNA, DORA, HEAD, digest, rows_of

RECORDS = every_due_kind().records
ALL_DUE = tuple(i for i, record in enumerate(RECORDS) if record.kind in DUE_KINDS)
DUE = tuple({RECORDS[i].urgency.outcome: i for i in reversed(ALL_DUE)}.values())
"""The first of each outcome."""


def first(kind: str, outcome: str = "") -> int:
    return next(
        i
        for i, record in enumerate(RECORDS)
        if record.kind == kind and outcome in ("", record.urgency.outcome)
    )


def told_otherwise(index: int, **fields: Any) -> MemorySource:
    """Return the log as a node would have it that lies at one entry, and fits all else to it."""
    entries = [open_entry(i, record) for i, record in enumerate(RECORDS)]
    entries[index] = open_entry(index, replace(RECORDS[index], **fields))
    return over(entries, None)


def facts_of(index: int, **changes: Any) -> DueFacts:
    facts = RECORDS[index].facts
    assert isinstance(facts, DueFacts)
    return facts.model_copy(update=changes)


def named(report: Report, index: int, field: str = "") -> str:
    """Return what was expected at the entry that a report names."""
    assert report.exit_code == 1
    found = report.difference
    assert found is not None
    assert found.index == index, found
    assert field in ("", found.field), found
    return found.expected


def test_the_log_has_every_kind_of_due_record():
    assert {RECORDS[i].kind for i in DUE} == set(DUE_KINDS)
    assert {record.urgency.outcome for record in (RECORDS[i] for i in DUE)} >= {
        *(effect.value for effect in Effect),
        *("begun", "alternate", "reminder", "reply-overdue", "expired", "non-delivered"),
    }


async def test_the_honest_log_verifies_and_replays_to_its_cells():
    report = await verified(timed())
    assert report.difference is None
    assert report.counts["due records"] == len(ALL_DUE)
    assert report.counts["signatures"] == len(RECORDS) - len(ALL_DUE)
    report = await replayed(timed())
    assert report.difference is None
    assert report.counts["cells"] == len(rows_of(every_due_kind().cells))
    assert report.counts["due records"] == len(ALL_DUE)
    assert "was due at its moment" in report.to_text()
    assert not any("due" in remark for remark in report.remarks)


# A node that lies: leaves, tree and signature fit, so only the rules can tell


async def test_a_rung_with_other_facts_is_named_by_replay():
    for index in DUE:
        facts = RECORDS[index].facts
        changes: list[dict[str, Any]] = [{"informed": (DORA, ANNA)}]
        if isinstance(facts, RungFacts):
            changes += [{"open": (HEAD,)}, {"empty": not facts.empty}, {"repeat": 7}]
        elif isinstance(facts, DeadlineFacts):
            changes += [{"posts": (HEAD,)}]
        elif isinstance(facts, HoldEndedFacts):
            changes = [{"shown": ()}]
        elif isinstance(facts, ContestedFacts):
            changes = [{"armed": ()}, {"since": facts.since + 1}]
        elif isinstance(facts, ConclusionFacts):
            changes += [{"decision": 2}]
        for change in changes:
            source = told_otherwise(index, facts=facts_of(index, **change))
            assert (await verified(source)).exit_code == 0
            named(await replayed(source), index, "facts")


async def test_a_rung_that_came_too_early_is_named():
    index = first("rung")
    record = RECORDS[index]
    assert isinstance(record.facts, RungFacts)
    early = record.facts.due - 1
    said = named(await replayed(told_otherwise(index, at=early)), index, "at")
    assert f"not before {record.facts.due}" in said
    said = named(await verified(told_otherwise(index, at=early)), index, "at")
    assert f"not before {record.facts.due}" in said
    # Not even if it says that it was due then: the state says otherwise.
    urgency = record.urgency.model_copy(update={"due": early})
    lying = told_otherwise(index, at=early, facts=facts_of(index, due=early), urgency=urgency)
    assert (await verified(lying)).exit_code == 0
    named(await replayed(lying), index, "at")


async def test_a_rung_that_was_skipped_is_named_where_the_next_one_stands():
    """The alert is left out, and everything behind it counted and opened anew."""
    index = first("rung")
    records = [*RECORDS[:index], *RECORDS[index + 1 :]]
    source = over([open_entry(i, r) for i, r in enumerate(recounted(records))], None)
    assert (await verified(source)).exit_code == 0
    report = await replayed(source)
    named(report, index)


async def test_a_moment_that_was_passed_over_is_named_at_the_statement_that_read_it():
    """Dora acknowledges after the rung was due, and the log has no rung."""
    world = line()
    note = world.accept(world.note(to=WITH_DEPUTY))
    world.advance(2 * MINUTE)
    taken = world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note.digest))
    assert [r.kind for r in world.records[-3:]] == ["rung", "rung", "answer"]
    forged = recounted([*world.records[:-3], world.records[-1]])
    source = over([open_entry(i, record) for i, record in enumerate(forged)], None)
    assert (await verified(source)).exit_code == 0
    said = named(await replayed(source), len(forged) - 1, "statement")
    assert said.startswith("first the record of the moment that was due at ")
    assert note.digest in said
    assert taken.digest in forged[-1].facts.spelled().decode()


async def test_a_rung_after_the_acknowledgement_is_named():
    world = line()
    note = world.accept(world.note(to=WITH_DEPUTY))
    late = world.copy()
    late.elapse(MINUTE)
    rung = late.records[-1]
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note.digest))
    forged = recounted([*world.records, rung])
    source = over([open_entry(i, record) for i, record in enumerate(forged)], None)
    assert (await verified(source)).exit_code == 0
    report = await replayed(source)
    # What is due next of the note is that the answer is overdue, half an hour on.
    assert "is due next" in named(report, len(forged) - 1, "at")


async def test_a_moment_before_which_another_one_was_due_is_named():
    """A deferred note begins, and looks at a hold that ended before it: that goes first."""
    world = line()
    world.accept(world.hold(DORA, lasts=MINUTE))
    world.accept(world.note(kind="plain", deferred_until=world.clock + 2 * MINUTE))
    early = world.copy()
    world.elapse(3 * MINUTE)
    assert [record.urgency.outcome for record in world.records[-2:]] == ["hold-ended", "begun"]
    early.advance(3 * MINUTE)
    key = next(key for key in early.cells if key[0] == "note")
    begun = early._moment(early.load(partial(due_needs, key)), key, early.next_at)
    assert begun is not None
    source = over([open_entry(i, record) for i, record in enumerate(early.records)], None)
    assert (await verified(source)).exit_code == 0
    said = named(await replayed(source), len(early.records) - 1, "facts")
    assert "of post-hold" in said


async def test_a_rung_of_a_note_that_is_not_there_is_named():
    index = first("rung")
    other = digest("another note")
    source = told_otherwise(index, facts=facts_of(index, note=other), note=other)
    assert (await verified(source)).exit_code == 0
    assert "nothing is due of note" in named(await replayed(source), index, "facts")


async def test_a_due_record_with_a_statement_is_named_by_both():
    other = RECORDS[first("note")].statement
    for index in DUE:
        source = told_otherwise(index, statement=other)
        named(await verified(source), index, "statement")
        named(await replayed(source), index, "statement")


async def test_a_stated_record_without_its_statement_is_named_by_both():
    for kind in ("note", "watch", "release", "hold"):
        index = first(kind)
        source = told_otherwise(index, statement=b"")
        named(await verified(source), index, "statement")
        named(await replayed(source), index, "statement")


async def test_a_due_record_of_another_actor_note_channel_or_moment_is_named_by_both():
    for index in DUE:
        record = RECORDS[index]
        assert isinstance(record.facts, DueFacts)
        wrong = record.urgency.model_copy(update={"due": record.facts.due - 1})
        for field, changes in (
            ("actor", {"actor": ANNA}),
            ("note", {"note": digest("another")}),
            ("channel", {"facts": facts_of(index, channel=digest("another"))}),
            ("urgency", {"urgency": wrong}),
        ):
            source = told_otherwise(index, **changes)
            named(await verified(source), index, field)
            named(await replayed(source), index)


async def test_a_log_does_not_begin_with_a_due_record():
    record = RECORDS[first("missed-test")]
    place = record.channel.model_copy(update={"n": 1})
    source = over([open_entry(0, replace(record, channel=place))], None)
    named(await verified(source), 0, "kind")
    named(await replayed(source), 0, "kind")


@pytest.mark.parametrize("field", [field for field in FIELDS if field not in ("statement", "at")])
async def test_one_bit_of_any_field_of_a_due_record_is_named(field):
    place = FIELDS.index(field)
    for index in DUE:
        source = timed()
        entry = source.entries[index]
        value = entry.fields[place]
        if not value:
            continue
        for at in {0, len(value) // 2, len(value) - 1}:
            fields = (*entry.fields[:place], flipped(value, at), *entry.fields[place + 1 :])
            source.entries[index] = replace(entry, fields=fields)
            named(await verified(source), index, field)
            named(await replayed(source), index)
            source.entries[index] = entry


@given(
    st.sampled_from(DUE),
    st.sampled_from([field for field in FIELDS if field not in ("statement", "at")]),
    st.integers(0, 9999),
    st.integers(0, 7),
)
async def test_no_flip_of_a_bit_in_a_due_record_passes(index, field, at, bit):
    source, place = timed(), FIELDS.index(field)
    entry = source.entries[index]
    value = entry.fields[place]
    changed = flipped(value, at % len(value), 1 << bit) if value else b"x"
    fields = (*entry.fields[:place], changed, *entry.fields[place + 1 :])
    source.entries[index] = replace(entry, fields=fields)
    assert (await replayed(source)).exit_code == 1
    assert (await verified(source)).exit_code == 1


# Lateness


async def test_what_came_late_is_remarked_on_with_the_latest():
    world = line()
    world.accept(world.note(to=WITH_DEPUTY))
    world.advance(MINUTE + 60 * SECOND)
    in_time = [record.kind for record in world.fire_due()]
    assert in_time == ["rung", "rung"]
    report = await replayed(source_of(world.records, rows_of(world.cells)))
    assert report.exit_code == 0
    assert not any("came more than" in remark for remark in report.remarks), "60 s is in time"
    world.advance(10 * MINUTE)
    world.fire_due()
    index = next(
        i for i, r in enumerate(world.records) if isinstance(r.facts, RungFacts) and r.facts.rung
    )
    report = await replayed(source_of(world.records, rows_of(world.cells)))
    assert report.exit_code == 0
    assert any(
        f"4 of 6 due records came more than 60 s after their moment; the latest, entry {index} "
        "(rung), 540 s" in remark
        for remark in report.remarks
    ), report.remarks


async def test_moments_that_passed_without_a_record_are_remarked_on():
    world = line()
    notes = [world.accept(world.note(to=WITH_DEPUTY)) for _ in range(5)]
    world.advance(2 * MINUTE + SECOND)
    world.accept(world.time_confirmed())
    report = await replayed(source_of(world.records, rows_of(world.cells)))
    assert report.exit_code == 0
    assert sum("has no record" in remark for remark in report.remarks) == 3
    assert any(notes[0].digest in remark for remark in report.remarks)
    assert any("and 2 more cells" in remark for remark in report.remarks)
    world.fire_due()
    report = await replayed(source_of(world.records, rows_of(world.cells)))
    assert not any("has no record" in remark for remark in report.remarks)


def recounted(records: list[Record]) -> list[Record]:
    """Return records counted anew in their scopes, their times ascending."""
    counts: dict[str, int] = {}
    found: list[Record] = []
    at = 0
    for record in records:
        scope = record.channel.id
        counts[scope] = counts.get(scope, 0) + 1
        place = record.channel.model_copy(update={"n": counts[scope]})
        at = max(at + 1, record.at)
        found.append(replace(record, channel=place, at=at))
    return found
