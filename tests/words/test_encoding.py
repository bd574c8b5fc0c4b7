"""Exactly one spelling: what is read writes itself back, and every other spelling is refused."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liaison.words.encoding import (
    from_base64,
    from_base64url,
    from_decimal,
    to_base64,
    to_base64url,
    to_decimal,
)
from liaison.words.errors import Malformed

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
near_base64 = st.text(alphabet=ALPHABET + "-_= \n", max_size=12)
near_decimal = st.text(alphabet="0123456789+-_ .eE٣\n", max_size=21)


@given(st.binary(max_size=200))
def test_bytes_come_back_from_base64(data):
    text = to_base64(data)
    assert from_base64(text) == data
    assert from_base64(text, size=len(data)) == data
    assert text == base64.b64encode(data).decode()


@given(st.binary(max_size=200))
def test_bytes_come_back_from_base64url(data):
    text = to_base64url(data)
    assert from_base64url(text) == data
    assert from_base64url(text, size=len(data)) == data
    assert not set(text) & set("+/=")


@given(st.text() | near_base64)
@example("AA==\n")
@example("AA=A")
@example("AAAA====")
@example("=AAA")
@example("ÄAAA")
@example("\ud800AAA")
def test_any_text_is_base64_or_malformed(text):
    with suppress(Malformed):
        assert to_base64(from_base64(text)) == text


@given(st.text() | near_base64)
@example("A")
@example("AA\n")
@example("AA==")
@example("\ud800AA")
def test_any_text_is_base64url_or_malformed(text):
    with suppress(Malformed):
        assert to_base64url(from_base64url(text)) == text


@given(st.integers(min_value=0, max_value=10**19 - 1))
def test_a_number_comes_back_from_its_decimals(number):
    assert from_decimal(to_decimal(number)) == number


@given(st.text() | near_decimal)
@example("9" * 5000)  # int() gives up past 4300 digits
@example("٣")  # a digit, but not ours
@example("7\n")
def test_any_text_is_a_decimal_or_malformed(text):
    with suppress(Malformed):
        assert to_decimal(from_decimal(text)) == text


def test_base64_is_read():
    assert from_base64("") == b""
    assert from_base64("AA==", size=1) == b"\0"
    assert from_base64("+/8=") == b"\xfb\xff"
    assert from_base64url("-_8") == b"\xfb\xff"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("AB==", "not padded base64: its trailing bits aren't zero"),
        ("AAB=", "not padded base64: its trailing bits aren't zero"),
        ("AA", "not padded base64: "),
        ("AA=", "not padded base64: "),
        ("A", "not padded base64: "),
        ("AA==AA==", "not padded base64: "),
        ("AA==\n", "not padded base64: "),
        (" AA==", "not padded base64: "),
        ("A A==", "not padded base64: "),
        ("-_8=", "not padded base64: "),
        ("ÄA==", "not padded base64: "),
        ("\ud800A==", "not padded base64: "),
    ],
)
def test_another_spelling_of_base64_is_refused(text, reason):
    with pytest.raises(Malformed) as caught:
        from_base64(text)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("AB", "its trailing bits aren't zero"),
        ("AAB", "its trailing bits aren't zero"),
        ("AA==", "not unpadded base64url: it has a character of another alphabet"),
        ("+_8", "not unpadded base64url: it has a character of another alphabet"),
        ("-/8", "not unpadded base64url: it has a character of another alphabet"),
        ("A", "not unpadded base64url: "),
        ("AAAAA", "not unpadded base64url: "),
        ("AA\n", "not unpadded base64url: "),
        ("Ä", "not unpadded base64url: "),
    ],
)
def test_another_spelling_of_base64url_is_refused(text, reason):
    with pytest.raises(Malformed) as caught:
        from_base64url(text)
    assert reason in str(caught.value)
    assert "not padded" not in str(caught.value)


@pytest.mark.parametrize(("read", "text"), [(from_base64, "AAA="), (from_base64url, "AAA")])
def test_another_number_of_bytes_is_refused(read, text):
    assert read(text, 2) == b"\0\0"
    with pytest.raises(Malformed, match=r"^2 bytes, not 32$"):
        read(text, 32)


def test_decimals_are_read():
    assert from_decimal("0") == 0
    assert from_decimal("7") == 7
    assert from_decimal("9" * 19) == 10**19 - 1


@pytest.mark.parametrize(
    "text",
    [
        "07",
        "+7",
        "-7",
        " 7",
        "7 ",
        "7\n",
        "7_0",
        "00",
        "-0",
        "",
        "7.0",
        "7e1",
        "0x7",
        "٣",
        "1" * 20,
    ],
)
def test_another_spelling_of_a_decimal_is_refused(text):
    with pytest.raises(Malformed) as caught:
        from_decimal(text)
    assert str(caught.value) == f"not a plain decimal number: {text!r}"


def test_a_decimal_of_5000_digits_is_refused_and_not_repeated():
    with pytest.raises(Malformed) as caught:
        from_decimal("9" * 5000)
    assert str(caught.value) == f"not a plain decimal number: '{'9' * 24}'"


def test_only_natural_numbers_below_ten_to_the_nineteen_are_written():
    assert to_decimal(10**19 - 1) == "9" * 19
    with pytest.raises(ValueError, match="negative: -1"):
        to_decimal(-1)
    with pytest.raises(ValueError, match="not below 10\\^19"):
        to_decimal(10**19)
