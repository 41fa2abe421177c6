"""The pages of backups: a list, one more, one from elsewhere; and the way back, which asks before it does anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Request
from fastapi.responses import Response

from rolltape.domain.errors import ConflictError, InputError, RolltapeError
from rolltape.services import Services
from rolltape.services.backups import Change, Named, Outlook, Reason
from rolltape.web.forms import Form, Typed
from rolltape.web.pages.login import peer
from rolltape.web.params import With
from rolltape.web.rendering import redirect, render
from rolltape.web.upload import UploadForm

PAGE = "/system/backups"
KINDS = {
    Reason.DAILY: "Daily",
    Reason.MANUAL: "By hand",
    Reason.MIGRATION: "Before an update",
    Reason.RESTORE: "Before a restoration",
    Reason.UPLOAD: "From elsewhere",
}
THINGS = {
    "streams": "Streams",
    "destinations": "Destinations",
    "schedules": "Schedules",
    "preferences": "Settings",
    "channels": "Notifications",
    "sessions": "Recordings in the list",
}

Name = Annotated[str, Path(max_length=100)]


async def listing(request: Request, services: With) -> Response:
    return await _page(request, services)


async def create(request: Request, services: With, form: Typed) -> Response:
    with form.checked():
        if form.text("passphrase") != form.text("again"):
            raise InputError("again", "This is not the same passphrase.")
        await services.backups.create(passphrase=form.text("passphrase") or None)
    if not form.is_good:
        return await _page(request, services, making=form)
    return redirect(request, PAGE, note="backup-made")


async def bring(request: Request, services: With) -> Response:
    form = Form({"file": ""})
    upload = UploadForm(request)
    with form.checked():
        received = await services.backups.receive(upload.chunks())
    if not form.is_good:
        await upload.drain()
        return await _page(request, services, bringing=form)
    return redirect(request, f"{PAGE}/{received.name}/restore", note="backup-received")


async def verify(request: Request, services: With, backup: Name) -> Response:
    form = Form({})
    with form.checked():
        await services.backups.verify(backup)
    if not form.is_good:
        return await _page(request, services, problem=f"{backup}: {form.message}")
    return redirect(request, PAGE, note="backup-sound")


async def ask_restore(request: Request, services: With, backup: Name) -> Response:
    return await _restore_page(request, services, backup, Form({"passphrase": ""}))


async def restore(request: Request, services: With, backup: Name, form: Typed) -> Response:
    """Show what it would change with what was typed; or, where that was asked for, do it."""
    if form.text("then") != "restore":
        return await _restore_page(request, services, backup, form)
    with form.checked():
        done = await services.backups.restore(backup, form.text("passphrase") or None, **_ticked(form))
    if not form.is_good:
        return await _restore_page(request, services, backup, form)
    # Whoever asked is signed out by now.
    return render(request, "backups/restored.html", user=None, outlook=done, rows=_rows(done.changes))


async def ask_delete(request: Request, services: With, backup: Name) -> Response:
    return render(request, "backups/delete.html", backup=await services.backups.get(backup), kinds=KINDS)


async def delete(request: Request, services: With, backup: Name) -> Response:
    await services.backups.delete(backup)
    return redirect(request, PAGE, note="deleted")


async def ask_setup(request: Request, services: With) -> Response:
    """The first visit of somebody who has a backup."""
    if await services.users.exist():
        return redirect(request, "/" if request.state.user else "/login")
    return render(request, "setup/restore.html", form=Form({"code": request.query_params.get("code", "")[:100]}))


async def set_up(request: Request, services: With) -> Response:
    """Restore an uploaded backup on the first visit. The code comes first: of strangers no file is taken."""
    if await services.users.exist():
        raise ConflictError("Rolltape is set up already. Sign in instead.")
    form = Form({"code": "", "file": "", "passphrase": ""})
    upload = UploadForm(request)
    with form.checked():
        form.values = {**form.values, **await upload.fields()}
        await services.users.check_code(form.text("code"), peer(request))
        received = await services.backups.receive(upload.chunks())
        has_all = bool(form.text("passphrase")) and received.has_secrets
        done = await services.backups.restore(
            received.name, form.text("passphrase") or None, with_accounts=has_all, with_host_keys=has_all
        )
    if not form.is_good:
        await upload.drain()
        return render(request, "setup/restore.html", status=422, form=form)
    return render(
        request,
        "setup/restored.html",
        outlook=done,
        code=form.text("code"),
        has_account=await services.users.exist(),
    )


@dataclass(frozen=True)
class Row:
    """What becomes of things of one kind, in words."""

    things: str
    added: str
    changed: str
    removed: str


async def _page(
    request: Request,
    services: Services,
    *,
    making: Form | None = None,
    bringing: Form | None = None,
    problem: str = "",
) -> Response:
    backups, trouble = [], ""
    try:
        backups = list(await services.backups.all())
    except RolltapeError as exc:  # the folder cannot be read
        trouble = exc.message
    return render(
        request,
        "backups/list.html",
        status=422 if making or bringing or problem else 200,
        backups=backups,
        latest=next((one for one in backups if one.problem is None and one.reason is not Reason.UPLOAD), None),
        kinds=KINDS,
        making=making or Form({"passphrase": "", "again": ""}),
        bringing=bringing or Form({"file": ""}),
        problem=problem or trouble,
        preferences=services.preferences.values,
    )


async def _restore_page(request: Request, services: Services, backup: str, form: Form) -> Response:
    """What a restoration would change, and the form that asks for it. What is wrong stands above it."""
    found = await services.backups.get(backup)
    outlook = await _look(services, backup, form) if form.is_good else None
    return render(
        request,
        "backups/restore.html",
        status=200 if form.is_good else 422,
        form=form,
        backup=found,
        kinds=KINDS,
        outlook=outlook,
        rows=_rows(outlook.changes) if outlook else [],
    )


async def _look(services: Services, backup: str, form: Form) -> Outlook | None:
    with form.checked():
        return await services.backups.plan(backup, form.text("passphrase") or None, **_ticked(form))
    return None


def _ticked(form: Form) -> dict[str, bool]:
    return {name: form.is_on(name) for name in ("with_accounts", "with_host_keys")}


def _rows(changes: Sequence[Change]) -> list[Row]:
    return [
        Row(THINGS[change.kind], _told(change.added), _told(change.changed), _told(change.removed))
        for change in changes
        if not change.is_none
    ]


def _told(some: Named) -> str:
    """Their names as far as they are known, else how many they are."""
    if not some.count:
        return ""
    more = some.count - len(some.names)
    if not some.names:
        return str(some.count)
    return ", ".join(some.names) + (f" and {more} more" if more else "")
