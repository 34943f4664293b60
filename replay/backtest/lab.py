"""Measurements of this machine's own kernel, to judge predictions by: recorded, then counted.

What the model may see is a recording of `base`, counted runs of `base` under every load, and one
busy-polling run; all of it, and what is measured of every policy, goes to a folder from which
`replay.backtest.kept` predicts and compares, now or later.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from replay.backtest.kept import RUNS, Backtest, predicted
from replay.backtest.plan import Plan
from replay.errors import ReplayError
from replay.lab import interrupt, machine, own_group, requirements
from replay.lab.services import Service

MEASURED = "base"
RECORDED_S = 2.0
#: Recorded runs, of which the least disturbed is kept.
RECORDINGS = 3
Report = Callable[[str], None]


class LabError(ReplayError):
    """The bench failed."""


def lab(service: Service, plan: Plan, report: Report, keep: Path | None = None) -> Backtest:
    """Run the whole backtest on this machine, as root; nothing else should run meanwhile.

    All that was recorded and measured is copied to `keep`. It works in a child with a session of
    its own (see replay.lab.own_group). Raises UnfitError for what this machine lacks, PolicyError
    for what cannot be measured, OSError where `keep` cannot be a folder, LabError where the bench
    failed, StoppedError where a signal came.
    """
    plan.check()
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)  # what cannot be kept need not be measured
    with interrupt.noticed(), tempfile.TemporaryDirectory(prefix="replay-lab-") as scratch:
        requirements.check(service)
        folder = Path(scratch)
        failed = folder / "failed"

        def work() -> int:
            try:
                runs = _on_the_bench(service, plan, folder, report)
            except (OSError, ReplayError) as problem:
                failed.write_text(f"{service.name} on the bench: {problem}")
                return 1
            (folder / RUNS).write_text(json.dumps(runs))
            return 0

        status = own_group.run(work)
        if failed.exists():
            raise LabError(failed.read_text())
        if status or not (folder / RUNS).exists():
            raise LabError(f"the bench ended with status {status}")
        if keep is not None:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
        report("measured; now it is predicted, from what the calibration may see")
        return predicted(folder)


def _on_the_bench(service: Service, plan: Plan, folder: Path, report: Report) -> dict[str, Any]:
    """Record and measure; raw recordings go to `folder`."""
    # These need what requirements.check() has found to be there.
    from replay.lab import campaign, counters, facts, timer
    from replay.lab.rig import Rig

    os.sched_setaffinity(0, {machine.CLIENT_CPU})
    with Rig(service) as rig:
        rate = plan.rates[0]
        name = f"{MEASURED}-{rate // 1000}k"
        take = campaign.Take(name, MEASURED, rate, RECORDED_S, RECORDINGS, plan.seed)
        cost_of_timers = timer.measure()
        taken = campaign.take(rig, take, folder, report)
        # What the calibration sees is measured among all others: machines have moods.
        policies = tuple(dict.fromkeys((MEASURED, plan.busy, *plan.policies)))
        sweep = campaign.Sweep(
            policies, plan.rates, plan.repetitions, plan.window_s, plan.seed + 1_000
        )
        measured = campaign.measure(rig, sweep, report)
        return {
            "plan": asdict(plan),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": machine.describe() | {"preemption": facts.preemption()},
            "rig": rig.describe(),
            "timer": cost_of_timers,
            "counted_by": counters.describe(counters.counts(rig.napi_thread, rig.server.worker)),
            "takes": [taken],
            "sweep": [run for run in measured if _is_known(run, plan)],
            "measured": measured,
        }


def _is_known(run: Mapping[str, Any], plan: Plan) -> bool:
    """Whether the calibration may see a run."""
    cell = run["policy"]["name"], run["load"]["rate"]
    return cell[0] == MEASURED or cell == (plan.busy, plan.busy_rate)
