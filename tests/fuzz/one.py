"""One target under Atheris: `python -m tests.fuzz.one TARGET CRASH CORPUS [OPTION OF LIBFUZZER...]`.

An input that crashed it is kept as the file CRASH.
"""

import sys
from pathlib import Path

import atheris

READERS = [
    *(f"rolltape.capture.{name}" for name in ("frames", "icy", "http", "playlist", "journal", "sniff", "measure")),
    *(f"rolltape.process.{name}" for name in ("frames", "join", "reservoir", "xing")),
    *(f"rolltape.domain.{name}" for name in ("address", "facts", "mpeg", "recording")),
    "rolltape.ffmpeg.probe", "rolltape.services.facts",
]  # fmt: skip

with atheris.instrument_imports(include=READERS):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name, kept = sys.argv.pop(1), Path(sys.argv.pop(1))

    def run(data: bytes) -> None:
        try:
            TARGETS[name](data)
        except BaseException:
            kept.write_bytes(data)
            raise

    atheris.Setup(sys.argv, run)
    atheris.Fuzz()
