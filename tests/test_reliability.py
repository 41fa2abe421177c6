"""docs/reliability.md names tests that there are, and tells of every fault that it has to."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "reliability.md").read_text()
FAULTS = [f"F{number:02}" for number in range(1, 77)]

THREATS = (*(f"T{number}" for number in range(10, 18)), "T31")


def test_every_test_that_it_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT))
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }

    assert len(named) > 30
    assert named - there == set()


def test_every_fault_has_its_row_with_a_test() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| F")]
    told = {fault for row in rows for fault in re.findall(r"\bF\d\d\b", row.split("|")[1])}

    assert set(FAULTS) - told == set()
    assert [row for row in rows if not re.search(r"`test_\w+`|`benchmarks/", row)] == []


def test_every_hostile_stream_has_its_row_with_a_test() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| T")]

    assert [row.split()[1] for row in rows] == [*THREATS]
    assert [row for row in rows if not re.search(r"`test_\w+` pass \|$", row)] == []
