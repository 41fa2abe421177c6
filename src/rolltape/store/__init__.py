"""The database: connections, transactions, migrations."""

from rolltape.store.database import NO_ANSWER as NO_ANSWER
from rolltape.store.database import Database as Database
from rolltape.store.database import DatabaseError as DatabaseError
from rolltape.store.database import is_full as is_full
from rolltape.store.database import is_no_answer as is_no_answer
from rolltape.store.database import migrate as migrate
from rolltape.store.database import revisions as revisions
