"""The node's answers by their shape. What they say proves nothing; another shape is Malformed."""

from __future__ import annotations

import json
import math
from typing import Final

from liaison.words.canonical import MAX_INTEGER
from liaison.words.encoding import from_decimal
from liaison.words.errors import Malformed

MAX_DEPTH: Final = 32
"""No answer of a node is nested half as deep."""


def json_object(data: bytes | str) -> dict[str, object]:
    """Return the JSON object that an answer, or a frame of the stream, is.

    Whatever it says, it can be written down and shown: RFC 8259, Section 8.2, and RFC 7493.

    Raises:
        Malformed: it is none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise Malformed(f"the node's answer is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise Malformed("the node's answer is not a JSON object")
    _check(value, 1)
    return value


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Malformed(f"the node's answer is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as exc:
            raise Malformed("the node's answer holds a lone surrogate") from exc
    elif isinstance(value, float) and not math.isfinite(value):
        raise Malformed("the node's answer holds what is no number")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise Malformed("the node's answer holds an integer that is not below 2^53")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check(name, depth)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)


def utf8(data: bytes) -> str:
    """Return the text that an answer is; Malformed where it isn't UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Malformed(f"the node's answer is not UTF-8 at byte {exc.start}") from exc


def text_of(item: dict[str, object], name: str) -> str:
    """Return a member that must be a string."""
    value = item.get(name)
    if not isinstance(value, str):
        raise Malformed(f"the node's answer: {name} is not a string")
    return value


def object_of(item: dict[str, object], name: str) -> dict[str, object]:
    """Return a member that is an object; an empty one where it is left out."""
    value = item.get(name, {})
    if not isinstance(value, dict):
        raise Malformed(f"the node's answer: {name} is not an object")
    return value


def objects_of(item: dict[str, object], name: str) -> list[dict[str, object]]:
    """Return a member that is a list of objects; an empty one where it is left out."""
    return [_object(one, name) for one in _list(item, name)]


def texts_of(item: dict[str, object], name: str) -> list[str]:
    """Return a member that is a list of strings; an empty one where it is left out."""
    found = []
    for one in _list(item, name):
        if not isinstance(one, str):
            raise Malformed(f"the node's answer: {name} holds something that isn't a string")
        found.append(one)
    return found


def place_of(position: str) -> tuple[int, int]:
    """Return a position in an inbox as numbers: of the entry that made it visible, and of its note."""
    pos, _, number = position.partition(".")
    return from_decimal(pos), from_decimal(number)


def _list(item: dict[str, object], name: str) -> list[object]:
    value = item.get(name, [])
    if not isinstance(value, list):
        raise Malformed(f"the node's answer: {name} is not a list")
    return value


def _object(one: object, name: str) -> dict[str, object]:
    if not isinstance(one, dict):
        raise Malformed(f"the node's answer: {name} holds something that isn't an object")
    return one
