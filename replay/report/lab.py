"""A backtest on the bench as text: predicted, measured and spread, and what it adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from replay.backtest.judge import METRICS, ORDERED, Compared, Judged, orders
from replay.backtest.kept import Backtest
from replay.report.align import aligned
from replay.report.cells import NOTHING, short, signed

_HEADS = {
    "irqs": "irqs/s",
    "timers": "timers/s",
    "polls_empty": "empty/s",
    "busy_polls": "busy/s",
    "epoll_returns": "epolls/s",
    "cpu_busy": "cpu%",
    "latency_p50": "p50",
    "latency_p95": "p95",
    "latency_p99": "p99",
}


def lab_table(result: Backtest) -> str:
    """Return a table a load, each figure as predicted(interval)/measured[quartiles], and a summary.

    A figure beyond its goal and beyond the quartiles has a `!`, what the calibration saw a `*`.
    """
    text = f"# server    {result.server}\n# machine   {result.kernel}\n"
    text += "# figures   predicted(90 %)/measured[middle half], ! beyond the goal; latencies µs\n"
    text += "# *         the calibration saw it\n"
    for rate in sorted({cell.rate for cell in result.cells}):
        cells = [cell for cell in result.cells if cell.rate == rate]
        lines = [["policy", "verdict", *_HEADS.values()]]
        lines += [_line(cell) for cell in cells]
        text += f"\n# {rate:,.0f} requests/s\n{aligned(lines, [True] * len(lines[0]))}"
    return text + "\n# What it adds up to, over the predictions\n" + _summary(result.cells)


def _line(cell: Compared) -> list[str]:
    words = {True: "saturated", False: "ok"}
    verdict = words[cell.saturated]
    if cell.saturated != cell.predicted_saturated:
        verdict = f"{words[cell.predicted_saturated]}/{verdict}!"
    figures = [_figure(cell.judged.get(metric)) for metric in METRICS]
    return [cell.policy + "*" * cell.seen, verdict, *figures]


def _figure(judged: Judged | None) -> str:
    if judged is None:
        return NOTHING
    measured = judged.measured
    spread = f"[{short(measured.q1)}-{short(measured.q3)}]"
    predicted = short(judged.predicted)
    if judged.likely is not None:
        low, high = judged.likely
        predicted += f"({short(low)}-{short(high)})"
    return f"{predicted}/{short(measured.median)}{spread}{'' if judged.good else '!'}"


def _summary(cells: Sequence[Compared]) -> str:
    heads = ["metric", "goal", "within", "of", "nothing", "median error", "largest", "in 90%"]
    lines = [heads]
    predicted = [cell for cell in cells if not cell.seen]
    for metric, goal in METRICS.items():
        told = [cell.judged[metric] for cell in predicted if metric in cell.judged]
        found = [it for it in told if not it.nothing]
        errors = [abs(it.error) for it in found if it.error is not None]
        lines.append(
            [
                _HEADS[metric],
                f"{100 * goal:.0f}%",
                str(sum(it.good for it in found)),
                str(len(found)),
                str(len(told) - len(found)),
                signed(100 * median(errors)).lstrip("+") if errors else NOTHING,
                signed(100 * max(errors)).lstrip("+") if errors else NOTHING,
                _covered(found),
            ]
        )
    text = aligned(lines, [True] + [False] * (len(heads) - 1))
    text += "nothing: counts of next to nothing, predicted and measured; not among the others\n"
    every = [it for cell in predicted for it in cell.judged.values()]
    text += f"90 % intervals: hold {_covered(every)} of what was measured\n"
    right = sum(cell.saturated == cell.predicted_saturated for cell in predicted)
    text += f"saturation: right in {right} of {len(predicted)} cells\n"
    for metric in ORDERED:
        good, pairs = orders(cells, metric)
        text += f"order by {_HEADS[metric]}: right in {good} of {pairs} pairs of policies\n"
    return text


def _covered(found: Sequence[Judged]) -> str:
    """Return how many intervals hold what was measured, of those that say anything."""
    told = [it.covered for it in found if it.covered is not None]
    return f"{sum(told)}/{len(told)}"
