"""One recording without a service and without a database: `rolltape record`."""

import asyncio
import contextlib
import secrets
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from rolltape import tag
from rolltape.capture import CaptureSettings, Recorder, read_journal
from rolltape.disk import cause
from rolltape.domain.address import Egress
from rolltape.domain.errors import FfmpegMissing, InputError, ProcessingError
from rolltape.domain.session import Plan
from rolltape.domain.stream import StreamFields
from rolltape.domain.take import TAKES
from rolltape.domain.units import Seconds
from rolltape.pipeline.finish import Made, free_name, make, publish
from rolltape.pipeline.workshop import Workshop
from rolltape.services.clock import utc_now
from rolltape.transfer import TransferSettings

PROGRESS = Seconds(5)  # between two lines that say how far it is


@dataclass(frozen=True)
class Wanted:
    """What `rolltape record` was asked for. Texts are "" where nothing was said."""

    url: str
    length: Seconds
    out: Path
    artist: str
    album: str
    album_artist: str
    title: str
    show: str
    cover: Path | None
    quality: str
    verify_tls: bool
    timezone: str


@dataclass(frozen=True)
class Found:
    file: Path
    made: Made


async def record_once(wanted: Wanted, ffmpeg: str, *, tell: Callable[[str], None]) -> Found:
    """Record what is wanted; `tell` hears how it goes. Ctrl-C ends it, and what was recorded is kept.

    Raises:
        SourceError: nothing was recorded.
        InputError: something that is wanted cannot be.
        ProcessingError: no recording could be made of what was recorded; that is kept.
        OSError: `out` cannot be written.
    """
    out = wanted.out.expanduser().absolute()
    out.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(
        recordings=out,
        artwork=out,
        capture=CaptureSettings(ffmpeg=ffmpeg, egress=Egress(unrestricted=True)),
        transfer=TransferSettings(keys=out, egress=Egress()),
        transfers_per_destination=1,
    )
    plan = _plan(wanted)
    folder = out / TAKES / secrets.token_hex(8)
    folder.mkdir(parents=True)
    is_kept = False  # what was recorded, because no recording could be made of it
    workshop.ahead.begin(folder, quality=wanted.quality, ffmpeg=ffmpeg)
    try:
        await _capture(Recorder(plan, folder, workshop.capture, on_event=lambda event: tell(event.message)), tell)
        if not wanted.show:
            plan = plan.model_copy(update={"show": read_journal(folder).station or plan.show})
        name = free_name(plan, workshop, taken=None)
        made = await make(plan, folder, name, workshop)
        publish(made.part, out / name)
    except (OSError, ProcessingError, FfmpegMissing) as exc:
        is_kept = bool(read_journal(folder).takes)
        if not is_kept:
            raise
        why = cause(exc, out) if isinstance(exc, OSError) else exc.message
        raise ProcessingError(f"{why} What was recorded is kept in {folder}.") from exc
    finally:
        await workshop.ahead.drop(folder)
        if not is_kept:
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another recording is under way there
            folder.parent.rmdir()
    return Found(out / name, made)


def _plan(wanted: Wanted) -> Plan:
    now = utc_now()
    show = wanted.show or urlsplit(wanted.url).hostname or "Recording"
    cover = wanted.cover.expanduser().absolute() if wanted.cover else None
    if cover is not None:
        try:
            tag.check_artwork(cover.read_bytes())
        except OSError as exc:
            raise InputError("cover", f"{cover}: {exc.strerror}") from exc
    return Plan(
        session_id=0,
        show=show,
        stream=StreamFields(
            name=show,
            url=wanted.url,
            artist=wanted.artist,
            album=wanted.album,
            album_artist=wanted.album_artist,
            title_pattern=wanted.title or "{date} {show}",
            filename_pattern="{date} {show}",
            mp3_quality=wanted.quality,
            verify_tls=wanted.verify_tls,
        ),
        start=now,
        end=now + timedelta(seconds=wanted.length),
        start_early=0,
        end_late=0,
        timezone=wanted.timezone,
        begins_with_audio=True,
        artwork=str(cover) if cover else None,
    )


async def _capture(recorder: Recorder, tell: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    for ask in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(ask, recorder.stop)
    capturing = asyncio.create_task(recorder.run())
    try:
        while not (await asyncio.wait([capturing], timeout=PROGRESS))[0]:
            progress = recorder.progress
            rate = f", {progress.bit_rate // 1000} kbit/s" if progress.bit_rate else ""
            tell(f"{progress.recorded:.0f} s recorded{rate}{f', {progress.title}' if progress.title else ''}")
        capturing.result()
    finally:
        for ask in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(ask)
