"""The web interface and the API. A handler reads the request, calls one service and renders."""

from rolltape.web.application import create as create
