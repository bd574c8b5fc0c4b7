"""Canonical JSON: the subset of RFC 8785 that liaison signs. protocols/statements.md, JSON.

Objects with ASCII names in ascending order, arrays, strings of well-formed UTF-8, integers of
magnitude below 2^53, true and false; no null, no fraction, no exponent, no white space, at most
8 levels. Equal bytes mean equal values, and the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

import orjson

from liaison.words.errors import Malformed

MAX_DEPTH: Final = 8
MAX_INTEGER: Final = 2**53 - 1

Json = str | int | bool | Sequence["Json"] | Mapping[str, "Json"]


def spell(value: object) -> bytes:
    """Return the spelling of a value that is known to be of the subset, as models' values are."""
    return orjson.dumps(value, default=dict, option=orjson.OPT_SORT_KEYS)


def format_canonical(value: object) -> bytes:
    """Return the one spelling of ``value``: mappings, sequences, ``str``, ``int``, ``bool``.

    Raises:
        Malformed: a value outside the subset.
    """
    _check(value, 1)
    return spell(value)


def parse_canonical(data: bytes) -> dict[str, object]:
    """Return the object that ``data`` spells.

    Raises:
        Malformed: not an object, or not its one spelling; the member is named where there is one.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Malformed(f"not UTF-8 at byte {exc.start}") from exc
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_float=_no_fraction,
            parse_constant=_no_constant,
            parse_int=_integer,
        )
    except json.JSONDecodeError as exc:
        raise Malformed(f"not JSON: {exc.msg} at character {exc.pos}") from exc
    except RecursionError as exc:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels") from exc
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    _check(value, 1)
    if spell(value) != data:
        raise Malformed(
            "not canonical JSON: white space, order of members or spelling of a string differs"
        )
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Malformed(f"member {name!r} stands twice")
            seen.add(name)
    return members


def _no_fraction(text: str) -> NoReturn:
    raise Malformed(f"number {text[:24]} has a fraction or an exponent")


def _no_constant(text: str) -> NoReturn:
    raise Malformed(f"{text} is not a JSON value")


def _integer(text: str) -> int:
    if len(text) > 17:
        raise Malformed(f"integer {text[:24]} is not below 2^53")
    return int(text)


def _check(value: object, depth: int, where: str = "") -> None:
    kind = type(value)
    if kind is str:
        _check_text(value, where)  # type: ignore[arg-type]
    elif kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]
            raise Malformed(f"{where or 'value'}: integer is not below 2^53")
    elif kind is bool:
        pass
    elif isinstance(value, Mapping):
        if depth > MAX_DEPTH:
            raise Malformed(f"{where or 'value'}: nested deeper than {MAX_DEPTH} levels")
        for name, member in value.items():
            if type(name) is not str or not name.isascii():
                raise Malformed(f"member name {name!r} is not ASCII")
            _check(member, depth + 1, name)
    elif isinstance(value, (list, tuple)):
        if depth > MAX_DEPTH:
            raise Malformed(f"{where or 'value'}: nested deeper than {MAX_DEPTH} levels")
        for item in value:
            _check(item, depth + 1, where)
    else:
        raise Malformed(f"{where or 'value'}: {kind.__name__} is not in the subset")


def _check_text(text: str, where: str) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise Malformed(f"{where or 'string'}: a lone surrogate is not well-formed UTF-8") from exc
