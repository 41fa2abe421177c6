"""The arguments with which FFmpeg captures a stream. What each of them stops was measured: see docs/architecture.md.

`-flush_packets 1`: else 256 KiB wait in its memory for a kill to lose them. The white lists: a playlist must not
read files, and no decoder but those for audio is opened to probe. `file:`: a name is never taken for a protocol.
No `-xerror`: with FFmpeg 5.1 every new title of an Ogg stream would end the take, for its clock steps back by 3 ms.
`-dts_delta_threshold`: the first page of Ogg FLAC counts from 0 and the next ones from the start of their title, so a
take that begins in the first 10 s of a title would be laid on the clock too early by as much.
"""

from pathlib import Path
from urllib.parse import urlsplit

from rolltape.domain.take import Codec

MP3_SUFFIX = ".mp3"
OTHER_SUFFIX = ".mka"  # Matroska takes every codec, and what was written of it can be read after a crash

_PROTOCOLS = {
    "http": "http,https,tcp,tls,crypto",
    "https": "http,https,tcp,tls,crypto",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "rtsp": "rtsp,rtp,tcp,udp",
    "srt": "srt",
}
_FORMATS = "mp3,aac,ogg,flac,wav,w64,hls,mpegts,flv,live_flv,mov,matroska,rtsp,rtp,sdp"
_CODECS = (
    "mp3,mp3float,mp2,mp2float,mp1,mp1float,aac,aac_fixed,aac_latm,vorbis,libvorbis,opus,libopus,flac,ac3,eac3,alac,"
    "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_f32le,pcm_u8,pcm_alaw,pcm_mulaw,adpcm_g722"
)
_PROBE_BYTES = 128 * 1024
_PROBE_TIME = 1_000_000  # µs of media; by default FFmpeg looks for 5 s before it writes anything
_CLUSTER = 500  # ms of audio that a crash may lose
_JUMP = 0.5  # s; by default FFmpeg takes a jump of up to 10 s for a silence that it must keep


def capture(url: str, file: Path, *, verify_tls: bool, authorities: str | None, user_agent: str) -> list[str]:
    """Copy the first audio stream of `url` into `file`; progress comes on standard output twice a second.

    `authorities` is the file with the certificates to verify TLS by, None for FFmpeg's own.
    """
    return [
        *("-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+warning"),
        *_source(urlsplit(url).scheme.lower(), verify_tls=verify_tls, authorities=authorities, user_agent=user_agent),
        *("-probesize", str(_PROBE_BYTES), "-analyzeduration", str(_PROBE_TIME)),
        *("-i", url),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1", "-c:a", "copy"),
        *("-flush_packets", "1", "-progress", "pipe:1", "-stats_period", "0.5"),
        *_container(file.suffix),
        f"file:{file.absolute()}",
    ]


def suffix_for(codec: Codec | None) -> str:
    """The suffix of a file to capture `codec` into; None: not known yet."""
    return MP3_SUFFIX if codec is Codec.MP3 else OTHER_SUFFIX


def _source(scheme: str, *, verify_tls: bool, authorities: str | None, user_agent: str) -> list[str]:
    options = ["-protocol_whitelist", _PROTOCOLS[scheme], "-format_whitelist", _FORMATS, "-codec_whitelist", _CODECS]
    if scheme in ("http", "https"):
        options += ["-rw_timeout", "15000000", "-user_agent", user_agent]
        options += ["-dts_delta_threshold", str(_JUMP)]
    if scheme in ("https", "rtmps"):
        options += ["-tls_verify", "1" if verify_tls else "0"]
        options += ["-ca_file", authorities] if verify_tls and authorities else []
    if scheme == "rtsp":
        options += ["-rtsp_transport", "tcp"]
    return options


def _container(suffix: str) -> list[str]:
    if suffix == MP3_SUFFIX:
        # Frames and nothing else. The MP3 muxer refuses what comes by RTP, which is announced as "MPEG audio" only.
        return ["-f", "data"]
    return ["-f", "matroska", "-cluster_time_limit", str(_CLUSTER)]
