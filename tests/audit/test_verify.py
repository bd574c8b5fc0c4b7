"""Verify: an honest log passes; whatever one byte of it is changed, the entry is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liaison.audit.source import OpenedEntry
from liaison.ledger.entry import commit_to
from liaison.ledger.record import FIELDS, Place, fields_of, record_from
from liaison.node.ports import Head
from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.tlog.merkle import leaf_hash, root_of
from liaison.tlog.note import SignerKey
from tests.audit.logs import (
    ANCHORS,
    LOG_KEY,
    MemorySource,
    flipped,
    large,
    leaf_key,
    open_entry,
    over,
    small,
    small_world,
    verified,
)
from tests.world import ORIGIN, fixed, rows_of, signing

SIZE = len(small_world().records)
PARTS = (*FIELDS, "entry", "leaf_key", "digest", "scope")


def altered(entry: OpenedEntry, part: str, at: int, bits: int) -> OpenedEntry:
    """Return an entry with some bits of one byte of one part changed; ``at`` wraps around."""
    if part == "entry":
        return replace(entry, entry=flipped(entry.entry, at % len(entry.entry), bits))
    if part == "leaf_key":
        return replace(entry, leaf_key=flipped(entry.leaf_key, at % 32, bits))
    if part in ("digest", "scope"):
        data = entry.columns[part].encode()
        said = flipped(data, at % len(data), bits).decode("utf-8", "surrogateescape")
        return replace(entry, columns={**entry.columns, part: said})
    place = FIELDS.index(part)
    value = entry.fields[place]
    changed = flipped(value, at % len(value), bits) if value else b"x"
    return replace(entry, fields=(*entry.fields[:place], changed, *entry.fields[place + 1 :]))


async def names(source: MemorySource, index: int, *fields: str) -> None:
    report = await verified(source)
    assert report.exit_code == 1
    assert report.proven == ()
    found = report.difference
    assert found is not None
    assert found.index == index, found
    if fields:
        assert found.field in fields
    assert found.to_text() in report.to_text()


async def test_the_honest_log_is_whole_and_the_report_says_what_that_proves():
    report = await verified(small())
    assert report.difference is None
    assert report.exit_code == 0
    assert report.counts == {
        "entries": SIZE,
        "openings": 8 * SIZE,
        "signatures": SIZE,
        "tiles": 1,
    }
    assert report.checkpoint_size == SIZE
    text = report.to_text()
    for said in ("order and integrity", "completeness", "the log key signed this size"):
        assert said in text.partition("not proven:")[0]
    for said in ("nothing was refused", "until witnesses cosign"):
        assert said in text.partition("not proven:")[2]


async def test_a_log_of_several_tiles_and_levels_is_whole():
    report = await verified(large())
    assert report.difference is None
    assert report.counts["tiles"] == 4


async def test_a_store_without_a_signed_checkpoint_passes_and_the_report_says_so():
    source = small()
    source.signed = None
    report = await verified(source)
    assert report.exit_code == 0
    assert report.checkpoint_size is None
    assert any("no signed checkpoint" in said for said in report.not_proven)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("where", [0, 0.5, 1])
async def test_one_byte_of_any_part_of_any_entry_is_named(part, where):
    for index in range(SIZE):
        source = small()
        entry = source.entries[index]
        size = 32 if part == "leaf_key" else len(getattr(entry, "entry", b""))
        if part in FIELDS:
            size = len(entry.fields[FIELDS.index(part)])
        elif part in entry.columns:
            size = len(entry.columns[part])
        source.entries[index] = altered(entry, part, int(where * max(size - 1, 0)), 1)
        # A byte of the leaf lies in its frame or in the commitment to one field, which is named.
        expected = {"entry": ("entry", *FIELDS)}.get(part, (part, f"column {part}"))
        await names(source, index, *expected)


@given(st.integers(0, SIZE - 1), st.sampled_from(PARTS), st.integers(0, 9999), st.integers(1, 255))
async def test_no_change_of_a_byte_passes(index, part, at, bits):
    source = small()
    source.entries[index] = altered(source.entries[index], part, at, bits)
    await names(source, index)


@pytest.mark.parametrize("index", [0, 7, SIZE - 1])
async def test_a_leaf_served_apart_from_its_opened_entry_is_named(index):
    source = small()
    leaves = [entry.entry for entry in source.entries]
    source.leaf_rows = list(leaves)
    assert (await verified(source)).exit_code == 0
    source.leaf_rows[index] = flipped(leaves[index], 9)
    await names(source, index, "entry")


@pytest.mark.parametrize("key", [(0, 0), (0, 1), (0, 2), (1, 0)])
async def test_one_byte_of_any_tile_is_named_with_its_first_entry(key):
    level, n = key
    for at in range(0, len(large().tile_rows[key]), 251):
        source = large()
        source.tile_rows[key] = flipped(source.tile_rows[key], at)
        await names(source, (256 * n + at // 32) * 256**level, f"hash {at // 32}")


@pytest.mark.parametrize("key", [(0, 0), (0, 2), (1, 0)])
async def test_a_tile_that_is_absent_shorter_or_longer_is_named(key):
    for change in (None, lambda data: data[:-1], lambda data: data + b"\0", lambda data: b""):
        source = large()
        if change is None:
            del source.tile_rows[key]
        else:
            source.tile_rows[key] = change(source.tile_rows[key])
        report = await verified(source)
        assert report.exit_code == 1
        assert report.difference is not None
        assert report.difference.where.startswith(f"tile/{key[0]}/00{key[1]}")


@pytest.mark.parametrize("index", [0, 3, SIZE - 2])
async def test_reordered_dropped_and_doubled_entries_are_named(index):
    reordered, dropped, doubled = small(), small(), small()
    rows = reordered.entries
    rows[index], rows[index + 1] = rows[index + 1], rows[index]
    await names(reordered, index)
    del dropped.entries[index]
    await names(dropped, index)
    doubled.entries.insert(index, doubled.entries[index])
    await names(doubled, index + 1)


@pytest.mark.parametrize("index", [3, SIZE - 2])
async def test_a_node_that_signs_a_reordered_or_shortened_log_is_found_out(index):
    def signed(entries: list[OpenedEntry]) -> MemorySource:
        return over([replace(e, index=i) for i, e in enumerate(entries)], {})

    honest = small().entries
    assert (await verified(signed(list(honest)))).exit_code == 0
    swapped = list(honest)
    swapped[index], swapped[index + 1] = swapped[index + 1], swapped[index]
    assert (await verified(signed(swapped))).exit_code == 1
    await names(signed([*honest[: index + 1], *honest[index:]]), index + 1)
    await names(signed([*honest[1:]]), 0)


async def test_entries_behind_the_head_and_a_store_cut_at_its_end_are_found():
    source = small()
    source.entries.append(replace(source.entries[-1], index=SIZE))
    await names(source, SIZE, "index")
    source = small()
    source.entries.pop()
    await names(source, SIZE - 1, "index")


async def test_a_head_that_does_not_fit_is_found():
    head = small().head
    assert head is not None
    for wrong, field in (
        (replace(head, root=flipped(head.root, 3)), "root"),
        (replace(head, at=head.at + 1), "at"),
        (Head(0, head.root, 0), "size"),
    ):
        source = small()
        source.head = wrong
        report = await verified(source)
        assert report.difference is not None
        assert (report.difference.where, report.difference.field) == ("head", field)


async def test_an_empty_log_is_not_a_whole_one():
    report = await verified(MemorySource([], {}, {}, None, None))
    assert report.exit_code == 1
    assert report.difference is not None
    assert report.difference.came == "an empty log"


# Checkpoints


async def test_a_checkpoint_by_another_key_or_of_another_origin_is_refused():
    other = SignerKey(ORIGIN, fixed("another log key"))
    elsewhere = SignerKey("elsewhere.example/log", LOG_KEY.seed)
    for signer in (other, elsewhere):
        report = await verified(over(small().entries, None, signer=signer))
        assert report.difference is not None
        assert report.difference.where == "checkpoint"
    for wrong in (
        replace(ANCHORS, log_key=signing("node").public),
        replace(ANCHORS, origin="elsewhere.example/log"),
    ):
        report = await verified(small(), wrong)
        assert report.difference is not None
        assert report.difference.where == "checkpoint"


@pytest.mark.parametrize("at", range(0, 260, 13))
async def test_a_byte_of_the_checkpoint_is_not_changed_unseen(at):
    source = small()
    assert source.signed is not None
    data = source.signed.encode()
    source.signed = flipped(data, at % len(data)).decode("utf-8", "replace")
    assert (await verified(source)).exit_code == 1


@pytest.mark.parametrize("size", [1, 20, SIZE])
async def test_a_kept_checkpoint_must_be_of_this_log(size):
    from liaison.audit.walk import verify

    source = small()
    source.signed = None
    hashes = [leaf_hash(entry.entry) for entry in source.entries[:size]]
    honest = sign_checkpoint(Checkpoint(ORIGIN, size, root_of(hashes)), LOG_KEY)
    report = await verify(source, ANCHORS, now=0, checkpoints=[honest])
    assert report.exit_code == 0
    assert report.checkpoint_size == size
    forked = sign_checkpoint(Checkpoint(ORIGIN, size, fixed("another root")), LOG_KEY)
    report = await verify(source, ANCHORS, now=0, checkpoints=[honest, forked])
    assert report.difference is not None
    assert (report.difference.where, report.difference.field) == ("checkpoint", "root")


async def test_a_kept_checkpoint_larger_than_the_log_shows_that_it_was_cut():
    from liaison.audit.walk import verify

    source = small()
    beyond = sign_checkpoint(Checkpoint(ORIGIN, SIZE + 1, fixed("root")), LOG_KEY)
    report = await verify(source, ANCHORS, now=0, checkpoints=[beyond])
    assert report.difference is not None
    assert report.difference.field == "size"


# A node that lies, with commitments, tree and signature made to fit


def lying(index: int, **changes: object) -> MemorySource:
    """Return a log that commits to a changed record at ``index``."""
    entries = small().entries
    record = record_from(entries[index].fields)
    entries[index] = open_entry(index, replace(record, **changes))  # type: ignore[arg-type]
    return over(entries, rows_of(small_world().cells))


async def test_a_statement_by_a_key_not_bound_is_named():
    world = small_world().copy()
    forged = world.note(key=signing("nobody"))
    record = record_from(small().entries[-2].fields)
    record = replace(
        record,
        statement=forged.raw,
        facts=record.facts.model_copy(
            update={"statement": forged.digest, "payload": forged.payload_digest}
        ),
    )
    entries = [*small().entries]
    entries[-2] = open_entry(SIZE - 2, replace(record, actor=forged.payload.by))
    await names(over(entries, None), SIZE - 2, "statement")


async def test_a_signature_that_is_not_by_the_key_it_names_is_named():
    """A signature moved from one statement to another: the spelling is whole, the key is bound."""
    index = SIZE - 3
    record = record_from(small().entries[index].fields)
    others = record_from(small().entries[index - 1].fields)
    sig = others.statement.split(b'"sig":"')[1]
    raw = record.statement.split(b'"sig":"')[0] + b'"sig":"' + sig
    from liaison.statements.statement import parse_statement

    read = parse_statement(raw)
    facts = record.facts.model_copy(update={"statement": read.digest})
    await names(lying(index, statement=raw, facts=facts), index, "statement")


async def test_a_time_that_does_not_ascend_is_named():
    before = record_from(small().entries[11].fields).at
    for at in (before, before - 1, 0):
        await names(lying(12, at=at), 12, "at")


async def test_a_gap_in_a_scope_is_named():
    record = record_from(small().entries[12].fields)
    for n in (record.channel.n + 1, record.channel.n + 7):
        await names(lying(12, channel=Place(id=record.channel.id, n=n)), 12, "channel")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "node"}, None),
        ({"actor": "nobody@fco.example"}, "actor"),
        ({"statement": b""}, "statement"),
        ({"statement": b"{}"}, "statement"),
    ],
)
async def test_fields_that_do_not_fit_their_statement_are_named(changes, field):
    index = SIZE - 1
    record = record_from(small().entries[index].fields)
    fields = list(fields_of(record))
    for name, value in changes.items():
        fields[FIELDS.index(name)] = value.encode() if isinstance(value, str) else value
    key = leaf_key(index)
    entries = [*small().entries]
    entries[index] = replace(entries[index], entry=commit_to(fields, key)[0], fields=tuple(fields))
    await names(over(entries, None), index, *([field] if field else []))


async def test_a_payload_that_is_logged_twice_is_named():
    last = record_from(small().entries[-1].fields)
    place = Place(id=last.channel.id, n=last.channel.n + 1)
    again = open_entry(SIZE, replace(last, at=last.at + 1, channel=place))
    await names(over([*small().entries, again], None), SIZE, "statement")


async def test_a_longer_spelling_of_a_leaf_key_is_named():
    source = small()
    source.entries[4] = replace(source.entries[4], leaf_key=leaf_key(4) + b"\0")
    await names(source, 4, "leaf_key")


async def test_a_log_that_begins_with_other_keys_than_the_anchors_is_named():
    wrong = replace(ANCHORS, administrator_key=signing("node").public)
    report = await verified(small(), wrong)
    assert report.difference is not None
    assert report.difference.field == "statement.administrator_key"
    assert report.difference.index == 0


@given(
    st.lists(st.binary(max_size=40), max_size=10), st.binary(max_size=400), st.binary(max_size=33)
)
async def test_whatever_a_source_says_there_is_a_report(fields, leaf, key):
    source = over([], None)
    entry = OpenedEntry(0, leaf, key, tuple(fields))
    source.entries, source.signed, source.head = [entry], None, Head(1, leaf_hash(leaf), 1)
    assert (await verified(source)).exit_code == 1
    if len(fields) == 8:
        committed = replace(entry, entry=commit_to(fields, bytes(32))[0], leaf_key=bytes(32))
        source.entries = [committed]
        assert (await verified(source)).exit_code == 1
