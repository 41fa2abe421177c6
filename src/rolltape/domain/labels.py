"""Labels: what a recording is called, in its tags and as a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rolltape.domain import pattern
from rolltape.domain.stream import StreamFields


@dataclass(frozen=True)
class Labels:
    """`values` are what the names in a pattern stand for."""

    title: str
    artist: str
    album: str
    album_artist: str
    genre: str
    track: int
    values: Mapping[str, str]


def labels(stream: StreamFields, show: str, local_start: datetime) -> Labels:
    """What a recording of `show` is called; `local_start` is the planned start in the schedule's zone."""
    values = pattern.values(start=local_start, show=show, stream=stream.name, artist=stream.artist, album=stream.album)
    return Labels(
        title=pattern.render(stream.title_pattern, values),
        artist=stream.artist or stream.name,
        album=stream.album or show,
        album_artist=stream.album_artist or stream.artist or stream.name,
        genre=stream.genre,
        track=pattern.track_number(local_start.date()),
        values=values,
    )
