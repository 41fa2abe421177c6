"""What FFmpeg's last words mean, as a sentence for people."""

import re

from rolltape.domain.address import mask
from rolltape.domain.errors import FormatUnsupported, SourceError, SourceUnreachable

_UNREACHABLE = (
    (r"401 Unauthorized", "http_401", "the server asks for a user name and a password, or does not accept those given"),
    (r"403 Forbidden", "http_403", "the server does not let us listen"),
    (r"404 Not Found|StreamNotFound|NetStream\.Play\.StreamNotFound", "http_404", "the server has no such stream"),
    (r"Server returned 4\d\d|method \w+ failed: 4\d\d", "http_400", "the server refuses to send the stream"),
    (r"Server returned 5\d\d|method \w+ failed: 5\d\d", "http_500", "the server has a fault of its own"),
    (r"Connection refused", "connect_refused", "the connection is refused; no server listens there"),
    (r"Failed to resolve|Name or service not known", "unknown_host", "there is no host of this name"),
    (r"certificate verify failed|certificate verification", "tls_untrusted", "the certificate was not accepted"),
    (r"No route to host|Network is unreachable", "no_route", "the server cannot be reached over the network"),
    (
        r"timed out|Connection to srt:\S+ failed",
        "connect_timeout",
        "the server does not answer",
    ),
)
_UNSUPPORTED = (
    (r"matches no streams", "no_audio", "there is no audio in it"),
    (r"not on whitelist|not allowed|Invalid data found|Unknown format|could not find codec", "format_unsupported",
     "this is no audio format that Rolltape can record"),
)  # fmt: skip


def fault(url: str, last_words: str) -> SourceError:
    """Why FFmpeg could not begin to record `url`."""
    for pattern, code, why in _UNREACHABLE:
        if re.search(pattern, last_words):
            return SourceUnreachable(f"{mask(url)}: {why}.", code=code)
    for pattern, code, why in _UNSUPPORTED:
        if re.search(pattern, last_words):
            return FormatUnsupported(f"{mask(url)}: {why}.", code=code)
    return SourceUnreachable(f"{mask(url)}: the stream could not be opened.", code="source_unreachable")
