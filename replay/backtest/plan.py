"""What is measured on the bench: every policy under every load, so often, in random order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from replay.errors import PolicyError
from replay.lab.policies import POLICIES, on_the_bench

LONGEST_S = 60.0
MOST_RUNS = 100
MOST_RATE = 1_000_000
MOST_SEED = 1 << 31


@dataclass(frozen=True)
class Plan:
    """Rates, policies, repetitions, and what of all that the calibration may see."""

    rates: tuple[int, ...] = (10_000, 30_000, 60_000)  # requests/s
    policies: tuple[str, ...] = POLICIES
    # The busy-polling run that the calibration may see; fullbusy's timers are the tick's
    busy: str = "napibusy"
    repetitions: int = 7
    window_s: float = 2.0
    seed: int = 1

    @property
    def busy_rate(self) -> int:
        """The load of that run: the middle one, where a request's cost shows, and a poll's too."""
        return sorted(self.rates)[(len(self.rates) - 1) // 2]

    def check(self) -> None:
        """Raise PolicyError for what cannot be measured."""
        for name in (*self.policies, self.busy):
            on_the_bench(name)
        if not on_the_bench(self.busy).busy_polls:
            raise PolicyError(f"busy = {self.busy!r} does not busy-poll: fullbusy or napibusy do")
        for name, value, low, high in (
            ("repetitions", self.repetitions, 1, MOST_RUNS),
            ("window", self.window_s, 0.1, LONGEST_S),
            ("seed", self.seed, 0, MOST_SEED),
            *(("rates", rate, 100, MOST_RATE) for rate in self.rates),
        ):
            if not low <= value <= high:
                raise PolicyError(f"{name} = {value:g} is outside {low:g} to {high:g}")


def plan_of(*, rates: str | tuple[int, ...] | None, policies: str | None, **others: Any) -> Plan:
    """Return the usual plan with these changes, None for none; lists are separated by commas.

    Raises PolicyError for rates that are no whole numbers.
    """
    changes = {name: value for name, value in others.items() if value is not None}
    if policies is not None:
        changes["policies"] = tuple(name.strip() for name in policies.split(","))
    if isinstance(rates, str):
        try:
            changes["rates"] = tuple(int(rate) for rate in rates.split(","))
        except ValueError:
            raise PolicyError(f"rates = {rates!r} is no list of whole numbers") from None
    elif rates is not None:
        changes["rates"] = rates
    return replace(Plan(), **changes)
