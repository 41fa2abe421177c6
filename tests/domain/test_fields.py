"""What a person can say of a stream, a schedule and a destination: the checks behind every form and API call."""

from typing import Any

import pytest
from pydantic import ValidationError

from rolltape.domain.destination import DestinationFields
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.stream import StreamFields

STREAM: dict[str, Any] = {"name": "Radio One", "url": "http://radio.example/live"}
SCHEDULE: dict[str, Any] = {"stream_id": 1, "cron": "0 9 * * *", "timezone": "Europe/Berlin", "duration": 3600}
OVER_SSH: dict[str, Any] = {"name": "NAS", "host": "nas.lan", "user": "radio", "key_file": "nas", "directory": "music"}
LOCAL: dict[str, Any] = {"name": "Shelf", "kind": "local", "directory": "/srv/radio"}


def refused_fields(model: type[StreamFields | ScheduleFields | DestinationFields], given: dict[str, Any]) -> set[str]:
    """Names of the fields at fault, as a form shows them; a check of the whole names its own."""
    try:
        model.model_validate(given)
    except ValidationError as exc:
        return {str(error["loc"][0]) if error["loc"] else error["ctx"]["error"].field for error in exc.errors()}
    return set()


def test_little_has_to_be_said() -> None:
    assert refused_fields(StreamFields, STREAM) == set()
    assert refused_fields(ScheduleFields, SCHEDULE) == set()
    assert refused_fields(DestinationFields, OVER_SSH) == set()
    assert refused_fields(DestinationFields, LOCAL) == set()


def test_white_space_around_what_was_typed_is_dropped() -> None:
    stream = StreamFields(name=" Radio One ", url=" http://radio.example/live\n", artist=" DJ ")

    assert (stream.name, stream.url, stream.artist) == ("Radio One", "http://radio.example/live", "DJ")


def test_addresses_are_tried_in_their_order() -> None:
    stream = StreamFields(name="Radio", url="http://a/", fallback_urls=["http://b/", "http://c/"])

    assert stream.urls == ["http://a/", "http://b/", "http://c/"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "x" * 201),
        ("name", "one\ntwo"),
        ("name", "\ud800"),
        ("name", "\u202egnp"),
        ("name", None),
        ("url", "file:///etc/passwd"),
        ("fallback_urls", ["http://a/", "gopher://b/"]),
        ("fallback_urls", ["http://a/"] * 11),
        ("artist", "\0"),
        ("title_pattern", "{nothing}"),
        ("filename_pattern", ""),
        ("engine", "vlc"),
        ("mp3_quality", "V10"),
        ("mp3_quality", "129k"),
        ("mp3_quality", "128k\n"),
        ("mp3_quality", "V٣"),
        ("max_duration", 0),
        ("max_duration", float("nan")),
        ("max_duration", float("inf")),
        ("max_duration", 7 * 86400 + 1),
        ("start_early", -1),
        ("end_late", 43201),
        ("stall_timeout", 0.5),
        ("max_attempts", 0),
        ("destination_ids", [1, 1]),
        ("destination_ids", [0]),
        ("destination_ids", [2**31]),
        ("destination_ids", list(range(1, 22))),
        ("colour", "red"),
    ],
)
def test_a_stream_names_the_field_at_fault(field: str, value: object) -> None:
    assert refused_fields(StreamFields, STREAM | {field: value}) == {field}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream_id", 0),
        ("stream_id", 2**31),
        ("cron", "x" * 201),
        ("at", "tomorrow"),
        ("at", "2026-13-01T00:00"),
        ("duration", 0),
        ("duration", float("nan")),
        ("duration", 7 * 86400 + 1),
        ("priority", 1001),
        ("start_early", -0.1),
        ("end_late", float("inf")),
        ("name", "\x1b[31m"),
    ],
)
def test_a_schedule_names_the_field_at_fault(field: str, value: object) -> None:
    assert refused_fields(ScheduleFields, SCHEDULE | {field: value}) >= {field}


@pytest.mark.parametrize(
    "host", ["nas", "nas.lan", "192.168.1.5", "::1", "fe80::1%eth0", "2001:db8::1", "xn--bcher-kva.example", "_nas"]
)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert DestinationFields(**OVER_SSH | {"host": host}).host == host


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", ""),
        ("host", "-oProxyCommand=id"),
        ("host", "nas lan"),
        ("host", "nas.lan\n.evil"),
        ("host", "user@nas.lan"),
        ("host", "nas.lan:22"),
        ("host", "$(id)"),
        ("host", "x" * 254),
        ("user", ""),
        ("user", "-l"),
        ("user", "a b"),
        ("user", "root;id"),
        ("port", 0),
        ("port", 65536),
        ("key_file", ""),
        ("key_file", "../../etc/ssh/key"),
        ("key_file", "a\0b"),
        ("directory", ""),
        ("directory", "music/../.."),
        ("directory", "music\nmore"),
        ("directory", "x" * 1025),
        ("bandwidth_limit", 1023),
        ("name", " "),
        ("kind", "ftp"),
    ],
)
def test_a_destination_names_the_field_at_fault(field: str, value: object) -> None:
    assert refused_fields(DestinationFields, OVER_SSH | {field: value}) == {field}


def test_a_local_folder_is_named_from_the_root() -> None:
    assert refused_fields(DestinationFields, LOCAL | {"directory": "radio"}) == {"directory"}
