"""An SFTP server with one fault: a filter in front of OpenSSH's, to be named as a subsystem of sshd.

    python faulty_sftp.py FAULT WHICH

fail: WRITE number WHICH is answered with a failure, and not done. drop: it is answered with OK, and not done.
close: the first CLOSE of a file that was written is answered with a failure. plain: no extensions are offered.
short: every READ gives at most half of what was asked for. overwrite: RENAME replaces
what is there. It only needs to be right for one client at a time.
"""

import os
import struct
import subprocess
import sys
import threading
from typing import IO

SERVER = "/usr/lib/openssh/sftp-server"

_VERSION, _CLOSE, _READ, _WRITE, _RENAME, _STATUS, _EXTENDED = 2, 4, 5, 6, 18, 101, 200


def packets(stream: IO[bytes]):
    while head := stream.read(4):
        yield stream.read(int.from_bytes(head, "big"))


def put(stream: IO[bytes], lock: threading.Lock, body: bytes) -> None:
    with lock:
        stream.write(struct.pack(">I", len(body)) + body)
        stream.flush()


def status(ident: bytes, code: int, text: bytes) -> bytes:
    return bytes([_STATUS]) + ident + struct.pack(">II", code, len(text)) + text + bytes(4)


class Filter:
    def __init__(self, fault: str, which: int) -> None:
        self.fault = fault
        self.which = which
        self.writes = 0
        self.closes: set[bytes] = set()
        self.out = threading.Lock()

    def request(self, body: bytes) -> tuple[bytes | None, bytes | None]:
        """What goes on to the server, and what is answered in its place."""
        kind, ident = body[0], body[1:5]
        if kind == _WRITE:
            number, self.writes = self.writes, self.writes + 1
            if self.fault in ("fail", "drop") and number == self.which:
                answer = (4, b"No space left on device") if self.fault == "fail" else (0, b"")
                return None, status(ident, *answer)
        if kind == _CLOSE and self.fault == "close" and self.writes:
            self.closes.add(ident)
        if kind == _READ and self.fault == "short":
            (length,) = struct.unpack(">I", body[-4:])
            body = body[:-4] + struct.pack(">I", max(1, length // 2))
        if kind == _RENAME and self.fault == "overwrite":
            name = b"posix-rename@openssh.com"
            body = bytes([_EXTENDED]) + ident + struct.pack(">I", len(name)) + name + body[5:]
        return body, None

    def answer(self, body: bytes) -> bytes:
        if body[0] == _VERSION and self.fault == "plain":
            return body[:5]
        if body[1:5] in self.closes:
            self.closes.clear()
            return status(body[1:5], 4, b"the disk gave up")
        return body


def main(fault: str, which: int) -> None:
    stdin, stdout = os.fdopen(0, "rb"), os.fdopen(1, "wb")
    server = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    way = Filter(fault, which)

    def back(answers: IO[bytes]) -> None:
        for body in packets(answers):
            put(stdout, way.out, way.answer(body))

    thread = threading.Thread(target=back, args=(server.stdout,))
    thread.start()
    to_server = threading.Lock()
    for body in packets(stdin):
        forward, instead = way.request(body)
        if forward is not None:
            put(server.stdin, to_server, forward)
        if instead is not None:
            put(stdout, way.out, instead)
    server.stdin.close()
    thread.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
