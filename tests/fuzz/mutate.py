"""Known good inputs for each target, and damaged ones made from them."""

import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from rolltape.capture.journal import JournalWriter, format_fields, window_fields
from rolltape.domain.facts import Facts, PlanFacts
from rolltape.domain.session import Plan
from rolltape.domain.stream import StreamFields
from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import Hertz
from tests.fuzz.targets import AT, MP3_FRAME, WINDOW

ADTS_FRAME = b"\xff\xf1\x50\x80\x19\x1f\xfc" + bytes(193)
MOST_CHANGES = 6
HURTFUL = (
    b"\xff", b"\xff\xfb\x90\x64", b"\xff\xf1", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"Info", b"\0" * 64, b"\n" * 200,
    b"\r\n\r\n", b"{" * 200, b"[" * 2000, b"1e999", b"NaN", b"-1", b"9" * 40, b"\xed\xa0\x80", b"\xef\xbb\xbf",
    b"<location>" * 20, b"StreamTitle='", b"\x1a\x45\xdf\xa3", b"\x01\xff\xff\xff\xff\xff\xff\xff", b"0x10", b"f" * 16,
)  # fmt: skip
_AUDIO = {"sound.mp3": ["-c:a", "libmp3lame", "-q:a", "4"], "sound.aac": ["-c:a", "aac"], "sound.mka": ["-c:a", "aac"]}


def seeds(folder: Path, ffmpeg: str) -> dict[str, Sequence[bytes]]:
    """Good inputs by target; `folder` is for making them."""
    for name, words in _AUDIO.items():
        source = ["-f", "lavfi", "-i", "aevalsrc=sin(880*t)+random(0)/9:d=0.15:s=44100"]
        subprocess.run([ffmpeg, "-v", "error", *source, *words, folder / name], check=True)
    mp3, adts, matroska = ((folder / name).read_bytes() for name in _AUDIO)
    frames = (mp3, MP3_FRAME * 6, MP3_FRAME * 3 + MP3_FRAME[:9] + b"\xff\xfb\x90\xc4" + bytes(413) + MP3_FRAME * 4)
    icy = b"\x20" + b"".join(b"a" * 33 + b"\x02" + b"StreamTitle='A - B';".ljust(32, b"\0") for _ in range(4))
    head = b"HTTP/1.0 302 Found\r\nLocation: http://a/b\r\nicy-metaint: 16000\r\nRetry-After: 5\r\n\r\nrest"
    lists = (
        b"#EXTM3U\n#EXTINF:-1,x\nhttp://a/1\nb.mp3\n", b"[playlist]\nFile1=http://a/1\nTitle1=x\nFile2=/b\n",
        b"<playlist><location>http://a/?x=1&amp;y</location><location><![CDATA[http://b]]></location></playlist>",
    )  # fmt: skip
    return {
        "MP3 frames, as they arrive": frames,
        "ADTS frames, as they arrive": (adts, ADTS_FRAME * 8, ADTS_FRAME * 3 + ADTS_FRAME[:50] + ADTS_FRAME * 4),
        "MP3 frames of a take": frames,
        "joining": frames,
        "ICY titles": (icy, b"\x00" + icy),
        "HTTP heads": (
            head,
            b"ICY 200 OK\nicy-name: x\n\n",
            b"HTTP/1.1 503 No\r\nRetry-After: Fri, 1 May 2026\r\n\r\n",
        ),
        "HTTP chunks": (b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", b"000a\n0123456789\r\n"),
        "playlists": lists,
        "sniffing": (*lists, *frames, adts, matroska, b"OggS\0\2" + bytes(22) + b"\x01vorbis", b"<!doctype html><p>"),
        "journal": (_journal(folder),),
        "Matroska": (matroska,),
        "facts": tuple(_facts()),
    }


def mutated(seed: bytes, dice: random.Random) -> bytes:
    """`seed` with some damage: cut, doubled, moved, overwritten, with what hurts put in."""
    data = bytearray(seed)
    for _ in range(dice.randrange(1, MOST_CHANGES)):
        at, end = sorted(dice.randrange(len(data) + 1) for _ in range(2))
        match dice.randrange(7):
            case 0:
                data[at:at] = dice.choice(HURTFUL)
            case 1:
                del data[at : min(end, at + 64)]
            case 2:
                data[at:at] = data[at:end]
            case 3:
                del data[at:]
            case 4 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 5 if at < len(data):
                data[at] = dice.randrange(256)
            case _:
                data[at : at + 8] = dice.randbytes(8)
    return bytes(data)


def inputs(good: Sequence[bytes], count: int) -> Iterator[bytes]:
    """The good inputs, and `count` damaged ones; the same every time."""
    dice = random.Random(count)
    yield from good
    for _ in range(count):
        yield mutated(dice.choice(good), dice)


def _journal(folder: Path) -> bytes:
    journal = JournalWriter(folder)
    journal.write("window", AT, **window_fields(WINDOW))
    journal.write("station", AT, name="Radio")
    journal.write("opened", AT, take=1, file="take-001.mp3", **format_fields(AudioFormat(Codec.MP3, Hertz(44100), 2)))
    journal.write("title", AT, title="Title", take=1, media=0.5)
    journal.write("sync", AT, take=1, begins=AT.isoformat(), media=0.6, bytes=9000)
    journal.write("closed", AT, take=1, begins=AT.isoformat(), media=1.0, bytes=16000, ended_by="The end.")
    journal.close()
    return journal.path.read_bytes()


def _facts() -> Iterator[bytes]:
    plan = Plan(
        session_id=5, show="Show", stream=StreamFields(name="Harbour", url="http://radio.example/live"), start=AT,
        end=WINDOW.end, start_early=0, end_late=0, timezone="Europe/Berlin",
    )  # fmt: skip
    yield PlanFacts(plan=plan, is_whole=True).model_dump_json().encode()
    facts = {
        "plan": plan, "started_at": AT, "finished_at": AT, "verdict": "gapped", "coverage": 0.9, "recorded": 54.0,
        "gaps": [{"start": 5.0, "length": 6.0, "cause": "Cut off.", "position": 5.0}], "account": None, "take_count": 2,
        "title": "Show", "file": "Show.mp3", "size": 9, "duration": 54.0, "sha256": "0" * 64, "tags": {"track": 1},
    }  # fmt: skip
    yield Facts.model_validate(facts).model_dump_json().encode()
