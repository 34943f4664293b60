"""Deferral that backs off: a mechanism that no kernel has, for `replay whatif --hooks`.

Linux' gro_flush_timeout is one number: short, it polls an idle host all the time, long, it delays
a busy one. Here each poll that finds nothing doubles it, and one that finds packets starts again.
"""

EMPTY_POLLS = 99  # what napi_defer_hard_irqs = 100 leaves after a poll that found packets
LONGEST_NS = 160_000


def after_poll(timeout_ns, work, count):
    """Double the timer that the kernel would start, once for each empty poll in a row."""
    if timeout_ns == 0:  # the kernel would arm the interrupt
        return 0
    empty = EMPTY_POLLS - count
    return min(timeout_ns << min(empty, 10), LONGEST_NS)
