"""Every route of the node, in one table: the router and the interface's document are made from it.

A route that isn't here isn't served; tests/server/test_openapi.py holds the router to that.
``python -m liaison.server.routes FILE`` writes the document.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from liaison.node.reading import PAGE_MAX
from liaison.server import about, documents, log, metrics, reading, sessions, shapes, statements
from liaison.server.openapi import ANY_CODE, Media, Query, Route, document_of, text_of
from liaison.server.stream import stream

_NUMBER: Final = {"type": "string", "pattern": "^(0|[1-9][0-9]{0,14})$"}
_NOT_HERE: Final = {404: ("not-here",)}
_RECEIPT: Final = "a receipt, UTF-8 (log.md, part 2)"
_BINARY: Final[dict[str, Any]] = {"type": "string", "contentMediaType": "application/octet-stream"}


def _limit(of: str) -> Query:
    schema = {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": 64}
    return Query("limit", f"how many {of} at most", schema)


ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/statements",
        handler=statements.post,
        rules="API-4 API-5 API-6 API-7 API-8 API-32 API-33 API-34 API-35 API-37",
        summary="Hand in a statement, with what travels beside it; get its receipt",
        tag="statements",
        needs_session=False,
        body=Media(
            "multipart/form-data",
            "The parts in this order. A note has all three, a release statement and wraps, every other "
            "kind the statement alone. Content-Length is stated.",
            {
                "type": "object",
                "properties": {
                    "statement": {
                        "type": "string",
                        "maxLength": 256 * 1024,
                        "description": "the envelope's bytes (statements.md, ENV)",
                    },
                    "ciphertext": {**_BINARY, "description": "as the note's content names it"},
                    "wraps": {
                        **_BINARY,
                        "description": "one behind the other, in the order in which their digests "
                        "first stand in the statement",
                    },
                },
                "required": ["statement"],
                "additionalProperties": False,
            },
            {
                "statement": "application/json, application/octet-stream",
                "ciphertext": "application/octet-stream",
                "wraps": "application/octet-stream",
            },
        ),
        answers={
            200: Media("text/plain", f"a duplicate; the first one's receipt: {_RECEIPT}"),
            201: Media("text/plain", f"it is in the log: {_RECEIPT}"),
        },
        problems={
            403: ("signature-invalid", "unknown-key"),
            409: ANY_CODE,
            429: ("overloaded", "limited"),
            503: ("clock-suspect", "commit-failed", "busy"),
            507: ("disk-reserve",),
        },
    ),
    Route(
        method="GET",
        path="/v1/statements/{digest}",
        handler=reading.statement,
        rules="API-19",
        summary="The receipt of one statement",
        tag="reading",
        answers={200: Media("text/plain", _RECEIPT)},
        problems=_NOT_HERE,
    ),
    Route(
        method="POST",
        path="/v1/challenges",
        handler=sessions.challenge,
        rules="API-9",
        summary="Get a challenge",
        tag="sessions",
        needs_session=False,
        answers={201: shapes.Challenge},
    ),
    Route(
        method="POST",
        path="/v1/sessions",
        handler=sessions.begin,
        rules="API-10 API-11 API-12",
        summary="Begin a session by a signed challenge",
        tag="sessions",
        needs_session=False,
        body=Media(
            "application/json",
            "The bytes of a session statement over a challenge: canonical JSON (statements.md, ENV).",
            {
                "type": "object",
                "properties": {
                    "payload": {"type": "string"},
                    "payloadType": {"const": "application/vnd.liaison.session.v1+json"},
                    "signatures": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1,
                        "items": {
                            "type": "object",
                            "properties": {
                                "keyid": {"type": "string"},
                                "sig": {"type": "string"},
                            },
                            "required": ["keyid", "sig"],
                            "additionalProperties": False,
                        },
                    },
                },
                "required": ["payload", "payloadType", "signatures"],
                "additionalProperties": False,
            },
        ),
        answers={201: shapes.Session},
        problems={
            401: ("not-allowed",),
            503: ("busy",),
        },
    ),
    Route(
        method="GET",
        path="/v1/sessions",
        handler=sessions.listed,
        rules="API-39",
        summary="The asker's open sessions, the oldest first",
        tag="sessions",
        answers={200: shapes.Sessions},
    ),
    Route(
        method="DELETE",
        path="/v1/sessions/{id}",
        handler=sessions.revoke,
        rules="API-39",
        summary="End one of the asker's sessions, its stream too",
        tag="sessions",
        answers={204: "it ended"},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/v1/about",
        handler=about.about,
        rules="API-13",
        summary="What this node is, and its limits",
        tag="node",
        needs_session=False,
        answers={200: shapes.About},
    ),
    Route(
        method="GET",
        path="/v1/inbox",
        handler=reading.inbox,
        rules="API-14 API-15",
        summary="A member's items behind a position, in order",
        tag="reading",
        query=(
            Query(
                "after",
                "the position of the last item that is known, POS.NOTE; from the start without it",
                {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,14})$"},
            ),
            _limit("items"),
            Query(
                "content",
                "have content of up to 64 KiB come along",
                {"type": "string", "const": "1"},
            ),
        ),
        answers={200: shapes.Inbox},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/v1/stream",
        handler=stream,
        rules="API-3 API-14",
        summary="A member's items to one device as they come: a WebSocket (stream.md, asyncapi.yaml)",
        tag="reading",
        answers={101: "the WebSocket is open; the device speaks first"},
        problems={**_NOT_HERE, 503: ("busy",)},
    ),
    Route(
        method="GET",
        path="/v1/notes/{digest}",
        handler=reading.note,
        rules="API-16 API-23 API-24",
        summary="A note's receipt, where each addressee stands, what comes next",
        tag="reading",
        answers={200: shapes.Note},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/v1/notes/{digest}/content",
        handler=reading.note_content,
        rules="API-15 API-16",
        summary="A note's ciphertext, and the asking device's wraps",
        tag="reading",
        answers={200: shapes.Content},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/v1/notes/{digest}/certificates",
        handler=reading.certificates,
        rules="API-25",
        summary="Receipts of what was due about a note",
        tag="reading",
        answers={200: shapes.Certificates},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/v1/watch",
        handler=reading.watch,
        rules="API-26",
        summary="What needs a human of the operator's party, the most urgent first",
        tag="reading",
        query=(_limit("items"),),
        answers={200: shapes.Watch},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/v1/channels",
        handler=reading.channels,
        rules="API-17",
        summary="The channels whose charter names the asker's party",
        tag="reading",
        answers={200: shapes.Channels},
    ),
    Route(
        method="GET",
        path="/v1/channels/{alias}",
        handler=reading.channel,
        rules="API-17",
        summary="One channel",
        tag="reading",
        answers={200: shapes.Channel},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/v1/parties/{party}",
        handler=reading.party,
        rules="API-18",
        summary="What is current of a party",
        tag="reading",
        answers={200: shapes.Party},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/v1/parties/{party}/statements",
        handler=reading.party_statements,
        rules="API-47",
        summary="All that was said of the asker's own party, in its order",
        tag="reading",
        query=(
            Query("after", "behind which record of the party", _NUMBER),
            _limit("statements"),
        ),
        answers={200: shapes.PartyStatements},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/v1/openings",
        handler=reading.openings,
        rules="API-20",
        summary="Whole entries, for the administrator",
        tag="reading",
        query=(
            Query("start", "the first entry", _NUMBER, is_required=True),
            Query("end", "the one behind the last", _NUMBER, is_required=True),
        ),
        answers={200: shapes.Openings},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/log/checkpoint",
        handler=log.checkpoint,
        rules="API-1",
        summary="The newest checkpoint",
        tag="log",
        needs_session=False,
        answers={200: Media("text/plain", "a signed note (c2sp.org/tlog-checkpoint)")},
    ),
    Route(
        method="GET",
        path="/log/tile/{path:.+}",
        handler=log.tile,
        rules="API-1",
        summary="A hash tile or an entry bundle",
        tag="log",
        needs_session=False,
        answers={200: Media("application/octet-stream", "it never changes", _BINARY)},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/healthz",
        handler=about.healthz,
        rules="API-22",
        summary="Whether the process runs",
        tag="node",
        needs_session=False,
        answers={200: Media("text/plain", "it does")},
    ),
    Route(
        method="GET",
        path="/readyz",
        handler=about.readyz,
        rules="API-22",
        summary="Whether statements are taken",
        tag="node",
        needs_session=False,
        answers={200: Media("text/plain", "they are")},
        problems={503: ("clock-suspect", "busy")},
    ),
    Route(
        method="GET",
        path="/metrics",
        handler=metrics.metrics,
        rules="API-30 API-31",
        summary="The node's figures, for those who run it",
        tag="node",
        needs_session=False,
        answers={200: Media("text/plain", "Prometheus' text form")},
        problems=_NOT_HERE,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        handler=documents.openapi,
        rules="API-45",
        summary="This document",
        tag="interface",
        needs_session=False,
        answers={200: Media("application/json", "OpenAPI 3.1", {"type": "object"})},
    ),
    Route(
        method="GET",
        path="/docs",
        handler=documents.page,
        rules="API-46",
        summary="This document, to be read by people",
        tag="interface",
        needs_session=False,
        answers={200: Media("text/html", "a page that needs nothing from elsewhere")},
    ),
)


def definitions() -> list[web.RouteDef]:
    """Return the table as the router takes it; what answers GET answers HEAD."""
    return [
        web.get(route.path, route.handler)
        if route.method == "GET"
        else web.route(route.method, route.path, route.handler)
        for route in ROUTES
    ]


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(text_of(document_of(ROUTES)))
