from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.engine.causes import CAUSES, Causes
from replay.engine.histogram import BUCKETS, Histogram, bucket_of
from replay.engine.outcome import Outcome
from replay.parts import parts
from replay.result import CLIENT, PARTS
from tests.test_summary import OUTCOME

CLIENT_NS = 20_000


def explained(times: npt.NDArray[np.int64]) -> Outcome:
    """Return an outcome of requests; `times` are theirs by cause, shape (requests, CAUSES)."""
    latencies = times.sum(axis=1)
    by_latency = np.zeros((BUCKETS, len(CAUSES)), np.int64)
    for latency, row in zip(latencies.tolist(), times, strict=True):
        by_latency[bucket_of(latency)] += row
    counts = np.array([Histogram.of(column).counts for column in times.T])
    return replace(OUTCOME, latency=Histogram.of(latencies), causes=Causes(counts, by_latency))


def requests(**columns: Any) -> npt.NDArray[np.int64]:
    """Return the times of 1,000 requests, ns; a cause that is not named took none."""
    times = np.zeros((1_000, len(CAUSES)), np.int64)
    for cause, values in columns.items():
        times[:, CAUSES.index(cause)] = values
    return times


def test_the_parts_are_the_client_and_all_causes() -> None:
    assert (CLIENT, *CAUSES) == PARTS


def test_nobody_asked() -> None:
    assert parts(OUTCOME, CLIENT_NS) == {}


@given(
    st.lists(
        st.lists(st.integers(0, 1 << 40), min_size=len(CAUSES), max_size=len(CAUSES)),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 1_000_000),
)
def test_the_parts_sum_to_the_latency(rows: list[list[int]], client_ns: int) -> None:
    times = np.array(rows, np.int64)
    outcome = explained(times)
    found = parts(outcome, client_ns)
    mean = outcome.latency.mean
    assert mean is not None
    assert list(found["causes"]) == list(PARTS)
    assert sum(found["causes"].values()) == pytest.approx((mean + client_ns) / 1_000)
    if len(rows) < 20:
        assert "tail_causes" not in found
        return
    assert found["tail_begins"] == "p50"
    latencies = times.sum(axis=1)
    median = bucket_of(int(np.sort(latencies)[(len(rows) + 1) // 2 - 1]))
    tail = np.array([bucket_of(latency) >= median for latency in latencies.tolist()])
    assert sum(found["tail_causes"].values()) == pytest.approx(
        (latencies[tail].mean() + client_ns) / 1_000
    )
    largest = max(found["tail_causes"][cause] for cause in CAUSES)
    if largest:
        assert found["tail_causes"][found["tail_cause"]] == largest


def test_the_tail_waits_for_something_else_than_most_do() -> None:
    queueing = np.zeros(1_000, np.int64)
    queueing[:10] = 500_000
    found = parts(explained(requests(coalescing=20_000, service=5_000, queueing=queueing)), 0)
    assert found["tail_begins"] == "p99"
    # The 990th of 1,000 is one of the many: the tail is all that is in its bucket or above.
    assert found["tail_cause"] == "coalescing"
    queueing[:11] = 500_000
    found = parts(
        explained(requests(coalescing=20_000, service=5_000, queueing=queueing)), CLIENT_NS
    )
    assert found["tail_cause"] == "queueing"
    assert found["tail_causes"]["queueing"] == pytest.approx(500)
    assert found["tail_causes"][CLIENT] == 20
    assert found["causes"]["queueing"] == pytest.approx(5.5)
    assert found["cause_percentiles"]["queueing"] == {"p50": 0, "p99": pytest.approx(500, 0.001)}
    assert found["cause_percentiles"]["coalescing"]["p50"] == pytest.approx(20, 0.001)


def test_the_clients_part_is_never_the_cause() -> None:
    found = parts(explained(requests(service=1_000)), CLIENT_NS)
    assert found["tail_cause"] == "service"
    assert parts(explained(requests()), CLIENT_NS)["tail_cause"] is None


def test_no_request_has_no_parts() -> None:
    found = parts(explained(requests()[:0]), CLIENT_NS)
    assert found["causes"] == dict.fromkeys(PARTS)
    assert found["cause_percentiles"]["service"] == {"p50": None, "p99": None}
    assert "tail_begins" not in found
