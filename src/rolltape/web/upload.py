"""Large files, as they arrive: none of it is kept in memory, nor in a temporary folder that may be small."""

from collections.abc import AsyncIterator

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from rolltape.domain.errors import InputError

FILE = "file"  # the name of the field
LARGEST_FIELDS = 64 * 1024  # bytes of all other fields, which come before it

_UNREADABLE = "The form could not be read."


class UploadForm:
    """A form of a page with small fields and, as its last one, a file."""

    def __init__(self, request: Request) -> None:
        kind, options = parse_options_header(request.headers.get("content-type"))
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise InputError(FILE, "Choose a file first.")
        self._stream = request.stream()
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._name_header,
                "on_header_value": self._fill_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._take,
            },
        )
        self._header = b""
        self._headers: dict[bytes, bytes] = {}
        self._field: str | None = None  # the one that is being read
        self._fields: dict[str, bytes] = {}
        self._size = 0
        self._pieces: list[bytes] = []  # of the file, not handed on yet
        self._has_file = False

    async def fields(self) -> dict[str, str]:
        """The fields before the file, by name."""
        while not self._has_file and await self._read():
            continue
        return {name: value.decode("utf-8", "replace") for name, value in self._fields.items()}

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file."""
        more = True
        while more:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            more = await self._read()
        for piece in self._pieces:
            yield piece

    async def drain(self) -> None:
        """Let the rest arrive, and keep none of it: a browser shows an answer only when it has sent everything."""
        while await anext(self._stream, b""):
            continue

    async def _read(self) -> bool:
        """Look at what has arrived; False once all of it has."""
        received = await anext(self._stream, b"")
        try:
            self._parser.write(received)
        except MultipartParseError as exc:
            raise InputError("", _UNREADABLE) from exc
        return bool(received)

    def _begin(self) -> None:
        self._header, self._headers, self._field = b"", {}, None

    def _name_header(self, data: bytes, start: int, end: int) -> None:
        if self._header in self._headers:
            self._header = b""
        self._header += data[start:end].lower()

    def _fill_header(self, data: bytes, start: int, end: int) -> None:
        self._headers[self._header] = self._headers.get(self._header, b"") + data[start:end]

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        self._has_file = self._has_file or self._field == FILE

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._field == FILE:
            self._pieces.append(data[start:end])
            return
        self._size += end - start
        if self._size > LARGEST_FIELDS:
            raise InputError("", _UNREADABLE)
        assert self._field is not None
        self._fields[self._field] = self._fields.get(self._field, b"") + data[start:end]
