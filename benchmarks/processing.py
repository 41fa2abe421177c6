"""What it costs to finish a recording, beside FFmpeg doing the like in the same run.

    python benchmarks/processing.py [--hours 2] [--minutes 10]

Joins two MP3 takes and encodes one of AAC, and prints wall time and CPU time (with that of the children) of each, and
the ratio to `ffmpeg -c copy` and `ffmpeg -c:a libmp3lame`. The decoding that proves the result is shown by itself.
"""

import argparse
import asyncio
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rolltape.domain.recording import Cut
from rolltape.domain.take import AudioFormat, Codec, TakeFacts
from rolltape.domain.units import HOUR, MINUTE, Seconds
from rolltape.ffmpeg.run import find
from rolltape.process.encode import encode
from rolltape.process.join import join
from rolltape.process.verify import verify

NOISE = "anoisesrc=d={length}:c=pink:a=0.4:r=44100,tremolo=f=1.3:d=0.9"
PIECE = Seconds(10 * MINUTE)  # of audio is made; the take repeats it


@dataclass(frozen=True)
class Cost:
    name: str
    wall: float
    cpu: float

    def show(self, beside: "Cost | None" = None) -> None:
        ratio = f"   x{self.wall / beside.wall:.2f} time, x{self.cpu / beside.cpu:.2f} CPU" if beside else ""
        print(f"  {self.name:<34} {self.wall:7.2f} s   {self.cpu:7.2f} s CPU{ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hours", type=float, default=2, help="of MP3 to join")
    parser.add_argument("--minutes", type=float, default=10, help="of AAC to encode")
    asked = parser.parse_args()
    ffmpeg = find(None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        join_mp3(ffmpeg, folder, Seconds(asked.hours * HOUR))
        encode_aac(ffmpeg, folder, Seconds(asked.minutes * MINUTE))


def join_mp3(ffmpeg: str, folder: Path, length: Seconds) -> None:
    options = ["-ac", "2", "-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"]
    take = make(ffmpeg, folder / "take.mp3", options, length)
    out = folder / "joined.mp3"
    half = Seconds(length / 2)
    cuts = [cut(take, Codec.MP3, Seconds(1.1), half), cut(take, Codec.MP3, Seconds(half - 2), half)]

    print(f"{length / HOUR:.2g} h of MP3, 128 kbit/s, two cuts:")
    copied = run("ffmpeg -c copy", ffmpeg, "-i", str(take), "-c", "copy", "-y", str(folder / "copied.mp3"))
    joined = measured("join", lambda: join(cuts, folder, out))
    copied.show()
    joined.show(copied)
    decoded = run("ffmpeg -f null", ffmpeg, "-xerror", "-i", str(out), "-f", "null", "-")
    verified = measured("verify", lambda: asyncio.run(verify(out, ffmpeg=ffmpeg)))
    decoded.show()
    verified.show(decoded)


def encode_aac(ffmpeg: str, folder: Path, length: Seconds) -> None:
    take = make(ffmpeg, folder / "take.aac", ["-ac", "2", "-c:a", "aac", "-b:a", "96k"], length)
    out = folder / "encoded.mp3"
    cuts = [cut(take, Codec.AAC, Seconds(0), length)]

    print(f"{length / MINUTE:.2g} min of AAC, encoded at V2:")
    lame = ["-c:a", "libmp3lame", "-q:a", "2", "-y", str(folder / "lame.mp3")]
    plain = run("ffmpeg -c:a libmp3lame", ffmpeg, "-i", str(take), *lame)
    ours = measured("encode", lambda: asyncio.run(encode(cuts, folder, out, quality="V2", ffmpeg=ffmpeg)))
    plain.show()
    ours.show(plain)


def make(ffmpeg: str, file: Path, options: list[str], length: Seconds) -> Path:
    """A take of this length, of a piece that is repeated."""
    piece = file.with_stem("piece")
    audio = NOISE.format(length=min(PIECE, length))
    subprocess.run(
        [ffmpeg, "-nostdin", "-v", "error", "-f", "lavfi", "-i", audio, *options, "-y", str(piece)], check=True
    )
    with file.open("wb") as take:
        for _ in range(max(1, round(length / PIECE))):
            take.write(piece.read_bytes())
    return file


def cut(take: Path, codec: Codec, skip: Seconds, length: Seconds) -> Cut:
    facts = TakeFacts(1, take.name, AudioFormat(codec), datetime.now(UTC), Seconds(skip + length), "")
    return Cut(facts, skip, length)


def run(name: str, *command: str) -> Cost:
    program, *arguments = command
    return measured(name, lambda: subprocess.run([program, "-nostdin", "-v", "error", *arguments], check=True))


def measured(name: str, work: Callable[[], object]) -> Cost:
    wall, cpu = time.monotonic(), cpu_time()
    work()
    return Cost(name, time.monotonic() - wall, cpu_time() - cpu)


def cpu_time() -> float:
    """Seconds of this process and of its children that ended."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, whose))


if __name__ == "__main__":
    main()
