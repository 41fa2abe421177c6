"""What the code of the first visit must be like, and how it is compared."""

SHORTEST = 8  # letters and digits of a code that somebody chose


def bare(code: str) -> str:
    """A code as it is compared: without case, dashes and blanks."""
    return "".join(char for char in code.upper() if char.isalnum())
