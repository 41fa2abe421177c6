"""The page of the configuration: one document to download, and to bring in after a look at what it would change."""

from typing import Annotated

from fastapi import File, Form, Request, UploadFile
from fastapi.responses import Response
from starlette.responses import HTMLResponse

from rolltape.domain.errors import ConflictError
from rolltape.services import Services
from rolltape.services.configuration import Action, BadConfiguration, Change, Difference
from rolltape.services.configuration.items import Kind
from rolltape.services.configuration.words import field_words
from rolltape.web.params import With
from rolltape.web.rendering import redirect, render

# What is shown, in this order: the word for it, and what it is.
GROUPS = (
    (Action.REMOVED, "Will be removed"),
    (Action.ADDED, "Will be added"),
    (Action.CHANGED, "Will be changed"),
    (Action.FIXED, "Stays: fixed by the environment"),
    (Action.LEFT, "Stays: not in the document"),
)

Ticked = Annotated[str, Form()]


async def show(request: Request) -> HTMLResponse:
    return _page(request)


async def compare(
    request: Request, services: With, file: Annotated[UploadFile | None, File()] = None, prune: Ticked = ""
) -> HTMLResponse:
    """Show what a document would change, and ask."""
    document = await file.read() if file is not None else b""
    if not document:
        return _page(request, problems=["Choose a file first."])
    return await _question(request, services, document, prune=bool(prune))


async def bring_in(
    request: Request,
    services: With,
    document: Annotated[str, Form()] = "",
    prune: Ticked = "",
    fingerprint: Annotated[str, Form()] = "",
) -> Response:
    """Do what was shown and agreed to; show it anew if it would be something else by now."""
    content = document.encode("utf-8", "replace")
    try:
        await services.configuration.bring_in(content, prune=bool(prune), agreed=fingerprint)
    except ConflictError as exc:
        return await _question(request, services, content, prune=bool(prune), message=exc.message)
    except BadConfiguration as exc:
        return _page(request, problems=[problem.sentence for problem in exc.problems])
    return redirect(request, "/system/configuration", note="imported")


async def _question(
    request: Request, services: Services, document: bytes, *, prune: bool, message: str = ""
) -> HTMLResponse:
    try:
        found = await services.configuration.compare(document, prune=prune)
    except BadConfiguration as exc:
        return _page(request, problems=[problem.sentence for problem in exc.problems])
    return render(
        request,
        "system/import.html",
        status=409 if message else 200,
        found=found,
        groups=_groups(found),
        unchanged=len(found.of(Action.UNCHANGED)),
        document=document.decode("utf-8-sig"),
        prune=prune,
        message=message,
    )


def _page(request: Request, *, problems: list[str] | None = None) -> HTMLResponse:
    return render(request, "system/configuration.html", status=422 if problems else 200, problems=problems or [])


def _groups(found: Difference) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """What happens: a title, and each item with the words for its fields. Settings nobody speaks of are left out."""
    groups = []
    for action, title in GROUPS:
        changes = [one for one in found.of(action) if not (action is Action.LEFT and one.kind is Kind.PREFERENCE)]
        groups.append((title, [(_title(one), [field_words(one, field) for field in one.fields]) for one in changes]))
    return groups


def _title(change: Change) -> str:
    return f"{change.kind.capitalize()} {change.name}"
