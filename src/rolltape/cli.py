"""The command line.

What a command needs is imported in it: `health` is asked every half minute, and the whole program takes seconds of CPU.
"""

import asyncio
import json
import re
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from rolltape import __version__
from rolltape.domain.address import Egress, check_url
from rolltape.domain.errors import InputError, RolltapeError
from rolltape.domain.units import Seconds

if TYPE_CHECKING:
    from rolltape.capture import Offer
    from rolltape.services import Services
    from rolltape.services.backups import Outlook
    from rolltape.services.configuration import Difference
    from rolltape.settings import Settings

OTHER_VERDICT = 3  # exit code: recorded, but not completely
DATABASE_BROKEN = 4  # exit code: the database was damaged again and again while the service ran
HEALTH_TIMEOUT = 5  # s

commands = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
tokens = typer.Typer(no_args_is_help=True, help="API tokens.")
commands.add_typer(tokens, name="token")
users = typer.Typer(no_args_is_help=True, help="Accounts of people.")
commands.add_typer(users, name="user")
notify = typer.Typer(no_args_is_help=True, help="Who is told what happens.")
commands.add_typer(notify, name="notify")

configuration = typer.Typer(no_args_is_help=True, help="The configuration, as one YAML document.")
commands.add_typer(configuration, name="config")

backups = typer.Typer(no_args_is_help=True, help="Backups of all but the recordings.")
commands.add_typer(backups, name="backup")

T = TypeVar("T")
DataDir = Annotated[Path | None, typer.Option(help="Folder of the database and all the rest.")]
BackupName = Annotated[str, typer.Argument(help="Its name, or the path of a file from elsewhere.")]
AskPassphrase = Annotated[bool, typer.Option("--passphrase", help="Ask for one, or read it from standard input.")]

_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def main() -> None:
    commands()


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@commands.callback()
def _all(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Records internet radio on a timetable and delivers finished, tagged MP3 files."""


@commands.command()
def serve(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the service."""
    from rolltape import app, logs
    from rolltape.domain.preference import component_levels

    chosen = _settings(data_dir=data_dir, host=host, port=port)
    logs.set_up(chosen.log_level, components=component_levels(chosen.log_levels))

    async def run() -> None:
        try:
            await app.serve(chosen)
        except app.DatabaseBroken as exc:
            _give_up(exc.message, code=DATABASE_BROKEN)

    _run(run())


@commands.command()
def record(
    url: Annotated[str, typer.Argument(help="Address of the stream.")],
    length: Annotated[str, typer.Option("--for", help="How long: 20s, 45m, 2h, 1h30m.")],
    out: Annotated[Path, typer.Option(help="Folder of the finished file.")] = Path(),
    artist: str = "",
    album: str = "",
    album_artist: str = "",
    title: Annotated[str, typer.Option(help="By default the date and the show.")] = "",
    show: Annotated[str, typer.Option(help="Name of the show; by default the station's.")] = "",
    cover: Annotated[Path | None, typer.Option(help="A JPEG, PNG or WebP.")] = None,
    quality: Annotated[str, typer.Option(help="Where it is encoded: V0 to V9, or 128k.")] = "V2",
    insecure: Annotated[bool, typer.Option(help="Do not verify the certificate of the station.")] = False,
) -> None:
    """Record now, without a service. The last line is the path of the finished MP3."""
    from rolltape import logs
    from rolltape.domain.recording import Verdict
    from rolltape.ffmpeg.run import find
    from rolltape.once import Wanted, record_once

    logs.set_up("error")
    chosen = _settings()

    async def run() -> None:
        wanted = Wanted(
            url=check_url(url), length=_span(length), out=out, artist=artist, album=album, album_artist=album_artist,
            title=title, show=show, cover=cover, quality=quality, verify_tls=not insecure, timezone=chosen.timezone,
        )  # fmt: skip
        found = await record_once(wanted, find(chosen.ffmpeg), tell=_progress)
        account = found.made.account
        takes = "1 take" if account.takes == 1 else f"{account.takes} takes"
        _progress(f"{account.verdict}: {account.recorded:.1f} of {account.planned:.1f} s, {takes}")
        print(found.file)
        if account.verdict is not Verdict.COMPLETE:
            raise typer.Exit(OTHER_VERDICT)

    _run(run())


@commands.command(name="probe")
def probe_command(
    url: Annotated[str, typer.Argument(help="Address of the stream.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what an address offers."""
    from rolltape import logs
    from rolltape.capture import CaptureSettings, probe
    from rolltape.ffmpeg.run import find

    logs.set_up("error")
    chosen = _settings()

    async def run() -> "Offer":
        capture = CaptureSettings(ffmpeg=find(chosen.ffmpeg), egress=Egress(unrestricted=True))
        return await probe(check_url(url), capture)

    offer = _run(run())
    if as_json:
        print(json.dumps(asdict(offer)))
        return
    for name, value in asdict(offer).items():
        if value is not None:
            print(f"{name.replace('_', ' ')}: {value}")


@commands.command(name="demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("demo"),
) -> None:
    """Show the main job with a built-in test station, offline."""
    from rolltape import demo, logs
    from rolltape.ffmpeg.run import find

    logs.set_up("warning")
    _run(demo.run(out, ffmpeg=find(_settings().ffmpeg)))


@commands.command()
def health(
    live: Annotated[bool, typer.Option("--live", help="Only whether the process answers.")] = False,
    host: Annotated[str | None, typer.Option(help="Where the service is.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port.")] = None,
) -> None:
    """Exit with 0 when the service is ready."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    chosen = _settings(host=host, port=port)
    address = "127.0.0.1" if chosen.host in ("0.0.0.0", "::") else chosen.host
    path = "live" if live else "ready"
    try:
        with urlopen(f"http://{address}:{chosen.port}/health/{path}", timeout=HEALTH_TIMEOUT) as answer:
            print(answer.read().decode())
    except HTTPError as exc:
        _give_up(exc.read().decode("utf-8", "replace"))
    except OSError as exc:
        _give_up(f"The service does not answer: {exc}")


@commands.command()
def recover(data_dir: DataDir = None) -> None:
    """Find recordings again that the database does not know, by the files beside them."""
    found = _ask(data_dir, lambda services: services.recovery.search())
    print(f"found again: {found.recordings} recordings, {found.takes} unfinished ones")
    if found.refused:
        print(f"passed over: {found.refused} files that are not what they should be; see the log")


@tokens.command("create")
def create_token(name: Annotated[str, typer.Argument(help="What it is for.")], data_dir: DataDir = None) -> None:
    """Print a new API token. It is shown this once."""
    print(_ask(data_dir, lambda services: services.tokens.create(name)))


@users.command("create")
def create_user(name: Annotated[str, typer.Argument(help="What it is called.")], data_dir: DataDir = None) -> None:
    """Make an account. The password is asked for, or read from standard input."""
    _ask(data_dir, lambda services: services.users.create(name, _password()))


@users.command("password")
def change_password(name: Annotated[str, typer.Argument(help="Whose.")], data_dir: DataDir = None) -> None:
    """Give an account another password and sign it out everywhere."""
    _ask(data_dir, lambda services: services.users.set_password(name, _password()))


@configuration.command("export")
def export_configuration(
    file: Annotated[Path | None, typer.Argument(help="Where to; by default standard output.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write settings, destinations, streams, schedules and channels, without their secrets."""

    async def export(services: "Services") -> str:
        await services.preferences.load()
        return await services.configuration.export()

    text = _ask(data_dir, export)
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as exc:
        _give_up(f"{file}: {exc.strerror}")


@configuration.command("import")
def import_configuration(
    file: Annotated[Path, typer.Argument(help="The document; - reads standard input.")],
    data_dir: DataDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would change.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is not in the document.")] = False,
) -> None:
    """Make everything as a document says, all of it or nothing.

    A running service takes over new settings at its next start.
    """
    from rolltape.services.configuration import BadConfiguration
    from rolltape.services.configuration.words import lines

    try:
        document = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as exc:
        _give_up(f"{file}: {exc.strerror}")

    async def bring_in(services: "Services") -> "Difference":
        await services.preferences.load()
        try:
            if dry_run:
                return await services.configuration.compare(document, prune=prune)
            return await services.configuration.bring_in(document, prune=prune)
        except BadConfiguration as exc:
            _give_up("\n".join([*(problem.sentence for problem in exc.problems), "Nothing was changed."]))

    print("\n".join(lines(_ask(data_dir, bring_in))))


@backups.command("create")
def create_backup(data_dir: DataDir = None, passphrase: AskPassphrase = False) -> None:
    """Make a backup of how things are now, beside a running service or without one. Prints its path."""
    given = _passphrase(twice=True) if passphrase else _settings(data_dir=data_dir).backup_passphrase

    async def create(services: "Services") -> Path:
        made = await services.backups.create(passphrase=given or None)
        return services.backups.path(made.name)

    print(_ask(data_dir, create))


@backups.command("list")
def list_backups(data_dir: DataDir = None) -> None:
    """List the backups, the newest first."""
    for backup in _ask(data_dir, lambda services: services.backups.all()):
        secrets = "sealed" if backup.has_secrets else "-"
        made = backup.created.astimezone().strftime("%Y-%m-%d %H:%M")
        print(f"{backup.name:48} {made:17} {backup.size:>12} {secrets:7} {backup.problem or ''}".rstrip())


@backups.command("verify")
def verify_backup(backup: BackupName, data_dir: DataDir = None, passphrase: AskPassphrase = False) -> None:
    """Read a backup from its begin to its end, as if to restore it."""
    given = _passphrase() if passphrase else _settings(data_dir=data_dir).backup_passphrase
    found = _ask(data_dir, lambda services: services.backups.verify(_backup(backup), given or None))
    print(f"{found.name}: sound, made by Rolltape {found.version}")


@backups.command("restore")
def restore_backup(
    backup: BackupName,
    data_dir: DataDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would change.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    with_accounts: Annotated[bool, typer.Option("--with-accounts", help="Its accounts and tokens, too.")] = False,
    with_host_keys: Annotated[bool, typer.Option("--with-host-keys", help="Trust the servers it knows.")] = False,
    passphrase: AskPassphrase = False,
) -> None:
    """Put a backup in the place of what is there. The service has to be stopped; its page can do it while it runs."""
    chosen = _settings(data_dir=data_dir)
    given = (_passphrase() if passphrase else chosen.backup_passphrase) or None
    ticked = {"with_accounts": with_accounts, "with_host_keys": with_host_keys}

    async def restore(services: "Services") -> "Outlook":
        outlook = await services.backups.plan(_backup(backup), given, **ticked)
        if dry_run:
            return outlook
        if not yes:
            _tell_outlook(outlook)
            typer.confirm("Restore it?", abort=True, err=True)
        return await services.backups.restore(_backup(backup), given, **ticked)

    if dry_run:
        _tell_outlook(_ask(data_dir, restore))
        return
    with _alone(chosen):
        outlook = _ask(data_dir, restore)
    _tell_outlook(outlook)
    before = f" How it was before is in {outlook.safety.name}." if outlook.safety else ""
    print(f"Restored.{before}")


def _backup(named: str) -> str | Path:
    """A file from elsewhere, or the name of a backup in the folder."""
    file = Path(named)
    return file.absolute() if file.is_file() else named


@contextmanager
def _alone(chosen: "Settings") -> Iterator[None]:
    """While nothing else runs on the data folder."""
    from rolltape import app

    try:
        held = app.lock(chosen)
    except app.StartError:
        _give_up("Rolltape is running. Restore the backup on its page of backups, or stop it first.")
    with held:
        yield


def _tell_outlook(outlook: "Outlook") -> None:
    for change in outlook.changes:
        for word, some in (("comes back", change.added), ("changes", change.changed), ("goes", change.removed)):
            if some.count:
                names = f": {', '.join(some.names)}" if some.names else ""
                print(f"{change.kind}, {word}: {some.count}{names}")
    for sentence in outlook.notes:
        print(f"To do: {sentence}")


@notify.command("list")
def list_channels(data_dir: DataDir = None) -> None:
    """List the channels, and whether the last message arrived."""
    from rolltape.domain.notification import masked

    for channel in _ask(data_dir, lambda services: services.notifications.all()):
        state = "off" if not channel.enabled else channel.last_error or ("works" if channel.last_ok_at else "not tried")
        print(f"{channel.name:30} {channel.kind:8} {masked(channel.kind, channel.address):40} {state}")


@notify.command("test")
def try_channels(
    name: Annotated[str | None, typer.Argument(help="Of the channel; by default all that are switched on.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Send a test message to a channel, or to all. Exits with 0 if every one was taken."""
    trials = _ask(data_dir, lambda services: services.notifications.test_all(name))
    for tested, trial in trials:
        print(f"{tested}: {'ok. ' if trial.ok else ''}{trial.message}")
    if not all(trial.ok for _, trial in trials):
        raise typer.Exit(1)


def _ask(data_dir: Path | None, question: Callable[["Services"], Coroutine[Any, Any, T]]) -> T:
    """What the services answer, beside a running service or without one."""
    from rolltape import app, logs

    logs.set_up("error")
    chosen = _settings(data_dir=data_dir)

    async def run() -> T:
        async with app.opened(chosen) as services:
            return await question(services)

    return _run(run())


def _passphrase(*, twice: bool = False) -> str:
    """A passphrase, typed on a terminal (and typed `twice`), or the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed = getpass("Passphrase: ")
    if twice and getpass("Once more: ") != typed:
        _give_up("These are two different passphrases.")
    return typed


def _password() -> str:
    """A password, typed twice on a terminal, or the first line of standard input.

    Raises:
        InputError: it was not typed the same twice.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass("Password: ")
    if getpass("Once more: ") != password:
        raise InputError("password", "These are two different passwords.")
    return password


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Do `work`; what goes wrong and has a name becomes one line and exit code 1."""
    from pydantic import ValidationError

    try:
        return asyncio.run(work)
    except RolltapeError as exc:
        _give_up(exc.message)
    except ValidationError as exc:
        _give_up("\n".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors()))
    except OSError as exc:
        _give_up(f"{exc.filename or 'The machine'}: {exc.strerror}")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _settings(**given: object) -> "Settings":
    from rolltape import settings

    try:
        return settings.load(**given)
    except InputError as exc:
        _give_up(exc.message)


def _give_up(message: str, *, code: int = 1) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _span(text: str) -> Seconds:
    """A length like 20s, 45m or 1h30m, in seconds.

    Raises:
        InputError: it is none, or not between a second and a week.
    """
    found = _SPAN.fullmatch(text.strip().lower())
    from rolltape.domain.stream import LONGEST_SESSION

    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    length = hours * 3600 + minutes * 60 + seconds
    if not 1 <= length <= LONGEST_SESSION:
        raise InputError("for", f"{text}: a length is like 20s, 45m or 1h30m, from a second to a week.")
    return Seconds(length)
