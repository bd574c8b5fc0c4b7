"""The interface's document: current, of every route and no other; its page needs nothing. API-45, API-46."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from pydantic import ValidationError

from liaison import main
from liaison.server import shapes
from liaison.server.app import make_app
from liaison.server.openapi import document_of, text_of
from liaison.server.routes import ROUTES
from tests.node.live import LiveNode, live_node
from tests.node.shaped import check_answer
from tests.world import DORA

ROOT = Path(__file__).parents[2]
API = (ROOT / "protocols" / "api.md").read_text(encoding="utf-8")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_node(tmp_path / "home") as live:
        await live.open_channel()
        yield live


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_committed_document_is_current() -> None:
    committed = (ROOT / "protocols" / "openapi.json").read_bytes()
    assert committed == text_of(document_of(ROUTES)), "run `make openapi`"


def served(app: web.Application) -> set[tuple[str, str]]:
    """Return what the router answers; HEAD goes with GET."""
    found = set()
    for route in app.router.routes():
        assert route.resource is not None
        found.add((route.method, re.sub(r":[^{}]*\}", "}", route.resource.canonical)))
    gets = {path for method, path in found if method == "GET"}
    assert {path for method, path in found if method == "HEAD"} == gets
    return {(method, path) for method, path in found if method != "HEAD"}


async def test_every_route_of_the_app_is_in_it_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apps = []

    def make(*args: Any, **kwargs: Any) -> web.Application:
        apps.append(make_app(*args, **kwargs))
        return apps[-1]

    monkeypatch.setattr(main, "make_app", make)
    async with live_node(tmp_path / "home"):
        (app,) = apps
        assert served(app) == set(operations(document_of(ROUTES)))
        assert ("GET", "/log/tile/{path}") in served(app)


def test_each_route_names_rules_that_there_are_and_answers_that_are_told() -> None:
    known = set(re.findall(r"^- \*\*(API-\d+)\*\*", API, re.MULTILINE))
    ids = set()
    for (method, path), operation in operations(document_of(ROUTES)).items():
        rules = operation["description"].removeprefix("protocols/api.md: ").split(", ")
        assert set(rules) <= known, path
        ids.add(operation["operationId"])
        responses = operation["responses"]
        assert any(status < "300" for status in responses), path
        assert ("401" in responses) == bool(operation["security"]) or path == "/v1/sessions"
        for status, answer in responses.items():
            if status >= "400":
                assert set(answer["content"]) == {"application/problem+json"}, (method, path)
                assert ("Retry-After" in answer.get("headers", {})) == (
                    status in ("429", "503", "507")
                )
        assert {"400", "413", "500"} <= set(responses), path
        assert ("408" in responses) == ("requestBody" in operation), path
    assert len(ids) == len(ROUTES)


def test_codes_are_those_of_the_list_of_errors() -> None:
    told = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for route in ROUTES:
        for status, codes in route.all_problems.items():
            for code in codes:
                row = re.search(rf"^\| `{code}` \| ([^|]*)", told, re.MULTILINE)
                assert row is not None, code
                assert str(status) in row[1], (code, status)


async def test_it_is_served_as_it_is_committed(node: LiveNode) -> None:
    async with node.http.get(f"{node.running.url}/openapi.json") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert await answer.read() == (ROOT / "protocols" / "openapi.json").read_bytes()


async def test_its_schemas_take_what_is_answered_and_no_other(node: LiveNode) -> None:
    document = document_of(ROUTES)
    _, page = await node.get("/v1/channels", await node.token(DORA))
    schema = {"$ref": "#/components/schemas/Channels", "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert page["channels"]
    assert validator.is_valid(page)
    assert validator.is_valid({"channels": [{**page["channels"][0], "not yet known": 1}]})
    assert not validator.is_valid({"channels": [{**page["channels"][0], "is_open": None}]})
    with pytest.raises(ValidationError, match="not yet known"):
        shapes.Channels.model_validate({**page, "not yet known": 1})


def test_the_check_of_answers_finds_what_is_not_promised() -> None:
    told = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no"}
    check_answer("/v1/watch?limit=1", 404, {**told, "code": "not-here"})
    check_answer("/v1/watch", 200, {"items": [], "more": False, "minimized": []})
    with pytest.raises(AssertionError):
        check_answer("/v1/watch", 404, {**told, "code": "not-allowed"})
    with pytest.raises(AssertionError):
        check_answer("/v1/channels", 404, {**told, "code": "not-here"})
    with pytest.raises(ValidationError):
        check_answer("/v1/watch", 200, {"items": [], "more": False, "minimized": [], "total": 0})


async def test_a_method_that_is_not_there_is_told_which_are(node: LiveNode) -> None:
    async with node.http.delete(f"{node.running.url}/v1/inbox") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD"
        assert (await answer.json())["code"] == "method"
    async with node.http.head(f"{node.running.url}/healthz") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("query", ["limit=257", "limit=0", "content=0", "content=true", "content="])
async def test_what_a_query_does_not_take_is_said(node: LiveNode, query: str) -> None:
    token = await node.token(DORA)
    status, problem = await node.get(f"/v1/inbox?{query}", token)
    assert (status, problem["code"]) == (400, "malformed")
    assert problem["detail"].startswith(query.partition("=")[0])
    assert (await node.get("/v1/inbox?limit=256&content=1", token))[0] == 200


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


async def test_the_page_runs_nothing_and_asks_for_nothing(node: LiveNode) -> None:
    async with node.http.get(f"{node.running.url}/docs") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        policy, text = answer.headers["Content-Security-Policy"], await answer.text()
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    page = Page()
    page.feed(text)
    assert {tag for tag, _ in page.tags} & {
        "script",
        "link",
        "img",
        "iframe",
        "form",
        "object",
    } == set()
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.tags:
        assert not {name for name in attrs if name.startswith("on") or name in ("style", "src")}, (
            tag
        )
        href = attrs.get("href")
        assert href is None or href == "/openapi.json" or href.removeprefix("#") in ids, href


async def test_the_page_has_every_route_code_and_shape(node: LiveNode) -> None:
    async with node.http.get(f"{node.running.url}/docs") as answer:
        text = await answer.text()
    for (_, path), operation in operations(document_of(ROUTES)).items():
        assert f" {path}</code>" in text
        assert f'id="{operation["operationId"]}"' in text
    for name in document_of(ROUTES)["components"]["schemas"]:
        assert f'id="shape-{name}"' in text
    assert "disk-reserve" in text
