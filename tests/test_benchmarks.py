"""The benchmarks count right: what is missing is laid to the outage that it belongs to."""

from urllib.error import URLError
from urllib.request import urlopen
from xml.etree import ElementTree

import pytest

from benchmarks.kills import outages
from benchmarks.plot import Mark, Panel, draw
from benchmarks.report import table
from benchmarks.shows import EDGE, Result, Show
from tests.known_stream import KnownStream, OnAir, known_mp3
from tests.servers.known import known_station
from tests.servers.line import lines


@pytest.fixture(scope="module")
def stream() -> KnownStream:
    return known_mp3(30)


def recorded(stream: KnownStream, *spans: tuple[float, float]) -> Result:
    """What there is of a show from second 10 to 20, if only these spans were recorded."""
    show = Show(1, OnAir(stream, since=0.0), 10.0, 20.0)
    audio = b"".join(stream.audio(round(start / stream.frame), round(end / stream.frame)) for start, end in spans)
    return Result(show, "done", "gapped", stream.count(audio, expected=show.expected), 0.0)


def test_an_outage_lasts_until_audio_comes_again_and_has_what_is_missing_around_it(stream: KnownStream) -> None:
    result = recorded(stream, (9, 12), (14, 16), (17, 21))

    (first,), elsewhere = outages([result], kills=[12.5, 13.0], heard=[9.0, 15.0])

    assert (first.began, first.ended) == (12.5, 15.0)
    assert first.lost == pytest.approx(2.0, abs=0.03)
    assert first.beyond(burst=4.0) == pytest.approx(2.0, abs=0.03)
    assert first.beyond(burst=1.0) == pytest.approx(0.5, abs=0.03)
    assert elsewhere == pytest.approx(1.0, abs=0.03)


def test_what_is_missing_over_two_outages_is_shared_between_them(stream: KnownStream) -> None:
    (first, second), elsewhere = outages([recorded(stream, (9, 12), (17, 21))], kills=[12, 15], heard=[9, 14, 17])

    assert first.lost == pytest.approx(2.0, abs=0.03)
    assert second.lost == pytest.approx(3.0, abs=0.03)
    assert elsewhere == 0


def test_a_show_that_begins_while_the_service_is_down_has_an_outage_from_its_start(stream: KnownStream) -> None:
    (first,), elsewhere = outages([recorded(stream, (11, 21))], kills=[8.0], heard=[5.0, 11.0])

    assert (first.began, first.ended) == (10.0, 11.0)
    assert first.lost == pytest.approx(1.0 - EDGE, abs=0.03)
    assert elsewhere == 0


def test_a_kill_before_or_after_a_show_is_none_of_its_outages(stream: KnownStream) -> None:
    found, elsewhere = outages([recorded(stream, (9, 21))], kills=[4.0, 22.0], heard=[5.0, 23.0])

    assert found == []
    assert elsewhere == 0


def test_a_plot_is_xml_and_its_line_is_broken_where_there_is_nothing() -> None:
    at = [0.0, 1.0, 2.0, 12.0, 13.0]

    drawn = ElementTree.fromstring(draw([Panel("files & folders", at, [1, 2, 3, 2, 1])], [Mark(2.5, "kill")], "s"))

    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 2
    assert [text.text for text in drawn if text.text and "&" in text.text] == ["files & folders"]


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_line_refuses_until_it_is_opened_as_often_as_it_was_closed(stream: KnownStream) -> None:
    with known_station(stream, burst=8000) as station, lines() as wires:
        line = wires.to(station.port)
        url = f"http://127.0.0.1:{line.port}/"
        with urlopen(url, timeout=5) as answer:
            answer.read(4000)
            line.close()
            line.close()
            heard = stream.count(answer.read(16000))
        with pytest.raises(URLError, match="refused"):
            urlopen(url, timeout=5)
        line.open()
        with pytest.raises(URLError, match="refused"):
            urlopen(url, timeout=5)
        line.open()
        with urlopen(url, timeout=5) as answer:
            again = stream.count(answer.read(4000))

    assert heard.found
    assert again.found
    assert len(line.heard) == 2
