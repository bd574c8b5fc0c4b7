"""What this node is and whether it takes statements. protocols/api.md, API-13, API-22."""

from __future__ import annotations

from aiohttp import web

from liaison import __version__
from liaison.node.intake import SUBMISSION_EXTRA_BYTES
from liaison.node.reading import PAGE_MAX
from liaison.rules.cells import Log
from liaison.server.keys import INTAKE, SEQUENCER, STATE, STORAGE
from liaison.statements.envelope import MAX_STATEMENT_BYTES
from liaison.statements.payloads import MAX_ANSWERED, MAX_WRAPS
from liaison.words.errors import Busy, ClockSuspect


async def about(request: web.Request) -> web.Response:
    intake, sequencer = request.app[INTAKE], request.app[SEQUENCER]
    log = await intake.cellar.get(Log)
    assert log is not None
    return web.json_response(
        {
            "software": "liaison",
            "version": __version__,
            "api": 1,
            "origin": intake.origin,
            "rules_version": log.rules_version,
            **({"exercise": True} if log.exercise else {}),
            "time": sequencer.clock.clock.now(),
            "ready": not request.app[STATE].stopping and sequencer.suspicion() is None,
            "limits": {
                "statement_bytes": MAX_STATEMENT_BYTES,
                "wraps": MAX_WRAPS,
                "submission_extra_bytes": SUBMISSION_EXTRA_BYTES,
                "answered_notes": MAX_ANSWERED,
                "inbox_page": PAGE_MAX,
            },
        }
    )


async def healthz(_: web.Request) -> web.Response:
    return web.Response(text="alive\n")


async def readyz(request: web.Request) -> web.Response:
    if request.app[STATE].stopping:
        raise Busy("the node is stopping")
    suspicion = request.app[SEQUENCER].suspicion()
    if suspicion is not None:
        raise ClockSuspect(
            suspicion, do="set the clock right, or confirm it: liaison node confirm-time"
        )
    detail = request.app[STORAGE].detail
    return web.Response(text="ready\n" if detail is None else f"ready\n{detail}\n")
