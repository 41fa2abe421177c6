"""The live stream: which tables have changed, to every open browser. The page asks anew for what it shows."""

from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.sse import ServerSentEvent

from rolltape.web.params import With

KEEP_ALIVE = 15.0  # s without news after which a line is sent all the same, so that no proxy takes it for dead
RECONNECT = 2000  # ms after which a browser that lost the stream asks again


async def events(services: With, request: Request) -> AsyncIterator[ServerSentEvent]:
    """What has changed, as server-sent events: `topics` are the names of tables, `count` says which change it was."""
    yield ServerSentEvent(data={"count": services.news.count, "topics": []}, retry=RECONNECT)
    async for topics in services.news.listen(patience=KEEP_ALIVE):
        if await request.is_disconnected():
            return
        told = {"count": services.news.count, "topics": sorted(topics)}
        yield ServerSentEvent(data=told) if topics else ServerSentEvent(comment="still here")
