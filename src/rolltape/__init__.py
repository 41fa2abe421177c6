"""Rolltape records internet radio on a timetable and delivers finished, tagged MP3 files."""

__version__ = "0.1.0"
