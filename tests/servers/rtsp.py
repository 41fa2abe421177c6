"""An RTSP station: GStreamer's server, run by the system's Python, which has the bindings."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import answers, free_port, running

_SERVER = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(sys.argv[2])
factory.set_shared(True)
server.get_mount_points().add_factory("/radio", factory)
server.attach(None)
GLib.MainLoop().run()
"""


_PIPELINES = {
    "mp3": "audiotestsrc is-live=true ! audio/x-raw,rate=44100,channels=2 ! audioconvert"
    " ! lamemp3enc target=bitrate bitrate=128 cbr=true ! rtpmpapay name=pay0 pt=14",
    "alaw": "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay0 pt=8",
}


@contextlib.contextmanager
def rtsp(folder: Path, codec: str = "mp3") -> Iterator[str]:
    """The address of an RTSP stream of MP3 (or of A-law)."""
    port = free_port()
    script = folder / "rtsp_server.py"
    script.write_text(_SERVER)
    command: list[str | Path] = ["/usr/bin/python3", script, str(port), f"( {_PIPELINES[codec]} )"]
    with running(command, log=folder / "rtsp.log", ready=lambda: answers(port)):
        yield f"rtsp://127.0.0.1:{port}/radio"
