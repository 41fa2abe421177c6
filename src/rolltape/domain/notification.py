"""Notifications: whom to tell about what, and what was told.

A channel is a way to a person. What happens is entered as a notice for each channel that wants to hear of it; notices
of one kind are gathered into a message; messages wait in the database until they arrived.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain.address import HIDDEN, LONGEST, check_url
from rolltape.domain.base import Base, one_of
from rolltape.domain.errors import InputError
from rolltape.domain.stream import LONGEST_TEXT, Name

LONGEST_TITLE = 300  # characters
SHORTEST_SECRET = 16  # characters; what is shorter can be tried out
LONGEST_SECRET = 200
OFTEN_ENOUGH = 24 * 60  # min; a sign of life less often than daily is none

# The kinds of Apprise addresses that are taken: services in the internet, and servers whose host the address names.
# Those that are refused reach into this machine, read its files, or need a library that does not come with us.
_TAKEN = """
46elks amqp amqps apprise apprises aprs atalk azure bark barks betterstack bluesky brevo bsky bulksms bulkvs
burstsms chanify clickatell clicksend cliq cm d7sms dapnet deltachat deltachats dingtalk discord dot eight00com
elks emby embys enigma2 enigma2s evolution evolutions exotel feishu firehydrant flock flowtriq flowtriqs fluxer
fluxers form forms freemobile gchat github goalert goalerts gorush gorushs gotify gotifys groundmail groupme
guilded gupshup hassio hassios httpsms humhub humhubs ifttt ilert incidentio infobip irc ircs jellyfin jellyfins
jira join json jsons kakao kakaotalk kaleyra kavenegar klr kodi kodis kook kudosity kumulos lametric lametrics
lark lauther lfg line mailersend mailgun mailto mailtos mastodon mastodons matrix matrixs misskey misskeys mmost
mmosts mobilemessage mobilemsg msg91 msgbird ncloud nclouds nctalk nctalks nexmo nostr notica noticas notifiarr
notifico notificos notifyre ntfy ntfys o365 octopush onebot onebots onesignal opsgenie pagerduty pagertree
parsep parseps pbul pinglet pinglets pingram pjet pjets plivo postmark pover prowl psafer psafers push pushdeer
pushdeers pushed pushme pushplus pushward pushy qq reddit resend revolt ringc rocket rockets ryver schan
sendgrid sendpulse serwersms ses session sessions seven sfr signal signalgrid signals signl4 simplepush sinch
slack smsc smseagle smseagles smsmanager smsmgr smstunnel smtp2go sns sogs sparkpost spike splunk spugpush spush
squadcast stackfield strmlabs synology synologys telesign telnyx tgram threema toot toots trigv trigvs tweet
twilio twist twitter viber victorops voipms vonage webex wechat wecom wecombot whapi whatsapp workflow workflows
wpush wxpusher wxteams x xbmc xbmcs xmatters xml xmls youlmk zalo zcliq zohocliq zoom zulip
"""
_REFUSED = """
blink1 dbus fcm gio glib gnome growl kde macosx mqtt mqtts qt rsyslog smpp smpps syslog vapid windows xmpp xmpps
"""
APPRISE_SCHEMES = frozenset(_TAKEN.split())
REFUSED_SCHEMES = frozenset(_REFUSED.split())

_SCHEME = re.compile(r"([a-z0-9]+)://\S", re.IGNORECASE)


class ChannelKind(StrEnum):
    APPRISE = "apprise"  # an address in the form of the library Apprise
    WEBHOOK = "webhook"  # JSON is sent there, signed
    PING = "ping"  # fetched every few minutes while the service is ready, so that silence is noticed


class Occasion(StrEnum):
    """What can be told of."""

    FAILED = "failed"
    MISSED = "missed"
    GAPPED = "gapped"  # any verdict but complete
    DELIVERED_LATE = "delivered_late"
    DISK = "disk"
    DESTINATION = "destination"
    DATABASE = "database"
    BACKUP = "backup"
    MACHINE = "machine"  # clock, folders, FFmpeg, and whatever has no name of its own here
    WELL_AGAIN = "well_again"


class MessageState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


def check_address(kind: ChannelKind, address: str) -> str:
    """`address` without the white space around it, if a channel of this kind can use it.

    Raises:
        InputError: it is no such address, or it leads into this machine.
    """
    address = address.strip()
    if HIDDEN in address:
        raise InputError("address", f"Type the whole address: {HIDDEN} stands for something that is not shown.")
    if len(address) > LONGEST:
        raise InputError("address", f"The address is longer than {LONGEST} characters.")
    return _check_apprise(address) if kind is ChannelKind.APPRISE else _check_web(address)


def masked(kind: ChannelKind, address: str) -> str:
    """`address` as it is shown. In these addresses everything may be secret: the path, and with Apprise the host."""
    scheme = address.partition("://")[0]
    if kind is ChannelKind.APPRISE:
        return f"{scheme}://{HIDDEN}"
    parts = urlsplit(address)
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}/{HIDDEN}"


class ChannelFields(BaseModel):
    """What a person can say of a channel.

    `secret` signs what a webhook is sent; a new webhook that has none gets one. `interval` is how often a ping is
    fetched, in minutes.
    """

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    name: Name
    kind: ChannelKind
    address: Annotated[str, Field(min_length=1)]
    secret: Annotated[str, Field(max_length=LONGEST_SECRET)] = ""
    events: Annotated[list[Occasion], AfterValidator(lambda events: sorted(set(events)))] = Field(
        default_factory=lambda: list(Occasion)
    )
    interval: Annotated[int, Field(ge=1, le=OFTEN_ENOUGH)] = 5
    enabled: bool = True

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "ChannelFields":
        self.address = check_address(self.kind, self.address)
        if self.secret and not self.secret.isascii():
            raise InputError("secret", "A secret is made of letters, digits and signs that every keyboard has.")
        if self.secret and len(self.secret) < SHORTEST_SECRET:
            raise InputError("secret", f"A secret has at least {SHORTEST_SECRET} characters.")
        return self


class Channel(Base):
    """`last_at` is when it was last tried, `last_ok_at` when that last worked, `last_error` what was wrong since."""

    __tablename__ = "channels"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_TEXT), unique=True)
    kind: Mapped[ChannelKind] = mapped_column(one_of(ChannelKind))
    address: Mapped[str]
    secret: Mapped[str]
    events: Mapped[list[str]]
    interval: Mapped[int] = mapped_column(doc="minutes between pings")
    enabled: Mapped[bool]
    last_at: Mapped[datetime | None]
    last_ok_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime]


class Notice(Base):
    """Something that happened, for one channel. `message_id` is the message that tells it, None until there is one.

    `count` is how many happenings it stands for.
    """

    __tablename__ = "notices"
    __table_args__ = (Index("ix_notices_channel", "channel_id", "message_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    occasion: Mapped[Occasion] = mapped_column(one_of(Occasion))
    at: Mapped[datetime]
    title: Mapped[str] = mapped_column(String(LONGEST_TITLE))
    text: Mapped[str] = mapped_column(doc="what happened")
    advice: Mapped[str] = mapped_column(doc="what to do")
    link: Mapped[str] = mapped_column(doc="path of a page")
    count: Mapped[int] = mapped_column(default=1)


class Message(Base):
    """What is sent to a channel. `uid` lets a receiver know a repetition; `rank` counts messages of a long fault."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_state_next", "state", "next_attempt_at"),
        Index("ix_messages_channel", "channel_id", "occasion", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"))
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    occasion: Mapped[Occasion] = mapped_column(one_of(Occasion))
    rank: Mapped[int] = mapped_column(default=0)
    title: Mapped[str] = mapped_column(String(LONGEST_TITLE))
    content: Mapped[dict[str, Any]] = mapped_column(doc="what a webhook is sent")
    state: Mapped[MessageState] = mapped_column(one_of(MessageState))
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None]


class Trouble(Base):
    """A finding of the health page that lasts. `gone_since` is when it was first not there, None while it is.

    `told_at` is None until it has lasted long enough to be told.
    """

    __tablename__ = "troubles"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    occasion: Mapped[Occasion] = mapped_column(one_of(Occasion))
    text: Mapped[str]
    link: Mapped[str]
    since: Mapped[datetime]
    told_at: Mapped[datetime | None]
    gone_since: Mapped[datetime | None]


def _check_apprise(address: str) -> str:
    found = _SCHEME.match(address)
    scheme = found[1].lower() if found else ""
    if scheme in ("http", "https"):
        raise InputError("address", "This is an address of the web: choose the kind webhook, or write it as Apprise's.")
    if scheme in REFUSED_SCHEMES:
        raise InputError("address", f"{scheme}:// reaches into this machine and is not taken.")
    if scheme not in APPRISE_SCHEMES:
        raise InputError("address", "An address of Apprise begins with the name of a service, like ntfys://host/topic.")
    if any(not char.isprintable() or char == " " for char in address):
        raise InputError("address", "The address has a space or a control character in it.")
    return address


def _check_web(address: str) -> str:
    scheme = address.partition("://")[0].lower()
    if "://" in address and scheme not in ("http", "https"):
        raise InputError("address", "The address begins with https:// or http://.")
    return check_url(address, "address")
