"""A listener beside a recording: hears it, does not disturb it, and does not keep the service from stopping."""

import threading
import time

import httpx2

from tests.servers.process import wait_until
from tests.servers.rolltape import Rolltape


class Listener:
    """Listens in a thread of its own until the service ends it."""

    def __init__(self, service: Rolltape, session: int) -> None:
        self.heard = 0
        self.status = 0
        self._url = f"{service.url}/api/sessions/{session}/listen"
        self._headers = {"Authorization": f"Bearer {service.token}"}
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        try:
            with httpx2.stream("GET", self._url, headers=self._headers, timeout=30) as answer:
                self.status = answer.status_code
                for piece in answer.iter_raw():
                    self.heard += len(piece)
        except httpx2.HTTPError:
            pass  # the service has ended


def test_a_recording_is_heard_while_it_grows_and_ends_with_it(service: Rolltape, mp3_station: str) -> None:
    session = service.call(
        "POST", "/api/sessions", json={"stream_id": service.add_stream(mp3_station), "duration": 12}
    )["id"]
    service.wait_until_session(session, lambda found: found["recorded"] > 1)

    listener = Listener(service, session)
    done = service.wait_for(session, within=40)
    listener.thread.join(10)

    assert not listener.thread.is_alive()
    assert (done["state"], done["verdict"]) == ("done", "complete")
    assert listener.status == 200
    assert listener.heard > 7 * 16_000


def test_listeners_do_not_keep_the_service_from_stopping(service: Rolltape, mp3_station: str) -> None:
    session = service.call(
        "POST", "/api/sessions", json={"stream_id": service.add_stream(mp3_station), "duration": 600}
    )["id"]
    service.wait_until_session(session, lambda found: found["recorded"] > 1)
    listeners = [Listener(service, session) for _ in range(5)]
    wait_until(lambda: all(listener.heard for listener in listeners), "all hearing something")

    began = time.monotonic()
    service.stop()

    assert time.monotonic() - began < 8
    for listener in listeners:
        listener.thread.join(5)
        assert not listener.thread.is_alive()
