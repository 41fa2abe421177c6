"""The ASGI application: the guard, the routes, and errors as sentences."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from rolltape import __version__
from rolltape.domain.errors import ConflictError, InputError, NotFoundError, RolltapeError
from rolltape.services import Services
from rolltape.web import api
from rolltape.web.api import system
from rolltape.web.errors import error_answer, fields_of
from rolltape.web.guard import Guard, Prefix

log = structlog.get_logger(__name__)

NO_PAGES_YET = "Rolltape is running. Its pages come later; the API is under /api, described by /api/openapi.json.\n"


def create(services: Services, *, allowed_hosts: list[str], base_path: str = "") -> Prefix:
    """The application, guarded, ready to be served."""
    app = FastAPI(
        title="Rolltape",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.include_router(api.router())
    app.add_api_route("/health/live", system.live, methods=["GET"], include_in_schema=False)
    app.add_api_route("/health/ready", system.ready, methods=["GET"], include_in_schema=False)
    app.add_api_route("/", _home, methods=["GET"], include_in_schema=False)
    app.add_exception_handler(RolltapeError, _on_our_error)
    app.add_exception_handler(RequestValidationError, _on_bad_input)
    app.add_exception_handler(ValidationError, _on_bad_input)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(OperationalError, _on_database_error)
    app.add_exception_handler(Exception, _on_surprise)
    return Prefix(Guard(app, services.tokens, allowed_hosts=allowed_hosts), base_path)


async def _home() -> PlainTextResponse:
    return PlainTextResponse(NO_PAGES_YET)


async def _on_our_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RolltapeError)
    statuses = {InputError: 422, NotFoundError: 404, ConflictError: 409}
    status = next((status for kind, status in statuses.items() if isinstance(error, kind)), 422)
    fields = {error.field: error.message} if isinstance(error, InputError) and error.field else {}
    return error_answer(status, error.code, error.message, fields)


async def _on_bad_input(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError | ValidationError)
    fields = fields_of(error.errors())
    message = next(iter(fields.values()), "The request cannot be read.")
    return error_answer(422, "invalid", message, fields)


async def _on_http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentences = {404: "There is nothing at this address.", 405: "This cannot be done here."}
    codes = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
    message = sentences.get(error.status_code, str(error.detail))
    answer = error_answer(error.status_code, codes.get(error.status_code, "bad_request"), message)
    answer.headers.update(error.headers or {})
    return answer


async def _on_database_error(_request: Request, error: Exception) -> JSONResponse:
    log.error("the database did not answer", exc_info=error, action="database_failed")
    answer = error_answer(503, "database", "The database does not answer at the moment; nothing was changed.")
    answer.headers["Retry-After"] = "5"
    return answer


async def _on_surprise(request: Request, error: Exception) -> JSONResponse:
    log.error("a request failed", exc_info=error, action="request_failed", path=request.url.path)
    return error_answer(500, "unexpected", "Something unexpected happened; the log says what.")
