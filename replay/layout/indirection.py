"""The RSS indirection table: the queue of each value of the hash's low bits, as ethtool -X sets."""

from __future__ import annotations

from collections.abc import Sequence

from replay.errors import PolicyError

#: Entries of a common NIC's table (igb, ixgbe, ena); mlx5 has 256 and more, virtio says its own.
DEFAULT_SIZE = 128
#: The largest table and number of queues taken (drivers go up to 2,048 entries).
MAX_SIZE = 4_096
MAX_QUEUES = 4_096


def indirection_equal(n: int, size: int = DEFAULT_SIZE) -> tuple[int, ...]:
    """Return the table of `ethtool -X equal n`: entry i is queue i mod n."""
    check_queues(n)
    check_size(size)
    return tuple(i % n for i in range(size))


def indirection_weights(weights: Sequence[int], size: int = DEFAULT_SIZE) -> tuple[int, ...]:
    """Return the table of `ethtool -X weight w0 w1 ...`: neighbouring entries, in proportion.

    A queue of weight 0 gets none. Raises PolicyError for negative weights and for a sum outside 1
    to `size`.
    """
    check_queues(len(weights))
    check_size(size)
    total = sum(weights)
    if min(weights) < 0:
        raise PolicyError(f"indirection weight {min(weights)} is outside 0 to {size}")
    if not 1 <= total <= size:
        raise PolicyError(f"indirection weights sum to {total}, outside 1 to {size} (table size)")
    table = []
    queue, partial = -1, 0
    for i in range(size):
        while i >= size * partial // total:
            queue += 1
            partial += weights[queue]
        table.append(queue)
    return tuple(table)


def parse_indirection(text: str, queues: int, size: int = DEFAULT_SIZE) -> tuple[int, ...]:
    """Return the table that `text` names: `equal`, or weights such as `1,2,3` (queue 0 first).

    Raises PolicyError for other text, and for more weights than `queues`.
    """
    check_queues(queues)
    if text.strip() == "equal":
        return indirection_equal(queues, size)
    try:
        weights = [int(word) for word in text.split(",")]
    except ValueError:
        raise PolicyError(
            f"indirection {text!r} is neither 'equal' nor weights such as 1,2,3"
        ) from None
    if len(weights) > queues:
        raise PolicyError(
            f"indirection {text!r} has {len(weights)} weights; 1 to {queues} (queues) are possible"
        )
    return indirection_weights(weights, size)


def check_queues(queues: int) -> None:
    """Raise PolicyError where `queues` is no possible number of RX queues."""
    if not 1 <= queues <= MAX_QUEUES:
        raise PolicyError(f"queues = {queues} is outside 1 to {MAX_QUEUES}")


def check_size(size: int) -> None:
    """Raise PolicyError where `size` is no possible size of an indirection table."""
    if not 1 <= size <= MAX_SIZE or size & (size - 1):
        raise PolicyError(
            f"indirection table size {size} is not a power of two from 1 to {MAX_SIZE}"
        )
