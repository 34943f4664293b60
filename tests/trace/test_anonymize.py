from __future__ import annotations

import json
import os
from ipaddress import ip_address
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.trace.anonymize import KEY_RANGE, Anonymizer, new_key, read_key
from replay.trace.bundle import open_trace
from tests.tiny import tiny_trace

MAPPED = bytes(10) + b"\xff\xff"
KEY = bytes(range(32))
ADDRESSES = st.one_of(
    st.binary(min_size=4, max_size=4).map(lambda it: MAPPED + it),
    st.binary(min_size=16, max_size=16).filter(lambda it: any(it) and not it.startswith(MAPPED)),
)


def shared_bits(one: bytes, other: bytes) -> int:
    differing = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return 8 * len(one) - differing.bit_length()


@given(ADDRESSES, ADDRESSES)
def test_shared_prefixes_stay_shared_and_no_longer_ones_arise(one: bytes, other: bytes) -> None:
    anonymizer = Anonymizer(KEY)
    new = [anonymizer.address(it) for it in (one, other)]
    both_mapped = one.startswith(MAPPED) == other.startswith(MAPPED)
    assert [it.startswith(MAPPED) for it in new] == [it.startswith(MAPPED) for it in (one, other)]
    if both_mapped:
        assert shared_bits(*new) == shared_bits(one, other)


def test_the_key_decides() -> None:
    address = MAPPED + bytes([10, 1, 2, 3])
    one = Anonymizer(KEY).address(address)
    assert one == Anonymizer(KEY).address(address)
    others = {Anonymizer(new_key()).address(address) for _ in range(8)}
    assert len(others | {one}) > 6
    assert Anonymizer(KEY).address(bytes(16)) == bytes(16)


def test_flows_keep_their_shape_but_neither_addresses_nor_hashes(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    hashes = trace.flows.schema.get_field_index("rss_hash")
    table = trace.flows.set_column(
        hashes, trace.flows.schema.field(hashes), pa.array(range(8), pa.uint32())
    )
    new = Anonymizer(KEY).flows(table)
    assert new.schema.equals(table.schema)
    assert new["rss_hash"].null_count == len(new)
    for name in ("source", "destination"):
        assert not set(new[name].to_pylist()) & set(table[name].to_pylist())
        assert len(set(new[name].to_pylist())) == len(set(table[name].to_pylist()))
    kept = ["source_port", "destination_port", "protocol", "packets", "bytes"]
    assert new.select(kept).equals(table.select(kept))


def test_the_ends_of_tunnels_are_addresses_too(tmp_path: Path) -> None:
    table = tiny_trace(tmp_path).flows
    outer = [None, *[MAPPED + bytes([10, 0, 0, i]) for i in range(1, len(table))]]
    place = table.schema.get_field_index("outer_source")
    table = table.set_column(place, table.schema.field(place), pa.array(outer, pa.binary(16)))
    new = Anonymizer(KEY).flows(table)["outer_source"].to_pylist()
    assert new[0] is None
    assert None not in new[1:]
    assert not set(new[1:]) & set(outer)


def test_a_manifest_keeps_numbers_and_plain_words() -> None:
    manifest = {
        "sources": [{"name": "acme-db.pcap", "size": 77, "sha256": "abc", "format": "pcap"}],
        "host": {"hostname": "acme-db-1", "kernel": "6.18.4-acme7", "cpus": 8},
        "recorded_by": "perf record -o /home/acme/x",
        "server": {"addresses": ["10.1.2.3", "fd00::1"], "port": 443, "inferred": True},
        "workers": {"17": "acme-billing"},
        "policy": "base",
        "duration_ns": 5,
        "devices": ["eth0"],
        "warnings": ["acme-db.pcap: cut"],
        "clock": "realtime",
    }
    new = Anonymizer(KEY).manifest(manifest)
    text = json.dumps(new)
    assert "acme" not in text
    assert "10.1.2.3" not in text
    assert "fd00::1" not in text
    assert new["anonymized"] is True
    assert new["host"] == {"kernel": "6.18.4", "cpus": 8}
    assert new["sources"] == [{"size": 77, "format": "pcap"}]
    assert new["policy"] == "base"
    assert new["devices"] == ["eth0"]
    assert new["server"]["port"] == 443
    assert [ip_address(it).version for it in new["server"]["addresses"]] == [4, 6]


def test_the_shipped_recording_names_nobody_afterwards() -> None:
    trace = open_trace(Path(__file__).parents[2] / "traces" / "memcached-base-10k.trace")
    new = Anonymizer(KEY).manifest(trace.manifest)
    assert new["duration_ns"] == trace.manifest["duration_ns"]
    assert "hostname" not in new["host"]
    assert "record" not in json.dumps(new).replace("recorded_events", "")


def test_keys_from_files(tmp_path: Path) -> None:
    low, high = KEY_RANGE
    (tmp_path / "key").write_bytes(os.urandom(low))
    assert len(read_key(tmp_path / "key")) == low
    (tmp_path / "short").write_bytes(bytes(low - 1))
    (tmp_path / "long").write_bytes(bytes(high + 1))
    for name, says in (
        ("short", f"a key has {low} to {high} bytes, this file {low - 1}"),
        ("long", f"this file more than {high}"),
        ("absent", "cannot be read: No such file"),
    ):
        with pytest.raises(TraceError, match=says):
            read_key(tmp_path / name)
