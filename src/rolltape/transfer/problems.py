"""What goes wrong at any kind of place, in the same words everywhere. `where` is the place and path."""

from rolltape.domain.errors import TargetRefused, TargetUnreachable

LONGEST_QUOTE = 200  # characters of what a server said


def quote(said: str) -> str:
    """What a server said, fit to be shown: on one line, nothing that cannot be seen, not too long."""
    shown = "".join(char if char.isprintable() else " " for char in said[: 4 * LONGEST_QUOTE])
    return " ".join(shown.split())[:LONGEST_QUOTE]


def missing_directory(where: str) -> TargetRefused:
    return TargetRefused(
        f"{where}: there is no such directory; make it there, or correct the name", code="missing_directory"
    )


def not_a_directory(where: str) -> TargetRefused:
    return TargetRefused(f"{where}: this is no directory", code="not_a_directory")


def permission_denied(where: str) -> TargetRefused:
    return TargetRefused(
        f"{where}: permission denied; check who owns it and who may write there", code="permission_denied"
    )


def read_only(where: str) -> TargetRefused:
    return TargetRefused(f"{where}: this disk is mounted read-only", code="read_only")


def bad_name(where: str) -> TargetRefused:
    return TargetRefused(f"{where}: there can be no file of this name there", code="bad_name")


def name_taken(where: str) -> TargetRefused:
    return TargetRefused(
        f"{where}: there is something else under this name, and it is left alone; rename or remove it there, "
        "then send again",
        code="name_taken",
    )


def disk_full(where: str, detail: str = "") -> TargetUnreachable:
    return TargetUnreachable(
        f"{where}: the disk is full{detail}; make room there, and it is tried again", code="disk_full"
    )


def damaged(where: str) -> TargetUnreachable:
    return TargetUnreachable(
        f"{where}: what arrived differs from the recording; it was deleted there and is sent anew", code="damaged"
    )


def failed(where: str, said: str) -> TargetUnreachable:
    """Something else; `said` is what the other side says of it."""
    return TargetUnreachable(f"{where}: {quote(said) or 'it failed, and no reason was given'}", code="failed")


def aborted(where: str) -> TargetUnreachable:
    return TargetUnreachable(f"{where}: the transfer was aborted", code="aborted")
