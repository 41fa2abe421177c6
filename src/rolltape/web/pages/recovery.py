"""What a person does about a lost database: restore the latest backup, look for recordings, have it told no more."""

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from rolltape.domain.errors import ConflictError, NotFoundError
from rolltape.services import Services
from rolltape.web.forms import Form, Typed
from rolltape.web.pages.login import peer
from rolltape.web.params import With
from rolltape.web.rendering import redirect, render


async def search(request: Request, services: With) -> Response:
    services.recovery.begin_search()
    return redirect(request, "/system", note="searching")


async def dismiss(request: Request, services: With) -> Response:
    services.recovery.dismiss()
    return redirect(request, "/system")


async def ask_latest(request: Request, services: With, code: Annotated[str, Query(max_length=100)] = "") -> Response:
    """The first visit after the database was lost: is the latest backup to be restored?"""
    if await services.users.exist():
        return redirect(request, "/" if request.state.user else "/login")
    return await _latest_form(request, services, Form({"code": code, "passphrase": ""}))


async def restore_latest(request: Request, services: With, form: Typed) -> Response:
    """Restore the latest backup, for somebody who knows the one-time code."""
    if await services.users.exist():
        raise ConflictError("Rolltape is set up already. Sign in instead.")
    latest = await services.backups.latest()
    if latest is None:
        raise NotFoundError("There is no backup here that can be used.")
    with form.checked():
        await services.users.check_code(form.text("code"), peer(request))
        passphrase = form.text("passphrase") or None
        has_all = passphrase is not None and latest.has_secrets
        done = await services.backups.restore(latest.name, passphrase, with_accounts=has_all, with_host_keys=has_all)
    if not form.is_good:
        return await _latest_form(request, services, form, 422)
    has_account = await services.users.exist()
    return render(request, "setup/restored.html", outlook=done, code=form.text("code"), has_account=has_account)


async def _latest_form(request: Request, services: Services, form: Form, status: int = 200) -> Response:
    return render(request, "setup/latest.html", status=status, form=form, latest=await services.backups.latest())
