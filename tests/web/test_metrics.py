"""Figures for Prometheus, as it reads them; and that what ships with them asks for nothing that is not there."""

import json
import re
import shutil
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, update
from sqlalchemy import text as sql

from rolltape.domain.base import Base
from rolltape.domain.notification import ChannelFields
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.services.clock import utc_now
from rolltape.services.figures import CONTENT_TYPE
from tests.archive import fill
from tests.web.conftest import Client

DOCS = Path(__file__).parents[2] / "docs"
MONITORING = DOCS / "monitoring"
MANY = 100_000  # sessions
OURS = re.compile(r"\b(?:rolltape|process)_[a-z_]+\b")


def promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True, check=False)


async def scraped(client: Client) -> str:
    """The answer, of a database in which what has ended is counted."""
    await client.bench.services.notifications.look()
    answer = await client.request("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == CONTENT_TYPE
    return answer.text


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Each sample by its name and the values of its labels."""
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


@pytest.fixture
def archive(client: Client, sqlite_url: str) -> None:
    client.bench.clock.moment = utc_now()
    fill(sqlite_url, streams=4, schedules=6, sessions=400)


async def test_prometheus_takes_the_figures(client: Client, archive: None) -> None:
    text = await scraped(client)

    checked = promtool("check", "metrics", given=text)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_a_new_installation_has_all_figures_too(client: Client) -> None:
    text = await scraped(client)

    checked = promtool("check", "metrics", given=text)
    assert checked.returncode == 0, checked.stderr
    assert samples(text)["rolltape_next_start_timestamp_seconds", ()] == 0
    assert samples(text)["rolltape_sessions", ("failed",)] == 0
    assert samples(text)["rolltape_ready", ()] == 1


async def test_the_figures_are_those_of_the_database(client: Client, archive: None) -> None:
    found = samples(await scraped(client))

    kept = {state: count for (name, labels), count in found.items() if name == "rolltape_sessions" for state in labels}
    ended = {labels: count for (name, labels), count in found.items() if name == "rolltape_sessions_ended_total"}
    assert kept["done"] > 350
    assert sum(ended.values()) == 400
    assert sum(count for (state, _), count in ended.items() if state == "done") == kept["done"]
    assert found["rolltape_recordings", ("complete",)] == ended["done", "complete"]
    assert found["rolltape_recorded_seconds_total", ()] > 400 * 1800 * 0.9
    assert 0 < found["rolltape_lost_seconds_total", ()] < 400 * 3600 * 0.1
    assert found["rolltape_reconnects_total", ()] > 0
    assert found["rolltape_disk_free_bytes", ("recordings",)] > 0
    assert found["process_open_fds", ()] > 3
    assert found["process_resident_memory_bytes", ()] > 10_000_000


async def test_totals_do_not_shrink_when_sessions_are_deleted(client: Client, archive: None) -> None:
    before = samples(await scraped(client))
    for session in (await client.call("GET", "/api/sessions?state=failed"))["items"]:
        await client.call("DELETE", f"/api/sessions/{session['id']}")
    forget(client)

    after = samples(await scraped(client))

    assert after["rolltape_sessions", ("failed",)] == 0
    assert after["rolltape_sessions_ended_total", ("failed", "")] == before["rolltape_sessions", ("failed",)] > 0


async def test_series_are_few_whatever_there_is(client: Client, sqlite_url: str) -> None:
    client.bench.clock.moment = utc_now()
    before = len(samples(await scraped(client)))
    fill(sqlite_url, streams=300, schedules=300, sessions=500)
    forget(client)

    text = await scraped(client)

    assert len(samples(text)) - before < 12  # state and verdict of what has ended
    assert "Harbour" not in text
    assert len(samples(text)) < 100


async def test_a_hundred_thousand_sessions_are_figured_in_no_time(
    client: Client, archive: None, sqlite_url: str
) -> None:
    await client.request("GET", "/metrics")  # imports what is needed
    multiply(sqlite_url, MANY // 400)
    await scraped(client)  # what was there before is counted, once
    spans = []
    for _ in range(3):
        forget(client)
        begun = time.perf_counter()
        answer = await client.request("GET", "/metrics")
        spans.append(time.perf_counter() - begun)

    found = samples(answer.text)
    assert sum(count for (name, _), count in found.items() if name == "rolltape_sessions_ended_total") == MANY
    assert sum(count for (name, _), count in found.items() if name == "rolltape_sessions") >= MANY
    assert min(spans) < 0.3, spans


def multiply(url: str, times: int) -> None:
    """Have each session and transfer so many times, each of them a day earlier than the one before."""
    earlier = {"opens", "planned_start", "planned_end", "started_at", "ended_at", "created_at", "finished_at"}
    engine = create_engine(url)
    with engine.begin() as db:
        for table, own in (("sessions", "id"), ("transfers", "session_id")):
            columns = [column.name for column in Base.metadata.tables[table].columns]
            if own != "id":
                columns.remove("id")
            asked = {name: f"datetime({name}, '-' || n || ' days')" for name in earlier} | {own: f"{own} + 1000 * n"}
            rows = ", ".join(asked.get(name, name) for name in columns)
            numbers = f"numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {times - 1})"
            into = f"INSERT INTO {table} ({', '.join(columns)})"
            db.execute(sql(f"{into} WITH RECURSIVE {numbers} SELECT {rows} FROM {table}, numbers"))
    engine.dispose()


def forget(client: Client) -> None:
    """Nothing that was asked before counts any more."""
    services = client.bench.services
    services.figures._until = 0.0
    for remembered in (services.health._troubles, services.health._coming):
        remembered._until = 0.0


async def test_the_age_of_what_waits_longest_is_told(client: Client, archive: None) -> None:
    async with client.bench.database.write() as db:
        values: dict[str, Any] = {"state": TransferState.WAITING, "created_at": utc_now() - timedelta(hours=2)}
        await db.execute(update(Transfer).where(Transfer.id <= 3).values(**values))

    found = samples(await scraped(client))

    assert found["rolltape_transfer_queue_length", ()] == 3
    assert found["rolltape_transfer_queue_oldest_age_seconds", ()] == pytest.approx(7200, abs=60)


async def test_messages_that_wait_are_counted(client: Client) -> None:
    hook = ChannelFields.model_validate({"name": "Hook", "kind": "webhook", "address": "http://127.0.0.1:1/x"})
    await client.bench.services.notifications.create(hook)

    assert samples(await scraped(client))["rolltape_notifications", ("waiting",)] == 0


async def test_figures_need_a_login_or_a_token(client: Client) -> None:
    answer = await client.request("GET", "/metrics", token=False)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "rolltape_" not in answer.text


async def test_figures_are_there_when_the_disk_was_taken_away(client: Client) -> None:
    shutil.rmtree(client.bench.folder / "recordings")

    found = samples(await scraped(client))

    assert found["rolltape_ready", ()] == 0
    assert found["rolltape_findings", ("error",)] == 1
    assert ("rolltape_disk_free_bytes", ("recordings",)) not in found


async def test_alert_rules_are_sound() -> None:
    checked = promtool("check", "rules", str(MONITORING / "alerts.yml"))

    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_alerts_fire_when_they_should() -> None:
    checked = promtool("test", "rules", str(MONITORING / "alerts.test.yml"))

    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_dashboard_and_alerts_ask_for_figures_that_are_there(client: Client, archive: None) -> None:
    there = {name for name, _ in samples(await scraped(client))}
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((MONITORING / "rolltape-dashboard.json").read_text())
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]

    named = {name for expression in asked for name in OURS.findall(expression)}
    assert len(asked) > 20
    assert len(named) > 15
    assert named - there - {"rolltape_backup_age_seconds"} == set()


async def test_every_figure_is_in_the_docs(client: Client, archive: None) -> None:
    told = set(OURS.findall((DOCS / "monitoring.md").read_text()))

    assert {name for name, _ in samples(await scraped(client))} - told == set()


async def test_every_expression_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    dashboard = json.loads((MONITORING / "rolltape-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    checked = promtool("check", "rules", str(file))

    assert checked.returncode == 0, checked.stdout + checked.stderr
