"""``GET /metrics``: the node's figures for Prometheus. protocols/api.md, API-30 and API-31."""

from __future__ import annotations

import ipaddress

from aiohttp import web

from liaison.node.figures import CONTENT_TYPE
from liaison.server.keys import FIGURES, METRICS_FOR
from liaison.words.errors import NotHere

# A proxy on this machine asks from the loopback, whoever asked it.
_OF_A_PROXY = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


async def metrics(request: web.Request) -> web.Response:
    to = request.app[METRICS_FOR]
    if to == "nobody" or (to == "loopback" and not _is_local(request)):
        raise NotHere("there is no such thing here")
    return web.Response(body=request.app[FIGURES].text(), headers={"Content-Type": CONTENT_TYPE})


def _is_local(request: web.Request) -> bool:
    if any(name in request.headers for name in _OF_A_PROXY):
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False
