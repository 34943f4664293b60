"""A fit as text: each constant with its uncertainty and whether it was told; held-out errors."""

from __future__ import annotations

from replay.backtest.fitting import CONSTANTS, FittedBench
from replay.calibration.fit import IDENTIFIED, Fit
from replay.report.align import aligned
from replay.report.host import held_out_table


def fitted_table(found: FittedBench) -> str:
    """Return the constants of server and clients, held-out errors, and what the model misses by."""
    text = f"# {found.host.name}: {found.profile.about}\n"
    text += _constants(found.server) + "\n# network and clients\n" + _constants(found.clients)
    text += held_out_table(found.errors)
    kinds = found.profile.missed
    figures = list(next(iter(kinds.values())))
    lines = [["policies", *figures]]
    lines += [
        [kind, *(f"{100 * missed[name]:.0f}%" for name in figures)]
        for kind, missed in kinds.items()
    ]
    told = "\n# what the model misses by (one deviation), from the held-out errors\n"
    return text + told + aligned(lines, [True, *(False for _ in figures)])


def _constants(fit: Fit) -> str:
    """Return a fit's constants, a line each."""
    lines = [["constant", "before", "fitted", "deviation", "low", "high", "told", ""]]
    for unknown, value, deviation, learnt in zip(
        fit.unknowns, fit.values, fit.deviations, fit.learnt, strict=True
    ):
        numbers = (unknown.value, float(value), float(deviation), unknown.low, unknown.high)
        meaning = CONSTANTS[unknown.name].meaning if unknown.name in CONSTANTS else ""
        told = f"{100 * learnt:.0f}%" + ("" if learnt >= IDENTIFIED else " (not identified)")
        lines.append([unknown.name, *(f"{number:,.4g}" for number in numbers), told, meaning])
    return aligned(lines, [True, *(False,) * 5, True, True])
