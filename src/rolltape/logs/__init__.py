"""What the program tells: a sentence for people, an action name and fields for machines.

Readable on the console; as lines of JSON in files that are kept for a while.
"""

from rolltape.logs.keep import kept as kept
from rolltape.logs.keep import problem as problem
from rolltape.logs.keep import set_limits as set_limits
from rolltape.logs.setup import set_levels as set_levels
from rolltape.logs.setup import set_up as set_up
