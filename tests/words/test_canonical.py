"""Canonical JSON: equal bytes mean equal values, and everything else is refused and says why."""

from __future__ import annotations

import json
from contextlib import suppress
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liaison.words.canonical import MAX_DEPTH, MAX_INTEGER, format_canonical, parse_canonical
from liaison.words.errors import Malformed

names = st.text(alphabet=st.characters(max_codepoint=127), max_size=6)
texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=5)
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(objects.filter(lambda value: depth_of(value) <= MAX_DEPTH))
@example({"a": {"": [True, False, 0, -1, MAX_INTEGER, -MAX_INTEGER, "é\U0001f600\x00\x7f\u2028"]}})
def test_a_value_comes_back_from_its_bytes(value):
    data = format_canonical(value)
    back = parse_canonical(data)
    assert back == value
    assert format_canonical(back) == data
    assert json.loads(data) == value


@given(st.binary(max_size=40) | st.dictionaries(st.text(max_size=4), anything).map(json.dumps))
@example(b"\xef\xbb\xbf{}")
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'{"a":"\\ud800"}')
@example(b'{"a":' + b"9" * 5000 + b"}")
def test_any_bytes_are_a_value_or_malformed(data):
    raw = data.encode() if isinstance(data, str) else data
    with suppress(Malformed):
        assert format_canonical(parse_canonical(raw)) == raw


@given(anything)
def test_any_value_is_written_as_it_is_read_or_malformed(value):
    with suppress(Malformed):
        data = format_canonical({"a": value})
        assert parse_canonical(data) == {"a": value}


@given(st.permutations([f"m{n}" for n in range(4)]))
def test_only_one_order_of_members_is_read(order):
    raw = json.dumps(dict.fromkeys(order, 1), separators=(",", ":")).encode()
    if order == sorted(order):
        assert parse_canonical(raw) == dict.fromkeys(order, 1)
    else:
        with pytest.raises(Malformed, match="order of members"):
            parse_canonical(raw)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"{}", {}),
        (b'{"a":1,"b":[true,false],"c":{}}', {"a": 1, "b": [True, False], "c": {}}),
        (b'{"A":1,"a":2}', {"A": 1, "a": 2}),
        (b'{"a":-1}', {"a": -1}),
        (b'{"a":0}', {"a": 0}),
        (b'{"a":9007199254740991,"b":-9007199254740991}', {"a": 2**53 - 1, "b": 1 - 2**53}),
        ('{"a":"é\U0001f600"}'.encode(), {"a": "é\U0001f600"}),
        (b'{"a":"\\u0000\\b\\t\\n\\f\\r\\u001f\\"\\\\/\x7f"}', {"a": '\0\b\t\n\f\r\x1f"\\/\x7f'}),
    ],
)
def test_the_one_spelling_is_read_and_written(data, value):
    assert parse_canonical(data) == value
    assert format_canonical(value) == data


def test_eight_levels_are_read_and_written():
    assert format_canonical(parse_canonical(nested(8))) == nested(8)
    assert parse_canonical(b'{"a":' + b"[" * 7 + b"]" * 7 + b"}")


SPELLING = "not canonical JSON: white space, order of members or spelling of a string differs"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b'{"a":1,"a":1}', "member 'a' stands twice", id="duplicate"),
        pytest.param(b'{"b":{"a":1,"a":2}}', "member 'a' stands twice", id="duplicate-inside"),
        pytest.param(b'{"a":1,"\\u0061":2}', "member 'a' stands twice", id="duplicate-escaped"),
        pytest.param(b'{"a":NaN}', "NaN is not a JSON value", id="NaN"),
        pytest.param(b'{"a":Infinity}', "Infinity is not a JSON value", id="Infinity"),
        pytest.param(b'{"a":-Infinity}', "-Infinity is not a JSON value", id="-Infinity"),
        pytest.param(b'{"a":1.5}', "number 1.5 has a fraction or an exponent", id="fraction"),
        pytest.param(b'{"a":1.0}', "number 1.0 has a fraction or an exponent", id="fraction-0"),
        pytest.param(b'{"a":1e3}', "number 1e3 has a fraction or an exponent", id="exponent"),
        pytest.param(b'{"a":1E400}', "number 1E400 has a fraction or an exponent", id="exponent-E"),
        pytest.param(b'{"a":null}', "a: NoneType is not in the subset", id="null"),
        pytest.param(b'{"a":[null]}', "a: NoneType is not in the subset", id="null-inside"),
        pytest.param(b'{"a":9007199254740992}', "a: integer is not below 2^53", id="2^53"),
        pytest.param(b'{"a":-9007199254740992}', "a: integer is not below 2^53", id="-2^53"),
        pytest.param(
            b'{"a":' + b"9" * 5000 + b"}",
            f"integer {'9' * 24} is not below 2^53",
            id="5000-digits",
        ),
        pytest.param(nested(9), "a: nested deeper than 8 levels", id="depth-9"),
        pytest.param(
            b'{"a":' + b"[" * 8 + b"]" * 8 + b"}", "a: nested deeper than 8 levels", id="lists-9"
        ),
        pytest.param(nested(100_000), "nested deeper than 8 levels", id="depth-100000"),
        pytest.param(
            b'{"a":"\\ud800"}',
            "a: a lone surrogate is not well-formed UTF-8",
            id="lone-surrogate",
        ),
        pytest.param(b'{"a":"\xed\xa0\x80"}', "not UTF-8 at byte 6", id="surrogate-in-bytes"),
        pytest.param(b'{"\xc3\xa9":1}', "member name 'é' is not ASCII", id="non-ASCII-name"),
        pytest.param(b'{"\\ud800":1}', "member name '\\ud800' is not ASCII", id="surrogate-name"),
        pytest.param(b'{"a": 1}', SPELLING, id="white-space"),
        pytest.param(b' {"a":1}', SPELLING, id="white-space-before"),
        pytest.param(b'{"a":1}\n', SPELLING, id="white-space-after"),
        pytest.param(b'{"b":1,"a":2}', SPELLING, id="unsorted"),
        pytest.param(b'{"a":2,"A":1}', SPELLING, id="unsorted-case"),
        pytest.param(b'{"a":-0}', SPELLING, id="-0"),
        pytest.param(b'{"a":"\\u0062"}', SPELLING, id="needless-escape"),
        pytest.param(b'{"a":"\\/"}', SPELLING, id="escaped-solidus"),
        pytest.param(b'{"a":"\\u001F"}', SPELLING, id="upper-case-escape"),
        pytest.param(b'{"a":"\\u000a"}', SPELLING, id="long-escape"),
        pytest.param(b'{"a":"\\ud83d\\ude00"}', SPELLING, id="escaped-pair"),
        pytest.param(b'{"a":01}', "not JSON: Expecting ',' delimiter at character 6", id="01"),
        pytest.param(b'{"a":+1}', "not JSON: Expecting value at character 5", id="+1"),
        pytest.param(b'{"a":1}{}', "not JSON: Extra data at character 7", id="two-values"),
        pytest.param(b"", "not JSON: Expecting value at character 0", id="nothing"),
        pytest.param(b"[]", "not a JSON object", id="list"),
        pytest.param(b'"a"', "not a JSON object", id="string"),
        pytest.param(b"1", "not a JSON object", id="number"),
        pytest.param(b"null", "not a JSON object", id="null-alone"),
        pytest.param(b"\xff{}", "not UTF-8 at byte 0", id="not-UTF-8"),
    ],
)
def test_anything_else_is_refused_and_says_why(data, reason):
    with pytest.raises(Malformed) as caught:
        parse_canonical(data)
    assert str(caught.value) == reason


def test_a_byte_order_mark_is_refused():
    with pytest.raises(Malformed, match=r"^not JSON: "):
        parse_canonical(b"\xef\xbb\xbf{}")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": None}, "a: NoneType is not in the subset"),
        ({"a": 1.0}, "a: float is not in the subset"),
        ({"a": b"x"}, "a: bytes is not in the subset"),
        ({"a": {1}}, "a: set is not in the subset"),
        ({"a": 2**53}, "a: integer is not below 2^53"),
        ({"a": "\ud800"}, "a: a lone surrogate is not well-formed UTF-8"),
        ({1: 1}, "member name 1 is not ASCII"),
        ({"é": 1}, "member name 'é' is not ASCII"),
        ({"a": [[[[[[[[1]]]]]]]]}, "a: nested deeper than 8 levels"),
    ],
)
def test_a_value_outside_the_subset_is_not_written(value, reason):
    with pytest.raises(Malformed) as caught:
        format_canonical(value)
    assert str(caught.value) == reason


def test_any_mapping_and_sequence_is_written():
    assert format_canonical(MappingProxyType({"b": (1, 2), "a": {}})) == b'{"a":{},"b":[1,2]}'
