"""Holds each frame that a device gets to protocols/asyncapi.yaml, with nothing beside what it lists."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

PROTOCOLS = Path(__file__).parents[2] / "protocols"


@cache
def description() -> dict[str, Any]:
    """Return asyncapi.yaml as it stands."""
    read: dict[str, Any] = yaml.safe_load((PROTOCOLS / "asyncapi.yaml").read_text(encoding="utf-8"))
    return read


@cache
def _document() -> dict[str, Any]:
    """Return it with what it takes from openapi.json at hand."""
    own = json.loads(json.dumps(description()).replace('"openapi.json#', '"#'))
    shared = json.loads((PROTOCOLS / "openapi.json").read_text(encoding="utf-8"))
    schemas = own["components"]["schemas"]
    assert not schemas.keys() & shared["components"]["schemas"].keys()
    schemas |= shared["components"]["schemas"]
    found: dict[str, Any] = own
    return found


def messages(action: str) -> list[str]:
    """Return the types of the frames that the node sends, or receives."""
    (operation,) = [o for o in _document()["operations"].values() if o["action"] == action]
    return [message["$ref"].rpartition("/")[2] for message in operation["messages"]]


@cache
def _schema(kind: str, *, is_closed: bool) -> jsonschema_rs.Draft202012Validator:
    document = _document()
    schema: dict[str, Any] = dict(document["components"]["messages"][kind]["payload"])
    if is_closed:
        schema["unevaluatedProperties"] = False
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


def is_frame(frame: Any, action: str) -> bool:
    """Return whether a frame is one that the node sends, or receives, as the description has it."""
    kind = frame.get("type") if isinstance(frame, dict) else None
    return kind in messages(action) and _schema(str(kind), is_closed=False).is_valid(frame)


def check_frame(frame: Any) -> None:
    """Fail unless the node may send this frame, with these members and no others."""
    assert frame["type"] in messages("send"), frame
    _schema(frame["type"], is_closed=True).validate(frame)
