"""The ASGI application: the guard, the routes, and errors as sentences."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from fastapi.sse import EventSourceResponse
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rolltape import __version__
from rolltape.domain.errors import (
    BackupError,
    BusyError,
    ConflictError,
    InputError,
    NotFoundError,
    RolltapeError,
    TooManyAttempts,
)
from rolltape.services import Services
from rolltape.store import is_full, is_no_answer
from rolltape.web import api, live, pages, static_files
from rolltape.web.access import LoginCookie
from rolltape.web.api import metrics, system
from rolltape.web.errors import error_answer, fields_of
from rolltape.web.guard import Guard, Prefix
from rolltape.web.journal import Journal
from rolltape.web.rendering import render
from rolltape.web.static_files import Compressed

log = structlog.get_logger(__name__)

TITLES = {
    404: "Not found",
    409: "Not possible at the moment",
    413: "Too large",
    422: "This cannot be taken",
    429: "Too many attempts",
    503: "Please try again soon",
    507: "There is no room, or no way to write",
}


def create(
    services: Services,
    *,
    allowed_hosts: list[str],
    base_path: str = "",
    port: int = 8666,
    trusted_proxies: Sequence[str] = (),
) -> ASGIApp:
    """The application, guarded, ready to be served.

    `port` is part of the name of the login's cookie: browsers do not keep cookies of several ports apart.
    """
    cookie = LoginCookie(port=port, base_path=base_path)
    app = Compressed(_Knowing(routes(), services, login_cookie=cookie, base_path=base_path))
    guard = Guard(app, services, cookie=cookie, allowed_hosts=allowed_hosts, base_path=base_path)
    # What X-Forwarded headers say counts only from proxies that are listed.
    believing = ProxyHeadersMiddleware(cast(Any, Prefix(Journal(guard), base_path)), list(trusted_proxies))
    return cast(ASGIApp, believing)


@cache
def routes() -> FastAPI:
    """All routes, open to everybody. They hold nothing: whom they serve comes with each request."""
    app = _Api(
        title="Rolltape",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(api.router())
    app.add_api_route("/health/live", system.live, methods=["GET"], include_in_schema=False)
    app.add_api_route("/health/ready", system.ready, methods=["GET"], include_in_schema=False)
    app.add_api_route("/metrics", metrics.read, methods=["GET"], include_in_schema=False)
    app.add_api_route("/api/events", live.events, response_class=EventSourceResponse, include_in_schema=False)
    app.include_router(pages.router())
    static_files.mount(app)
    app.add_exception_handler(RolltapeError, _on_our_error)
    app.add_exception_handler(RequestValidationError, _on_bad_input)
    app.add_exception_handler(ValidationError, _on_bad_input)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(SQLAlchemyError, _on_database_error)
    app.add_exception_handler(Exception, _on_surprise)
    return app


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The document, from routes made for it: to describe what each can answer takes a fifth of a start."""
        if self.openapi_schema is None:
            described = FastAPI(title=self.title, version=self.version)
            described.include_router(api.router(described=True))
            self.openapi_schema = described.openapi()
        return self.openapi_schema


class _Knowing:
    """Lets every request know the services and these values, as its state; and which change was the last before it."""

    def __init__(self, app: ASGIApp, services: Services, **known: object) -> None:
        self._app = app
        self._services = services
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = {"services": self._services, "news": self._services.news.count, **self._known}
        await self._app({**scope, "state": {**scope.get("state", {}), **known}}, receive, send)


def _answer(
    request: Request, status: int, code: str, message: str, fields: Mapping[str, str] | None = None
) -> Response:
    """An error for a program, or as a page for a person."""
    path = request.url.path
    if path.startswith(("/api/", "/health/")) or path == "/metrics":
        return error_answer(status, code, message, fields)
    try:
        return render(
            request, "error.html", status=status, title=TITLES.get(status, "Something went wrong"), message=message
        )
    except Exception:
        log.exception("the page that tells an error could not be made", action="request_failed")
        return PlainTextResponse(message, status)


async def _on_our_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RolltapeError)
    statuses = {
        InputError: 422,
        NotFoundError: 404,
        ConflictError: 409,
        TooManyAttempts: 429,
        BusyError: 503,
        BackupError: 507,
    }
    status = next((status for kind, status in statuses.items() if isinstance(error, kind)), 422)
    fields = {error.field: error.message} if isinstance(error, InputError) and error.field else {}
    answer = _answer(request, status, error.code, error.message, fields)
    if isinstance(error, TooManyAttempts):
        answer.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return answer


async def _on_bad_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)
    fields = fields_of(error.errors())
    message = next(iter(fields.values()), "The request cannot be read.")
    return _answer(request, 422, "invalid", message, fields)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {404: "There is nothing at this address.", 405: "This cannot be done here."}
    codes = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
    message = sentences.get(error.status_code, str(error.detail))
    answer = _answer(request, error.status_code, codes.get(error.status_code, "bad_request"), message)
    answer.headers.update(error.headers or {})
    return answer


async def _on_database_error(request: Request, error: Exception) -> Response:
    if not is_no_answer(error):
        return await _on_surprise(request, error)
    if is_full(error):
        log.error("the disk of the database is full", exc_info=error, action="database_full")
        message = "The disk of the database is full; nothing was changed. Recordings go on."
        return _answer(request, 507, "database_full", message)
    log.error("the database did not answer", exc_info=error, action="database_failed")
    answer = _answer(request, 503, "database", "The database does not answer at the moment; nothing was changed.")
    answer.headers["Retry-After"] = "5"
    return answer


async def _on_surprise(request: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error, action="request_failed", path=request.url.path)
    return _answer(request, 500, "unexpected", "Something unexpected happened; the log says what.")
