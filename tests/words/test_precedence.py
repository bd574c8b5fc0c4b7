"""Precedence: six levels in the order of RFC 6710, and one band above for what stops something."""

from __future__ import annotations

import pytest

from liaison.words.precedence import STOP_BAND, Precedence


def test_the_levels_ascend_from_deferred_to_override():
    assert [level.value for level in sorted(Precedence, key=lambda level: level.rank)] == [
        "deferred",
        "routine",
        "priority",
        "immediate",
        "flash",
        "override",
    ]
    assert [level.rank for level in Precedence] == [0, 1, 2, 3, 4, 5]


def test_what_stops_something_goes_above_override():
    assert max(level.rank for level in Precedence) + 1 == STOP_BAND


def test_a_level_has_one_spelling():
    assert Precedence("flash") is Precedence.FLASH
    with pytest.raises(ValueError, match="'FLASH' is not a valid Precedence"):
        Precedence("FLASH")
