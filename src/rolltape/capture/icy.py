"""Titles inside of a stream: cut out of the audio, and read.

Source: the SHOUTcast "icy" protocol as Icecast sends it: after every `icy-metaint` bytes of audio comes one byte
with the length of a text in units of 16 bytes, then the text, filled up with zeros.
"""

import re

LONGEST_TITLE = 300  # characters

_TITLE = re.compile(rb"StreamTitle='(.*?)(?:';|'?\0|'?$)", re.DOTALL)


class IcyCutter:
    """Takes the texts out of a stream. `title` is the last one, None before there was one."""

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._audio_left = interval
        self._text_left = 0
        self._text = bytearray()
        self.title: str | None = None

    def cut(self, data: bytes) -> bytes:
        """The audio in `data`."""
        if len(data) <= self._audio_left and not self._text_left and self._audio_left:
            self._audio_left -= len(data)
            return data
        pieces: list[bytes] = []
        position = 0
        while position < len(data):
            if self._text_left:
                position = self._take_text(data, position)
            elif self._audio_left:
                piece = data[position : position + self._audio_left]
                pieces.append(piece)
                position += len(piece)
                self._audio_left -= len(piece)
            else:
                self._begin_text(data[position] * 16)
                position += 1
        return b"".join(pieces)

    def _begin_text(self, length: int) -> None:
        self._text_left = length
        self._text.clear()
        if not length:
            self._audio_left = self._interval

    def _take_text(self, data: bytes, position: int) -> int:
        piece = data[position : position + self._text_left]
        self._text += piece
        self._text_left -= len(piece)
        if not self._text_left:
            self._audio_left = self._interval
            title = parse_title(bytes(self._text))
            self.title = self.title if title is None else title
        return position + len(piece)


def parse_title(text: bytes) -> str | None:
    """The title in a metadata text, "" where it is empty, None where there is none in it."""
    found = _TITLE.search(text)
    return clean(found[1]) if found else None


def clean(text: bytes) -> str:
    """A text of the server as one line that can be shown: UTF-8, else Latin-1, without control characters."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        decoded = text.decode("latin-1")
    shown = "".join(char if char.isprintable() else " " for char in decoded)
    return " ".join(shown.split())[:LONGEST_TITLE]
