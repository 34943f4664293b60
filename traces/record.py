"""Record and measure a real server under every policy, on this machine, with one command.

    python traces/record.py

Needs root, Linux 6.13 or newer with two CPUs, and from Debian linux-perf, memcached, iproute2
and ethtool. Takes about fifteen minutes, in which the machine should do nothing else. Works in
network namespaces of its own and leaves nothing behind but the bundles, however it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from replay.errors import ReplayError
from replay.lab import interrupt, machine, own_group, requirements
from replay.lab.policies import POLICIES
from replay.lab.services import SERVICES

FAILED, UNFIT = 1, 2
SERVER = "memcached"
TAKES = (("base", 10_000, 2.0), ("base", 30_000, 0.7))


def main() -> int:
    """Refuse what cannot work; do the rest in a scheduling group of our own."""
    options = _options()
    with interrupt.noticed():
        try:
            requirements.check(SERVICES[SERVER])
        except requirements.UnfitError as problem:
            return _end(UNFIT, problem)
        with tempfile.TemporaryDirectory(prefix="replay-traces-") as folder:
            return own_group.run(lambda: _work(options, Path(folder)))


def _work(options: argparse.Namespace, folder: Path) -> int:
    # This needs what requirements.check() has just found to be there.
    from replay.lab import bundles

    os.sched_setaffinity(0, {machine.CLIENT_CPU})
    try:
        runs = make_runs(options, folder)
        (folder / "runs.json").write_text(json.dumps(runs) + "\n")
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.iterdir()):
                shutil.copyfile(path, options.keep / path.name)
        options.output.mkdir(parents=True, exist_ok=True)
        for path in bundles.write_bundles(runs, folder, options.output):
            _report(f"wrote {path}")
    except interrupt.StoppedError as stopped:
        return _end(stopped.exit_status, stopped)
    except requirements.UnfitError as problem:
        return _end(UNFIT, problem)
    except (OSError, ReplayError) as problem:
        return _end(FAILED, problem)
    return 0


def make_runs(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """All runs with what was counted in each; raw recordings go to the folder."""
    # These need what requirements.check() has just found to be there.
    from replay.lab import campaign, counters, timer
    from replay.lab.rig import Rig

    sweep = campaign.Sweep(
        tuple(options.policies),
        tuple(options.rates),
        options.repetitions,
        options.window,
        options.seed,
    )
    wanted_takes = [
        campaign.Take(
            f"{policy}-{rate // 1000}k", policy, rate, seconds, options.retakes, options.seed
        )
        for policy, rate, seconds in options.take
    ]
    timer_cost = timer.measure()
    with Rig(SERVICES[SERVER]) as rig:
        takes = [campaign.take(rig, wanted, folder, _report) for wanted in wanted_takes]
        return {
            "machine": machine.describe(),
            "rig": rig.describe(),
            "timer": timer_cost,
            "counted_by": counters.describe(counters.counts(rig.napi_thread, rig.server.worker)),
            "takes": takes,
            "sweep": campaign.measure(rig, sweep, _report),
        }


def _take(text: str) -> tuple[str, int, float]:
    """Read POLICY@PER_S:S."""
    policy, _, load = text.partition("@")
    rate, _, seconds = load.partition(":")
    if policy not in POLICIES:
        raise argparse.ArgumentTypeError(f"{policy!r} is not among {', '.join(POLICIES)}")
    try:
        return policy, int(rate), float(seconds)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not POLICY@PER_S:S") from None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    here = Path(__file__).parent
    add("--output", type=Path, default=here, metavar="FOLDER", help="where the bundles go")
    add("--keep", type=Path, metavar="FOLDER", help="where the raw recordings and counts go")
    add("--policies", nargs="+", choices=POLICIES, default=list(POLICIES), metavar="POLICY")
    add("--rates", nargs="+", type=int, default=[10_000, 30_000, 60_000], metavar="PER_S")
    add("--repetitions", type=int, default=9, help="of every policy under every rate; 0: none")
    add("--window", type=float, default=2.0, metavar="S", help="measured seconds a run")
    add("--seed", type=int, default=1, help="decides all arrivals and the order of the runs")
    add("--take", nargs="*", type=_take, default=TAKES, metavar="POLICY@PER_S:S", help="recordings")
    add("--retakes", type=int, default=5, help="times a recording is made, to know its cost")
    return parser.parse_args()


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _end(status: int, why: object) -> int:
    print(f"record.py: {why}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
