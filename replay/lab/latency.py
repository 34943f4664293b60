"""What the client saw: requests asked and answered in a window, and how long it took."""

from __future__ import annotations

import numpy as np

from replay.lab.requests import SECOND, Requests

PERCENTILES = {
    "p50": 50, "p90": 90, "p95": 95, "p99": 99, "p99_9": 99.9, "p99_99": 99.99, "max": 100
}  # fmt: skip


def summarise(requests: Requests, start_ns: int, end_ns: int) -> dict[str, float]:
    """Latency of the requests intended in the window, from the intended time to the answer.

    A request that was never answered counts with the time until the last answer of the run: its
    true latency is longer.
    """
    answered = requests.received_ns > 0
    served = (requests.received_ns >= start_ns) & (requests.received_ns < end_ns)
    within = (requests.intended_ns >= start_ns) & (requests.intended_ns < end_ns)
    seconds = (end_ns - start_ns) / SECOND
    last = requests.received_ns.max(initial=end_ns)
    until = np.where(answered, requests.received_ns, last)
    latency_us = (until - requests.intended_ns)[within] / 1e3
    return {
        "offered_per_s": int(within.sum()) / seconds,
        "served_per_s": int(served.sum()) / seconds,
        "unanswered": int((within & ~answered).sum()),
        "mean_us": float(latency_us.mean()),
        **{
            f"{name}_us": float(np.percentile(latency_us, percent))
            for name, percent in PERCENTILES.items()
        },
    }


def lateness(requests: Requests, start_ns: int, end_ns: int) -> dict[str, float]:
    """How long after their intended times the window's requests were sent, by a busy client.

    The latencies contain it.
    """
    sent = requests.sent_ns > 0
    within = (requests.intended_ns >= start_ns) & (requests.intended_ns < end_ns) & sent
    late_us = (requests.sent_ns - requests.intended_ns)[within] / 1e3
    return {
        f"late_{name}_us": float(np.percentile(late_us, PERCENTILES[name])) if len(late_us) else 0.0
        for name in ("p50", "p99")
    }
