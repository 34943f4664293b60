"""From raw recordings and counted runs to the bundles that the package reads."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from replay.errors import TraceError
from replay.ingest.perf import read_perf
from replay.ingest.reconstruct_error import table_errors
from replay.lab import interrupt
from replay.lab.facts import facts_of, preemption
from replay.lab.network import CLIENT_DEVICE, SERVER_DEVICE
from replay.lab.outcomes import outcomes
from replay.trace.bundle import write_trace

#: The first recording is the one that `replay whatif` finds by itself; the others lie beside it.
MORE = "more"


def write_bundles(runs: Mapping[str, Any], raw: Path, place: Path) -> list[Path]:
    """Write a bundle for each recording in `raw`, with all that was counted; return their paths.

    A bundle of the same name is replaced. Raises TraceError where one would lie elsewhere.
    """
    measured = outcomes(runs["sweep"])
    written: list[Path] = []
    for take in runs["takes"]:
        interrupt.obey()
        policy, _, rate = take["name"].partition("-")
        name = f"{runs['rig']['name']}-{policy}-{rate}.trace"
        if Path(name).name != name:  # it is replaced
            raise TraceError(f"{name!r} is no name of a bundle")
        folder = place / MORE if written else place
        folder.mkdir(exist_ok=True)
        path = folder / name
        recording = raw / take["name"]
        ingested = read_perf(
            recording.with_suffix(".perf.data"),
            device=SERVER_DEVICE,
            facts={"threaded": True, "peer_device": CLIENT_DEVICE},
        )
        manifest = ingested.manifest | facts_of(
            take,
            ingested,
            recording.with_suffix(".npz"),
            runs["timer"],
            # runs that were kept before it was told: of the machine that looks at them
            runs["machine"].get("preemption") or preemption(),
        )
        # GRO's entry and the stack's own event
        manifest["recorded_events"]["per_receive"] = 2
        manifest["arrival_error"] = [
            asdict(error)
            for error in table_errors(ingested.table("events"), manifest, CLIENT_DEVICE)
        ]
        manifest["server"] = runs["rig"]["server"]
        manifest["recorded_by"] = "traces/record.py: perf record -a -k CLOCK_MONOTONIC"
        manifest["host"] = {**manifest["host"], "hostname": "bench", "nic": "veth, NAPI thread"}
        interrupt.obey()
        shutil.rmtree(path, ignore_errors=True)
        tables = ingested.in_memory() | {"outcomes": measured}
        write_trace(path, manifest, tables, compress="zstd")
        written.append(path)
    return written
