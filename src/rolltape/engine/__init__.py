"""Where sessions run. Nothing outside assumes that there is one process."""

from rolltape.engine.engine import Engine as Engine
from rolltape.engine.local import LocalEngine as LocalEngine
