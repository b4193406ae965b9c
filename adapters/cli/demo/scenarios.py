"""Every kind of order of the demo, each with its one right end, written down before anything runs.

Times are seconds after the order began. `LONG` is a timeout that plays no part. All moments that decide lie more
than a second apart at the provider, where faults cannot move them; what faults delay is only when we learn of it.
"""

from typing import Final

from adapters.cli.demo.closing import CLOSED, FOR_A_PERSON
from adapters.cli.demo.paying import PAID, REFUNDS

SCENARIOS: Final = PAID + REFUNDS + CLOSED + FOR_A_PERSON
