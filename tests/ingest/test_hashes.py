"""ingest --rss-key: each flow's hash is in the bundle, the tunnel's or the inner one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from replay.errors import PolicyError
from replay.ingest.ingest import ingest
from replay.layout import VERIFICATION_KEY, hash_entries
from replay.recorded import recorded_hash
from replay.trace.bundle import open_trace
from tests.ingest.captures import Packet, ethernet, ip, pcap, tcp
from tests.ingest.tunnel_frames import over, over_udp, vxlan
from tests.layout.test_toeplitz import PUBLISHED

INNER, OUTER = PUBLISHED[0], PUBLISHED[5]


def _capture(folder: Path) -> Path:
    frames = []
    for source, port, destination, other, *_ in PUBLISHED:
        packet = ip(source, destination, 6, tcp(port, other, b"x"))
        frames.append(ethernet(packet, 0x86DD if ":" in source else 0x0800))
    frames.append(over(41, ip(OUTER[0], OUTER[2], 6, tcp(OUTER[1], OUTER[3])), INNER[0], INNER[2]))
    path = folder / "published.pcap"
    path.write_bytes(pcap([Packet(10**18 + i, frame) for i, frame in enumerate(frames)]))
    return path


@pytest.mark.parametrize("compress", [None, "zstd"])
@pytest.mark.parametrize("inner", [False, True])
def test_hashes_are_the_published_ones(tmp_path: Path, inner: bool, compress: str | None) -> None:
    rss = hash_entries("microsoft", None, inner)
    ingest([_capture(tmp_path)], tmp_path / "a.trace", rss=rss, compress=compress)
    trace = open_trace(tmp_path / "a.trace")
    found = trace.flows["rss_hash"].to_pylist()
    assert found == [*(vector[5] for vector in PUBLISHED), OUTER[5] if inner else INNER[4]]
    assert trace.flows["tunnel"].to_pylist() == [None] * len(PUBLISHED) + ["ipip"]
    known = {"key": VERIFICATION_KEY, **({"inner": True} if inner else {})}
    assert recorded_hash(trace) == known


def test_without_a_key_there_is_no_hash(tmp_path: Path) -> None:
    ingest([_capture(tmp_path)], tmp_path / "a.trace", rss=hash_entries(None, "symmetric-xor"))
    trace = open_trace(tmp_path / "a.trace")
    assert trace.flows["rss_hash"].null_count == len(trace.flows)
    assert trace.manifest["rss_transform"] == "symmetric-xor"


def test_captures_without_flows_have_none_to_hash(tmp_path: Path) -> None:
    path = tmp_path / "arp.pcap"
    path.write_bytes(pcap([Packet(10**18, ethernet(bytes(28), 0x0806))]))
    ingest([path], tmp_path / "a.trace", rss=hash_entries("symmetric"))
    assert open_trace(tmp_path / "a.trace").flows.num_rows == 0


def test_vxlan_is_spread_by_its_source_port(tmp_path: Path) -> None:
    path, frame = tmp_path / "vxlan.pcap", ethernet(ip("10.0.0.2", "10.0.0.1", 6, tcp(1, 2)))
    frames = [over_udp(4789, vxlan(frame, vni), 50_000 + vni) for vni in range(20)]
    path.write_bytes(pcap([Packet(10**18 + i, frame) for i, frame in enumerate(frames)]))
    rss = hash_entries("microsoft")
    ingest([path], tmp_path / "a.trace", rss=rss)
    flows = open_trace(tmp_path / "a.trace").flows
    assert isinstance(flows, pa.Table)
    assert len(set(flows["rss_hash"].to_pylist())) == 20
    ingest([path], tmp_path / "b.trace", rss={**rss, "rss_inner": True})
    assert len(set(open_trace(tmp_path / "b.trace").flows["rss_hash"].to_pylist())) == 1


def test_a_key_that_is_none_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="RSS key"):
        ingest([_capture(tmp_path)], tmp_path / "a.trace", rss=hash_entries("6d5a"))
