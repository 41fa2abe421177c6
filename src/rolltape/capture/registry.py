"""Which source receives which address."""

from dataclasses import dataclass

from rolltape.capture.icecast import HttpFinder, IcecastSource
from rolltape.capture.source import Source
from rolltape.domain.address import Egress
from rolltape.domain.stream import CaptureEngine
from rolltape.domain.units import Seconds

CONNECT_TIMEOUT = Seconds(20)  # in all, with redirects and playlists


@dataclass(frozen=True)
class CaptureSettings:
    """What capture needs to know of this installation. `ffmpeg` is the path of the program."""

    ffmpeg: str
    egress: Egress
    connect_timeout: Seconds = CONNECT_TIMEOUT


def source_for(url: str, settings: CaptureSettings, *, verify_tls: bool, engine: CaptureEngine) -> Source:
    """A source for one connection to `url`.

    Raises:
        FormatUnsupported: the engine that was chosen cannot do it.
    """
    finder = HttpFinder(settings.egress, verify_tls=verify_tls)
    return IcecastSource(finder, None, connect_timeout=settings.connect_timeout, native=True)
