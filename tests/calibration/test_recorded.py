"""Constants come out of a recording as they went into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from replay.calibrate import calibrate
from replay.errors import TraceError
from replay.host import GENERIC
from replay.trace.bundle import Trace, write_trace
from replay.trace.schema import EVENTS, PACKETS, EventKind, PacketKind

NAPI, WORKER, IDLE = 70, 80, 90

IRQ_LATENCY, POLL, PACKET, EXIT, WAKE, EVENT = 4_000, 1_500, 2_500, 900, 1_100, 150
SERVICE, TRANSMIT, EPOLL, SLEEP = 6_000, 3_000, 700, 1_300


class Story:
    """The events of a threaded server, told step by step with known durations."""

    def __init__(self, probe: int) -> None:
        self.probe = probe
        self.now = 1_000
        self.events: list[dict[str, int]] = []
        self.services: list[int] = []
        self.received: list[tuple[int, int]] = []

    def tell(self, kind: EventKind, after: int, *, cpu: int = 1, **values: int) -> None:
        """An event `after` ns of true work; recording it holds up what comes next."""
        self.now += after
        self.events.append({"time_ns": self.now, "cpu": cpu, "kind": int(kind)} | values)
        if cpu == 1:
            self.now += self.probe

    def request(self, packets: int) -> None:
        """An interrupt finds the CPU idle; `packets` requests are delivered and served."""
        self.now += 50_000
        arrival = self.now
        self.tell(EventKind.RUN, GENERIC.irq_ns + IRQ_LATENCY, tid=NAPI, value=IDLE)
        begun = self.events[-1]["time_ns"]
        for packet in range(packets):
            fixed = POLL // 2 if packet == 0 else 0
            self.tell(EventKind.RECEIVE, fixed, device=0, tid=NAPI, value=100)
            self.received.append((arrival, self.events[-1]["time_ns"]))
            self.now += PACKET
        self.tell(EventKind.WAKE, 0, tid=WORKER, value=1)
        self.tell(EventKind.POLL, POLL - POLL // 2, device=0, tid=NAPI, value=packets, budget=64)
        self.events[-1]["duration_ns"] = self.events[-1]["time_ns"] - begun
        self.tell(EventKind.RUN, EXIT, tid=WORKER, value=NAPI)
        self.serve(WAKE, packets)
        self.tell(EventKind.EPOLL_WAIT, 0, tid=WORKER, value=-1)

    def serve(self, before: int, packets: int) -> None:
        """epoll_wait returns; each request is served and answered."""
        self.tell(EventKind.EPOLL_RETURN, before + EVENT * packets, tid=WORKER, value=packets)
        probes = 1
        for _ in range(packets):
            self.tell(EventKind.XMIT, SERVICE, device=0, tid=WORKER, value=120)
            self.tell(EventKind.SOFTIRQ, 0, tid=WORKER, value=3)
            self.events[-1]["duration_ns"] = TRANSMIT + self.probe
            self.now += TRANSMIT + self.probe
            self.services.append(SERVICE + (probes + 2) * self.probe)
            probes = 0

    def sleep(self) -> None:
        self.tell(EventKind.RUN, EPOLL + SLEEP, tid=IDLE, value=WORKER)

    def write(self, path: Path, **manifest: object) -> Trace:
        table = pa.Table.from_pylist(sorted(self.events, key=lambda row: row["time_ns"]), EVENTS)
        packets = pa.Table.from_pylist(
            [
                {
                    "arrival_ns": arrival,
                    "latest_ns": latest,
                    "kind": int(PacketKind.REQUEST),
                    "service_ns": service,
                    "status": 0,
                }
                for (arrival, latest), service in zip(self.received, self.services, strict=False)
            ],
            PACKETS,
        )
        whole = {"devices": ["eth0"], "device": "eth0", "duration_ns": self.now, **manifest}
        return write_trace(path, whole, {"events": table, "packets": packets})


def story(probe: int = 0) -> Story:
    told = Story(probe)
    for size in [1, 2, 1, 3, 1, 2, 1, 1] * 30:
        told.request(size)
        if size == 3:  # more came meanwhile: this call finds events at once
            told.serve(EPOLL - EVENT, 1)
            told.tell(EventKind.EPOLL_WAIT, 0, tid=WORKER, value=-1)
        told.sleep()
    return told


@pytest.mark.parametrize("probe", [0, 600])
def test_constants_come_back(tmp_path: Path, probe: int) -> None:
    manifest = {"probe_ns": {"median": probe}} if probe else {}
    host = calibrate(story(probe).write(tmp_path / "told.trace", **manifest))
    near = {
        "poll_ns": POLL,
        "packet_ns": PACKET,
        "exit_ns": EXIT,
        "wake_ns": WAKE,
        "event_ns": EVENT,
        "epoll_ns": EPOLL,
        "sleep_ns": SLEEP,
        "irq_latency_ns": IRQ_LATENCY,
        "request_ns": SERVICE,
    }
    for name, value in near.items():
        assert getattr(host, name) == pytest.approx(value, abs=probe // 2 + 2), name
    assert host.transmit_ns == TRANSMIT
    assert host.threaded
    assert host.costs["poll_ns"].samples == 150
    assert host.costs["timer_ns"].samples == 0
    assert "not seen" in host.costs["timer_ns"].source


def test_what_was_measured_beside_is_taken(tmp_path: Path) -> None:
    def measured(value: float) -> dict[str, float]:
        return {"median": value, "q1": value - 1, "q3": value + 1, "samples": 9}

    trace = story().write(
        tmp_path / "told.trace",
        timer={"arming_ns": measured(5_400), "interrupt_ns": measured(12_000)},
        client=measured(20_000),
        preemption="none",
        ring=128,
    )
    host = calibrate(trace)
    assert (host.timer_start_ns, host.timer_ns, host.client_ns) == (5_400, 12_000, 20_000)
    assert host.timer_latency_ns == GENERIC.timer_latency_ns
    assert (host.preemption, host.ring) == (False, 128)
    assert host.costs["client_ns"].samples == 9


@pytest.mark.parametrize(
    ("nic", "looks_again"),
    [("veth, NAPI thread", True), ("virtio_net", True), ("mlx5, 100G", False), ("", False)],
)
def test_a_driver_that_looks_again_is_known_by_name(
    tmp_path: Path, nic: str, looks_again: bool
) -> None:
    host = calibrate(story().write(tmp_path / "told.trace", host={"nic": nic}))
    assert host.looks_again is looks_again


def test_nothing_to_calibrate_on(tmp_path: Path) -> None:
    packets = pa.Table.from_pylist([{"arrival_ns": 0, "kind": 0, "status": 0}], PACKETS)
    empty = write_trace(tmp_path / "empty.trace", {}, {"packets": packets})
    with pytest.raises(TraceError, match="holds no kernel events"):
        calibrate(empty)
    told = Story(0)
    told.tell(EventKind.IRQ, 0, value=3)
    with pytest.raises(TraceError, match="no epoll_wait was recorded"):
        calibrate(told.write(tmp_path / "irqs.trace"))
    told = Story(0)
    told.tell(EventKind.EPOLL_RETURN, 0, tid=WORKER, value=1)
    with pytest.raises(TraceError, match="no poll was recorded"):
        calibrate(told.write(tmp_path / "waits.trace"))


def test_a_host_survives_its_text(tmp_path: Path) -> None:
    from replay.host import read_host, write_host

    host = calibrate(story().write(tmp_path / "told.trace"))
    write_host(tmp_path / "host.toml", host)
    again = read_host(tmp_path / "host.toml")
    assert again == host
    assert again.costs.keys() == host.costs.keys()
    assert np.isclose(again.costs["poll_ns"].q1, host.costs["poll_ns"].q1)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"probe_ns": "x"}, "probe_ns = 'x' is no table"),
        ({"probe_ns": {"median": -1}}, "probe_ns.median = -1 is no number from 0 to 1e18"),
        ({"ring": "x"}, "ring = 'x' is no number"),
        ({"timer": {"arming_ns": {"median": 1.0}}}, "timer.arming_ns.q1 = None is no number"),
        ({"client": {"median": "x"}}, "client.median = 'x'"),
        ({"recorded_events": {"per_receive": -1}}, "recorded_events.per_receive = -1"),
        ({"preemption": "x"}, "preemption = 'x' is none of none, voluntary, full, lazy"),
    ],
)
def test_a_manifest_that_was_edited_badly(
    tmp_path: Path, manifest: dict[str, object], said: str
) -> None:
    with pytest.raises(TraceError) as raised:
        calibrate(story().write(tmp_path / "told.trace", **manifest))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
