"""The interface's document as a page: no script, nothing from elsewhere. protocols/api.md, API-46."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from typing import Any, Final

Json = dict[str, Any]

_STYLE: Final = """
:root { color-scheme: light dark; --edge: #8886; --soft: #8881; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --link: #8ab8ec; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 6rem; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 3rem 0 0; border-bottom: 1px solid var(--edge); padding-bottom: .3rem; }
h3 { font-size: 1rem; margin: 0; }
h4 { font-size: .85rem; margin: 1rem 0 .3rem; }
a { color: var(--link); }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
nav ul { columns: 20rem; list-style: none; padding: 0; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
section.route, section.shape {
  border: 1px solid var(--edge); border-radius: .4rem;
  margin: 1rem 0; padding: .8rem 1rem; scroll-margin: 1rem;
}
section:target { outline: 2px solid var(--link); }
.method { display: inline-block; min-width: 3.2rem; font-weight: 700; }
.token {
  float: right; font-size: .8rem;
  border: 1px solid var(--edge); border-radius: 1rem; padding: 0 .6rem;
}
p { margin: .4rem 0; }
.rules { font-size: .85rem; opacity: .8; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td {
  text-align: left; vertical-align: top;
  padding: .25rem .8rem .25rem 0; border-top: 1px solid var(--soft);
}
th { font-weight: 600; white-space: nowrap; }
"""

POLICY: Final = (
    "default-src 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_of(document: Json) -> bytes:
    """Return the page of an OpenAPI document of ours."""
    return "\n".join(_page(document)).encode("utf-8") + b"\n"


def _page(document: Json) -> Iterator[str]:
    info = document["info"]
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>"
    yield f"<header><h1>{escape(info['title'])}, version {escape(info['version'])}</h1>"
    yield f"<p>{escape(info['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a></p></header>'
    routes = [
        (path, method, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    yield '<nav aria-label="Routes"><ul>'
    for path, method, operation in routes:
        yield f'<li><a href="#{_id(operation)}">{_call(method, path)}</a></li>'
    yield "</ul></nav><main>"
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'].capitalize())}</h2><p>{escape(tag['description'])}</p>"
        for path, method, operation in routes:
            if tag["name"] in operation["tags"]:
                yield from _route(path, method, operation)
    yield "<h2>Shapes</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield from _shape(name, schema)
    yield "</main></body></html>"


def _id(operation: Json) -> str:
    return escape(operation["operationId"])


def _call(method: str, path: str) -> str:
    return f'<code><span class="method">{escape(method.upper())}</span> {escape(path)}</code>'


def _route(path: str, method: str, operation: Json) -> Iterator[str]:
    yield f'<section class="route" id="{_id(operation)}">'
    yield '<span class="token">token</span>' if operation["security"] else ""
    yield f"<h3>{_call(method, path)}</h3><p>{escape(operation['summary'])}</p>"
    yield f'<p class="rules">{escape(operation["description"])}</p>'
    if "parameters" in operation:
        yield "<h4>Asked with</h4>"
        yield from _table(
            (
                f"<code>{escape(parameter['name'])}</code>",
                f"{parameter['in']}{', required' if parameter['required'] else ''}",
                f"{escape(parameter['description'])}. {_type(parameter['schema'])}",
            )
            for parameter in operation["parameters"]
        )
    if "requestBody" in operation:
        body = operation["requestBody"]
        for media, content in body["content"].items():
            yield f"<h4>Body: <code>{escape(media)}</code></h4>"
            yield f"<p>{escape(body['description'])}</p>"
            yield from _members(content["schema"])
    yield "<h4>Answers</h4>"
    yield from _table(
        (
            f"<code>{escape(status)}</code>",
            ", ".join(
                _type(content["schema"])
                if "$ref" in content["schema"]
                else f"<code>{escape(media)}</code>"
                for media, content in answer.get("content", {}).items()
            ),
            escape(answer["description"])
            + "".join(
                f"; header <code>{escape(name)}</code>" for name in answer.get("headers", ())
            ),
        )
        for status, answer in operation["responses"].items()
    )
    yield "</section>"


def _shape(name: str, schema: Json) -> Iterator[str]:
    yield f'<section class="shape" id="shape-{escape(name)}"><h3><code>{escape(name)}</code></h3>'
    yield f"<p>{escape(schema.get('description', ''))}</p>"
    if "properties" in schema:
        yield from _members(schema)
    else:
        yield f"<p>{_type(schema)}</p>"
    yield "</section>"


def _members(schema: Json) -> Iterator[str]:
    required = schema.get("required", ())
    yield from _table(
        (
            f"<code>{escape(name)}</code>",
            "" if name in required else "optional",
            _type(member)
            + (f", {escape(member['description'])}" if "description" in member else ""),
        )
        for name, member in schema["properties"].items()
    )


def _table(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield '<div class="wide"><table>'
    for first, *others in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        yield f'<tr><th scope="row">{first}</th>{cells}</tr>'
    yield "</table></div>"


def _type(schema: Json) -> str:
    """Return in a few words what a schema takes."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#shape-{name}">{name}</a>'
    if "const" in schema:
        return f"<code>{escape(_spelled(schema['const']))}</code>"
    if "enum" in schema:
        return " | ".join(f"<code>{escape(_spelled(one))}</code>" for one in schema["enum"])
    if "oneOf" in schema:
        return " | ".join(_type(one) for one in schema["oneOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    text: str = schema.get("type", "anything")
    if "minimum" in schema or "maximum" in schema:
        text += f", {schema.get('minimum', '…')} to {schema.get('maximum', '…')}"
    if "default" in schema:
        text += f", {schema['default']} by default"
    if "pattern" in schema:
        return f"{escape(text)} <code>{escape(schema['pattern'])}</code>"
    return escape(text)


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
