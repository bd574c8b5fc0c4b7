"""Records: eight fields, and back (REC, FACT)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liaison.ledger.facts import FACTS
from liaison.ledger.record import FIELDS, Place, Record, Urgency, fields_of, record_from
from liaison.statements.kinds import KINDS
from liaison.words.errors import Malformed
from liaison.words.precedence import Precedence
from tests.rules.story import tell_all
from tests.world import ANNA

NEVER_LOGGED = {"refusal", "session"}


def records() -> dict[str, Record]:
    return {record.kind: record for record in tell_all().records}


RECORDS = records()


def test_every_kind_that_is_logged_has_facts_and_a_sample():
    missing = set(KINDS) - NEVER_LOGGED - set(FACTS)
    assert not missing, f"no facts model for {missing}"
    assert set(FACTS) == set(RECORDS)


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_read_back_from_its_fields(kind):
    fields = fields_of(RECORDS[kind])
    assert len(fields) == len(FIELDS)
    assert record_from(fields) == RECORDS[kind]
    assert fields_of(record_from(fields)) == fields


@pytest.mark.parametrize("kind", RECORDS)
def test_a_field_with_another_spelling_is_named(kind):
    good = fields_of(RECORDS[kind])
    for place, worse, complaint in (
        (0, b"memo", "kind: no record kind b'memo' in this version"),
        (0, b"\xff", "not ASCII"),
        (1, b"0" + good[1], "not a plain decimal"),
        (1, b"", "not a plain decimal"),
        (2, good[2].replace(b":", b": ", 1), "channel: not its one spelling"),
        (2, b"{}", r"channel\.id"),
        (3, b"\xff", "not ASCII"),
        (4, b"\xff", "not ASCII"),
        (5, good[5][:-1] + b',"due":null}', "urgency: not its one spelling"),
        (5, b"{}", "urgency: not its one spelling"),
        (7, good[7] + b" ", "facts: not its one spelling"),
        (7, b'{"zeal":1,' + good[7][1:], r"facts\.zeal"),
        (7, b"{}", r"facts\."),
    ):
        changed = [*good]
        changed[place] = worse
        with pytest.raises(Malformed, match=complaint):
            record_from(changed)
    with pytest.raises(Malformed, match="7 fields, not 8"):
        record_from(good[:7])


@given(
    at=st.integers(0, 2**53 - 1),
    n=st.integers(1, 2**53 - 1),
    about=st.lists(st.integers(0, 2**53 - 1), max_size=4),
    precedence=st.none() | st.sampled_from(Precedence),
    due=st.none() | st.integers(0, 2**53 - 1),
    outcome=st.none() | st.just("delivered"),
    exercise=st.booleans(),
    statement=st.binary(max_size=40),
)
def test_any_record_is_read_back(at, n, about, precedence, due, outcome, exercise, statement):
    record = Record(
        kind="void",
        at=at,
        channel=Place(id="x", n=n),
        note="",
        actor=ANNA,
        urgency=Urgency(
            precedence=precedence,
            about=tuple(about),
            due=due,
            outcome=outcome,
            exercise=exercise,
        ),
        statement=statement,
        facts=RECORDS["void"].facts,
    )
    assert record_from(fields_of(record)) == record
