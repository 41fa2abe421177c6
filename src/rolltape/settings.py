"""Every setting that is needed to start. They come from the environment, and are checked before anything begins."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rolltape.domain.address import Egress
from rolltape.domain.calendar import check_zone
from rolltape.domain.errors import InputError

PREFIX = "ROLLTAPE_"
SECRETS = ("database_url",)  # can also come from a file, named by the variable with _FILE behind it


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_target(target: str) -> str:
    host, colon, port = target.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise InputError("allow_targets", f"{target}: a target is host:port, like 127.0.0.1:8000")
    return target


def _check_base_path(path: str) -> str:
    path = path.rstrip("/")
    if path and not path.startswith("/"):
        raise InputError("base_path", f"{path}: a base path begins with /, like /radio")
    return path


def _check_timezone(name: str) -> str:
    check_zone(name)
    return name


List = Annotated[list[str], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """The settings. A folder that is not named lies in `data_dir`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, populate_by_name=True)

    data_dir: Path = Field(Path("data"), description="Folder of the database; the others are in it by default.")
    recordings_dir: Path = Field(
        Path(), description="Folder of the recordings and of the takes they are made from. The large one."
    )
    log_dir: Path = Field(Path(), description="Folder of the log files.")
    artwork_dir: Path = Field(Path(), description="Folder of the covers as they were uploaded.")
    config_dir: Path = Field(Path(), description="Folder of the private keys for deliveries.")
    host: str = Field("0.0.0.0", description="Address to listen on. All of them: the users are in the local network.")
    port: int = Field(8666, ge=1, le=65535, description="TCP port of the web interface and the API.")
    base_path: Annotated[str, AfterValidator(_check_base_path)] = Field(
        "", description="Path under which a proxy serves Rolltape, like /radio."
    )
    database_url: str = Field("", description="SQLAlchemy address of the database; by default SQLite in data_dir.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is told.")
    max_concurrent_sessions: int = Field(
        50, ge=1, le=10_000, description="Sessions that record at once. What a small machine's line carries."
    )
    max_concurrent_processing: int = Field(
        2, ge=1, le=64, description="Recordings that are finished at once. Encoding takes a core each."
    )
    max_concurrent_transfers: int = Field(4, ge=1, le=64, description="Transfers at once, over all destinations.")
    max_transfers_per_destination: int = Field(2, ge=1, le=16, description="Transfers at once to one destination.")
    ffmpeg: str = Field("", description="The FFmpeg to use; by default the one that comes with the package.")
    allow_targets: Annotated[List, AfterValidator(lambda targets: [_check_target(target) for target in targets])] = (
        Field([], description="host:port list that may be reached although it is loopback or link-local.")
    )
    allowed_hosts: List = Field([], description="Further names under which the web interface may be asked for.")
    trusted_proxies: List = Field([], description="Addresses of proxies whose X-Forwarded headers are believed.")
    timezone: Annotated[str, AfterValidator(_check_timezone)] = Field(
        "UTC", validation_alias="TZ", description="Zone of what has no schedule, like a record now."
    )

    @model_validator(mode="after")
    def _fill_in(self) -> "Settings":
        self.data_dir = self.data_dir.expanduser().absolute()
        for name in ("recordings", "log", "artwork", "config"):
            given: Path = getattr(self, f"{name}_dir")
            chosen = self.data_dir / name if given == Path() else given.expanduser().absolute()
            setattr(self, f"{name}_dir", chosen)
        if not self.database_url:
            self.database_url = f"sqlite:///{self.data_dir / 'rolltape.db'}"
        return self

    @property
    def egress(self) -> Egress:
        targets = (target.rpartition(":") for target in self.allow_targets)
        return Egress(frozenset((host.strip("[]").lower(), int(port)) for host, _, port in targets))


def load(**given: object) -> Settings:
    """The settings of the environment; what is `given` (and not None) goes before it.

    Raises:
        InputError: a setting cannot be used; the message has a sentence for each that cannot.
    """
    for name in SECRETS:
        file = os.environ.get(f"{PREFIX}{name.upper()}_FILE")
        if file:
            try:
                given.setdefault(name, Path(file).read_text().strip())
            except OSError as exc:
                raise InputError(name, f"{PREFIX}{name.upper()}_FILE: {file} cannot be read: {exc.strerror}") from exc
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as exc:
        raise InputError("", "\n".join(_sentence(error["loc"], error["msg"]) for error in exc.errors())) from exc


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]) if location else ""
    variable = "TZ" if name in ("timezone", "TZ") else f"{PREFIX}{name.upper()}"
    return f"{variable}: {message.removeprefix('Value error, ')}"
