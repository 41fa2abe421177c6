"""Addresses of streams: which ones are taken, how they are shown, and where they may lead.

Source of the classes of networks: the IANA special-purpose registries, by way of Python's `ipaddress`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from rolltape.domain.errors import InputError

SCHEMES = ("http", "https", "rtmp", "rtmps", "rtsp", "srt")
LONGEST = 2048  # characters, as browsers and proxies have it
DEFAULT_PORTS = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443, "rtsp": 554}

HIDDEN = "***"  # in the place of what is secret

_THIS_NETWORK = IPv4Network("0.0.0.0/8")
_NAT64 = IPv6Network("64:ff9b::/96")
# No radio station, but what a station could have us speak to: mail, names, shares, databases, remote control.
_OTHER_SERVICES = {
    19, 21, 22, 23, 25, 53, 110, 111, 135, 139, 143, 389, 445, 465, 587, 636, 873, 993, 995, 1433, 2049, 2375, 2376,
    3306, 3389, 5432, 5900, 6379, 9200, 11211, 27017,
}  # fmt: skip
_USERINFO = re.compile(r"://[^/?#]*@")
_QUERY = re.compile(r"[?#]")
_SECRET_NAME = re.compile(r"pass|pwd|token|key|secret|auth|sig|hash|session|credential|user|login", re.IGNORECASE)
_CLOSING = "\"'<>)],.:;"  # what a sentence may put behind an address


def check_url(url: str, name: str = "url") -> str:
    """`url` without the white space around it, if it is the address of something that can be recorded.

    Raises:
        InputError: another scheme, no host, a bad port, white space or control characters, or too long.
    """
    url = url.strip()
    if not url:
        raise InputError(name, "An address is needed.")
    if len(url) > LONGEST:
        raise InputError(name, f"The address is longer than {LONGEST} characters.")
    if any(ord(char) <= 0x20 or 0x7F <= ord(char) <= 0x9F for char in url):
        raise InputError(name, "The address has a space or a control character in it.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        # What Python says of it may be part of a password.
        raise InputError(name, "The address cannot be read: its host or its port is not written as one.") from exc
    if parts.scheme.lower() not in SCHEMES:
        scheme = f"{parts.scheme}:" if parts.scheme else "An address without a scheme"
        raise InputError(name, f"{scheme} cannot be recorded; an address starts with one of {', '.join(SCHEMES)}.")
    if not parts.hostname:
        raise InputError(name, "The address has no host.")
    if port == 0 or (parts.scheme.lower() == "srt" and port is None):
        raise InputError(name, "The address needs a port.")
    if any(not char.isprintable() for char in url):
        raise InputError(name, "The address has a character that cannot be shown.")

    return url


def mask(url: str) -> str:
    """`url` without what is secret in it: password and query are shown as `***`."""
    try:
        parts = urlsplit(url)
        userinfo, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return HIDDEN
    if userinfo:
        userinfo = HIDDEN
    query = HIDDEN if parts.query else ""
    return urlunsplit(SplitResult(parts.scheme, f"{userinfo}{at}{host}", parts.path, query, ""))


def without_secrets(url: str) -> str:
    """`url` as it is written into exports and backups: its password, and what in its query looks like a key, are `***`.

    A query that says which channel is wanted stays, for without it the address would be another one.
    """
    try:
        parts = urlsplit(url)
        userinfo, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return HIDDEN
    user, colon, _ = userinfo.partition(":")
    login = f"{user}:{HIDDEN}{at}" if colon else f"{userinfo}{at}"
    query = "&".join(_hide_value(pair) for pair in parts.query.split("&"))
    return urlunsplit(parts._replace(netloc=f"{login}{host}", query=query))


def with_secrets_of(url: str, known: Iterable[str]) -> str:
    """`url` with what `without_secrets` took out of it: that one of `known` which it stands for, else as it is."""
    if HIDDEN not in url:
        return url
    return next((whole for whole in known if without_secrets(whole) == url), url)


def hides_secret(url: str) -> bool:
    """Whether `***` stands in `url` in the place of a password or key."""
    try:
        parts = urlsplit(url)
        login, _, _ = parts.netloc.rpartition("@")
    except ValueError:
        return False
    if login.partition(":")[2] == HIDDEN:
        return True
    pairs = (pair.partition("=") for pair in parts.query.split("&"))
    return any(value == HIDDEN and _SECRET_NAME.search(name) for name, _, value in pairs)


def mask_all(text: str) -> str:
    """`text` with every address in it masked, whatever its scheme, and however it is quoted."""
    return "".join(_mask_word(word) if "://" in word else word for word in re.split(r"(\s+)", text))


@dataclass(frozen=True)
class Egress:
    """Where streams and destinations may lead.

    What a person typed may be in the local network, but loopback, link-local and their kin only if listed in
    `allowed` (host or address, port). What a public stream leads to (a redirect, a playlist entry) may not be in the
    local network either, nor have the port of another service. `own_port` is that of our own pages, which nobody
    reaches by an address of this machine.
    """

    allowed: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    unrestricted: bool = False  # on the command line, where whoever types could reach everything anyway
    own_port: int | None = None

    def refusal(
        self, address: str, port: int, *, host: str = "", typed: bool = True, is_own: bool = False
    ) -> str | None:
        """Why `address` (a numeric one) may not be connected to, as a sentence; None if it may.

        `host` is the name that led there, `typed` whether a person gave it or the stream did, `is_own` whether it is
        an address of this machine.
        """
        if self.unrestricted or (address, port) in self.allowed or (host.lower(), port) in self.allowed:
            return None
        ip = _plain(ip_address(address.partition("%")[0]))
        shown = f"{host} ({address})" if host and host != address else address
        way_out = _way_out(host or address, port)
        if ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
            return f"{shown} is not a place to reach from here; {way_out}"
        if ip in _THIS_NETWORK or (is_own and port == self.own_port):
            return f"{shown} is not a place to reach from here; {way_out}"
        if not typed and not ip.is_global:
            return f"a public address led to {shown}, which is in the local network; {way_out}"
        if not typed and port in _OTHER_SERVICES:
            return f"a public address led to port {port} of {shown}, which is none of a radio station; {way_out}"

        return None

    def is_local(self, address: str) -> bool:
        """Whether `address` (a numeric one) lies in the local network, so that what it leads to may, too."""
        return not _plain(ip_address(address.partition("%")[0])).is_global


def _way_out(host: str, port: int) -> str:
    return f"allow it with ROLLTAPE_ALLOW_TARGETS={f'[{host}]' if ':' in host else host}:{port}"


def _hide_value(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={HIDDEN}" if equals and value and _SECRET_NAME.search(name) else pair


def _mask_word(word: str) -> str:
    """A word with an address in it, or several. No address has white space in it, so what is secret ends with it."""
    word = _USERINFO.sub("://***@", word)
    query = _QUERY.search(word, word.index("://"))
    if query is None:
        return word
    secret = word[query.start() :]
    closing = secret[len(secret.rstrip(_CLOSING)) :]

    return f"{word[: query.start()]}?***{closing}"


def _plain(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside a mapped, translated or tunnelled IPv6 one."""
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is not None:
            return inner
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFFFFFF)

    return ip
