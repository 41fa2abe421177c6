"""A session's life: capture → process → tag → transfer. One way through for every engine.

Whoever runs a session claims it, runs the step of its state and advances it, as long as nobody else has claimed it
since. Each step is idempotent and goes on where the session is, so a session may be run again at any time.
"""

from rolltape.pipeline.life import Next as Next
from rolltape.pipeline.life import Pipeline as Pipeline
from rolltape.pipeline.life import Queue as Queue
from rolltape.pipeline.workshop import Workshop as Workshop
