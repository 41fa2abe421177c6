"""Settings come from the environment, and each that cannot be used is told in a sentence."""

from pathlib import Path

import pytest

from rolltape.domain.errors import InputError
from rolltape.settings import load


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("ROLLTAPE_") or name == "TZ":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_defaults(tmp_path: Path) -> None:
    settings = load()

    assert settings.port == 8666
    assert settings.host == "0.0.0.0"
    assert settings.data_dir == tmp_path / "data"
    assert settings.recordings_dir == tmp_path / "data" / "recordings"
    assert settings.database_url == f"sqlite:///{tmp_path / 'data' / 'rolltape.db'}"
    assert settings.timezone == "UTC"


def test_the_environment_goes_before_the_defaults_and_the_command_line_before_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROLLTAPE_PORT", "9000")
    monkeypatch.setenv("ROLLTAPE_RECORDINGS_DIR", str(tmp_path / "large"))
    monkeypatch.setenv("ROLLTAPE_HOST", "127.0.0.1")
    monkeypatch.setenv("TZ", "Europe/Berlin")

    settings = load(port=9001, host=None)

    assert (settings.port, settings.host, settings.timezone) == (9001, "127.0.0.1", "Europe/Berlin")
    assert settings.recordings_dir == tmp_path / "large"


def test_targets_that_may_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLTAPE_ALLOW_TARGETS", "127.0.0.1:8000, Localhost:22 ,[::1]:80")

    egress = load().egress

    assert egress.refusal("127.0.0.1", 8000) is None
    assert egress.refusal("127.0.0.1", 22, host="localhost") is None
    assert egress.refusal("::1", 80) is None
    assert egress.refusal("127.0.0.1", 22) is not None


def test_a_secret_can_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://user:pass@db/rolltape\n")
    monkeypatch.setenv("ROLLTAPE_DATABASE_URL_FILE", str(tmp_path / "secret"))

    assert load().database_url == "postgresql://user:pass@db/rolltape"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROLLTAPE_PORT", "eighty"),
        ("ROLLTAPE_PORT", "70000"),
        ("ROLLTAPE_LOG_LEVEL", "loud"),
        ("ROLLTAPE_MAX_CONCURRENT_SESSIONS", "0"),
        ("ROLLTAPE_ALLOW_TARGETS", "everything"),
        ("ROLLTAPE_BASE_PATH", "radio"),
        ("ROLLTAPE_SETUP_CODE", "- a1b2c3 -"),
        ("ROLLTAPE_TRUSTED_PROXIES", "proxy.lan"),
        ("ROLLTAPE_TRUSTED_PROXIES", "*"),
        ("ROLLTAPE_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TZ", "Mars/Olympus"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(InputError) as refused:
        load()

    assert refused.value.message.startswith(f"{name}: ")


def test_every_wrong_setting_gets_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLTAPE_PORT", "eighty")
    monkeypatch.setenv("TZ", "Mars/Olympus")

    with pytest.raises(InputError) as refused:
        load()

    assert len(refused.value.message.splitlines()) == 2


def test_proxies_are_named_by_address_or_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLTAPE_TRUSTED_PROXIES", "192.168.1.2, 172.16.5.1/12,::1")

    assert load().trusted_proxies == ["192.168.1.2", "172.16.0.0/12", "::1"]


def test_the_setup_code_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "code").write_text("my own code 1\n")
    monkeypatch.setenv("ROLLTAPE_SETUP_CODE_FILE", str(tmp_path / "code"))

    assert load().setup_code == "my own code 1"


def test_what_the_environment_says_of_the_preferences_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLTAPE_LOG_RETENTION", "7")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("ROLLTAPE_LOG_SIZE", "")  # empty counts as not given

    settings = load(port=9000)

    assert settings.locked == {"log_retention": "ROLLTAPE_LOG_RETENTION", "timezone": "TZ"}
    assert settings.preferences.log_retention == 7
    assert settings.preferences.timezone == "Asia/Tokyo"
    assert settings.preferences.log_size == 10


def test_settings_are_shown_without_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLTAPE_DATABASE_URL", "postgresql://me:S3CR3T-7f@db/rolltape?password=S3CR3T-7f")
    monkeypatch.setenv("ROLLTAPE_SETUP_CODE", "S3CR3T-7f-S3CR3T-7f-S3CR3T-7f")

    shown = {fixed.variable: fixed for fixed in load().fixed}

    assert "S3CR3T" not in repr(shown)
    assert shown["ROLLTAPE_DATABASE_URL"].value == "postgresql://me:***@db/rolltape"
    assert shown["ROLLTAPE_DATABASE_URL"].is_given
    assert not shown["ROLLTAPE_PORT"].is_given
    assert "ROLLTAPE_LOG_LEVEL" not in shown
    assert all(fixed.meaning for fixed in shown.values())
