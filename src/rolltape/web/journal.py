"""Tells the log of every request: what was asked, what came of it, how long it took."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REFUSED = frozenset({403, 408, 413, 421, 429})  # not 401: that is every tab whose login has ended
SILENT = ("/static/", "/health/")  # asked for again and again, and nothing to learn from

log = structlog.get_logger(__name__)


class Journal:
    """In front of the guard, so that what is refused is told as well. Queries may be secret, and are not told."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(SILENT):
            await self._app(scope, receive, send)
            return
        began = time.monotonic()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                _tell(scope, message["status"], time.monotonic() - began)
            await send(message)

        await self._app(scope, receive, noted)


def _tell(scope: Scope, status: int, took: float) -> None:
    peer = (scope.get("client") or ("unknown",))[0]
    fields = {"method": scope["method"], "path": scope["path"], "status": status, "peer": peer}
    if status in REFUSED:
        log.warning("a request was refused", action="request_refused", **fields)
    else:
        log.debug("a request was answered", action="request", took=round(took, 4), **fields)
