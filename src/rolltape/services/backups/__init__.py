"""Backups: the configuration and the history in one archive, and back. Recordings are not in it.

`archive` is the file, `hiding` and `seal` keep secrets out of it or locked in, `checking` judges what it says,
`comparing`, `merging` and `placing` are the way back, `daily` says when; `service` is what the others ask.
"""

from rolltape.services.backups.archive import LARGEST_ARCHIVE as LARGEST_ARCHIVE
from rolltape.services.backups.archive import Reason as Reason
from rolltape.services.backups.comparing import Change as Change
from rolltape.services.backups.comparing import Named as Named
from rolltape.services.backups.folder import Backup as Backup
from rolltape.services.backups.service import Backups as Backups
from rolltape.services.backups.service import Outlook as Outlook
from rolltape.services.backups.service import Places as Places
