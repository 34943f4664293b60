from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from replay.arrivals import offered
from replay.errors import TraceError
from replay.measured import Measurements, measured_policy, measurements, with_error
from replay.trace.bundle import Trace, write_trace
from replay.trace.schema import OUTCOMES
from tests.tiny import HOST, tiny_trace


def truth(trace: Trace, load: float = 1.0, client_ns: int = 20_000) -> Measurements:
    host = replace(HOST, client_ns=client_ns)
    return measurements(trace, host, offered(trace, host, load=load, arrivals="auto"))


def test_measured_rates_become_counts_of_the_recordings_duration(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"duration_ns": 2_000_000_000})
    row = truth(trace).rows["base"]
    assert (row.irqs, row.requests, row.delivered) == (300, 400, 800)
    assert row.packets is None  # drops were not counted: what was offered is not known
    assert row.resumes is None
    assert row.latency_us["p50"] == 46.0
    assert row.latency_us["p95"] is None
    assert row.intervals is not None
    assert row.intervals["latency_p50"] == (45.0, 47.0)
    assert row.cpu_busy_pct == 14.0
    assert row.cpu_thread_pct == 10.0


def test_a_load_that_was_not_measured_has_no_rows(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    assert set(truth(trace).rows) == {"base", "suspend20"}
    assert truth(trace, load=1.5).rows == {}
    assert truth(trace, load=1.5).offered_per_s == 300.0


def test_the_rate_is_counted_where_the_manifest_does_not_say(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"offered_per_s": None})
    assert truth(trace).offered_per_s == 200.0
    assert set(truth(trace).rows) == {"base", "suspend20"}


def test_latencies_have_the_same_ends_or_are_not_compared(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    far = truth(trace)
    assert (far.latency_at, far.client_ns) == ("client send to receive", 20_000)
    near = truth(trace, client_ns=0)
    assert (near.latency_at, near.client_ns) == ("arrival to transmit", 0)
    measured = far.rows["base"]
    same = replace(measured, kind="model", irqs=300)
    errors = with_error(same, measured).error_pct
    assert errors is not None
    assert errors["irqs"] == 100.0
    assert errors["latency_p50"] == 0.0
    other = with_error(replace(same, latency_at=near.latency_at), measured).error_pct
    assert other is not None
    assert not any(name.startswith("latency_") for name in other)


def test_an_error_against_nothing_is_none_unless_nothing_is_right(tmp_path: Path) -> None:
    measured = truth(tiny_trace(tmp_path)).rows["base"]
    assert measured.timers == 0
    right = with_error(replace(measured, kind="model"), measured).error_pct
    assert right is not None
    assert right["timers"] == 0.0
    wrong = with_error(replace(measured, kind="model", timers=5), measured).error_pct
    assert wrong is not None
    assert "timers" not in wrong
    assert "resumes" not in wrong
    assert with_error(measured, None) is measured


def test_the_latency_of_a_saturated_host_is_not_compared(tmp_path: Path) -> None:
    measured = truth(tiny_trace(tmp_path)).rows["base"]
    overrun = replace(measured, verdict="saturated")
    errors = with_error(replace(measured, kind="model"), overrun).error_pct
    assert errors is not None
    assert "irqs" in errors
    assert "latency_p50" not in errors


def test_the_measured_policy_is_a_name_or_a_table_with_one(tmp_path: Path) -> None:
    for number, said in enumerate(["base", {"name": "base"}]):
        trace = tiny_trace(tmp_path, name=f"{number}.trace", manifest={"policy": said})
        policy = measured_policy(trace)
        assert policy is not None
        assert policy.name == "base"
    assert measured_policy(tiny_trace(tmp_path, manifest={"policy": None})) is None
    with pytest.raises(TraceError, match=r"json: unknown policy 'bsae'; did you mean base"):
        measured_policy(tiny_trace(tmp_path, name="odd.trace", manifest={"policy": "bsae"}))


def test_fewer_answers_than_requests_is_saturated(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"offered_per_s": 204.5})
    assert truth(trace).rows["base"].verdict == "ok"  # 200 of 201 offered when it was measured


def test_a_table_of_few_metrics_is_a_row_of_few_values(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    few = pc.equal(trace.outcomes["metric"], "irqs")
    outcomes = {"outcomes": trace.outcomes.filter(few), "packets": trace.packets}
    row = truth(write_trace(tmp_path / "few.trace", trace.manifest, outcomes)).rows["base"]
    assert row.irqs == 150
    assert row.verdict is None
    assert row.latency_at is None
    assert row.cpu_busy_pct is None
    assert row.packets_per_poll is None
    assert row.intervals == {"irqs": (149.0, 152.0)}


def test_a_rate_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="offered_per_s = 'many' is no number"):
        truth(tiny_trace(tmp_path, manifest={"offered_per_s": "many"}))


def test_a_measurement_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    lines = trace.outcomes.to_pylist()
    lines[0]["median"] = float("nan")
    outcomes = {"outcomes": pa.Table.from_pylist(lines, schema=OUTCOMES), "packets": trace.packets}
    odd = write_trace(tmp_path / "odd.trace", trace.manifest, outcomes)
    with pytest.raises(TraceError, match=r"outcomes\.arrow: requests is not finite"):
        truth(odd)
