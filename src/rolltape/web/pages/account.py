"""The page of the account: password, signed-in browsers, API tokens."""

from fastapi import Request
from fastapi.responses import Response

from rolltape.domain.errors import ConflictError, InputError
from rolltape.services import Services
from rolltape.services.users import Visitor
from rolltape.web.forms import Form, Typed
from rolltape.web.params import Id, With
from rolltape.web.rendering import redirect, render

PAGE = "/system/account"

# What a browser calls itself holds several of these; the first one that is in it counts.
BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (
    ("Android", "Android"), ("iPhone", "an iPhone"), ("iPad", "an iPad"), ("Windows", "Windows"),
    ("Mac OS", "a Mac"), ("CrOS", "a Chromebook"), ("Linux", "Linux"),
)  # fmt: skip


async def show(request: Request, services: With) -> Response:
    return await _page(request, services)


async def change_password(request: Request, services: With, form: Typed) -> Response:
    with form.checked():
        if form.text("new") != form.text("again"):
            raise InputError("again", "This is not the same password as above.")
        await services.users.change_password(_visitor(request), form.text("old"), form.text("new"))
    if not form.is_good:
        return await _page(request, services, password=form, status=422)
    return redirect(request, PAGE, note="password")


async def end_login(request: Request, services: With, login_id: Id) -> Response:
    await services.users.end_login(login_id)
    return redirect(request, PAGE, note="ended")


async def create_token(request: Request, services: With, form: Typed) -> Response:
    """Make a token, and show it on the page that answers: it is never shown again."""
    shown = ""
    with form.checked():
        _, shown = await services.tokens.make(form.text("name"))
    if not form.is_good:
        return await _page(request, services, token=form, status=422)
    return await _page(request, services, shown=shown, status=201)


async def ask_delete_token(request: Request, services: With, token_id: Id) -> Response:
    return render(request, "account/delete_token.html", token=await services.tokens.get(token_id))


async def delete_token(request: Request, services: With, token_id: Id) -> Response:
    await services.tokens.delete(token_id)
    return redirect(request, PAGE, note="deleted")


def browser_name(agent: str) -> str:
    """What a person calls a browser: "Firefox on Linux"."""
    browser = next((name for mark, name in BROWSERS if mark in agent), None)
    system = next((name for mark, name in SYSTEMS if mark in agent), None)
    if browser is None:
        return agent[:40] or "A browser without a name"

    return f"{browser} on {system}" if system else browser


def _visitor(request: Request) -> Visitor:
    visitor: Visitor | None = request.state.visitor
    if visitor is None:
        raise ConflictError("A token has no password. Sign in to change yours.")
    return visitor


async def _page(
    request: Request,
    services: Services,
    *,
    password: Form | None = None,
    token: Form | None = None,
    shown: str = "",
    status: int = 200,
) -> Response:
    visitor: Visitor | None = request.state.visitor
    return render(
        request,
        "account/show.html",
        status=status,
        path=PAGE,  # the form for a token answers at an address of its own
        logins=await services.users.logins(visitor.user if visitor else None),
        this_login=visitor.login_id if visitor else None,
        tokens=await services.tokens.all(),
        shown=shown,
        password_form=password or Form({}),
        token_form=token or Form({}),
        browser_name=browser_name,
    )
