"""Replay: from the statements alone the same records and cells follow, or the first is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liaison.ledger.record import FIELDS, Record, Urgency, record_from
from liaison.rules.cells import Taken
from liaison.statements.payloads import MemberRole, Verdict
from liaison.words.precedence import Precedence
from tests.audit.logs import (
    ANCHORS,
    MemorySource,
    flipped,
    large,
    open_entry,
    over,
    replayed,
    small,
    small_world,
    verified,
)
from tests.world import ANNA, MOD, digest, rows_of, signing

SIZE = len(small_world().records)
CELLS = tuple(rows_of(small_world().cells))


def record_at(index: int) -> Record:
    return record_from(small().entries[index].fields)


def lying(index: int, record: Record) -> MemorySource:
    entries = small().entries
    entries[index] = open_entry(index, record)
    return over(entries, rows_of(small_world().cells))


async def names(source: MemorySource, index: int | None, field: str = "") -> None:
    report = await replayed(source)
    assert report.exit_code == 1
    assert report.digest is None
    found = report.difference
    assert found is not None
    assert found.index == index, found
    if field:
        assert found.field == field


@pytest.mark.parametrize("make", [small, large])
async def test_the_honest_log_replays_to_its_cells(make):
    report = await replayed(make())
    assert report.difference is None
    assert report.exit_code == 0
    assert report.counts == {"records": len(make().entries), "cells": len(make().cell_rows)}
    assert "byte for byte" in report.to_text()
    assert any("audit verify" in said for said in report.not_proven)


async def test_a_source_without_cells_replays_and_the_report_says_so():
    source = small()
    source.cell_rows = None
    report = await replayed(source)
    assert report.exit_code == 0
    assert "cells" not in report.counts
    assert any("no cells" in said for said in report.not_proven)


# A node that lies: leaves, tree and signature fit, so only the rules can tell


def told_otherwise() -> list[tuple[int, str, Record]]:
    """Each a record of the small log and what a lying node could make of it."""
    found: list[tuple[int, str, Record]] = []

    def change(index: int, field: str, record: Record, **facts: Any) -> None:
        if facts:
            record = replace(record, facts=record.facts.model_copy(update=facts))
        found.append((index, field, record))

    for index in range(SIZE):
        record = record_at(index)
        if record.kind == "note":
            change(index, "facts", record, precedence=Precedence.ROUTINE)
            change(index, "facts", record, sender="edwin.earl@mod.example")
            change(index, "facts", record, reference=9)
            change(index, "note", replace(record, note=digest("another")))
            change(index, "urgency", replace(record, urgency=Urgency()))
        elif record.kind == "answer":
            change(index, "facts", record, verdict=Verdict.DECLINED)
        elif record.kind == "member":
            change(index, "facts", record, roles=tuple(MemberRole))
        elif record.kind == "void":
            change(index, "facts", record, serial=5)
        elif record.kind == "posting":
            change(index, "facts", record, holders=())
    return found


@pytest.mark.parametrize(
    ("index", "field", "record"),
    [
        pytest.param(*each, id=f"{each[2].kind}-{each[0]}-{n}")
        for n, each in enumerate(told_otherwise())
    ],
)
async def test_what_a_lying_node_committed_to_passes_verify_and_is_named_by_replay(
    index, field, record
):
    source = lying(index, record)
    assert (await verified(source)).exit_code == 0
    await names(source, index, field)


async def test_a_statement_that_the_rules_refuse_is_named_with_the_refusal():
    """Anna's note, though the note that it would take to open it came first: a serial used twice."""
    world = small_world().copy()
    last = world.records[-1]
    used = world.void(ANNA, MOD, 2, issued=world.clock + 1)
    place = last.channel.model_copy(update={"n": last.channel.n + 1})
    facts = last.facts.model_copy(update={"statement": used.digest, "payload": used.payload_digest})
    forged = replace(last, at=last.at + 1, channel=place, statement=used.raw, facts=facts)
    source = over([*small().entries, open_entry(SIZE, forged)], None)
    assert (await verified(source)).exit_code == 0
    await names(source, SIZE, "statement")
    report = await replayed(source)
    assert report.difference is not None
    assert "a refusal (" in report.difference.expected


async def test_a_record_decided_too_late_for_its_lapse_is_named():
    last = record_at(SIZE - 1)
    await names(lying(SIZE - 1, replace(last, at=last.at + 10**12)), SIZE - 1, "statement")


async def test_a_duplicate_is_named_with_its_first():
    last = record_at(SIZE - 1)
    place = last.channel.model_copy(update={"n": last.channel.n + 1})
    again = open_entry(SIZE, replace(last, at=last.at + 1, channel=place))
    report = await replayed(over([*small().entries, again], None))
    assert report.difference is not None
    assert f"duplicate of entry {SIZE - 1}" in report.difference.expected


async def test_times_that_do_not_ascend_are_named():
    before = record_at(11).at
    await names(lying(12, replace(record_at(12), at=before)), 12, "at")


async def test_other_anchors_are_named():
    report = await replayed(small(), replace(ANCHORS, node_key=signing("log").public))
    assert report.difference is not None
    assert report.difference.field == "statement.node_key"


# Stored bytes


# The time is what a record is decided at, so replay takes it as it stands: only verify, which has
# the leaf, can tell that it was changed.
DECIDED = tuple(field for field in FIELDS if field != "at")


@pytest.mark.parametrize("field", DECIDED)
async def test_one_byte_of_any_field_of_any_record_is_named(field):
    place = FIELDS.index(field)
    for index in range(SIZE):
        source = small()
        entry = source.entries[index]
        value = entry.fields[place]
        changed = flipped(value, len(value) // 2) if value else b"x"
        source.entries[index] = replace(
            entry, fields=(*entry.fields[:place], changed, *entry.fields[place + 1 :])
        )
        await names(source, index)


async def test_one_byte_of_a_time_is_named_by_verify():
    for index in range(SIZE):
        source = small()
        entry = source.entries[index]
        kind, at, *rest = entry.fields
        source.entries[index] = replace(entry, fields=(kind, flipped(at, len(at) - 1), *rest))
        report = await verified(source)
        assert report.difference is not None
        assert (report.difference.index, report.difference.field) == (index, "at")


@given(
    st.integers(0, SIZE - 1), st.sampled_from(DECIDED), st.integers(0, 9999), st.integers(1, 255)
)
async def test_no_change_of_a_byte_passes(index, field, at, bits):
    source, place = small(), FIELDS.index(field)
    entry = source.entries[index]
    value = entry.fields[place]
    changed = flipped(value, at % len(value), bits) if value else bytes([bits])
    source.entries[index] = replace(
        entry, fields=(*entry.fields[:place], changed, *entry.fields[place + 1 :])
    )
    assert (await replayed(source)).exit_code == 1


@pytest.mark.parametrize("index", [0, 3, SIZE - 2])
async def test_reordered_dropped_and_doubled_records_are_named(index):
    reordered, dropped, doubled = small(), small(), small()
    rows = reordered.entries
    rows[index], rows[index + 1] = rows[index + 1], rows[index]
    await names(reordered, index, "index")
    del dropped.entries[index]
    await names(dropped, index, "index")
    doubled.entries.insert(index, doubled.entries[index])
    await names(doubled, index + 1, "index")


@pytest.mark.parametrize("key", CELLS)
async def test_a_cell_that_is_changed_missing_or_renamed_is_named(key):
    row = rows_of(small_world().cells)[key]
    for at in {0, len(row) // 2, len(row) - 1}:
        source = small()
        assert source.cell_rows is not None
        source.cell_rows[key] = flipped(row, at)
        report = await replayed(source)
        assert report.difference is not None
        assert report.difference.where == f"cell {key}"
        assert report.difference.index is not None
    for rename in (False, True):
        source = small()
        assert source.cell_rows is not None
        del source.cell_rows[key]
        if rename:
            source.cell_rows[f"{key}~"] = row
        report = await replayed(source)
        assert report.difference is not None
        assert report.difference.where == f"cell {key}"


async def test_a_cell_too_many_is_named():
    source = small()
    assert source.cell_rows is not None
    extra = " ".join(Taken.key_of("a scope", "a payload"))
    source.cell_rows[extra] = b"{}"
    report = await replayed(source)
    assert report.difference is not None
    assert report.difference.where == f"cell {extra}"
    assert report.difference.expected == "no such cell"
