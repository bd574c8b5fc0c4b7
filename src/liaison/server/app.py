"""The application: its services under typed keys, its routes in one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from liaison.node.figures import Figures
from liaison.node.intake import SUBMISSION_EXTRA_BYTES, Intake
from liaison.node.reading import CONTENT_MAX_BYTES, Reading
from liaison.node.sequencer import Sequencer
from liaison.node.sessions import Sessions
from liaison.node.storage import Storage
from liaison.node.streaming import Streams
from liaison.node.timers import Timers
from liaison.server import about, log, metrics, reading, sessions, statements
from liaison.server.errors import problems
from liaison.server.gate import GATES, Gates, formed, gated
from liaison.server.keys import (
    BUDGET,
    FIGURES,
    INTAKE,
    METRICS_FOR,
    READING,
    SEQUENCER,
    SESSIONS,
    STATE,
    STORAGE,
    Budget,
    State,
)
from liaison.server.stream import add_stream

MAX_BODY_BYTES: Final = CONTENT_MAX_BYTES + SUBMISSION_EXTRA_BYTES


@dataclass(frozen=True)
class Services:
    intake: Intake
    sequencer: Sequencer
    sessions: Sessions
    reading: Reading
    timers: Timers
    figures: Figures
    storage: Storage
    streams: Streams


def make_app(
    services: Services, state: State, gates: Gates, *, metrics_for: str = "loopback"
) -> web.Application:
    """Return the HTTP application over a running node's services."""
    app = web.Application(middlewares=[gated, problems, formed], client_max_size=MAX_BODY_BYTES)
    app[GATES] = gates
    app[BUDGET] = Budget()
    app[FIGURES] = services.figures
    app[METRICS_FOR] = metrics_for
    app[INTAKE] = services.intake
    app[SEQUENCER] = services.sequencer
    app[SESSIONS] = services.sessions
    app[READING] = services.reading
    app[STATE] = state
    app[STORAGE] = services.storage
    app.add_routes(
        [
            web.post("/v1/statements", statements.post),
            web.get("/v1/statements/{digest}", reading.statement),
            web.post("/v1/challenges", sessions.challenge),
            web.post("/v1/sessions", sessions.begin),
            web.get("/v1/about", about.about),
            web.get("/v1/inbox", reading.inbox),
            web.get("/v1/notes/{digest}", reading.note),
            web.get("/v1/notes/{digest}/content", reading.note_content),
            web.get("/v1/notes/{digest}/certificates", reading.certificates),
            web.get("/v1/watch", reading.watch),
            web.get("/v1/channels", reading.channels),
            web.get("/v1/channels/{alias}", reading.channel),
            web.get("/v1/parties/{party}", reading.party),
            web.get("/v1/openings", reading.openings),
            web.get("/log/checkpoint", log.checkpoint),
            web.get("/log/{path:tile/.+}", log.tile),
            web.get("/healthz", about.healthz),
            web.get("/readyz", about.readyz),
            web.get("/metrics", metrics.metrics),
        ]
    )
    add_stream(app, services.streams)
    return app
