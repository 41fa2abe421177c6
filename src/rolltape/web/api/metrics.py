"""Figures for Prometheus. Like everything else they need a token or a login."""

from fastapi import Response

from rolltape.services.figures import CONTENT_TYPE
from rolltape.web.params import With


async def read(services: With) -> Response:
    return Response(await services.figures.text(), media_type=CONTENT_TYPE)
