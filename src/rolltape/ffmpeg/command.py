"""The arguments with which FFmpeg captures a stream. What each of them stops was measured: see docs/architecture.md.

`-flush_packets 1`: else 256 KiB wait in its memory for a kill to lose them. The white lists: a playlist must not
read files, and no decoder but those for audio is opened to probe. `file:`: a name is never taken for a protocol.
No `-xerror`: with FFmpeg 5.1 every new title of an Ogg stream would end the take, for its clock steps back by 3 ms.
`-dts_delta_threshold`: the first page of Ogg FLAC counts from 0 and the next ones from the start of their title, so a
take that begins in the first 10 s of a title would be laid on the clock too early by as much.
"""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from rolltape.domain.take import Codec

MP3_SUFFIX = ".mp3"
OTHER_SUFFIX = ".mka"  # Matroska takes every codec, and what was written of it can be read after a crash

_PROTOCOLS = {
    "http": "http,https,httpproxy,tcp,tls,crypto",
    "https": "http,https,httpproxy,tcp,tls,crypto",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,httpproxy,tls,tcp",
    "rtsp": "rtsp,tcp",
    "srt": "srt",
}
_FORMATS = {  # no sdp: over HTTP, FFmpeg would open ports for it
    "http": "mp3,aac,ogg,flac,wav,w64,hls,mpegts,flv,live_flv,mov,matroska",
    "https": "mp3,aac,ogg,flac,wav,w64,hls,mpegts,flv,live_flv,mov,matroska",
    "rtmp": "flv,live_flv",
    "rtmps": "flv,live_flv",
    "rtsp": "rtsp",
    "srt": "mpegts,mp3,aac,ogg,flac,flv,matroska",
}
_CODECS = (
    "mp3,mp3float,mp2,mp2float,mp1,mp1float,aac,aac_fixed,aac_latm,vorbis,libvorbis,opus,libopus,flac,ac3,eac3,alac,"
    "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_f32le,pcm_u8,pcm_alaw,pcm_mulaw,adpcm_g722"
)
_PROBE_BYTES = 128 * 1024
_PROBE_TIME = 1_000_000  # µs of media; by default FFmpeg looks for 5 s before it writes anything
_CLUSTER = 500  # ms of audio that a crash may lose
_JUMP = 0.5  # s; by default FFmpeg takes a jump of up to 10 s for a silence that it must keep


def capture(
    url: str, file: Path, *, address: str | None, verify_tls: bool, authorities: str | None, user_agent: str
) -> list[str]:
    """Copy the first audio stream of `url` into `file`; progress comes on standard output twice a second.

    `address` is the numeric one to connect to, None where a proxy sees to that. `authorities` is the file with the
    certificates to verify TLS by, None for FFmpeg's own.
    """
    scheme = urlsplit(url).scheme.lower()
    url, named = pinned(url, address) if address is not None else (url, [])
    return [
        *("-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+warning"),
        *_source(scheme, verify_tls=verify_tls, authorities=authorities, user_agent=user_agent),
        *named,
        *("-probesize", str(_PROBE_BYTES), "-analyzeduration", str(_PROBE_TIME)),
        *("-i", url),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1", "-c:a", "copy"),
        *("-flush_packets", "1", "-progress", "pipe:1", "-stats_period", "0.5"),
        *_container(file.suffix),
        f"file:{file.absolute()}",
    ]


def pinned(url: str, address: str) -> tuple[str, list[str]]:
    """`url` with the numeric `address` in the place of its host, so that FFmpeg looks up no name, and the options for
    the server to hear the name nevertheless: that of an RTMP server may say which of several sites is meant."""
    parts = urlsplit(url)
    if not parts.hostname or parts.hostname == address:
        return url, []
    login, at, host = parts.netloc.rpartition("@")
    port = host[host.rfind(":") :] if parts.port else ""
    shown = f"[{address}]" if ":" in address else address
    named = [] if parts.scheme.lower() != "rtmp" else ["-rtmp_tcurl", f"rtmp://{host}/{_rtmp_application(parts.path)}"]
    return urlunsplit(parts._replace(netloc=f"{login}{at}{shown}{port}")), named


def suffix_for(codec: Codec | None) -> str:
    """The suffix of a file to capture `codec` into; None: not known yet."""
    return MP3_SUFFIX if codec is Codec.MP3 else OTHER_SUFFIX


def _source(scheme: str, *, verify_tls: bool, authorities: str | None, user_agent: str) -> list[str]:
    options = [
        "-protocol_whitelist",
        _PROTOCOLS[scheme],
        "-format_whitelist",
        _FORMATS[scheme],
        "-codec_whitelist",
        _CODECS,
    ]
    if scheme in ("http", "https"):
        options += ["-rw_timeout", "15000000", "-user_agent", user_agent]
        options += ["-dts_delta_threshold", str(_JUMP)]
    if scheme in ("https", "rtmps"):
        options += ["-tls_verify", "1" if verify_tls else "0"]
        options += ["-ca_file", authorities] if verify_tls and authorities else []
    if scheme == "rtsp":
        options += ["-rtsp_transport", "tcp"]
    return options


def _rtmp_application(path: str) -> str:
    """The part of the path that names the application: FFmpeg, libavformat/rtmpproto.c, rtmp_open()."""
    first, _, rest = path.removeprefix("/").partition("/")
    if first == "ondemand":
        return first
    second, slash, _ = rest.partition("/")
    return f"{first}/{second}" if slash and ":" not in second else first


def _container(suffix: str) -> list[str]:
    if suffix == MP3_SUFFIX:
        # Frames and nothing else. The MP3 muxer refuses what comes by RTP, which is announced as "MPEG audio" only.
        return ["-f", "data"]
    return ["-f", "matroska", "-cluster_time_limit", str(_CLUSTER)]
