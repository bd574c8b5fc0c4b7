"""The application: its services under typed keys, its routes from their table."""

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
from liaison.server.documents import DOCUMENTS, Documents
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
from liaison.server.openapi import document_of
from liaison.server.routes import ROUTES, definitions
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
    app[DOCUMENTS] = Documents.of(document_of(ROUTES))
    app.add_routes(definitions())
    add_stream(app, services.streams)
    return app
