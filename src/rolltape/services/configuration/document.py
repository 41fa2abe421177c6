"""A YAML document as plain values, each with the line it stands on.

Of YAML only that is read what JSON has too: mappings, lists, texts, numbers, true, false and null. Whatever else looks
like something (`yes`, `12:30`, `2026-12-24`) is the text it is. Anchors and tags are refused: a few lines of anchors
can stand for gigabytes, and nobody needs either here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from rolltape.domain.errors import InputError

LARGEST = 900_000  # bytes: some thousand streams, and with a form around it still what a request may have
DEEPEST = 8  # levels; ours has four
MOST_NODES = 200_000

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?(?:[eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"-?[0-9]+")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True, "TRUE": True,
          "false": False, "False": False, "FALSE": False}  # fmt: skip
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times faster; it makes no objects here

Plain: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its line, counted from 1."""

    value: "Plain | list[Node] | dict[str, Node]"
    line: int

    def plain(self) -> Any:
        """The value with all that is in it, without the lines."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read(content: bytes) -> Node:
    """The one document in `content`.

    Raises:
        InputError: it is none, or more than what JSON has; the message names the line.
    """
    if len(content) > LARGEST:
        raise InputError("", f"The document is larger than {LARGEST // 1000} kB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise InputError("", f"Line {line}: this is no text in UTF-8; save the file in this encoding.") from exc
    try:
        return _Reader(text).document()
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise InputError("", f"Line {line}: this cannot be read as YAML: {exc.problem or 'it is broken'}.") from exc
    except yaml.YAMLError as exc:
        raise InputError("", "There is a character in the document that YAML does not allow.") from exc


class _Reader:
    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._nodes = 0

    def document(self) -> Node:
        next(self._events)  # the begin of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise InputError("", "The document is empty.")
        node = self._node(next(self._events), depth=1)
        next(self._events)  # the end of the document
        if not isinstance(event := next(self._events), yaml.StreamEndEvent):
            raise _refused(event, "a second document begins; there can be only one")
        return node

    def _node(self, event: Any, *, depth: int) -> Node:
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused(event, "anchors and aliases (& and *) are not taken; write it out, or put it into quotes")
        if event.tag is not None:
            raise _refused(event, "tags (!) are not taken; put the text into quotes if it begins with one")
        if depth > DEEPEST:
            raise _refused(event, f"this is nested deeper than {DEEPEST} levels")
        if self._nodes > MOST_NODES:
            raise _refused(event, "there are more values than any such document has")
        line = event.start_mark.line + 1
        if isinstance(event, yaml.MappingStartEvent):
            return Node(self._mapping(depth), line)
        if isinstance(event, yaml.SequenceStartEvent):
            return Node(self._list(depth), line)
        return Node(event.value if event.style else _plain(event.value), line)

    def _mapping(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth=depth + 1)
            if not isinstance(key.value, str):
                raise _refused(event, "a name is expected here")
            if key.value in found:
                raise _refused(event, f"{key.value[:60]} is here twice")
            value = self._node(next(self._events), depth=depth + 1)
            # What is wrong with a field is to be seen at its name.
            found[key.value] = Node(value.value, key.line)
        return found

    def _list(self, depth: int) -> list[Node]:
        found = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._node(event, depth=depth + 1))
        return found


def _plain(text: str) -> Plain:
    """What a text without quotes stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if NUMBER.fullmatch(text):
        return int(text) if _WHOLE.fullmatch(text) else float(text)
    return text


def _refused(event: Any, what: str) -> InputError:
    return InputError("", f"Line {event.start_mark.line + 1}: {what}.")
