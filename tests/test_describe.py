from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from replay.arrivals import offered
from replay.describe import assumptions, free_handoffs, head, load_notes
from replay.host import NICS
from replay.layout import Layout
from replay.measured import measurements
from replay.placement import place
from replay.places import Places
from replay.superposition import superposed
from replay.trace import schema
from replay.trace.bundle import Trace, write_trace
from tests.tiny import HOST, tiny_trace


def notes(trace: Trace, arrivals: str = "auto", layout: Layout | None = None) -> list[str]:
    offer = offered(trace, HOST, load=1.0, arrivals=arrivals)
    truth = measurements(trace, HOST, offer)
    return assumptions(trace, HOST, offer, truth, layout, asked_for=arrivals)


def with_gaps(trace: Trace, folder: Path, *gaps: dict[str, Any]) -> Trace:
    tables = {name: getattr(trace, name) for name in schema.TABLES}
    tables["gaps"] = pa.Table.from_pylist(list(gaps), schema=schema.GAPS)
    return write_trace(folder / "gaps.trace", trace.manifest, tables)


def test_the_head_says_what_is_replayed(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    offer = offered(trace, HOST, load=4.0, arrivals="closed")
    truth = measurements(trace, HOST, offer)
    placement = place(trace, offer, Layout(queues=2), None)
    lines = head(trace, HOST, offer, truth, placement)
    assert lines["trace"] == "tiny: 0.25 s, 400 packets, 200 requests, 2 queues"
    assert lines["arrivals"] == (
        "closed, each follows an answer, 4 times as fast (compression): 800 requests/s offered"
    )
    assert lines["host"] == "tiny-host (made up)"
    assert lines["latency"] == "client send to receive, µs"
    assert "places" not in lines
    lines = head(trace, HOST, offer, truth, placement, nic="veth", placed=True)
    assert lines["host"] == f"tiny-host (made up), NIC veth: {NICS['veth'].about}"
    assert lines["places"] == (
        "2 CPUs on 1 cache, queues' interrupts on 0,1, 2 workers on 0,1, 1 NIC, 2 islands"
    )


def test_what_more_load_assumes(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    once = offered(trace, HOST, load=1.0, arrivals="open")
    assert load_notes(superposed(once, 1), None) == []
    (faster,) = load_notes(offered(trace, HOST, load=2.0, arrivals="open"), None)
    assert "bursts are denser" in faster
    copies = superposed(once, 3)
    (anew,) = load_notes(copies, Layout(queues=2))
    (kept,) = load_notes(copies, None)
    assert "3 copies of the recording at once" in anew
    assert "hashed anew" in anew
    assert "stay on the recorded queues" in kept
    truth = measurements(trace, HOST, copies)
    lines = head(trace, HOST, copies, truth, place(trace, copies, None, None))
    assert lines["arrivals"] == (
        "open, as recorded, 3 independent copies at once (superposition): 600 requests/s offered"
    )


def test_free_handoffs_are_said(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    once = offered(trace, HOST, load=1.0, arrivals="open")
    apart = place(trace, once, None, None)
    across = place(trace, once, None, Places(irq_cpus=(0,), worker_cpus=(1,)))
    assert free_handoffs(HOST, apart.apart) == []
    assert free_handoffs(replace(HOST, ipi_ns=1), across.apart) == []
    (note,) = free_handoffs(HOST, across.apart)
    assert "ipi_ns, handoff_ns and far_ns are 0" in note


def test_a_closed_loop_without_answers_is_open_and_says_so(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"loop": "closed"})
    assert not any("loop" in note or "closed" in note for note in notes(trace))
    packets = trace.packets.filter(pc.equal(trace.packets["kind"], 0))
    bare = write_trace(tmp_path / "bare.trace", trace.manifest, {"packets": packets})
    assert any("lacks the answers that closed arrivals wait for" in note for note in notes(bare))
    assert not any("lacks the answers" in note for note in notes(bare, arrivals="open"))


def test_what_the_recording_lost_is_said(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    assert not any("lost" in note for note in notes(trace))
    gap = {"source": 0, "cause": "lost", "lost": 1_200}
    uncounted = {"source": 0, "cause": "cut", "lost": None}
    lossy = with_gaps(trace, tmp_path, gap, uncounted)
    assert "the recording lost 1,200 records" in notes(lossy)


def test_how_it_was_measured_is_said(tmp_path: Path) -> None:
    assert "measured: median of 5 repetitions, counted" in notes(tiny_trace(tmp_path))


def test_what_chooses_the_queue_is_said(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    assert any("published verification key" in note for note in notes(trace, layout=Layout(4)))
    own = Layout(4, key=bytes(range(40)))
    assert not any("hashed" in note or "hashes" in note for note in notes(trace, layout=own))
    lines = [{**line, "source": bytes(16), "rss_hash": 1} for line in trace.flows.to_pylist()]
    flows = pa.Table.from_pylist(lines, schema=schema.FLOWS)
    tables = {"packets": trace.packets, "flows": flows}
    hashed = write_trace(tmp_path / "hashed.trace", trace.manifest, tables)
    assert any("recorded hashes" in note for note in notes(hashed, layout=Layout(4)))


def test_packets_that_cannot_be_hashed_are_counted(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    lines = trace.packets.to_pylist()
    lines[0]["flow"] = lines[1]["flow"] = None  # of two packets, one is the host's own
    packets = pa.Table.from_pylist(lines, schema=schema.PACKETS)
    tables = {"packets": packets, "flows": trace.flows}
    bare = write_trace(tmp_path / "bare.trace", trace.manifest, tables)
    said = "1 packets have no flow to hash: queue 0 takes them"
    assert said in notes(bare, layout=Layout(4))
    assert said not in notes(bare)
    assert said not in notes(trace, layout=Layout(4))
