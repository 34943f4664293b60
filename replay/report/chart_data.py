"""What the charts show, as plain records: latency curves, rates, poll sizes and CPU shares."""

from __future__ import annotations

from typing import Any

import numpy as np

from replay.percentiles import BEYOND
from replay.report.cells import label, microseconds, rate, share
from replay.result import PERCENTILES, Result, Row
from replay.units import MICROSECOND

Records = list[dict[str, Any]]

#: Points of a latency curve for each tenfold of 1 / (1 - q).
POINTS = 40

#: Factor on 1 / (1 - q) from one measured row's points to the next one's.
BESIDE = 1.07

#: Panels of the rates: counter and title.
RATES = {
    "irqs": "device interrupts/s",
    "timers": "timer interrupts/s",
    "polls": "polls/s",
    "polls_empty": "empty polls/s",
}

#: Shares of the CPU: key in `cpu_pct`, and its name.
CPU_NAMES = {
    "hardirq": "interrupts",
    "softirq": "polls",
    "kernel": "epoll_wait",
    "app": "application",
    "other": "background",
}
#: What is known to be busy, but not with what.
UNTOLD = "not told apart"


def whole_rows(result: Result) -> list[Row]:
    """Return the rows of all queues together."""
    return [row for row in result.rows if row.queue is None]


def latency_curves(result: Result) -> Records:
    """Return points of each replayed row's latency, evenly spread over log(1 / (1 - q)).

    A curve ends where fewer than ten values lie beyond.
    """
    records: Records = []
    for row in whole_rows(result):
        if row.latency is None or not row.latency.count:
            continue
        far = max(1.0, row.latency.count / BEYOND)
        steps = 1 + int(np.log10(far) * POINTS)
        for tail in np.geomspace(1.0, far, steps):
            value = row.latency.quantile(1.0 - 1.0 / float(tail))
            assert value is not None
            us = (value + row.client_ns) / MICROSECOND
            records.append(_latency(row, float(tail), us))
    return records


def latency_points(result: Result) -> Records:
    """Return the measured percentiles, with the middle half of the repetitions.

    Those of one percentile stand side by side, so that none hides another.
    """
    records: Records = []
    measured = [row for row in whole_rows(result) if row.kind == "measured"]
    for place, row in enumerate(measured):
        aside = BESIDE ** (place - (len(measured) - 1) / 2)
        for name, q in PERCENTILES.items():
            us = row.latency_us[name]
            if us is None:
                continue
            low, high = (row.intervals or {}).get(f"latency_{name}", (us, us))
            interval = f"{microseconds(low)} to {microseconds(high)}"
            record = _latency(row, 1.0 / (1.0 - q), us)
            record["tail"] = round(record["tail"] * aside, 6)
            records.append({**record, "low": low, "high": high, "interval": interval})
    return records


def rates(result: Result, counter: str) -> Records:
    """Return a counter's rate of each row, with the middle half where it was measured."""
    records: Records = []
    for row in whole_rows(result):
        value = row.rate(counter)
        if value is None:
            continue
        low, high = (row.intervals or {}).get(counter, (None, None))
        record = {"row": label(row), "policy": row.policy, "kind": row.kind, "value": value}
        end = value if high is None else max(value, high)  # where its number stands
        records.append({**record, "text": rate(value), "low": low, "high": high, "end": end})
    return records


def poll_sizes(result: Result) -> Records:
    """Return each replayed row's share of polls by the packets they found, empty ones left out."""
    records: Records = []
    for row in whole_rows(result):
        if row.poll_sizes is None:
            continue
        found = row.poll_sizes[1:]
        total = int(found.sum())
        for order, (low, high) in enumerate(_classes(len(found))):
            percent = 100.0 * float(found[low - 1 : high].sum()) / total if total else 0.0
            records.append(
                {
                    "row": label(row),
                    "size": f"{low}" if low == high else f"{low}-{high}",
                    "order": order,
                    "percent": percent,
                    "text": _percent(percent),
                }
            )
    return records


def cpu(result: Result) -> Records:
    """Return each row's shares of the CPU; of a measured row, also what is not told apart."""
    records: Records = []
    for row in whole_rows(result):
        shares = {name: row.cpu_pct[key] for key, name in CPU_NAMES.items()}
        if row.cpu_busy_pct is not None and None in shares.values():
            known = sum(percent or 0.0 for percent in shares.values())
            shares[UNTOLD] = max(0.0, row.cpu_busy_pct - known)
        if not row.cpu_pct["other"]:
            del shares[CPU_NAMES["other"]]  # few hosts have any
        for order, (work, percent) in enumerate(shares.items()):
            if percent is not None:
                about = {"row": label(row), "kind": row.kind, "work": work, "order": order}
                records.append({**about, "percent": percent, "text": f"{share(percent)}%"})
    return records


def _classes(largest: int) -> list[tuple[int, int]]:
    """Return classes of poll sizes, each twice as wide as the one before, up to 64 or `largest`."""
    classes = [(1, 1)]
    while classes[-1][1] < max(largest, 64):
        low = classes[-1][1] + 1
        classes.append((low, 2 * classes[-1][1]))
    return classes


def _percent(percent: float) -> str:
    """Return a share: nothing for none, and some for a little."""
    if not percent:
        return ""
    return "<0.1%" if percent < 0.05 else f"{share(percent)}%"


def _latency(row: Row, tail: float, us: float) -> dict[str, Any]:
    """Return one point of the latency chart."""
    percent = 100.0 * (1.0 - 1.0 / tail)
    return {
        "row": label(row),
        "policy": row.policy,
        "tail": round(tail, 6),
        "us": round(us, 3),
        "percentile": f"{percent:.4g}%" if tail < 10_000 else f"{percent:.6g}%",
        "text": microseconds(us),
    }
