"""Argument lists of FFmpeg for what happens to takes on disk: encode them, and decode a result to judge it. Pure.

What is read came from strangers, so it is read as one of the known formats with one of the known decoders, and nothing
in it can name another file: probing alone would open decoders nobody asked for. `file:` with an absolute path is the
only form of a name that cannot be taken for a protocol, an option or a pattern.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rolltape.domain.units import Hertz, Seconds

SILENCE_FLOOR = -60  # dBFS
SILENCE_MIN = Seconds(0.1)  # what is silent for less does not count: every low tone crosses zero

_FORMATS = "mp3,aac,ogg,flac,wav,mpegts,mov,matroska,loas,ac3,eac3,w64,aiff,asf,flv"
_DECODERS = (
    "mp3,mp3float,mp3adu,mp2,mp2float,mp1,mp1float,aac,aac_fixed,aac_latm,vorbis,libvorbis,opus,libopus,flac,"
    "ac3,ac3_fixed,eac3,alac,wmav1,wmav2,wmapro,speex,libspeex,adpcm_ms,adpcm_ima_wav,"
    "pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_alaw,pcm_mulaw"
)
_COMMON = ["-nostdin", "-hide_banner", "-nostats", "-loglevel", "error"]
_PROGRESS = ["-progress", "pipe:1", "-stats_period", "3600"]  # seconds: what counts is the last one, at the end


@dataclass(frozen=True)
class Part:
    """`length` seconds of a file after its first `skip` seconds."""

    file: Path
    skip: Seconds
    length: Seconds


def encode_to_mp3(parts: Sequence[Part], out: Path, *, quality: str, sample_rate: Hertz, channels: int) -> list[str]:
    """Encode the parts one after the other. A broken frame is left out; the rest is not lost for it.

    `quality` is V0 to V9, or a constant bit rate like 128k.
    """
    rate = ["-q:a", quality[1:]] if quality.startswith("V") else ["-b:a", quality]
    return [
        *_COMMON, "-y", *_decoded(parts, sample_rate, channels), "-map_metadata", "-1",
        "-c:a", "libmp3lame", *rate, "-write_xing", "1", "-id3v2_version", "0", "-write_id3v1", "0",
        "-f", "mp3", f"file:{out}",
    ]  # fmt: skip


def measure(parts: Sequence[Part], *, sample_rate: Hertz, channels: int) -> list[str]:
    """Decode the parts as `encode_to_mp3()` does, and tell how long they are together."""
    return [*_COMMON, *_decoded(parts, sample_rate, channels), *_PROGRESS, "-f", "null", "-"]


def first_samples(file: Path) -> list[str]:
    """Decode the beginning, and tell on stdout what comes out: `#sample_rate 0: 44100` and the like.

    The header of an HE-AAC frame says half of the sample rate it decodes to, so it is no use to ask the header.
    """
    return [*_COMMON, *_input(file), "-map", "0:a:0", "-frames:a", "1", "-f", "framecrc", "-"]


def judge_mp3(file: Path) -> list[str]:
    """Decode the whole file: every error on stderr, and on stdout where it is silent and how long it was."""
    silence = f"silencedetect=noise={SILENCE_FLOOR}dB:duration={SILENCE_MIN}"
    return [
        *_COMMON, "-xerror", *_guard("mp3", "mp3,mp3float"), "-f", "mp3", "-i", f"file:{file}", "-map", "0:a:0",
        "-af", f"{silence},ametadata=mode=print:file=pipe\\\\:1:direct=1", *_PROGRESS, "-f", "null", "-",
    ]  # fmt: skip


def _decoded(parts: Sequence[Part], sample_rate: Hertz, channels: int) -> list[str]:
    """Every part at the same rate, its time counted from its first sample, cut, then joined."""
    layout = "mono" if channels == 1 else "stereo"
    chains = [
        f"[{number}:a:0]aresample={sample_rate},aformat=sample_fmts=fltp:channel_layouts={layout},"
        f"asetpts=N/SR/TB,atrim=start={part.skip:.6f}:duration={part.length:.6f},asetpts=PTS-STARTPTS[part{number}]"
        for number, part in enumerate(parts)
    ]
    labels = "".join(f"[part{number}]" for number in range(len(parts)))
    graph = ";".join([*chains, f"{labels}concat=n={len(parts)}:v=0:a=1[out]"])
    inputs = [argument for part in parts for argument in _input(part.file)]
    return [*inputs, "-filter_complex", graph, "-map", "[out]", "-max_error_rate", "1"]


def _input(file: Path) -> list[str]:
    return [*_guard(_FORMATS, _DECODERS), "-vn", "-sn", "-dn", "-i", f"file:{file}"]


def _guard(formats: str, decoders: str) -> list[str]:
    return ["-protocol_whitelist", "file", "-format_whitelist", formats, "-codec_whitelist", decoders]
