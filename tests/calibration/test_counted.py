from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from replay.calibrate import calibrated
from replay.calibration.cells import Cell, Figure
from replay.calibration.counted import FLOORS, fit_host
from replay.calibration.predict import Arrivals
from replay.errors import PolicyError, TraceError
from replay.host import GENERIC, Host
from replay.policy import parse_policy
from tests.tiny import tiny_trace

TRUTH = replace(
    GENERIC, irq_ns=2_100, packet_ns=1_700, request_ns=4_000, busy_poll_ns=350, client_ns=21_000
)
NAMES = ("irq_ns", "packet_ns", "request_ns", "busy_poll_ns", "client_ns")


@pytest.fixture(autouse=True)
def fewer_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replay.calibration.predict.REQUESTS", 2_000)


def measured(policy: str, rate: float, host: Host = TRUTH) -> Cell:
    """A cell as a host with known constants would give it."""
    cell = Cell(parse_policy(policy), rate, {})
    told = Arrivals().row(cell, host).metrics()
    figures = {
        metric: Figure(told[metric] or 0.0, *2 * (told[metric] or 0.0,)) for metric in FLOORS
    }
    return replace(cell, figures=figures)


CELLS = [("base", 20_000), ("base", 100_000), ("fullbusy", 20_000), ("defer20", 50_000)]


def test_constants_are_found_again() -> None:
    cells = [measured(*cell) for cell in CELLS]
    prior = replace(GENERIC, client_ns=10_000)
    found = fit_host(cells, prior, NAMES, hold_out=False)
    for name in NAMES:
        true, before = getattr(TRUTH, name), getattr(prior, name)
        fitted = getattr(found.host, name)
        assert abs(fitted - true) < 0.35 * abs(before - true) + 0.05 * true, name
        cost = found.host.costs[name]
        assert cost.q1 <= fitted <= cost.q3
        assert "fitted to" in cost.source
    assert found.host.wake_ns == prior.wake_ns
    unseen = measured("suspend20", 50_000)
    before, after = (Arrivals().row(unseen, host).metrics() for host in (prior, found.host))
    for metric in ("polls", "cpu_busy", "latency_p50"):
        truth = unseen.figures[metric].median
        assert abs((after[metric] or 0) - truth) < 0.1 * truth, metric
    assert abs((before["latency_p50"] or 0) - unseen.figures["latency_p50"].median) > 5


def test_each_cell_is_held_out_in_turn() -> None:
    cells = [measured(*cell) for cell in CELLS[:3]]
    prior = replace(TRUTH, client_ns=10_000, request_ns=2_500)
    found = fit_host(cells, prior, ("client_ns", "request_ns"))
    assert set(found.errors) == {str(cell) for cell in cells}
    assert abs(found.errors["base at 100,000/s"]["latency_p50"]) < 5


def test_what_counters_cannot_tell_is_said() -> None:
    found = fit_host([measured("base", 20_000)], TRUTH, ("irq_ns", "busy_poll_ns"), hold_out=False)
    assert any("busy_poll_ns" in warning for warning in found.warnings)
    assert found.host.busy_poll_ns == TRUTH.busy_poll_ns


def test_a_saturated_cell_says_nothing_by_its_latency() -> None:
    cell = measured("base", 20_000)
    slow = replace(cell, figures={**cell.figures, "requests": Figure(9_000, 9_000, 9_000)})
    enough = [name for name in FLOORS if not name.startswith("latency_")]
    fit_host([slow], TRUTH, NAMES, hold_out=False)
    few = replace(slow, figures={name: slow.figures[name] for name in ("requests", "latency_p50")})
    with pytest.raises(PolicyError, match="1 cells hold 0"):
        fit_host([few], TRUTH, ("irq_ns",), hold_out=False)
    assert enough


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("irq_nanoseconds",), "fit: 'irq_nanoseconds' is none of"),
        (("irq_ns", "irq_ns"), "a constant is named twice"),
        (("irq_ns", "wake_ns"), "2 constants need as many figures, 1 cells hold 1"),
    ],
)
def test_bad_requests_are_one_line(names: tuple[str, ...], says: str) -> None:
    cell = Cell(parse_policy("base"), 1_000, {"irqs": Figure(1, 1, 1)})
    with pytest.raises(PolicyError) as error:
        fit_host([cell], TRUTH, names)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_from_a_csv_with_its_provenance(tmp_path: Path) -> None:
    cells = [measured(*cell) for cell in CELLS[:2]]
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["policy", "load", *FLOORS])
        for cell in cells:
            figures = [cell.figures[metric].median for metric in FLOORS]
            writer.writerow([cell.policy.name, cell.offered_per_s, *figures])
    found = calibrated(None, source=path, fit="client_ns", about="6.18, mlx5")
    assert found.host.name == "mine"
    assert found.host.about.startswith("6.18, mlx5; fitted to 2 cells of mine.csv on 20")
    assert set(found.errors) == {str(cell) for cell in cells}


def test_a_recording_of_unknown_load_and_options_without_counters(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"offered_per_s": None})
    with pytest.raises(TraceError, match="offered_per_s is missing"):
        Arrivals(trace)
    with pytest.raises(PolicyError, match="--fit is for a fit to counters"):
        calibrated(trace, fit="irq_ns")
    with pytest.raises(PolicyError, match="neither a recording nor counters"):
        calibrated(None)
