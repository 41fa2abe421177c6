"""Signing in and out."""

from math import ceil
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from rolltape.domain.errors import TooManyAttempts
from rolltape.services import Services
from rolltape.web.access import LONGEST_PATH, LoginCookie, local_path
from rolltape.web.forms import Form, Typed
from rolltape.web.params import With
from rolltape.web.rendering import redirect, render

Next = Annotated[str, Query(alias="next", max_length=2 * LONGEST_PATH)]


async def ask(request: Request, services: With, leads_to: Next = "/") -> Response:
    if not await services.users.exist():
        return redirect(request, "/setup")
    if request.state.user is not None:
        return redirect(request, local_path(leads_to))
    return _form(request, Form({"next": local_path(leads_to)}))


async def log_in(request: Request, services: With, form: Typed) -> Response:
    answer = redirect(request, local_path(form.text("next")))
    try:
        with form.checked():
            await sign_in(request, answer, services, form.text("name"), form.text("password"), form.is_on("remember"))
    except TooManyAttempts as exc:
        return too_many(_form(request, Form(form.values, message=exc.message), 429), exc)
    return answer if form.is_good else _form(request, form, 422)


async def log_out(request: Request, services: With) -> Response:
    cookie: LoginCookie = request.state.login_cookie
    held = cookie.read(request.headers)
    if held:
        await services.users.log_out(held)
    answer = redirect(request, "/login", note="signed-out")
    cookie.drop(answer, scheme=request.url.scheme)
    return answer


async def sign_in(
    request: Request, answer: Response, services: Services, name: str, password: str, remember: bool
) -> None:
    """Sign the browser in that gets `answer`.

    Raises:
        InputError: name or password is wrong.
        TooManyAttempts: there were too many wrong ones.
    """
    agent = request.headers.get("user-agent", "")
    value = await services.users.log_in(name, password, peer=peer(request), agent=agent, remember=remember)
    cookie: LoginCookie = request.state.login_cookie
    cookie.keep(answer, value, remember=remember, scheme=request.url.scheme)


def peer(request: Request) -> str:
    """The address that a request came from."""
    return request.client.host if request.client else ""


def too_many(answer: Response, error: TooManyAttempts) -> Response:
    answer.headers["Retry-After"] = str(ceil(error.retry_after))
    return answer


def _form(request: Request, form: Form, status: int = 200) -> Response:
    return render(request, "login/ask.html", status=status, form=form)
