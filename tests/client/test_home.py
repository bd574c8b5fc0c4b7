"""A home's own files: what a disk did to one is said, with what is safe and what to do."""

from __future__ import annotations

import pytest

from liaison.client.home import Home
from liaison.words.errors import Damaged

STATE: dict[str, object] = {"at": 5, "texts": ["a", "b"], "who": {"anna@fco.example": True}}


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "F")
    home.make()
    return home


def test_each_flipped_bit_of_a_state_is_found(home):
    home.write_state("x.json", STATE)
    whole = home.read("x.json")
    assert home.read_state("x.json") == STATE
    end = len(whole) - 1  # what ends the line is no part of it
    for bit in range(end * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        home.write("x.json", damaged)
        if b'"#sum"' not in damaged:
            continue  # of an earlier version, by its looks
        with pytest.raises(Damaged) as told:
            home.read_state("x.json")
        assert told.value.happened.startswith(f"{home.path('x.json')} is damaged: ")
        assert told.value.safe == "the file was left as it is, and nothing was sent"
        assert told.value.do == (
            "make the home anew of its backup: liaison --home NEW key restore FILE; where there is "
            "none: another home, enrolled anew"
        )
        assert home.read("x.json") == damaged


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\0\0\0", b"\xff", b'{"a":1,"a":2}'])
def test_what_is_no_state_at_all_is_damaged_too(home, data):
    home.write("x.json", data)
    with pytest.raises(Damaged, match=r"x\.json is damaged: "):
        home.read_state("x.json")


def test_a_state_of_an_earlier_version_has_no_sum_and_is_read(home):
    home.write("x.json", b'{"at":5}\n')
    assert home.read_state("x.json") == {"at": 5}
    assert home.read_state("none.json") == {}
    home.write_state("x.json", {})
    assert home.read_state("x.json") == {}
