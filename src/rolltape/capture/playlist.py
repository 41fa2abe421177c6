"""Addresses in playlists: .m3u, .pls and .xspf. (An HLS playlist is no list of streams; FFmpeg reads it.)

They are read with patterns: the files are often a little broken, and an XML parser would follow entities. No pattern
looks at a character twice, or a server could keep us busy for minutes with a file of nothing but spaces.
"""

import html
import re
from collections.abc import Iterator
from urllib.parse import urljoin

from rolltape.domain.address import check_url
from rolltape.domain.errors import InputError

MOST_ENTRIES = 20
LONGEST = 256 * 1024  # bytes of a playlist

_PLS = re.compile(r"File\d*", re.IGNORECASE)
_XSPF = re.compile(r"<(/?)location\b[^<>]*>", re.IGNORECASE)


def entries(data: bytes, base: str) -> list[str]:
    """The addresses that a playlist found at `base` leads to, in its order."""
    text = _decode(data)
    if text.lstrip()[:10].lower() == "[playlist]":
        pairs = (line.partition("=") for line in text.splitlines())
        found = [value.strip() for name, _, value in pairs if _PLS.fullmatch(name.strip()) and value.strip()]
    elif "<playlist" in text[:4096].lower():
        found = [html.unescape(location) for location in _locations(text)]
    else:
        found = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    addresses = (_absolute(entry, base) for entry in found[:MOST_ENTRIES])
    return list(dict.fromkeys(address for address in addresses if address))


def _locations(text: str) -> Iterator[str]:
    """What is between the tags of each location."""
    start = None
    for tag in _XSPF.finditer(text):
        if not tag[1]:
            start = tag.end() if start is None else start
        elif start is not None:
            location = text[start : tag.start()].strip()
            yield location.removeprefix("<![CDATA[").removesuffix("]]>")
            start = None


def _decode(data: bytes) -> str:
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _absolute(entry: str, base: str) -> str | None:
    """The whole address of an entry; None if it is none of a stream."""
    if entry[:6].lower() == "icy://":
        entry = f"http://{entry[6:]}"
    try:
        return check_url(urljoin(base, entry))
    except (InputError, ValueError):
        return None
