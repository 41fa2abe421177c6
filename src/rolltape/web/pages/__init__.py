"""The table of pages: method, path and the handler that makes the page or does what its form asks."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from rolltape.web.pages import streams

PAGES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/streams", streams.listing),
    ("GET", "/streams/new", streams.new),
    ("POST", "/streams/new", streams.create),
    ("POST", "/streams/preview", streams.preview),
    ("POST", "/streams/probe", streams.probe),
    ("GET", "/streams/{stream_id}", streams.show),
    ("GET", "/streams/{stream_id}/edit", streams.edit),
    ("POST", "/streams/{stream_id}/edit", streams.change),
    ("GET", "/streams/{stream_id}/cover/{_version}", streams.cover),
    ("POST", "/streams/{stream_id}/cover", streams.put_cover),
    ("POST", "/streams/{stream_id}/cover/delete", streams.delete_cover),
    ("GET", "/streams/{stream_id}/delete", streams.ask_delete),
    ("POST", "/streams/{stream_id}/delete", streams.delete),
)


def router() -> APIRouter:
    pages = APIRouter(include_in_schema=False)
    for method, path, handler in PAGES:
        noun = path.split("/")[1] or "dashboard"
        name = f"page_{noun}_{handler.__name__}_{method.lower()}"
        pages.add_api_route(path, handler, methods=[method], name=name, response_model=None)
    return pages
