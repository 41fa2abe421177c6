"""Addresses: which are taken, how they are shown, and where they may lead."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.domain.address import Egress, check_url, hides_secret, mask, mask_all, with_secrets_of, without_secrets
from rolltape.domain.errors import InputError


@pytest.mark.parametrize(
    "url",
    [
        "http://radio.example/live",
        "https://radio.example:8443/live.mp3?token=1",
        "HTTP://RADIO.EXAMPLE/",
        "rtmp://radio.example/app/stream",
        "rtmps://radio.example/app/stream",
        "rtsp://user:secret@radio.example/1",
        "srt://radio.example:9000?mode=caller",
        "http://[2001:db8::1]:8000/live",
        "http://bücher.example/",
    ],
)
def test_an_address_of_something_that_can_be_recorded_is_taken(url: str) -> None:
    assert check_url(f"  {url}\n") == url


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "An address is needed."),
        ("  ", "An address is needed."),
        ("radio.example/live", "An address without a scheme cannot be recorded"),
        ("file:///etc/passwd", "file: cannot be recorded"),
        ("javascript:alert(1)", "javascript: cannot be recorded"),
        ("concat:http://a|http://b", "concat: cannot be recorded"),
        ("http://", "The address has no host."),
        ("http:///live", "The address has no host."),
        ("http://user@/live", "The address has no host."),
        ("srt://radio.example", "The address needs a port."),
        ("http://radio.example:0/", "The address needs a port."),
        ("http://radio.example:65536/", "The address cannot be read"),
        ("http://radio.example:port/", "The address cannot be read"),
        ("http://[::1/", "The address cannot be read"),
        ("http://radio.example/a b", "The address has a space or a control character in it."),
        ("http://radio.example/\r\nHost: x", "The address has a space or a control character in it."),
        ("http://radio.example/\0", "The address has a space or a control character in it."),
        ("http://radio.example/\u202e", "The address has a character that cannot be shown."),
        ("http://radio.example/\ud800", "The address has a character that cannot be shown."),
        ("http://" + "x" * 3000, "The address is longer than 2048 characters."),
    ],
)
def test_what_cannot_be_recorded_gets_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        check_url(url, "fallback_urls")

    assert caught.value.field == "fallback_urls"
    assert caught.value.message.startswith(sentence)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://radio.example/live", "http://radio.example/live"),
        ("http://user:secret@radio.example:8000/live", "http://***@radio.example:8000/live"),
        ("http://us@er:sec@ret@radio.example/live", "http://***@radio.example/live"),
        ("http://radio.example/live?token=secret#part", "http://radio.example/live?***"),
        ("srt://radio.example:9000?passphrase=secret", "srt://radio.example:9000?***"),
        ("http://[::1/secret", "***"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert mask(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing in it", "nothing in it"),
        ("http://u:secret@h/x: Not Found", "http://***@h/x: Not Found"),
        ("HTTP://u:secret@h/x", "HTTP://***@h/x"),
        ("Opening 'http://u:secret@h/x?token=secret' for reading", "Opening 'http://***@h/x?***' for reading"),
        ("http://u:sec'secret@h/x", "http://***@h/x"),
        ('http://u:"<secret>"@h/x', "http://***@h/x"),
        ("(https://h/x?token=secret).", "(https://h/x?***)."),
        ("a://u:secret@h/,b://u:secret@i/", "a://***@h/,b://***@i/"),
        ("http://h/?u=http://u:secret@i/", "http://h/?***"),
        ("one rtmp://u:secret@h/a\nand\ttwo srt://h:1?p=secret", "one rtmp://***@h/a\nand\ttwo srt://h:1?***"),
        ("rtmpe://u:secret@h/a", "rtmpe://***@h/a"),
        ("http://h/x#secret", "http://h/x?***"),
    ],
)
def test_every_address_in_a_text_is_masked(text: str, shown: str) -> None:
    assert mask_all(text) == shown


@given(
    before=st.sampled_from(["", "'", "[tcp @ 0x5] ", "error: "]),
    secret=st.text(
        st.characters(max_codepoint=0x17F, exclude_categories=("C", "Z"), exclude_characters="/?#"), min_size=1
    ),
    after=st.sampled_from(["", "'", ": failed", "\n"]),
)
def test_no_password_is_left_in_a_text(before: str, secret: str, after: str) -> None:
    shown = mask_all(f"{before}http://me:x{secret}y@radio.example/live{after}")

    assert f"x{secret}y" not in shown
    assert shown == mask_all(shown)


def test_a_long_text_is_masked_in_no_time() -> None:
    begun = time.process_time()

    mask_all("://" * 50_000 + "a" * 100_000 + "'" * 100_000)

    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("address", "typed", "led_to"),
    [
        ("93.184.216.34", True, True),
        ("2606:2800:220:1::1", True, True),
        ("192.168.1.5", True, False),
        ("10.0.0.1", True, False),
        ("100.64.0.1", True, False),
        ("fd00::1", True, False),
        ("64:ff9b::c0a8:105", True, False),
        ("::ffff:192.168.1.5", True, False),
        ("2002:c0a8:0105::1", True, False),
        ("127.0.0.1", False, False),
        ("127.8.8.8", False, False),
        ("::1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("240.0.0.1", False, False),
        ("::ffff:127.0.0.1", False, False),
        ("64:ff9b::7f00:1", False, False),
        ("2002:7f00:1::1", False, False),
        ("::127.0.0.1", False, False),
    ],
)
def test_where_a_stream_may_lead(address: str, typed: bool, led_to: bool) -> None:
    egress = Egress()

    assert (egress.refusal(address, 80) is None) is typed
    assert (egress.refusal(address, 80, typed=False) is None) is led_to
    assert Egress(unrestricted=True).refusal(address, 80, typed=False) is None


def test_what_is_allowed_may_be_reached_on_its_port() -> None:
    egress = Egress(frozenset({("127.0.0.1", 8000), ("nas.lan", 80)}))

    assert egress.refusal("127.0.0.1", 8000) is None
    assert egress.refusal("127.0.0.1", 8001) is not None
    assert egress.refusal("192.168.1.5", 80, host="NAS.lan", typed=False) is None


@pytest.mark.parametrize(
    ("address", "host", "setting"),
    [
        ("127.0.0.1", "", "ROLLTAPE_ALLOW_TARGETS=127.0.0.1:8000"),
        ("127.0.0.1", "localhost", "ROLLTAPE_ALLOW_TARGETS=localhost:8000"),
        ("::1", "", "ROLLTAPE_ALLOW_TARGETS=[::1]:8000"),
    ],
)
def test_a_refusal_says_the_way_out(address: str, host: str, setting: str) -> None:
    refusal = Egress().refusal(address, 8000, host=host)

    assert refusal is not None
    assert refusal.endswith(f"allow it with {setting}")


def test_the_local_network_is_told_from_the_internet() -> None:
    assert Egress().is_local("192.168.1.5")
    assert Egress().is_local("::ffff:10.0.0.1")
    assert not Egress().is_local("93.184.216.34")


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("http://host/a?sid=1", "http://host/a?sid=1"),
        ("http://user:pass@host:8000/a", "http://user:***@host:8000/a"),
        ("http://user@host/a", "http://user@host/a"),
        ("http://host/a?sid=1&Token=xyz&b", "http://host/a?sid=1&Token=***&b"),
        ("http://host/a?apikey=", "http://host/a?apikey="),
        ("http://[broken", "***"),
    ],
)
def test_what_is_exported_of_an_address_has_no_secrets_and_finds_them_again(url: str, hidden: str) -> None:
    assert without_secrets(url) == hidden
    assert with_secrets_of(hidden, ["http://other/", url]) == url
    assert with_secrets_of(hidden, []) == hidden


@pytest.mark.parametrize(
    ("url", "hides"),
    [
        ("http://user:***@host/", True),
        ("http://host/a?channel=1&token=***", True),
        ("http://user:pass@host/a?token=***", True),
        ("http://host/***?channel=***", False),
        ("http://***@host/", False),
        ("http://host/a?token=*", False),
        ("http://[broken:***@", False),
        ("", False),
    ],
)
def test_an_address_that_hides_its_secret_is_known(url: str, hides: bool) -> None:
    assert hides_secret(url) is hides
