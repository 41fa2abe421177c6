"""Argument lists of FFmpeg for what happens to takes on disk: encode them, and decode a result to judge it. Pure.

What is read came from strangers, so it is read as one of the known formats with one of the known decoders, and nothing
in it can name another file: probing alone would open decoders nobody asked for. `file:` with an absolute path is the
only form of a name that cannot be taken for a protocol, an option or a pattern.
"""

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
_PROGRESS = ["-progress", "pipe:1", "-stats_period", "3600"]  # s; only the last one counts, at the end


def format_of(file: Path) -> list[str]:
    """Tell on stdout what the file decodes to: `#sample_rate 0: 44100` and `#channel_layout_name 0: stereo`.

    FFmpeg decodes a few frames to find out. That is what it takes with HE-AAC: its headers speak of half the sample
    rate, and of one channel where two are heard.
    """
    return [*_COMMON, *_take(file), "-c:a", "copy", "-frames:a", "1", "-f", "framecrc", "pipe:1"]


def decode(file: Path, *, sample_rate: Hertz, channels: int) -> list[str]:
    """Decode a take to stdout. A broken frame is left out; the rest is not lost for it.

    It comes as 32-bit numbers: damaged AAC can decode to floats that are none, and no encoder takes those.
    There are no filters of ours here: a take that changes its format would start them anew.
    """
    return [
        *_COMMON, *_take(file), "-max_error_rate", "1",
        "-ar", str(sample_rate), "-ac", str(channels), "-c:a", "pcm_s32le", "-f", "s32le", "pipe:1",
    ]  # fmt: skip


def encode_to_mp3(out: Path, *, quality: str, sample_rate: Hertz, channels: int) -> list[str]:
    """Encode what `decode()` gives, from stdin. `quality` is V0 to V9, or a constant bit rate like 128k."""
    rate = ["-q:a", quality[1:]] if quality.startswith("V") else ["-b:a", quality]
    return [
        *_COMMON, "-y", *_guard("pipe", "s32le", "pcm_s32le"),
        "-f", "s32le", "-ar", str(sample_rate), "-ac", str(channels), "-i", "pipe:0", "-map_metadata", "-1",
        "-c:a", "libmp3lame", *rate, "-write_xing", "1", "-id3v2_version", "0", "-write_id3v1", "0",
        "-f", "mp3", f"file:{out}",
    ]  # fmt: skip


def live_to_mp3(format: str) -> list[str]:
    """Encode what comes on stdin in the container `format` (aac or matroska) to an MP3 on stdout, without delay."""
    return [
        *_COMMON, *_guard("pipe", format, _DECODERS), "-probesize", "65536", "-analyzeduration", "0", "-f", format,
        "-i", "pipe:0", "-map", "0:a:0", "-vn", "-map_metadata", "-1", "-max_error_rate", "1", "-ac", "2",
        "-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0", "-flush_packets", "1",
        "-f", "mp3", "pipe:1",
    ]  # fmt: skip


def follow_to_mp3(out: Path, *, format: str, quality: str, sample_rate: Hertz, channels: int) -> list[str]:
    """Encode a take that comes on stdin, as it grows, in the container `format` (aac or matroska).

    It comes out as by `decode()` and `encode_to_mp3()`: as 32-bit numbers between the two, for the same reason.
    """
    rate = ["-q:a", quality[1:]] if quality.startswith("V") else ["-b:a", quality]
    return [
        *_COMMON, "-y", *_guard("pipe", format, _DECODERS), "-probesize", "65536", "-analyzeduration", "0",
        "-f", format, "-i", "pipe:0", "-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1",
        "-max_error_rate", "1",
        "-ar", str(sample_rate), "-ac", str(channels), "-sample_fmt", "s32p", "-c:a", "libmp3lame", *rate,
        "-write_xing", "1", "-id3v2_version", "0", "-write_id3v1", "0", "-flush_packets", "1",
        "-f", "mp3", f"file:{out}",
    ]  # fmt: skip


def judge_mp3(file: Path | None, *, piece: int, lead: int = 0) -> list[str]:
    """Decode the whole file: every error on stderr; on stdout where it is silent, how loud it is and how long it was.

    The loudest sample of each `piece` samples comes as `lavfi.astats.Overall.Peak_level=-3.01`, in dBFS; every 100 ms
    the loudness of the last 400 ms as `lavfi.r128.M=-23.0`, in LUFS. Without a file it comes on stdin. What is said is
    of what follows the first `lead` samples.
    """
    source = _guard("file", "mp3", "mp3,mp3float") if file else _guard("pipe", "mp3", "mp3,mp3float")
    source += ["-f", "mp3", "-i", f"file:{file}" if file else "pipe:0"]
    behind_lead = f"atrim=start_sample={lead},asetpts=PTS-STARTPTS," if lead else ""
    # Ten frames at a time: that saves a quarter of the CPU time, for a filter costs by the hand-over.
    silence = f"asetnsamples=n={10 * 1152}:p=0,silencedetect=noise={SILENCE_FLOOR}dB:duration={SILENCE_MIN}"
    peaks = f"asetnsamples=n={piece}:p=0,astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=Peak_level"
    told = "ametadata=mode=print:file=pipe\\\\:1:direct=1"
    told_peaks = f"{told}:key=lavfi.astats.Overall.Peak_level"  # frames keep what the filters before said of them
    loudness = f"ebur128=metadata=1:framelog=verbose,{told}:key=lavfi.r128.M"
    return [
        *_COMMON, "-xerror", *source, "-map", "0:a:0",
        "-af", f"{behind_lead}{silence},{told},{peaks},{told_peaks},{loudness}", *_PROGRESS, "-f", "null", "-",
    ]  # fmt: skip


def _take(file: Path) -> list[str]:
    return [*_guard("file", _FORMATS, _DECODERS), "-i", f"file:{file}", "-map", "0:a:0", "-vn", "-sn", "-dn"]


def _guard(protocol: str, formats: str, decoders: str) -> list[str]:
    return ["-protocol_whitelist", protocol, "-format_whitelist", formats, "-codec_whitelist", decoders]
