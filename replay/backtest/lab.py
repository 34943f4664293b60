"""Predictions against this machine's own kernel: record, calibrate, predict, then measure.

One recording of `base`, counted runs of `base` under every load and of one busy-polling policy are
all that the model sees. Every other policy is predicted before it is measured.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.backtest.judge import METRICS, Compared, compared
from replay.calibration.cells import Cell, cells_of
from replay.calibration.counted import Fitted, fit_host
from replay.calibration.predict import Arrivals
from replay.calibration.recorded import calibrate
from replay.errors import PolicyError, ReplayError
from replay.lab import interrupt, machine, own_group, requirements
from replay.lab.outcomes import outcomes
from replay.lab.policies import POLICIES, on_the_bench
from replay.lab.services import Service
from replay.trace.bundle import Trace, open_trace

if TYPE_CHECKING:
    from replay.lab.rig import Rig

#: What the fit may move, each seen in some counter of base or of the busy-polling run.
CONSTANTS = (
    *("irq_ns", "poll_ns", "packet_ns", "wake_ns", "notify_ns", "recorded_ns"),
    *("busy_poll_ns", "client_ns"),
)
MEASURED = "base"
RECORDED_S = 2.0
LONGEST_S = 60.0
MOST_RUNS = 100
Report = Callable[[str], None]


class LabError(ReplayError):
    """The bench failed."""


@dataclass(frozen=True)
class Plan:
    """What is measured: every policy under every rate, so often, in random order."""

    rates: tuple[int, ...] = (10_000, 30_000, 60_000)  # requests/s
    policies: tuple[str, ...] = POLICIES
    busy: str = "fullbusy"  # the busy-polling run that the calibration may see
    repetitions: int = 7
    window_s: float = 2.0
    seed: int = 1

    def check(self) -> None:
        """Raise PolicyError for what cannot be measured."""
        for name in (*self.policies, self.busy):
            on_the_bench(name)
        if not on_the_bench(self.busy).busy_polls:
            raise PolicyError(f"busy = {self.busy!r} does not busy-poll: fullbusy or napibusy do")
        for name, value, low, high in (
            ("repetitions", self.repetitions, 1, MOST_RUNS),
            ("window", self.window_s, 0.1, LONGEST_S),
            *(("rates", rate, 100, 1_000_000) for rate in self.rates),
        ):
            if not low <= value <= high:
                raise PolicyError(f"{name} = {value:g} is outside {low:g} to {high:g}")


@dataclass(frozen=True)
class Backtest:
    """What was predicted and what was measured, cell by cell."""

    server: str
    kernel: str
    fitted: Fitted
    cells: tuple[Compared, ...]


def lab(service: Service, plan: Plan, report: Report, keep: Path | None = None) -> Backtest:
    """Run the whole backtest on this machine, as root; nothing else should run meanwhile.

    The recording and its bundle are copied to `keep`. It works in a child with a session of its
    own (see replay.lab.own_group). Raises UnfitError for what this machine lacks, PolicyError for
    what cannot be measured, LabError where the bench failed, StoppedError where a signal came.
    """
    plan.check()
    with interrupt.noticed(), tempfile.TemporaryDirectory(prefix="replay-lab-") as scratch:
        requirements.check(service)
        folder = Path(scratch)
        done = folder / "backtest.pickle"

        def work() -> int:
            try:
                done.write_bytes(pickle.dumps(_on_the_bench(service, plan, folder, report)))
            except (OSError, ReplayError) as problem:
                done.write_bytes(pickle.dumps(LabError(f"{service.name} on the bench: {problem}")))
            return 0

        status = own_group.run(work)
        if not done.exists():
            raise LabError(f"the bench ended with status {status}")
        found = pickle.loads(done.read_bytes())
        if isinstance(found, LabError):
            raise found
        if keep is not None:
            done.unlink()
            shutil.copytree(folder, keep, dirs_exist_ok=True)
        assert isinstance(found, Backtest)
        return found


def _on_the_bench(service: Service, plan: Plan, folder: Path, report: Report) -> Backtest:
    """Record, calibrate, predict, measure; raw recordings and the bundle go to `folder`."""
    # These need what requirements.check() has found to be there.
    from replay.lab import campaign
    from replay.lab.rig import Rig

    os.sched_setaffinity(0, {machine.CLIENT_CPU})
    with Rig(service) as rig:
        trace, kernel = _known(rig, plan, folder, report)
        cells = cells_of(trace.outcomes.to_pylist())
        known = [replace(cell, policy=on_the_bench(cell.policy.name)) for cell in cells]
        fitted = fit_host(known, calibrate(trace), CONSTANTS, arrivals=Arrivals(trace))
        predicted = _predict(trace, fitted, plan)
        report(f"predicted {len(predicted)} cells; now they are measured")
        sweep = campaign.Sweep(
            plan.policies, plan.rates, plan.repetitions, plan.window_s, plan.seed + 1_000
        )
        measured = cells_of(outcomes(campaign.measure(rig, sweep, report)).to_pylist())
        seen = {(cell.policy.name, round(cell.offered_per_s)) for cell in known}
        return Backtest(
            str(rig.describe()["server"]),
            kernel,
            fitted,
            tuple(
                compared(cell, predicted[key], seen=key in seen)
                for cell in measured
                for key in [(cell.policy.name, round(cell.offered_per_s))]
            ),
        )


def _known(rig: Rig, plan: Plan, folder: Path, report: Report) -> tuple[Trace, str]:
    """Record base and count what the calibration may see; return it as a bundle."""
    from replay.lab import campaign, counters, timer
    from replay.lab.bundles import write_bundles

    take = campaign.Take(
        f"{MEASURED}-{plan.rates[0] // 1000}k", MEASURED, plan.rates[0], RECORDED_S, 5, plan.seed
    )
    cost_of_timers = timer.measure()
    taken = campaign.take(rig, take, folder, report)
    middle = sorted(plan.rates)[0]
    wanted = [(MEASURED, rate) for rate in plan.rates] + [(plan.busy, middle)]
    wanted = [cell for cell in wanted for _ in range(min(3, plan.repetitions))]
    random.Random(plan.seed).shuffle(wanted)
    counted: list[Mapping[str, Any]] = []
    for number, (policy, rate) in enumerate(wanted):
        sweep = campaign.Sweep((policy,), (rate,), 1, plan.window_s, plan.seed + number)
        counted += campaign.measure(rig, sweep, report)
    described = machine.describe()
    runs = {
        "machine": described,
        "rig": rig.describe(),
        "timer": cost_of_timers,
        "counted_by": counters.describe(counters.counts(rig.napi_thread, rig.server.worker)),
        "takes": [taken],
        "sweep": counted,
    }
    (bundle,) = write_bundles(runs, folder, folder)
    return open_trace(bundle), f"{described['kernel']}, {described['cpu_model']}"


def _predict(trace: Trace, fitted: Fitted, plan: Plan) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the model's metrics of every cell, by policy and rate."""
    arrivals = Arrivals(trace)
    found = {}
    for name in plan.policies:
        for rate in plan.rates:
            row = arrivals.row(Cell(on_the_bench(name), rate, {}), fitted.host)
            known = row.metrics()
            told = {metric: known.get(metric) for metric in METRICS}
            found[name, rate] = {**told, "verdict": row.verdict}
    return found


def plan_of(*, rates: str | None, policies: str | None, **others: Any) -> Plan:
    """Return the usual plan with these changes, None for none; lists are separated by commas.

    Raises PolicyError for rates that are no whole numbers.
    """
    changes = {name: value for name, value in others.items() if value is not None}
    if policies is not None:
        changes["policies"] = tuple(name.strip() for name in policies.split(","))
    if rates is not None:
        try:
            changes["rates"] = tuple(int(rate) for rate in rates.split(","))
        except ValueError:
            raise PolicyError(f"rates = {rates!r} is no list of whole numbers") from None
    return replace(Plan(), **changes)
