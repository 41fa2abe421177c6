"""The configuration on the command line, beside a running service and without one."""

from pathlib import Path

from tests.servers.rolltape import Rolltape, rolltape

TEXT = """\
format: 1
settings: {log_retention: 5}
streams:
- name: Radio & Söhne
  url: http://me:S3CR3T@radio.invalid/live
schedules:
- stream: Radio & Söhne
  cron: 0 4 * * *
  timezone: UTC
  duration: 1h
"""


def test_the_command_line_takes_a_document_and_writes_one(tmp_path: Path) -> None:
    service, file = Rolltape(tmp_path, {}), tmp_path / "out.yaml"

    looked = service.command("config", "import", "-", "--dry-run", typed=TEXT)
    done = service.command("config", "import", "-", typed=TEXT)
    exported = service.command("config", "export", str(file))
    pruned = service.command("config", "import", "-", "--prune", typed="format: 1\nstreams: []\n")

    assert looked.stdout == done.stdout
    assert done.stdout.splitlines() == [
        "changed: setting log_retention: 30 → 5", "added: stream Radio & Söhne",
        "added: schedule without a name (Radio & Söhne)", "unchanged: 0",
    ]  # fmt: skip
    assert (exported.returncode, exported.stdout, exported.stderr) == (0, "", "")
    assert "http://me:***@radio.invalid/live" in file.read_text()
    assert pruned.stdout.splitlines()[:2] == [
        "removed: stream Radio & Söhne", "removed: schedule without a name (Radio & Söhne)",
    ]  # fmt: skip


def test_what_cannot_be_taken_is_told_line_by_line(tmp_path: Path) -> None:
    service = Rolltape(tmp_path, {})

    bad = service.command("config", "import", "-", typed="format: 1\nstreams: [{}, 5]\n")

    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.splitlines() == [
        "Line 2, stream 1, name: This is needed.", "Line 2, stream 1, url: This is needed.",
        "Line 2, stream 2: Names with values are expected here, like `name: Radio`.", "Nothing was changed.",
    ]  # fmt: skip


def test_beside_a_running_service_its_schedules_are_planned(tmp_path: Path) -> None:
    with rolltape(tmp_path) as service:
        done = service.command("config", "import", "-", typed=TEXT)

        sessions = service.call("GET", "/api/sessions")["items"]

    assert done.returncode == 0
    assert len(sessions) == 2
    assert {session["name"] for session in sessions} == {"Radio & Söhne"}
