"""What the documents tell to type is typed, against a running service and a real station.

Blocks marked `sh` are run, document by document, in the order in which they stand. Blocks marked `bash` are those that
cannot be run here, for they want a container engine, the internet, root, or another machine; they have to look like it.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.servers.process import free_port
from tests.servers.rolltape import PROGRAM, Rolltape, rolltape

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LIMIT = 120  # s for all blocks of a document

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ELSEWHERE = re.compile(
    r"\b(docker|podman|podman-compose|apt-get|systemctl|journalctl|git clone|git pull|ssh|scp|make|sudo)\b"
)
_SHELLS = {"sh", "bash", "console", "shell"}


def blocks(file: Path, language: str) -> list[str]:
    return [text for found, text in _BLOCK.findall(file.read_text()) if found == language]


RUNNABLE = [file for file in DOCUMENTS if blocks(file, "sh")]


@pytest.fixture
def service(tmp_path: Path, mp3_station: str) -> Iterator[Rolltape]:
    port = int(mp3_station.rpartition(":")[2].partition("/")[0])
    with rolltape(tmp_path / "service", ROLLTAPE_ALLOW_TARGETS=f"127.0.0.1:{port}", TZ="UTC") as running:
        yield running


@pytest.mark.parametrize("file", RUNNABLE, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_a_document_tells_to_type_works(file: Path, service: Rolltape, mp3_station: str, tmp_path: Path) -> None:
    Image.new("RGB", (600, 600), "navy").save(tmp_path / "cover.jpg")
    (tmp_path / "body").write_text("{}")
    script = "\n".join(blocks(file, "sh"))
    for written, here in (
        ("http://radio.example/live.mp3", mp3_station),
        ("http://localhost:8666", service.url),
        (".venv/bin/", ""),
        ("--for 45m", "--for 2s"),
    ):
        script = script.replace(written, here)
    env = os.environ | service.env | {
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "ROLLTAPE_DATA_DIR": str(service.folder / "data"),
        "ROLLTAPE_PORT": str(service.port),
        "ROLLTAPE_HOST": "127.0.0.1",
        **{name: name.lower() for name in ("SECRET", "TIMESTAMP", "SIGNATURE")},  # of a webhook that came
    }  # fmt: skip
    shell = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(shell, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)

    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    assert '"error": {' not in done.stdout
    assert '"error":{' not in done.stdout


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_block_of_commands_is_run_or_has_a_reason_not_to_be(file: Path) -> None:
    languages = [language for language, _ in _BLOCK.findall(file.read_text())]

    assert "" not in languages, "say what it is: sh, bash, text, json, ..."
    assert not _SHELLS & set(languages) - {"sh", "bash"}
    assert [text for text in blocks(file, "bash") if not _ELSEWHERE.search(text)] == []


def test_make_run_starts_the_service(tmp_path: Path) -> None:
    port = free_port()
    env = os.environ | {"ROLLTAPE_DATA_DIR": str(tmp_path), "ROLLTAPE_PORT": str(port), "ROLLTAPE_HOST": "127.0.0.1"}
    with subprocess.Popen(
        ["make", "run"], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as made:  # fmt: skip
        assert made.stdout is not None
        try:
            told = next(line for line in made.stdout if "give the code" in line)
        finally:
            os.killpg(made.pid, signal.SIGTERM)

    assert f":{port}/setup" in told
