"""Sends one message to one channel, or fetches its sign of life."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rolltape.domain.address import Egress
from rolltape.domain.errors import ChannelError, InputError
from rolltape.domain.notification import Channel, ChannelKind, check_address
from rolltape.services.notifications import webhook
from rolltape.services.notifications.apprise import Apprise
from rolltape.services.notifications.call import call


class Sender:
    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._apprise = Apprise(egress)

    async def send(self, channel: Channel, content: Mapping[str, Any], *, uid: str, now: datetime) -> None:
        """Tell `content` to a channel; a ping has nothing to tell, and is fetched.

        Raises:
            ChannelError: it did not arrive. What it says has nothing of the address in it but the host.
        """
        try:
            address = check_address(channel.kind, channel.address)  # whoever wrote the row, and however
        except InputError as exc:
            raise ChannelError(exc.message) from exc
        match channel.kind:
            case ChannelKind.PING:
                await call(address, egress=self._egress)
            case ChannelKind.WEBHOOK:
                await webhook.post(address, content, secret=channel.secret, uid=uid, now=now, egress=self._egress)
            case ChannelKind.APPRISE:
                await self._apprise.send(address, content["title"], content["text"])
