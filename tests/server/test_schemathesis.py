"""schemathesis asks the real server, over a real socket, what its document promises. API-45.

No answer may be a 500, each must be one that the document lists, of its form. Bounded in count and time;
the same cases in each run. The stream is a WebSocket: tests/node/test_stream.py has it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import StopReason, events, from_schema

from liaison.server.openapi import document_of
from liaison.server.routes import ROUTES
from liaison.words.encoding import from_base64, to_base64url
from tests.node.line import live_line, send
from tests.world import ACTION, ALIAS, DEPUTY, DUTY, EDWIN, INFO, MOD

MOST_S: Final = 9
SIGNED: Final = ("POST /v1/statements", "POST /v1/sessions")
"""What only a key can make right: that is refused which nobody signed."""

REFUSED_TO_A_MEMBER: Final = ("/v1/openings", "/v1/sessions/{id}")
"""What is for the administrator, and whose id nobody guesses: tests/node/test_sessions.py has it."""


@dataclass
class Asked:
    """What came of a run."""

    failures: list[str] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    stopped: StopReason | None = None

    def of(self, operation: str) -> dict[int, int]:
        return {status: n for (label, status), n in self.statuses.items() if label == operation}


def settings(url: str, token: str) -> SchemathesisConfig:
    said: dict[str, Any] = {
        "base-url": url,
        "seed": 1,
        "max-failures": 20,
        "color": False,
        "generation": {"max-examples": 25, "deterministic": True, "no-shrink": True},
        # Nothing of an answer goes into the next request: a run must not end its own session.
        "phases": {
            "stateful": {"enabled": False},
            "fuzzing": {"extra-data-sources": {"responses": False}},
        },
        "request-timeout": 5.0,
        "operations": [
            {"include-name": name, "checks": {"positive_data_acceptance": {"enabled": False}}}
            for name in SIGNED
        ],
        # A busy node is right to say so, by a documented problem; a defect is never right.
        "checks": {
            "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503", "507"]},
            "negative_data_rejection": {"expected-statuses": ["400", "401", "404", "405", "413"]},
        },
    }
    if token:
        said["headers"] = {"Authorization": f"Bearer {token}"}
    return SchemathesisConfig.from_dict(said)


def ask(document: dict[str, Any], url: str, token: str) -> Asked:
    asked = Asked()
    schema = schemathesis.openapi.from_dict(document, config=settings(url, token))
    stream = from_schema(schema).execute()
    late = threading.Timer(MOST_S, stream.stop)
    late.start()
    try:
        for event in stream:
            if isinstance(event, events.ScenarioFinished):
                recorder = event.recorder
                for said in recorder.interactions.values():
                    if said.response is not None:
                        asked.statuses[recorder.label, said.response.status_code] += 1
                for checks in recorder.checks.values():
                    asked.failures += [
                        f"{recorder.label}: {check.name}: {check.failure_info.failure.message} "
                        f"{check.failure_info.code_sample}"
                        for check in checks
                        if check.failure_info is not None
                    ]
            elif isinstance(event, (events.NonFatalError, events.FatalError)):
                asked.failures.append(repr(event))
            elif isinstance(event, events.EngineFinished):
                asked.stopped = event.stop_reason
    finally:
        late.cancel()
    return asked


@pytest.mark.parametrize("who", ["anonymous", "a member"])
async def test_the_server_keeps_what_its_document_promises(tmp_path: Path, who: str) -> None:
    document = document_of(ROUTES)
    del document["paths"]["/v1/stream"]
    async with live_line(tmp_path / "home") as node:
        digest = to_base64url(
            from_base64(await send(node, node.world.note(to={DUTY: ACTION, DEPUTY: INFO})))
        )
        _mention(document, {"digest": digest, "alias": ALIAS, "party": MOD, "path": "0/000.p/1"})
        token = await node.token(EDWIN) if who == "a member" else ""
        asked = await asyncio.to_thread(ask, document, node.running.url, token)
    assert asked.failures == []
    assert asked.stopped in (StopReason.COMPLETED, StopReason.MAX_TIME, StopReason.INTERRUPTED)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            seen = asked.of(f"{method.upper()} {path}")
            assert seen, (path, asked.stopped)
            needs_session = bool(operation["security"])
            if who == "a member" and needs_session and path not in REFUSED_TO_A_MEMBER:
                assert seen.get(200), (path, seen)
            elif needs_session and not token:
                assert seen[401], (path, seen)
                assert set(seen) <= {401, 405}, (path, seen)


def _mention(document: dict[str, Any], there: dict[str, str]) -> None:
    """Have the document name something that is there."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in there:
                    parameter["example"] = there[parameter["name"]]
