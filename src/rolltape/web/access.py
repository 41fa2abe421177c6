"""What a signed-in browser carries, and where it may be led."""

from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

from rolltape.services.users import REMEMBERED_LIFE

LONGEST_PATH = 2000  # characters of an address that is come back to


class LoginCookie:
    """The cookie of a login. It is no one else's: other programs on this host see the cookies of all its ports."""

    def __init__(self, *, port: int, base_path: str) -> None:
        self._name = f"rolltape_{port}"
        self._path = base_path or "/"

    def read(self, headers: Headers) -> str | None:
        return cookie_parser(headers.get("cookie", "")).get(self._name) or None

    def keep(self, answer: Response, value: str, *, remember: bool, scheme: str) -> None:
        """Sign the browser in. Without `remember` it forgets the cookie when it is closed."""
        answer.set_cookie(
            self._name,
            value,
            max_age=int(REMEMBERED_LIFE.total_seconds()) if remember else None,
            path=self._path,
            secure=scheme == "https",
            httponly=True,
            samesite="strict",
        )

    def drop(self, answer: Response, *, scheme: str) -> None:
        answer.delete_cookie(self._name, path=self._path, secure=scheme == "https", httponly=True, samesite="strict")


def local_path(text: str) -> str:
    """`text` where it is a path of ours, else "/": nobody is led to another site by a link to the login."""
    is_ours = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_ours and len(text) <= LONGEST_PATH else "/"


def way_to_login(path: str, query: str) -> str:
    """The address of the login that leads back to this page."""
    page = local_path(f"{quote(path)}?{query}" if query else quote(path))
    return "/login" if page == "/" else f"/login?next={quote(page, safe='/')}"
