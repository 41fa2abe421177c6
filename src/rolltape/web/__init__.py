"""The web interface and the API. A handler reads the request, calls one service and renders."""

from rolltape.web.application import create as create
from rolltape.web.connections import Connection as Connection
from rolltape.web.connections import most_connections as most_connections
from rolltape.web.connections import raise_limits as raise_limits
