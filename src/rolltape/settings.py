"""Every setting that is needed to start. They come from the environment, and are checked before anything begins."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rolltape.domain.address import Egress, check_url
from rolltape.domain.errors import InputError
from rolltape.domain.passphrase import check_passphrase
from rolltape.domain.preference import Fixed, PreferenceFields, Zone
from rolltape.domain.setup_code import SHORTEST, bare

PREFIX = "ROLLTAPE_"
SECRETS = (
    "database_url",
    "setup_code",
    "backup_passphrase",
)  # can also come from a file, named by the variable with _FILE behind it


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


def _check_proxy(address: str) -> str:
    try:
        return str(ipaddress.ip_network(address, strict=False) if "/" in address else ipaddress.ip_address(address))
    except ValueError as exc:
        message = f"{address}: a proxy is named by its address, like 192.168.1.2 or 172.16.0.0/12"
        raise InputError("trusted_proxies", message) from exc


def _check_public_url(url: str) -> str:
    url = url.rstrip("/")
    if url and not url.lower().startswith(("http://", "https://")):
        raise InputError("public_url", f"{url}: a public address begins with https:// or http://")
    return check_url(url, "public_url") if url else url


def _check_setup_code(code: str) -> str:
    if code and len(bare(code)) < SHORTEST:
        raise InputError("setup_code", f"a setup code has at least {SHORTEST} letters or digits")
    return code


def _check_passphrase(passphrase: str) -> str:
    if passphrase:
        check_passphrase(passphrase)
    return passphrase


_HOSTS_HELP = (
    "Further names under which Rolltape may be asked for; those of the local network (nas, radio.lan, 192.168.1.5) are "
    "known without. Others are refused, so that no foreign page reaches it by a name of its own."
)
_ZONE_HELP = PreferenceFields.model_fields["timezone"].description
List = Annotated[list[str], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings, PreferenceFields):
    """The settings. A folder that is not named lies in data_dir.

    The preferences are among them: what the environment says of these cannot be changed in the page.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, populate_by_name=True)

    data_dir: Path = Field(
        Path("data"),
        description="Folder of the database; the other folders lie in it unless they are named. The one to back up.",
    )
    recordings_dir: Path = Field(
        Path(),
        description="Folder of the recordings and of the takes they are made from: the large one, so a disk of its own "
        "can be given to it; when that is full, the database goes on.",
    )
    log_dir: Path = Field(Path(), description="Folder of the log files.")
    artwork_dir: Path = Field(Path(), description="Folder of the covers as they were uploaded.")
    config_dir: Path = Field(
        Path(), description="Folder of the private keys for deliveries. Apart, so that it can be kept from other eyes."
    )
    host: str = Field(
        "0.0.0.0",
        description="Address to listen on: all, for the users are in the local network; 127.0.0.1 behind a proxy.",
    )
    port: int = Field(
        8666,
        ge=1,
        le=65535,
        description="TCP port of the web interface and the API; above 1024, so that no root is needed.",
    )
    base_path: Annotated[str, AfterValidator(_check_base_path)] = Field(
        "", description="Path under which a proxy serves Rolltape, like /radio; links and cookies then carry it."
    )
    database_url: str = Field(
        "",
        description="Address of the database: SQLite in the data folder, which needs nothing else; or PostgreSQL, like "
        "postgresql://user:password@host/name.",
    )
    ffmpeg: str = Field(
        "", description="The FFmpeg to use, by name or path; by default the one that comes with the package."
    )
    allow_targets: Annotated[List, AfterValidator(lambda targets: [_check_target(target) for target in targets])] = (
        Field(
            [],
            description="host:port,... that may be reached although it is loopback or link-local. Nobody reaches this "
            "machine's own services through Rolltape unless they are listed.",
        )
    )
    allowed_hosts: List = Field([], description=_HOSTS_HELP)
    trusted_proxies: Annotated[List, AfterValidator(lambda proxies: [_check_proxy(proxy) for proxy in proxies])] = (
        Field(
            [],
            description="Addresses or networks of proxies, like 172.16.0.0/12, whose X-Forwarded-Proto and "
            "X-Forwarded-For are believed. From anybody else they could be lies.",
        )
    )
    public_url: Annotated[str, AfterValidator(_check_public_url)] = Field(
        "",
        description="Address at which people open the pages, like https://radio.example.org/rolltape. Notifications "
        "then have links to what they tell of; the service cannot know it by itself.",
    )
    backup_dir: Path = Field(
        Path(),
        description="Folder of the backups: on another disk, they outlive this one.",
    )
    backup_passphrase: Annotated[str, AfterValidator(_check_passphrase)] = Field(
        "",
        description="Passphrase of the backups that are made by themselves, 8 characters at least. With it they hold "
        "passwords, keys and accounts, sealed; without, they hold none. It cannot be recovered.",
    )
    setup_code: Annotated[str, AfterValidator(_check_setup_code)] = Field(
        "",
        description="What the first visit is asked for: 8 letters or digits at least. By default a random code, which "
        "the log tells, and setup-code in the data folder, so that only who runs the machine makes the account.",
    )
    timezone: Zone = Field("UTC", validation_alias="TZ", title="Time zone", description=_ZONE_HELP)

    _given: frozenset[str] = PrivateAttr(frozenset())

    @model_validator(mode="after")
    def _fill_in(self) -> "Settings":
        self._given = frozenset(self.model_fields_set)
        self.data_dir = self.data_dir.expanduser().absolute()
        for name in ("recordings", "log", "artwork", "config", "backup"):
            given: Path = getattr(self, f"{name}_dir")
            folder = "backups" if name == "backup" else name
            chosen = self.data_dir / folder if given == Path() else given.expanduser().absolute()
            setattr(self, f"{name}_dir", chosen)
        if not self.database_url:
            self.database_url = f"sqlite:///{self.data_dir / 'rolltape.db'}"
        return self

    @property
    def egress(self) -> Egress:
        targets = (target.rpartition(":") for target in self.allow_targets)
        allowed = frozenset((host.strip("[]").lower(), int(port)) for host, _, port in targets)
        return Egress(allowed, own_port=self.port)

    @property
    def preferences(self) -> PreferenceFields:
        """The preferences, as far as the environment or the defaults say."""
        return PreferenceFields(**{name: getattr(self, name) for name in PreferenceFields.model_fields})

    @property
    def locked(self) -> dict[str, str]:
        """The preferences that the environment fixes, each with its variable."""
        return {name: variable(name) for name in PreferenceFields.model_fields if name in self._given}

    @property
    def fixed(self) -> list[Fixed]:
        """All settings that are no preferences, fit to be shown."""
        names = [name for name in Settings.model_fields if name not in PreferenceFields.model_fields]
        return [
            Fixed(variable(name), self._shown(name), Settings.model_fields[name].description or "", name in self._given)
            for name in names
        ]

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name == "database_url":
            return _without_password(value)
        if name in SECRETS:
            return "***" if value else ""
        return ", ".join(value) if isinstance(value, list) else str(value)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return "TZ" if name in ("timezone", "TZ") else f"{PREFIX}{name.upper()}"


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
    return f"{variable(name)}: {message.removeprefix('Value error, ')}"


def _without_password(url: str) -> str:
    from sqlalchemy import make_url  # here, for commands that need no database
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "***"
