"""The pages of the system: how it is, its settings, and what it is made of."""

import re
import sys
from functools import cache

from fastapi import Request
from fastapi.responses import Response
from starlette.responses import HTMLResponse

from rolltape.domain.calendar import zone_names
from rolltape.domain.preference import PreferenceFields
from rolltape.services import Services
from rolltape.services.libraries import Library, libraries
from rolltape.web.forms import Form, Typed
from rolltape.web.params import With
from rolltape.web.rendering import STATIC, redirect, render

# The settings in the order of the page.
GROUPS = (
    ("Time", ("timezone", "start_early", "end_late")),
    (
        "Limits",
        (
            "max_concurrent_sessions",
            "max_concurrent_processing",
            "max_concurrent_transfers",
            "max_transfers_per_destination",
            "disk_floor",
        ),
    ),
    ("Backups", ("backup_hour", "backups_kept")),
    ("Log", ("log_level", "log_levels", "log_size", "log_retention")),
)

_VENDORED = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|(]+)", re.MULTILINE)


async def show(request: Request, services: With) -> HTMLResponse:
    health = services.health
    return render(
        request,
        "system/show.html",
        findings=await health.findings(),
        uptime=health.uptime,
        memory=health.memory,
        disk=health.disk(),
        hours_left=await health.hours_left(),
        forecast=await health.forecast(),
        zone=services.preferences.values.timezone,
    )


async def settings(request: Request, services: With) -> HTMLResponse:
    return _settings(request, services, Form(_shown(services)))


async def change_settings(request: Request, services: With, form: Typed) -> Response:
    """Change what was typed differently. What the environment fixes is not sent by the form."""
    shown = _shown(services)
    changes = {name: value for name, value in form.values.items() if name in shown and value != shown[name]}
    with form.checked():
        await services.preferences.change({name: _value(name, form.text(name)) for name in changes})
    if not form.is_good:
        return _settings(request, services, Form(shown | dict(form.values), form.errors, form.message))
    return redirect(request, "/system/settings", note="saved")


async def about(request: Request, services: With) -> HTMLResponse:
    return render(
        request,
        "system/about.html",
        ffmpeg=await services.health.ffmpeg_version(),
        cage=services.health.ffmpeg_cage,
        python=sys.version.partition(" ")[0],
        libraries=libraries(),
        vendored=vendored(),
    )


@cache
def vendored() -> list[Library]:
    """What is not ours and is sent to browsers."""
    listed = (STATIC / "vendor" / "README.md").read_text()
    return [Library(*(part.strip() for part in found[1:])) for found in _VENDORED.findall(listed)]


def _settings(request: Request, services: Services, form: Form) -> HTMLResponse:
    return render(
        request,
        "system/settings.html",
        status=200 if form.is_good else 422,
        form=form,
        groups=GROUPS,
        rows={row.name: row for row in services.preferences.read()},
        fixed=services.preferences.fixed,
        zones=zone_names(),
    )


def _shown(services: Services) -> dict[str, str]:
    return {row.name: _text(row.value) for row in services.preferences.read()}


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(name: str, text: str) -> str | None:
    """What was typed; an emptied field brings the default back, unless it may be empty."""
    default = PreferenceFields.model_fields[name].default
    return text.strip() or ("" if default == "" else None)
