"""Times: whole microseconds inside, a DTG or RFC 3339 on screens, and no clock anywhere."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liaison.words.canonical import MAX_INTEGER
from liaison.words.errors import Malformed
from liaison.words.times import DAY, HOUR, MINUTE, SECOND, from_dtg, from_typed, to_dtg, to_rfc3339

FIRST = 946_684_800 * SECOND  # 2000-01-01T00:00:00Z
END = 4_102_444_800 * SECOND  # 2100-01-01T00:00:00Z
near_dtg = st.from_regex(r"[0-9]{6}Z (JAN|FEB|jun|DEC|XYZ) [0-9]{2}\n?", fullmatch=True)


@given(st.integers(FIRST // MINUTE, END // MINUTE - 1))
@example(FIRST // MINUTE)
@example(END // MINUTE - 1)
def test_a_minute_comes_back_from_its_dtg(minute):
    assert from_dtg(to_dtg(minute * MINUTE)) == minute * MINUTE


@given(st.integers(FIRST, END - 1))
def test_a_dtg_is_cut_to_the_minute(at):
    assert from_dtg(to_dtg(at)) == at - at % MINUTE


@given(st.text() | near_dtg)
@example("010000Z JAN 26\n")
@example("٠١0000Z JAN 26")
def test_any_text_is_a_dtg_or_malformed(text):
    with suppress(Malformed):
        assert to_dtg(from_dtg(text)) == text


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("010000Z JAN 00", datetime(2000, 1, 1, tzinfo=UTC)),
        ("292359Z FEB 24", datetime(2024, 2, 29, 23, 59, tzinfo=UTC)),
        ("170915Z JUN 26", datetime(2026, 6, 17, 9, 15, tzinfo=UTC)),
        ("312359Z DEC 99", datetime(2099, 12, 31, 23, 59, tzinfo=UTC)),
    ],
)
def test_a_dtg_names_a_minute(text, when):
    at = (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert from_dtg(text) == at
    assert to_dtg(at) == text
    assert to_dtg(at + MINUTE - 1) == text


def test_exact_it_has_seconds_and_is_typed_so():
    at = from_dtg("170915Z JUN 26")
    assert to_dtg(at + 7 * SECOND, exact=True) == "17091507Z JUN 26"
    assert from_typed("17091507z jun 26", 0) == at + 7 * SECOND
    assert from_typed("170915Z JUN 26", 0) == at
    assert (from_typed("+2h", at), from_typed("-2h", at)) == (at + 2 * HOUR, at - 2 * HOUR)
    with pytest.raises(Malformed):
        from_typed("17091560Z JUN 26", 0)
    with pytest.raises(Malformed):
        from_dtg("17091507Z JUN 26")  # statements have minutes


@pytest.mark.parametrize("text", ["290000Z FEB 26", "000000Z JAN 26", "012400Z JAN 26"])
def test_a_day_or_time_that_does_not_exist_is_refused(text):
    with pytest.raises(Malformed) as caught:
        from_dtg(text)
    assert str(caught.value) == f"no such date or time: {text}"


@pytest.mark.parametrize(
    "text",
    ["170915Z jun 26", "170915Z JUX 26", "170915A JUN 26", "170915Z JUN 2026", "70915Z JUN 26", ""],
)
def test_another_spelling_of_a_dtg_is_refused(text):
    with pytest.raises(Malformed) as caught:
        from_dtg(text)
    assert str(caught.value) == f"not a date-time group DDHHMMZ MON YY: {text!r}"


@given(st.integers(-MAX_INTEGER, MAX_INTEGER))
@example(MAX_INTEGER)
@example(-MAX_INTEGER)
def test_every_time_that_a_statement_can_hold_can_be_shown(at):
    assert len(to_dtg(at)) == len("170915Z JUN 26")
    assert len(to_rfc3339(at)) == len("2026-06-17T09:15:00.000000Z")


def test_a_screen_shows_all_six_decimals():
    assert to_rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert to_rfc3339(FIRST + DAY + HOUR + SECOND + 7) == "2000-01-02T01:00:01.000007Z"


@given(st.integers(0, END))
def test_a_time_on_a_screen_is_the_time_inside(at):
    assert datetime.fromisoformat(to_rfc3339(at)) - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(
        microseconds=at
    )
