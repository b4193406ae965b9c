"""The page at /docs: the document for people. It is whole in itself, loads nothing and runs no script."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { border-bottom: 1px solid #ccc; margin-top: 2em } h3 { font-size: 1em; margin-bottom: .2em }
code { background: #f3f3f3; padding: 0 .3em } table { border-collapse: collapse; margin: .5em 0 }
td, th { text-align: left; vertical-align: top; padding: .1em 1em .1em 0 } summary { cursor: pointer }
"""
_METHODS: Final = ("get", "put", "post", "patch", "delete")


def page_of(document: Mapping[str, Any]) -> str:
    """Return the document as HTML."""
    title = escape(document["info"]["title"])
    operations = "".join(_operations(document))
    schemas = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(document['info']['description'])}</p>"
        '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
        f"{operations}<h2>Schemas</h2>{schemas}</html>"
    )


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    tag = None
    for path, methods in document["paths"].items():
        for method in _METHODS:
            operation = methods.get(method)
            if operation is None:
                continue
            if operation["tags"][0] != tag:
                tag = operation["tags"][0]
                yield f"<h2>{escape(tag)}</h2>"
            yield _operation(method, path, operation)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parameters = "".join(_parameter(one) for one in operation.get("parameters", []))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    said = f"<p>Body: {_type(body)}</p>" if body else ""
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(one.get('description', ''))}</td><td>{_content(one)}</td></tr>"
        for status, one in sorted(operation["responses"].items())
    )
    return (
        f'<h3 id="{escape(operation["operationId"])}"><code>{method.upper()} {escape(path)}</code>'
        f" {escape(operation['operationId'])}</h3><p>{escape(operation.get('description', ''))}</p>"
        f"<table>{parameters}</table>{said}<details><summary>Answers</summary><table>{answers}</table></details>"
    )


def _parameter(one: Mapping[str, Any]) -> str:
    needed = "" if one.get("required") else "?"
    return (
        f"<tr><td><code>{escape(one['name'])}{needed}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{_type(one['schema'])}</td><td>{escape(one.get('description', ''))}</td></tr>"
    )


def _content(answer: Mapping[str, Any]) -> str:
    return ", ".join(_type(one.get("schema", {})) for one in answer.get("content", {}).values())


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(field)}{'' if field in required else '?'}</code></td><td>{_type(one)}</td>"
        f"<td>{escape(one.get('description', ''))}</td></tr>"
        for field, one in schema.get("properties", {}).items()
    )
    shown = rows or f"<tr><td>{_type(schema)}</td></tr>"
    about = escape(schema.get("description", ""))
    return f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{about}</p><table>{shown}</table>'


def _type(schema: Mapping[str, Any]) -> str:
    """Return a schema in few words, with links to those that have a name."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(_type(one) for one in schema[key])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or "anything"))
