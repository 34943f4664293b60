"""A backtest as text: predicted, measured, error and spread of each cell; goals; order."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from replay.backtest.cell import FIGURES
from replay.backtest.compare import Cell, Order, Score, covered, orders, scores
from replay.backtest.likely import SHARE
from replay.report.align import aligned

#: Figure: (heading, unit, decimals).
_SHOWN = {
    "qps": ("throughput", "K/s", 0),
    "avg": ("avg", "us", 0),
    "p50": ("p50", "us", 0),
    "p95": ("p95", "us", 0),
    "p99": ("p99", "us", 0),
    "cpu": ("CPU", "%", 0),
    "kcycles": ("cycles/query", "K", 1),
    "irqs": ("interrupts", "K/s", 1),
    "polls": ("polls/query", "", 3),
    "epolls": ("epoll returns/query", "", 3),
}
_THOUSANDS = ("qps", "irqs")


def backtest_table(cells: Sequence[Cell]) -> str:
    """Return the table of all cells, then what they say of goals and of the policies' order."""
    names = [name for name in FIGURES if any(name in cell.measured.figures for cell in cells)]
    heads = [
        f"{_SHOWN[name][0]}{f' {_SHOWN[name][1]}' if _SHOWN[name][1] else ''}" for name in names
    ]
    rows = [["load", "policy", *heads]]
    rows += [[*_title(cell), *(_figure(cell, name) for name in names)] for cell in cells]
    text = "predicted / measured error (spread of measured runs); CPU's error is in points\n"
    text += "* fitted, ~ bistable: neither is scored\n\n"
    text += _columns(rows) + "\n" + _likely(cells, names)
    return text + _goals(scores(cells)) + "\n" + _orders(orders(cells))


def _title(cell: Cell) -> list[str]:
    mark = "*" * cell.fitted + "~" * cell.bistable
    return [cell.measured.load, cell.measured.policy + mark]


def _figure(cell: Cell, name: str) -> str:
    """Return one figure's entry; only the prediction where nothing was measured."""
    _, _, decimals = _SHOWN[name]
    scale = 1000 if name in _THOUSANDS else 1
    predicted = f"{cell.predicted[name] / scale:.{decimals}f}"
    error = cell.error(name)
    if error is None:
        return predicted
    text = f"{predicted} / {cell.measured.figures[name] / scale:.{decimals}f} {error:+.0f}"
    text += "" if name == "cpu" else "%"
    spread = cell.measured.spread.get(name)
    return text if spread is None or not isfinite(spread) else f"{text} ({100 * spread:.0f}%)"


def _likely(cells: Sequence[Cell], names: Sequence[str]) -> str:
    """Return the intervals of all figures, and how many hold what was measured."""
    if not any(cell.likely for cell in cells):
        return ""
    rows = [["load", "policy", *(_SHOWN[name][0] for name in names)]]
    rows += [[*_title(cell), *(_interval(cell, name) for name in names)] for cell in cells]
    found = covered(cells)
    held, number = (sum(pair[place] for pair in found.values()) for place in (0, 1))
    text = f"likely: {100 * SHARE:.0f} % intervals; ! does not hold what was measured\n\n"
    text += _columns(rows) + "\n"
    if number:
        each = ", ".join(f"{_SHOWN[name][0]} {a}/{b}" for name, (a, b) in found.items())
        share = f"{100 * held / number:.0f} %"
        text += f"intervals hold {held} of {number} measured figures of scored cells ({share}):"
        text += f" {each}\n\n"
    return text


def _interval(cell: Cell, name: str) -> str:
    """Return one figure's interval, marked where the measured value is not in it."""
    if name not in cell.likely:
        return ""
    decimals, scale = _SHOWN[name][2], 1000 if name in _THOUSANDS else 1
    low, high = (f"{end / scale:.{decimals}f}" for end in cell.likely[name])
    return f"{low}..{high}{'!' if cell.inside(name) is False else ''}"


def _goals(found: Sequence[Score]) -> str:
    """Return the goals, each with the errors of the cells that are scored."""
    rows = [["goal", "figure", "cells", "median", "goal", "mean", "goal", ""]]
    for score in found:
        goal = score.goal
        if score.median is None or score.mean is None:
            continue
        told = "" if goal.mean is None else f"{goal.mean:g}"
        rows.append(
            [
                *(goal.about, _SHOWN[goal.name][0], str(score.cells)),
                *(f"{score.median:.1f}", f"{goal.median:g}", f"{score.mean:.1f}", told),
                "reached" if score.reached else "missed",
            ]
        )
    return _columns(rows) if len(rows) > 1 else "no cell is scored\n"


def _orders(found: Sequence[Order]) -> str:
    """Return how many pairs of policies are in the measured order, and which are not."""
    lines = []
    for order in found:
        if not order.pairs:
            continue
        right = order.pairs - len(order.wrong)
        line = f"order by {_SHOWN[order.name][0]}: {right} of {order.pairs} pairs right"
        lines.append(line + (f"; wrong: {'; '.join(order.wrong)}" if order.wrong else ""))
    return "".join(f"{line}\n" for line in lines)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    return aligned(rows, [True] * len(rows[0]))
