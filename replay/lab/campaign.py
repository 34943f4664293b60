"""Everything that is measured and recorded in one go, in an order that no drift can favour."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay.lab import interrupt
from replay.lab.policies import on_the_bench
from replay.lab.rig import Rig
from replay.lab.run import Load, StandstillError, count, record

# Between two runs, for timers and closing connections of the last one to be over.
PAUSE_S = 0.1


@dataclass(frozen=True)
class Sweep:
    """Every policy under every load, several times, by counting."""

    policies: tuple[str, ...]
    rates: tuple[int, ...]
    repetitions: int
    window_s: float
    seed: int


@dataclass(frozen=True)
class Take:
    """One recording to be made."""

    name: str
    policy: str
    rate: int
    window_s: float
    repetitions: int
    seed: int


Report = Callable[[str], None]


def measure(rig: Rig, sweep: Sweep, report: Report) -> list[dict[str, object]]:
    """The runs of a sweep, shuffled by its seed, each with all that was counted.

    Repetition k asks the same requests at the same times under every policy.
    """
    shuffle = random.Random(sweep.seed).shuffle
    runs: list[dict[str, Any]] = []
    for repetition in range(sweep.repetitions):
        cells = [(name, rate) for name in sweep.policies for rate in sweep.rates]
        # Within a repetition only, so that every one sees all of them: machines have moods.
        shuffle(cells)
        for name, rate in cells:
            interrupt.obey()
            load = Load(rate, sweep.window_s, sweep.seed + repetition)
            run = _again(count, rig, on_the_bench(name), load)
            runs.append({"repetition": repetition} | run)
            report(f"{len(runs)}/{sweep.repetitions * len(cells)} counted {_line(run)}")
            time.sleep(PAUSE_S)
    return runs


def take(rig: Rig, wanted: Take, folder: Path, report: Report) -> dict[str, object]:
    """Make one recording several times, keep the least disturbed, and say what recording costs.

    Counted and recorded runs of the same requests take turns: their difference is the cost.
    Leaves NAME.perf.data and NAME.npz in the folder.
    """
    counted, recorded = [], []
    policy, load = on_the_bench(wanted.policy), Load(wanted.rate, wanted.window_s, wanted.seed)
    for repetition in range(wanted.repetitions):
        interrupt.obey()
        counted.append(_again(count, rig, policy, load))
        report(f"{wanted.name} counted {_line(counted[-1])}")
        time.sleep(PAUSE_S)
        path = folder / f"{wanted.name}-{repetition}"
        recorded.append(_again(record, rig, policy, load, path))
        report(f"{wanted.name} recorded {_line(recorded[-1])}")
        time.sleep(PAUSE_S)
    kept = _least_disturbed(recorded)
    for repetition in range(wanted.repetitions):
        for suffix in (".perf.data", ".npz"):
            path = folder / f"{wanted.name}-{repetition}{suffix}"
            if repetition == kept:
                path.rename(folder / f"{wanted.name}{suffix}")
            else:
                path.unlink()
    return {"name": wanted.name, "kept": kept, "recorded": recorded, "counted": counted}


def _again(run: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """Do a run, and once more, up to twice, if the machine stood still in it."""
    for _ in range(2):
        try:
            return run(*arguments)
        except StandstillError:
            time.sleep(1)
    return run(*arguments)


def _least_disturbed(runs: list[dict[str, Any]]) -> int:
    """Pauses of the machine itself show in the upper tail."""
    return min(range(len(runs)), key=lambda number: runs[number]["latency"]["p99_us"])


def _line(run: dict[str, Any]) -> str:
    latency = run["latency"]
    return (
        f"{run['policy']['name']} at {run['load']['rate']}/s: "
        f"served {latency['served_per_s']:.0f}/s, "
        f"p50 {latency['p50_us']:.0f} us, p99 {latency['p99_us']:.0f} us"
    )
