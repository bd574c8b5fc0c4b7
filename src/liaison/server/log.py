"""The log as C2SP tlog-tiles has it, under ``/log/``. protocols/log.md, part 1."""

from __future__ import annotations

from aiohttp import web

from liaison.server.keys import READING, SEQUENCER
from liaison.tlog.tiles import parse_entries_path, parse_tile_path

_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}


async def checkpoint(request: web.Request) -> web.Response:
    text = request.app[SEQUENCER].published.checkpoint
    return web.Response(text=text, headers={"Cache-Control": "no-cache"})


async def tile(request: web.Request) -> web.Response:
    path = f"tile/{request.match_info['path']}"
    if path.startswith("tile/entries/"):
        data = await request.app[READING].bundle(*parse_entries_path(path))
    else:
        data = await request.app[READING].tile(parse_tile_path(path))
    return web.Response(body=data, content_type="application/octet-stream", headers=_IMMUTABLE)
