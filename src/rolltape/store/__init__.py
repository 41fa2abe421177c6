"""The database: connections, transactions, migrations."""

from rolltape.store.database import Database as Database
from rolltape.store.database import DatabaseError as DatabaseError
from rolltape.store.database import migrate as migrate
from rolltape.store.database import revisions as revisions
