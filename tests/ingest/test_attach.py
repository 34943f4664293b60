"""Files beside a recording: its measured row, its policy and its queues come from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from replay.errors import ReplayError, TraceError
from replay.ingest.ingest import ingest
from replay.measured import measured_policy
from replay.recorded import recorded_layout
from replay.trace.bundle import Trace, open_trace
from replay.whatif import what_if
from tests.ingest.captures import ACK, PSH, Conversation, Packet, pcap
from tests.ingest.test_ethtool import CHANNELS, COALESCE, INDIRECTION, RING
from tests.ingest.test_mutilate import USUAL
from tests.tiny import tiny_trace

START = 1_700_000_000 * 10**9
RATE = 1_000.0  # requests a second of the capture
NAPI = "[{'defer-hard-irqs': 100, 'gro-flush-timeout': 20000, 'id': 1, 'ifindex': 2, 'irq': 7}]\n"


def capture(folder: Path, connections: int = 16, seconds: float = 0.2) -> Path:
    """RATE requests a second, each answered, on several connections."""
    talks = [Conversation(40_000 + i) for i in range(connections)]
    packets = []
    for i in range(round(RATE * seconds)):
        talk, time = talks[i % connections], START + round(i * 1e9 / RATE)
        packets.append(Packet(time, talk.segment(True, 10, ACK | PSH)))
        packets.append(Packet(time + 40_000, talk.segment(False, 20, ACK | PSH)))
    path = folder / "talk.pcap"
    path.write_bytes(pcap(packets))
    return path


def mutilate(rate: float = RATE, p99: float = 100.4) -> str:
    return USUAL.replace("18416.6 (92083", f"{rate} (92083").replace("100.4", str(p99))


def interrupts(second: int, first: int, other: int) -> str:
    return (
        f"170000000{second}\n          CPU0       CPU5\n"
        f"  6:  1 1  PCI-MSI 0-edge  eth0\n"
        f"  7:  {first} 0  PCI-MSI 1-edge  eth0-TxRx-0\n"
        f"  8:  0 {other}  PCI-MSI 2-edge  eth0-TxRx-1\n"
        f"  9:  0 {other}  PCI-MSI 3-edge  eth0-TxRx-2\n"
        f" 10:  0 {other}  PCI-MSI 4-edge  eth0-TxRx-3\n"
    )


def attach(folder: Path, files: dict[str, str], **options: Any) -> Trace:
    """Ingest a capture with these files beside it."""
    paths = []
    for name, text in files.items():
        paths.append(folder / name)
        paths[-1].write_text(text)
    return open_trace(ingest([capture(folder), *paths], folder / "x.trace", **options).path)


def outcomes(trace: Trace) -> dict[tuple[str, float, str], dict[str, Any]]:
    rows = trace.outcomes.to_pylist()
    return {(row["policy"], row["offered_per_s"], row["metric"]): row for row in rows}


def test_a_client_s_result_is_the_measured_row(tmp_path: Path) -> None:
    trace = attach(tmp_path, {"m.out": mutilate()}, policy="defer20")
    row = outcomes(trace)["defer20", RATE, "latency_p99"]
    assert (row["median"], row["q1"], row["repetitions"]) == (100.4, 100.4, 1)
    assert "mutilate, reads" in row["method"]
    assert trace.manifest["offered_per_s"] == RATE
    assert trace.manifest["latency_at"] == "client send to receive"
    assert [source.get("format") for source in trace.manifest["sources"]] == ["pcap", "mutilate"]
    measured = next(row for row in what_if(trace, []).rows if row.kind == "measured")
    assert measured.policy == "defer20"
    assert measured.latency_us["p99"] == 100.4


def test_files_of_one_rate_are_repetitions(tmp_path: Path) -> None:
    files = {f"m{i}.out": mutilate(RATE + i, 100.0 + i) for i in range(5)}
    trace = attach(tmp_path, files | {"other.out": mutilate(2 * RATE)}, policy="base")
    row = outcomes(trace)["base", RATE, "latency_p99"]
    assert (row["min"], row["q1"], row["median"], row["q3"], row["max"]) == (
        100,
        101,
        102,
        103,
        104,
    )
    assert row["repetitions"] == 5
    assert ("base", 2 * RATE, "latency_p99") in outcomes(trace)
    assert trace.manifest["offered_per_s"] == RATE


def test_other_policies_and_rates_are_named(tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / f"busy-{i}.out").write_text(mutilate(1990.0, 10.0 + i))
    (tmp_path / "one=two.out").write_text(mutilate(500.0))
    asked = [
        f"fullbusy@2k={tmp_path}/busy-*.out",
        f"defer20={tmp_path / 'busy-0.out'}",
        f"base:weight=16@500={tmp_path}/one=two.out",
    ]
    trace = attach(tmp_path, {}, outcomes=asked)
    found = outcomes(trace)
    assert found["fullbusy", 2000.0, "latency_p99"]["repetitions"] == 2
    assert ("defer20", 1990.0, "latency_p99") in found
    assert ("base:weight=16", 500.0, "requests") in found
    assert "policy" not in trace.manifest
    assert "offered_per_s" not in trace.manifest


def test_settings_are_the_policy_the_nic_and_the_queues(tmp_path: Path) -> None:
    files = {
        "all.txt": COALESCE + RING + CHANNELS + INDIRECTION,
        "napi.txt": f"[{','.join(NAPI.strip()[1:-1].replace('7', str(i)) for i in range(7, 11))}]",
        "driver.txt": "driver: mlx5_core\nversion: 6.18\n",
        "before": interrupts(0, 100, 10),
        "after": interrupts(2, 700, 210),
        "m.out": mutilate().replace("5.0s)", "2.0s)"),
    }
    trace = attach(tmp_path, files)
    assert trace.manifest["policy"] == "base:defer-hard-irqs=100,gro-flush-timeout=20us"
    policy = measured_policy(trace)
    assert policy is not None
    assert (policy.defer_hard_irqs, policy.gro_flush_timeout_ns) == (100, 20_000)
    nic = trace.manifest["nic"]
    assert (nic["driver"], nic["adaptive"], nic["coalescing"], nic["ring"]) == (
        "mlx5_core",
        "dim",
        "cqe",
        1024,
    )
    assert trace.manifest["layout"]["irq_cpus"] == [0, 5, 5, 5]
    layout = recorded_layout(trace)
    assert layout is not None
    assert layout.queues == 4
    irqs = outcomes(trace)[policy.name, RATE, "irqs"]
    assert irqs["median"] == (600 + 3 * 200) / 2
    assert irqs["method"].startswith("/proc/interrupts before and after, 2 s apart: eth0-TxRx-0 to")
    assert [it["per_s"] for it in trace.manifest["interrupts"]] == [300, 100, 100, 100]
    result = what_if(trace, ["defer20"])
    assert "4 queues" in result.about["trace"]
    assert any(note.startswith("NIC as recorded: driver mlx5_core") for note in result.notes)
    measured = next(row for row in result.rows if row.kind == "measured")
    assert measured.policy == policy.name
    assert measured.irqs == round(600 * measured.duration_s)
    # as if a person had asked for the same queues: both hash by the same table
    same = what_if(trace, ["base"], queues=4, indirection="equal")
    assert "4 queues" in same.about["trace"]


def test_counters_alone_are_at_the_recorded_rate(tmp_path: Path) -> None:
    files = {
        "before": interrupts(0, 100, 10),
        "after": interrupts(4, 500, 10),
        "s0": "1700000000\nNIC statistics:\n     rx_packets: 5\n",
        "s1": "1700000004\nNIC statistics:\n     rx_packets: 4005\n",
    }
    trace = attach(tmp_path, files, policy="base", device="eth0")
    found = outcomes(trace)
    (rate,) = {rate for _, rate, _ in found}
    assert rate == pytest.approx(RATE, rel=0.01)
    assert found["base", rate, "irqs"]["median"] == 100.0
    assert found["base", rate, "packets"]["median"] == 1000.0


def test_a_rate_that_is_not_the_recording_s_has_no_measured_row(tmp_path: Path) -> None:
    (tmp_path / "m.out").write_text(mutilate(5 * RATE))
    sources = [capture(tmp_path), tmp_path / "m.out"]
    summary = ingest(sources, tmp_path / "x.trace", policy="base")
    assert any("a table of it has no measured row" in line for line in summary.inferred)
    trace = open_trace(summary.path)
    assert "offered_per_s" not in trace.manifest
    assert not [row for row in what_if(trace, []).rows if row.kind == "measured"]


def test_a_bundle_is_added_to(tmp_path: Path) -> None:
    old = tiny_trace(tmp_path)
    for name, text in (("m.out", mutilate(200.0, 7.5)), ("ring.txt", RING)):
        (tmp_path / name).write_text(text)
    sources = [tmp_path / "ring.txt", old.path, tmp_path / "m.out"]
    for compress in (None, "zstd"):
        summary = ingest(sources, tmp_path / f"{compress}.trace", compress=compress)
        new = open_trace(summary.path)
        assert new.packets.equals(old.packets)
        assert new.events.equals(old.events)
        found, before = outcomes(new), outcomes(old)
        assert found["base", 201.0, "latency_p99"]["median"] == 7.5
        assert found["base", 201.0, "irqs"] == before["base", 201.0, "irqs"]
        assert len(found) == len(before | found)
        [told] = [line for line in summary.lost if "replaced" in line]
        assert told.startswith("outcomes of base at 201 requests/s that were there are replaced: ")
        gone, rest = told.split(": ")[1].split(";")[0].split(", "), told.split(": ")[2].split(", ")
        assert "latency_p99" in gone
        assert "irqs" in rest
        assert {("base", 201.0, name) for name in (*gone, *rest)} == {
            key for key in before if key[:2] == ("base", 201.0)
        }
        assert new.manifest["nic"]["ring"] == 1024
        assert new.manifest["loop"] == old.manifest["loop"]
    with pytest.raises(TraceError, match="is a bundle already"):
        ingest([old.path], tmp_path / "again.trace")


@pytest.mark.parametrize(
    ("files", "options", "reason"),
    [
        ({"m.out": mutilate()}, {}, "m.out: measured under which policy"),
        ({"m.out": USUAL[:110]}, {"policy": "base"}, "m.out: cut"),
        (
            {"napi": NAPI},
            {"policy": "defer50"},
            "gro-flush-timeout is 20us, but policy defer50 has",
        ),
        ({"before": interrupts(0, 1, 1)}, {"policy": "base"}, "1 snapshot of its kind"),
        (
            {"before": interrupts(0, 1, 1), "after": interrupts(2, 1, 2)},
            {"policy": "base"},
            "no interrupt is called after the device: name it with --device",
        ),
        (
            {"before": interrupts(0, 1, 1), "after": interrupts(2, 1, 2)},
            {"policy": "base", "device": "eth7"},
            "no interrupt is called after eth7",
        ),
        ({}, {"outcomes": ["base"]}, "POLICY@RATE=FILE or POLICY=FILE is expected"),
        ({}, {"outcomes": ["nosuch@1k=file"]}, "unknown policy 'nosuch'"),
        ({}, {"outcomes": ["base@fast=file"]}, "'fast' is no rate"),
        ({}, {"outcomes": ["base@1k=absent.out"]}, "absent.out: cannot be read"),
        ({}, {"outcomes": ["base@1k=none-*.out"]}, "no file is called none-"),
        (
            {"ring": RING + RING.replace("eth0", "eth1")},
            {},
            r"2 devices \(eth0, eth1\): choose one with --device",
        ),
        (
            {"ring": RING.replace("1024", "0")},
            {},
            "ring = 0 is outside 1 to",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_left(
    tmp_path: Path, files: dict[str, str], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ReplayError, match=reason) as caught:
        attach(tmp_path, files, **options)
    assert "\n" not in str(caught.value)
    assert not [name for name in os.listdir(tmp_path) if "trace" in name]


def test_settings_and_pairs_of_another_policy(tmp_path: Path) -> None:
    (tmp_path / "ring.txt").write_text(RING)
    for name, text in (("b", interrupts(0, 0, 0)), ("a", interrupts(2, 50, 0))):
        (tmp_path / name).write_text(text)
    with pytest.raises(TraceError, match="settings are the recording's"):
        attach(tmp_path, {}, outcomes=[f"base@1k={tmp_path / 'ring.txt'}"])
    pair = [f"base={tmp_path / name}" for name in "ab"]
    with pytest.raises(TraceError, match="counted at which rate"):
        attach(tmp_path, {}, outcomes=pair, device="eth0")
    pair = [f"base@9k={tmp_path / name}" for name in "ab"]
    trace = attach(tmp_path, {}, outcomes=pair, device="eth0")
    assert outcomes(trace)["base", 9_000.0, "irqs"]["median"] == 25.0
