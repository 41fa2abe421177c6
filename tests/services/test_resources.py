"""What runs low is told, and what is not critical waits; recordings go on."""

import contextlib
import resource
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from rolltape.disk import NO_INODES, reason, room
from rolltape.domain.errors import BusyError
from rolltape.domain.units import Bytes, gigabytes
from rolltape.services import Resources, Samples
from rolltape.services.resources import LITTLE_MEMORY
from tests.servers.disks import disk
from tests.services.conftest import Bench

MB = 10**6


def made(*, floor: int = 10 * MB, cgroups: Path = Path("/nonexistent"), **folders: Path) -> Resources:
    return Resources(folders, floor=lambda: Bytes(floor), cgroups=cgroups)


def touch(folder: Path, *, files: int) -> None:
    for number in range(files):
        (folder / str(number)).touch()


def codes(resources: Resources) -> list[str]:
    return [finding.code for finding in resources.findings()]


def test_below_the_floor_work_that_can_wait_pauses_and_above_it_goes_on(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "size=20m") as folder:
        resources = made(recordings=folder)
        with capture_logs() as logs:
            before = resources.may_do("waveforms")
            (folder / "audio").write_bytes(bytes(15 * MB))
            low = [resources.may_do("waveforms"), resources.may_do("waveforms")]
            (finding,) = resources.findings()
            (folder / "audio").unlink()
            after = resources.may_do("waveforms")

    assert (before, low, after) == (True, [False, False], True)
    assert finding.code == "little_space"
    assert finding.message.startswith("Only 6 MB are left for recordings. Waveforms, samples and daily backups wait")
    assert [line["action"] for line in logs] == ["work_paused", "work_resumed"]


def test_a_disk_without_inodes_is_told_as_such(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "size=20m,nr_inodes=20") as folder:
        with pytest.raises(OSError, match="No space left") as told:
            touch(folder, files=30)
        (finding,) = made(recordings=folder).findings()

        assert reason(told.value, folder) == NO_INODES
        assert finding.code == "few_inodes"
        assert "takes no more files for recordings: it is running out of inodes" in finding.message
        assert room(folder).free > 15 * MB


def test_a_disk_without_room_is_told_as_such(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "size=2m") as folder:
        with pytest.raises(OSError, match="No space left") as told:
            (folder / "audio").write_bytes(bytes(5 * MB))

        assert reason(told.value, folder) == "No space left on device"
    assert reason(told.value, folder / "gone") == "No space left on device"
    assert reason(PermissionError(13, "Permission denied"), folder) == "Permission denied"


def test_a_small_disk_of_the_database_has_a_floor_of_its_own(tmp_path: Path) -> None:
    with disk(tmp_path / "small", "size=20m") as small:
        resources = made(floor=10**12, data=small)

        assert codes(resources) == []
        (small / "file").write_bytes(bytes(20 * MB))
        (finding,) = resources.findings()

    assert "on the disk of the folder of data" in finding.message


def test_folders_on_one_disk_are_told_once_and_a_folder_that_is_gone_not_at_all(tmp_path: Path) -> None:
    resources = made(floor=10**18, data=tmp_path, recordings=tmp_path, log=tmp_path / "gone")

    (finding,) = resources.findings()

    assert "for recordings" in finding.message


def cgroup(folder: Path, names: tuple[str, str, str], limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(names, (limit, str(used), f"anon 5\n{names[2]} {cached}\nshmem 0\n"), strict=True):
        (folder / (name if name is not names[2] else "memory.stat")).write_text(f"{content}\n")


NEW = ("memory.max", "memory.current", "inactive_file")
OLD = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@pytest.mark.parametrize(("names", "folder"), [(NEW, "."), (OLD, "memory")])
def test_the_memory_of_the_container_counts(tmp_path: Path, names: tuple[str, str, str], folder: str) -> None:
    cgroup(tmp_path / folder, names, str(200 * MB), 190 * MB, 100 * MB)
    enough = made(cgroups=tmp_path).memory()
    roomy = codes(made(cgroups=tmp_path))
    cgroup(tmp_path / folder, names, str(200 * MB), 190 * MB, 20 * MB)
    (finding,) = made(cgroups=tmp_path).findings()

    assert (enough.limit, enough.available) == (200 * MB, 110 * MB)
    assert roomy == []
    assert (finding.code, finding.message.split(".")[0]) == ("little_memory", "Only 30 MB of 200 MB of memory are left")


@pytest.mark.parametrize("limit", ["max", str(2**63 - 4096), "", "nonsense"])
def test_without_a_limit_the_memory_of_the_machine_counts(tmp_path: Path, limit: str) -> None:
    cgroup(tmp_path, NEW, limit, 10**15, 0)

    memory = made(cgroups=tmp_path).memory()

    assert memory.limit == psutil.virtual_memory().total
    assert memory.available > LITTLE_MEMORY


def test_open_files_that_come_near_their_limit_are_told() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(Path(__file__).open())
        resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() + 10, hard))
        try:
            found = codes(made())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert found == ["many_open_files"]
    assert codes(made()) == []


async def test_samples_are_refused_with_a_sentence_while_room_is_short(bench: Bench) -> None:
    low = made(floor=10**18, recordings=bench.folder)
    samples = Samples(
        bench.folder / "samples",
        capture_settings=bench.services.samples._capture_settings,
        clock=bench.clock,
        may_record=lambda: low.may_do("samples"),
    )

    with pytest.raises(BusyError, match="short of room or memory"):
        await samples.record("http://127.0.0.1:9/", verify_tls=True)


async def test_the_floor_is_a_setting_and_what_runs_low_is_no_hindrance(bench: Bench) -> None:
    free = room(bench.folder).free
    await bench.services.preferences.change({"disk_floor": round(free / 10**9) + 100})

    found = [finding.code for finding in await bench.services.health.findings()]

    assert "little_space" in found
    assert await bench.services.health.is_ready()
    await bench.services.preferences.change({"disk_floor": 0})
    assert "little_space" not in [finding.code for finding in await bench.services.health.findings()]
    assert gigabytes(0.5) == 500 * MB
