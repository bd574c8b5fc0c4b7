"""JSON answers, spelled by the one JSON library that the house uses for writing."""

from __future__ import annotations

from aiohttp import web

from liaison.words.canonical import spell


def json_of(value: object) -> web.Response:
    """Return a 200 with ``value`` as JSON."""
    return web.Response(body=spell(value), content_type="application/json", charset="utf-8")
