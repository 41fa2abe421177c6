"""Style sheets, scripts and pictures. Their address changes with their content, so a browser asks for each once."""

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from rolltape.web.rendering import STATIC, fingerprint

FOR_EVER = "public, max-age=31536000, immutable"


class _Kept(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = FOR_EVER
        return answer


class Compressed:
    """Packs pages and static files. What lies under /api goes as it is: audio must not be packed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._packing = GZipMiddleware(app, minimum_size=1000, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_raw = scope["type"] != "http" or (scope["path"].startswith("/api/") and scope["path"] != "/api/docs")
        await (self._app if is_raw else self._packing)(scope, receive, send)


def mount(app: FastAPI) -> None:
    app.mount(f"/static/{fingerprint()}", _Kept(directory=STATIC), name="static")
