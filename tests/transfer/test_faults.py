"""What goes wrong with servers: each its own sentence, passing or permanent as it is, and nothing lost."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rolltape.domain.address import Egress
from rolltape.domain.errors import TargetError, TargetRefused, TargetUnreachable
from rolltape.domain.transfer import Proof
from rolltape.domain.units import Bytes, Seconds
from rolltape.transfer import Delivery, TransferSettings, connection
from tests.servers.process import free_port, wait_until
from tests.servers.proxy import proxy
from tests.servers.sshd import Sshd, inside, make_key, read_host_key, sshd
from tests.transfer.conftest import Site, make_recording, ssh_site


async def failure(site: Site, recording: Delivery) -> TargetError:
    """What a delivery raises; it must leave nothing under the final name."""
    with pytest.raises(TargetError) as raised:
        await site.send(recording)
    assert str(recording.name) not in (site.files() if site.folder.exists() else [])
    return raised.value


def with_fields(site: Site, **fields: object) -> Site:
    return replace(site, destination=site.destination.model_copy(update=fields))


async def test_refused_connection(ssh: Site, recording: Delivery):
    port = free_port()
    egress = Egress(frozenset({("127.0.0.1", port)}))
    site = replace(with_fields(ssh, port=port), settings=replace(ssh.settings, egress=egress))

    error = await failure(site, recording)

    assert isinstance(error, TargetUnreachable)
    assert error.code == "connection_refused"
    assert f"127.0.0.1:{port}" in error.message


async def test_host_without_address(ssh: Site, recording: Delivery):
    error = await failure(with_fields(ssh, host="nas.invalid"), recording)

    assert isinstance(error, TargetUnreachable)
    assert error.code == "unknown_host"
    assert "nas.invalid" in error.message


async def test_loopback_is_no_destination_unless_allowed(ssh: Site, recording: Delivery):
    site = replace(ssh, settings=replace(ssh.settings, egress=Egress()))

    error = await failure(with_fields(site, host="localhost"), recording)

    assert isinstance(error, TargetRefused)
    assert error.code == "address_refused"
    assert f"ROLLTAPE_ALLOW_TARGETS=localhost:{site.destination.port}" in error.message


async def test_host_key_that_nobody_accepted(tmp_path: Path, recording: Delivery):
    with sshd(tmp_path / "sshd") as server:
        site = replace(ssh_site(server, tmp_path / "there"), host_key=None)

        error = await failure(site, recording)
        trial = await site.test()

        assert isinstance(error, TargetRefused)
        assert error.code == trial.code == "host_key_unknown"
        assert server.host_key.fingerprint in error.message
        assert not trial.ok
        assert trial.host_key == server.host_key
        assert trial.known is False
        assert "Accepted publickey" not in (server.folder / "sshd.log").read_text()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"], ids=["same type", "other type"])
async def test_changed_host_key(tmp_path: Path, recording: Delivery, kind: str):
    with sshd(tmp_path / "sshd", host_key_type=kind) as server:
        site = ssh_site(server, tmp_path / "there")
        other = read_host_key(make_key(tmp_path / "other").with_suffix(".pub"))
        site = replace(site, host_key=other)

        error = await failure(site, recording)
        trial = await site.test()

        assert isinstance(error, TargetRefused)
        assert error.code == trial.code == "host_key_changed"
        assert server.host_key.fingerprint in error.message
        assert other.fingerprint in error.message
        assert (trial.ok, trial.known, trial.host_key) == (False, False, server.host_key)
        assert "Accepted publickey" not in (server.folder / "sshd.log").read_text()


async def test_the_accepted_host_key_is_asked_for_among_several(tmp_path: Path, recording: Delivery):
    rsa = make_key(tmp_path / "rsa", "rsa")
    with sshd(tmp_path / "sshd", config=[f"HostKey {rsa}"]) as server:
        site = replace(ssh_site(server, tmp_path / "there"), host_key=read_host_key(Path(f"{rsa}.pub")))

        receipt = await site.send(recording)

        assert receipt.sha256 == recording.sha256


async def test_key_that_the_server_does_not_accept(ssh: Site, tmp_path: Path, recording: Delivery):
    make_key(tmp_path / "stranger")

    error = await failure(with_fields(ssh, key_file=str(tmp_path / "stranger")), recording)

    assert isinstance(error, TargetRefused)
    assert error.code == "key_refused"
    assert "authorized_keys" in error.message


async def test_user_that_does_not_exist(ssh: Site, recording: Delivery):
    error = await failure(with_fields(ssh, user="nobody-of-this-name"), recording)

    assert error.code == "key_refused"
    assert "nobody-of-this-name@127.0.0.1" in error.message


@pytest.mark.parametrize("sftp", ["internal-sftp", None], ids=["sftp", "no sftp"])
async def test_permission_denied(tmp_path: Path, recording: Delivery, sftp: str | None):
    unprivileged = f"{shutil.which('setpriv')} --reuid=65534 --regid=65534 --clear-groups sh -c"
    shell = f'{unprivileged} "$SSH_ORIGINAL_COMMAND"'
    command = f"{unprivileged} /usr/lib/openssh/sftp-server" if sftp else shell
    with sshd(tmp_path / "sshd", config=[f"ForceCommand {command}"], sftp=sftp) as server:
        site = ssh_site(server, tmp_path / "there", Proof.READBACK)
        for folder in (site.folder, *list(site.folder.parents)[:-2]):
            folder.chmod(0o755)

        error = await failure(site, recording)
        trial = await site.test()

        assert isinstance(error, TargetRefused)
        assert error.code == trial.code == "permission_denied"
        assert str(site.folder) in error.message


@pytest.mark.parametrize("sftp", ["internal-sftp", None], ids=["sftp", "no sftp"])
async def test_full_disk_is_seen_before_a_byte_is_sent(tmp_path: Path, recording: Delivery, sftp: str | None):
    with sshd(tmp_path / "sshd", disk=2_000_000, sftp=sftp) as server:
        site = replace(ssh_site(server, server.home), folder=inside(server, server.home))
        seen: list[Bytes] = []

        with pytest.raises(TargetUnreachable) as raised:
            await site.send(recording, seen.append)

        assert raised.value.code == "disk_full"
        assert "2.0 MB free, 5.0 MB needed" in raised.value.message
        assert site.files() == []
        assert seen == []


@pytest.mark.parametrize("sftp", ["internal-sftp", None], ids=["sftp", "no sftp"])
async def test_disk_that_fills_up_on_the_way(tmp_path: Path, recording: Delivery, sftp: str | None):
    with sshd(tmp_path / "sshd", disk=6_000_000, sftp=sftp) as server:
        site = replace(ssh_site(server, server.home, bandwidth_limit=4_000_000), folder=inside(server, server.home))
        filler = site.folder / "filler"

        filled: list[Bytes] = []

        def fill(sent: Bytes) -> None:
            """Once: news of the progress may come when the attempt is over."""
            if sent > 0 and not filled:
                filled.append(sent)
                filler.write_bytes(bytes(4_000_000))

        with pytest.raises(TargetUnreachable) as raised:
            await site.send(recording, fill)
        left = site.files()
        filler.unlink()
        # A command that still has the removed file open keeps its room until it ends.
        await asyncio.to_thread(wait_until, lambda: free_bytes(site.folder) > recording.size, "room on the disk")
        await site.send(recording)

        assert raised.value.code == "disk_full"
        assert str(server.home) in raised.value.message
        assert left == ["filler"]
        assert site.files() == [str(recording.name)]


@pytest.mark.parametrize("sftp", ["internal-sftp", None], ids=["sftp", "no sftp"])
async def test_the_room_of_an_earlier_attempt_counts(tmp_path: Path, recording: Delivery, sftp: str | None):
    with sshd(tmp_path / "sshd", disk=6_000_000, sftp=sftp) as server:
        site = replace(ssh_site(server, server.home), folder=inside(server, server.home))
        torso = site.folder / recording.part
        torso.parent.mkdir()
        torso.write_bytes(bytes(1_990_000))
        assert free_bytes(site.folder) < recording.size

        await site.send(recording)

        assert site.files() == [str(recording.name)]


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def kill(server: Sshd, how: signal.Signals) -> None:
    for pid in server.children():
        os.kill(pid, how)


def once(action: Callable[[], None]) -> Callable[[Bytes], None]:
    """A listener to progress that does `action` when the first megabyte has arrived."""
    done = False

    def on_progress(sent: Bytes) -> None:
        nonlocal done
        if sent > 1_000_000 and not done:
            done = True
            action()

    return on_progress


@pytest.mark.parametrize("sftp", ["internal-sftp", None], ids=["sftp", "no sftp"])
async def test_connection_cut_in_the_middle(tmp_path: Path, recording: Delivery, sftp: str | None):
    with sshd(tmp_path / "sshd", sftp=sftp) as server:
        site = ssh_site(server, tmp_path / "there", bandwidth_limit=4_000_000)

        with pytest.raises(TargetUnreachable) as raised:
            await site.send(recording, once(lambda: kill(server, signal.SIGKILL)))
        left = site.files()
        seen: list[Bytes] = []
        await with_fields(site, bandwidth_limit=None).send(recording, seen.append)

        assert raised.value.code == "connection_lost"
        assert "127.0.0.1" in raised.value.message
        assert left == [str(recording.part)]
        assert site.files() == [str(recording.name)]
        assert (site.folder / recording.name).read_bytes() == recording.file.read_bytes()


@pytest.mark.parametrize("already", [1_000_000, 4_500_000], ids=["in the middle", "near the end"])
async def test_server_that_falls_silent(tmp_path: Path, recording: Delivery, already: int):
    """In the middle the network's own time-out would do, too; near the end all that is left fits into its buffers."""
    stall = Seconds(1.5)
    with sshd(tmp_path / "sshd") as server:
        site = ssh_site(server, tmp_path / "there", bandwidth_limit=1_000_000)
        site = replace(site, settings=replace(site.settings, stall=stall))
        part = site.folder / recording.part
        part.parent.mkdir()
        part.write_bytes(recording.file.read_bytes()[:already])
        loop = asyncio.get_running_loop()
        stopped = 0.0

        def stop(sent: Bytes) -> None:
            nonlocal stopped
            if sent > 0 and not stopped:
                stopped = loop.time()
                kill(server, signal.SIGSTOP)

        with pytest.raises(TargetUnreachable) as raised:
            await site.send(recording, stop)
        took = loop.time() - stopped
        kill(server, signal.SIGCONT)

        assert raised.value.code == "stalled"
        assert stall - 0.5 < took < stall + 1.7


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n" * 100], ids=["silent", "web server"])
async def test_something_else_than_ssh(
    ssh: Site, recording: Delivery, monkeypatch: pytest.MonkeyPatch, greeting: bytes
):
    monkeypatch.setattr(connection, "ANSWER", 0.5)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while await reader.read(1000):
            pass
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        egress = Egress(frozenset({("127.0.0.1", port)}))
        site = replace(with_fields(ssh, port=port), settings=replace(ssh.settings, egress=egress))

        error = await failure(site, recording)

    assert isinstance(error, TargetUnreachable)
    assert error.code == "no_ssh"
    assert f"127.0.0.1:{port}" in error.message


async def test_server_with_neither_sftp_nor_shell(tmp_path: Path, recording: Delivery):
    with sshd(tmp_path / "sshd", sftp=None, config=["ForceCommand echo no entry; exit 1"]) as server:
        error = await failure(ssh_site(server, tmp_path / "there"), recording)

        assert isinstance(error, TargetRefused)
        assert error.code == "no_file_access"


async def test_what_a_server_says_is_shown_without_tricks(tmp_path: Path, recording: Delivery):
    words = r'printf "x\033[2J\342\200\256y\n"; exit 3'
    evil = f'case "$SSH_ORIGINAL_COMMAND" in *mkdir*) {words};; esac; sh -c "$SSH_ORIGINAL_COMMAND"'
    with sshd(tmp_path / "sshd", sftp=None, config=[f"ForceCommand {evil}"]) as server:
        error = await failure(ssh_site(server, tmp_path / "there"), recording)

    assert error.code == "failed"
    assert error.message.isprintable()
    assert "x [2J y" in error.message


async def test_sftp_that_cannot_be_started_gives_way_to_commands(tmp_path: Path, recording: Delivery):
    with sshd(tmp_path / "sshd", sftp="/nonexistent/sftp-server") as server:
        receipt = await ssh_site(server, tmp_path / "there").send(recording)

        assert receipt.sha256 == recording.sha256


async def test_a_shell_that_never_ends_gives_way_to_reading_back(tmp_path: Path, recording: Delivery):
    command = 'case "$SSH_ORIGINAL_COMMAND" in *sha256*) exec sleep 60;; esac; exec /usr/lib/openssh/sftp-server'
    with sshd(tmp_path / "sshd", config=[f"ForceCommand {command}"]) as server:
        site = ssh_site(server, tmp_path / "there")
        site = replace(site, settings=replace(site.settings, stall=Seconds(1)))

        receipt = await site.send(recording)

        assert receipt.verified_by is Proof.READBACK
        assert site.files() == [str(recording.name)]


# Up to byte 1360 of the server there is no log-in yet, from 1760 on it is done.
CUTS = [0, 30, 700, 1360, 1420, 1480, 1540, 1600, 1660, 1720, 1800, 2200, 3000, 3600]


async def test_a_server_without_commands_is_not_waited_for(sftp_only_server: Sshd, tmp_path: Path):
    site = ssh_site(sftp_only_server, tmp_path / "there", Proof.READBACK)
    site = replace(site, settings=replace(site.settings, stall=Seconds(60)))

    receipt = await site.send(make_recording(tmp_path / "recording.mp3", 1000))

    assert receipt.took < 30


@pytest.mark.parametrize("cut_after", CUTS)
async def test_a_cut_at_any_moment_is_passing(ssh: Site, tmp_path: Path, cut_after: int):
    recording = make_recording(tmp_path / "recording.mp3", 100_000)
    with proxy(ssh.destination.port, cut_after=cut_after) as between:
        egress = Egress(frozenset({("127.0.0.1", between.port)}))
        site = replace(with_fields(ssh, port=between.port), settings=replace(ssh.settings, egress=egress))

        with pytest.raises(TargetUnreachable) as raised:
            await site.send(recording)

        assert raised.value.code in {"no_ssh", "login_lost", "connection_lost"}


async def test_a_cancelled_delivery_ends_at_once_and_leaves_the_part(site: Site, recording: Delivery):
    slow = with_fields(site, bandwidth_limit=4_000_000)
    begun = asyncio.Event()
    task = asyncio.create_task(slow.send(recording, once(begun.set)))
    await begun.wait()
    loop = asyncio.get_running_loop()

    asked = loop.time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert loop.time() - asked < 2
    assert site.files() == [str(recording.part)]
    await site.send(recording)
    assert site.files() == [str(recording.name)]


async def test_a_cancelled_connect_ends_at_once(ssh: Site, recording: Delivery):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        egress = Egress(frozenset({("127.0.0.1", port)}))
        site = replace(with_fields(ssh, port=port), settings=replace(ssh.settings, egress=egress))
        task = asyncio.create_task(site.send(recording))
        accepted, _ = await asyncio.to_thread(listener.accept)
        loop = asyncio.get_running_loop()

        asked = loop.time()
        task.cancel()
        with accepted, pytest.raises(asyncio.CancelledError):
            await task

        assert loop.time() - asked < 2


def test_paramiko_is_loaded_only_when_it_is_needed():
    import subprocess
    import sys

    script = "import rolltape.transfer, sys; sys.exit('paramiko' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_settings_wait_half_a_minute_by_default(tmp_path: Path):
    assert TransferSettings(tmp_path, Egress()).stall == Seconds(30)
