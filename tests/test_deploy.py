"""The unit of systemd: it is understood, and lets the service do little."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.process import program

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "deploy" / "rolltape.service"
START = "/opt/rolltape/.venv/bin/rolltape"
MOST_EXPOSURE = 20  # tenths of a point; a service without any such line has 9.6 points of systemd, this one 1.7


def analyze(unit: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """What systemd thinks of a unit, without running as the machine's init."""
    command = [program("systemd-analyze"), *words, str(unit)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, starting the Rolltape that is tested: systemd wants to see the program."""
    text = UNIT.read_text()
    assert START in text
    file = tmp_path / "rolltape.service"
    file.write_text(text.replace(START, str(Path(sys.executable).with_name("rolltape"))))
    return file


def test_systemd_understands_the_unit(unit: Path) -> None:
    seen = analyze(unit, "verify", "--man=no", "--recursive-errors=no")

    assert (seen.returncode, seen.stderr) == (0, "")


def test_a_line_that_systemd_does_not_understand_would_be_seen(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystem=a-little"))

    assert "a-little" in analyze(unit, "verify", "--man=no", "--recursive-errors=no").stderr


def test_the_service_may_do_little(unit: Path) -> None:
    seen = analyze(unit, "security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", "--no-pager")

    assert seen.returncode == 0, seen.stdout


def test_the_service_may_confine_ffmpeg() -> None:
    """Where systemd 252 counts these calls to no group, they would be denied, and the service would do without."""
    allowed = re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE)

    assert {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= {*" ".join(allowed).split()}


def test_a_service_that_may_do_more_would_be_seen(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("CapabilityBoundingSet=\n", "").replace("ProtectSystem=strict\n", ""))

    assert analyze(unit, "security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", "--no-pager").returncode != 0
