"""What holds for every kind of target."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from rolltape.domain.errors import TargetRefused
from rolltape.domain.units import Bytes
from rolltape.transfer import Delivery
from tests.transfer.conftest import Site, make_recording


async def test_a_delivered_file_arrives_whole(site: Site, recording: Delivery):
    receipt = await site.send(recording)

    arrived = site.folder / recording.name
    assert arrived.read_bytes() == recording.file.read_bytes()
    assert site.files() == [str(recording.name)]
    assert receipt.sha256 == recording.sha256
    assert receipt.size == recording.size
    assert receipt.verified_by is site.proof
    assert receipt.remote_path == str(arrived)
    assert receipt.took > 0


async def test_the_time_of_the_recording_is_kept(site: Site, recording: Delivery):
    os.utime(recording.file, (1_000_000_000, 1_000_000_000))

    await site.send(recording)

    assert (site.folder / recording.name).stat().st_mtime == 1_000_000_000


async def test_progress_grows_up_to_the_whole(site: Site, recording: Delivery):
    seen: list[Bytes] = []

    await site.send(recording, seen.append)

    assert seen == sorted(seen)
    assert seen[-1] == recording.size


async def test_what_is_there_already_is_not_sent_again(site: Site, recording: Delivery):
    await site.send(recording)
    first = (site.folder / recording.name).stat()

    receipt = await site.send(recording)

    second = (site.folder / recording.name).stat()
    assert receipt.sha256 == recording.sha256
    assert (second.st_ino, second.st_ctime_ns) == (first.st_ino, first.st_ctime_ns)


@pytest.mark.parametrize("other", [b"something else", None], ids=["other size", "same size"])
async def test_a_foreign_file_of_the_same_name_is_left_alone(site: Site, recording: Delivery, other: bytes | None):
    content = other or bytes(recording.size)
    taken = site.folder / recording.name
    taken.parent.mkdir()
    taken.write_bytes(content)

    with pytest.raises(TargetRefused) as refused:
        await site.send(recording)

    assert refused.value.code == "name_taken"
    assert str(recording.name) in refused.value.message
    assert taken.read_bytes() == content
    assert site.files() == [str(recording.name)]


async def test_a_missing_directory_is_named_and_not_made(site: Site, recording: Delivery):
    missing = site.folder / "Music"
    site = replace(site, destination=site.destination.model_copy(update={"directory": str(missing)}))

    with pytest.raises(TargetRefused) as refused:
        await site.send(recording)

    assert refused.value.code == "missing_directory"
    assert str(missing) in refused.value.message
    assert not missing.exists()


async def test_a_file_is_no_directory(site: Site, recording: Delivery):
    (site.folder / "Music").write_text("")
    site = replace(site, destination=site.destination.model_copy(update={"directory": str(site.folder / "Music")}))

    with pytest.raises(TargetRefused) as refused:
        await site.send(recording)

    assert refused.value.code == "not_a_directory"


async def test_a_file_where_a_folder_should_be_is_left_alone(site: Site, recording: Delivery):
    (site.folder / "Radio").write_text("mine")

    with pytest.raises(TargetRefused) as refused:
        await site.send(recording)

    assert refused.value.code == "name_taken"
    assert (site.folder / "Radio").read_text() == "mine"


async def test_a_link_that_leads_nowhere_is_not_replaced(site: Site, recording: Delivery):
    taken = site.folder / recording.name
    taken.parent.mkdir()
    taken.symlink_to("nowhere")

    with pytest.raises(TargetRefused) as refused:
        await site.send(recording)

    assert refused.value.code == "name_taken"
    assert taken.is_symlink()


async def test_what_comes_into_being_meanwhile_is_left_alone(site: Site, recording: Delivery):
    site = replace(site, destination=site.destination.model_copy(update={"bandwidth_limit": 4_000_000}))
    taken = site.folder / recording.name

    def make(sent: Bytes) -> None:
        if taken.parent.exists() and not taken.exists():
            taken.write_bytes(b"mine")

    with pytest.raises(TargetRefused) as refused:
        await site.send(recording, make)

    assert refused.value.code == "name_taken"
    assert taken.read_bytes() == b"mine"


NAMES = [
    "plain.mp3",
    "Rädio Ñandú/2026-03-01 «Ö».mp3",
    'it\'s/`touch canary`/$(touch canary) "x".mp3',
    "-rf/--help.mp3",
    "a/b/c/d.mp3",
    "line\nbreak;touch canary.mp3",
    f"{'ä' * 125}.mp3",  # 254 bytes: the hidden name would be too long
]


@pytest.mark.parametrize("name", NAMES)
async def test_names_are_taken_literally(site: Site, tmp_path: Path, name: str):
    recording = make_recording(tmp_path / "recording.mp3", 1000, name=name)

    await site.send(recording)

    assert site.files() == [name]
    assert (site.folder / name).read_bytes() == recording.file.read_bytes()


async def test_an_empty_file_arrives(site: Site, tmp_path: Path):
    recording = make_recording(tmp_path / "recording.mp3", 0)

    receipt = await site.send(recording)

    assert receipt.sha256 == hashlib.sha256(b"").hexdigest()
    assert (site.folder / recording.name).read_bytes() == b""


async def test_an_interrupted_delivery_is_gone_on_with(site: Site, recording: Delivery):
    part = site.folder / recording.part
    part.parent.mkdir()
    part.write_bytes(recording.file.read_bytes()[:3_500_000])
    before = part.stat().st_ino
    seen: list[Bytes] = []

    await site.send(recording, seen.append)

    arrived = site.folder / recording.name
    assert arrived.stat().st_ino == before
    assert arrived.read_bytes() == recording.file.read_bytes()
    assert min(seen) >= 2 * 1024 * 1024
    assert site.files() == [str(recording.name)]


@pytest.mark.parametrize("size", [10, 6_000_000])
async def test_a_part_that_fits_not_is_begun_anew(site: Site, recording: Delivery, size: int):
    part = site.folder / recording.part
    part.parent.mkdir()
    part.write_bytes(b"x" * size)

    await site.send(recording)

    assert (site.folder / recording.name).read_bytes() == recording.file.read_bytes()


async def test_a_limit_is_kept(site: Site, tmp_path: Path):
    site = replace(site, destination=site.destination.model_copy(update={"bandwidth_limit": 1_000_000}))
    recording = make_recording(tmp_path / "recording.mp3", 1_000_000)

    receipt = await site.send(recording)

    assert 0.6 < receipt.took < 5


@pytest.mark.parametrize("change", ["missing", "shorter", "other"])
async def test_a_changed_original_is_refused(site: Site, recording: Delivery, change: str):
    match change:
        case "missing":
            recording.file.unlink()
        case "shorter":
            recording.file.write_bytes(b"x")
        case "other":
            recording.file.write_bytes(bytes(recording.size))

    with pytest.raises(TargetRefused) as refused:
        await site.send(recording)

    assert refused.value.code == ("original_missing" if change == "missing" else "original_changed")
    assert str(recording.file) in refused.value.message
    assert site.files() == []


async def test_a_trial_leaves_nothing_behind(site: Site):
    trial = await site.test()

    assert trial.ok, trial.message
    assert trial.code == ""
    assert trial.host_key == site.host_key
    assert trial.known is (site.host_key is not None)
    assert trial.free_bytes is not None
    assert trial.free_bytes > 0
    assert list(site.folder.iterdir()) == []


async def test_a_trial_of_a_missing_directory_says_so(site: Site):
    missing = site.folder / "Music"
    site = replace(site, destination=site.destination.model_copy(update={"directory": str(missing)}))

    trial = await site.test()

    assert not trial.ok
    assert trial.code == "missing_directory"
    assert str(missing) in trial.message


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "."])
def test_a_name_cannot_lead_out_of_the_directory(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="no path below"):
        Delivery(tmp_path, PurePosixPath(name), Bytes(1), "0" * 64)
