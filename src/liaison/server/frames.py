"""Frames that a device sends: hello, got, pong. protocols/stream.md, STREAM-4, 7, 8."""

from __future__ import annotations

import json
from typing import Any, Final

from liaison.node.express import START, Position
from liaison.node.streaming import GOT_MAX, WINDOW_MAX, Hello
from liaison.words.canonical import MAX_INTEGER
from liaison.words.encoding import from_decimal
from liaison.words.errors import Malformed
from liaison.words.precedence import Precedence

_MEMBERS: Final = {
    "hello": frozenset({"type", "after", "reached", "got", "window"}),
    "got": frozenset({"type", "positions"}),
    "pong": frozenset({"type"}),
}


def parse_frame(text: str) -> Hello | list[Position] | None:
    """Return what a frame says: hello, the positions of got, None for a pong.

    Raises:
        Malformed: it is none of these.
    """
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Malformed(f"not JSON: {exc}") from exc
    kind = frame.get("type") if isinstance(frame, dict) else None
    if not isinstance(kind, str) or kind not in _MEMBERS:
        raise Malformed("a frame of no type known here")
    if not frame.keys() <= _MEMBERS[kind]:
        raise Malformed(f"a {kind} with members not known here")
    if kind == "hello":
        return _hello(frame)
    return _positions("positions", frame.get("positions")) if kind == "got" else None


def _hello(frame: dict[str, Any]) -> Hello:
    window, reached = frame.get("window", 64), frame.get("reached", {})
    if type(window) is not int or window < 1:
        raise Malformed(f"window: not 1 to {WINDOW_MAX}")
    if not isinstance(reached, dict):
        raise Malformed("reached: not an object")
    levels = {level.value: level for level in Precedence}
    if not reached.keys() <= levels.keys():
        raise Malformed("reached: not a precedence")
    return Hello(
        after=_position("after", frame["after"]) if "after" in frame else START,
        reached={levels[name]: _position("reached", at) for name, at in reached.items()},
        got=_positions("got", frame.get("got", [])),
        window=window,
    )


def _positions(name: str, value: object) -> list[Position]:
    if not isinstance(value, list) or len(value) > GOT_MAX:
        raise Malformed(f"{name}: not a list of at most {GOT_MAX}")
    return [_position(name, one) for one in value]


def _position(name: str, value: object) -> Position:
    pos, dot, note = value.partition(".") if isinstance(value, str) else ("", "", "")
    if not dot:
        raise Malformed(f"{name}: not a position POS.NOTE")
    try:
        position = from_decimal(pos), from_decimal(note)
    except Malformed as exc:
        raise exc.within(name) from exc
    if max(position) > MAX_INTEGER:  # what no store could compare with
        raise Malformed(f"{name}: not below 2^53")
    return position
