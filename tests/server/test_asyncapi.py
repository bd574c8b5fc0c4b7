"""protocols/asyncapi.yaml says of the stream's frames what server/frames.py takes and the node sends."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from liaison.node import streaming
from liaison.node.streaming import GOT_MAX, WINDOW_MAX, Ended
from liaison.server.frames import _MEMBERS, parse_frame
from liaison.server.routes import ROUTES
from liaison.words.errors import Malformed
from tests.node.framed import check_frame, description, is_frame, messages

STREAM = (Path(__file__).parents[2] / "protocols" / "stream.md").read_text(encoding="utf-8")
SCHEMAS = description()["components"]["schemas"]
CHANNEL = description()["channels"]["stream"]


def test_the_channel_is_the_route_of_the_stream() -> None:
    assert CHANNEL["address"] in {route.path for route in ROUTES}
    assert set(CHANNEL["messages"]) == {*messages("send"), *messages("receive")}


def test_frames_of_a_device_have_the_members_that_are_read() -> None:
    described = {
        kind: frozenset(SCHEMAS[kind.capitalize()]["properties"]) for kind in messages("receive")
    }
    assert described == _MEMBERS
    assert SCHEMAS["Got"]["properties"]["positions"]["maxItems"] == GOT_MAX
    assert SCHEMAS["Hello"]["properties"]["got"]["maxItems"] == GOT_MAX
    assert SCHEMAS["Ready"]["properties"]["window"]["maximum"] == WINDOW_MAX


FRAMES: list[Any] = [
    {"type": "hello"},
    {"type": "hello", "after": "1.1", "reached": {"flash": "2.2"}, "got": ["3.3"], "window": 1},
    {"type": "hello", "window": 100_000},
    {"type": "hello", "window": 0},
    {"type": "hello", "window": "1"},
    {"type": "hello", "window": True},
    {"type": "hello", "window": None},
    {"type": "hello", "after": "1"},
    {"type": "hello", "after": "01.1"},
    {"type": "hello", "after": None},
    {"type": "hello", "reached": {"urgent": "1.1"}},
    {"type": "hello", "reached": {"flash": "1"}},
    {"type": "hello", "reached": []},
    {"type": "hello", "got": ["1.1"] * (GOT_MAX + 1)},
    {"type": "hello", "token": "x"},
    {"type": "got"},
    {"type": "got", "positions": []},
    {"type": "got", "positions": ["1.1"] * GOT_MAX},
    {"type": "got", "positions": ["1.1"] * (GOT_MAX + 1)},
    {"type": "got", "positions": "1.1"},
    {"type": "got", "positions": [1]},
    {"type": "got", "positions": [], "more": True},
    {"type": "pong"},
    {"type": "pong", "n": 1},
    {"type": "ping"},
    {"type": 1},
    {},
    [],
    None,
]


@pytest.mark.parametrize("frame", FRAMES)
def test_the_node_takes_what_is_described_and_nothing_else(frame: Any) -> None:
    is_taken = False
    with suppress(Malformed):
        parse_frame(json.dumps(frame))
        is_taken = True
    assert is_frame(frame, "receive") == is_taken


def test_examples_are_what_they_say() -> None:
    found = 0
    for kind, message in description()["components"]["messages"].items():
        for example in message.get("examples", ()):
            action = "receive" if kind in messages("receive") else "send"
            assert example["payload"]["type"] == kind
            assert is_frame(example["payload"], action)
            found += 1
    assert found >= 6


def test_close_codes_are_those_of_the_text_and_of_the_node() -> None:
    told = re.search(r"\*\*STREAM-24\*\* (.*)", STREAM)
    assert told is not None
    described = {int(code): reason for code, reason in CHANNEL["x-close-codes"].items()}
    assert set(described) == {int(code) for code in re.findall(r"\b\d{4}\b", told[1])}
    for value in vars(streaming).values():
        if isinstance(value, Ended):
            assert described[value.code] == value.reason
    assert {streaming.MALFORMED, streaming.WINDOW_SHUT} <= set(described)


def test_rules_that_are_named_are_there() -> None:
    text = (Path(__file__).parents[2] / "protocols" / "asyncapi.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"STREAM-\d+", text))
    assert named <= set(re.findall(r"\*\*(STREAM-\d+)\*\*", STREAM))
    assert len(named) > 10


def test_a_frame_with_more_than_is_described_is_found() -> None:
    check_frame({"type": "behind", "waiting": 0, "more": False})
    with pytest.raises(jsonschema_rs.ValidationError):
        check_frame({"type": "behind", "waiting": 0, "more": False, "eta_s": 1})
    with pytest.raises(jsonschema_rs.ValidationError):
        check_frame({"type": "behind", "waiting": -1, "more": False})
