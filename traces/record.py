"""Record and measure a real server under every policy, on this machine, with one command.

    python traces/record.py --keep FOLDER

Needs root, Linux 6.13 or newer with two CPUs, and from Debian linux-perf, memcached, iproute2
and ethtool. Takes about twelve minutes, in which the machine should do nothing else. Works in
network namespaces of its own and leaves nothing behind but the FOLDER, however it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench import interrupt, machine, own_group, requirements
from bench.policies import POLICIES

if TYPE_CHECKING:
    from bench.campaign import Take

FAILED, UNFIT, STOPPED = 1, 2, 130
DEFAULT_TAKES = ("base@10000:2", "base@30000:0.7")


def main() -> int:
    """Refuse what cannot work; do the rest in a scheduling group of our own."""
    options = _options()
    with interrupt.noticed():
        try:
            requirements.check()
        except requirements.UnfitError as problem:
            return _end(UNFIT, problem)
        with tempfile.TemporaryDirectory(prefix="replay-traces-") as folder:
            return own_group.run(lambda: _work(options, Path(folder)))


def _work(options: argparse.Namespace, folder: Path) -> int:
    os.sched_setaffinity(0, {machine.CLIENT_CPU})
    try:
        runs = make_runs(options, folder)
        (folder / "runs.json").write_text(json.dumps(runs, indent=1) + "\n")
        options.keep.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            shutil.copyfile(path, options.keep / path.name)
    except interrupt.StoppedError as signal_name:
        return _end(STOPPED, f"stopped by {signal_name}")
    except requirements.UnfitError as problem:
        return _end(UNFIT, problem)
    except OSError as problem:
        return _end(FAILED, problem)
    return 0


def make_runs(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """All runs with what was counted in each; raw recordings go to the folder."""
    # These need what requirements.check() has just found to be there.
    from bench import campaign, counters
    from bench.rig import Rig

    sweep = campaign.Sweep(
        tuple(options.policies),
        tuple(options.rates),
        options.repetitions,
        options.window,
        options.seed,
    )
    with Rig() as rig:
        takes = [campaign.take(rig, wanted, folder, _report) for wanted in _takes(options)]
        return {
            "machine": machine.describe(),
            "rig": rig.describe(),
            "counted_by": counters.HOW,
            "takes": takes,
            "sweep": campaign.measure(rig, sweep, _report),
        }


def _takes(options: argparse.Namespace) -> list[Take]:
    from bench.campaign import Take

    takes = []
    for text in options.take:
        policy, _, rest = text.partition("@")
        rate, _, seconds = rest.partition(":")
        name = f"{policy}-{int(rate) // 1000}k"
        takes.append(Take(name, policy, int(rate), float(seconds), options.retakes, options.seed))
    return takes


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--keep", type=Path, required=True, metavar="FOLDER", help="where the results go")
    add("--policies", nargs="+", choices=POLICIES, default=list(POLICIES), metavar="POLICY")
    add("--rates", nargs="+", type=int, default=[10_000, 30_000, 60_000], metavar="PER_S")
    add("--repetitions", type=int, default=5, help="of every policy under every rate; 0: none")
    add("--window", type=float, default=2.0, metavar="S", help="measured seconds a run")
    add("--seed", type=int, default=1, help="decides all arrivals and the order of the runs")
    add("--take", nargs="*", default=DEFAULT_TAKES, metavar="POLICY@PER_S:S", help="recordings")
    add("--retakes", type=int, default=5, help="times a recording is made, to know its cost")
    return parser.parse_args()


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _end(status: int, why: object) -> int:
    print(f"record.py: {why}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
