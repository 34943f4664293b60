from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from replay.arrivals import offered
from replay.describe import assumptions, head
from replay.layout import Layout
from replay.measured import measurements
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
    lines = head(trace, HOST, offer, measurements(trace, HOST, offer), queues=2)
    assert lines["trace"] == "tiny: 0.25 s, 400 packets, 200 requests, 2 queues"
    assert lines["arrivals"] == (
        "closed, each follows an answer, 4 times as fast: 800 requests/s offered"
    )
    assert lines["host"] == "tiny-host (made up)"
    assert lines["latency"] == "client send to receive, µs"


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
