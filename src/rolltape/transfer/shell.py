"""Commands for a POSIX shell on the server, with every path quoted. Pure: they are only written here."""

import re
import shlex
import time

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

MARK = "rolltape-answers"
TAKEN = 17  # exit status of `publish` where there is something under the new name


def greet() -> str:
    return _script(f"echo {MARK}")


def sha256(path: str) -> str:
    """Prints the digest of a file, by whichever of the usual programs is there; OpenSSL takes half the time."""
    name = quoted(path)
    return _script(f"openssl dgst -sha256 < {name} || sha256sum < {name} || shasum -a 256 < {name}")


def find_digest(output: bytes) -> str | None:
    """The one SHA-256 in what `sha256` printed, None where there is none (or there are two)."""
    found = set(_DIGEST.findall(output))
    return found.pop().decode() if len(found) == 1 else None


def look(path: str) -> str:
    """Prints `folder`, the size in bytes, `other`, or `nothing`."""
    name = quoted(path)
    return _script(
        f"if [ -d {name} ]; then echo folder; elif [ -f {name} ]; then wc -c < {name}; "
        f"elif said=$(ls -d {name} 2>&1); then echo other; "
        f'else case $said in *"No such file"* | *"Not a directory"*) echo nothing;; *) echo "$said"; exit 1;; esac; fi'
    )


def free(path: str) -> str:
    """Prints POSIX `df` in units of 1024 bytes."""
    return _script(f"df -Pk {quoted(path)}")


def make_folders(path: str) -> str:
    return _script(f"mkdir -p {quoted(path)}")


def write(path: str, start: int, block: int) -> str:
    """Writes its standard input to a file from byte `start` on, a multiple of `block`; then has it on the disk."""
    name = quoted(path)
    store = f"cat > {name}" if start == 0 else f"dd of={name} bs={block} seek={start // block} conv=notrunc"
    return _script(f"{{ {store}; }} && {{ sync {name} 2>/dev/null || sync; }}")


def read(path: str) -> str:
    return _script(f"cat {quoted(path)} 2>/dev/null")


def stamp(path: str, modified: float) -> str:
    moment = time.strftime("%Y%m%d%H%M.%S", time.gmtime(modified))
    return _script(f"TZ=UTC touch -t {moment} {quoted(path)}")


def publish(part: str, final: str) -> str:
    """Renames, and ends with `TAKEN` where something is in the way."""
    old, new = quoted(part), quoted(final)
    taken = f"[ -e {new} ] || [ -L {new} ]"
    return _script(
        f"if {taken}; then exit {TAKEN}; fi; mv -n {old} {new} 2>/dev/null || mv {old} {new} && [ ! -e {old} ]"
    )


def remove(path: str) -> str:
    return _script(f"rm -f {quoted(path)}")


def quoted(path: str) -> str:
    """`path` as one word of a shell; never mistaken for an option."""
    return shlex.quote(path if path.startswith("/") else f"./{path}")


def _script(text: str) -> str:
    """`text` for a POSIX shell, whatever the user's own is, and with its messages in English."""
    return f"env LC_ALL=C sh -c {shlex.quote(text)}"
