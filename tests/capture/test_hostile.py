"""Hostile streams, by the numbers of docs/reliability.md (T11 to T17): real servers, the real FFmpeg.

All that they lead to is watched: a file whose text must not get out, and a server that must not be asked.
"""

import asyncio
import dataclasses
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import structlog

from rolltape.capture import CaptureSettings, Recorder, probe
from rolltape.domain.address import Egress, check_url
from rolltape.domain.errors import FormatUnsupported, InputError, SourceError
from rolltape.domain.stream import CaptureEngine, StreamFields
from rolltape.domain.units import Seconds
from rolltape.ffmpeg.command import capture
from rolltape.ffmpeg.run import run_to_end
from tests.capture.conftest import Recording, plan
from tests.servers.faulty import FaultyStation
from tests.servers.hostile import Hostile, hostile
from tests.servers.kinds import station as station_of_kind
from tests.servers.process import free_port, program

SECRET = "S3CR3T-7f"  # stands in the file, and in addresses that must not be shown
LAN = "192.168.77.1"  # nothing is there, and nothing must be looked for there
PATIENCE = Seconds(8)  # to connect; what is refused is refused at once


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that is none of a station's business. It is a sound, so that it could be recorded."""
    file = tmp_path / "canary.mp3"
    tone = ["-f", "lavfi", "-i", "sine=d=5", "-metadata", f"title={SECRET}", "-id3v2_version", "3"]
    subprocess.run([program("ffmpeg"), "-v", "error", *tone, file], check=True)
    return file


@pytest.fixture
def inside() -> Iterator[Hostile]:
    """A server of this machine that no station may lead to. It would give audio to whoever asks."""
    with hostile() as server:
        yield server
        assert server.asked == []


@pytest.fixture
def stranger() -> Iterator[Hostile]:
    """The station that is allowed to be on loopback, for the sake of these tests."""
    with hostile() as server:
        yield server


@pytest.fixture
def strict(ffmpeg: str, stranger: Hostile) -> CaptureSettings:
    """As in a service: nothing on loopback may be reached, but the stranger."""
    return CaptureSettings(ffmpeg, Egress(frozenset({("127.0.0.1", stranger.port)})), connect_timeout=PATIENCE)


@dataclasses.dataclass(frozen=True)
class Public(Egress):
    """Takes the stranger for a station of the public internet, which there is none of in tests."""

    def is_local(self, address: str) -> bool:
        return False


@pytest.fixture
def public(strict: CaptureSettings) -> CaptureSettings:
    return dataclasses.replace(strict, egress=Public(strict.egress.allowed))


@pytest.fixture(scope="session")
def segment(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds of AAC in MPEG-TS."""
    file = tmp_path_factory.mktemp("segment") / "segment.ts"
    tone = ["-f", "lavfi", "-i", "sine=d=2", "-c:a", "aac"]
    subprocess.run([program("ffmpeg"), "-v", "error", *tone, "-f", "mpegts", file], check=True)
    return file.read_bytes()


def playlist(*lines: str) -> bytes:
    head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:0"]
    return "\n".join([*head, *lines, ""]).encode()


# T11: addresses that name something of this machine.

LOCAL = [
    "file:///etc/passwd", "file:/etc/passwd", "/etc/passwd", "../../etc/passwd", "concat:/etc/passwd|/etc/hosts",
    "subfile,,start,0,end,0,,:/etc/passwd", "pipe:0", "fd:0", "data:audio/mpeg;base64,AAAA", "lavfi:sine", "tee:x",
    "cache:http://a/", "async:http://a/", "crypto:http://a/", "unix:/run/x", "hls+http://a/x.m3u8", "tcp://a:1",
    "udp://a:1", "gopher://a/", "ftp://a/x", "sftp://a/x", "rtp://a:1", "smb://a/x", "icy://a/x", "jar:file:///x!/y",
]  # fmt: skip


@pytest.mark.parametrize("address", LOCAL)
def test_t11_an_address_of_this_machine_is_not_taken(address: str) -> None:
    with pytest.raises(InputError, match="cannot be recorded"):
        check_url(address)


@pytest.mark.parametrize("address", LOCAL[:6])
async def test_t11_nor_is_one_that_somebody_wrote_into_the_database(
    address: str, tmp_path: Path, settings: CaptureSettings
) -> None:
    written = plan("http://radio.example/", 5)
    stream = StreamFields.model_construct(**{**dict(written.stream), "url": address})
    changed = written.model_copy(update={"stream": stream})
    recorder = Recorder(changed, tmp_path / "session", settings, on_event=lambda event: None)

    with pytest.raises(FormatUnsupported, match="cannot be recorded"):
        await recorder.run()


@pytest.mark.parametrize("fence", ["lists", "kernel"])
@pytest.mark.parametrize("which", ["bundled", "debian"])
async def test_t11_behind_that_ffmpeg_itself_can_read_no_file(
    ffmpeg: str, which: str, fence: str, canary: Path, tmp_path: Path
) -> None:
    """Each of the two fences holds without the other one."""
    program_used = ffmpeg if which == "bundled" else program("ffmpeg")
    work = tmp_path / "work"
    work.mkdir()
    out = (work if fence == "kernel" else canary.parent) / "out.mka"
    arguments = asked_for(f"file:{canary}", out)
    if fence == "kernel":
        arguments = without_lists(arguments)

    code, _, words = await run_to_end(program_used, arguments, folder=out.parent)

    assert code != 0
    assert ("whitelist" if fence == "lists" else "Permission denied") in words
    assert not out.exists() or out.stat().st_size == 0


async def test_t11_the_fences_are_what_stops_it(ffmpeg: str, canary: Path) -> None:
    out = canary.parent / "out.mka"

    code, _, _ = await run_to_end(ffmpeg, without_lists(asked_for(f"file:{canary}", out)), folder=canary.parent)

    assert code == 0
    assert out.stat().st_size > 1000


def asked_for(address: str, out: Path) -> list[str]:
    """The arguments of a capture, with another address than may ever be in them."""
    arguments = capture("http://a/", out, address=None, verify_tls=True, authorities=None, user_agent="x")
    arguments[arguments.index("-i") + 1] = address
    for option in ("-rw_timeout", "-user_agent"):  # which only HTTP has
        at = arguments.index(option)
        del arguments[at : at + 2]
    return arguments


def without_lists(arguments: list[str]) -> list[str]:
    pairs = [at for at, word in enumerate(arguments) if word.endswith("_whitelist")]
    return [word for at, word in enumerate(arguments) if at not in pairs and at - 1 not in pairs]


# T12: what leads there by a redirect or a playlist.

Lead = Callable[[str], bytes | str]
LEADS: dict[str, Lead] = {
    "redirect": lambda to: to,
    "m3u": lambda to: f"#EXTM3U\n{to}\n".encode(),
    "pls": lambda to: f"[playlist]\nFile1={to}\nNumberOfEntries=1\n".encode(),
    "xspf": lambda to: (
        f'<?xml version="1.0"?><playlist><trackList><track><location>{to}'
        "</location></track></trackList></playlist>".encode()
    ),
    "segment": lambda to: playlist("#EXTINF:2,", to, "#EXT-X-ENDLIST"),
    "variant": lambda to: f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{to}\n".encode(),
    "rendition": lambda to: (
        f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="{to}"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nempty.m3u8\n'
    ).encode(),
    "map": lambda to: playlist(f'#EXT-X-MAP:URI="{to}"', "#EXTINF:2,", "segment.ts", "#EXT-X-ENDLIST"),
    "key": lambda to: playlist(f'#EXT-X-KEY:METHOD=AES-128,URI="{to}"', "#EXTINF:2,", "segment.ts", "#EXT-X-ENDLIST"),
}
IN_HLS = ("segment", "variant", "rendition", "map", "key")


@pytest.mark.parametrize("how", LEADS)
async def test_t12_a_stream_that_leads_to_this_machine_is_refused(
    how: str, stranger: Hostile, inside: Hostile, strict: CaptureSettings, segment: bytes
) -> None:
    stranger.answers = {"x.m3u8": LEADS[how](inside.url("x.ts")), "segment.ts": segment, "empty.m3u8": playlist()}
    inside.answers = {"x.ts": segment}

    error = await refused(stranger.url("x.m3u8"), strict)

    assert error.code == "egress_refused"
    assert error.message.startswith("127.0.0.1 is not a place to reach from here")
    assert f"ROLLTAPE_ALLOW_TARGETS=127.0.0.1:{inside.port}" in error.message


@pytest.mark.parametrize("how", ["redirect", "m3u", "segment", "key"])
async def test_t12_a_public_stream_that_leads_into_the_local_network_is_refused(
    how: str, stranger: Hostile, public: CaptureSettings, segment: bytes
) -> None:
    stranger.answers = {"x.m3u8": LEADS[how](f"http://{LAN}:8080/x.ts"), "segment.ts": segment}

    error = await refused(stranger.url("x.m3u8"), public)

    assert error.code == "egress_refused"
    assert f"a public address led to {LAN}, which is in the local network" in error.message
    assert f"ROLLTAPE_ALLOW_TARGETS={LAN}:8080" in error.message


@pytest.mark.parametrize("how", LEADS)
async def test_t12_no_file_is_read_for_a_stream(
    how: str, stranger: Hostile, strict: CaptureSettings, segment: bytes, canary: Path, tmp_path: Path
) -> None:
    sample = tmp_path / "sample"
    for address in (f"file://{canary}", f"file:{canary}", f"concat:{canary}", f"subfile,,start,0,end,0,,:{canary}"):
        stranger.answers = {"x.m3u8": LEADS[how](address), "segment.ts": segment, "empty.m3u8": playlist()}

        error = await refused(stranger.url("x.m3u8"), strict, sample=sample)

        assert isinstance(error, SourceError)
        assert not sample.exists()


async def test_t12_a_playlist_of_ffmpegs_own_or_a_session_description_is_refused(
    stranger: Hostile, strict: CaptureSettings, canary: Path
) -> None:
    port = free_port()
    stranger.answers = {
        "concat": f"ffconcat version 1.0\nfile '{canary}'\n".encode(),
        "sdp": f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nm=audio {port} RTP/AVP 14\r\n".encode(),
    }

    errors = [await refused(stranger.url(path), strict) for path in stranger.answers]

    assert [type(error) for error in errors] == [FormatUnsupported, FormatUnsupported]


async def test_t12_a_stream_that_turns_against_us_while_it_is_recorded_is_told_of(
    stranger: Hostile, inside: Hostile, strict: CaptureSettings, segment: bytes, record: Recording
) -> None:
    good = [line for number in range(6) for line in ("#EXTINF:2,", f"segment.ts?{number}")]
    stranger.answers = {
        "x.m3u8": playlist(*good, "#EXTINF:2,", inside.url("x.ts"), "#EXT-X-ENDLIST"), "segment.ts": segment,
    }  # fmt: skip

    recorded = await record(stranger.url("x.m3u8"), 30, settings=strict, max_attempts=1)

    assert "127.0.0.1 is not a place to reach from here" in recorded.message("refused")
    assert recorded.journal.takes


# T13: other spellings of this machine, and names that change what they mean.

SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "127.8.8.8", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1",
    "127.0.0.1.", "0", "0.0.0.0", "0.1.2.3", "localhost", "LOCALHOST", "localhost.", "①②⑦.⓪.⓪.①", "[::1]", "[::]",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]", "169.254.169.254", "2852039166", "[::ffff:a9fe:a9fe]", "[fe80::1%25lo]", "[fe80::1]",
    "224.0.0.1", "[ff02::1]", "240.0.0.1", "255.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["http", "rtmp", "rtsp", "srt", "rtmps"])
async def test_t13_no_spelling_of_this_machine_is_reached(scheme: str, ffmpeg: str) -> None:
    settings = CaptureSettings(ffmpeg, Egress(), connect_timeout=PATIENCE)
    with ExitStack() as stack:
        four = stack.enter_context(hostile("0.0.0.0"))

        for spelling in SPELLINGS:
            error = await refused(f"{scheme}://{spelling}:{four.port}/x", settings)

            assert error.code in ("egress_refused", "unknown_host"), spelling
            assert error.code == "unknown_host" or "ROLLTAPE_ALLOW_TARGETS=" in error.message, spelling
        assert four.asked == []


async def test_t13_our_own_pages_are_reached_by_no_address_of_this_machine(
    ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_address()
    with hostile("0.0.0.0") as pages:
        settings = CaptureSettings(ffmpeg, Egress(own_port=pages.port), connect_timeout=PATIENCE)

        error = await refused(f"http://{own}:{pages.port}/x", settings)

        assert error.code == "egress_refused"
        assert pages.asked == []


def own_address() -> str:
    """An address of this machine that is not loopback; without a network there is none, and its first one is made up
    by nobody: then the test is about 127.0.0.1, which is refused anyway."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((LAN, 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


class Resolver:
    """Knows one name, and gives another address for it from the second look-up on, or from a later one."""

    def __init__(self, name: str, honest: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self._name = name
        self._honest = honest
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: Any, port: Any, *args: Any, **named: Any) -> Any:
        if host != self._name:
            return self._real(host, port, *args, **named)
        self.asked += 1
        address = "127.0.0.2" if self.asked <= self._honest else "127.0.0.1"
        return self._real(address, port, *args, **named)


@pytest.mark.parametrize("honest", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("what", ["audio", "hls.m3u8"])
async def test_t13_a_name_that_turns_to_this_machine_is_not_followed(
    what: str, honest: int, ffmpeg: str, segment: bytes, beeps: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile("127.0.0.2") as outside, hostile("127.0.0.1", outside.port) as inside:
        endless = playlist("#EXTINF:2,", "segment.ts", "#EXTINF:2,", "segment.ts")
        outside.answers = {"audio": slowly(beeps["mp3"]), "hls.m3u8": endless, "segment.ts": segment}
        inside.answers = dict(outside.answers)
        settings = CaptureSettings(ffmpeg, Egress(frozenset({("127.0.0.2", outside.port)})), connect_timeout=PATIENCE)
        resolver = Resolver("flips.example", honest, monkeypatch)

        error = await first_refusal(f"http://flips.example:{outside.port}/{what}", settings)

        assert resolver.asked > honest
        assert error.code == "egress_refused"
        assert "flips.example (127.0.0.1)" in error.message
        assert inside.asked == []


async def first_refusal(url: str, settings: CaptureSettings) -> SourceError:
    """The error of the first probe that has one: as long as a name is honest, it works."""
    while True:
        try:
            await probe(url, settings)
        except SourceError as exc:
            return exc


@pytest.mark.parametrize("kind", ["rtmp", "rtsp-mp3", "srt"])
async def test_t13_what_needs_no_proxy_is_handed_the_address_that_was_checked(
    kind: str, icecast_server: Any, tmp_path: Path, ffmpeg: str, record: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg could not look this name up: only our process knows it."""
    with station_of_kind(kind, icecast_server, tmp_path) as url:
        named = url.replace("127.0.0.1", "checked.example").replace("localhost", "checked.example")
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *args, **more: real("127.0.0.1" if host == "checked.example" else host, *args, **more),
        )

        recorded = await record(named, 3)

    assert "checked.example" in named
    assert recorded.error is None, recorded.events
    assert recorded.decoded_seconds == pytest.approx(3, abs=0.4)


async def test_t13_a_playlist_does_not_make_us_wait_for_a_caller(stranger: Hostile, public: CaptureSettings) -> None:
    stranger.answers = {"x": f"#EXTM3U\nsrt://203.0.113.9:9000?mode=listener&pass={SECRET}\n".encode()}

    error = await refused(stranger.url("x"), public)

    assert error.code == "egress_refused"
    assert SECRET not in error.message


# T14: addresses that look like arguments.


@pytest.mark.parametrize(
    "address",
    ["-y", "-f lavfi -i sine", "--help", "http://a/\n-f", "http://a/\r\nHost: b", "http://a/\0b", "http://a/ -y x",
     "-i http://a/", "\thttp://a/\t-y", "http://a/\x1b[31m"],
)  # fmt: skip
def test_t14_an_address_is_no_argument(address: str) -> None:
    with pytest.raises(InputError):
        check_url(address)


async def test_t14_what_stands_in_an_address_stays_one_argument(
    stranger: Hostile, strict: CaptureSettings, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    path = f"a;touch${{IFS}}{trap};$(touch${{IFS}}{trap})`touch${{IFS}}{trap}`|-y"

    error = await refused(f"{stranger.url(path)}", dataclasses.replace(strict), engine=CaptureEngine.FFMPEG)

    assert error.code == "http_404"
    assert not trap.exists()


# T15: what is secret in an address.


@pytest.mark.parametrize("path", ["nix", "forbidden", "unauthorised", "garbage", "picture", "html", "drop", "loop"])
@pytest.mark.parametrize("engine", [CaptureEngine.AUTO, CaptureEngine.FFMPEG])
async def test_t15_no_secret_of_an_address_is_told(
    path: str, engine: CaptureEngine, station: FaultyStation, record: Recording
) -> None:
    url = f"http://me{SECRET}:{SECRET}@127.0.0.1:{station.port}/{path}?token={SECRET}#{SECRET}"

    with structlog.testing.capture_logs() as logs:
        recorded = await record(url, 4, max_attempts=1, engine=engine)

    assert recorded.events
    told = [
        repr(recorded.events),
        repr(recorded.error),
        repr(logs),
        str(recorded.error.__cause__ if recorded.error else ""),
    ]
    told += [file.read_bytes().decode("latin-1") for file in recorded.folder.iterdir() if file.suffix != ".mp3"]
    assert [text for text in told if SECRET in text] == []


@pytest.mark.parametrize("url", [
    f"http://u:{SECRET}@127.0.0.1:1/x?k={SECRET}", f"https://u:{SECRET}@127.0.0.1:1/x?k={SECRET}",
    f"rtmp://u:{SECRET}@127.0.0.1:1/live/x?k={SECRET}", f"rtmps://u:{SECRET}@127.0.0.1:1/live/x?k={SECRET}",
    f"rtsp://u:{SECRET}@127.0.0.1:1/x?k={SECRET}", f"srt://127.0.0.1:1?passphrase={SECRET}-{SECRET}",
    f"http://u:{SECRET}@station.invalid/x?k={SECRET}",
])  # fmt: skip
async def test_t15_not_even_where_ffmpeg_complains_of_it(
    url: str, settings: CaptureSettings, ffmpeg: str, tmp_path: Path
) -> None:
    """Neither what we say, nor the last words of FFmpeg, which repeats whole addresses."""
    hasty = dataclasses.replace(settings, connect_timeout=Seconds(4))

    with structlog.testing.capture_logs() as logs, pytest.raises((SourceError, InputError)) as caught:
        await probe(url, hasty)
    _, output, words = await run_to_end(
        ffmpeg, ["-nostdin", "-v", "verbose", "-timeout", "1", "-i", url, "-f", "null", "-"], folder=tmp_path
    )

    assert SECRET not in caught.value.message
    assert SECRET not in repr(logs)
    assert SECRET not in words
    assert SECRET not in output


@pytest.mark.parametrize("url", [f"http://u:{SECRET}/x@h/", f"http://u:{SECRET}@h:x/", f"http://[{SECRET}/"])
def test_t15_nor_what_is_taken_for_a_port(url: str) -> None:
    """A password with a slash in it ends the part that can be a password."""
    with pytest.raises(InputError) as caught:
        check_url(url)

    assert SECRET not in caught.value.message


# T16: holes in decoders.


@pytest.fixture
def magic(tmp_path: Path) -> Path:
    """MagicYUV, whose decoder had a hole, in the AVI that it came in, and in Matroska, which is one of our containers;
    once with a codec of audio that is not on the list either."""
    folder = tmp_path / "magic"
    folder.mkdir()
    made = ["-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-f", "lavfi", "-i", "sine=d=1", "-c:v", "magicyuv"]
    for name, audio in (("x.avi", "pcm_s16le"), ("x.mkv", "flac"), ("y.mkv", "wavpack")):
        subprocess.run([program("ffmpeg"), "-v", "error", *made, "-c:a", audio, folder / name], check=True)
    return folder


@pytest.mark.parametrize("which", ["bundled", "debian"])
async def test_t16_no_decoder_is_opened_that_is_none_for_audio(
    which: str, ffmpeg: str, stranger: Hostile, strict: CaptureSettings, magic: Path
) -> None:
    used = dataclasses.replace(strict, ffmpeg=ffmpeg if which == "bundled" else program("ffmpeg"))
    stranger.answers = {file.name: file.read_bytes() for file in magic.iterdir()}

    container = await refused(stranger.url("x.avi"), used)
    words = [await last_words(used.ffmpeg, magic / name) for name in ("x.mkv", "y.mkv")]

    assert isinstance(container, FormatUnsupported)
    assert all("magicyuv" in said and "whitelist" in said for said in words)
    assert "wavpack" in words[1]


async def test_t16_what_gets_hold_of_ffmpeg_reads_nothing_of_ours(tmp_path: Path) -> None:
    """A shell in the place of a decoder that was taken over."""
    secrets = [tmp_path / name for name in ("rolltape.db", "secret.key", "sessions/2/take-001.mp3")]
    work = tmp_path / "sessions" / "1"
    work.mkdir(parents=True)
    for file in secrets:
        file.parent.mkdir(exist_ok=True)
        file.write_text(SECRET)
    tries = "; ".join(f"cat {file}; echo x >> {file}; rm -f {file}; ln {file} here" for file in secrets)

    _, output, words = await run_to_end("/bin/sh", ["-c", f"{tries}; env; echo done > here; cat here"], folder=work)

    assert SECRET not in output + words
    assert "Permission denied" in words
    assert output.endswith("done\n")
    assert {line.partition("=")[0] for line in output.splitlines() if "=" in line} <= {
        "PATH", "LANG", "HOME", "MALLOC_ARENA_MAX", "PWD", "OLDPWD", "SHLVL", "_",
    }  # fmt: skip
    assert [file.read_text() for file in secrets] == [SECRET] * 3


async def last_words(ffmpeg: str, file: Path) -> str:
    """Of a capture of a file, by a list of protocols that has files on it."""
    arguments = asked_for(f"file:{file}", file.parent / "out.mka")
    arguments[arguments.index("-protocol_whitelist") + 1] = "file"
    return (await run_to_end(ffmpeg, arguments, folder=file.parent))[2]


# T17: what does not end.


def slowly(data: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """The sound again and again, as fast as it plays, with some of it at once."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(data[:64000])
        for at in range(64000, len(data), 4000):
            request.wfile.write(data[at : at + 4000])

    return answer


def endless_playlist(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(playlist())
    while True:
        request.wfile.write(b"#EXTINF:2,\nsegment.ts\n" * 1000)


def endless_head(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        request.wfile.write(b"X-A: " + b"b" * 4000 + b"\r\n")


async def test_t17_a_playlist_without_end_takes_no_more_memory_than_ffmpeg_may(
    stranger: Hostile, strict: CaptureSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rolltape.ffmpeg.cage.MEMORY", 400 << 20)  # so much is filled sooner
    stranger.answers = {"x.m3u8": endless_playlist}

    error = await refused(stranger.url("x.m3u8"), dataclasses.replace(strict, connect_timeout=Seconds(20)))

    assert error.code != "connect_timeout"  # it ended by itself, for want of memory


async def test_t17_a_head_without_end_reaches_ffmpeg_never(
    stranger: Hostile, strict: CaptureSettings, segment: bytes
) -> None:
    stranger.answers = {"x.m3u8": playlist("#EXTINF:2,", "segment.ts", "#EXT-X-ENDLIST"), "segment.ts": endless_head}

    error = await refused(stranger.url("x.m3u8"), strict)

    assert error.code == "no_http"


async def test_t17_a_film_at_full_speed_is_no_live_stream(
    stranger: Hostile, strict: CaptureSettings, segment: bytes, record: Recording
) -> None:
    lines = [line for number in range(400) for line in ("#EXT-X-DISCONTINUITY", "#EXTINF:2,", f"segment.ts?{number}")]
    stranger.answers = {"x.m3u8": playlist(*lines, "#EXT-X-ENDLIST"), "segment.ts": segment}

    recorded = await record(stranger.url("x.m3u8"), 60, settings=strict, max_attempts=1)

    assert "finished file" in recorded.message("lost" if "lost" in recorded.kinds else "failed")


async def refused(url: str, settings: CaptureSettings, **more: Any) -> SourceError:
    """The error that a probe of `url` ends with, in time."""
    with pytest.raises(SourceError) as caught:
        async with asyncio.timeout(40):
            await probe(url, settings, **more)
    return caught.value
