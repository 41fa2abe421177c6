"""A webhook: JSON, signed so that the receiver knows whom it is from and that nobody sends it again.

The signature is an HMAC with SHA-256 of the secret over the time, a full stop and the body, as it is in the request.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rolltape.domain.address import Egress
from rolltape.services.notifications.call import call


async def post(url: str, content: Mapping[str, Any], *, secret: str, uid: str, now: datetime, egress: Egress) -> None:
    """Send `content`.

    Raises:
        ChannelError: it did not arrive.
    """
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")
    timestamp = str(int(now.timestamp()))
    headers = {"Content-Type": "application/json", "Rolltape-Id": uid, "Rolltape-Timestamp": timestamp}
    if secret:
        headers["Rolltape-Signature"] = f"sha256={signature(secret, timestamp, body)}"
    await call(url, egress=egress, body=body, headers=headers)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What proves that `body` was sent at `timestamp` by who knows `secret`; hexadecimal."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
