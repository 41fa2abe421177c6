"""What a child of FFmpeg may use, told by children that try to use more."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from rolltape.domain.errors import FfmpegMissing
from rolltape.ffmpeg import cage, landlock
from rolltape.ffmpeg.cage import Network
from rolltape.ffmpeg.run import Run, run_to_end
from tests.servers.process import program

PYTHON = "/usr/bin/python3"  # of the system: ours may lie where a child reads nothing


async def tried(source: str, folder: Path, network: Network = cage.NO_NETWORK) -> str:
    """What a program in Python says that tries something, or the last line of its complaint."""
    run = await Run.start(program(PYTHON), ["-I", "-c", source], folder=folder, network=network)
    output = (await run.stdout.read()).decode()
    await run.wait()
    return output.strip() or run.last_words.splitlines()[-1]


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_only_its_folder_can_be_read_and_written(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
        (folder / "file").write_text("text")

    said = [
        await tried(
            f"print(open('{place}/file').read())\nopen('{place}/new', 'w')\nimport os\nos.unlink('{place}/new')", mine
        )
        for place in (mine, other)
    ]
    linked = await tried(f"import os\nos.symlink('{other}/file', 'link')", mine)

    assert said == ["text", f"PermissionError: [Errno 13] Permission denied: '{other}/file'"]
    assert "Permission denied" in linked
    assert [file.name for file in mine.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/etc/shadow", "/etc/ssl/private", "/proc/1/environ", "/proc/self/environ", "/root",
             "/home", "/tmp", "/var/lib", "/dev/shm"],
)  # fmt: skip
async def test_of_the_system_it_sees_what_programs_are_made_of(path: str, tmp_path: Path) -> None:
    said = await tried(
        f"import os\ntry: open('{path}').read(1)\nexcept IsADirectoryError: os.listdir('{path}')", tmp_path
    )

    assert said.startswith("PermissionError"), said
    assert await tried("print(len(open('/etc/hosts').read()) > 0)", tmp_path) == "True"


async def test_it_connects_only_to_the_ports_that_it_got(listener: int, tmp_path: Path) -> None:
    source = f"import socket\nsocket.create_connection(('127.0.0.1', {listener}))\nprint('connected')"
    listening = "import socket\nsocket.create_server(('127.0.0.1', 0))"

    assert landlock.limits_ports()
    assert await tried(source, tmp_path, Network((listener,))) == "connected"
    assert "Permission denied" in await tried(source, tmp_path, Network((1,)))
    assert "Permission denied" in await tried(source, tmp_path)
    assert "Permission denied" in await tried(listening, tmp_path, Network((listener,)))


async def test_it_does_nothing_to_its_parent_and_gets_no_more_rights(tmp_path: Path) -> None:
    kill = await tried("import os\nos.kill(os.getppid(), 0)", tmp_path)
    rights = await tried("import ctypes\nprint(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))", tmp_path)

    assert kill.startswith("PermissionError")
    assert rights == "1"  # PR_GET_NO_NEW_PRIVS


async def test_memory_files_and_cores_have_their_limits(tmp_path: Path) -> None:
    memory = await tried(f"bytearray({cage.MEMORY})", tmp_path)
    less = await tried(f"print(len(bytearray({cage.MEMORY // 2})))", tmp_path)
    files = await tried("import os\nkept = [os.open('/dev/null', 0) for _ in range(100)]", tmp_path)
    kinds = (
        "import resource as r\nprint(*(r.getrlimit(kind)[0] for kind in (r.RLIMIT_CORE, r.RLIMIT_FSIZE, r.RLIMIT_CPU)))"
    )
    others = [await tried(kinds, tmp_path, network) for network in (cage.NO_NETWORK, Network((1,)))]

    assert memory.startswith("MemoryError")
    assert less == str(cage.MEMORY // 2)
    assert "Too many open files" in files
    assert others == [f"0 {cage.LONGEST_FILE} {cage.LONGEST_WORK:.0f}", f"0 {cage.LONGEST_FILE} -1"]


async def test_a_limit_of_our_own_stays_where_it_is_lower(tmp_path: Path) -> None:
    source = (
        "import asyncio, resource, pathlib\nfrom rolltape.ffmpeg.run import run_to_end\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        f"print(asyncio.run(run_to_end('/bin/sh', ['-c', 'ulimit -n'], folder=pathlib.Path({str(tmp_path)!r})))[1])"
    )

    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", source], capture_output=True, check=True)

    assert done.stdout.strip() == b"40"


@pytest.mark.parametrize("network", [cage.NO_NETWORK, Network((1,), "http://secret:x@127.0.0.1:1")])
async def test_its_environment_has_nothing_of_ours(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLTAPE_SECRET", "x")
    monkeypatch.setenv("no_proxy", "*")

    names = await tried("import os\nprint(*sorted(os.environ))", tmp_path, network)

    assert set(names.split()) - {"LC_CTYPE"} == {"PATH", "LANG", "HOME", "MALLOC_ARENA_MAX"} | (
        {"http_proxy"} if network.proxy else set()
    )


async def test_a_program_that_cannot_be_run_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(FfmpegMissing, match="No such file"):
        await run_to_end("/nonexistent/ffmpeg", [], folder=tmp_path)
    with pytest.raises(FfmpegMissing, match="cannot be started"):
        await run_to_end("/bin/true", [], folder=tmp_path / "nowhere")


@pytest.mark.parametrize("which", ["bundled", "debian"])
async def test_ffmpeg_works_in_it(which: str, ffmpeg: str, tmp_path: Path) -> None:
    used = ffmpeg if which == "bundled" else program("ffmpeg")
    tone = ["-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=d=2", "-c:a", "libmp3lame", f"file:{tmp_path}/x.mp3"]

    code, _, words = await run_to_end(used, tone, folder=tmp_path)

    assert (code, words) == (0, "")
    assert (tmp_path / "x.mp3").stat().st_size > 10_000


async def test_a_script_may_start_what_it_names(tmp_path: Path, ffmpeg: str) -> None:
    script, work = tmp_path / "ffmpeg", tmp_path / "work"
    work.mkdir()
    script.write_text(f'#!/bin/sh\ncat {tmp_path}/ffmpeg-secret\nexec "{ffmpeg}" "$@"\n')
    script.chmod(0o700)
    (tmp_path / "ffmpeg-secret").write_text("secret")

    code, output, words = await run_to_end(str(script), ["-version"], folder=work)

    assert code == 0
    assert output.startswith("ffmpeg version")
    assert words.endswith("ffmpeg-secret: Permission denied")


WITHOUT = """
import asyncio, ctypes, json, struct, sys
from pathlib import Path

# A filter of system calls, as old kernels and some containers have it: 444 to 446 do not exist.
def filtered(*numbers):
    lines = [(0x20, 0, 0, 0)]  # load the number of the call
    for number in numbers:
        lines += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38)]  # ENOSYS
    return lines + [(0x06, 0, 0, 0x7FFF0000)]

lines = filtered(444, 445, 446)
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
program = struct.pack("@HxxxxxxP", len(lines), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0

import structlog
from rolltape.ffmpeg import cage, landlock
from rolltape.ffmpeg.run import run_to_end

async def main(ffmpeg, folder):
    with structlog.testing.capture_logs() as logs:
        told = [await run_to_end(ffmpeg, ["-version"], folder=folder) for _ in range(3)]
        limit = await run_to_end("/bin/sh", ["-c", "ulimit -n; ulimit -v"], folder=folder)
    print(json.dumps([landlock.abi(), [code for code, _, _ in told], limit[1].split(), logs, cage.described()]))

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


def test_on_a_kernel_without_landlock_it_works_with_the_rest_and_says_so_once(ffmpeg: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT, ffmpeg, tmp_path], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    abi, codes, limits, logs, described = json.loads(done.stdout)

    assert (abi, codes) == (0, [0, 0, 0])
    assert limits == [str(cage.OPEN_FILES), str(cage.MEMORY // 1024)]
    assert [entry["action"] for entry in logs] == ["cage_incomplete"]
    assert "without Landlock" in described


async def test_where_the_kernel_limits_ports_nothing_is_said(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        await run_to_end("/bin/true", [], folder=tmp_path)

    assert logs == []
    assert cage.described() == f"confined by Landlock {landlock.abi()}: files and TCP ports"


async def test_children_start_while_many_threads_work(tmp_path: Path) -> None:
    """What a child does before it is the other program must not wait for a thread that it does not have."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            socket.getaddrinfo("localhost", 80)
            json.dumps([*range(2000)])
            structlog.get_logger("threads").debug("x" * 100)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        async with asyncio.timeout(60):
            codes = [(await run_to_end("/bin/true", [], folder=tmp_path))[0] for _ in range(50)]
    finally:
        over.set()
        for thread in threads:
            thread.join()

    assert codes == [0] * 50


async def test_a_start_leaves_no_descriptor_open(tmp_path: Path) -> None:
    await run_to_end("/bin/true", [], folder=tmp_path)
    before = len([*Path("/proc/self/fd").iterdir()])

    for _ in range(5):
        await run_to_end("/bin/true", [], folder=tmp_path)

    assert len([*Path("/proc/self/fd").iterdir()]) == before
