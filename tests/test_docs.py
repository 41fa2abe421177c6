"""The documents: their links lead somewhere, and their pictures are there and small."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from rolltape.domain.advice import codes

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LARGEST_PICTURE = 150_000  # bytes

_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def prose(file: Path) -> str:
    """A document without its examples."""
    return _CODE.sub("", file.read_text())


def anchors(file: Path) -> set[str]:
    """The names of the headings, as links call them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(prose(file))
    }


def broken(file: Path) -> list[str]:
    """The links of a document that lead nowhere."""
    found = []
    for link in _LINK.findall(prose(file)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = file.parent / path if path else file
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(file: Path) -> None:
    assert broken(file) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A `good` heading, here\n")
    here = tmp_path / "here.md"
    good = "[a](there.md) [b](there.md#a-good-heading-here) [c](https://elsewhere.example/)\n```\n[d](in-an-example.md)\n```\n"
    here.write_text(f"{good}[e](gone.md) [f](there.md#gone) ![g](gone.webp)\n")

    assert broken(here) == ["gone.md", "there.md#gone", "gone.webp"]


def test_pictures_are_small_and_all_are_shown() -> None:
    pictures = {file for file in (ROOT / "docs" / "images").iterdir() if file.is_file()}
    shown = {(file.parent / link).resolve() for file in DOCUMENTS for link in _LINK.findall(prose(file))}

    assert pictures
    assert [file.name for file in pictures if file.stat().st_size > LARGEST_PICTURE] == []
    assert sorted(file.name for file in pictures - shown) == []


def test_what_the_program_writes_into_the_documents_is_current() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "docs" / "reference.py", "--check"], capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout) == (0, ""), "make docs"


def finding_codes() -> set[str]:
    """The codes of all findings that the program can make."""
    found: set[str] = set()
    for file in (ROOT / "src" / "rolltape").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(ast.Name("Finding") | ast.Attribute(attr="Finding"), [ast.Constant(str(code)), *_]):
                    found.add(code)
    return found


def test_every_finding_and_every_error_has_its_entry_in_troubleshooting() -> None:
    told = set(re.findall(r"`([a-z0-9_]+)`", (ROOT / "docs" / "troubleshooting.md").read_text()))

    assert len(finding_codes()) > 10
    assert (finding_codes() | set(codes())) - told == set()
