"""Where work goes: which RX queue a packet's hash chooses.

`queue_of_flows` is in replay.layout.queues, which compiles.
"""

from replay.layout.indirection import indirection_equal, indirection_weights, parse_indirection
from replay.layout.key import VERIFICATION_KEY
from replay.layout.model import Layout, hash_entries, hash_of

__all__ = [
    "VERIFICATION_KEY",
    "Layout",
    "hash_entries",
    "hash_of",
    "indirection_equal",
    "indirection_weights",
    "parse_indirection",
]
