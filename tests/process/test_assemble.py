"""From takes of every kind to one sound MP3."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutagen.mp3 import MP3 as Mutagen
from structlog.testing import capture_logs

from rolltape.domain.errors import FfmpegMissing, ProcessingError
from rolltape.domain.take import Codec
from rolltape.ffmpeg.run import Run
from rolltape.process import Assembled, assemble
from tests.process import judges
from tests.process.conftest import cut
from tests.servers.process import program

# A tone of 0.2 s at 3 s tells where in the take we are.
BEEP = 3.0
MARKED = "aevalsrc=exprs='0.001*random(0)+if(between(t,3,3.2),0.6*sin(2*PI*1000*t),0)':s={rate}:d=6"

OTHERS = {
    "aac.aac": (Codec.AAC, 44100, ["-ac", "2", "-c:a", "aac", "-b:a", "96k", "-f", "adts"]),
    "aac-mono.aac": (Codec.AAC, 22050, ["-ac", "1", "-c:a", "aac", "-b:a", "32k", "-f", "adts"]),
    "aac.ts": (Codec.AAC, 48000, ["-ac", "2", "-c:a", "aac", "-b:a", "96k", "-f", "mpegts"]),
    "aac.mka": (Codec.AAC, 44100, ["-ac", "2", "-c:a", "aac", "-b:a", "96k"]),
    "vorbis.ogg": (Codec.VORBIS, 44100, ["-ac", "2", "-c:a", "libvorbis"]),
    "opus.ogg": (Codec.OPUS, 48000, ["-ac", "2", "-c:a", "libopus"]),
    "flac.ogg": (Codec.FLAC, 44100, ["-ac", "2", "-c:a", "flac"]),
    "flac.flac": (Codec.FLAC, 96000, ["-ac", "2", "-c:a", "flac"]),
    "surround.mka": (Codec.FLAC, 48000, ["-af", "aformat=channel_layouts=5.1", "-c:a", "flac"]),
    "wav.wav": (Codec.PCM, 32000, ["-ac", "2", "-c:a", "pcm_s16le"]),
    "telephone.wav": (Codec.PCM, 8000, ["-ac", "1", "-c:a", "pcm_s16le"]),
    "layer2.mp2": (Codec.OTHER, 48000, ["-ac", "2", "-c:a", "mp2", "-b:a", "192k"]),
}

Maker = Callable[..., Path]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "assembled.mp3"


@pytest.fixture(params=["bundled", "debian"])
def any_ffmpeg(request: pytest.FixtureRequest, ffmpeg: str) -> str:
    return ffmpeg if request.param == "bundled" else program("ffmpeg")


@pytest.fixture
def marked(make: Maker) -> Callable[[str], Path]:
    def make_marked(name: str) -> Path:
        _, rate, options = OTHERS[name]
        return make(f"marked-{name}", options, source=MARKED.format(rate=rate))

    return make_marked


def beep_at(file: Path, assembled: Assembled) -> float:
    """Seconds into the file."""
    samples = judges.pcm(file, channels=1)
    return next(n for n, sample in enumerate(samples) if abs(sample) > 3000) / assembled.sample_rate


@pytest.mark.parametrize("name", OTHERS)
async def test_whatever_is_no_mp3_is_encoded_and_cut_where_it_should(
    marked: Callable[[str], Path], ffmpeg: str, out: Path, name: str
):
    codec, rate, _ = OTHERS[name]
    take = marked(name)

    assembled = await assemble([cut(take, 1.3, 3.3, codec=codec)], out.parent, out, quality="V4", ffmpeg=ffmpeg)

    assert assembled.duration == pytest.approx(3.3, abs=0.05)
    assert beep_at(out, assembled) == pytest.approx(BEEP - 1.3, abs=0.06)
    assert assembled.sample_rate == {96000: 48000, 8000: 16000}.get(rate, rate)
    assert assembled.channels == (1 if name in ("aac-mono.aac", "telephone.wav") else 2)
    judges.assert_sound(out)
    assert len(judges.pcm(out)) / assembled.sample_rate == pytest.approx(assembled.duration, abs=0.001)
    assert Mutagen(out).tags is None
    assert out.read_bytes()[-128:][:3] != b"TAG"


@pytest.mark.parametrize("name", ["aac.aac", "opus.ogg", "flac.flac", "surround.mka"])
async def test_every_ffmpeg_encodes_to_the_same_length(
    marked: Callable[[str], Path], any_ffmpeg: str, out: Path, name: str
):
    codec = OTHERS[name][0]
    cuts = [cut(marked(name), 0.5, 2.0, codec=codec), cut(marked(name), 2.2, 1.7, codec=codec)]

    assembled = await assemble(cuts, out.parent, out, quality="V2", ffmpeg=any_ffmpeg)

    assert assembled.duration == pytest.approx(3.7, abs=0.01)
    assert beep_at(out, assembled) == pytest.approx(2.0 + BEEP - 2.2, abs=0.06)
    judges.assert_sound(out)


async def test_mp3_takes_of_one_format_are_joined_not_encoded(mp3: Maker, any_ffmpeg: str, out: Path):
    take = mp3("cbr")

    assembled = await assemble([cut(take, 0.5, 2), cut(take, 1, 3)], out.parent, out, quality="V9", ffmpeg=any_ffmpeg)

    assert take.read_bytes()[20_000:30_000] in out.read_bytes()
    assert assembled.duration == pytest.approx(5, abs=0.03)
    assert assembled.bit_rate == pytest.approx(128_000, rel=0.02)
    assert (assembled.sample_rate, assembled.channels) == (44100, 2)


async def test_takes_of_different_codecs_and_rates_become_one_recording(
    marked: Callable[[str], Path], mp3: Maker, ffmpeg: str, out: Path
):
    cuts = [
        cut(mp3("mpeg2"), 1, 2),
        cut(marked("aac.aac"), 2.5, 1, codec=Codec.AAC),
        cut(marked("opus.ogg"), 2.5, 1, codec=Codec.OPUS),
    ]

    assembled = await assemble(cuts, out.parent, out, quality="128k", ffmpeg=ffmpeg)

    assert assembled.duration == pytest.approx(4, abs=0.01)
    assert (assembled.sample_rate, assembled.channels) == (48000, 2)
    assert assembled.bit_rate == pytest.approx(128_000, rel=0.03)
    judges.assert_sound(out)


async def test_mp3_takes_of_two_formats_are_encoded(mp3: Maker, ffmpeg: str, out: Path):
    assembled = await assemble(
        [cut(mp3("cbr"), 0, 2), cut(mp3("mpeg2"), 0, 2)], out.parent, out, quality="V4", ffmpeg=ffmpeg
    )

    assert assembled.duration == pytest.approx(4, abs=0.01)
    assert assembled.sample_rate == 44100
    judges.assert_sound(out)


async def test_a_take_that_becomes_stereo_in_the_middle_is_cut_right(
    make: Maker, tmp_path: Path, ffmpeg: str, out: Path
):
    mono = make("mono.aac", ["-ac", "1", "-c:a", "aac", "-f", "adts"], source=MARKED.format(rate=44100))
    stereo = make("stereo.aac", ["-ac", "2", "-c:a", "aac", "-f", "adts"], source=MARKED.format(rate=44100))
    take = tmp_path / "take.aac"
    take.write_bytes(mono.read_bytes()[:3000] + stereo.read_bytes())

    assembled = await assemble([cut(take, 2, 3, codec=Codec.AAC)], out.parent, out, quality="V4", ffmpeg=ffmpeg)

    assert assembled.duration == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize(
    ("quality", "rate", "expected"),
    [
        ("32k", 44100, 44100),
        ("320k", 44100, 44100),
        ("320k", 22050, 32000),
        ("160k", 22050, 22050),
        ("V0", 11025, 16000),
    ],
)
async def test_a_quality_is_kept_where_the_sample_rate_does_not_have_it(
    make: Maker, ffmpeg: str, out: Path, quality: str, rate: int, expected: int
):
    take = make(f"noise-{rate}.flac", ["-ac", "2", "-c:a", "flac"], rate=rate, length=2)

    assembled = await assemble([cut(take, 0, 2, codec=Codec.FLAC)], out.parent, out, quality=quality, ffmpeg=ffmpeg)

    assert assembled.sample_rate == expected
    if quality.endswith("k"):
        assert assembled.bit_rate == pytest.approx(int(quality[:-1]) * 1000, rel=0.05)
    judges.assert_sound(out)


@pytest.mark.parametrize("name", ["aac.aac", "vorbis.ogg", "opus.ogg", "aac.ts", "flac.flac", "aac.mka"])
async def test_a_take_torn_by_a_kill_gives_what_is_in_it(
    marked: Callable[[str], Path], tmp_path: Path, ffmpeg: str, out: Path, name: str
):
    whole = marked(name).read_bytes()
    take = tmp_path / name
    take.write_bytes(whole[: len(whole) * 4 // 5 + 7])

    with capture_logs() as logs:
        assembled = await assemble([cut(take, codec=OTHERS[name][0])], out.parent, out, quality="V4", ffmpeg=ffmpeg)

    assert 3.2 < assembled.duration < 5.9
    assert beep_at(out, assembled) == pytest.approx(BEEP, abs=0.06)
    assert "takes_damaged" in [line.get("action") for line in logs]
    judges.assert_sound(out)


@pytest.mark.parametrize("name", ["aac.aac", "vorbis.ogg", "layer2.mp2"])
async def test_what_follows_damage_in_the_middle_is_not_lost(
    marked: Callable[[str], Path], tmp_path: Path, ffmpeg: str, out: Path, name: str
):
    content = bytearray(marked(name).read_bytes())
    begin = len(content) // 5
    content[begin : begin + 800] = random.Random(1).randbytes(800)
    take = tmp_path / name
    take.write_bytes(content)

    assembled = await assemble([cut(take, codec=OTHERS[name][0])], out.parent, out, quality="V4", ffmpeg=ffmpeg)

    assert assembled.duration > 4.5
    assert beep_at(out, assembled) == pytest.approx(BEEP, abs=1.1)
    judges.assert_sound(out)


async def test_an_mp3_take_with_frames_that_cannot_be_decoded_is_encoded(
    mp3: Maker, tmp_path: Path, ffmpeg: str, out: Path
):
    content = bytearray(mp3("no-reservoir").read_bytes())
    for number in range(50, 60):
        at = content.index(b"\xff\xfb", number * 417)
        content[at + 4 : at + 36] = b"\xff" * 32  # side information that is impossible
    take = tmp_path / "take.mp3"
    take.write_bytes(content)

    with capture_logs() as logs:
        assembled = await assemble([cut(take)], out.parent, out, quality="128k", ffmpeg=ffmpeg)

    assert "join_failed" in [line.get("action") for line in logs]
    assert 5.5 < assembled.duration < 6.1
    judges.assert_sound(out)


async def test_one_take_without_sound_does_not_spoil_the_others(
    marked: Callable[[str], Path], tmp_path: Path, ffmpeg: str, out: Path
):
    empty, junk = tmp_path / "empty.aac", tmp_path / "junk.aac"
    empty.write_bytes(b"")
    junk.write_bytes(random.Random(1).randbytes(20_000))
    cuts = [cut(take, 0, 2, codec=Codec.AAC) for take in (empty, marked("aac.aac"), junk)]

    assembled = await assemble(cuts, out.parent, out, quality="V4", ffmpeg=ffmpeg)

    assert assembled.duration == pytest.approx(2, abs=0.01)
    judges.assert_sound(out)


@pytest.mark.parametrize("codec", [Codec.MP3, Codec.AAC])
@pytest.mark.parametrize("content", [b"", b"<html>no audio</html>" * 500, random.Random(2).randbytes(50_000)])
async def test_takes_without_any_sound_are_told_in_a_sentence(
    tmp_path: Path, ffmpeg: str, out: Path, codec: Codec, content: bytes
):
    (tmp_path / "take.bin").write_bytes(content)

    with pytest.raises(ProcessingError, match=r"take\.bin"):
        await assemble([cut(Path("take.bin"), codec=codec)], tmp_path, out, quality="V2", ffmpeg=ffmpeg)


async def test_nothing_recorded_is_told_in_a_sentence(tmp_path: Path, ffmpeg: str, out: Path):
    with pytest.raises(ProcessingError, match="nothing was recorded"):
        await assemble([], tmp_path, out, quality="V2", ffmpeg=ffmpeg)


@pytest.mark.parametrize("codec", [Codec.MP3, Codec.AAC])
async def test_a_take_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path, ffmpeg: str, out: Path, codec: Codec):
    with pytest.raises(FileNotFoundError):
        await assemble([cut(Path("gone.mp3"), codec=codec)], tmp_path, out, quality="V2", ffmpeg=ffmpeg)


async def test_without_ffmpeg_that_is_what_is_said(mp3: Maker, out: Path):
    with pytest.raises(FfmpegMissing, match="/nowhere/ffmpeg"):
        await assemble([cut(mp3("cbr"))], out.parent, out, quality="V2", ffmpeg="/nowhere/ffmpeg")


async def test_a_full_disk_is_told_in_a_sentence(marked: Callable[[str], Path], tmp_path: Path, ffmpeg: str):
    with pytest.raises(ProcessingError, match=r"encoding to MP3 failed: .*No space left"):
        await assemble(
            [cut(marked("aac.aac"), codec=Codec.AAC)], tmp_path, Path("/dev/full"), quality="V2", ffmpeg=ffmpeg
        )


async def test_what_was_left_from_before_is_overwritten(
    mp3: Maker, marked: Callable[[str], Path], ffmpeg: str, out: Path
):
    for take, codec in ((mp3("cbr"), Codec.MP3), (marked("aac.aac"), Codec.AAC)):
        out.write_bytes(b"left" * 1_000_000)

        await assemble([cut(take, 0, 2, codec=codec)], out.parent, out, quality="V4", ffmpeg=ffmpeg)

        assert b"leftleft" not in out.read_bytes()
        judges.assert_sound(out)


async def test_a_name_that_looks_like_something_else_is_a_name(mp3: Maker, tmp_path: Path, ffmpeg: str):
    folder = tmp_path / "12:30 %03d 'é"
    folder.mkdir()
    for name in ("-x.mp3", "concat:a|b.mp3", "tee:x.mp3"):
        (folder / name).write_bytes(mp3("cbr").read_bytes())
        cuts = [cut(Path(name), 0, 1, codec=codec) for codec in (Codec.MP3, Codec.OTHER)]

        assembled = await assemble(cuts, folder, folder / "out:1 %d.mp3", quality="V4", ffmpeg=ffmpeg)

        assert assembled.duration == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize("content", ["file 'secret.wav'\n", "#EXTM3U\n#EXTINF:1,\nfile:secret.wav\n"])
async def test_a_take_cannot_name_another_file(make: Maker, tmp_path: Path, ffmpeg: str, out: Path, content: str):
    (tmp_path / "secret.wav").write_bytes(make("secret.wav", [], length=1).read_bytes())
    (tmp_path / "take.bin").write_text(content)

    with pytest.raises(ProcessingError):
        await assemble([cut(Path("take.bin"), codec=Codec.OTHER)], tmp_path, out, quality="V2", ffmpeg=ffmpeg)


async def test_a_cancelled_encoding_leaves_no_process(
    marked: Callable[[str], Path], ffmpeg: str, out: Path, monkeypatch: pytest.MonkeyPatch
):
    runs: list[Run] = []
    decodes = asyncio.Event()
    start = Run.start

    async def seen(program: str, arguments: list[str], **options: Any) -> Run:
        runs.append(await start(program, arguments, **options))
        if options.get("stdout"):
            decodes.set()
        return runs[-1]

    monkeypatch.setattr(Run, "start", seen)
    cuts = [cut(marked("aac.aac"), codec=Codec.AAC)] * 30
    work = asyncio.create_task(assemble(cuts, out.parent, out, quality="V0", ffmpeg=ffmpeg))
    await decodes.wait()

    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert len(runs) == 30 + 2  # a look at every take, the encoder, and the first decoder
    assert all(run._process.returncode is not None for run in runs)


async def test_silence_is_measured(make: Maker, ffmpeg: str, out: Path):
    source = "sine=f=440:d=10:r=44100,volume='if(between(t,2,5)+gt(t,8),0,1)':eval=frame"
    take = make("pauses.mp3", ["-c:a", "libmp3lame", "-b:a", "128k"], source=source)

    assembled = await assemble([cut(take, 0, 10)], out.parent, out, quality="V2", ffmpeg=ffmpeg)

    assert assembled.silent_share == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("level", "share"), [(-70, 1.0), (-50, 0.0)])
async def test_what_lies_below_60_dbfs_is_silent(make: Maker, ffmpeg: str, out: Path, level: int, share: float):
    take = make(f"quiet{level}.flac", ["-ac", "2"], source=f"sine=f=300:d=4:r=44100,volume={level + 18}dB")

    assembled = await assemble([cut(take, 0, 4, codec=Codec.FLAC)], out.parent, out, quality="V2", ffmpeg=ffmpeg)

    assert assembled.silent_share == pytest.approx(share, abs=0.03)


async def test_digital_silence_is_silent(make: Maker, ffmpeg: str, out: Path):
    take = make("nothing.mp3", ["-c:a", "libmp3lame", "-b:a", "64k"], source="anullsrc=r=44100:cl=mono:d=3")

    assembled = await assemble([cut(take, 0, 3)], out.parent, out, quality="V2", ffmpeg=ffmpeg)

    assert assembled.silent_share == pytest.approx(1, abs=0.01)
