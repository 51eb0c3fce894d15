"""The description of the API as a page that needs nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: API</title>
<link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/page.css">
</head>
<body class="api">
<header class="top"><a class="brand" href="/">theatrum</a><span class="grow"></span>
<a class="quiet" href="/">Search</a> <a class="quiet" href="/openapi.json">openapi.json</a></header>
<main class="api-page">
<h1>API</h1>
<p>{about}</p>
"""


def api_page(schema: Mapping[str, Any]) -> str:
    """Write an OpenAPI description as HTML.

    Parameters
    ----------
    schema : mapping
        As FastAPI makes it.

    Returns
    -------
    str
        A page with every route, its fields and its answers.
    """
    page = [_HEAD.format(title=escape(schema["info"]["title"]), about=escape(schema["info"]["description"]))]
    if "securitySchemes" in schema.get("components", {}):
        page.append("<p>Send an API key as the header <code>Authorization: Bearer KEY</code>.</p>")
    page.append('<p>Every answer that is not a success is <code>{"error": {"message", ...}}</code>.</p>')
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            page.append(_operation(path, method, operation, schema))
    return "".join([*page, "</main></body></html>"])


def _operation(path: str, method: str, operation: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    parts = [
        f'<section class="route"><h2><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h2>',
        f"<p>{escape(operation.get('description', ''))}</p>",
    ]
    parameters = operation.get("parameters", [])
    if parameters:
        rows = [(one["name"], one["schema"], one.get("required", False), one.get("description")) for one in parameters]
        parts.append(_fields("In the address", rows, schema))
    body = operation.get("requestBody")
    if body:
        model = _resolved(body["content"]["application/json"]["schema"], schema)
        parts.append(_fields("In the body, as JSON", _rows(model), schema))
    answer = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    if answer:
        inner = _resolved(answer.get("items", answer), schema)
        head = "The answer is a list of" if "items" in answer else "The answer"
        parts.append(_fields(head, _rows(inner), schema))
    codes = "; ".join(
        f"<code>{code}</code> {escape(one['description'])}"
        for code, one in operation["responses"].items()
        if code != "200"
    )
    parts.append(f'<details><summary>Refusals</summary><p class="soft">{codes}</p></details></section>')
    return "".join(parts)


def _rows(model: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], bool, str | None]]:
    required = model.get("required", [])
    return [
        (name, field, name in required, field.get("description")) for name, field in model.get("properties", {}).items()
    ]


def _fields(title: str, rows: list[tuple[str, Mapping[str, Any], bool, str | None]], schema: Mapping[str, Any]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_kind(field, schema))}"
        f"{'' if needed or 'default' not in field else ' = ' + escape(json.dumps(field['default']))}</td>"
        f"<td>{escape(about or '')}</td></tr>"
        for name, field, needed, about in rows
    )
    return f'<h3>{title}</h3><div class="scroll"><table>{lines}</table></div>'


def _resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = field.get("$ref")
    return schema["components"]["schemas"][reference.rpartition("/")[2]] if reference else field


def _kind(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Say in a few words what may stand in a field."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        return " or ".join(_kind(one, schema) for one in field["anyOf"])
    if "enum" in field:
        return " or ".join(json.dumps(value) for value in field["enum"])
    if "const" in field:
        return json.dumps(field["const"])
    kind = field.get("type", "any value")
    if kind == "array" and "items" in field:
        return f"list of {_kind(field['items'], schema)}"
    bounds = [f"{word} {field[name]:,.10g}" for name, word in (("minimum", "from"), ("maximum", "to")) if name in field]
    return " ".join([str(kind), *bounds])
