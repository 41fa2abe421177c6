"""Telling what happened: people by Apprise, programs by webhooks, and that all is well by signs of life."""

from rolltape.services.notifications.service import Notifications as Notifications
from rolltape.services.notifications.service import Trial as Trial
from rolltape.services.notifications.words import LABELS as LABELS
