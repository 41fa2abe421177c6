"""The table of API routes. Every one needs a login or a token: the guard stands in front of all of them."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from rolltape.web.api import (
    account,
    backups,
    channels,
    configuration,
    destinations,
    keys,
    logs,
    preferences,
    recovery,
    retention,
    samples,
    schedules,
    sessions,
    streams,
    system,
    transfers,
)
from rolltape.web.errors import RESPONSES

OK, CREATED, NOTHING = 200, 201, 204

ROUTES: tuple[tuple[str, str, Callable[..., Any], int], ...] = (
    ("GET", "/streams", streams.listing, OK),
    ("POST", "/streams", streams.create, CREATED),
    ("POST", "/streams/probe", streams.probe, OK),
    ("POST", "/streams/sample", samples.record, CREATED),
    ("GET", "/samples/{sample_id}", samples.read, OK),
    ("GET", "/streams/{stream_id}", streams.read, OK),
    ("PATCH", "/streams/{stream_id}", streams.change, OK),
    ("DELETE", "/streams/{stream_id}", streams.delete, NOTHING),
    ("POST", "/streams/{stream_id}/probe", streams.probe_known, OK),
    ("PUT", "/streams/{stream_id}/artwork", streams.put_artwork, NOTHING),
    ("GET", "/streams/{stream_id}/artwork", streams.read_artwork, OK),
    ("DELETE", "/streams/{stream_id}/artwork", streams.delete_artwork, NOTHING),
    ("GET", "/streams/{stream_id}/retention", retention.preview, OK),
    ("POST", "/streams/{stream_id}/retention", retention.agree, OK),
    ("GET", "/schedules", schedules.listing, OK),
    ("POST", "/schedules", schedules.create, CREATED),
    ("POST", "/schedules/preview", schedules.preview, OK),
    ("GET", "/schedules/upcoming", schedules.upcoming, OK),
    ("GET", "/schedules/week", schedules.week, OK),
    ("GET", "/schedules/{schedule_id}", schedules.read, OK),
    ("PATCH", "/schedules/{schedule_id}", schedules.change, OK),
    ("DELETE", "/schedules/{schedule_id}", schedules.delete, NOTHING),
    ("POST", "/schedules/{schedule_id}/skip", schedules.skip, OK),
    ("POST", "/schedules/{schedule_id}/unskip", schedules.unskip, OK),
    ("GET", "/sessions", sessions.listing, OK),
    ("POST", "/sessions", sessions.record_now, CREATED),
    ("GET", "/sessions/{session_id}", sessions.read, OK),
    ("DELETE", "/sessions/{session_id}", sessions.delete, NOTHING),
    ("POST", "/sessions/{session_id}/stop", sessions.stop, OK),
    ("POST", "/sessions/{session_id}/cancel", sessions.cancel, OK),
    ("POST", "/sessions/{session_id}/retry", sessions.retry, OK),
    ("GET", "/sessions/{session_id}/audio", sessions.audio, OK),
    ("HEAD", "/sessions/{session_id}/audio", sessions.audio_head, OK),
    ("GET", "/sessions/{session_id}/waveform", sessions.waveform, OK),
    ("GET", "/sessions/{session_id}/listen", sessions.listen, OK),
    ("GET", "/sessions/{session_id}/takes", sessions.takes, OK),
    ("GET", "/sessions/{session_id}/events", sessions.events, OK),
    ("GET", "/destinations", destinations.listing, OK),
    ("POST", "/destinations", destinations.create, CREATED),
    ("GET", "/destinations/{destination_id}", destinations.read, OK),
    ("PATCH", "/destinations/{destination_id}", destinations.change, OK),
    ("DELETE", "/destinations/{destination_id}", destinations.delete, NOTHING),
    ("POST", "/destinations/{destination_id}/test", destinations.test, OK),
    ("POST", "/destinations/{destination_id}/host-key", destinations.accept_key, OK),
    ("GET", "/channels", channels.listing, OK),
    ("POST", "/channels", channels.create, CREATED),
    ("GET", "/channels/{channel_id}", channels.read, OK),
    ("PATCH", "/channels/{channel_id}", channels.change, OK),
    ("DELETE", "/channels/{channel_id}", channels.delete, NOTHING),
    ("POST", "/channels/{channel_id}/test", channels.test, OK),
    ("GET", "/keys", keys.listing, OK),
    ("POST", "/keys", keys.create, CREATED),
    ("GET", "/transfers", transfers.listing, OK),
    ("POST", "/transfers/{transfer_id}/retry", transfers.retry, OK),
    ("POST", "/transfers/{transfer_id}/cancel", transfers.cancel, OK),
    ("GET", "/tokens", account.tokens, OK),
    ("POST", "/tokens", account.create_token, CREATED),
    ("DELETE", "/tokens/{token_id}", account.delete_token, NOTHING),
    ("GET", "/logins", account.logins, OK),
    ("DELETE", "/logins/{login_id}", account.end_login, NOTHING),
    ("POST", "/account/password", account.change_password, NOTHING),
    ("GET", "/system", system.read, OK),
    ("GET", "/recovery", recovery.read, OK),
    ("POST", "/recovery/search", recovery.search, OK),
    ("POST", "/recovery/dismiss", recovery.dismiss, OK),
    ("GET", "/logs", logs.listing, OK),
    ("GET", "/logs/download", logs.download, OK),
    ("GET", "/config/export", configuration.export, OK),
    ("POST", "/config/import", configuration.bring_in, OK),
    ("GET", "/backups", backups.listing, OK),
    ("POST", "/backups", backups.create, CREATED),
    ("POST", "/backups/upload", backups.upload, CREATED),
    ("GET", "/backups/{backup}", backups.download, OK),
    ("DELETE", "/backups/{backup}", backups.delete, NOTHING),
    ("POST", "/backups/{backup}/verify", backups.verify, OK),
    ("POST", "/backups/{backup}/restore", backups.restore, OK),
    ("GET", "/preferences", preferences.listing, OK),
    ("PATCH", "/preferences", preferences.change, OK),
)


def router(*, described: bool = False) -> APIRouter:
    """All routes; `described` with what any of them can answer beside its result, which only the document needs."""
    api = APIRouter(prefix="/api", responses=RESPONSES if described else None)
    for method, path, handler, status in ROUTES:
        noun = path.split("/")[1]
        name = f"{noun}_{handler.__name__}"
        api.add_api_route(
            path, handler, methods=[method], status_code=status, name=name, operation_id=name, tags=[noun]
        )
    return api
