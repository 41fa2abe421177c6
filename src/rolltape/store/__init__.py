"""The database: connections, transactions, migrations."""

from rolltape.store.database import Database as Database
from rolltape.store.database import migrate as migrate
