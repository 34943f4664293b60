"""`python -m tests.fuzz`: run many inputs through a parser, with bounds checked."""

from __future__ import annotations

import argparse
import faulthandler
import os
import resource
import sys
from collections import Counter
from pathlib import Path
from time import monotonic

os.environ.setdefault("NUMBA_BOUNDSCHECK", "1")  # before the parsers are imported

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, Target

_MEMORY = 2 << 30
_HANGING_S = 60
_STEP = 100
_LARGEST_SEED = 1 << 15


def main() -> int:
    """Run the inputs asked for; return 1 where one of them broke what must hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=list(TARGETS))
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--corpus", type=Path, help="a folder of real files to start from")
    wanted = parser.parse_args()
    if wanted.target is None:
        print("\n".join(TARGETS))
        return 0
    target = TARGETS[wanted.target]
    seeds = target.seeds() + _from(wanted.corpus, target)
    for seed in seeds:  # also compiles
        target.run(seed)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + _MEMORY,) * 2)
    start, ends = monotonic(), Counter[str]()
    for number in range(wanted.first, wanted.first + wanted.inputs):
        if number % _STEP == 0:
            faulthandler.dump_traceback_later(_HANGING_S, exit=True)
        data = mutated(seeds, wanted.seed, number)
        try:
            ends[target.run(data)] += 1
        except BaseException:
            Path("fuzz-found").write_bytes(data)
            again = f"--seed {wanted.seed} --first {number} --inputs 1"
            print(f"{wanted.target} {again}: written to fuzz-found", file=sys.stderr)
            raise
    faulthandler.cancel_dump_traceback_later()
    counted = ", ".join(f"{count:,} {end}" for end, count in ends.most_common())
    print(
        f"{wanted.target}: {wanted.inputs:,} inputs from {len(seeds):,} seeds"
        f" in {monotonic() - start:.0f} s: {counted}"
    )
    return 0


def _from(folder: Path | None, target: Target) -> list[bytes]:
    """Return the seeds in the files of a folder, those that are not long."""
    if folder is None:
        return []
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = (seed for path in files for seed in target.seeds_of(path.read_bytes()))
    return [seed for seed in found if len(seed) <= _LARGEST_SEED]


def _address_space() -> int:
    """Return the bytes of address space in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
