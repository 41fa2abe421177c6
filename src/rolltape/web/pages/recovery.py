"""What a person does about a lost database: look for recordings, and have it told no more."""

from fastapi import Request
from fastapi.responses import Response

from rolltape.web.params import With
from rolltape.web.rendering import redirect


async def search(request: Request, services: With) -> Response:
    services.recovery.begin_search()
    return redirect(request, "/system", note="searching")


async def dismiss(request: Request, services: With) -> Response:
    services.recovery.dismiss()
    return redirect(request, "/system")
