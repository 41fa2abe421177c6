"""Who may ask, for what, how much. In this order: size of the body, host, origin, login or token.

Every route needs a login or a token unless it is listed here. Host and origin are checked against pages of other sites
that use a visitor's browser: a name that another site controls must not lead here, and only our own pages may change
things. The check of the origin is the whole defence against that, so that forms work without scripts.
"""

import asyncio
import ipaddress
from urllib.parse import urlsplit

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rolltape.domain.units import MINUTE, Seconds
from rolltape.services import Services
from rolltape.services.backups import LARGEST_ARCHIVE
from rolltape.store import is_no_answer
from rolltape.web.access import LoginCookie, way_to_login
from rolltape.web.errors import bare_page, error_answer

OPEN = frozenset({"/health/live", "/health/ready", "/login", "/setup", "/setup/restore", "/setup/restore-latest"})
BRINGS_BACKUP = frozenset({"/api/backups/upload", "/system/backups/upload", "/setup/restore"})
STATIC = "/static/"
API_DOCS = "/api/docs"  # the one page below /api
MIB = 1024 * 1024  # bytes
LARGEST_BODY = 1 * MIB  # the longest stream with all its addresses takes a fiftieth of it
LARGEST_UPLOAD = 11 * MIB  # a cover of 10 MB and the form around it
LARGEST_BACKUP = LARGEST_ARCHIVE + MIB  # with the form around it; it goes to the disk as it arrives
LONGEST_UPLOAD = Seconds(5 * MINUTE)  # until a body has arrived as a whole
HOME_SUFFIXES = (".local", ".lan", ".home.arpa", ".localhost")

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; font-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

log = structlog.get_logger(__name__)


class Guard:
    def __init__(
        self, app: ASGIApp, services: Services, *, cookie: LoginCookie, allowed_hosts: list[str], base_path: str
    ) -> None:
        self._app = app
        self._tokens = services.tokens
        self._users = services.users
        self._cookie = cookie
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # there are no WebSockets here
            return
        send = _with_headers(send, is_static=scope["path"].startswith(STATIC))
        try:
            answer = await self._refusal(scope, Headers(scope=scope))
        except SQLAlchemyError as exc:
            if not is_no_answer(exc):
                raise
            log.exception("the database did not answer", action="database_failed")
            answer = _refused(scope, 503, "database", "The database does not answer at the moment. Try again soon.")
        if answer is not None:
            await answer(scope, receive, send)
            return
        await self._pass(scope, receive, send)

    async def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > _largest(scope):
            return _refused(scope, 413, "too_large", _too_large(scope))
        host = headers.get("host", "")
        if not self._is_known(host):
            message = "This name is not known here; list it in ROLLTAPE_ALLOWED_HOSTS to allow it."
            return _refused(scope, 421, "unknown_host", message)
        token = _bearer(headers)
        if scope["method"] not in _SAFE and not _is_own(headers, scope["scheme"], host, has_token=token is not None):
            return _refused(scope, 403, "foreign_origin", _foreign(headers, host))
        is_in = await self._lets_in(scope, headers, token)

        return None if is_in else await self._way_in(scope)

    async def _lets_in(self, scope: Scope, headers: Headers, token: str | None) -> bool:
        """Whether the path is open to everybody, or to who asks. Notes who that is."""
        path = scope["path"]
        state = scope.setdefault("state", {})
        state["visitor"] = state["user"] = None
        if path.startswith((STATIC, "/health/")):
            return path.startswith(STATIC) or path in OPEN
        if token is not None:
            return await self._tokens.is_known(token) or path in OPEN
        held = self._cookie.read(headers)
        visitor = await self._users.who(held) if held else None
        if visitor is not None:
            state["visitor"], state["user"] = visitor, visitor.user
        return visitor is not None or path in OPEN

    async def _way_in(self, scope: Scope) -> Response:
        """What somebody is told who is neither signed in nor has a token."""
        if _is_for_programs(scope):
            message = "Sign in, or send an API token: Authorization: Bearer TOKEN."
            answer = _refused(scope, 401, "unauthorized", message)
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        if not await self._users.exist():
            return self._redirect("/setup")
        if scope["method"] not in _SAFE:
            return self._redirect("/login")
        return self._redirect(way_to_login(scope["path"], scope["query_string"].decode("latin-1")))

    def _redirect(self, path: str) -> Response:
        return RedirectResponse(f"{self._base_path}{path}", 303)

    def _is_known(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name = (parts.hostname or "").lower()
        except ValueError:
            return False
        if parts.netloc != host or "@" in host:
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
        is_complete = False
        deadline = asyncio.get_running_loop().time() + LONGEST_UPLOAD

        async def limited() -> Message:
            nonlocal left, is_complete
            if is_complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as exc:
                raise HTTPException(408, "It took too long to arrive.") from exc
            is_complete = not message.get("more_body", False)
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


def _refused(scope: Scope, status: int, code: str, message: str) -> Response:
    answer = error_answer(status, code, message) if _is_for_programs(scope) else bare_page(status, message)
    if status == 503:
        answer.headers["Retry-After"] = "5"
    return answer


def _is_for_programs(scope: Scope) -> bool:
    path: str = scope["path"]
    if path == API_DOCS and "text/html" in Headers(scope=scope).get("accept", ""):  # a person who wants to read it
        return False
    return path in ("/api", "/metrics") or path.startswith(("/api/", "/health/"))


def _largest(scope: Scope) -> int:
    if scope["method"] == "POST" and scope["path"] in BRINGS_BACKUP:
        return LARGEST_BACKUP
    is_cover = scope["method"] in ("PUT", "POST") and scope["path"].endswith(("/artwork", "/cover"))
    return LARGEST_UPLOAD if is_cover else LARGEST_BODY


def _too_large(scope: Scope) -> str:
    return f"This is too large. At most {_largest(scope) // MIB} MB are taken here."


def _bearer(headers: Headers) -> str | None:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def _is_own(headers: Headers, scheme: str, host: str, *, has_token: bool) -> bool:
    """Whether a request that changes something comes from our own page, or from a program with a token."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = headers.get("origin")
    return has_token if origin is None else origin.lower() == f"{scheme}://{host}".lower()


def _foreign(headers: Headers, host: str) -> str:
    if headers.get("origin", "").lower() == f"https://{host}".lower():
        return "Requests of other sites are refused. Behind a proxy, list its address in ROLLTAPE_TRUSTED_PROXIES."
    return "Requests of other sites are refused."


def _with_headers(send: Send, *, is_static: bool) -> Send:
    extra = _HEADERS if is_static else (*_HEADERS, (b"cache-control", b"no-store"))

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in present)]
        await send(message)

    return sender
