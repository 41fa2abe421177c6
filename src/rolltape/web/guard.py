"""Who may ask, for what, how much. In this order: size of the body, host, origin, login.

Every route needs a token unless it is listed here. Host and origin are checked against pages of other sites that use
a visitor's browser: a name that another site controls must not lead here, and only our own pages may change things.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rolltape.services.tokens import Tokens
from rolltape.web.errors import error_answer

OPEN = frozenset({"/", "/health/live", "/health/ready"})
LARGEST_BODY = 1024 * 1024  # bytes; the longest stream with all its addresses takes a fiftieth of it
LARGEST_UPLOAD = 11 * 1024 * 1024  # bytes; a cover of 10 MB and the form around it
HOME_SUFFIXES = (".local", ".lan", ".home.arpa", ".localhost")

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    def __init__(self, app: ASGIApp, tokens: Tokens, *, allowed_hosts: list[str]) -> None:
        self._app = app
        self._tokens = tokens
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        send = _with_headers(send, is_api=scope["path"].startswith("/api"))
        refusal = await self._refusal(scope, headers)
        if refusal is not None:
            status, code, message = refusal
            answer = error_answer(status, code, message)
            if status == 401:
                answer.headers["WWW-Authenticate"] = "Bearer"
            await answer(scope, receive, send)
            return
        await self._pass(scope, receive, send)

    async def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > _largest(scope):
            return 413, "too_large", _too_large(scope)
        host = headers.get("host", "")
        if not self._is_known(host):
            message = "This name is not known here; list it in ROLLTAPE_ALLOWED_HOSTS to allow it."
            return 421, "unknown_host", message
        token = _bearer(headers)
        if scope["method"] not in _SAFE and not _is_own(headers, scope["scheme"], host, has_token=token is not None):
            return 403, "foreign_origin", "Requests of other sites are refused."
        if scope["path"] not in OPEN and not (token and await self._tokens.is_known(token)):
            return 401, "unauthorized", "An API token is needed: Authorization: Bearer TOKEN."

        return None

    def _is_known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self._allowed_hosts or ("." not in name and name.replace("-", "").isalnum()):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.endswith(HOME_SUFFIXES)
        return True

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = _largest(scope)

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, _too_large(scope))
            return message

        await self._app(scope, limited, send)


class Prefix:
    """Serves an application below a path, whether or not the proxy in front takes the path off."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._path and scope["type"] == "http":
            path: str = scope["path"]
            if path == self._path or path.startswith(f"{self._path}/"):
                path = path[len(self._path) :] or "/"
            # Starlette takes the root path off before it looks for a route.
            scope = {**scope, "path": path, "root_path": ""}
        await self._app(scope, receive, send)


def _largest(scope: Scope) -> int:
    return LARGEST_UPLOAD if scope["method"] == "PUT" and scope["path"].endswith("/artwork") else LARGEST_BODY


def _too_large(scope: Scope) -> str:
    return f"At most {_largest(scope)} bytes are taken here."


def _bearer(headers: Headers) -> str | None:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def _is_own(headers: Headers, scheme: str, host: str, *, has_token: bool) -> bool:
    """Whether a request that changes something comes from our own page, or from a program with a token."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = headers.get("origin")
    return has_token if origin is None else origin.lower() == f"{scheme}://{host}".lower()


def _with_headers(send: Send, *, is_api: bool) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name for name, _ in message["headers"]}
            extra = [*_HEADERS, *([(b"cache-control", b"no-store")] if is_api else [])]
            message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in present)]
        await send(message)

    return sender
