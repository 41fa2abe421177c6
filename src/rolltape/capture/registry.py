"""Which source receives which address."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rolltape.capture.ffmpeg import FfmpegSource
from rolltape.capture.icecast import HttpFinder, IcecastSource
from rolltape.capture.proxy import Proxy
from rolltape.capture.source import Source
from rolltape.domain.address import Egress, check_url
from rolltape.domain.errors import FormatUnsupported, InputError
from rolltape.domain.stream import CaptureEngine
from rolltape.domain.units import Seconds

HTTP = ("http", "https")
CONNECT_TIMEOUT = Seconds(20)  # in all, with redirects and playlists


@dataclass(frozen=True)
class CaptureSettings:
    """What capture needs to know of this installation. `ffmpeg` is the path of the program, `proxy` what all of its
    runs share."""

    ffmpeg: str
    egress: Egress
    connect_timeout: Seconds = CONNECT_TIMEOUT
    proxy: Proxy = field(default_factory=Proxy, compare=False, repr=False)


def source_for(url: str, settings: CaptureSettings, *, verify_tls: bool, engine: CaptureEngine) -> Source:
    """A source for one connection to `url`.

    Raises:
        FormatUnsupported: this is no address of a stream, or the engine that was chosen cannot do it.
    """
    try:
        check_url(url)
    except InputError as exc:  # whoever wrote it into the database
        raise FormatUnsupported(exc.message) from exc
    by_ffmpeg = FfmpegSource(
        settings.ffmpeg,
        settings.egress,
        settings.proxy,
        verify_tls=verify_tls,
        connect_timeout=settings.connect_timeout,
    )
    scheme = urlsplit(url).scheme.lower()
    if scheme not in HTTP:
        if engine is CaptureEngine.NATIVE:
            raise FormatUnsupported(f"The native engine does not receive {scheme}: addresses; choose auto.")
        return by_ffmpeg

    return IcecastSource(
        HttpFinder(settings.egress, verify_tls=verify_tls),
        None if engine is CaptureEngine.NATIVE else by_ffmpeg,
        connect_timeout=settings.connect_timeout,
        native=engine is not CaptureEngine.FFMPEG,
    )
