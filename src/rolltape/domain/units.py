"""Quantities carry their unit in the type."""

from typing import NewType

Seconds = NewType("Seconds", float)  # a span of time
Bytes = NewType("Bytes", int)  # a size
BytesPerSecond = NewType("BytesPerSecond", float)  # a rate of transfer
BitsPerSecond = NewType("BitsPerSecond", int)  # the rate of an encoded stream
Hertz = NewType("Hertz", int)  # a sample rate

MINUTE = Seconds(60)
HOUR = Seconds(60 * 60)
DAY = Seconds(24 * 60 * 60)


def gigabytes(number: float) -> Bytes:
    return Bytes(round(number * 1_000_000_000))


def megabytes(number: float) -> Bytes:
    return Bytes(round(number * 1_000_000))
