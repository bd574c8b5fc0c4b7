"""``POST /v1/statements``: the one door. protocols/api.md, API-4 to API-8."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from multipart import MultipartError, PushMultipartParser, parse_options_header

from liaison.server.gate import body_of
from liaison.server.keys import BUDGET, INTAKE
from liaison.words.errors import Malformed

_PARTS: Final = ("statement", "ciphertext", "wraps")


async def post(request: web.Request) -> web.Response:
    """Take a statement, with what travels beside a note or a release; answer with its receipt."""
    if request.content_length is None:
        raise Malformed("the request has no Content-Length", do="send the body as one piece")
    with request.app[BUDGET].hold(request.content_length):
        parts = _parts(request.headers.get("Content-Type", ""), await body_of(request))
        receipted = await request.app[INTAKE].submit(
            parts["statement"], parts.get("ciphertext"), parts.get("wraps")
        )
    return web.Response(
        status=200 if receipted.is_duplicate else 201,
        body=receipted.text.encode("utf-8"),
        content_type="text/plain",
        charset="utf-8",
    )


def _parts(content_type: str, body: bytes) -> dict[str, bytes]:
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or "boundary" not in options:
        raise Malformed(
            "the body is not multipart/form-data",
            do="send the parts statement, for a note ciphertext and wraps, for a release wraps",
        )
    parts: dict[str, bytes] = {}
    chunks: list[bytes] = []
    name = ""
    try:
        parser = PushMultipartParser(
            options["boundary"], max_segment_count=len(_PARTS), strict=True
        )
        with parser:
            for event in (*parser.parse(body), *parser.parse(b"")):
                if event is None:
                    parts[name] = b"".join(chunks)
                elif isinstance(event, (bytes, bytearray)):
                    chunks.append(bytes(event))
                else:
                    name, chunks = event.name, []
                    if name not in _PARTS or name in parts:
                        raise Malformed(f"multipart: part {name[:40]!r} doesn't belong here")
    except MultipartError as exc:
        raise Malformed(f"multipart: {exc}") from exc
    if "statement" not in parts:
        raise Malformed("multipart: no part is named statement")
    return parts
