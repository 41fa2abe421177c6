"""Some seconds of a station, to listen to before it is saved."""

from pathlib import Path

import pytest
from mutagen.mp3 import MP3

from rolltape.capture import CaptureSettings
from rolltape.domain.address import Egress
from rolltape.domain.errors import BusyError, NotFoundError, SourceError
from rolltape.services.samples import MOST_KEPT, Samples
from tests.servers.icecast import Icecast
from tests.servers.process import free_port
from tests.services.conftest import Hand


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def samples(tmp_path: Path, ffmpeg: str, clock: Hand) -> Samples:
    settings = CaptureSettings(ffmpeg=ffmpeg, egress=Egress(unrestricted=True))
    return Samples(tmp_path / "samples", capture_settings=settings, clock=clock)


async def test_a_station_can_be_heard_for_five_seconds(samples: Samples, mp3_station: str) -> None:
    sample = await samples.record(mp3_station, verify_tls=True)

    heard = MP3(samples.file(sample.id)).info
    assert heard is not None
    assert sample.duration == pytest.approx(5, abs=0.3)
    assert heard.length == pytest.approx(5, abs=0.3)
    assert sample.offer.station == "Test Radio"


@pytest.mark.parametrize(
    ("mount", "options", "kind"),
    [
        ("s.aac", ["-c:a", "aac", "-b:a", "64k", "-f", "adts"], "audio/aac"),
        ("s.ogg", ["-c:a", "libvorbis", "-f", "ogg"], "application/ogg"),
    ],
)
async def test_whatever_it_sends_is_heard_as_mp3(
    samples: Samples, icecast_server: Icecast, mount: str, options: list[str], kind: str
) -> None:
    with icecast_server.source(mount, options, kind):
        sample = await samples.record(icecast_server.url(mount), verify_tls=True)

    heard = MP3(samples.file(sample.id)).info
    assert heard is not None
    assert heard.length == pytest.approx(sample.duration, abs=0.2)
    assert 3 < sample.duration < 5.5


async def test_where_nobody_sends_a_sentence_says_so(samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no server listens there"):
        await samples.record(f"http://127.0.0.1:{free_port()}/live", verify_tls=True)

    assert not (tmp_path / "samples").exists()


async def test_what_may_not_be_reached_is_not_reached_for_a_sample_either(
    tmp_path: Path, ffmpeg: str, clock: Hand, mp3_station: str
) -> None:
    settings = CaptureSettings(ffmpeg=ffmpeg, egress=Egress())
    samples = Samples(tmp_path / "samples", capture_settings=settings, clock=clock)

    with pytest.raises(SourceError) as refused:
        await samples.record(mp3_station, verify_tls=True)

    assert refused.value.code == "egress_refused"


async def test_only_a_few_are_recorded_at_once(samples: Samples, mp3_station: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rolltape.services.samples.MOST_AT_ONCE", 0)

    with pytest.raises(BusyError):
        await samples.record(mp3_station, verify_tls=True)


async def test_one_that_takes_too_long_is_given_up(
    samples: Samples, mp3_station: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rolltape.services.samples.DEADLINE", 0.05)

    with pytest.raises(SourceError, match="longer than"):
        await samples.record(mp3_station, verify_tls=True)


async def test_samples_are_kept_for_a_quarter_of_an_hour(
    samples: Samples, mp3_station: str, clock: Hand, tmp_path: Path
) -> None:
    sample = await samples.record(mp3_station, verify_tls=True)

    clock.move(minutes=14)
    samples.file(sample.id)
    clock.move(minutes=2)
    with pytest.raises(NotFoundError):
        samples.file(sample.id)

    assert list((tmp_path / "samples").iterdir()) == []


async def test_the_oldest_samples_make_room(samples: Samples, tmp_path: Path) -> None:
    file = tmp_path / "audio"
    file.write_bytes(b"audio")

    made = [await samples._keep(file) for _ in range(MOST_KEPT + 2)]

    assert len(list((tmp_path / "samples").iterdir())) == MOST_KEPT
    for sample_id in made[:2]:
        with pytest.raises(NotFoundError):
            samples.file(sample_id)
    assert samples.file(made[2]).read_bytes() == b"audio"


async def test_a_start_removes_what_was_left(samples: Samples, tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / f"{'0' * 32}.mp3").write_bytes(b"audio")

    samples.clear()

    assert not (tmp_path / "samples").exists()
    samples.clear()


@pytest.mark.parametrize("sample_id", ["", ".", "..", "../test", "0" * 32, "x" * 10_000])
def test_what_is_no_sample_is_not_found(samples: Samples, sample_id: str) -> None:
    with pytest.raises(NotFoundError):
        samples.file(sample_id)
