"""The description of the API as a page: everything in its OpenAPI document, in words and by noun."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse

from rolltape.web.rendering import render

# What stands in the examples. What is not listed here gets a value of its type.
EXAMPLES: Mapping[str, Any] = {
    "name": "Harbour FM",
    "url": "http://radio.example/live",
    "cron": "0 9 * * 1-5",
    "timezone": "Europe/Berlin",
    "duration": 7200,
    "stream_id": 1,
    "start": "2026-12-24T08:00:00Z",
    "directory": "/music/radio",
    "fingerprint": "SHA256:...",
    "log_level": "debug",
}
JSON = "application/json"


@dataclass(frozen=True)
class Value:
    """A parameter or a field: what it is called, what it holds, and what it means."""

    name: str
    kind: str
    is_needed: bool
    meaning: str
    default: str = ""


@dataclass(frozen=True)
class Operation:
    """One method on one path."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    parameters: list[Value]
    body: list[Value]
    status: str
    answer: str
    fields: list[Value]
    example: str


async def show(request: Request) -> HTMLResponse:
    described = nouns(request.app)
    where = f"{request.url.scheme}://{request.headers.get('host', '')}{request.state.base_path}"
    return render(request, "api/docs.html", nouns=described, where=where, errors=_errors(request.app.openapi()))


def nouns(app: FastAPI) -> dict[str, list[Operation]]:
    """All operations by noun, in the order of the document. They are made once for an application."""
    known: dict[str, list[Operation]] | None = getattr(app.state, "api_nouns", None)
    if known is not None:
        return known
    document = app.openapi()
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            if method == "head":
                continue
            noun = (described.get("tags") or [path.split("/")[2]])[0]
            found.setdefault(noun, []).append(_operation(document, method.upper(), path, described))
    app.state.api_nouns = found
    return found


def _operation(document: dict[str, Any], method: str, path: str, described: dict[str, Any]) -> Operation:
    summary, _, text = described.get("description", described.get("summary", "")).partition("\n")
    status, answer = next((status, answer) for status, answer in described["responses"].items() if status < "400")
    body = described.get("requestBody", {}).get("content", {})
    answered = answer.get("content", {})
    return Operation(
        id=described["operationId"],
        method=method,
        path=path,
        summary=_plain(summary),
        text=_plain(text),
        parameters=[_parameter(document, found) for found in described.get("parameters", [])],
        body=list(_fields(document, _schema(body))),
        status=status,
        answer=_answer(document, answered),
        fields=list(_fields(document, _items(document, _schema(answered)))),
        example=_example(document, method, path, body),
    )


def _parameter(document: dict[str, Any], found: dict[str, Any]) -> Value:
    schema = found["schema"]
    meaning = found.get("description", "") or ("in the path" if found["in"] == "path" else "")
    return Value(
        found["name"], _kind(document, schema), found.get("required", False), _plain(meaning), _default(schema)
    )


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[Value]:
    """The fields of an object; none for anything else."""
    schema = _resolved(document, schema)
    needed = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        yield Value(name, _kind(document, field), name in needed, _plain(field.get("description", "")), _default(field))


def _plain(text: str) -> str:
    """A docstring without its marks, in one piece."""
    return " ".join(text.replace("`", "").split())


def _answer(document: dict[str, Any], content: dict[str, Any]) -> str:
    """What comes back, in words."""
    if not content:
        return "nothing"
    if JSON not in content:
        return f"the file ({', '.join(content)})"
    schema = _schema(content)
    if not schema:
        return "the file"
    if _items(document, schema) is not schema:
        return "a list of"
    return "an object of" if _resolved(document, schema).get("properties") else "JSON"


def _items(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What an answer consists of: the items of a list, else the answer itself."""
    items = _resolved(document, schema).get("properties", {}).get("items", {})
    found: dict[str, Any] = items.get("items", schema)
    return found


def _schema(content: dict[str, Any]) -> dict[str, Any]:
    for described in content.values():
        found: dict[str, Any] = described.get("schema", {})
        return found
    return {}


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _kind(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a value is, in words: "number, at least 1"."""
    if "anyOf" in schema:
        kinds = [_kind(document, one) for one in schema["anyOf"]]
        return " or ".join(dict.fromkeys(kinds))
    schema = _resolved(document, schema)
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    kind = schema.get("type", "anything")
    if kind == "array":
        items = schema.get("items", {})
        return f"list of {_plural(_kind(document, items))}"
    if kind == "string" and schema.get("format") == "date-time":
        return "moment"
    if kind == "string" and (schema.get("format") == "binary" or "contentMediaType" in schema):
        return "file"
    name = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "null"}.get(kind, kind)
    return ", ".join([name, *_limits(schema)])


def _limits(schema: dict[str, Any]) -> Iterator[str]:
    if "minimum" in schema:
        yield f"at least {schema['minimum']:g}"
    if "maximum" in schema:
        yield f"at most {schema['maximum']:,.0f}"
    if "maxLength" in schema:
        yield f"up to {schema['maxLength']} characters"


def _plural(kind: str) -> str:
    name, comma, rest = kind.partition(",")
    plural = {"text": "texts", "whole number": "whole numbers", "object": "objects"}.get(name, name)
    return f"{plural}{comma}{rest}"


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return "" if default is None else json.dumps(default, ensure_ascii=False)


def _example(document: dict[str, Any], method: str, path: str, body: dict[str, Any]) -> str:
    """The rest of a call of curl, behind the token: `-X POST ... /api/streams`."""
    for name in ("stream_id", "schedule_id", "session_id", "destination_id", "transfer_id"):
        path = path.replace(f"{{{name}}}", "1")
    parts = [] if method == "GET" else [f"-X {method}"]
    if JSON in body:
        parts.append(f"-H 'Content-Type: application/json' -d '{_example_body(document, body[JSON]['schema'])}'")
    elif "application/yaml" in body:
        parts.append("--data-binary @rolltape-configuration.yaml")
    elif body:
        parts.append("-F file=@cover.jpg")
    return "\n  ".join([*parts, path])


def _example_body(document: dict[str, Any], schema: dict[str, Any]) -> str:
    resolved = _resolved(document, schema)
    fields = resolved.get("properties", {})
    needed = resolved.get("required") or [name for name in fields if name in EXAMPLES][:1] or list(fields)[:1]
    return json.dumps({name: _example_value(document, name, fields[name]) for name in needed})


def _example_value(document: dict[str, Any], name: str, schema: dict[str, Any]) -> Any:
    if name in EXAMPLES:
        return EXAMPLES[name]
    schema = _resolved(document, schema.get("anyOf", [schema])[0])
    if "enum" in schema:
        return schema["enum"][0]
    return {"string": "...", "integer": 1, "number": 1, "boolean": True, "array": []}.get(schema.get("type", ""), {})


def _errors(document: dict[str, Any]) -> list[tuple[str, str]]:
    """What any call can answer beside its result."""
    found: dict[str, str] = {}
    for methods in document["paths"].values():
        for described in methods.values():
            for status, answer in described["responses"].items():
                if status >= "400":
                    found.setdefault(status, answer["description"])
    return sorted(found.items())
