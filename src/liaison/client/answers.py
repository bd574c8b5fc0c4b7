"""The node's answers by their shape. What they say proves nothing; another shape is Malformed."""

from __future__ import annotations

import json

from liaison.words.encoding import from_decimal
from liaison.words.errors import Malformed


def json_object(data: bytes) -> dict[str, object]:
    """Return the JSON object that an answer is.

    Raises:
        Malformed: it is none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise Malformed(f"the node's answer is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise Malformed("the node's answer is not a JSON object")
    return value


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
