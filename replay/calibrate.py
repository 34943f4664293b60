"""What each step of the receive path costs on a host: the verb behind `replay calibrate`.

From a recording's own events (`replay.calibration.recorded`), or from counters that were measured
under some policies and loads (`replay.calibration.counted`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from replay.calibration.recorded import calibrate
from replay.errors import PolicyError
from replay.host import GENERIC, Host, read_host
from replay.trace.bundle import Trace

__all__ = ["Calibrated", "calibrate", "calibrated"]


@dataclass(frozen=True)
class Calibrated:
    """A host, what must be said of it, and the error of each cell that a fit did not see."""

    host: Host
    warnings: tuple[str, ...] = ()
    errors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # cell: metric: %


def calibrated(
    trace: Trace | None,
    *,
    source: str | os.PathLike[str] | None = None,
    fit: str | None = None,
    prior: str | os.PathLike[str] | None = None,
    about: str | None = None,
) -> Calibrated:
    """Return the host that `trace` records; with `source`, its constants fitted to that CSV.

    A fit starts from the host file `prior`, else from the recording's events, else from the generic
    host, and replays the recording's arrivals, else Poisson ones. `fit` names the constants,
    separated by commas. Raises TraceError and PolicyError in one line.
    """
    if source is None:
        for name, given in (("fit", fit), ("host", prior)):
            if given is not None:
                raise PolicyError(f"--{name} is for a fit to counters: --from CSV")
        if trace is None:
            raise PolicyError("neither a recording nor counters (--from CSV) to calibrate on")
        host = calibrate(trace)
        return Calibrated(host if about is None else replace(host, about=about))
    from replay.calibration.cells import read_cells
    from replay.calibration.counted import USUAL, fit_host
    from replay.calibration.predict import Arrivals

    cells = read_cells(source)
    start = _prior(trace, prior)
    names = USUAL if fit is None else tuple(name.strip() for name in fit.split(","))
    found = fit_host(cells, start, names, arrivals=Arrivals(trace))
    said = start.about if about is None else about
    told = f"fitted to {len(cells)} cells of {Path(source).name} on {date.today().isoformat()}"
    host = replace(found.host, name=Path(source).stem, about=f"{said}; {told}" if said else told)
    return Calibrated(host, found.warnings, found.errors)


def _prior(trace: Trace | None, prior: str | os.PathLike[str] | None) -> Host:
    """Return what is known of the host before counters are looked at."""
    if prior is not None:
        return read_host(prior)
    if trace is not None and trace.events.num_rows:
        return calibrate(trace)
    return GENERIC
