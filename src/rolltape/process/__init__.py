"""Step 2: the takes of a session become one MP3. Knows files, nothing of the database."""

from rolltape.process.assemble import Assembled, assemble

__all__ = ["Assembled", "assemble"]
