"""All three hooks at once, with a helper: what the engine and the reference replay alike."""

SHORTEST_NS = 300


def _half(value):
    return value // 2


def interrupt_at(first_ns, armed_ns, last_ns):
    return max(first_ns + SHORTEST_NS, last_ns + 2_000)


def after_poll(timeout_ns, work, count):
    if work > 1:
        return _half(timeout_ns)
    return timeout_ns + 100 * count - 150


def found_nothing(spun_ns):
    return 400 if spun_ns < 2_500 else 0
