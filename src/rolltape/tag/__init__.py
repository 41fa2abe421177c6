"""Step 3: tags, covers and names. Knows files, nothing of the database."""

from rolltape.tag.artwork import check_artwork, cover_jpeg
from rolltape.tag.naming import file_path, free_name, part_name
from rolltape.tag.writer import Measured, Tags, Written, write

__all__ = ["Measured", "Tags", "Written", "check_artwork", "cover_jpeg", "file_path", "free_name", "part_name", "write"]
