"""Step 4: deliver a recording to a destination, and prove that it arrived."""

from rolltape.transfer.breaker import Breaker
from rolltape.transfer.deliver import deliver, test
from rolltape.transfer.retry import Next, after, fruitless
from rolltape.transfer.target import Delivery, Target, TransferSettings, Trial

__all__ = [
    "Breaker",
    "Delivery",
    "Next",
    "Target",
    "TransferSettings",
    "Trial",
    "after",
    "deliver",
    "fruitless",
    "test",
]
