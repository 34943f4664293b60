from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from replay.arrivals import Offered, offered, requests_of
from replay.errors import PolicyError, TraceError
from replay.layout import Layout
from replay.layout.queues import hashes_of_copies
from replay.placement import queue_of_packets, worker_of_flows
from replay.superposition import superposed
from tests.tiny import DURATION, FLOWS, HOST, REQUESTS, tiny_trace


def once(folder: Path) -> Offered:
    trace = tiny_trace(folder)
    return offered(trace, HOST, load=1.0, arrivals="open", sizes=True)


def test_each_copy_is_the_recording_turned_by_its_share_of_the_duration(tmp_path: Path) -> None:
    offer = once(tmp_path)
    copies = superposed(offer, 4)
    work = copies.workload
    assert copies.copy is not None
    assert (copies.load, copies.load_by) == (4.0, "superposition")
    assert (np.diff(work.arrival_ns) >= 0).all()
    assert work.duration_ns == DURATION
    assert requests_of(work) == 4 * REQUESTS
    assert copies.services_seen == 4 * offer.services_seen
    for copy in range(4):
        mine = copies.copy == copy
        back = (work.arrival_ns[mine] - copy * DURATION // 4) % DURATION
        order = np.argsort(back, kind="stable")
        assert np.array_equal(back[order], offer.workload.arrival_ns)
        assert np.array_equal(copies.row[mine][order], offer.row)
        assert np.array_equal(work.service_ns[mine][order], offer.workload.service_ns)
        assert work.size is not None
        assert np.array_equal(work.size[mine][order], offer.workload.size)


def test_one_copy_is_the_recording(tmp_path: Path) -> None:
    offer = once(tmp_path)
    assert superposed(offer, 1.0).workload is offer.workload
    assert superposed(offer, 1.0).load_by == "superposition"


def test_what_arrives_after_the_end_is_in_no_copy(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"duration_ns": 100_000})  # the second request's instant
    offer = offered(trace, HOST, load=1.0, arrivals="open")
    copies = superposed(offer, 2)
    assert copies.workload.arrival_ns.tolist() == [0, 35_000, 50_000, 85_000]
    assert copies.workload.size is None


def test_flows_of_copies_are_other_users(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    offer = offered(trace, HOST, load=1.0, arrivals="open")
    copies = superposed(offer, 8)
    assert copies.copy is not None
    layout = Layout(queues=16)
    queue, first = queue_of_packets(trace, copies, layout), queue_of_packets(trace, offer, layout)
    assert queue is not None
    assert first is not None
    recorded = copies.copy == 0
    assert np.array_equal(queue[recorded], first)
    flow = trace.packets["flow"].to_numpy()[copies.row]
    homes = {
        copy: [set(queue[(copies.copy == copy) & (flow == number)]) for number in set(flow)]
        for copy in range(8)
    }
    assert all(len(queues) == 1 for found in homes.values() for queues in found)
    assert len({str(found) for found in homes.values()}) == 8  # no two copies spread alike
    worker = worker_of_flows(copies, None, 8 * FLOWS)
    assert len(set(worker.tolist())) == 8 * FLOWS


def test_drawn_hashes_are_spread_evenly() -> None:
    hashes = np.repeat(np.arange(64, dtype=np.int64) << 16, 100)
    copy = np.tile(np.arange(100, dtype=np.int64), 64)
    drawn = hashes_of_copies(hashes, copy)
    assert np.array_equal(drawn[copy == 0], hashes[copy == 0])
    assert drawn.min() >= 0
    assert drawn.max() < 1 << 32
    counts = np.bincount(drawn[copy > 0] & 15, minlength=16)
    expected = 64 * 99 / 16
    assert (
        float(((counts - expected) ** 2 / expected).sum()) < 37.7
    )  # chi-squared, 15 degrees, 0.1 %


@pytest.mark.parametrize("load", [0.5, 1.5, 1e9])
def test_copies_are_counted(tmp_path: Path, load: float) -> None:
    with pytest.raises(PolicyError, match=r"is no number of copies .*: 1 to 1000, whole"):
        superposed(once(tmp_path), load)


def test_closed_arrivals_have_no_copies(tmp_path: Path) -> None:
    closed = offered(tiny_trace(tmp_path), HOST, load=1.0, arrivals="closed")
    with pytest.raises(TraceError, match="closed arrivals cannot be laid over each other"):
        superposed(closed, 2)
