"""Bad sources: each gives its own sentence, or a good recording. None hangs, none is done without audio."""

import asyncio
import dataclasses
import socket
import threading
import time
from typing import Any

import pytest

from rolltape.capture import CaptureSettings, probe
from rolltape.domain.errors import FormatUnsupported, SourceError
from rolltape.domain.units import Seconds
from tests.capture.conftest import Recording
from tests.servers.faulty import FaultyStation
from tests.servers.process import free_port, program


@pytest.fixture
def hasty(settings: CaptureSettings) -> CaptureSettings:
    """Two seconds to connect."""
    return dataclasses.replace(settings, connect_timeout=Seconds(2))


@pytest.mark.parametrize(
    ("path", "code", "sentence"),
    [
        ("html", "not_audio_html", "the server sent a web page, not audio"),
        ("html_kept_open", "not_audio_html", "the server sent a web page, not audio"),
        ("nix", "http_404", "has no such stream"),
        ("unauthorised", "http_401", "asks for a user name and a password"),
        ("forbidden", "http_403", "does not let us listen"),
        ("loop", "too_many_redirects", "in a circle"),
        ("hops", "too_many_redirects", "more than 8 redirects"),
        ("tofile", "bad_redirect", "something that is no address"),
        ("self_m3u", "too_many_redirects", "playlists lead to playlists"),
        ("garbage", "format_unsupported", "no audio format"),
        ("picture", "format_unsupported", "a picture"),
        ("empty", "empty", "sent nothing"),
        ("nothing", "no_answer", "without an answer"),
        ("nohttp", "no_http", "no HTTP server"),
        ("bighead", "no_http", "does not end"),
        ("nohead", "connect_timeout", "within 2 s"),
        ("driphead", "connect_timeout", "within 2 s"),
        ("silence", "connect_timeout", "within 2 s"),
    ],
)
async def test_each_fault_has_its_own_sentence(
    station: FaultyStation, hasty: CaptureSettings, path: str, code: str, sentence: str
) -> None:
    with pytest.raises(SourceError) as caught:
        await probe(station.url(path), hasty)

    assert caught.value.code == code
    assert sentence in caught.value.message
    assert "\n" not in caught.value.message


async def test_a_closed_port_and_an_unknown_host_are_told_apart(settings: CaptureSettings) -> None:
    with pytest.raises(SourceError) as refused:
        await probe(f"http://127.0.0.1:{free_port()}/", settings)
    with pytest.raises(SourceError) as unknown:
        await probe("http://station.invalid/", settings)

    assert (refused.value.code, unknown.value.code) == ("connect_refused", "unknown_host")


@pytest.mark.parametrize(
    "path", ["wrongtype", "icy200", "lfonly", "chunked", "moved", "pls", "m3u", "plain_m3u", "xspf", "titles"]
)
async def test_odd_servers_are_recorded(station: FaultyStation, record: Recording, path: str) -> None:
    recorded = await record(station.url(path), 2)

    assert recorded.error is None
    assert recorded.decoded_seconds == pytest.approx(2, abs=0.3)


async def test_only_get_is_asked_and_titles_are_wanted(station: FaultyStation, settings: CaptureSettings) -> None:
    await probe(station.url("ok?once=1"), settings)

    requests = [request for request in station.requests if request.startswith(("HEAD", "GET /ok?once=1"))]
    assert len(requests) == 1
    assert "Icy-MetaData: 1" in requests[0]


async def test_a_password_in_the_address_is_sent_and_never_shown(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("unauthorised").replace("://", "://user:pass@"), 1)

    assert recorded.error is None
    assert not any("pass" in event.message for event in recorded.events)


async def test_hostile_titles_become_one_clean_line(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("titles"), 2)

    titles = [title for _, title in recorded.journal.titles]
    assert "Ünïcode" in titles
    assert all(title.isprintable() and len(title) <= 300 for title in titles)
    assert sum(gap.length for gap in recorded.account.gaps) == 0


@pytest.mark.parametrize(
    ("path", "cause"), [("drop", "closed the connection"), ("reset", "broke off"), ("stall", "No audio came for 1 s")]
)
async def test_a_lost_connection_is_made_again(
    station: FaultyStation, record: Recording, path: str, cause: str
) -> None:
    recorded = await record(station.url(path), 6, stall_timeout=1)

    assert recorded.error is None
    assert len(recorded.journal.takes) >= 2
    assert cause in recorded.message("lost")
    assert recorded.decoded_seconds == pytest.approx(recorded.account.recorded, abs=0.3)


async def test_a_drip_counts_as_stalled(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("drip"), 5, stall_timeout=1)

    assert "No audio came" in recorded.message("lost")


async def test_audio_far_slower_than_real_time_counts_as_stalled(station: FaultyStation, record: Recording) -> None:
    # Longer than what may wait in the network's buffers at that speed: then it is no silence.
    recorded = await record(station.url("slow"), 9, stall_timeout=4)

    assert "of the speed that it plays at" in recorded.message("lost")


async def test_a_busy_server_is_asked_again_when_it_said(station: FaultyStation, record: Recording) -> None:
    station.visits.clear()

    recorded = await record(station.url("busy"), 4)

    assert recorded.error is None
    assert "Trying again in 2 s" in recorded.message("retrying")
    assert recorded.account.late == pytest.approx(0, abs=0.5)  # the window of a "record now" waits for its audio


async def test_a_finished_file_is_no_live_stream(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("file"), 5, max_attempts=1)

    assert "finished file" in recorded.message("lost" if "lost" in recorded.kinds else "failed")


async def test_a_change_of_codec_begins_a_new_take(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("codecchange"), 8)

    codecs = [take.format.codec.value for take in recorded.journal.takes]
    assert codecs[:2] == ["mp3", "aac"]
    assert "lost" not in recorded.kinds
    assert recorded.decoded_seconds > 7


async def test_noise_between_frames_is_left_out(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("junk"), 4)

    assert len(recorded.journal.takes) == 1
    assert recorded.decoded_seconds == pytest.approx(4, abs=0.3)


@pytest.mark.parametrize(("path", "takes", "missing"), [("hiccup", 2, 5), ("catchup", 1, 0)])
async def test_after_a_pause_the_clock_tells_whether_audio_is_missing(
    station: FaultyStation, record: Recording, path: str, takes: int, missing: float
) -> None:
    recorded = await record(station.url(path), 10)

    assert len(recorded.journal.takes) == takes
    assert "lost" not in recorded.kinds
    assert sum(gap.length for gap in recorded.account.gaps) == pytest.approx(missing, abs=0.3)
    assert recorded.decoded_seconds == pytest.approx(10 - missing, abs=0.3)


@pytest.mark.parametrize("program_name", ["bundled", "debian"])
async def test_a_new_title_in_an_ogg_stream_does_not_end_the_take(
    station: FaultyStation, record: Recording, settings: CaptureSettings, program_name: str
) -> None:
    used = settings if program_name == "bundled" else dataclasses.replace(settings, ffmpeg=program("ffmpeg"))

    recorded = await record(station.url("chain"), 6, settings=used)

    assert len(recorded.journal.takes) == 1
    assert recorded.decoded_seconds == pytest.approx(6, abs=0.3)


async def test_without_any_audio_the_last_reason_is_raised_at_the_end(
    station: FaultyStation, record: Recording
) -> None:
    recorded = await record(station.url("nix"), 2)

    assert recorded.error is not None
    assert recorded.error.code == "http_404"
    assert recorded.kinds.count("connecting") >= 3


async def test_attempts_are_limited_where_that_is_asked(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("nix"), 60, max_attempts=2)

    assert recorded.error is not None
    assert recorded.kinds.count("connecting") == 2


async def test_what_cannot_be_recorded_is_given_up_at_once(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("picture"), 60)

    assert isinstance(recorded.error, FormatUnsupported)
    assert recorded.kinds.count("connecting") == 1


async def test_the_fallback_address_is_tried(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("nix"), 2, fallback_urls=[station.url("ok")])

    assert recorded.error is None
    assert recorded.decoded_seconds == pytest.approx(2, abs=0.3)


async def test_a_name_server_that_does_not_answer_holds_nobody_else_up(
    station: FaultyStation, hasty: CaptureSettings, record: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    # F32
    answered, real = threading.Event(), socket.getaddrinfo

    def look_up(host: str, *more: Any, **options: Any) -> Any:
        if host == "slow.example":
            answered.wait(30)
        return real("127.0.0.1" if host == "slow.example" else host, *more, **options)

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    waiting = [asyncio.create_task(probe("http://slow.example/ok", hasty)) for _ in range(3)]
    try:
        recorded = await record(station.url("ok"), 1)
        results = await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        answered.set()

    assert recorded.error is None
    assert [getattr(result, "code", None) for result in results] == ["connect_timeout"] * 3


async def test_an_rtmp_server_that_takes_the_connection_and_says_nothing(hasty: CaptureSettings) -> None:
    # F36
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        with pytest.raises(SourceError) as caught:
            await probe(f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/x", hasty)
        took = time.monotonic() - began

    assert caught.value.code == "connect_timeout"
    assert took < 12  # FFmpeg does not end when it is asked to while it waits
