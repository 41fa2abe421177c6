"""Step 3: tags, covers and names. Knows files, nothing of the database."""

from importlib import import_module

from rolltape.tag.artwork import check_artwork, cover_jpeg
from rolltape.tag.naming import file_path, free_name, part_name
from rolltape.tag.writer import Measured, Tags, Written, write

__all__ = [
    "Measured",
    "Tags",
    "Written",
    "check_artwork",
    "cover_jpeg",
    "file_path",
    "free_name",
    "load",
    "part_name",
    "write",
]


def load() -> None:
    """Import what this step needs and its functions import when they are called: a tenth of the start of the service.

    The service does so once it is up: the first recording should not find that a file of it cannot be opened any more.
    """
    for module in ("pathvalidate", "PIL.Image", "PIL.ImageOps", "rolltape.tag.frames"):
        import_module(module)
