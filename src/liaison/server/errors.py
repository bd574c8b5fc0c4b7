"""Problem documents: which status an error has, and its body. RFC 9457; protocols/api.md, API-2, API-6."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web

from liaison.server.keys import FIGURES
from liaison.words.encoding import to_base64
from liaison.words.errors import (
    Busy,
    DiskReserve,
    LiaisonError,
    Limited,
    Malformed,
    NotAllowed,
    NotHere,
    Overloaded,
    RefusedByNode,
    SignatureInvalid,
    TooLarge,
    TooSlow,
)

_STATUS: Final[tuple[tuple[type[LiaisonError], int], ...]] = (
    (Malformed, 400),
    (SignatureInvalid, 403),
    (NotAllowed, 401),
    (NotHere, 404),
    (TooLarge, 413),
    (TooSlow, 408),
    (Overloaded, 429),
    (Limited, 429),
    (DiskReserve, 507),
    (Busy, 503),
)

_HTTP_CODES: Final = {404: NotHere.code, 405: "method", 413: TooLarge.code}
"""What aiohttp itself turns away; all else is a request that has no reading."""

log = structlog.get_logger(__name__)


def problem(exc: LiaisonError) -> web.Response:
    """Return the problem document of an error that somebody can act on."""
    code, headers = exc.code, {}
    if isinstance(exc, RefusedByNode):
        status, code = exc.status, exc.problem
    else:
        status = next((s for kind, s in _STATUS if isinstance(exc, kind)), 500)
    body: dict[str, Any] = {"detail": exc.happened, "code": code}
    if exc.safe:
        body["safe"] = exc.safe
    if exc.do:
        body["do"] = exc.do
    if isinstance(exc, RefusedByNode) and exc.refusal:
        body["refusal"] = to_base64(exc.refusal)
    if isinstance(exc, Busy):
        headers["Retry-After"] = str(exc.retry_after_s)
    document = _document(status, body, headers)
    if isinstance(exc, TooSlow):
        document.force_close()  # what may still come of it belongs to no request
    return document


def _document(
    status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> web.Response:
    title = HTTPStatus(status).phrase
    return web.json_response(
        {"type": "about:blank", "title": title, "status": status, **body},
        status=status,
        headers=headers,
        content_type="application/problem+json",
    )


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn what a handler raises into a problem document; a defect of ours says nothing but so."""
    figures = request.app[FIGURES]
    try:
        return await handler(request)
    except LiaisonError as exc:
        answer = problem(exc)
        figures.refused(_code(exc))
        log.info("refused", path=request.path, status=answer.status, code=_code(exc))
        return answer
    except web.HTTPException as exc:
        code = _HTTP_CODES.get(exc.status, Malformed.code)
        figures.refused(code)
        allowed = exc.headers.get("Allow")
        headers = {} if allowed is None else {"Allow": allowed}  # RFC 9110, 15.5.6
        return _document(exc.status, {"detail": exc.reason, "code": code}, headers)
    except Exception:
        log.exception("defect", path=request.path)
        figures.refused("error")
        return _document(500, {"detail": "the node failed on this request", "code": "error"})


def _code(exc: LiaisonError) -> str:
    return exc.problem if isinstance(exc, RefusedByNode) else exc.code
