"""What people ask for is told to the log, with its outcome and what it was about."""

import pytest
from structlog.testing import capture_logs

from rolltape.domain.errors import NotFoundError
from rolltape.domain.units import Seconds
from tests.services.conftest import Bench


async def test_what_went_well_names_what_it_was_about(bench: Bench) -> None:
    with capture_logs() as told:
        stream = await bench.stream("Harbour")
        session = await bench.services.sessions.record_now(stream, Seconds(5))
        await bench.services.sessions.cancel(session.id)
        await bench.services.streams.delete(stream)

    found = [(line["action"], line.get("stream_id"), line.get("session_id")) for line in told if "action" in line]
    assert found == [
        ("stream_added", stream, None),
        ("record_now", stream, session.id),
        ("cancel_asked", stream, session.id),
        ("stream_deleted", stream, None),
    ]


async def test_what_was_refused_says_why(bench: Bench) -> None:
    with capture_logs() as told, pytest.raises(NotFoundError):
        await bench.services.sessions.stop(4711)

    (line,) = told
    assert (line["action"], line["outcome"], line["code"], line["session_id"]) == (
        "stop_asked", "refused", "not_found", 4711,
    )  # fmt: skip
    assert "4711" in line["event"]


async def test_what_failed_is_left_to_who_catches_it(bench: Bench) -> None:
    await bench.database.close()
    bench.services.sessions._database = None  # type: ignore[assignment]

    with capture_logs() as told, pytest.raises(AttributeError):
        await bench.services.sessions.stop(1)

    assert told == []


async def test_no_password_and_no_token_is_told(bench: Bench) -> None:
    with capture_logs() as told:
        token = await bench.services.tokens.create("script")
        await bench.services.users.create("me", "a secret pass phrase")

    assert [line["action"] for line in told] == ["token_made", "user_added"]
    assert token not in str(told)
    assert "secret" not in str(told)
