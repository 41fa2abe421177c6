"""Makes what is told fit to be written down: no secrets, no forged lines, nothing endless.

A station chooses its name, its titles and its answers; all of them end up in the log as data.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rolltape.domain.address import mask_all
from rolltape.domain.token import PREFIX

LONGEST_TEXT = 2_000  # characters of a field
LONGEST_EXCEPTION = 20_000  # characters of a stack trace; its end says most

# Everything that a terminal or a viewer may take as more than text: control characters, line and paragraph
# separators, changes of direction, halves of characters.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_TOKEN = re.compile(rf"\b{PREFIX}[A-Za-z0-9_-]{{20,}}")


def field(value: Any) -> str | int | float | bool | None:
    """`value` as it may stand in a line: short, and without secrets. What is no text or number becomes text."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = value.isoformat() if isinstance(value, datetime) else str(value)

    return shortened(masked(text), LONGEST_TEXT)


def exception(trace: str) -> str:
    """A stack trace, without secrets; of an endless one the beginning and, above all, the end."""
    trace = masked(trace)
    if len(trace) <= LONGEST_EXCEPTION:
        return trace
    end = LONGEST_EXCEPTION * 3 // 4
    return f"{trace[: LONGEST_EXCEPTION - end]}\n... {len(trace) - LONGEST_EXCEPTION} characters ...\n{trace[-end:]}"


def masked(text: str) -> str:
    """`text` without passwords in addresses, and without API tokens. A last net: nobody should tell them anyway."""
    return _TOKEN.sub(f"{PREFIX}***", mask_all(text))


def shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def one_line(text: str) -> str:
    """`text` with `\\n`, `\\x1b` and the like written out."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def lines(text: str) -> str:
    """A text of several lines; other control characters are written out."""
    return "\n".join(one_line(line.expandtabs()) for line in text.split("\n"))


def in_json(line: str) -> str:
    """A line of JSON with the rest of what could be taken as a line break or an order written out.

    Below U+0020 JSON does it by itself.
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of an event, each made safe."""
    return {str(name): exception(str(value)) if name == "exception" else field(value) for name, value in event.items()}
