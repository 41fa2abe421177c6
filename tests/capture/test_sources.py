"""Every kind of source, from a real server: what is recorded decodes, and has the planned length."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolltape.capture import CaptureSettings, Offer, probe
from rolltape.domain.errors import FormatUnsupported, SourceError
from rolltape.domain.recording import Cut
from rolltape.domain.stream import CaptureEngine
from rolltape.domain.take import Codec
from rolltape.domain.units import Seconds
from tests.capture.conftest import Recording
from tests.servers.icecast import Icecast
from tests.servers.kinds import station


@pytest.fixture
def source(request: pytest.FixtureRequest, icecast_server: Icecast, tmp_path: Path) -> Iterator[str]:
    """The address of a station of the kind asked for."""
    with station(request.param, icecast_server, tmp_path) as url:
        yield url


@pytest.mark.parametrize(
    ("source", "codec"),
    [
        ("mp3", Codec.MP3), ("aac", Codec.AAC), ("vorbis", Codec.VORBIS), ("opus", Codec.OPUS), ("oggflac", Codec.FLAC),
        ("flac", Codec.FLAC), ("wav", Codec.PCM), ("hls", Codec.AAC), ("hls-mp3", Codec.MP3), ("rtmp", Codec.AAC),
        ("rtmps", Codec.AAC), ("rtsp-mp3", Codec.MP3), ("rtsp-alaw", Codec.OTHER), ("srt", Codec.AAC),
    ],
    indirect=["source"],
)  # fmt: skip
async def test_every_kind_of_source_is_recorded_whole(source: str, codec: Codec, record: Recording) -> None:
    recorded = await record(source, 5, verify_tls=False)

    assert recorded.error is None, recorded.events
    takes = recorded.journal.takes
    assert [take.format.codec for take in takes] == [codec]
    assert takes[0].format.sample_rate
    assert takes[0].format.channels in (1, 2)
    assert recorded.account.gaps == ()
    assert recorded.decoded_seconds == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize("source", ["oggflac", "vorbis", "opus"], indirect=True)
async def test_a_title_that_has_just_begun_is_laid_on_the_clock_as_it_is_heard(source: str, record: Recording) -> None:
    await asyncio.sleep(4)  # so old is the title: the pages of Ogg FLAC jump from 0 to there

    recorded = await record(source, 5)

    (take,) = recorded.journal.takes
    whole = Cut(take, Seconds(0), Seconds(take.duration + 60))
    assert recorded.decoded(whole) == pytest.approx(take.duration, abs=0.3)


async def test_ffmpeg_can_be_asked_to_do_it_all(mp3_station: str, record: Recording) -> None:
    recorded = await record(mp3_station, 3, engine=CaptureEngine.FFMPEG)

    assert [take.file for take in recorded.journal.takes] == ["take-001.mp3"]
    assert recorded.journal.station == "Test Radio"
    assert recorded.decoded_seconds == pytest.approx(3, abs=0.3)


async def test_debians_ffmpeg_does_it_too(hls_station: str, record: Recording, settings: CaptureSettings) -> None:
    from tests.servers.process import program

    theirs = CaptureSettings(program("ffmpeg"), settings.egress)
    recorded = await record(hls_station, 4, settings=theirs)

    assert recorded.decoded_seconds == pytest.approx(4, abs=0.3)


async def test_the_native_engine_says_what_it_cannot_do(hls_station: str, settings: CaptureSettings) -> None:
    with pytest.raises(FormatUnsupported, match="this is HLS"):
        await probe(hls_station, settings, engine=CaptureEngine.NATIVE)
    with pytest.raises(FormatUnsupported, match="rtmp"):
        await probe("rtmp://127.0.0.1/live/x", settings, engine=CaptureEngine.NATIVE)


async def test_a_probe_tells_what_is_on_offer_and_leaves_a_sample(
    mp3_station: str, settings: CaptureSettings, tmp_path: Path
) -> None:
    offer = await probe(mp3_station, settings, sample=tmp_path / "listen")

    assert offer == Offer(Codec.MP3, offer.bit_rate, offer.sample_rate, 1, "Test Radio", "A Title", "Test")
    assert (offer.bit_rate, offer.sample_rate) == (128000, 44100)
    assert (tmp_path / "listen").stat().st_size > 4 * 16000


async def test_a_probe_of_hls_tells_its_format(hls_station: str, settings: CaptureSettings) -> None:
    offer = await probe(hls_station, settings)

    assert (offer.codec, offer.sample_rate, offer.channels) == (Codec.AAC, 44100, 1)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("rtmp://127.0.0.1:1/live/x", "connect_refused"),
        ("rtsp://127.0.0.1:1/x", "connect_refused"),
        ("rtmp://nix.invalid/live/x", "unknown_host"),
        ("srt://127.0.0.1:1", "connect_timeout"),
    ],
)
async def test_what_ffmpeg_cannot_open_has_a_sentence_too(url: str, code: str, settings: CaptureSettings) -> None:
    with pytest.raises(SourceError) as caught:
        await probe(url, settings)

    assert caught.value.code == code
    assert caught.value.message.endswith(".")
