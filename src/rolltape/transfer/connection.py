"""One SSH connection: a socket of ours, the host key checked exactly, logged in by key, under a watchdog.

Paramiko does the cryptography. What it leaves out is here: time-outs that fire, AES-GCM first (it puts it last), and
failures told apart. Of all its authentication errors only "Authentication failed." on a live connection is a
refusal; the rest are dead networks.
"""

import hashlib
import logging
import socket
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from rolltape.domain.destination import DestinationFields, HostKey
from rolltape.domain.errors import TargetError, TargetRefused, TargetUnreachable
from rolltape.domain.units import Bytes, BytesPerSecond, Seconds
from rolltape.transfer import problems, shell
from rolltape.transfer.dial import dial
from rolltape.transfer.keys import load_key
from rolltape.transfer.target import TransferSettings
from rolltape.transfer.watchdog import Watchdog

ANSWER = 15.0  # s each for the greeting, the key exchange and the log-in
SLOW_DISK = BytesPerSecond(10_000_000)  # the least a server must manage while it syncs or hashes, to count as alive
LONGEST_OUTPUT = 64 * 1024  # of a command is kept

_FIRST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_KEY_TYPES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}  # algorithms by type of key, where the names differ

# What it logs as errors comes to us as exceptions, too.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Outcome:
    """How a command on the server ended. `output` has what it said on standard error, too."""

    status: int
    output: bytes

    @property
    def text(self) -> str:
        """The last line of what it said; to be quoted with care."""
        lines = self.output.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self.status}"


class Connection:
    """A connection to a destination's server. `open()`, then `log_in()`; `abort()` from any thread ends all calls."""

    def __init__(self, destination: DestinationFields, host_key: HostKey | None, settings: TransferSettings) -> None:
        self.host = destination.host
        self.stall = settings.stall
        self.shown_key: HostKey | None = None
        self._destination = destination
        self._accepted = host_key
        self._settings = settings
        self._transport: paramiko.Transport | None = None
        self._aborted = False
        self._watchdog = Watchdog(settings.stall, self._break)

    def open(self) -> None:
        """Connect, and see the server's key in `shown_key`."""
        where = self._destination
        sock = dial(where.host, where.port, self._settings.egress, stall=self.stall, check=self.check_aborted)
        try:
            self._transport = self._negotiate(sock)
        except BaseException:
            sock.close()
            raise
        self.shown_key = _host_key(self._transport.get_remote_server_key())

    def log_in(self) -> None:
        """Check the server's key, then show ours.

        Raises:
            TargetRefused: the key is not the accepted one, or the server does not take ours.
        """
        self._check_host_key()
        key = load_key(self._settings.keys, self._destination.key_file)
        user = f"{self._destination.user}@{self.host}"
        transport = self._alive()
        try:
            more = transport.auth_publickey(self._destination.user, key)
        except paramiko.BadAuthenticationType as exc:
            ways = ", ".join(exc.allowed_types) or "nothing"
            raise TargetRefused(f"{user}: the server takes no keys, but {ways}", code="key_refused") from exc
        except paramiko.AuthenticationException as exc:
            if str(exc) == "Authentication failed." and transport.is_active():
                raise TargetRefused(
                    f"{user}: the key was not accepted; add its public half to ~/.ssh/authorized_keys there",
                    code="key_refused",
                ) from exc
            raise self._failure("login_lost", "the connection broke off during the log-in", exc) from exc
        except (paramiko.SSHException, EOFError, OSError) as exc:
            raise self._failure("login_lost", "the connection broke off during the log-in", exc) from exc
        if more:
            raise TargetRefused(f"{user}: the server wants more than a key ({', '.join(more)})", code="key_refused")

    def subsystem(self, name: str) -> "ChannelStream | None":
        """A channel to a subsystem of the server, None where it has none of this name."""
        channel = self._channel()
        if channel is None:
            return None
        with self.watched():
            try:
                channel.invoke_subsystem(name)
            except paramiko.SSHException:
                if self.is_active:
                    return None
                raise

        return ChannelStream(self, channel)

    def run(
        self,
        command: str,
        *,
        send: Iterable[memoryview] = (),
        receive: Callable[[bytes], None] | None = None,
        patience: Seconds = Seconds(0),
    ) -> Outcome | None:
        """Run `command` with `send` on its standard input; None where the server runs no commands.

        What it prints goes to `receive`, else into the outcome. `patience` is how many seconds longer than usual it
        may be silent.
        """
        with self.watched(), self._watchdog.patient(patience):
            stream = self._command(command, with_errors=receive is None)
            if stream is None:
                return None
            stream.send_all(send)
            return stream.outcome(receive)

    def sha256(self, path: str, size: Bytes) -> str | None:
        """The digest of a file, computed by the server; None where it does not, or does not come to an end."""
        patience = Seconds(self.stall + size / SLOW_DISK)
        with self.watched(), self._watchdog.patient(patience):
            stream = self._command(shell.sha256(path), with_errors=True)
            if stream is None:
                return None
            stream.send_all(())
            try:
                outcome = stream.outcome(within=patience)
            except TimeoutError:  # some shells wait for a person; the file can still be read back
                return None
        return shell.find_digest(outcome.output) if outcome.status == 0 else None

    @contextmanager
    def patient(self, more: Seconds) -> Iterator[None]:
        """For the time of the block the server may be silent for `more` seconds longer than usual."""
        with self._watchdog.patient(more):
            yield

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The server is asked something: answers have to come, again and again, until the end of the block."""
        self.expect()
        try:
            with self.translated():
                yield
        finally:
            self._watchdog.rest()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Speak of a broken connection in this program's words, and keep the cause."""
        try:
            yield
        except TargetError:
            raise
        except (paramiko.SSHException, EOFError, OSError) as exc:
            raise self._failure("connection_lost", "the connection broke off", exc) from exc

    def expect(self) -> None:
        self._watchdog.expect()

    def heard(self) -> None:
        self._watchdog.heard()

    def check_aborted(self) -> None:
        if self._aborted:
            raise problems.aborted(self.host)

    def abort(self) -> None:
        self._aborted = True
        self._break()

    def close(self) -> None:
        self._watchdog.stop()
        self._break()

    @property
    def is_active(self) -> bool:
        """Whether the connection is up; then what failed is a channel."""
        return self._transport is not None and self._transport.is_active()

    def _negotiate(self, sock: socket.socket) -> paramiko.Transport:
        where = f"{self.host}:{self._destination.port}"
        transport = paramiko.Transport(sock)
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = ANSWER
        transport.channel_timeout = self.stall
        options = transport.get_security_options()
        options.ciphers = (*_FIRST_CIPHERS, *(name for name in options.ciphers if name not in _FIRST_CIPHERS))
        options.key_types = self._key_types(options.key_types)
        self._transport = transport  # so that abort() reaches it from now on
        try:
            self.check_aborted()
            transport.start_client(timeout=2 * ANSWER)
            if not transport.initial_kex_done:
                raise EOFError("no key exchange")
        except IncompatiblePeer as exc:
            transport.close()
            raise TargetRefused(
                f"{where}: the server only knows outdated cryptography ({exc})", code="no_common_algorithms"
            ) from exc
        except (paramiko.SSHException, EOFError, OSError) as exc:
            transport.close()
            raise self._failure("no_ssh", "no SSH server answers there, or it is too busy", exc, where=where) from exc

        return transport

    def _key_types(self, known: Sequence[str]) -> tuple[str, ...]:
        """The type of the accepted key first, so that the server shows that one."""
        if self._accepted is None:
            return tuple(known)
        wanted = _KEY_TYPES.get(self._accepted.type, (self._accepted.type,))
        return (*(name for name in wanted if name in known), *(name for name in known if name not in wanted))

    def _check_host_key(self) -> None:
        shown, accepted = self.shown_key, self._accepted
        assert shown is not None, "open() comes first"
        if accepted is None:
            raise TargetRefused(
                f"{self.host}: the server's key has not been accepted yet; compare {shown.fingerprint} "
                f"({shown.type}) with the server's own, then accept it",
                code="host_key_unknown",
            )
        if (shown.type, shown.key) != (accepted.type, accepted.key):
            raise TargetRefused(
                f"{self.host}: the server shows another key than the accepted one ({shown.fingerprint} instead of "
                f"{accepted.fingerprint}). Either it was set up anew, or somebody else answers in its place; nothing "
                "was sent. Accept the new key only if you know why it changed",
                code="host_key_changed",
            )

    def _command(self, command: str, *, with_errors: bool) -> "ChannelStream | None":
        channel = self._channel()
        if channel is None:
            return None
        self._watchdog.heard()
        channel.set_combine_stderr(with_errors)
        try:
            channel.exec_command(command)
        except paramiko.SSHException:
            if self.is_active:
                return None
            raise
        return ChannelStream(self, channel)

    def _channel(self) -> paramiko.Channel | None:
        with self.watched():
            try:
                return self._alive().open_session(timeout=self.stall)
            except paramiko.ChannelException:  # the server allows no (more) sessions
                return None

    def _alive(self) -> paramiko.Transport:
        self.check_aborted()
        assert self._transport is not None, "open() comes first"
        return self._transport

    def _failure(self, code: str, what: str, cause: BaseException, *, where: str = "") -> TargetUnreachable:
        if self._aborted:
            return problems.aborted(self.host)
        if self._watchdog.has_bitten:
            return TargetUnreachable(
                f"{self.host}: no answer for {self.stall:g} s, so the connection was given up", code="stalled"
            )
        detail = problems.quote(str(cause))
        return TargetUnreachable(f"{where or self.host}: {what}{f' ({detail})' if detail else ''}", code=code)

    def _break(self) -> None:
        transport = self._transport
        if transport is None:
            return
        with suppress(OSError):
            transport.sock.shutdown(socket.SHUT_RDWR)
        transport.close()
        transport.sock.close()


class ChannelStream:
    """A channel as a stream of bytes, with the watchdog told of every sign of life."""

    def __init__(self, connection: Connection, channel: paramiko.Channel) -> None:
        self._connection = connection
        self._channel = channel

    def send(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)  # sendall() would copy what is left, for each packet
        self._connection.expect()
        with self._connection.translated():
            while rest:
                sent = self._channel.send(rest)  # type: ignore[arg-type]  # it takes any buffer
                if sent == 0:
                    raise EOFError("the server closed the channel")
                rest = rest[sent:]

    def receive(self, size: int) -> bytes:
        with self._connection.translated():
            data = self._channel.recv(size)
            if not data:
                raise EOFError("the server closed the channel")
        self._connection.heard()
        return data

    def is_ready(self) -> bool:
        return self._channel.recv_ready()

    @property
    def packet_size(self) -> int:
        """Bytes of data that go into one packet; Paramiko keeps 64 for itself."""
        return int(self._channel.out_max_packet_size) - 64

    def send_all(self, blocks: Iterable[memoryview]) -> None:
        """Send `blocks`, and that there are no more; stops early where the command has ended."""
        for block in blocks:
            if self._channel.closed or self._channel.eof_received:
                break
            self.send(block)
            self._connection.heard()  # it takes what is sent; other answers there are none
        self._connection.check_aborted()
        self._channel.shutdown_write()

    def outcome(self, receive: Callable[[bytes], None] | None = None, *, within: Seconds | None = None) -> Outcome:
        """Read to the end. `TimeoutError` when nothing came for `within` seconds; the channel is closed then."""
        try:
            return self._read_to_end(receive, within)
        except TimeoutError:
            self._channel.close()
            raise

    def _read_to_end(self, receive: Callable[[bytes], None] | None, within: Seconds | None) -> Outcome:
        self._channel.settimeout(within)
        output = b""
        while True:
            self._connection.heard()
            data = self._channel.recv(LONGEST_OUTPUT)
            if not data:
                break
            if receive is not None:
                receive(data)
            else:
                output = (output + data)[-LONGEST_OUTPUT:]
        status = self._channel.recv_exit_status()
        if status < 0:
            raise EOFError("the command was broken off")

        return Outcome(status, output)


def _host_key(key: paramiko.PKey) -> HostKey:
    digest = b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return HostKey(type=key.get_name(), key=key.get_base64(), fingerprint=f"SHA256:{digest}")
