"""What a passphrase of backups must be like."""

from rolltape.domain.errors import InputError

SHORTEST_PASSPHRASE = 8  # characters
LONGEST_PASSPHRASE = 1000


def check_passphrase(passphrase: str) -> None:
    """
    Raises:
        InputError: it is too short to protect anything, or too long.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise InputError("passphrase", f"A passphrase has at least {SHORTEST_PASSPHRASE} characters.")
    if len(passphrase) > LONGEST_PASSPHRASE:
        raise InputError("passphrase", f"A passphrase has at most {LONGEST_PASSPHRASE} characters.")
