"""Errors as the API tells them: a code, a sentence, and the fields it is about."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import HTMLResponse, JSONResponse
from markupsafe import Markup
from pydantic import BaseModel

from rolltape.domain.errors import InputError, said


class ErrorDetails(BaseModel):
    code: str
    message: str
    fields: dict[str, str]


class ErrorAnswer(BaseModel):
    error: ErrorDetails


# What any call can answer beside its result; for the OpenAPI document.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": description}
    for status, description in {
        400: "The request cannot be read",
        401: "A login or an API token is needed",
        403: "A request of another site",
        404: "There is no such thing",
        409: "Not in this state",
        413: "Too large",
        421: "An unknown host name",
        422: "A field has a value that cannot be used",
        429: "Too many wrong passwords; Retry-After says how many seconds to wait",
        503: "The database does not answer",
        507: "There is no room: the disk of the database is full, or the folder of backups cannot be written",
    }.items()
}


def error_answer(status: int, code: str, message: str, fields: Mapping[str, str] | None = None) -> JSONResponse:
    # Whatever was typed may come back in a sentence: lone surrogates cannot be encoded and are replaced.
    details = ErrorDetails(
        code=code,
        message=_encodable(message),
        fields={_encodable(name): _encodable(sentence) for name, sentence in (fields or {}).items()},
    )
    return JSONResponse(ErrorAnswer(error=details).model_dump(), status)


def bare_page(status: int, message: str) -> HTMLResponse:
    """A sentence for somebody with a browser whose request does not get as far as the pages."""
    page = Markup(
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Rolltape</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<h1>This does not work</h1>\n<p>{}</p>\n</html>\n"
    )
    return HTMLResponse(page.format(_encodable(message)), status)


def fields_of(errors: Sequence[Any]) -> dict[str, str]:
    """A sentence for each field that Pydantic found wrong."""
    found: dict[str, str] = {}
    for error in errors:
        cause = error.get("ctx", {}).get("error")
        path = [str(part) for part in error["loc"] if part not in ("body", "query", "path")]
        name = ".".join(path)
        if not path and isinstance(cause, InputError):
            name = cause.field
        found.setdefault(name or "body", said(error))
    return found


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
