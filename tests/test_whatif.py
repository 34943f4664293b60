from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from replay.engine.outcome import Outcome
from replay.errors import PolicyError, TraceError
from replay.host import NICS, Host, costs_of, write_host
from replay.places import Places
from replay.policy import Policy
from replay.report import FORMATS
from replay.trace.bundle import write_trace
from replay.trace.schema import EVENTS, EventKind
from replay.whatif import what_if
from tests.tiny import HOST, answer_by_rule, tiny_trace


def test_rows_stand_in_the_order_in_which_they_are_read(tmp_path: Path) -> None:
    result = what_if(tiny_trace(tmp_path), host=HOST)
    assert [(row.kind, row.policy) for row in result.rows] == [
        ("measured", "base"),
        ("model", "base"),
        ("alternative", "defer20"),
        ("alternative", "suspend20"),
        ("measured", "suspend20"),
        ("alternative", "fullbusy"),
        ("bound", "zero-cost"),
    ]
    for row in result.rows:
        told = row.policy in ("base", "suspend20") and row.kind != "measured"
        assert (row.error_pct is not None) == told
        assert row.latency_at == "client send to receive"
    assert (result.trace, result.host, result.arrivals) == ("tiny", "tiny-host", "open")


def test_replayed_rows_hold_what_every_replay_holds(tmp_path: Path) -> None:
    result = what_if(tiny_trace(tmp_path), ["suspend20", "napibusy"], host=HOST)
    bound = result.rows[-1]
    for row in result.rows:
        if row.kind == "measured":
            continue
        assert row.packets is not None
        assert row.delivered is not None
        assert row.dropped is not None
        assert row.packets >= row.delivered + row.dropped
        assert sum(share or 0.0 for share in row.cpu_pct.values()) == pytest.approx(100.0)
        mean, least = row.latency_us["mean"], bound.latency_us["mean"]
        assert mean is not None
        assert least is not None
        assert mean >= least
        assert row.verdict == "ok"


def test_nothing_is_free_but_the_bound_where_an_answer_takes_its_service(tmp_path: Path) -> None:
    bound = what_if(tiny_trace(tmp_path), ["base"], host=HOST).rows[-1]
    assert bound.kind == "bound"
    # Half of the requests are served in 4 us, half in the host's 3.5 us; 20 us at the client.
    assert bound.latency_us["mean"] == pytest.approx(23.75)
    assert bound.cpu_pct["app"] == pytest.approx(100 * 200 * 3_750 / 1e9)


def test_the_measured_policy_is_asked_only_once(tmp_path: Path) -> None:
    result = what_if(tiny_trace(tmp_path), ["base", "defer50", "defer50"], host=HOST)
    assert [row.policy for row in result.rows] == ["base", "base", "defer50", "zero-cost"]


def test_without_a_policy_in_the_manifest_nothing_is_measured(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"policy": None}, outcomes=False)
    result = what_if(trace)
    assert [(row.kind, row.policy) for row in result.rows] == [
        ("alternative", "base"),
        ("alternative", "defer20"),
        ("alternative", "suspend20"),
        ("alternative", "fullbusy"),
        ("bound", "zero-cost"),
    ]
    assert {row.latency_at for row in result.rows} == {"arrival to transmit"}
    assert any("does not name its policy" in note for note in result.notes)
    assert any("holds no kernel events" in note for note in result.notes)


def test_a_load_that_was_not_measured_says_so(tmp_path: Path) -> None:
    result = what_if(tiny_trace(tmp_path), ["defer20"], host=HOST, load=3)
    assert [row.kind for row in result.rows] == ["model", "alternative", "bound"]
    assert all(row.error_pct is None and row.load == 3 for row in result.rows)
    assert any("base was not measured at this load" in note for note in result.notes)
    assert any("load 3: the recorded arrivals in 1/3 of the time" in note for note in result.notes)
    assert result.rows[0].rate("requests") == pytest.approx(600)


def test_ends_that_differ_are_not_compared_and_both_are_said(tmp_path: Path) -> None:
    result = what_if(tiny_trace(tmp_path), ["defer20"], host=replace(HOST, client_ns=0))
    measured, model = result.rows[:2]
    assert measured.latency_at == "client send to receive"
    assert model.latency_at == "arrival to transmit"
    assert model.error_pct is not None
    assert "latency_p50" not in model.error_pct
    assert "irqs" in model.error_pct
    assert any("are not compared" in note for note in result.notes)


def test_a_layout_leaves_the_model_as_recorded(tmp_path: Path) -> None:
    result = what_if(tiny_trace(tmp_path), ["defer20"], host=HOST, queues=4, per_queue=True)
    whole = [(row.kind, row.policy) for row in result.rows if row.queue is None]
    assert whole == [
        ("measured", "base"),
        ("model", "base"),
        ("alternative", "base"),
        ("alternative", "defer20"),
        ("bound", "zero-cost"),
    ]
    assert next(row.queue for row in result.rows if row.policy == "defer20") is None
    for policy in ("defer20", "zero-cost"):
        rows = [row for row in result.rows if row.policy == policy]
        total, *queues = rows
        assert [row.queue for row in queues] == [0, 1, 2, 3]
        assert total.packets == sum(row.packets or 0 for row in queues)
        assert total.irqs == sum(row.irqs or 0 for row in queues)
    assert all(row.error_pct is None for row in result.rows if row.kind == "alternative")
    assert any("published verification key" in note for note in result.notes)


def test_one_queue_of_one_is_as_recorded(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    assert what_if(trace, host=HOST, queues=1).rows == what_if(trace, host=HOST).rows


def test_any_number_of_threads_gives_the_same(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    texts = {
        FORMATS["json"](what_if(trace, host=HOST, queues=8, per_queue=True, threads=threads))
        for threads in (1, 2, 5)
    }
    assert len(texts) == 1


def test_arrivals_closed_are_named(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    assert what_if(trace, ["base"], host=HOST, arrivals="closed").arrivals == "closed"
    unknown = tiny_trace(tmp_path, name="unknown.trace", manifest={"loop": "unknown"})
    notes = what_if(unknown, ["base"], host=HOST).notes
    assert any("loop mode is not known: arrivals are open" in note for note in notes)


def test_a_host_from_a_file(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    write_host(tmp_path / "host.toml", replace(HOST, name="mine"))
    result = what_if(trace.path, ["base"], host=tmp_path / "host.toml")
    assert result.host == "mine"
    assert result.rows == what_if(trace, ["base"], host=HOST).rows


def test_a_recording_with_events_is_its_own_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tiny_trace(tmp_path)
    poll = {"time_ns": 1, "cpu": 1, "kind": int(EventKind.POLL)}
    events = pa.Table.from_pylist([poll], schema=EVENTS)
    tables = {"packets": trace.packets, "events": events}
    traced = write_trace(tmp_path / "traced.trace", trace.manifest, tables)
    monkeypatch.setattr("replay.calibrate.calibrate", lambda it: replace(HOST, name=it.name))
    result = what_if(traced, ["base"])
    assert result.host == "traced"
    assert not any("generic" in note for note in result.notes)


def test_policies_may_be_objects(tmp_path: Path) -> None:
    result = what_if(tiny_trace(tmp_path), [Policy("mine", weight=8)], host=HOST)
    assert result.rows[-2].policy == "mine"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"load": 0}, r"load = 0 is outside 0\.01 to 1000 times the recorded rate"),
        ({"load": float("nan")}, "load = nan is outside"),
        ({"load": 1001}, "load = 1001 is outside"),
        ({"load_by": "magic"}, "load-by = 'magic' is none of compression, superposition"),
        ({"load_by": "superposition", "load": 1.5}, "load = 1.5 is no number of copies"),
        ({"nic": "mlx6"}, "nic = 'mlx6' is none of mlx5"),
        ({"policies": ["base+base"]}, "policy 'base.base' is for 2 NICs, and there is 1"),
        ({"arrivals": "sometimes"}, "arrivals = 'sometimes' is none of auto, open, closed"),
        ({"queues": 0}, "queues = 0 is outside 1 to 1024"),
        ({"policies": ["suspendd20"]}, "unknown policy 'suspendd20'; did you mean suspend20"),
        ({"policies": ["defer20:weight=0"]}, "weight = 0 is outside 1 to 65,535 packets"),
    ],
)
def test_a_question_that_cannot_be_asked(
    tmp_path: Path, question: dict[str, object], message: str
) -> None:
    with pytest.raises(PolicyError, match=message):
        what_if(tiny_trace(tmp_path), host=HOST, **question)  # type: ignore[arg-type]


@pytest.fixture
def ruled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Have the rule answer for the engine, and keep what it was asked."""
    jobs: list[tuple[Any, ...]] = []

    def answer(workload: Any, policy: Any, host: Host, topology: Any, **more: Any) -> Outcome:
        first = policy if isinstance(policy, Policy) else policy[0]
        jobs.append((workload, policy, costs_of(first, host), topology))  # as the engine finds it
        return answer_by_rule(workload, policy, host, topology, **more)

    monkeypatch.setattr("replay.whatif.replay_island", answer)
    return jobs


def test_another_nic_leaves_the_model_as_recorded(
    tmp_path: Path, ruled: list[tuple[Any, ...]]
) -> None:
    result = what_if(tiny_trace(tmp_path), ["dim"], host=HOST, nic="i40e", threads=1)
    assert [(row.kind, row.policy) for row in result.rows] == [
        ("measured", "base"),
        ("model", "base"),
        ("alternative", "base"),
        ("alternative", "dim"),
        ("bound", "zero-cost"),
    ]
    assert [job[2].coalescing for job in ruled[:3]] == ["timer", "gap", "gap"]
    assert all(job[0].size is not None for job in ruled)
    assert result.about["host"].endswith(f"NIC i40e: {NICS['i40e'].about}")
    assert any("(1 queue, 1 CPU, 1 worker, NIC i40e)" in note for note in result.notes)


def test_queues_that_share_a_cpu_are_one_island(
    tmp_path: Path, ruled: list[tuple[Any, ...]]
) -> None:
    places = Places(cpus=4, irq_cpus=(0, 0, 1), queue_nics=(0, 1, 1))
    result = what_if(
        tiny_trace(tmp_path),
        ["base:weight=64+base:weight=16", "tapi"],
        host=HOST,
        queues=3,
        places=places,
        per_queue=True,
        draws=0,
        threads=1,
    )
    both = [job for job in ruled if isinstance(job[1], tuple)]
    assert [[policy.weight for policy in job[1]] for job in both] == [[64, 16]] * 2
    shared, alone = (job[3] for job in both)
    assert (shared.queue_cpu, shared.queue_device, alone.queue_device) == ((0, 0), (0, 1), (1,))
    (packed,) = (job for job in ruled if isinstance(job[1], Policy) and job[1].name == "tapi")
    assert packed[3].queue_cpu == (0, 0, 1)
    assert len(packed[3].cpu_domain) == 4
    rows = {row.queue: row for row in result.rows if row.policy == "base:weight=64+base:weight=16"}
    assert set(rows) == {None, 0, 1, 2}
    assert (rows[1].epoll_returns, rows[2].epoll_returns is None) == (None, False)
    # Two of the four CPUs do nothing: they are idle all the time.
    assert rows[None].cpu_pct["idle"] == pytest.approx(
        (rows[0].cpu_pct["idle"] + rows[2].cpu_pct["idle"] + 200) / 4
    )
    assert result.about["places"].startswith("4 CPUs on 1 cache, queues' interrupts on 0,0,1")
    assert any("queues 0, 1 share CPUs" in note for note in result.notes)
    assert any("queues 0, 1, 2 share CPUs" in note for note in result.notes)
    assert any("handoff_ns and far_ns are 0" in note for note in result.notes)  # tapi's poller


def test_copies_are_more_load(tmp_path: Path, ruled: list[tuple[Any, ...]]) -> None:
    question: dict[str, Any] = {"host": HOST, "load": 3, "load_by": "superposition"}
    result = what_if(tiny_trace(tmp_path), ["base"], **question)
    assert result.rows[0].load == 3
    assert result.rows[0].rate("requests") == pytest.approx(600)
    assert "3 independent copies at once (superposition)" in result.about["arrivals"]
    assert all(job[0].size is None for job in ruled)


def test_causes_are_told_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replay.whatif.replay_island", answer_by_rule)
    trace = tiny_trace(tmp_path)
    plain = what_if(trace, ["base"], host=HOST)
    assert not plain.explained
    asked = what_if(trace, ["base"], host=HOST, queues=2, per_queue=True, causes=True)
    assert asked.rows[0].kind == "measured"
    assert asked.rows[0].causes is None
    for row in asked.rows[1:]:
        assert row.causes is not None
        assert sum(us or 0.0 for us in row.causes.values()) == pytest.approx(row.latency_us["mean"])
        assert row.causes["client"] == 20
        assert row.tail_cause in ("queueing", "service")
    assert asked.rows[1].tail_begins == "p95"


def test_rows_that_keep_the_recorded_machine_are_named(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    plain = what_if(trace, ["base"], host=HOST)
    assert "cpu%" not in plain.about
    assert not any("recorded (" in note for note in plain.notes)
    asked = what_if(trace, ["base"], host=HOST, queues=4, per_queue=True)
    assert any(
        note.startswith("measured and model rows are of the machine as recorded (1 queue, 1 CPU,")
        and "of the one asked for (4 queues, 4 CPUs, 4 workers)" in note
        for note in asked.notes
    )
    assert any("it has no row a queue" in note for note in asked.notes)
    assert asked.about["cpu%"] == "mean over the CPUs"
    unmeasured = what_if(trace, ["base"], host=HOST, queues=4, load=3)
    assert any(note.startswith("the model row is of the machine as") for note in unmeasured.notes)
    unknown = tiny_trace(tmp_path, name="u.trace", manifest={"policy": None}, outcomes=False)
    assert not any("machine as recorded" in note for note in what_if(unknown, queues=4).notes)


def test_bounds_that_are_asked_for_are_bounds(tmp_path: Path, ruled: list[tuple[Any, ...]]) -> None:
    result = what_if(
        tiny_trace(tmp_path), ["zero-cost", "onload", "base"], host=HOST, draws=0, threads=1
    )
    assert [(row.kind, row.policy) for row in result.rows[2:]] == [
        ("bound", "onload"),
        ("bound", "zero-cost"),
    ]
    assert [job[2].packet_ns for job in ruled] == [800, 250, 0]


def test_a_trace_that_is_cut(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    packets = trace.path / "packets.arrow"
    packets.write_bytes(packets.read_bytes()[:1_000])
    with pytest.raises(TraceError, match=r"packets\.arrow: cut or not an Arrow file"):
        what_if(trace.path, host=HOST)
