"""A child process of FFmpeg: started with nothing it does not need, and sure to end.

Measured with FFmpeg 5.1: it ends with 0 although the connection broke, ignores one SIGTERM while its source is
silent (a second one ends it), and goes on writing after its parent died. So nobody believes the exit code, the way
down is a ladder, and the kernel kills it with its parent. Whatever it is started for, it is started in a cage
(`cage.py`).
"""

import asyncio
import contextlib
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg

from rolltape.domain.address import mask_all
from rolltape.domain.errors import FfmpegMissing
from rolltape.domain.units import Seconds
from rolltape.ffmpeg.cage import NO_NETWORK, Cage, Network, environment

SECOND_TERM = Seconds(1.5)  # after the first SIGTERM
KILL = Seconds(4)  # after the second
STDERR_LINES = 20  # of its last words are kept


def find(setting: str | None) -> str:
    """The FFmpeg to use: the one named by `setting`, else the one that came with the package.

    Raises:
        FfmpegMissing: there is none, or it cannot be executed.
    """
    if setting:
        found = shutil.which(setting)
        if found is None:
            raise FfmpegMissing(f"{setting}: there is no program of this name (ROLLTAPE_FFMPEG names it)")
        return found
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as exc:
        raise FfmpegMissing("FFmpeg is not installed; name one with ROLLTAPE_FFMPEG") from exc


class Run:
    """One running FFmpeg. `stdout` can be read line by line while it runs; its last words on stderr are kept.

    Start it from the event loop's own thread: the kernel kills it when the thread that started it ends.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._last_words: deque[str] = deque(maxlen=STDERR_LINES)
        self._stderr = asyncio.create_task(self._read_stderr())

    @classmethod
    async def start(
        cls,
        program: str,
        arguments: Sequence[str],
        *,
        folder: Path,
        nice: int = 0,
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int = asyncio.subprocess.PIPE,
        network: Network = NO_NETWORK,
    ) -> "Run":
        """Start `program` in `folder`, the only place where it can read and write files of ours.

        `stdin` and `stdout` may be ends of pipes, to link two runs.

        Raises:
            FfmpegMissing: it cannot be started.
        """
        try:
            with Cage(program, folder, network, nice=nice) as cage:
                process = await asyncio.create_subprocess_exec(
                    program,
                    *arguments,
                    cwd=folder,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=asyncio.subprocess.PIPE,
                    env=environment(network),
                    start_new_session=True,
                    preexec_fn=cage.enter,
                )
        except OSError as exc:
            raise FfmpegMissing(f"{program} cannot be started: {exc.strerror}") from exc
        except subprocess.SubprocessError as exc:
            raise FfmpegMissing(f"{program} cannot be started: the system does not let it be confined") from exc
        return cls(process)

    @property
    def stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def last_words(self) -> str:
        """The end of what it wrote to stderr, without passwords."""
        return mask_all("\n".join(self._last_words))

    async def wait(self) -> int:
        """Its exit code, once it has ended and its last words are read."""
        code = await self._process.wait()
        await self._stderr
        return code

    async def stop(self) -> int:
        """End it: asked twice, then killed. Returns its exit code."""
        for ask, patience in ((signal.SIGTERM, SECOND_TERM), (signal.SIGTERM, KILL), (signal.SIGKILL, None)):
            if self._process.returncode is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(ask)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._process.wait()
        return await self.wait()

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:  # a line longer than the reader's buffer: not worth keeping
                continue
            if not line:
                return
            self._last_words.append(line.decode("utf-8", "replace").strip())


async def run_to_end(program: str, arguments: Sequence[str], *, folder: Path, nice: int = 0) -> tuple[int, str, str]:
    """Run FFmpeg until it ends: exit code, standard output, last words. A cancelled call ends it."""
    run = await Run.start(program, arguments, folder=folder, nice=nice)
    try:
        output = await run.stdout.read()
        code = await run.wait()
    except BaseException:
        await run.stop()
        raise
    return code, output.decode("utf-8", "replace"), run.last_words
