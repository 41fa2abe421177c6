"""Upload speed of ours beside `scp`, on loopback and over a link with 50 ms round trip.

    python benchmarks/transfer.py [--size MB] [--rounds N] [--no-delay]

Each round is scp, ours, scp; what counts is the median of the ratios, since the machine may be busy. Source and
target lie in memory (/dev/shm). "wire" is what scp does, too: connect, log in, send; "delivered" is the whole
of it, with the SHA-256 that the server computes, and the rename. CPU is that of the client, user and system,
without the start of the interpreter.

The slow link is built of two network namespaces, two TUN devices and a forwarder that holds each packet for 25 ms;
it needs root and a C compiler.
"""

import argparse
import asyncio
import contextlib
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parent.parent))

from rolltape.domain.units import Bytes
from rolltape.transfer import Delivery, TransferSettings, deliver
from rolltape.transfer.connection import Connection
from rolltape.transfer.sftp import SftpPlace
from tests.servers.process import program, wait_until
from tests.servers.sshd import Sshd, sshd

MEGABYTE = 1_000_000
DELAY = 25  # ms each way
NEAR, FAR = "10.99.0.1", "10.99.0.2"


@dataclass(frozen=True)
class Run:
    seconds: float
    cpu: float


def measured(work: Callable[[], object], who: int) -> Run:
    before, began = resource.getrusage(who), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - began, resource.getrusage(who)
    return Run(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def scp(server: Sshd, file: Path, *options: str) -> Run:
    target = server.home / "scp.mp3"
    command = [
        program("scp"), "-q", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        "-i", str(server.keys / "id"), "-P", str(server.port), *options,
        str(file), f"{server.user}@{server.host}:{target}",
    ]  # fmt: skip
    run = measured(lambda: subprocess.run(command, check=True), resource.RUSAGE_CHILDREN)
    target.unlink()
    return run


def delivered(server: Sshd, delivery: Delivery) -> Run:
    """The whole of it: connect, log in, send, sync, hash over there, rename, look again."""
    settings = TransferSettings(server.keys, server.egress)

    def whole() -> None:
        receipt = deliver(delivery, server.destination(), server.host_key, settings, on_progress=lambda sent: None)
        asyncio.run(_consume(receipt))

    run = measured(whole, resource.RUSAGE_SELF)
    (server.home / delivery.name).unlink()
    return run


async def _consume(receipt: object) -> None:
    await receipt  # type: ignore[misc]


def wire(server: Sshd, delivery: Delivery) -> Run:
    """What scp does, too: connect, log in, send, close."""
    connection = Connection(server.destination(), server.host_key, TransferSettings(server.keys, server.egress))

    def send() -> None:
        connection.open()
        connection.log_in()
        place = SftpPlace.open(connection, str(server.home), None)
        assert place is not None
        with delivery.file.open("rb", buffering=0) as file:
            place.write(delivery.part, file, 0, lambda sent: None)
        connection.close()

    run = measured(send, resource.RUSAGE_SELF)
    (server.home / delivery.part).unlink()
    return run


def compare(title: str, server: Sshd, delivery: Delivery, rounds: int) -> None:
    gigabytes, megabytes = delivery.size / 1e9, delivery.size / MEGABYTE
    ratios: dict[str, list[float]] = {"wire": [], "delivered": [], "scp, AES-GCM": []}
    runs: dict[str, list[Run]] = {"scp": [], **{name: [] for name in ratios}}
    ways: dict[str, Callable[[], Run]] = {
        "wire": lambda: wire(server, delivery),
        "delivered": lambda: delivered(server, delivery),
        "scp, AES-GCM": lambda: scp(server, delivery.file, "-c", "aes128-gcm@openssh.com"),
    }
    wire(server, delivery)  # once for the caches
    for _ in range(rounds):
        before = scp(server, delivery.file)
        for name, way in ways.items():
            run = way()
            after = scp(server, delivery.file)
            ratios[name].append((before.seconds + after.seconds) / 2 / run.seconds)
            runs["scp"].append(after)
            runs[name].append(run)
            before = after
    print(f"\n{title}, {megabytes:.0f} MB, median of {rounds} rounds (load {os.getloadavg()[0]:.1f})")
    print(f"  {'':14} {'MB/s':>7} {'best':>7} {'x scp':>7} {'spread':>13} {'CPU s/GB':>9}")
    for name, found in runs.items():
        rate = statistics.median(megabytes / run.seconds for run in found)
        best = max(megabytes / run.seconds for run in found)
        cpu = statistics.median(run.cpu / gigabytes for run in found)
        ratio = ratios.get(name, [1.0])
        spread = f"{min(ratio):.2f} - {max(ratio):.2f}"
        print(f"  {name:14} {rate:7.0f} {best:7.0f} {statistics.median(ratio):7.2f} {spread:>13} {cpu:9.2f}")


@contextlib.contextmanager
def slow_link(folder: Path) -> Iterator[list[str]]:
    """A line of 25 ms each way from our own network namespace to another; a command that runs something over there."""
    link = folder / "slow_link"
    subprocess.run(["cc", "-O2", "-o", link, Path(__file__).with_name("slow_link.c")], check=True)
    subprocess.run([program("ip"), "link", "set", "lo", "up"], check=True)
    far = subprocess.Popen([program("unshare"), "--net", "sleep", "infinity"])
    line = None
    try:
        wait_until(lambda: Path(f"/proc/{far.pid}/comm").read_text().strip() == "sleep", "a second namespace")
        line = subprocess.Popen([link, str(DELAY), f"/proc/{far.pid}/ns/net"], stdout=subprocess.PIPE)
        assert line.stdout is not None
        assert line.stdout.readline() == b"ready\n"
        within = [program("nsenter"), f"--net=/proc/{far.pid}/ns/net"]
        for where, address in (([], NEAR), (within, FAR)):
            for words in (f"addr add {address}/30 dev slow0", "link set slow0 up txqueuelen 10000"):
                subprocess.run([*where, program("ip"), *words.split()], check=True)
        yield within
    finally:
        for process in filter(None, (line, far)):
            process.terminate()
            process.wait()


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rolltape-", dir="/dev/shm"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=300, help="megabytes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-delay", action="store_true", help="loopback only")
    parser.add_argument("--far-side", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    with in_memory() as folder:
        file = folder / "recording.mp3"
        content = os.urandom(given.size * MEGABYTE)
        file.write_bytes(content)
        name = PurePosixPath("recording.mp3")
        delivery = Delivery(file, name, Bytes(len(content)), hashlib.sha256(content).hexdigest())
        del content
        if given.far_side:
            with slow_link(folder) as within, sshd(folder / "sshd", host=FAR, within=within) as server:
                compare("50 ms round trip", server, delivery, given.rounds)
            return
        with sshd(folder / "sshd") as server:
            compare("loopback", server, delivery, given.rounds)
    if not given.no_delay:
        sys.stdout.flush()
        again = [sys.executable, __file__, "--far-side", "--size", str(given.size), "--rounds", str(given.rounds)]
        subprocess.run([program("unshare"), "--net", *again], check=True)


if __name__ == "__main__":
    main()
