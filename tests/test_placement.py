from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from replay.arrivals import Offered, offered
from replay.errors import PolicyError, TraceError
from replay.layout import VERIFICATION_KEY, Layout
from replay.placement import (
    hashed_as_recorded,
    lay_out,
    place,
    queue_of_packets,
    worker_of_flows,
)
from replay.places import Places
from replay.recorded import recorded_hash
from replay.trace import schema
from replay.trace.bundle import Trace, write_trace
from tests.tiny import FLOWS, HOST, tiny_trace


def offer(trace: Trace) -> Offered:
    return offered(trace, HOST, load=1.0, arrivals="open")


def requeued(trace: Trace, folder: Path, **columns: list[int | None]) -> Trace:
    packets = trace.packets
    for name, values in columns.items():
        place = schema.PACKETS.get_field_index(name)
        packets = packets.set_column(
            place, schema.PACKETS.field(name), pa.array(values, schema.PACKETS.field(name).type)
        )
    return write_trace(
        folder / "requeued.trace", trace.manifest, {"packets": packets, "flows": trace.flows}
    )


def test_nothing_asked_leaves_queues_as_recorded(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    assert lay_out(trace, None, None) is None
    assert queue_of_packets(trace, offer(trace), None) is None
    rows = trace.packets.num_rows
    two = requeued(trace, tmp_path, queue=[i // 3 % 2 for i in range(rows)])
    queue = queue_of_packets(two, offer(two), None)
    assert queue is not None
    assert queue[:6].tolist() == [0, 0, 1, 1, 0, 0]


def test_a_queue_not_seen_is_one_queue(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    unknown = requeued(trace, tmp_path, queue=[None, *[1] * (trace.packets.num_rows - 1)])
    assert queue_of_packets(unknown, offer(unknown), None) is None


def test_all_packets_of_a_flow_go_to_one_queue_of_the_layout(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    layout = lay_out(trace, 16, None)
    assert layout == Layout(queues=16)
    queue = queue_of_packets(trace, offer(trace), layout)
    assert queue is not None
    assert queue.min() >= 0
    assert queue.max() < 16
    flow = trace.packets["flow"].to_numpy()[offer(trace).row]
    assert all(len(set(queue[flow == number])) == 1 for number in set(flow))
    assert len(set(queue)) > 1
    assert len(set(flow)) == FLOWS
    assert queue_of_packets(trace, offer(trace), lay_out(trace, 1, None)) is None


def test_a_packet_of_no_flow_goes_to_queue_0(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    flows = trace.packets["flow"].to_pylist()
    bare = requeued(trace, tmp_path, flow=[None, *flows[1:]])
    queue = queue_of_packets(bare, offer(bare), lay_out(bare, None, "0,1"))
    assert queue is not None
    assert queue[0] == 0
    assert (queue[1:] == 1).all()


def test_a_recording_without_flows_cannot_be_hashed(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    bare = requeued(trace, tmp_path, flow=[None] * trace.packets.num_rows)
    with pytest.raises(TraceError, match="holds no flows to hash onto 4 queues"):
        queue_of_packets(bare, offer(bare), lay_out(bare, 4, None))


def test_a_flow_known_by_its_hash_alone_goes_where_that_says(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    lines = trace.flows.to_pylist()
    for number, line in enumerate(lines[:4]):
        line |= {"source": bytes(16), "destination": bytes(16), "rss_hash": 4_096 + 5 * number}
    tables = {
        "packets": trace.packets,
        "flows": pa.Table.from_pylist(lines, schema=schema.FLOWS),
    }
    hashed = write_trace(tmp_path / "hashed.trace", trace.manifest, tables)
    assert hashed_as_recorded(hashed).tolist() == [True] * 4 + [False] * 4
    layout = lay_out(hashed, 8, None)
    queue, before = (queue_of_packets(it, offer(it), layout) for it in (hashed, trace))
    assert queue is not None
    assert before is not None
    flow = hashed.packets["flow"].to_numpy()[offer(hashed).row]
    assert set(queue[flow == 0]) == {0}
    assert set(queue[flow == 2]) == {2}
    assert (queue[flow >= 4] == before[flow >= 4]).all()


def test_a_packet_of_a_flow_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    odd = requeued(trace, tmp_path, flow=[99] * trace.packets.num_rows)
    with pytest.raises(TraceError, match="packets name flow 99 of 8"):
        queue_of_packets(odd, offer(odd), lay_out(odd, 4, None))


def test_weights_alone_say_how_many_queues_there_are(tmp_path: Path) -> None:
    layout = lay_out(tiny_trace(tmp_path), None, "1,0,3")
    assert layout is not None
    assert layout.queues == 3
    assert set(layout.indirection) == {0, 2}
    assert layout.indirection.count(2) == 3 * layout.indirection.count(0)


def test_every_queue_has_an_entry(tmp_path: Path) -> None:
    layout = lay_out(tiny_trace(tmp_path), 300, "equal")
    assert layout is not None
    assert set(layout.indirection) == set(range(300))


@pytest.mark.parametrize(
    ("queues", "indirection", "message"),
    [
        (0, None, "queues = 0 is outside 1 to 1024"),
        (1025, None, "queues = 1025 is outside 1 to 1024"),
        (None, "equal", "'equal' needs a number of queues"),
        (2, "1,1,1", "3 weights"),
        (2, "even", "neither 'equal' nor weights"),
    ],
)
def test_a_layout_that_cannot_be(
    tmp_path: Path, queues: int | None, indirection: str | None, message: str
) -> None:
    with pytest.raises(PolicyError, match=message):
        lay_out(tiny_trace(tmp_path), queues, indirection)


def test_the_key_is_the_recordings(tmp_path: Path) -> None:
    key = bytes(range(40))
    text = ":".join(f"{byte:02x}" for byte in key)  # as ethtool -x writes it
    trace = tiny_trace(tmp_path, manifest={"rss_key": text})
    assert recorded_hash(trace) == {"key": key}
    layout = lay_out(trace, 2, None)
    assert layout is not None
    assert layout.key == key
    bare = lay_out(tiny_trace(tmp_path, name="bare.trace"), 2, None)
    assert bare is not None
    assert bare.key == VERIFICATION_KEY
    with pytest.raises(TraceError, match=r"manifest.json: RSS key .xyz. is neither"):
        recorded_hash(tiny_trace(tmp_path, name="odd.trace", manifest={"rss_key": "xyz"}))


def test_workers_take_queues_or_flows_in_turn(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    layout = lay_out(trace, 4, None)
    placed = place(trace, offer(trace), layout, Places(workers=2))
    assert placed.queue is not None
    assert placed.worker is not None
    assert (placed.worker == placed.queue % 2).all()
    assert placed.names == (0, 1, 2, 3)
    dealt = place(trace, offer(trace), layout, Places(workers=2, spread="flows")).worker
    assert dealt is not None
    assert dealt[:8].tolist() == [0, 0, 1, 1, 0, 0, 1, 1]  # request and acknowledgement of a flow
    assert place(trace, offer(trace), layout, Places(workers=1, spread="flows")).worker is None


def test_workers_of_one_queue(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    placed = place(trace, offer(trace), None, Places(workers=2))
    assert (placed.queue, placed.worker) == (None, None)  # all to the worker of queue 0
    dealt = place(trace, offer(trace), None, Places(workers=4, spread="flows"))
    assert dealt.worker is not None
    assert set(dealt.worker.tolist()) == {0, 1, 2, 3}
    (island,) = dealt.apart
    assert len(island.topology.worker_cpu) == 4


def test_a_packet_of_no_flow_goes_to_its_queues_worker(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    flows = trace.packets["flow"].to_pylist()
    bare = requeued(trace, tmp_path, flow=[None, None, None, *flows[3:]])
    queue = pa.array([1, 1, *[0] * 398]).to_numpy()
    worker = worker_of_flows(offer(bare), queue, 3)
    assert worker[:2].tolist() == [1, 1]
    assert worker_of_flows(offer(bare), None, 3)[0] == 0


def test_recorded_queues_keep_their_numbers(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    rows = trace.packets.num_rows
    two = requeued(trace, tmp_path, queue=[i // 3 % 2 * 2 for i in range(rows)])
    assert [it.queues for it in place(two, offer(two), None, None).apart] == [(0,), (2,)]
    asked = place(two, offer(two), None, Places(irq_cpus=(0, 1, 0)))
    assert [it.queues for it in asked.apart] == [(0, 2), (1,)]
    with pytest.raises(PolicyError, match="irq-cpus has 2 numbers for 3 queues"):
        place(two, offer(two), None, Places(irq_cpus=(0, 1)))
